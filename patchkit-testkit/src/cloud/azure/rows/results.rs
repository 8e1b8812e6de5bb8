//! Which rows a scan gives of the tables of patches.

use std::{ops::ControlFlow, sync::OnceLock};

use super::{
    ASSESSMENTS, Choice, Class, Each, INSTALLATIONS, Shelf, World, lines,
    machine::MachineRow,
    patch::{Outcome, PatchRow, ResultRow, What},
};
use crate::cloud::{
    azure::{
        census::Tally,
        facets::nanoseconds,
        findings::Finding,
        graph::{Scan, Table},
        patch_result, side,
    },
    world::{clock::earlier, machine::MachineIx},
};

/// Machines that are looked at before rows about them are made.
const AHEAD: usize = 16;

/// A machine of which rows are picked.
struct Picked<'a> {
    at: MachineIx,
    /// The class of its results, and those of the rows that are wanted.
    class: &'static Class,
    wanted: [Option<&'static Class>; 2],
    found: &'a [Finding],
    /// Where the numbers of its rows end in the list of all.
    end: usize,
}

impl World {
    /// When the oldest began or ended that is still told, as the census compares times.
    pub(super) fn oldest(&self, table: Table) -> i64 {
        let kept = match table {
            Table::PatchInstallationResources => INSTALLATIONS,
            _ => ASSESSMENTS,
        };
        nanoseconds(earlier(self.state.now, kept))
    }

    /// How many rows of each class a machine has.
    pub(super) fn counts(
        &self,
        table: Table,
        tally: &Tally,
        at: impl FnOnce() -> Option<MachineIx>,
        oldest: i64,
    ) -> [usize; 2] {
        let wide = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        match table {
            Table::PatchAssessmentResources if tally.assessed.is_some_and(|it| it >= oldest) => {
                [1, wide(tally.missing)]
            }
            Table::PatchInstallationResources if tally.first.is_some_and(|it| it >= oldest) => {
                [wide(tally.installations), wide(tally.treated)]
            }
            // The first of its installations is too old: the others are to be looked at.
            Table::PatchInstallationResources if tally.first.is_some() => {
                let azure = at().and_then(|at| side(&self.state, at).ok());
                let all = azure.map_or(&[][..], |it| &it.installations);
                let kept = all.iter().filter(|it| nanoseconds(it.started) >= oldest);
                let patches = kept.clone().flat_map(patch_result::states);
                [kept.count(), patches.map(|(_, places)| places.count_ones(..)).sum()]
            }
            _ => [0, 0],
        }
    }

    /// Which classes of results and patches are wanted of a resource group.
    pub(super) fn wanted_of_patches(
        &self,
        choice: &Choice<'_>,
        shelf: &Shelf<'_>,
        group: usize,
    ) -> [bool; 4] {
        [0, 1, 2, 3].map(|class| {
            choice.wants(shelf, group, class)
                && choice.classes.get(class).is_some_and(|it| self.shows(shelf.at, it.name))
        })
    }

