//! Lists of patches for each node and, turned, of nodes for each patch: compressed sparse rows.

use std::ops::Range;

use super::plane::Table;

/// The patches of each node, and the nodes of each patch once they are [turned](Self::turn).
#[derive(Debug)]
pub(super) struct Lists {
    nodes: usize,
    patches: usize,
    by_node: Rows,
    /// The nodes of each patch, a block of nodes after the other; empty where they are not turned.
    by_patch: Vec<Rows>,
}

impl Lists {
    pub(super) fn new(nodes: usize, patches: usize, pairs: usize) -> Self {
        Self {
            nodes,
            patches,
            by_node: Rows::with_capacity(nodes, patches, pairs),
            by_patch: Vec::new(),
        }
    }

    pub(super) fn bytes_for(nodes: usize, patches: usize, pairs: usize) -> usize {
        (nodes + 1) * size_of::<u32>() + pairs * Items::width(patches)
    }

    pub(super) fn push(&mut self, patches: impl Iterator<Item = u32>) {
        self.by_node.push(patches);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_node.items.len() == 0
    }

    pub(super) fn row(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.by_node.row(node)
    }

    pub(super) fn bytes(&self) -> usize {
        self.by_node.bytes() + self.by_patch.iter().map(Rows::bytes).sum::<usize>()
    }

    pub(super) fn turn(&mut self) {
        let blocks = (0..self.nodes).step_by(BLOCK);
        self.by_patch = blocks.map(|first| self.turned(first)).collect();
    }

    /// The nodes of each patch in the block that begins at `first`, counted from there.
    fn turned(&self, first: usize) -> Rows {
        let nodes = first..self.nodes.min(first + BLOCK);
        let mut next = vec![0_u32; self.patches + 1];
        for node in nodes.clone() {
            self.row(node).for_each(|patch| next[patch + 1] += 1);
        }
        let mut sum = 0;
        for start in &mut next {
            sum += *start;
            *start = sum;
        }
        let starts = next.clone();
        let mut items = vec![0_u16; sum as usize];
        for (node, number) in nodes.zip(0_u16..) {
            for patch in self.row(node) {
                items[next[patch] as usize] = number;
                next[patch] += 1;
            }
        }
        Rows { starts, items: Items::Narrow(items) }
    }

    /// Adds up on how many of these nodes each patch is.
    pub(super) fn count(&self, nodes: &Range<usize>, counts: &mut [usize]) {
        let bounds =
            self.by_node.starts[nodes.start] as usize..self.by_node.starts[nodes.end] as usize;
        match &self.by_node.items {
            Items::Narrow(items) => {
                items[bounds].iter().for_each(|it| counts[usize::from(*it)] += 1);
            }
            Items::Wide(items) => items[bounds].iter().for_each(|it| counts[*it as usize] += 1),
        }
    }

    pub(super) fn fold<T, F>(&self, nodes: Range<usize>, table: &Table<'_, T, F>, out: &mut [T])
    where
        T: Copy + PartialEq,
        F: Fn(T, T) -> T,
    {
        if self.is_empty() {
            return;
        }
        if self.by_patch.is_empty() || nodes != (0..self.nodes) {
            return self.by_node.gather(nodes, table, out);
        }
        // Patch by patch only those are read of which the table says something, and no branch
        // depends on how many patches a node has.
        for (block, out) in self.by_patch.iter().zip(out.chunks_mut(BLOCK)) {
            block.scatter(table, out);
        }
    }
}

/// So many nodes are turned at once: a value for each of them stays in the nearest cache, and their
/// numbers are of sixteen bits.
const BLOCK: usize = 1 << 14;

/// Numbers in rows of any length.
#[derive(Debug)]
struct Rows {
    starts: Vec<u32>,
    items: Items,
}

impl Rows {
    fn with_capacity(rows: usize, below: usize, items: usize) -> Self {
        let mut starts = Vec::with_capacity(rows + 1);
        starts.push(0);
        Self { starts, items: Items::with_capacity(below, items) }
    }

    fn push(&mut self, row: impl Iterator<Item = u32>) {
        match &mut self.items {
            // All are below the bound that the width was chosen by.
            Items::Narrow(items) => items.extend(row.filter_map(|it| u16::try_from(it).ok())),
            Items::Wide(items) => items.extend(row),
        }
        self.starts.push(u32::try_from(self.items.len()).unwrap_or(u32::MAX));
    }

