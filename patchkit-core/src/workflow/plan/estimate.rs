//! How long a run will take, and how many calls, from how long steps take. Pure: no clock, no calls.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{PatchPlan, PlanStep, PlannedNode};
use crate::{Capabilities, PollPolicy, Scope};

/// How long each step takes a node, as the embedder knows from earlier runs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepTimes {
    /// From the order to start to a running system.
    pub start: Duration,
    /// From a running system to an agent that answers.
    pub reachable: Duration,
    /// An agent update.
    pub update_agent: Duration,
    /// The associations, applied again.
    pub associations: Duration,
    /// A scan.
    pub scan: Duration,
    /// An install, its reboot included.
    pub install: Duration,
    /// From the order to stop to the rest.
    pub stop: Duration,
}

impl Default for StepTimes {
    /// Guesses: an install of 20 minutes, two minutes for all else.
    fn default() -> Self {
        let short = Duration::from_mins(2);
        Self {
            start: short,
            reachable: short,
            update_agent: short,
            associations: short,
            scan: short,
            install: Duration::from_mins(20),
            stop: short,
        }
    }
}

impl StepTimes {
    /// Sets how long an install takes, its reboot included.
    #[must_use]
    pub fn with_install(mut self, install: Duration) -> Self {
        self.install = install;
        self
    }

    /// Sets how long a scan takes.
    #[must_use]
    pub fn with_scan(mut self, scan: Duration) -> Self {
        self.scan = scan;
        self
    }

    fn of(&self, step: PlanStep) -> Duration {
        match step {
            PlanStep::Start => self.start,
            PlanStep::WaitReachable => self.reachable,
            PlanStep::UpdateAgent => self.update_agent,
            PlanStep::RefreshAssociations => self.associations,
            PlanStep::Scan | PlanStep::Rescan => self.scan,
            PlanStep::Install => self.install,
            PlanStep::RestorePower => self.stop,
        }
    }
}

/// What a run will take, if nothing goes wrong and nobody holds it up.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlanEstimate {
    /// How long, with the watching between waves and without waiting for the window.
    pub duration: Duration,
    /// How many calls to the providers.
    pub calls: u64,
}

impl PatchPlan {
    /// Tells what the plan will take, if steps take `times` and the scopes can do `able`.
    ///
    /// # Behavior
    /// - A wave is worked through in rounds of as many nodes as its budget has room for; the nodes of
    ///   a round take each step together, and the slowest is waited for.
    /// - Looks at what is under way are counted as often as they will be made in that time.
    /// - Failures, which make rounds smaller, are not foreseen. A wave without budget takes nothing.
    pub fn estimate(
        &self,
        times: &StepTimes,
        able: impl Fn(&Scope) -> Capabilities,
    ) -> PlanEstimate {
        let mut whole = PlanEstimate { duration: Duration::ZERO, calls: 0 };
        for (at, wave) in self.waves.iter().enumerate() {
            let nodes: Vec<&PlannedNode> =
                wave.nodes.iter().filter_map(|id| self.node(id)).collect();
            let budget = self.disruption(wave.nodes.len());
            let rounds = nodes.chunks(budget.max(1)).filter(|_| budget > 0);
            for round in rounds {
                let round = estimate_round(round, times, &able);
                whole.duration = whole.duration.saturating_add(round.duration);
                whole.calls = whole.calls.saturating_add(round.calls);
            }
            if at + 1 < self.waves.len() {
                whole.duration = whole.duration.saturating_add(wave.bake);
            }
        }
        // How all of them ended is read in the end.
        let all = self.nodes.iter().chain(self.skipped.iter().map(|skipped| &skipped.node));
        whole.calls = whole.calls.saturating_add(Counted::new(all, &able).reads);
        whole
    }
}

/// The order in which the nodes of a round take their steps.
const ORDER: [PlanStep; 8] = [
    PlanStep::Start,
    PlanStep::WaitReachable,
    PlanStep::UpdateAgent,
    PlanStep::RefreshAssociations,
    PlanStep::Scan,
    PlanStep::Install,
    PlanStep::Rescan,
    PlanStep::RestorePower,
];

fn estimate_round(
    nodes: &[&PlannedNode],
    times: &StepTimes,
    able: &impl Fn(&Scope) -> Capabilities,
) -> PlanEstimate {
    let whole = Counted::new(nodes.iter().copied(), able);
    // They are looked at before, waited for, and waited for again after the install.
    let mut calls = 3 * whole.reads;
    let mut duration = Duration::ZERO;
    for step in ORDER {
        let takers = nodes.iter().copied().filter(|node| node.steps.contains(&step));
        let counted = Counted::new(takers, able);
        if counted.reads == 0 {
            continue;
        }
        let takes = times.of(step);
        duration = duration.saturating_add(takes);
        let looks = looks(takes);
        calls += match step {
            PlanStep::Start => counted.reads,
            // Started ones are waited for as one, from the order on.
            PlanStep::WaitReachable => counted.reads * looks,
            PlanStep::UpdateAgent
            | PlanStep::RefreshAssociations
            | PlanStep::Scan
            | PlanStep::Rescan => counted.acts * (1 + looks) + counted.reads,
            PlanStep::Install => counted.acts * (1 + looks),
            PlanStep::RestorePower => counted.reads * (2 + looks),
        };
    }
    PlanEstimate { duration, calls }
}

/// How often something is looked at that takes so long: once at once, and after each pause.
fn looks(takes: Duration) -> u64 {
    let policy = PollPolicy::new(takes);
    let (mut passed, mut pause, mut looks) = (Duration::ZERO, policy.initial, 1);
    while passed < takes {
        passed = passed.saturating_add(pause);
        pause = (pause * 3 / 2).min(policy.longest);
        looks += 1;
    }
    looks
}

/// How many acts and how many calls some nodes make.
struct Counted {
    acts: u64,
    reads: u64,
}

impl Counted {
    fn new<'a>(
        nodes: impl Iterator<Item = &'a PlannedNode>,
        able: &impl Fn(&Scope) -> Capabilities,
    ) -> Self {
        let mut scopes: BTreeMap<&Scope, usize> = BTreeMap::new();
        for node in nodes {
            *scopes.entry(node.id.scope()).or_default() += 1;
        }
        let (mut acts, mut reads) = (0, 0);
        for (scope, count) in scopes {
            let able = able(scope);
            acts += count.div_ceil(able.max_nodes_per_operation.get()) as u64;
            reads += count.div_ceil(able.max_nodes_per_call.get()) as u64;
        }
        Self { acts, reads }
    }
}

impl fmt::Display for PlanEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.duration.as_secs().div_ceil(60);
        write!(f, "about {} h {} min, {} calls", minutes / 60, minutes % 60, self.calls)
    }
}
