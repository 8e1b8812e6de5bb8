//! How many rows machines have in the tables of patches: each by itself, and neighbours together.

use std::{ops::Range, sync::Arc};

use super::{facets::nanoseconds, findings::Finding, graph::Marks, patch_result, rows::Prints};
use crate::cloud::world::{
    State,
    catalogue::SystemIx,
    machine::{AzureSide, MachineIx},
    machines::{CHUNK, Chunks},
};

/// What a machine adds to a table of patches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Tally {
    /// From when the oldest of its results is, in [`nanoseconds`].
    since: i64,
    results: u32,
    /// How many patches are in all of them.
    patches: u32,
    pub(super) system: SystemIx,
    /// Whether rows of patches are other than those of their patches on other machines.
    pub(super) is_odd: bool,
    pub(super) reboot_pending: bool,
}

impl Tally {
    /// What its assessment adds.
    pub(super) fn assessed(
        state: &State,
        at: MachineIx,
        azure: &AzureSide,
        prints: &Prints,
    ) -> Self {
        let machine = state.machine(at);
        let Some(it) = &azure.assessment else { return Self::none(machine.system) };
        let is_odd = it.available.ones().any(|place| {
            let print = prints.get(machine.system, place);
            !print.is_some_and(|it| it.is_alone) || machine.patches.strange(place).is_some()
        });
        Self {
            since: nanoseconds(it.ended),
            results: 1,
            patches: narrow(it.available.count_ones(..)),
            is_odd,
            reboot_pending: it.reboot_pending,
            ..Self::none(machine.system)
        }
    }

    /// What its installations add. Their rows are known where they are as those of other machines.
    pub(super) fn treated(
        state: &State,
        at: MachineIx,
        azure: &AzureSide,
        rows: Option<&[Finding]>,
    ) -> Self {
        let all = &azure.installations;
        let none = Self::none(state.machine(at).system);
        let Some(since) = all.iter().map(|it| nanoseconds(it.started)).min() else { return none };
        let patches = all.iter().flat_map(patch_result::states);
        let patches = patches.map(|(_, places)| places.count_ones(..)).sum();
        let (results, patches) = (narrow(all.len()), narrow(patches));
        Self { since, results, patches, is_odd: rows.is_none(), ..none }
    }

    fn none(system: SystemIx) -> Self {
        let (is_odd, reboot_pending) = (false, false);
        Self { since: i64::MAX, results: 0, patches: 0, system, is_odd, reboot_pending }
    }

    /// How many results and patches are told of those from a time on. None where only some of them
    /// are.
    pub(super) fn told(&self, oldest: i64) -> Option<[usize; 2]> {
        if self.since >= oldest {
            return Some([wide(self.results), wide(self.patches)]);
        }
        (self.results <= 1).then_some([0, 0])
    }

