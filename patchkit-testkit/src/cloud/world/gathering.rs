//! AWS-GatherSoftwareInventory: when software was last gathered on a node, and what was there then.
//!
//! An agent gathers every twelve hours, and when it is told to. What is installed in between is in
//! the inventory from the next time on; patch operations upload their own types alone (AWS blog,
//! "Understanding AWS Systems Manager Inventory Metadata").

use std::{sync::Arc, time::Duration};

use fixedbitset::FixedBitSet;
use jiff::Timestamp;

use super::{
    super::lake::Part,
    State,
    clock::{earlier, later},
    machine::MachineIx,
};

const EVERY: u32 = 43_200;

/// What was on a machine when its software was gathered, as far as that can change.
#[derive(Clone, Debug)]
pub(crate) struct Gathered {
    at: Timestamp,
    pub(super) installed: FixedBitSet,
    pub(super) agent_version: Arc<str>,
}

impl State {
    /// When software was last gathered: every twelve hours, while the agent answers. None before
    /// the first time.
    pub(super) fn gathered(&self, at: MachineIx) -> Option<Timestamp> {
        let aws = self.machine(at).aws.as_ref()?;
        if let Some(gathered) = &aws.gathered {
            return Some(gathered.at);
        }
        let last = self.grid(at, EVERY);
        Some(if self.answers(at) { last } else { last.min(aws.last_heard) }.max(aws.registered?))
    }

    pub(crate) fn next_gathering(&self, at: MachineIx) -> Timestamp {
        later(self.grid(at, EVERY), Duration::from_secs(EVERY.into()))
    }

    /// The last time that is due every `seconds`, at an offset of the node's own.
    pub(super) fn grid(&self, at: MachineIx, seconds: u32) -> Timestamp {
        let offset = self.draw(at, 0x6A7) % u64::from(seconds);
        let since = (self.now.as_second() - offset.cast_signed()).rem_euclid(i64::from(seconds));
        let whole = Timestamp::from_second(self.now.as_second()).unwrap_or(self.now);
        earlier(whole, Duration::from_secs(since.unsigned_abs()))
    }

    /// What the agent is told to do at once, by the document.
    pub(crate) fn gather(&mut self, at: MachineIx) {
        let now = self.now;
        self.keep_gathered(at);
        self.see_software(at, now);
        self.sync_node(at, Part::Software);
    }

    /// Keeps what is in the inventory, before something of it changes on the machine.
    pub(crate) fn keep_gathered(&mut self, at: MachineIx) {
        if self.machine(at).aws.as_ref().is_none_or(|aws| aws.gathered.is_some()) {
            return;
        }
        let Some(last) = self.gathered(at) else { return };
        self.see_software(at, last);
        let next = self.next_gathering(at);
        self.at(next, move |state| state.gather_in_turn(at));
    }

    fn see_software(&mut self, at: MachineIx, when: Timestamp) {
        let machine = self.machine_mut(at);
        let Some(aws) = &mut machine.aws else { return };
        aws.gathered = Some(Box::new(Gathered {
            at: when,
            installed: machine.patches.installed.clone(),
            agent_version: Arc::clone(&aws.agent_version),
        }));
    }

    fn gather_in_turn(&mut self, at: MachineIx) {
        if self.machine(at).aws.as_ref().is_none_or(|aws| aws.gathered.is_none()) {
            return;
        }
        if !self.answers(at) {
            let next = self.next_gathering(at);
            self.at(next, move |state| state.gather_in_turn(at));
            return;
        }
        if let Some(aws) = &mut self.machine_mut(at).aws {
            aws.gathered = None;
        }
        self.sync_node(at, Part::Software);
    }
}
