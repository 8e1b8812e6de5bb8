//! Which rows a scan gives of the tables of patches.

use std::{
    cell::OnceCell,
    ops::{ControlFlow, Range},
};

use super::{
    AHEAD, ASSESSMENTS, Choice, Class, Each, INSTALLATIONS, Shelf, World,
    assessed::{Assessed, MissingRow},
    machine::MachineRow,
    patch::{InstallationRow, Outcome, PatchRow, What},
    resource::Seat,
};
use crate::cloud::{
    azure::{
        census::Outcomes,
        facets::nanoseconds,
        findings::Finding,
        graph::Table,
        patch_result, side,
        tally::{Counts, Tallies, Tally},
    },
    world::{
        clock::earlier,
        machine::{MachineIx, SubIx},
    },
};

/// A machine of which rows are picked.
struct Picked<'a> {
    seat: Seat,
    tally: Tally,
    /// The class of its results, and those of the rows that are wanted.
    class: &'static Class,
    wanted: [Option<&'static Class>; 2],
    found: &'a [Finding],
    /// Where the numbers of its rows end in the list of all.
    end: usize,
}

/// Machines of which rows are picked, and the numbers of these among the wanted ones of each.
#[derive(Default)]
struct Picks<'a> {
    machines: Vec<Picked<'a>>,
    numbers: Vec<usize>,
}

