//! Questions that are answered on the numbers of texts: a text is looked at once in a part, however
//! many rows have it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::future::try_join_all;
use patchkit_core::{NodeId, Result, Scope};

use super::{
    Held, LakeSnapshot,
    part::{Codes, Column, Part},
};
use crate::{
    InventoryType, LakeReading,
    scan::{cores, on_thread},
};

/// How many rows share an account, a Region and the texts of some fields.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct RowCount {
    /// The account and the Region.
    pub scope: Scope,
    /// The texts, in the order the fields were given in; `None` where a row has none.
    pub values: Vec<Option<String>>,
    /// How many rows.
    pub rows: u64,
}

impl LakeSnapshot {
    /// Counts the rows of a type by account, Region and the texts of some documented fields.
    ///
    /// # Behavior
    /// - Field names are matched without regard to case. Of one that is not documented no row has a
    ///   text here.
    ///
    /// # Example
    /// How many nodes have which status, as the compliance summaries alone say it:
    /// ```
    /// use patchkit_inventory::{InventoryType, LakeSnapshot};
    ///
    /// fn by_status(snapshot: &LakeSnapshot) -> Vec<(String, u64)> {
    ///     let fields = ["ComplianceType", "Status"];
    ///     let counts = snapshot.count_rows(&InventoryType::ComplianceSummary, &fields);
    ///     let patches = counts.into_iter().filter(|it| it.values[0].as_deref() == Some("Patch"));
    ///     patches.map(|it| (format!("{} {:?}", it.scope, it.values[1]), it.rows)).collect()
    /// }
    /// ```
    pub fn count_rows(&self, ty: &InventoryType, fields: &[&str]) -> Vec<RowCount> {
        let mut counts: BTreeMap<(Scope, Vec<Option<String>>), u64> = BTreeMap::new();
        for held in self.held_of(ty) {
            let columns: Vec<_> = fields
                .iter()
                .map(|name| ty.attribute(name).and_then(|it| held.part.column(it.name)))
                .collect();
            let mut by_code: HashMap<(&Scope, Vec<Option<usize>>), u64> = HashMap::new();
            let mut codes = Vec::with_capacity(columns.len());
            for (at, object) in held.objects() {
                let scope = object.key.node().scope();
                for row in held.part.range(at) {
                    codes.clear();
                    codes.extend(columns.iter().map(|it| it.and_then(|it| it.code(row))));
                    // Nearly every row has codes that are known by then.
                    let key = (scope, std::mem::take(&mut codes));
                    match by_code.get_mut(&key) {
                        Some(count) => {
                            *count += 1;
                            codes = key.1;
                        }
                        None => drop(by_code.insert(key, 1)),
                    }
                }
            }
            for ((scope, codes), rows) in by_code {
                let text = |(column, code): (Option<&Column>, Option<usize>)| {
                    Some(column?.texts.value(code?).to_owned())
                };
                let values = columns.iter().copied().zip(codes).map(text).collect();
                *counts.entry((scope.clone(), values)).or_default() += rows;
            }
        }
        let count = |((scope, values), rows)| RowCount { scope, values, rows };
        counts.into_iter().map(count).collect()
    }

    fn held_of(&self, ty: &InventoryType) -> impl Iterator<Item = &Held> {
        self.0.held.iter().filter(move |held| held.part.ty == *ty)
    }

    /// Has the parts that hold applications shown on all cores; `show` is given each worker's share.
    pub(crate) async fn applications(
        &self,
        show: impl Fn(&Share<'_>) + Clone + Send + 'static,
    ) -> Result<LakeReading> {
        let next = Arc::new(AtomicUsize::new(0));
        let work: Vec<_> = (0..cores())
            .map(|_| {
                let (snapshot, next, show) = (self.clone(), Arc::clone(&next), show.clone());
                let work = async move { show(&Share { snapshot: &snapshot, next: &next }) };
                on_thread("snapshot-apps", work)
            })
            .collect();
        try_join_all(work).await?;
        Ok(self.reading_of(Some(&BTreeSet::from([InventoryType::Application])), None))
    }
}

/// What one worker takes of the applications: a part at a time.
pub(crate) struct Share<'a> {
    snapshot: &'a LakeSnapshot,
    next: &'a AtomicUsize,
}

impl<'a> Share<'a> {
    /// Shows the applications whose name is taken, of the nodes that `node` gives something for.
    pub(crate) fn show<N: Copy>(
        &self,
        takes: impl Fn(&str) -> bool,
        node: impl Fn(&NodeId) -> Option<N>,
        each: impl Fn(N, &Cells<'a>),
    ) {
        let mut parts = self.snapshot.held_of(&InventoryType::Application);
        let mut at = 0;
        loop {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(held) = parts.nth(next - at) else { return };
            at = next + 1;
            let Some(name) = held.part.column("Name") else { continue };
            let taken: Vec<bool> = name.texts.iter().map(|it| it.is_some_and(&takes)).collect();
            if !taken.contains(&true) {
                continue;
            }
            let cells = Cells::of(&held.part);
            for (at, object) in held.objects() {
                let mut hits = hits(name, &taken, held.part.range(at)).peekable();
                if hits.peek().is_none() {
                    continue;
                }
                let Some(node) = node(object.key.node()) else { continue };
                for row in hits {
                    each(node, &Cells { row, ..cells });
                }
            }
        }
    }
}

/// One application, as the numbers of its texts.
#[derive(Clone, Copy)]
pub(crate) struct Cells<'a> {
    row: usize,
    columns: [Option<&'a Column>; COLUMNS.len()],
}

/// What is shown of an application.
const COLUMNS: [&str; 7] =
    ["Name", "Version", "Release", "Epoch", "Architecture", "ApplicationType", "Publisher"];

impl<'a> Cells<'a> {
    fn of(part: &'a Part) -> Self {
        Self { row: 0, columns: COLUMNS.map(|name| part.column(name)) }
    }

    /// The texts, in the order of what is shown of an application.
    pub(crate) fn texts(&self) -> [Option<&'a str>; COLUMNS.len()] {
        self.columns.map(|column| column.and_then(|column| column.text(self.row)))
    }
}

/// The rows of a range whose text is taken.
fn hits<'a>(
    column: &'a Column,
    taken: &'a [bool],
    rows: std::ops::Range<usize>,
) -> Box<dyn Iterator<Item = usize> + 'a> {
    fn found<'a, C: Copy>(
        codes: &'a [C],
        rows: std::ops::Range<usize>,
        is_taken: impl Fn(C) -> bool + 'a,
    ) -> impl Iterator<Item = usize> + 'a {
        let first = rows.start;
        let rows = codes[rows].iter().enumerate();
        rows.filter(move |(_, code)| is_taken(**code)).map(move |(at, _)| first + at)
    }
    let is_taken = |code: usize| taken.get(code).copied().unwrap_or_default();
    // The number of a row without a text is anything.
    let has_text = move |row: &usize| column.code(*row).is_some();
    match &column.codes {
        Codes::Narrow(codes) => {
            let found = found(codes.values(), rows, move |code| is_taken(usize::from(code)));
            Box::new(found.filter(has_text))
        }
        Codes::Wide(codes) => {
            let found = found(codes.values(), rows, move |code| is_taken(code as usize));
            Box::new(found.filter(has_text))
        }
    }
}
