//! Which patches are in one state on which nodes: a bit for each pair, or a list for each node.

use std::ops::Range;

use super::lists::Lists;

/// One state of all patches on all nodes of a cohort, in the form that is smaller.
#[derive(Debug)]
pub(super) enum Plane {
    Bits(Bits),
    Lists(Lists),
}

/// What is told of each patch, and how what is told of several goes together.
#[derive(Clone, Copy)]
pub(super) struct Table<'a, T, F> {
    pub(super) values: &'a [T],
    /// What says nothing: a patch with this value changes no node.
    pub(super) idle: T,
    /// What nothing else adds to.
    pub(super) best: T,
    pub(super) merge: F,
}

impl Plane {
    /// An empty plane for so many pairs in all.
    ///
    /// A dense plane is read as fast as memory goes and has one size; lists are smaller where few
    /// pairs are set, and then faster still.
    pub(super) fn new(nodes: usize, patches: usize, pairs: usize) -> Self {
        if Lists::bytes_for(nodes, patches, pairs) < Bits::bytes_for(nodes, patches) {
            Self::Lists(Lists::new(nodes, patches, pairs))
        } else {
            Self::Bits(Bits::new(nodes, patches))
        }
    }

    /// A plane in which nothing is set.
    pub(super) fn empty(nodes: usize, patches: usize) -> Self {
        let mut plane = Self::new(nodes, patches, 0);
        (0..nodes).for_each(|_| plane.push(std::iter::empty()));
        plane
    }

    /// Adds the next node with its patches, in rising order.
    pub(super) fn push(&mut self, patches: impl Iterator<Item = u32>) {
        match self {
            Self::Bits(bits) => bits.push(patches),
            Self::Lists(lists) => lists.push(patches),
        }
    }

    /// Makes the lists of nodes for each patch, where there are lists at all.
    pub(super) fn turn(&mut self) {
        if let Self::Lists(lists) = self {
            lists.turn();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Bits(bits) => bits.words.iter().all(|word| *word == 0),
            Self::Lists(lists) => lists.is_empty(),
        }
    }

    /// The patches of one node, in rising order.
    pub(super) fn row(&self, node: usize) -> Box<dyn Iterator<Item = usize> + '_> {
        match self {
            Self::Bits(bits) => Box::new(bits.row(node)),
            Self::Lists(lists) => Box::new(lists.row(node)),
        }
    }

    /// Adds up on how many of these nodes each patch is.
    pub(super) fn count(&self, nodes: &Range<usize>, counts: &mut [usize]) {
        match self {
            Self::Bits(bits) => {
                for node in nodes.clone() {
                    bits.row(node).for_each(|patch| counts[patch] += 1);
                }
            }
            Self::Lists(lists) => lists.count(nodes, counts),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Bits(bits) => bits.words.len() * size_of::<u64>(),
            Self::Lists(lists) => lists.bytes(),
        }
    }

    /// Adds to `out`, one value a node of `nodes`, what the table says of the node's patches.
    pub(super) fn fold<T, F>(&self, nodes: Range<usize>, table: &Table<'_, T, F>, out: &mut [T])
    where
        T: Copy + PartialEq,
        F: Fn(T, T) -> T,
    {
        match self {
            Self::Bits(bits) => bits.fold(nodes, table, out),
            Self::Lists(lists) => lists.fold(nodes, table, out),
        }
    }
}

/// A bit for each pair of node and patch; a node's bits are whole words, one after the other.
#[derive(Debug)]
pub(super) struct Bits {
    stride: usize,
    words: Vec<u64>,
}

impl Bits {
    fn new(nodes: usize, patches: usize) -> Self {
        let stride = patches.div_ceil(BITS);
        Self { stride, words: Vec::with_capacity(nodes * stride) }
    }

    fn bytes_for(nodes: usize, patches: usize) -> usize {
        nodes * patches.div_ceil(BITS) * size_of::<u64>()
    }

    fn push(&mut self, patches: impl Iterator<Item = u32>) {
        let start = self.words.len();
        self.words.resize(start + self.stride, 0);
        let words = &mut self.words[start..];
        for patch in patches {
            let patch = patch as usize;
            words[patch / BITS] |= 1 << (patch % BITS);
        }
    }

    fn row(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        let words = &self.words[node * self.stride..(node + 1) * self.stride];
        words
            .iter()
            .enumerate()
            .flat_map(|(at, word)| set_bits(*word).map(move |bit| at * BITS + bit))
    }