impl<'a> Picks<'a> {
    fn iter(&self) -> impl Iterator<Item = (&Picked<'a>, &[usize])> {
        let mut begin = 0;
        self.machines.iter().map(move |it| {
            let own = self.numbers.get(begin..it.end).unwrap_or_default();
            begin = it.end;
            (it, own)
        })
    }
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
        tally: &Tally,
        at: impl FnOnce() -> Option<MachineIx>,
        oldest: i64,
    ) -> [usize; 2] {
        tally.told(oldest).unwrap_or_else(|| {
            // The first of its installations is too old: the others are to be looked at.
            let azure = at().and_then(|at| side(&self.state, at).ok());
            let all = azure.map_or(&[][..], |it| &it.installations);
            let kept = all.iter().filter(|it| nanoseconds(it.started) >= oldest);
            let patches = kept.clone().flat_map(patch_result::states);
            [kept.count(), patches.map(|(_, places)| places.count_ones(..)).sum()]
        })
    }

    /// How many rows of each class neighbours have, of virtual machines and of those of Arc.
    pub(super) fn counts_of(
        &self,
        tallies: &Tallies,
        at: SubIx,
        piece: &Range<usize>,
        oldest: i64,
    ) -> Counts {
        tallies.told(piece, oldest).unwrap_or_else(|| {
            let machines = &self.state.subscription(at).machines;
            let mut sums = Counts::default();
            for (place, tally) in piece.clone().zip(tallies.starting_at(piece.start)) {
                let own = self.counts(tally, || machines.get(place).copied(), oldest);
                for (sum, count) in sums.get_mut(tally.kind as usize).into_iter().flatten().zip(own)
                {
                    *sum += count;
                }
            }
            sums
        })
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
        let mut picks = Picks::default();
        for shelf in self.here(scan.hints, scan.table) {
            let Some(outcomes) = census.outcomes(scan.table, shelf.at) else { continue };
            for (number, group) in shelf.folder.groups.iter().enumerate() {
                let wanted = self.wanted_of_patches(choice, &shelf, number);
                if !wanted.contains(&true) || choice.skips_group(&shelf, number) {
                    continue;
                }
                let group = few.as_ref().map_or(*group, |few| few.of_group(shelf.at, *group));
                for piece in Tallies::pieces(group.start..group.end) {
                    let counts = self.counts_of(&outcomes.tallies, shelf.at, &piece, oldest);
                    let counts = counts.as_flattened().iter().zip(wanted);
                    let rows = counts.map(|(count, wanted)| if wanted { *count } else { 0 }).sum();
                    if choice.skips(rows) {
                        continue;
                    }
                    self.pick(choice, &mut picks, outcomes, (shelf.at, number), piece, wanted);
                    if picks.machines.len() >= AHEAD || choice.is_done() {
                        self.give_all(scan.table, &mut picks, each)?;
                    }
                    if choice.is_done() {
                        return ControlFlow::Break(());
                    }
                }
            }
        }
        self.give_all(scan.table, &mut picks, each)
    }

    /// Picks rows of neighbours in a resource group.
    fn pick<'a>(
        &'a self,
        choice: &mut Choice<'a>,
        picks: &mut Picks<'a>,
        outcomes: &'a Outcomes,
        (subscription, group): (SubIx, usize),
        piece: Range<usize>,
        wanted: [bool; 4],
    ) {
        let machines = &self.state.subscription(subscription).machines;
        let oldest = self.oldest(choice.scan.table);
        for (place, tally) in piece.clone().zip(outcomes.tallies.starting_at(piece.start)) {
            let Some(at) = machines.get(place) else { continue };
            let first = tally.kind as usize * 2;
            let wanted = [first, first + 1]
                .map(|it| choice.classes.get(it).filter(|_| wanted.get(it) == Some(&true)));
            let rows = self.counts(tally, || Some(*at), oldest).into_iter().zip(wanted);
            let rows = rows.map(|(count, wanted)| wanted.map_or(0, |_| count)).sum();
            if rows == 0 || choice.skips(rows) {
                continue;
            }
            let Some(class) = choice.classes.get(first) else { continue };
            picks.numbers.extend((0..rows).filter(|_| choice.takes()));
            let (found, end) = (outcomes.rows.get(place), picks.numbers.len());
            let seat = Seat { at: *at, subscription, group, place };
            picks.machines.push(Picked { seat, tally: *tally, class, wanted, found, end });
            if choice.is_done() {
                return;
            }
        }
    }

    /// Makes the rows of machines, by their numbers among the wanted ones of each.
    fn give_all<'a>(
        &'a self,
        table: Table,
        picks: &mut Picks<'a>,
        each: Each<'_, 'a>,
    ) -> ControlFlow<()> {
        if table == Table::PatchAssessmentResources {
            self.give_assessments(picks, each)?;
        } else {
            self.give_installations(picks, self.oldest(table), each)?;
        }
        picks.machines.clear();
        picks.numbers.clear();
        ControlFlow::Continue(())
    }

    fn give_assessments<'a>(&'a self, picks: &Picks<'a>, each: Each<'_, 'a>) -> ControlFlow<()> {
        let assessed = picks.machines.iter().map(|it| Assessed::of(self, it.seat, it.class));
        let assessed: Vec<Option<Assessed<'a>>> = assessed.collect();
        // Each row by itself waits for memory; a short loop over many has all of it on its way at once.
        let seen = assessed.iter().flatten().fold(0, |seen, it| seen ^ it.touch());
        std::hint::black_box(seen);
        for ((picked, own), of) in picks.iter().zip(&assessed) {
            if let Some(of) = of {
                self.assessment(picked, of, own, each)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Rows of a machine's assessment, by their numbers: that of the result, and those of patches.
    fn assessment<'a>(
        &'a self,
        picked: &Picked<'a>,
        of: &Assessed<'a>,
        numbers: &[usize],
        each: Each<'_, 'a>,
    ) -> ControlFlow<()> {
        let [result, patch] = picked.wanted;
        let (results, outcome) = (usize::from(result.is_some()), OnceCell::new());
        let prints = self.state.azure.census.prints().of(picked.tally.system);
        for number in numbers {
            let Some(found) = number.checked_sub(results).and_then(|it| picked.found.get(it))
            else {
                each(of)?;
                continue;
            };
            let (Some(class), place) = (patch, found.place as usize) else { continue };
            if let Some(print) = prints.get(place).filter(|_| !picked.tally.is_odd) {
                each(&MissingRow { of, class, print })?;
                continue;
            }
            let made = outcome.get_or_init(|| {
                let azure = side(&self.state, picked.seat.at).ok()?;
                let it = azure.assessment.as_ref()?;
                let row = self.row(picked.seat.at, azure, picked.class);
                Some(Outcome::new(row, What::Assessment(it)))
            });
            if let Some(of) = made {
                each(&PatchRow { of, class, place, treated: None })?;
            }
        }
        ControlFlow::Continue(())
    }

    fn give_installations<'a>(
        &'a self,
        picks: &Picks<'a>,
        oldest: i64,
        each: Each<'_, 'a>,
    ) -> ControlFlow<()> {
        for (picked, own) in picks.iter() {
            let Ok(azure) = side(&self.state, picked.seat.at) else { continue };
            let row = self.row(picked.seat.at, azure, picked.class);
            installations(row, oldest, picked.wanted, own, each)?;
        }
        ControlFlow::Continue(())
    }
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
            each(&InstallationRow { of, it, class })?;
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
