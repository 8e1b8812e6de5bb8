//! Which rows are about which machine, and those of two tables that are about the same.

use std::{iter::repeat_n, ops::Range};

use super::{Stretch, World};
use crate::cloud::{
    azure::{
        census::ABOVE,
        graph::{IdText, Marks, Partners, Scan, Singles, Table},
        tally::Tallies,
    },
    world::machines::CHUNK,
};

/// Where the rows of machines are, of which those of one are neighbours.
#[derive(Debug)]
pub(super) enum Starts {
    /// Where no machine has more than one: by folder, of each chunk of its machines.
    Singles(Vec<Vec<Marks>>),
    /// By folder and place, how many rows are before a machine's own; and at the end, how many before
    /// what is behind them.
    Each(Vec<Vec<u32>>),
}

impl Starts {
    /// The rows of a machine.
    pub(super) fn of(&self, folder: usize, place: usize) -> Range<u32> {
        match self {
            Self::Singles(all) => {
                let marks = all.get(folder).and_then(|it| it.get(place / CHUNK));
                marks.and_then(|it| it.of(place % CHUNK)).map_or(0..0, |row| row..row + 1)
            }
            Self::Each(all) => {
                let own = all.get(folder).and_then(|it| it.get(place..=place + 1));
                let [start, end] = own.unwrap_or_default() else { return 0..0 };
                *start..*end
            }
        }
    }

    /// The rows of neighbours, each machine's by itself.
    fn among(&self, folder: usize, places: Range<usize>) -> impl Iterator<Item = Range<u32>> {
        places.map(move |place| self.of(folder, place))
    }
}

impl World {
    /// The rows of each machine among those of a scan.
    pub(super) fn starts(&self, scan: Scan<'_>) -> Option<Starts> {
        self.singles(scan).or_else(|| self.each_start(scan))
    }

    /// The same where no machine has more than one.
    fn singles(&self, scan: Scan<'_>) -> Option<Starts> {
        let (oldest, census) = (self.oldest(scan.table), &self.state.azure.census);
        let folders = self.state.subscriptions.iter();
        let folders = folders.map(|it| vec![Marks::default(); it.machines.len().div_ceil(CHUNK)]);
        let (mut all, mut rows): (Vec<Vec<Marks>>, _) = (folders.collect(), 0_u32);
        for stretch in self.stretches(scan) {
            let Stretch { shelf, wanted, places, .. } = &stretch;
            let own = all.get_mut(usize::from(shelf.at.0))?;
            let tallies = if scan.table == Table::Resources {
                None
            } else {
                Some(
                    &census.outcomes(scan.table, shelf.at).filter(|_| wanted[1].is_none())?.tallies,
                )
            };
            for piece in Tallies::pieces(places.clone()) {
                let have = match tallies {
                    Some(tallies) => tallies
                        .singles(&piece, oldest)
                        .or_else(|| self.looked_up(tallies, &stretch, &piece, oldest))?,
                    None => Marks::low(piece.len()),
                };
                own.get_mut(piece.start / CHUNK)?.add(piece.start % CHUNK, have, rows);
                rows = rows.checked_add(have.count_ones())?;
            }
        }
        Some(Starts::Singles(all))
    }

    /// Which machines of a piece have a row, by a look at each. None where one has more.
    fn looked_up(
        &self,
        tallies: &Tallies,
        stretch: &Stretch<'_>,
        piece: &Range<usize>,
        oldest: i64,
    ) -> Option<u64> {
        let machines = &self.state.subscription(stretch.shelf.at).machines;
        let all = piece.clone().zip(tallies.starting_at(piece.start)).enumerate();
        all.map(|(bit, (place, tally))| {
            let counts = self.counts(tally, || machines.get(place).copied(), oldest);
            match stretch.rows(counts) {
                rows @ (0 | 1) => Some(u64::from(rows == 1) << bit),
                _ => None,
            }
        })
        .try_fold(0, |have, bit| Some(have | bit?))
    }

