//! Which rows of assessments, and of the patches that they found, are alike, and their order.

use std::{collections::HashMap, iter::zip};

use serde_json::Value;

use super::{EMPTY, Kinds, MOST_NUMBERS};
use crate::cloud::azure::{
    census::Tally,
    graph::{Alike, BLOCK_COLUMNS, Look, Scan, Table},
    rows::{Choice, World},
};

/// Kinds of rows beyond which every row is looked at: there are some for each patch, and many more
/// rows than machines.
const MOST_KINDS: usize = 16_384;

/// What is looked at in the row of an assessment, as one number below a base.
#[derive(Debug)]
struct Results {
    by_pending: bool,
    /// One where the system is not looked at.
    systems: usize,
}

impl Results {
    /// None where an assessment has more to look at.
    fn of(world: &World, looks: &[Look]) -> Option<Self> {
        let mut results = Self { by_pending: false, systems: 1 };
        for Look { column, path } in looks {
            match (*column, path.first().map(String::as_str)) {
                ("properties", Some("rebootPending")) => results.by_pending = true,
                ("properties", Some("patchServiceUsed" | "osType")) => {
                    results.systems = world.state.catalogue.count();
                }
                ("properties", Some("status" | "errorDetails")) => {}
                ("properties", Some(member)) if !OF_RESULTS.contains(&member) => {}
                (column, _) if is_shared(column) => {}
                _ => return None,
            }
        }
        Some(results)
    }

    fn base(&self) -> usize {
        2 * self.systems
    }

    fn read(&self, tally: &Tally) -> Option<usize> {
        let system = if self.systems > 1 { tally.system.0 as usize } else { 0 };
        let pending = usize::from(self.by_pending && tally.reboot_pending);
        (system < self.systems).then_some(2 * system + pending)
    }
}

/// What each assessment has of its own.
const OF_RESULTS: [&str; 5] = [
    "assessmentActivityId",
    "availablePatchCountByClassification",
    "lastModifiedDateTime",
    "startDateTime",
    "startedBy",
];

/// Whether rows of one block have the same in a column.
fn is_shared(column: &str) -> bool {
    column == "tags" || EMPTY.contains(&column) || BLOCK_COLUMNS.contains(&column)
}

/// What is looked at in the row of a missing patch, as one number below a base.
#[derive(Debug)]
struct Patches {
    /// By system and place; none where nothing is looked at.
    numbers: Option<Vec<Vec<usize>>>,
    base: usize,
}

impl Patches {
    /// None where a row has more to look at.
    fn of(world: &World, looks: &[Look]) -> Option<Self> {
        let id = [String::from("patchId")];
        let mut members: Vec<&[String]> = Vec::new();
        for Look { column, path } in looks {
            match (*column, &**path) {
                ("properties", [first, ..]) if first != "lastModifiedDateTime" => {
                    members.push(path)
                }
                ("name", _) => members.push(&id),
                (column, _) if is_shared(column) => {}
                _ => return None,
            }
        }
        if members.is_empty() {
            return Some(Self { numbers: None, base: 1 });
        }
        let mut known: HashMap<Vec<Option<&Value>>, usize> = HashMap::new();
        let at = |document, path: &[String]| {
            path.iter().try_fold(document, |value: &Value, key| value.get(key))
        };
        let numbers = world.state.azure.census.prints().systems().map(|prints| {
            let numbers = prints.iter().map(|print| {
                let document = print.missing().timeless();
                let values = members.iter().map(|path| at(document, path)).collect();
                let next = known.len();
                *known.entry(values).or_insert(next)
            });
            numbers.collect()
        });
        let numbers: Vec<Vec<usize>> = numbers.collect();
        Some(Self { numbers: Some(numbers), base: known.len() })
    }
}

/// Where the rows of a machine begin among all, and how many it has of each class.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    first: u32,
    results: u32,
    found: u32,
}