    /// The rows of what was found and done on machines.
    pub(super) fn patches<'a>(
        &'a self,
        choice: &mut Choice<'a>,
        each: Each<'_, 'a>,
    ) -> ControlFlow<()> {
        let (scan, census) = (choice.scan, &self.state.azure.census);
        let (oldest, few) = (self.oldest(scan.table), self.few(scan.table, scan.hints));
        let (mut next, mut numbers) = (Vec::with_capacity(AHEAD), Vec::new());
        for shelf in self.here(scan.hints, scan.table) {
            let machines = &self.state.subscription(shelf.at).machines;
            let (Some(tallies), Some(findings)) =
                (census.tallies(shelf.at), census.findings(shelf.at))
            else {
                continue;
            };
            for (number, group) in shelf.folder.groups.iter().enumerate() {
                let wanted = self.wanted_of_patches(choice, &shelf, number);
                if !wanted.contains(&true) || choice.skips_group(&shelf, number) {
                    continue;
                }
                let group = few.as_ref().map_or(*group, |few| few.of_group(shelf.at, *group));
                let places = (group.start..group.end).zip(tallies.starting_at(group.start));
                for (place, tally) in places {
                    let Some(kind) = shelf.folder.kinds.get(place) else { continue };
                    let Some(at) = machines.get(place) else { continue };
                    let first = *kind as usize * 2;
                    let wanted = [first, first + 1]
                        .map(|it| choice.classes.get(it).filter(|_| wanted.get(it) == Some(&true)));
                    let [results, patches] = self.counts(scan.table, tally, || Some(*at), oldest);
                    let rows = wanted[0].map_or(0, |_| results) + wanted[1].map_or(0, |_| patches);
                    if rows == 0 || choice.skips(rows) {
                        continue;
                    }
                    let Some(class) = choice.classes.get(first) else { continue };
                    numbers.extend((0..rows).filter(|_| choice.takes()));
                    let (found, end) = (findings.get(place), numbers.len());
                    next.push(Picked { at: *at, class, wanted, found, end });
                    if next.len() == AHEAD || choice.is_done() {
                        self.give_all(scan, &mut next, &mut numbers, each)?;
                    }
                    if choice.is_done() {
                        return ControlFlow::Break(());
                    }
                }
            }
        }
        self.give_all(scan, &mut next, &mut numbers, each)
    }

    /// Makes the rows of machines, by their numbers among the wanted ones of each.
    fn give_all<'a>(
        &'a self,
        scan: Scan<'_>,
        next: &mut Vec<Picked<'a>>,
        numbers: &mut Vec<usize>,
        each: Each<'_, 'a>,
    ) -> ControlFlow<()> {
        self.look_ahead_at_results(next, scan);
        let oldest = self.oldest(scan.table);
        let mut begin = 0;
        for Picked { at, class, wanted, found, end } in next.drain(..) {
            let own = numbers.get(begin..end).unwrap_or_default();
            begin = end;
            let Ok(azure) = side(&self.state, at) else { continue };
            let row = self.row(at, azure, class);
            if scan.table == Table::PatchAssessmentResources {
                assessment(row, found, wanted, own, each)?;
            } else {
                installations(row, oldest, wanted, own, each)?;
            }
        }
        numbers.clear();
        ControlFlow::Continue(())
    }

    /// Reads a little of what the next rows show. Each row by itself waits for memory several times; a
    /// short loop over many has all that they wait for on its way at once.
    fn look_ahead_at_results(&self, next: &[Picked<'_>], scan: Scan<'_>) {
        let shows_properties = scan.shown.contains(&"properties");
        let seen = next.iter().fold(0, |seen: u8, picked| {
            let machine = self.state.machine(picked.at);
            let azure = machine.azure.as_ref();
            let name = azure.and_then(|it| it.name.as_bytes().first());
            let ended = azure.and_then(|it| it.assessment.as_ref()).map(|it| it.ended.as_second());
            let written = |it: &OnceLock<String>| it.get().map_or(0, |text| lines(text));
            let shows_result = shows_properties && picked.wanted[0].is_some();
            let shown = if shows_result { written(&machine.shown.assessment) } else { 0 };
            seen ^ name.copied().unwrap_or(0) ^ u8::from(ended == Some(0)) ^ shown
        });
        std::hint::black_box(seen);
    }
}

/// Rows of a machine's assessment, by their numbers: that of the result, and those of patches.
fn assessment<'a>(
    row: MachineRow<'a>,
    found: &[Finding],
    [result, patch]: [Option<&'static Class>; 2],
    numbers: &[usize],
    each: Each<'_, 'a>,
) -> ControlFlow<()> {
    let Some(it) = &row.azure.assessment else { return ControlFlow::Continue(()) };
    let of = &Outcome::new(row, What::Assessment(it));
    let results = usize::from(result.is_some());
    for number in numbers {
        let finding = number.checked_sub(results).and_then(|it| found.get(it));
        match (finding, result, patch) {
            (None, Some(class), _) => each(&ResultRow { of, class })?,
            (Some(it), _, Some(class)) => {
                each(&PatchRow { of, class, place: it.place as usize, treated: None })?;
            }
            _ => {}
        }
    }
    ControlFlow::Continue(())
}

/// Rows of a machine's installations, by their numbers: each has its patches behind it.
fn installations<'a>(
    row: MachineRow<'a>,
    oldest: i64,
    [result, patch]: [Option<&'static Class>; 2],
    numbers: &[usize],
    each: Each<'_, 'a>,
) -> ControlFlow<()> {
    let mut numbers = numbers.iter().copied().peekable();
    let mut at = 0;
    let mut takes = || {
        at += 1;
        numbers.next_if(|number| number + 1 == at).is_some()
    };
    for it in row.azure.installations.iter().filter(|it| nanoseconds(it.started) >= oldest) {
        let of = &Outcome::new(row, What::Installation(it));
        if let Some(class) = result
            && takes()
        {
            each(&ResultRow { of, class })?;
        }
        let Some(class) = patch else { continue };
        for (state, (_, places)) in patch_result::states(it).into_iter().enumerate() {
            for place in places.ones().filter(|_| takes()) {
                each(&PatchRow { of, class, place, treated: Some(state) })?;
            }
        }
    }
    ControlFlow::Continue(())
}