    fn each_start(&self, scan: Scan<'_>) -> Option<Starts> {
        let (oldest, census) = (self.oldest(scan.table), &self.state.azure.census);
        let (mut all, mut rows) = (vec![Vec::new(); self.state.subscriptions.len()], 0_u32);
        for stretch in self.stretches(scan) {
            let Stretch { shelf, places, .. } = &stretch;
            let machines = &self.state.subscription(shelf.at).machines;
            let own = all.get_mut(usize::from(shelf.at.0))?;
            own.reserve(machines.len() + 1 - own.len());
            own.resize(places.start + 1, rows);
            let tallies = &census.outcomes(scan.table, shelf.at)?.tallies;
            for (place, tally) in places.clone().zip(tallies.starting_at(places.start)) {
                let counts = self.counts(tally, || machines.get(place).copied(), oldest);
                rows = rows.checked_add(u32::try_from(stretch.rows(counts)).ok()?)?;
                own.push(rows);
            }
        }
        for (own, subscription) in all.iter_mut().zip(self.state.subscriptions.iter()) {
            let last = own.last().copied().unwrap_or(0);
            own.resize(subscription.machines.len() + 1, last);
        }
        Some(Starts::Each(all))
    }

    /// Of each row of a scan those of another that are about the same machine.
    pub(super) fn about_the_same(
        &self,
        scans: [Scan<'_>; 2],
        texts: [IdText<'_>; 2],
    ) -> Option<Partners> {
        let [left, right] = scans;
        let are_ids = self.state.azure.census.order(&self.state).are_distinct;
        let mut sides = scans.iter().zip(texts);
        // What is no machine may have the id of another one.
        let is_one_table = left.table == right.table;
        if is_one_table || !are_ids || !sides.all(|(scan, text)| self.is_id(*scan, text)) {
            return None;
        }
        let of_right = self.starts(right)?;
        if left.table == Table::Resources {
            let others = self.wanted_others(left).count();
            return Some(match of_right {
                Starts::Singles(marks) => {
                    let mut singles = Singles::default();
                    for Stretch { shelf, places, .. } in self.stretches(left) {
                        let own = marks.get(usize::from(shelf.at.0))?;
                        for piece in Tallies::pieces(places) {
                            let (marks, begin) =
                                (own.get(piece.start / CHUNK)?, piece.start % CHUNK);
                            let own = marks.among(begin..begin + piece.len());
                            singles.push(u32::try_from(piece.len()).ok()?, own);
                        }
                    }
                    singles.push(u32::try_from(others).ok()?, Marks::default());
                    Partners::Singles(singles)
                }
                Starts::Each(_) => {
                    let machines = self.stretches(left);
                    let machines = machines.flat_map(|Stretch { shelf, places, .. }| {
                        of_right.among(usize::from(shelf.at.0), places)
                    });
                    Partners::Each(machines.chain(repeat_n(0..0, others)).collect())
                }
            });
        }
        let (of_left, mut partners) = (self.starts(left)?, Vec::new());
        for Stretch { shelf, places, .. } in self.stretches(left) {
            let [left, right] =
                [&of_left, &of_right].map(|it| it.among(usize::from(shelf.at.0), places.clone()));
            for (own, others) in left.zip(right) {
                partners.extend(repeat_n(others, own.len()));
            }
        }
        Some(Partners::Each(partners))
    }

    /// Whether a text is the id of its row's machine, and no other row has it.
    fn is_id(&self, scan: Scan<'_>, text: IdText<'_>) -> bool {
        let is_above = |place: usize, text: &str| {
            let text = text.strip_suffix('/').unwrap_or(text);
            ABOVE.get(place).is_some_and(|it| *it == text)
        };
        let is_id = match (scan.table, text) {
            (Table::Resources, IdText::Lower) => {
                !self.wanted_others(scan).any(|other| other.is_twin(&self.state))
            }
            (Table::PatchAssessmentResources, IdText::LowerBefore(text)) => is_above(0, text),
            (Table::PatchInstallationResources, IdText::LowerBefore(text)) => is_above(1, text),
            _ => false,
        };
        is_id && scan.hints.ids.is_none()
    }
}