impl World {
    /// The rows of assessments and missing patches that are alike.
    pub(in super::super) fn alike_patches(&self, scan: Scan<'_>, looks: &[Look]) -> Option<Alike> {
        if scan.table != Table::PatchAssessmentResources {
            return None;
        }
        let choice = Choice::of(scan);
        let mut any = [false; 2];
        for shelf in self.here(scan.hints, scan.table) {
            for number in 0..shelf.folder.groups.len() {
                let [vm, vm_patches, arc, arc_patches] =
                    self.wanted_of_patches(&choice, &shelf, number);
                any = [any[0] || vm || arc, any[1] || vm_patches || arc_patches];
            }
        }
        let unread = Results { by_pending: false, systems: 1 };
        let results = if any[0] { Results::of(self, looks)? } else { unread };
        let unread = Patches { numbers: None, base: 1 };
        let patches = if any[1] { Patches::of(self, looks)? } else { unread };
        let bases = [results.base(), patches.base];
        let blocks = looks.iter().map(|it| it.column).filter(|it| BLOCK_COLUMNS.contains(it));
        let columns: Vec<&'static str> = blocks.collect();
        // What is the same in all rows of a block, with where its numbers begin.
        let mut heads: Vec<((usize, Vec<String>), usize)> = Vec::new();
        let (mut kinds, mut numbers) = (Kinds::new(MOST_KINDS), 0_usize);
        let oldest = self.oldest(scan.table);
        for shelf in self.here(scan.hints, scan.table) {
            let tallies = self.state.azure.census.tallies(shelf.at)?;
            let findings = self.state.azure.census.findings(shelf.at)?;
            for (number, group) in shelf.folder.groups.iter().enumerate() {
                let wanted = self.wanted_of_patches(&choice, &shelf, number);
                if !wanted.contains(&true) || group.start == group.end {
                    continue;
                }
                let mut begins = [None; 6];
                for (class, begin) in zip(0..4, &mut begins).filter(|it| wanted[it.0]) {
                    let head = self.block(scan.table, &shelf, *group, class, &columns)?;
                    let head = (class, head);
                    let known = heads.iter().find(|(it, _)| *it == head).map(|(_, begin)| *begin);
                    *begin = Some(known.unwrap_or_else(|| {
                        heads.push((head, numbers));
                        numbers = numbers.saturating_add(bases[class % 2]);
                        numbers - bases[class % 2]
                    }));
                }
                if numbers > MOST_NUMBERS {
                    return None;
                }
                kinds.known.resize(numbers, None);
                let of_group = shelf.folder.kinds.get(group.start..group.end)?.iter();
                let of_group = of_group.zip(tallies.starting_at(group.start));
                for (place, (kind, tally)) in (group.start..).zip(of_group) {
                    let class = *kind as usize * 2;
                    let (result, patch) = (begins[class], begins[class + 1]);
                    let [count, found] = self.counts(scan.table, tally, || None, oldest);
                    if count == 0 {
                        continue;
                    }
                    if let Some(begin) = result {
                        kinds.enter(begin + results.read(tally)?)?;
                    }
                    let Some(begin) = patch.filter(|_| found > 0) else { continue };
                    if tally.is_odd {
                        return None;
                    }
                    let Some(numbers) = &patches.numbers else {
                        kinds.enter_all(begin, found)?;
                        continue;
                    };
                    let numbers = numbers.get(tally.system.0 as usize)?;
                    for finding in findings.get(place) {
                        kinds.enter(begin + numbers.get(finding.place as usize)?)?;
                    }
                }
            }
        }
        Some(kinds.alike)
    }