    fn bounds(&self, row: usize) -> Range<usize> {
        self.starts[row] as usize..self.starts[row + 1] as usize
    }

    fn row(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        let bounds = self.bounds(row);
        let (narrow, wide): (&[u16], &[u32]) = match &self.items {
            Items::Narrow(items) => (&items[bounds], &[]),
            Items::Wide(items) => (&[], &items[bounds]),
        };
        narrow.iter().map(|it| usize::from(*it)).chain(wide.iter().map(|it| *it as usize))
    }

    fn bytes(&self) -> usize {
        self.starts.len() * size_of::<u32>() + self.items.bytes()
    }

    /// Row by row: each row's place in `out` takes what the table says of its items.
    fn gather<T, F>(&self, rows: Range<usize>, table: &Table<'_, T, F>, out: &mut [T])
    where
        T: Copy + PartialEq,
        F: Fn(T, T) -> T,
    {
        for (row, out) in rows.zip(out) {
            for item in self.row(row) {
                *out = (table.merge)(*out, table.values[item]);
            }
        }
    }

    /// Row by row: the places of a row's items in `out` take what the table says of the row.
    fn scatter<T, F>(&self, table: &Table<'_, T, F>, out: &mut [T])
    where
        T: Copy + PartialEq,
        F: Fn(T, T) -> T,
    {
        for (row, value) in table.values.iter().enumerate() {
            if *value == table.idle {
                continue;
            }
            let bounds = self.bounds(row);
            match &self.items {
                Items::Narrow(items) => items[bounds].iter().for_each(|it| {
                    let out = &mut out[usize::from(*it)];
                    *out = (table.merge)(*out, *value);
                }),
                Items::Wide(items) => items[bounds].iter().for_each(|it| {
                    let out = &mut out[*it as usize];
                    *out = (table.merge)(*out, *value);
                }),
            }
        }
    }
}

/// Numbers below a bound, as narrow as it lets them be.
#[derive(Debug)]
enum Items {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

impl Items {
    fn is_narrow(below: usize) -> bool {
        below <= 1 << u16::BITS
    }

    fn width(below: usize) -> usize {
        if Self::is_narrow(below) { size_of::<u16>() } else { size_of::<u32>() }
    }

    fn with_capacity(below: usize, items: usize) -> Self {
        if Self::is_narrow(below) {
            Self::Narrow(Vec::with_capacity(items))
        } else {
            Self::Wide(Vec::with_capacity(items))
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Narrow(items) => items.len(),
            Self::Wide(items) => items.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Narrow(items) => items.len() * size_of::<u16>(),
            Self::Wide(items) => items.len() * size_of::<u32>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_sixteen_bits_are_kept() {
        for patches in [65_536_u32, 65_537] {
            let mut lists = Lists::new(1, patches as usize, 2);
            lists.push([0, patches - 1].into_iter());
            lists.turn();
            let row: Vec<usize> = lists.row(0).collect();
            assert_eq!(row, [0, patches as usize - 1]);
            let mut values = vec![0_u8; patches as usize];
            values[patches as usize - 1] = 1;
            let mut out = [0];
            let table = Table { values: &values, idle: 0, best: 1, merge: u8::max };
            lists.fold(0..1, &table, &mut out);
            assert_eq!(out, [1]);
        }
    }

    #[test]
    fn nodes_beyond_a_block_are_kept() {
        let nodes = 2 * BLOCK + 3;
        let mut lists = Lists::new(nodes, 3, nodes);
        for node in 0..nodes {
            lists.push([u32::try_from(node % 3).unwrap()].into_iter());
        }
        lists.turn();
        let table = Table { values: &[0_u8, 1, 2], idle: 0, best: 2, merge: u8::max };
        let mut out = vec![0; nodes];
        lists.fold(0..nodes, &table, &mut out);
        assert!(out.iter().enumerate().all(|(node, value)| usize::from(*value) == node % 3));
        let mut counts = [0; 3];
        lists.count(&(BLOCK..nodes), &mut counts);
        assert_eq!(counts.iter().sum::<usize>(), BLOCK + 3);
    }
}