    fn fold<T, F>(&self, nodes: Range<usize>, table: &Table<'_, T, F>, out: &mut [T])
    where
        T: Copy + PartialEq,
        F: Fn(T, T) -> T,
    {
        if self.stride == 0 {
            return;
        }
        let mask = self.mask(table);
        let live: Vec<(usize, u64)> =
            mask.iter().copied().enumerate().filter(|(_, word)| *word != 0).collect();
        if live.is_empty() {
            return;
        }
        let rows = self.words[nodes.start * self.stride..nodes.end * self.stride]
            .chunks_exact(self.stride);
        for (row, out) in rows.zip(out) {
            // A mask of a few words is quicker to follow than to lay over the whole row.
            let any = if live.len() * FEW <= self.stride {
                live.iter().any(|(at, word)| row[*at] & word != 0)
            } else {
                // Without an early end, so that the compiler makes wide operations of it.
                row.iter().zip(&mask).fold(0, |any, (row, mask)| any | (row & mask)) != 0
            };
            if any {
                *out = merged(row, &live, table, *out);
            }
        }
    }

    /// The patches of which the table says something.
    fn mask<T: Copy + PartialEq, F>(&self, table: &Table<'_, T, F>) -> Vec<u64> {
        let mut mask = vec![0_u64; self.stride];
        for (patch, value) in table.values.iter().enumerate() {
            if *value != table.idle {
                mask[patch / BITS] |= 1 << (patch % BITS);
            }
        }
        mask
    }
}

fn merged<T, F>(row: &[u64], live: &[(usize, u64)], table: &Table<'_, T, F>, start: T) -> T
where
    T: Copy + PartialEq,
    F: Fn(T, T) -> T,
{
    let mut value = start;
    for (at, mask) in live {
        for bit in set_bits(row[*at] & mask) {
            value = (table.merge)(value, table.values[at * BITS + bit]);
            // Nothing that comes can add to this.
            if (table.merge)(value, table.best) == value {
                return value;
            }
        }
    }
    value
}

/// The places of the bits that are set, lowest first.
fn set_bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        let bit = word.trailing_zeros() as usize;
        word &= word - 1;
        Some(bit)
    })
}

const BITS: usize = u64::BITS as usize;

/// How many words of a row are read in the time that it takes to follow one place of a list.
const FEW: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    fn planes(nodes: &[Vec<u32>], patches: usize) -> [Plane; 3] {
        let pairs = nodes.iter().map(Vec::len).sum();
        let mut planes = [
            Plane::Bits(Bits::new(nodes.len(), patches)),
            Plane::Lists(Lists::new(nodes.len(), patches, pairs)),
            Plane::Lists(Lists::new(nodes.len(), patches, pairs)),
        ];
        for plane in &mut planes {
            for node in nodes {
                plane.push(node.iter().copied());
            }
        }
        planes[2].turn();
        planes
    }

    #[test]
    fn the_smaller_form_is_taken() {
        // 4.1 missing patches a node of 2,000, and 200 installed ones.
        assert!(matches!(Plane::new(100_000, 2_000, 410_000), Plane::Lists(_)));
        assert!(matches!(Plane::new(100_000, 2_000, 20_000_000), Plane::Bits(_)));
        assert_eq!(Bits::bytes_for(100_000, 2_000), 25_600_000);
        assert!(Lists::bytes_for(100_000, 2_000, 410_000) < 1_300_000);
    }

    proptest! {
        #[test]
        fn all_forms_say_the_same(
            nodes in prop::collection::vec(btree_set(0_u32..200, 0..30), 0..20),
            values in prop::collection::vec(0_u8..4, 200),
            cut in 0_usize..20,
        ) {
            let nodes: Vec<Vec<u32>> =
                nodes.into_iter().map(|node| node.into_iter().collect()).collect();
            let from = cut.min(nodes.len());
            let table = Table { values: &values, idle: 0, best: 3, merge: u8::max };
            let highest = |node: &Vec<u32>| {
                node.iter().map(|patch| values[*patch as usize]).max().unwrap_or(0)
            };
            for plane in planes(&nodes, 200) {
                for range in [0..nodes.len(), from..nodes.len()] {
                    let mut out = vec![0; range.len()];
                    plane.fold(range.clone(), &table, &mut out);
                    let expected: Vec<u8> = nodes[range.clone()].iter().map(highest).collect();
                    prop_assert_eq!(out, expected);
                    let mut counts = vec![0; 200];
                    plane.count(&range, &mut counts);
                    let pairs: usize = nodes[range.clone()].iter().map(Vec::len).sum();
                    prop_assert_eq!(counts.iter().sum::<usize>(), pairs);
                }
                for (at, node) in nodes.iter().enumerate() {
                    let row: Vec<u32> = plane.row(at).map(|it| u32::try_from(it).unwrap()).collect();
                    prop_assert_eq!(&row, node);
                }
                prop_assert_eq!(plane.is_empty(), nodes.iter().all(Vec::is_empty));
            }
        }
    }
}
