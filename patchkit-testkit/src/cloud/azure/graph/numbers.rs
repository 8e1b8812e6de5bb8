//! The numbers of rows, in the order of an answer.

use std::ops::Range;

/// Numbers of rows in an order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Numbers {
    /// Each by itself.
    Each(Vec<u32>),
    /// Runs of rows that are neighbours in the table, too: they take no memory each.
    Runs(Vec<Range<u32>>),
}

impl Numbers {
    /// The first rows of a table, so many, in its order.
    pub fn first(count: usize) -> Self {
        std::iter::once(0..u32::try_from(count).unwrap_or(u32::MAX)).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Each(rows) => rows.len(),
            Self::Runs(runs) => runs.iter().map(ExactSizeIterator::len).sum(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes they take.
    pub fn size(&self) -> usize {
        match self {
            Self::Each(rows) => size_of_val(rows.as_slice()),
            Self::Runs(runs) => size_of_val(runs.as_slice()),
        }
    }

    /// Keeps no more than the first of them, so many, and no more memory than they take.
    #[must_use]
    pub fn truncated(self, most: usize) -> Self {
        match self {
            Self::Each(mut rows) => {
                rows.truncate(most);
                rows.shrink_to_fit();
                Self::Each(rows)
            }
            Self::Runs(runs) => Self::Runs(pieces(&runs, 0..most).collect()),
        }
    }

    /// The other way round.
    #[must_use]
    pub fn reversed(self) -> Self {
        let mut each = self.into_each();
        each.reverse();
        Self::Each(each)
    }

    /// Those at some places of the order.
    pub fn at(&self, places: Range<usize>) -> Vec<u32> {
        match self {
            Self::Each(rows) => {
                let end = places.end.min(rows.len());
                rows.get(places.start..end).unwrap_or_default().to_vec()
            }
            Self::Runs(runs) => pieces(runs, places).flatten().collect(),
        }
    }

    /// All of them.
    pub fn into_each(self) -> Vec<u32> {
        match self {
            Self::Each(rows) => rows,
            Self::Runs(runs) => runs.into_iter().flatten().collect(),
        }
    }
}

/// What of runs is at some places of all that is in them.
fn pieces(runs: &[Range<u32>], places: Range<usize>) -> impl Iterator<Item = Range<u32>> {
    let mut begin = 0;
    let pieces = runs.iter().map(move |run| {
        let own = begin..begin + run.len();
        begin = own.end;
        let within = |place: usize| place.clamp(own.start, own.end) - own.start;
        let at = |place: usize| run.start.saturating_add(u32::try_from(place).unwrap_or(u32::MAX));
        at(within(places.start))..at(within(places.end))
    });
    pieces.filter(|it| !it.is_empty())
}

/// Runs that may be neighbours of each other.
impl FromIterator<Range<u32>> for Numbers {
    fn from_iter<T: IntoIterator<Item = Range<u32>>>(pieces: T) -> Self {
        let mut runs: Vec<Range<u32>> = Vec::new();
        for piece in pieces {
            match runs.last_mut() {
                _ if piece.is_empty() => {}
                Some(last) if last.end == piece.start => last.end = piece.end,
                _ => runs.push(piece),
            }
        }
        Self::Runs(runs)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_what_each_of_their_rows_is(
            pieces in prop::collection::vec((0_u32..50, 0_u32..7), 0..12),
            (from, count) in (0_usize..70, 0_usize..70),
        ) {
            let pieces = || pieces.iter().map(|(first, rows)| *first..first + rows);
            let each: Vec<u32> = pieces().flatten().collect();
            let runs: Numbers = pieces().collect();
            let alone = Numbers::Each(each.clone());
            prop_assert_eq!(runs.len(), each.len());
            prop_assert_eq!(runs.at(from..from + count), alone.at(from..from + count));
            prop_assert_eq!(runs.clone().truncated(count).into_each(), alone.truncated(count).into_each());
            prop_assert_eq!(runs.into_each(), each);
        }
    }
}
