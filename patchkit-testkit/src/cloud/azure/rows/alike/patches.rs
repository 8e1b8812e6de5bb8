//! Which rows of assessments and installations, and of the patches in them, are alike, and their
//! order.

use std::collections::HashMap;

use serde_json::Value;

use super::{EMPTY, Kinds, MOST_NUMBERS};
use crate::cloud::{
    azure::{
        census::Outcomes,
        findings::{Finding, Findings},
        graph::{Alike, BLOCK_COLUMNS, Look, Scan, Table},
        patch_result,
        rows::{Class, Stretch, World},
        tally::Tally,
    },
    world::machine::SubIx,
};

/// Kinds of rows beyond which every row is looked at: there are some for each patch, and many more
/// rows than machines.
const MOST_KINDS: usize = 16_384;

/// What is looked at in the row of a result, as one number below a base.
#[derive(Debug)]
struct Results {
    by_pending: bool,
    /// One where the system is not looked at.
    systems: usize,
}

impl Results {
    const UNREAD: Self = Self { by_pending: false, systems: 1 };

    /// None where a result has more to look at.
    fn of(world: &World, table: Table, looks: &[Look]) -> Option<Self> {
        let is_assessed = table == Table::PatchAssessmentResources;
        let own: &[&str] = if is_assessed { &OF_ASSESSMENTS } else { &OF_INSTALLATIONS };
        let mut results = Self::UNREAD;
        for Look { column, path } in looks {
            match (*column, path.first().map(String::as_str)) {
                ("properties", Some("rebootPending")) if is_assessed => results.by_pending = true,
                ("properties", Some("patchServiceUsed")) if is_assessed => {
                    results.systems = world.state.catalogue.count();
                }
                ("properties", Some("osType")) => results.systems = world.state.catalogue.count(),
                ("properties", Some(member)) if !own.contains(&member) => {}
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

/// What each assessment has of its own. Its status is always the same, and so are its errors.
const OF_ASSESSMENTS: [&str; 5] = [
    "assessmentActivityId",
    "availablePatchCountByClassification",
    "lastModifiedDateTime",
    "startDateTime",
    "startedBy",
];

/// What each installation has of its own.
const OF_INSTALLATIONS: [&str; 14] = [
    "errorDetails",
    "excludedPatchCount",
    "failedPatchCount",
    "installationActivityId",
    "installedPatchCount",
    "lastModifiedDateTime",
    "maintenanceRunId",
    "maintenanceWindowExceeded",
    "notSelectedPatchCount",
    "pendingPatchCount",
    "rebootStatus",
    "startDateTime",
    "startedBy",
    "status",
];

/// Whether rows of one block have the same in a column.
fn is_shared(column: &str) -> bool {
    column == "tags" || EMPTY.contains(&column) || BLOCK_COLUMNS.contains(&column)
}

/// What is looked at in the row of a patch, as one number below a base.
#[derive(Debug)]
struct Patches {
    /// By system and place; none where nothing of the patch is looked at.
    numbers: Option<Vec<Vec<usize>>>,
    /// How many states are told apart.
    states: usize,
    base: usize,
}

impl Patches {
    const UNREAD: Self = Self { numbers: None, states: 1, base: 1 };

    /// None where a row has more to look at.
    fn of(world: &World, table: Table, looks: &[Look]) -> Option<Self> {
        let is_treated = table == Table::PatchInstallationResources;
        let id = [String::from("patchId")];
        let (mut members, mut states): (Vec<&[String]>, _) = (Vec::new(), 1);
        for Look { column, path } in looks {
            match (*column, &**path) {
                ("properties", [first, ..]) if first == "lastModifiedDateTime" => return None,
                ("properties", [first, ..]) if first == "installationState" && is_treated => {
                    states = patch_result::WORDS.len();
                }
                // Of one that was treated there is less than of one that is missing, and nothing else.
                ("properties", [_, ..]) => members.push(path),
                ("name", _) => members.push(&id),
                (column, _) if is_shared(column) => {}
                _ => return None,
            }
        }
        if members.is_empty() {
            return Some(Self { numbers: None, states, base: states });
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
        Some(Self { numbers: Some(numbers), states, base: known.len().max(1) * states })
    }

    /// Whether all rows have one number.
    fn is_unread(&self) -> bool {
        self.base == 1
    }

    fn read(&self, tally: &Tally, row: Finding) -> Option<usize> {
        let number = match &self.numbers {
            Some(numbers) => *numbers.get(tally.system.0 as usize)?.get(row.place as usize)?,
            None => 0,
        };
        let state = if self.states > 1 { usize::from(row.state) } else { 0 };
        Some(number * self.states + state)
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
    /// The rows of results and patches that are alike.
    pub(in super::super) fn alike_patches(&self, scan: Scan<'_>, looks: &[Look]) -> Option<Alike> {
        if Class::of(scan.table).len() < 4 {
            return None;
        }
        let mut any = [false; 2];
        for Stretch { wanted, .. } in self.stretches(scan) {
            any.iter_mut().zip(wanted).for_each(|(any, wanted)| *any |= wanted.is_some());
        }
        let results = if any[0] { Results::of(self, scan.table, looks)? } else { Results::UNREAD };
        let patches = if any[1] { Patches::of(self, scan.table, looks)? } else { Patches::UNREAD };
        let bases = [results.base(), patches.base];
        let blocks = looks.iter().map(|it| it.column).filter(|it| BLOCK_COLUMNS.contains(it));
        let columns: Vec<&'static str> = blocks.collect();
        // What is the same in all rows of a block, with where its numbers begin.
        let mut heads: Vec<((usize, Vec<String>), usize)> = Vec::new();
        let (mut kinds, mut numbers) = (Kinds::new(MOST_KINDS), 0_usize);
        kinds.alike.kinds.reserve(scan.blocks.unwrap_or_default().iter().sum());
        let (oldest, census) = (self.oldest(scan.table), &self.state.azure.census);
        for Stretch { shelf, kind, wanted, places } in self.stretches(scan) {
            let Outcomes { tallies, rows } = census.outcomes(scan.table, shelf.at)?;
            let mut begins = [None; 2];
            for (of_patches, begin) in
                begins.iter_mut().enumerate().filter(|it| wanted[it.0].is_some())
            {
                let class = 2 * kind + of_patches;
                let head = (class, self.block(scan.table, &shelf, class, &columns)?);
                let known = heads.iter().find(|(it, _)| *it == head).map(|(_, begin)| *begin);
                *begin = Some(known.unwrap_or_else(|| {
                    heads.push((head, numbers));
                    numbers = numbers.saturating_add(bases[of_patches]);
                    numbers - bases[of_patches]
                }));
            }
            if numbers > MOST_NUMBERS {
                return None;
            }
            kinds.known.resize(numbers, None);
            let [result, patch] = begins;
            for (place, tally) in places.clone().zip(tallies.starting_at(places.start)) {
                let [count, found] = tally.told_plainly(oldest)?;
                if count == 0 {
                    continue;
                }
                if scan.table == Table::PatchAssessmentResources {
                    // Its row is first, and not in the list.
                    if let Some(begin) = result {
                        kinds.enter(begin + results.read(tally)?)?;
                    }
                    if let Some(begin) = patch.filter(|_| patches.is_unread()) {
                        kinds.enter_all(begin, found)?;
                        continue;
                    }
                }
                for row in rows.get(place) {
                    match (row.is_result(), result, patch) {
                        (true, Some(begin), _) => kinds.enter(begin + results.read(tally)?)?,
                        (false, _, Some(begin)) => {
                            kinds.enter(begin + patches.read(tally, *row)?)?;
                        }
                        _ => {}
                    }
                }
            }
        }
        Some(kinds.alike)
    }

    /// Where the rows of each machine are, by folder and place, and how many there are. None where
    /// some are other than those of their patches on other machines.
    fn spans(&self, scan: Scan<'_>) -> Option<(Vec<Vec<Span>>, u32)> {
        let (oldest, census) = (self.oldest(scan.table), &self.state.azure.census);
        let (mut spans, mut first) = (vec![Vec::new(); self.state.subscriptions.len()], 0_u32);
        for Stretch { shelf, wanted, places, .. } in self.stretches(scan) {
            let tallies = &census.outcomes(scan.table, shelf.at)?.tallies;
            let here = spans.get_mut(usize::from(shelf.at.0))?;
            here.resize(tallies.len(), Span::default());
            let count_of = |of: usize, count: usize| match wanted.get(of) {
                Some(Some(_)) => u32::try_from(count).ok(),
                _ => Some(0),
            };
            let all = tallies.starting_at(places.start);
            for (span, tally) in here.get_mut(places)?.iter_mut().zip(all) {
                let [results, found] = tally.told_plainly(oldest)?;
                let (results, found) = (count_of(0, results)?, count_of(1, found)?);
                *span = Span { first, results, found };
                first = first.checked_add(results)?.checked_add(found)?;
            }
        }
        Some((spans, first))
    }

    /// The rows of results and patches in the order of their ids.
    pub(in super::super) fn patches_sorted(
        &self,
        scan: Scan<'_>,
        column: &str,
    ) -> Option<Vec<u32>> {
        let census = &self.state.azure.census;
        let owners = census.order(&self.state).owners.as_ref().filter(|_| column == "id")?;
        let (spans, rows) = self.spans(scan)?;
        let mut sorted = vec![0; rows as usize];
        let mut left = sorted.as_mut_slice();
        let mut turns: Vec<(u32, u32)> = Vec::new();
        let folders = (0u16..).map(SubIx).take(spans.len());
        let lists: Vec<Option<&Findings>> =
            folders.map(|at| Some(&census.outcomes(scan.table, at)?.rows)).collect();
        for [folder, place] in owners {
            let span = spans.get(*folder).and_then(|it| it.get(*place)).copied();
            let Span { first, results, found } = span.unwrap_or_default();
            if results + found == 0 {
                continue;
            }
            let (own, others) = left.split_at_mut_checked((results + found) as usize)?;
            left = others;
            let rows = lists.get(*folder).copied()??.get(*place);
            if scan.table == Table::PatchAssessmentResources {
                // The id of a result is where those of its patches begin.
                let (result, patches) = own.split_at_mut_checked(results as usize)?;
                result.fill(first);
                let rows = rows.iter().take(found as usize);
                for (number, row) in (first + results..).zip(rows) {
                    *patches.get_mut(row.turn as usize)? = number;
                }
                continue;
            }
            let wanted =
                rows.iter().filter(|it| if it.is_result() { results > 0 } else { found > 0 });
            turns.clear();
            turns.extend(wanted.zip(first..).map(|(row, number)| (row.turn, number)));
            turns.sort_unstable();
            for (place, (_, number)) in own.iter_mut().zip(&turns) {
                *place = *number;
            }
        }
        Some(sorted)
    }

    /// The order of the rows of results and patches by id or name. None where it has more
    /// to look at.
    pub(in super::super) fn patches_in_order(
        &self,
        scan: Scan<'_>,
        column: &'static str,
    ) -> Option<Vec<u32>> {
        let census = &self.state.azure.census;
        if column == "id" {
            let sorted = self.patches_sorted(scan, column)?;
            let mut ranks = vec![0; sorted.len()];
            for (rank, row) in (0..).zip(sorted) {
                *ranks.get_mut(row as usize)? = rank;
            }
            return Some(ranks);
        }
        let order = &census.order(&self.state).patches;
        let (spans, rows) = self.spans(scan)?;
        let mut ranks = Vec::with_capacity(rows as usize);
        for Stretch { shelf, places, .. } in self.stretches(scan) {
            let spans = spans.get(usize::from(shelf.at.0))?;
            let Outcomes { tallies, rows } = census.outcomes(scan.table, shelf.at)?;
            for (place, tally) in places.clone().zip(tallies.starting_at(places.start)) {
                let Span { results, found, .. } = *spans.get(place)?;
                if results > 0 {
                    // A result has the name of its activity.
                    return None;
                }
                if found > 0 {
                    let order = order.get(tally.system.0 as usize)?;
                    for row in rows.get(place).iter().filter(|it| !it.is_result()) {
                        ranks.push(*order.get(row.place as usize)?);
                    }
                }
            }
        }
        Some(ranks)
    }
}
