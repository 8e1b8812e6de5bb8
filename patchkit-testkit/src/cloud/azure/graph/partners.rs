//! Which rows of a table have what rows of another one have.

use std::ops::Range;

/// Of each row of a table, those of another one that have its text: neighbours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Partners {
    /// Of each row by itself.
    Each(Vec<Range<u32>>),
    /// Where no row has more than one.
    Singles(Singles),
}

impl Partners {
    /// Of each row by itself.
    pub fn into_each(self) -> Vec<Range<u32>> {
        match self {
            Self::Each(each) => each,
            Self::Singles(singles) => singles.each().collect(),
        }
    }
}

/// The one partner that rows have, or none: a bit for each, and one number for many of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Singles {
    pieces: Vec<Piece>,
    rows: u32,
}

/// Neighbours, and the partners of those that have one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Piece {
    begin: u32,
    marks: Marks,
}

impl Piece {
    fn of(&self, row: u32) -> Option<u32> {
        self.marks.of(usize::try_from(row.checked_sub(self.begin)?).ok()?)
    }
}

/// Which of some neighbours have a number, from the lowest bit on: numbers one after the other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Marks {
    have: u64,
    first: u32,
}

impl Marks {
    /// How many neighbours there are at most.
    pub const MOST: usize = 64;

    /// Neighbours of which some have one, from a first number on.
    pub fn new(have: u64, first: u32) -> Self {
        Self { have, first }
    }

    /// Adds such neighbours at a place, whose first number is behind those of all that are there.
    pub fn add(&mut self, place: usize, have: u64, first: u32) {
        if self.have == 0 {
            self.first = first;
        }
        self.have |= have << place;
    }

    /// The number of the neighbour at a place.
    pub fn of(self, place: usize) -> Option<u32> {
        let has_one = place < Self::MOST && self.have >> place & 1 == 1;
        has_one.then(|| self.before(place))
    }

    /// Those at some places alone.
    #[must_use]
    pub fn among(self, places: Range<usize>) -> Self {
        let have = self.have >> places.start & Self::low(places.len());
        Self { have, first: self.before(places.start) }
    }

    /// So many neighbours of which each has one.
    pub fn low(places: usize) -> u64 {
        if places < Self::MOST { (1 << places) - 1 } else { u64::MAX }
    }

    /// How many numbers are before that of a place, or would be.
    fn before(self, place: usize) -> u32 {
        self.first + (self.have & Self::low(place)).count_ones()
    }
}

impl Singles {
    /// Adds the next rows with their partners: no more rows than there may be neighbours, if any has one.
    pub fn push(&mut self, rows: u32, marks: Marks) {
        self.pieces.push(Piece { begin: self.rows, marks });
        self.rows += rows;
    }

    /// The partners of some rows: found fastest where these are neighbours.
    pub fn of<'s>(&'s self, rows: &'s [u32]) -> impl ExactSizeIterator<Item = Option<u32>> + 's {
        let mut at = 0;
        rows.iter().map(move |row| {
            let begin = |at: usize| self.pieces.get(at).map_or(self.rows, |it| it.begin);
            if !(begin(at)..begin(at + 1)).contains(row) {
                at = self.pieces.partition_point(|it| it.begin <= *row).saturating_sub(1);
            }
            self.pieces.get(at)?.of(*row)
        })
    }

    /// How many bytes they take.
    pub fn size(&self) -> usize {
        size_of_val(self.pieces.as_slice())
    }

    fn each(&self) -> impl Iterator<Item = Range<u32>> {
        let ends = self.pieces.iter().skip(1).map(|it| it.begin).chain([self.rows]);
        self.pieces.iter().zip(ends).flat_map(|(piece, end)| {
            (piece.begin..end).map(|row| piece.of(row).map_or(0..0, |it| it..it + 1))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_row_has_the_partner_that_its_bit_stands_for(
            pieces in prop::collection::vec((0_u32..=64, any::<u64>(), 0_u32..20), 0..8),
            rows in prop::collection::vec(0_u32..600, 0..40),
        ) {
            let (mut singles, mut each, mut next) = (Singles::default(), Vec::new(), 0);
            for (count, bits, gap) in pieces {
                let bits = if count < u64::BITS { bits & ((1 << count) - 1) } else { bits };
                next += gap;
                singles.push(count, Marks::new(bits, next));
                for bit in 0..count {
                    let has_one = bits >> bit & 1 == 1;
                    each.push(if has_one { next..next + 1 } else { 0..0 });
                    next += u32::from(has_one);
                }
                singles.push(gap * 9, Marks::default());
                each.extend(std::iter::repeat_n(0..0, gap as usize * 9));
            }
            let one = |row: &u32| each.get(*row as usize).and_then(|it| it.clone().next());
            prop_assert!(singles.of(&rows).eq(rows.iter().map(one)));
            prop_assert_eq!(Partners::Singles(singles).into_each(), each);
        }
    }
}
