//! The values that a row has of its own, side by side in one piece of memory.

use std::sync::Arc;

/// Values as JSON, by their numbers: what a row has of its own, where all else is the same in rows of
/// its form.
#[derive(Clone, Copy, Debug)]
pub struct Owns<'r> {
    ends: Ends<'r>,
    values: &'r [u8],
}

/// Where each of them ends among all.
#[derive(Clone, Copy, Debug)]
enum Ends<'r> {
    Narrow(&'r [[u8; size_of::<u16>()]]),
    Wide(&'r [[u8; size_of::<u32>()]]),
}

/// How many bytes stand before the ends: whether they are wide, and how many there are.
const HEAD: usize = 3;

impl<'r> Owns<'r> {
    /// Those that were [packed](Self::pack).
    pub fn of(packed: &'r [u8]) -> Self {
        let Some(([is_wide, low, high], rest)) = packed.split_first_chunk::<HEAD>() else {
            return Self::default();
        };
        let count = usize::from(u16::from_le_bytes([*low, *high]));
        let width = if *is_wide == 1 { size_of::<u32>() } else { size_of::<u16>() };
        let Some((ends, values)) = rest.split_at_checked(count * width) else {
            return Self::default();
        };
        let ends = if *is_wide == 1 {
            Ends::Wide(ends.as_chunks().0)
        } else {
            Ends::Narrow(ends.as_chunks().0)
        };
        Self { ends, values }
    }

    /// Puts values into one piece of memory: all of them, one behind the other, by where each ends.
    pub fn pack(ends: &[u32], values: &[u8]) -> Arc<[u8]> {
        let narrow: Option<Vec<u16>> = ends.iter().map(|end| u16::try_from(*end).ok()).collect();
        let mut packed = vec![u8::from(narrow.is_none())];
        packed.extend(u16::try_from(ends.len()).unwrap_or(u16::MAX).to_le_bytes());
        match narrow {
            Some(ends) => packed.extend(ends.into_iter().flat_map(u16::to_le_bytes)),
            None => packed.extend(ends.iter().flat_map(|end| end.to_le_bytes())),
        }
        packed.extend_from_slice(values);
        packed.into()
    }

    /// One of them; `null` where there is none with this number.
    pub fn get(&self, number: usize) -> &'r [u8] {
        let begin = match number.checked_sub(1) {
            Some(before) => self.ends.get(before),
            None => Some(0),
        };
        let range = begin.zip(self.ends.get(number));
        range.and_then(|(begin, end)| self.values.get(begin..end)).unwrap_or(b"null")
    }
}

impl Default for Owns<'_> {
    /// No values.
    fn default() -> Self {
        Self { ends: Ends::Narrow(&[]), values: &[] }
    }
}

impl Ends<'_> {
    fn get(self, number: usize) -> Option<usize> {
        match self {
            Self::Narrow(ends) => ends.get(number).map(|end| usize::from(u16::from_le_bytes(*end))),
            Self::Wide(ends) => usize::try_from(u32::from_le_bytes(*ends.get(number)?)).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_was_packed_however_long_they_are() {
        for length in [0, 1, 300, 70_000] {
            let values = [b"\"web\"".to_vec(), Vec::new(), vec![b'7'; length], b"null".to_vec()];
            let mut end = 0;
            let ends = values.iter().map(|it| {
                end += u32::try_from(it.len()).unwrap();
                end
            });
            let packed = Owns::pack(&ends.collect::<Vec<_>>(), &values.concat());
            let owns = Owns::of(&packed);
            for (number, value) in values.iter().enumerate() {
                assert_eq!(owns.get(number), value, "{length}");
            }
            assert_eq!(owns.get(values.len()), b"null", "there is none");
        }
    }

    #[test]
    fn of_nothing_and_of_what_is_cut_off_every_value_is_null() {
        let packed = Owns::pack(&[2, 4], b"1234");
        assert_eq!(Owns::of(&packed).get(1), b"34");
        for length in 0..packed.len() {
            let cut = packed.get(..length).unwrap();
            assert_eq!(Owns::of(cut).get(1), b"null", "{length} bytes");
        }
        assert_eq!(Owns::default().get(0), b"null");
    }
}
