//! Which machine a row is about, as a number.

use std::collections::HashMap;

use super::{Choice, World};
use crate::cloud::azure::{
    census::{ABOVE, Order},
    graph::{Hints, IdText, Scan, Table},
};

impl World {
    /// Numbers for the ids of machines: of their own rows, and of what was found and done on them.
    pub(super) fn numbers_of_machines(&self, scan: Scan<'_>, text: IdText<'_>) -> Option<Vec<u32>> {
        let Order { lower, distinct, .. } = self.state.azure.census.order(&self.state);
        if scan.hints.ids.is_some() {
            return None;
        }
        let is_above = |place: usize, text: &str| {
            let text = text.strip_suffix('/').unwrap_or(text);
            *distinct && ABOVE.get(place).is_some_and(|it| *it == text)
        };
        match (scan.table, text) {
            (Table::Resources, IdText::Lower) => {
                let mut numbers = self.of_machines(scan, &lower.of)?;
                let mut others = self.wanted_others(scan).peekable();
                if others.peek().is_some() {
                    let all = self.others_by_id();
                    for other in others {
                        let place = all.get(&*other.text("id").to_lowercase())?;
                        numbers.push(u32::try_from(lower.firsts.len() + place).ok()?);
                    }
                }
                Some(numbers)
            }
            (Table::PatchAssessmentResources, IdText::LowerBefore(text)) if is_above(0, text) => {
                self.of_patches(scan, &lower.of)
            }
            (Table::PatchInstallationResources, IdText::LowerBefore(text)) if is_above(1, text) => {
                self.of_patches(scan, &lower.of)
            }
            _ => None,
        }
    }

    /// Numbers for the ids in lower case of all resources that are no machines.
    fn others_by_id(&self) -> HashMap<String, usize> {
        let hints = Hints::default();
        let mut all = HashMap::new();
        for other in self.others(Table::Resources, &hints) {
            let next = all.len();
            all.entry(other.text("id").to_lowercase()).or_insert(next);
        }
        all
    }

    /// Of each row that a scan reads of what was found or done the number of its machine.
    fn of_patches(&self, scan: Scan<'_>, all: &[Vec<u32>]) -> Option<Vec<u32>> {
        let (choice, oldest) = (Choice::of(scan), self.oldest(scan.table));
        let mut numbers = Vec::new();
        for shelf in self.here(scan.hints, scan.table) {
            let machines = &self.state.subscription(shelf.at).machines;
            let tallies = &self.state.azure.census.outcomes(scan.table, shelf.at)?.tallies;
            let own = all.get(usize::from(shelf.at.0))?;
            for (number, group) in shelf.folder.groups.iter().enumerate() {
                let wanted = self.wanted_of_patches(&choice, &shelf, number);
                if !wanted.contains(&true) {
                    continue;
                }
                // What is no resource of its own is never wanted.
                let [vm, vm_patches, arc, arc_patches] = wanted.map(usize::from);
                let wanted = [[vm, vm_patches], [arc, arc_patches], [0, 0]];
                let of_group = own.get(group.start..group.end)?.iter();
                let rows = of_group.zip(tallies.starting_at(group.start)).zip(group.start..);
                for ((machine, tally), place) in rows {
                    let [result, patch] = wanted[tally.kind as usize];
                    let at = || machines.get(place).copied();
                    let [results, patches] = self.counts(tally, at, oldest);
                    for _ in 0..result * results + patch * patches {
                        numbers.push(*machine);
                    }
                }
            }
        }
        Some(numbers)
    }
}
