//! A world with a small fleet in it, and the runners that work on it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use patchkit_core::{
    Amount, NodeId, NodeSelector, PatchGroupName, PatchState, PowerState, Result, Rollout, RunId,
    Wave, WaveMembers,
    workflow::{Limits, PatchOptions, PatchPlan, RunReport, Runner},
};

use super::World;
use crate::{
    Harness, NodeSeed,
    cases::support::{first_os, good, patch, status},
    fault::{FaultPlan, Faults, Faulty, FaultyJournal},
};

/// Longer than the term of a runner's lease.
const PAST_THE_LEASE: Duration = Duration::from_secs(301);

/// A seeded world. Everyone who works in it writes to one log of calls.
pub(super) struct Scene {
    pub(super) world: World,
    /// What is tried in it, for the message when it fails.
    pub(super) label: String,
    /// The power of each node before anything happened.
    pub(super) before: BTreeMap<NodeId, PowerState>,
    pub(super) run: RunId,
    log: Faults,
}

impl Scene {
    /// Four nodes to patch, one of them hybrid and two of them off and to be started, and one that
    /// is off and stays so.
    pub(super) async fn new(world: World, label: impl Into<String>) -> Self {
        let h = world.harness();
        let os = first_os(h);
        let group = good(PatchGroupName::new("web"), "a group's name");
        let lacking = || {
            NodeSeed::new(os.clone())
                .with_group(&group)
                .with_patches([
                    patch("curl", PatchState::Installed),
                    patch("openssl", PatchState::Missing),
                ])
                .scanned()
        };
        let deallocated = if h.fleet().capabilities().deallocate {
            PowerState::Deallocated
        } else {
            PowerState::Stopped
        };
        let seeds = [
            lacking(),
            lacking().with_tag("Start", "yes").with_power(PowerState::Stopped),
            lacking().with_tag("Start", "yes").with_power(deallocated),
            lacking().hybrid(),
            lacking().with_power(PowerState::Stopped),
        ];
        Self::seeded(world, label, seeds).await
    }

    /// A scene with these nodes.
    pub(super) async fn seeded(
        world: World,
        label: impl Into<String>,
        seeds: impl IntoIterator<Item = NodeSeed>,
    ) -> Self {
        let h = world.harness();
        let mut before = BTreeMap::new();
        for seed in seeds {
            let node = h.add_node(seed).await;
            let power = status(h, &node).await.power;
            before.insert(node, power);
        }
        let log = Faults::new(h.clock(), FaultPlan::new());
        let run = good(RunId::new("run-1"), "a run's id");
        Self { world, label: label.into(), before, run, log }
    }

    pub(super) fn h(&self) -> &dyn Harness {
        self.world.harness()
    }

    pub(super) fn nodes(&self) -> Vec<NodeId> {
        self.before.keys().cloned().collect()
    }

    /// Faults by `plan` for one worker.
    pub(super) fn faults(&self, worker: &'static str, plan: FaultPlan) -> Faults {
        self.log.beside(worker, plan)
    }

    /// Every call of every worker so far.
    pub(super) fn calls(&self) -> Vec<crate::fault::Call> {
        self.log.calls()
    }

    /// A worker whose calls go through `faults`.
    pub(super) fn runner(&self, faults: &Faults) -> Runner {
        let mut limits = Limits::default();
        limits.start = Duration::from_mins(5);
        limits.reachable = Duration::from_mins(10);
        limits.scan = Duration::from_mins(15);
        limits.update_agent = Duration::from_mins(15);
        limits.install = Duration::from_hours(1);
        limits.stop = Duration::from_mins(5);
        limits.consistency = Duration::from_mins(1);
        Runner::new(
            Faulty::new(self.h().fleet(), faults.clone()),
            Faulty::new(self.h().compliance(), faults.clone()),
            FaultyJournal::new(Arc::clone(&self.world.journal), faults.clone()),
            self.h().clock(),
        )
        .with_limits(limits)
        .with_holder(faults.name())
    }

    /// A worker to whom nothing happens.
    pub(super) fn healthy(&self, worker: &'static str) -> Runner {
        self.runner(&self.faults(worker, FaultPlan::new()))
    }

    pub(super) fn options() -> PatchOptions {
        let rollout = Rollout::new()
            .with_wave(Wave::new("first", WaveMembers::Amount(Amount::Fixed(2))))
            .with_disruption(Amount::Percent(100))
            .with_errors(Amount::Percent(100));
        PatchOptions::new(NodeSelector::all())
            .with_start(NodeSelector::all().with_tag("Start", ["yes"]))
            .with_rollout(rollout)
    }

    pub(super) async fn plan(&self) -> PatchPlan {
        good(self.healthy("planner").plan_patch(&Self::options()).await, "a plan")
    }

    /// Makes a patch run whose calls go through `faults`.
    pub(super) async fn patch(&self, faults: &Faults) -> Result<RunReport> {
        let plan = self.plan().await;
        self.runner(faults).patch(&self.run, &plan).await
    }

    /// Waits until a lease that nobody renews is over.
    pub(super) async fn outlive_the_lease(&self) {
        self.h().clock().sleep(PAST_THE_LEASE).await;
    }

    /// The power in which each node comes to rest, without anyone's doing.
    pub(super) async fn powers(&self) -> BTreeMap<NodeId, PowerState> {
        let mut powers = BTreeMap::new();
        for node in self.before.keys() {
            let mut power = status(self.h(), node).await.power;
            for _ in 0..120 {
                if !matches!(power, PowerState::Starting | PowerState::Stopping) {
                    break;
                }
                self.h().clock().sleep(Duration::from_secs(5)).await;
                power = status(self.h(), node).await.power;
            }
            powers.insert(node.clone(), power);
        }
        powers
    }
}
