//! `join`: the right side in memory, the left side streamed.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
};

use super::{
    super::{
        ast::JoinKind,
        eval::Run,
        value::{Cell, Type},
    },
    Rest, Row, Sink,
};

/// The right side, by key.
pub(super) struct Right<'a> {
    rows: Vec<Row<'a>>,
    by_key: HashMap<Vec<u8>, Vec<usize>>,
}

impl<'a> Right<'a> {
    pub(super) fn new(rows: Vec<Row<'a>>, keys: &[usize]) -> Self {
        let mut by_key: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        let mut key = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            if write_key(row, keys, &mut key) {
                by_key.entry(std::mem::take(&mut key)).or_default().push(at);
            }
        }
        Self { rows, by_key }
    }
}

/// Writes a row's key; false if part of it is null, which equals nothing.
pub(super) fn write_key(row: &[Cell<'_>], slots: &[usize], key: &mut Vec<u8>) -> bool {
    key.clear();
    for slot in slots {
        match row.get(*slot) {
            None | Some(Cell::Null) => return false,
            Some(cell) => cell.write_key(key),
        }
    }
    true
}

pub(super) struct Join<'a, 's> {
    kind: JoinKind,
    right: Right<'a>,
    left_keys: &'a [usize],
    widths: &'a [Vec<Type>; 2],
    /// Left keys already met, where only the first row of each counts.
    met: HashSet<Vec<u8>>,
    /// Right rows that found a left one, where the others are wanted too.
    matched: HashSet<usize>,
    key: Vec<u8>,
    run: &'a Run,
    next: Rest<'a, 's>,
}

impl<'a, 's> Join<'a, 's> {
    pub(super) fn new(
        kind: JoinKind,
        right: Right<'a>,
        left_keys: &'a [usize],
        widths: &'a [Vec<Type>; 2],
        run: &'a Run,
        next: Rest<'a, 's>,
    ) -> Self {
        let (met, matched) = (HashSet::new(), HashSet::new());
        Self { kind, right, left_keys, widths, met, matched, key: Vec::new(), run, next }
    }

    fn none(kinds: &[Type]) -> impl Iterator<Item = Cell<'a>> {
        kinds.iter().map(|kind| Cell::none(*kind))
    }
}

impl<'a> Sink<'a> for Join<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        let has_key = write_key(row, self.left_keys, &mut self.key);
        if self.kind == JoinKind::InnerUnique && (!has_key || !self.met.insert(self.key.clone())) {
            return ControlFlow::Continue(());
        }
        let found = if has_key { self.right.by_key.get(&self.key) } else { None };
        if found.is_none() && matches!(self.kind, JoinKind::LeftOuter | JoinKind::FullOuter) {
            row.extend(Self::none(&self.widths[1]));
            return self.next.push(row);
        }
        for at in found.into_iter().flatten() {
            if self.kind == JoinKind::FullOuter {
                self.matched.insert(*at);
            }
            self.run.count_row()?;
            let mut joined = row.clone();
            joined.extend(self.right.rows.get(*at).into_iter().flatten().cloned());
            self.next.push(&mut joined)?;
        }
        ControlFlow::Continue(())
    }

    fn finish(&mut self) {
        if self.kind == JoinKind::FullOuter {
            let matched = &self.matched;
            let rows = self.right.rows.iter().enumerate();
            for (_, right) in rows.filter(|(at, _)| !matched.contains(at)) {
                let mut row: Row<'a> = Self::none(&self.widths[0]).collect();
                row.extend(right.iter().cloned());
                if self.next.push(&mut row).is_break() {
                    break;
                }
            }
        }
        self.next.finish();
    }
}