    /// The same; none, too, where some are other than those of their patches on other machines.
    pub(super) fn told_plainly(&self, oldest: i64) -> Option<[usize; 2]> {
        self.told(oldest).filter(|[results, _]| *results == 0 || !self.is_odd)
    }
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn wide(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// What the machines of a folder add. A copy shares what has not changed since.
#[derive(Clone, Debug, Default)]
pub(super) struct Tallies {
    all: Chunks<Tally>,
    /// Of each chunk, all of it together.
    sums: Arc<Vec<Sum>>,
}

#[derive(Clone, Copy, Debug)]
struct Sum {
    since: i64,
    /// Results and patches.
    counts: [usize; 2],
    /// Which machines have a result, and whether one has more.
    have: u64,
    is_many: bool,
}

impl Default for Sum {
    fn default() -> Self {
        Self { since: i64::MAX, counts: [0; 2], have: 0, is_many: false }
    }
}

impl Sum {
    /// Adds that of the machine at a place among its neighbours.
    fn add(&mut self, place: usize, tally: &Tally) {
        let [results, patches] = &mut self.counts;
        self.since = self.since.min(tally.since);
        *results += wide(tally.results);
        *patches += wide(tally.patches);
        self.have |= u64::from(tally.results > 0) << (place % CHUNK);
        self.is_many |= tally.results > 1;
    }
}

impl Tallies {
    /// Adds that of the next machine.
    pub(super) fn push(&mut self, tally: Tally) {
        let (place, sums) = (self.all.len(), Arc::make_mut(&mut self.sums));
        if place.is_multiple_of(CHUNK) {
            sums.push(Sum::default());
        }
        if let Some(last) = sums.last_mut() {
            last.add(place, &tally);
        }
        self.all.push(tally);
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn starting_at(&self, place: usize) -> impl Iterator<Item = &Tally> {
        self.all.starting_at(place)
    }

    /// Puts another in the place of that of a machine.
    pub(super) fn set(&mut self, place: usize, tally: Tally) {
        // What stays as it is need not be copied under a picture.
        if self.all.get(place).is_none_or(|it| *it == tally) {
            return;
        }
        if let Some(known) = self.all.get_mut(place) {
            *known = tally;
        }
        let mut sum = Sum::default();
        let first = place - place % CHUNK;
        let neighbours = (first..first + CHUNK).zip(self.starting_at(first));
        neighbours.for_each(|(place, it)| sum.add(place, it));
        if let Some(known) = Arc::make_mut(&mut self.sums).get_mut(place / CHUNK) {
            *known = sum;
        }
    }

    /// The pieces of some places that are looked at together.
    pub(super) fn pieces(places: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let Range { mut start, end } = places;
        std::iter::from_fn(move || {
            let next = (start - start % CHUNK + CHUNK).min(end);
            let piece = start..next;
            start = next;
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// What a piece adds of results from a time on, where that is known without a look at each.
    pub(super) fn told(&self, piece: &Range<usize>, oldest: i64) -> Option<[usize; 2]> {
        let is_whole = piece.start.is_multiple_of(CHUNK) && piece.len() == CHUNK;
        let sum = self.sums.get(piece.start / CHUNK).filter(|_| is_whole)?;
        (sum.since >= oldest).then_some(sum.counts)
    }

    /// Which machines of a piece have a result from a time on, from the lowest bit on, where that is
    /// known without a look at each and none has more of them.
    pub(super) fn singles(&self, piece: &Range<usize>, oldest: i64) -> Option<u64> {
        let sum = self.sums.get(piece.start / CHUNK)?;
        let is_known = sum.since >= oldest && !sum.is_many;
        is_known.then_some(sum.have >> (piece.start % CHUNK) & Marks::low(piece.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(since: i64, results: u32, patches: u32) -> Tally {
        Tally { since, results, patches, ..Tally::none(SystemIx(0)) }
    }

    /// What a piece adds, machine by machine.
    fn by_machine(tallies: &Tallies, piece: &Range<usize>, oldest: i64) -> Option<[usize; 2]> {
        let mut sums = [0; 2];
        for it in tallies.starting_at(piece.start).take(piece.len()) {
            let own = it.told(oldest)?;
            sums = [sums[0] + own[0], sums[1] + own[1]];
        }
        Some(sums)
    }

    #[test]
    fn what_is_known_of_a_piece_is_what_its_machines_add() {
        let mut rng = crate::rng::Rng::stream(3, 1, 4);
        let any = |rng: &mut crate::rng::Rng| {
            let results = u32::try_from(rng.below(3)).unwrap();
            let since = if results == 0 { i64::MAX } else { i64::try_from(rng.below(40)).unwrap() };
            tally(since, results, results * 5)
        };
        let mut tallies = Tallies::default();
        for _ in 0..300 {
            tallies.push(any(&mut rng));
        }
        let mut known = 0;
        for _ in 0..200 {
            let copy = tallies.clone();
            tallies.set(rng.index(300), any(&mut rng));
            for (all, oldest) in [(&copy, 0), (&tallies, 0), (&tallies, 3), (&tallies, 40)] {
                for piece in Tallies::pieces(rng.index(100)..300 - rng.index(100)) {
                    if let Some(counts) = all.told(&piece, oldest) {
                        assert_eq!(Some(counts), by_machine(all, &piece, oldest), "{piece:?}");
                        known += 1;
                    }
                }
            }
        }
        assert!(known > 400, "{known} pieces were known");
    }

    #[test]
    fn which_machines_have_a_result_is_known_where_none_is_too_old_or_one_of_many() {
        let mut rng = crate::rng::Rng::stream(3, 1, 5);
        let mut tallies = Tallies::default();
        for _ in 0..300 {
            let results = u32::try_from(rng.below(2)).unwrap();
            tallies.push(tally(if results == 0 { i64::MAX } else { 7 }, results, 0));
        }
        let (mut known, mut unknown) = (0, 0);
        for _ in 0..20 {
            for piece in Tallies::pieces(rng.index(100)..300 - rng.index(100)) {
                let own = || tallies.starting_at(piece.start).take(piece.len());
                let are_plain = own().all(|it| it.results < 2 && it.since >= 7);
                let Some(singles) = tallies.singles(&piece, 7) else {
                    unknown += 1;
                    continue;
                };
                known += 1;
                assert!(are_plain, "{piece:?}");
                for (bit, it) in own().enumerate() {
                    assert_eq!((singles >> bit) & 1, u64::from(it.results), "{piece:?}");
                }
            }
            let (since, results) = if rng.below(2) == 0 { (6, 1) } else { (8, 2) };
            tallies.set(rng.index(300), tally(since, results, 0));
        }
        assert!(known > 10 && unknown > 10, "{known} were known, {unknown} were not");
    }

    #[test]
    fn pieces_are_all_places_once() {
        for (range, ends) in [
            (0..64, &[64][..]),
            (0..130, &[64, 128, 130]),
            (3..64, &[64]),
            (63..66, &[64, 66]),
            (5..5, &[]),
        ] {
            let places: Vec<usize> = Tallies::pieces(range.clone()).flatten().collect();
            assert_eq!(places, range.clone().collect::<Vec<_>>());
            assert_eq!(Tallies::pieces(range).map(|it| it.end).collect::<Vec<_>>(), ends);
        }
    }

    #[test]
    fn of_one_result_that_is_too_old_nothing_is_told_and_of_more_it_is_to_be_looked_at() {
        assert_eq!(tally(7, 1, 4).told(7), Some([1, 4]));
        assert_eq!(tally(7, 1, 4).told(8), Some([0, 0]));
        assert_eq!(tally(7, 2, 4).told(8), None);
        assert_eq!(tally(i64::MAX, 0, 0).told(8), Some([0, 0]));
    }
}
