//! Which rows a scan gives of the tables of patches.

use std::{
    cell::OnceCell,
    ops::{ControlFlow, Range},
};

use super::{
    AHEAD, ASSESSMENTS, Choice, Class, Each, INSTALLATIONS, Shelf, Stretch, World,
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
        tally::{Tallies, Tally},
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

impl Stretch<'_> {
    /// How many of so many results and patches are wanted.
    pub(super) fn rows(&self, counts: [usize; 2]) -> usize {
        let counts = counts.into_iter().zip(self.wanted);
        counts.filter(|(_, wanted)| wanted.is_some()).map(|(count, _)| count).sum()
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

    /// How many rows of each class the machines of a resource group have; of those that are wanted.
    pub(super) fn counts_on(
        &self,
        shelf: &Shelf<'_>,
        table: Table,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        if table == Table::Resources {
            return shelf.group.counts.to_vec();
        }
        let outcomes = self.state.azure.census.outcomes(table, shelf.at);
        let (oldest, mut counts) = (self.oldest(table), vec![0; 4]);
        for (kind, places) in shelf.group.places().into_iter().enumerate() {
            let [result, patch] = [0, 1].map(|it| is_wanted(2 * kind + it));
            let Some(outcomes) = outcomes.filter(|_| result || patch) else { continue };
            for piece in Tallies::pieces(places) {
                let own =
                    self.counts_of(&outcomes.tallies, shelf.at, &piece, oldest, [result, patch]);
                counts.iter_mut().skip(2 * kind).zip(own).for_each(|(sum, it)| *sum += it);
            }
        }
        counts
    }

    /// How many rows of each class neighbours have; of one that is not wanted it may say none.
    fn counts_of(
        &self,
        tallies: &Tallies,
        at: SubIx,
        piece: &Range<usize>,
        oldest: i64,
        [_, has_patches]: [bool; 2],
    ) -> [usize; 2] {
        let singles = || tallies.singles(piece, oldest).filter(|_| !has_patches);
        let told = tallies.told(piece, oldest);
        let told = told.or_else(|| Some([singles()?.count_ones() as usize, 0]));
        told.unwrap_or_else(|| {
            let machines = &self.state.subscription(at).machines;
            let mut sums = [0; 2];
            for (place, tally) in piece.clone().zip(tallies.starting_at(piece.start)) {
                let own = self.counts(tally, || machines.get(place).copied(), oldest);
                sums.iter_mut().zip(own).for_each(|(sum, count)| *sum += count);
            }
            sums
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
        for stretch in self.stretches(scan) {
            let shelf = &stretch.shelf;
            let Some(outcomes) = census.outcomes(scan.table, shelf.at) else { continue };
            // Of all of them it is known how many rows they have.
            let of_block = |class: usize| scan.blocks?.get(shelf.block + class).copied();
            let class = 2 * stretch.kind;
            if let (Some(results), Some(patches)) = (of_block(class), of_block(class + 1))
                && choice.skips(results + patches)
            {
                continue;
            }
            let wanted = stretch.wanted.map(|it| it.is_some());
            let places = few.as_ref().map(|few| few.among(shelf.at, &stretch.places));
            for piece in Tallies::pieces(places.unwrap_or_else(|| stretch.places.clone())) {
                let counts = self.counts_of(&outcomes.tallies, shelf.at, &piece, oldest, wanted);
                if choice.skips(stretch.rows(counts)) {
                    continue;
                }
                self.pick(choice, &mut picks, outcomes, &stretch, piece);
                if picks.machines.len() >= AHEAD || choice.is_done() {
                    self.give_all(scan.table, &mut picks, each)?;
                }
                if choice.is_done() {
                    return ControlFlow::Break(());
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
        stretch: &Stretch<'a>,
        piece: Range<usize>,
    ) {
        let Stretch { shelf, wanted, kind, .. } = stretch;
        let oldest = self.oldest(choice.scan.table);
        let Some(class) = choice.classes.get(2 * kind) else { return };
        for (place, tally) in piece.clone().zip(outcomes.tallies.starting_at(piece.start)) {
            let Some(seat) = self.seat(shelf.at, shelf.group, place) else { continue };
            let rows = stretch.rows(self.counts(tally, || Some(seat.at), oldest));
            if rows == 0 || choice.skips(rows) {
                continue;
            }
            picks.numbers.extend((0..rows).filter(|_| choice.takes()));
            let (found, end) = (outcomes.rows.get(place), picks.numbers.len());
            let (tally, wanted) = (*tally, *wanted);
            picks.machines.push(Picked { seat, tally, class, wanted, found, end });
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
