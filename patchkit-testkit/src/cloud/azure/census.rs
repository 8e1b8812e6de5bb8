//! How many rows Resource Graph has of which machine: known without a look at the machines.

use std::sync::Arc;

use jiff::Timestamp;

use super::{patch_result, side};
use crate::cloud::world::{
    State,
    machine::{AzureKind, AzureSide, MachineIx, SubIx},
    machines::Chunks,
};

/// The rows of all machines, by subscription. A copy shares what has not changed since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    folders: Arc<Vec<Folder>>,
    /// What was found and done on a machine, in the order of its folder.
    tallies: Vec<Chunks<Tally>>,
    /// The place of a machine in its folder.
    places: Arc<Vec<u32>>,
}

/// The machines of a subscription, in the order in which they are answered.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) kinds: Vec<Kind>,
    pub(super) groups: Vec<Group>,
}

/// The machines of a resource group: a piece of its folder.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    pub(super) start: usize,
    pub(super) end: usize,
    /// How many of them are virtual machines, and how many of Arc.
    pub(super) counts: [usize; 2],
}

/// As what a machine is a resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Vm = 0,
    Arc = 1,
    /// An instance of a uniform scale set is no resource of its own.
    None = 2,
}

impl Kind {
    pub(super) fn of(kind: &AzureKind) -> Self {
        match kind {
            AzureKind::Vm | AzureKind::Flexible { .. } => Self::Vm,
            AzureKind::Arc => Self::Arc,
            AzureKind::Uniform { .. } => Self::None,
        }
    }
}

/// What a machine adds to the tables of patches.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally {
    /// When its assessment ended, and how many patches that found.
    pub(super) assessed: Option<Timestamp>,
    pub(super) missing: u32,
    /// When the first of its installations began; how many there are, and patches in them.
    pub(super) first: Option<Timestamp>,
    pub(super) installations: u32,
    pub(super) treated: u32,
}

impl Tally {
    fn of(azure: &AzureSide) -> Self {
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let missing = azure.assessment.as_ref().map_or(0, |it| it.available.count_ones(..));
        let treated = azure.installations.iter().flat_map(patch_result::states);
        Self {
            assessed: azure.assessment.as_ref().map(|it| it.ended),
            missing: narrow(missing),
            first: azure.installations.iter().map(|it| it.started).min(),
            installations: narrow(azure.installations.len()),
            treated: narrow(treated.map(|(_, places)| places.count_ones(..)).sum()),
        }
    }
}

impl Census {
    /// Counts every machine.
    pub(super) fn new(state: &State) -> Self {
        let mut places = vec![u32::MAX; state.machines.len()];
        let mut census = Self::default();
        let mut folders = Vec::new();
        for subscription in state.subscriptions.iter() {
            let mut folder = Folder::default();
            folder.groups.resize(subscription.groups.len(), Group::default());
            let mut tallies = Chunks::default();
            for (place, at) in subscription.machines.iter().enumerate() {
                let Ok(azure) = side(state, *at) else { continue };
                let kind = Kind::of(&azure.kind);
                folder.kinds.push(kind);
                tallies.push(Tally::of(azure));
                if let Some(group) = folder.groups.get_mut(usize::from(azure.group)) {
                    if group.end == 0 {
                        group.start = place;
                    }
                    group.end = place + 1;
                    if let Some(count) = group.counts.get_mut(kind as usize) {
                        *count += 1;
                    }
                }
                if let Some(known) = places.get_mut(at.0 as usize) {
                    *known = u32::try_from(place).unwrap_or(u32::MAX);
                }
            }
            folders.push(folder);
            census.tallies.push(tallies);
        }
        census.folders = Arc::new(folders);
        census.places = Arc::new(places);
        census
    }

    pub(super) fn folder(&self, at: SubIx) -> Option<&Folder> {
        self.folders.get(usize::from(at.0))
    }

    pub(super) fn tallies(&self, at: SubIx) -> Option<&Chunks<Tally>> {
        self.tallies.get(usize::from(at.0))
    }

    fn recount(&mut self, at: MachineIx, azure: &AzureSide) {
        let place = self.places.get(at.0 as usize).copied().unwrap_or(u32::MAX) as usize;
        let Some(all) = self.tallies.get_mut(usize::from(azure.subscription.0)) else { return };
        let tally = Tally::of(azure);
        // What stays as it is need not be copied under a picture.
        if all.get(place).is_some_and(|it| *it != tally)
            && let Some(known) = all.get_mut(place)
        {
            *known = tally;
        }
    }
}

impl State {
    /// Counts the machines anew that may have changed.
    pub(super) fn recount(&mut self) {
        let touched = self.machines.take_touched();
        let mut census = std::mem::take(&mut self.azure.census);
        for at in touched {
            if let Some(azure) = &self.machine(at).azure {
                census.recount(at, azure);
            }
        }
        self.azure.census = census;
    }
}