    /// Where the rows of each machine are, by folder and place, and how many there are. None where
    /// some are other than those of their patches on other machines.
    fn spans(&self, scan: Scan<'_>) -> Option<(Vec<Vec<Span>>, u32)> {
        let (choice, oldest) = (Choice::of(scan), self.oldest(scan.table));
        let mut spans = vec![Vec::new(); self.state.subscriptions.len()];
        let mut first = 0_u32;
        for shelf in self.here(scan.hints, scan.table) {
            let tallies = self.state.azure.census.tallies(shelf.at)?;
            let here = spans.get_mut(usize::from(shelf.at.0))?;
            here.resize(tallies.len(), Span::default());
            for (number, group) in shelf.folder.groups.iter().enumerate() {
                let wanted = self.wanted_of_patches(&choice, &shelf, number);
                if !wanted.contains(&true) || group.start == group.end {
                    continue;
                }
                let of_group = shelf.folder.kinds.get(group.start..group.end)?.iter();
                let of_group = of_group.zip(tallies.starting_at(group.start));
                let here = here.get_mut(group.start..group.end)?;
                for (span, (kind, tally)) in here.iter_mut().zip(of_group) {
                    let class = *kind as usize * 2;
                    let is_wanted = |class: usize| wanted.get(class) == Some(&true);
                    let [count, found] = self.counts(scan.table, tally, || None, oldest);
                    let results = if is_wanted(class) { u32::try_from(count).ok()? } else { 0 };
                    let found = if is_wanted(class + 1) { u32::try_from(found).ok()? } else { 0 };
                    if found > 0 && tally.is_odd {
                        return None;
                    }
                    *span = Span { first, results, found };
                    first = first.checked_add(results)?.checked_add(found)?;
                }
            }
        }
        Some((spans, first))
    }

    /// The rows of assessments and missing patches in the order of their ids.
    pub(in super::super) fn patches_sorted(
        &self,
        scan: Scan<'_>,
        column: &str,
    ) -> Option<Vec<u32>> {
        if scan.table != Table::PatchAssessmentResources || column != "id" {
            return None;
        }
        let census = &self.state.azure.census;
        let owners = census.order(&self.state).owners.as_ref()?;
        let (spans, rows) = self.spans(scan)?;
        let mut sorted = vec![0; rows as usize];
        let mut left = sorted.as_mut_slice();
        for [folder, place] in owners {
            let span = spans.get(*folder).and_then(|it| it.get(*place)).copied();
            let Span { first, results, found } = span.unwrap_or_default();
            let (own, others) = left.split_at_mut_checked((results + found) as usize)?;
            left = others;
            let (result, patches) = own.split_at_mut_checked(results as usize)?;
            // The id of a result is where those of its patches begin.
            result.fill(first);
            if found > 0 {
                let findings = census.findings.get(*folder)?.get(*place);
                for (row, finding) in (first + results..).zip(findings) {
                    *patches.get_mut(finding.turn as usize)? = row;
                }
            }
        }
        Some(sorted)
    }

    /// The order of the rows of assessments and missing patches by id or name. None where it has more
    /// to look at.
    pub(in super::super) fn patches_in_order(
        &self,
        scan: Scan<'_>,
        column: &'static str,
    ) -> Option<Vec<u32>> {
        if scan.table != Table::PatchAssessmentResources {
            return None;
        }
        if column == "id" {
            let sorted = self.patches_sorted(scan, column)?;
            let mut ranks = vec![0; sorted.len()];
            for (rank, row) in (0..).zip(sorted) {
                *ranks.get_mut(row as usize)? = rank;
            }
            return Some(ranks);
        }
        let census = &self.state.azure.census;
        let order = &census.order(&self.state).patches;
        let (spans, rows) = self.spans(scan)?;
        let mut ranks = Vec::with_capacity(rows as usize);
        for shelf in self.here(scan.hints, scan.table) {
            let spans = spans.get(usize::from(shelf.at.0))?;
            let findings = census.findings(shelf.at)?;
            for (place, tally) in (0..).zip(census.tallies(shelf.at)?.starting_at(0)) {
                let Span { results, found, .. } = *spans.get(place)?;
                if results > 0 {
                    // An assessment has the name of its activity.
                    return None;
                }
                if found > 0 {
                    let order = order.get(tally.system.0 as usize)?;
                    for finding in findings.get(place) {
                        ranks.push(*order.get(finding.place as usize)?);
                    }
                }
            }
        }
        Some(ranks)
    }
}
