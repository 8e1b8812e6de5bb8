//! Which rows are about which machine, and those of two tables that are about the same.

use std::{iter::repeat_n, ops::Range};

use super::{Stretch, World};
use crate::cloud::azure::{
    census::ABOVE,
    graph::{IdText, Scan, Table},
    tally::Tallies,
};

/// Where the rows of machines are, of which those of one are neighbours: by folder and place, how many
/// are before a machine's own; and at the end, how many before what is behind them.
#[derive(Debug)]
pub(super) struct Starts(Vec<Vec<u32>>);

impl Starts {
    /// The rows of a machine.
    pub(super) fn of(&self, folder: usize, place: usize) -> Range<u32> {
        self.among(folder, place..place + 1).next().unwrap_or(0..0)
    }

    /// The rows of neighbours, each machine's by itself.
    fn among(&self, folder: usize, places: Range<usize>) -> impl Iterator<Item = Range<u32>> {
        let own = self.0.get(folder).and_then(|it| it.get(places.start..=places.end));
        let own = own.unwrap_or_default();
        own.iter().zip(own.get(1..).unwrap_or_default()).map(|(start, end)| *start..*end)
    }
}

impl World {
    /// The rows of each machine among those of a scan.
    pub(super) fn starts(&self, scan: Scan<'_>) -> Option<Starts> {
        let (oldest, census) = (self.oldest(scan.table), &self.state.azure.census);
        let (mut all, mut rows) = (vec![Vec::new(); self.state.subscriptions.len()], 0_u32);
        for stretch in self.stretches(scan) {
            let Stretch { shelf, wanted, places, .. } = &stretch;
            let machines = &self.state.subscription(shelf.at).machines;
            let own = all.get_mut(usize::from(shelf.at.0))?;
            own.reserve(machines.len() + 1 - own.len());
            own.resize(places.start + 1, rows);
            if scan.table == Table::Resources {
                let end = rows + u32::try_from(places.len()).ok()?;
                own.extend(rows + 1..=end);
                rows = end;
                continue;
            }
            let tallies = &census.outcomes(scan.table, shelf.at)?.tallies;
            for piece in Tallies::pieces(places.clone()) {
                let singles = tallies.singles(&piece, oldest).filter(|_| wanted[1].is_none());
                if let Some(mut singles) = singles {
                    for _ in piece {
                        rows += u32::from(singles & 1 == 1);
                        singles >>= 1;
                        own.push(rows);
                    }
                    continue;
                }
                for (place, tally) in piece.clone().zip(tallies.starting_at(piece.start)) {
                    let counts = self.counts(tally, || machines.get(place).copied(), oldest);
                    rows = rows.checked_add(u32::try_from(stretch.rows(counts)).ok()?)?;
                    own.push(rows);
                }
            }
        }
        for (own, subscription) in all.iter_mut().zip(self.state.subscriptions.iter()) {
            let last = own.last().copied().unwrap_or(0);
            own.resize(subscription.machines.len() + 1, last);
        }
        Some(Starts(all))
    }

    /// Of each row of a scan those of another that are about the same machine.
    pub(super) fn about_the_same(
        &self,
        scans: [Scan<'_>; 2],
        texts: [IdText<'_>; 2],
    ) -> Option<Vec<Range<u32>>> {
        let [left, right] = scans;
        let are_ids = self.state.azure.census.order(&self.state).are_distinct;
        let mut sides = scans.iter().zip(texts);
        // What is no machine may have the id of another one.
        let is_one_table = left.table == right.table;
        if is_one_table || !are_ids || !sides.all(|(scan, text)| self.is_id(*scan, text)) {
            return None;
        }
        let (of_right, mut partners) = (self.starts(right)?, Vec::new());
        if left.table == Table::Resources {
            let (machines, others) = (self.stretches(left), self.wanted_others(left).count());
            partners.reserve(machines.map(|it| it.places.len()).sum::<usize>() + others);
            for Stretch { shelf, places, .. } in self.stretches(left) {
                partners.extend(of_right.among(usize::from(shelf.at.0), places));
            }
            partners.extend(repeat_n(0..0, others));
            return Some(partners);
        }
        let of_left = self.starts(left)?;
        for Stretch { shelf, places, .. } in self.stretches(left) {
            let [left, right] =
                [&of_left, &of_right].map(|it| it.among(usize::from(shelf.at.0), places.clone()));
            for (own, others) in left.zip(right) {
                partners.extend(repeat_n(others, own.len()));
            }
        }
        Some(partners)
    }

    /// Whether a text is the id of its row's machine, and no other row has it.
    fn is_id(&self, scan: Scan<'_>, text: IdText<'_>) -> bool {
        let is_above = |place: usize, text: &str| {
            let text = text.strip_suffix('/').unwrap_or(text);
            ABOVE.get(place).is_some_and(|it| *it == text)
        };
        let is_id = match (scan.table, text) {
            (Table::Resources, IdText::Lower) => self.wanted_others(scan).all(|other| {
                let id = other.text("id").to_lowercase();
                !self.state.azure.by_id.contains_key(&*id)
            }),
            (Table::PatchAssessmentResources, IdText::LowerBefore(text)) => is_above(0, text),
            (Table::PatchInstallationResources, IdText::LowerBefore(text)) => is_above(1, text),
            _ => false,
        };
        is_id && scan.hints.ids.is_none()
    }
}
