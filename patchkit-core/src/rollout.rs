//! In which order nodes are patched, how many at once, and when to stop.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Error, ManagedNode, NodeId, NodeSelector, Result};

/// A number of nodes, or a share of them.
///
/// ```
/// use patchkit_core::Amount;
///
/// assert_eq!(Amount::Percent(10).of(25), 3); // rounds up
/// assert_eq!("10%".parse::<Amount>()?, Amount::Percent(10));
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// So many.
    Fixed(u32),
    /// So many in a hundred, rounded up.
    Percent(u8),
}

impl Amount {
    /// How many of `total` that is; never more than `total`.
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Fixed(n) => total.min(usize::try_from(n).unwrap_or(usize::MAX)),
            Self::Percent(p) => (total * usize::from(p.min(100))).div_ceil(100),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(n) => write!(f, "{n}"),
            Self::Percent(p) => write!(f, "{p}%"),
        }
    }
}

impl FromStr for Amount {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = match text.strip_suffix('%') {
            Some(number) => number.parse().ok().filter(|p| *p <= 100).map(Self::Percent),
            None => text.parse().ok().map(Self::Fixed),
        };
        parsed.ok_or_else(|| {
            Error::invalid("core", "parse", format!("amount {text:?} is neither 5 nor 10%"))
        })
    }
}

/// How many nodes may be out of work at once, from their start to the end of their reboot.
///
/// A node that failed stays counted: it may be out of work still.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct DisruptionBudget(pub Amount);

/// How many failures are borne: the one after that stops the rollout. A node that cannot be put
/// back to the power it had is a failure.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ErrorBudget(pub Amount);

/// The order of a patch run.
///
/// # Behavior
/// - Waves run one after the other; a node is in the first wave that takes it.
/// - Nodes that no wave takes form a last wave of their own.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(default)]
pub struct Rollout {
    /// The waves, in order.
    pub waves: Vec<Wave>,
    /// How many nodes of a wave may be out of work at once.
    pub disruption: DisruptionBudget,
    /// How many failures the whole run bears.
    pub errors: ErrorBudget,
}

impl Default for Rollout {
    /// One wave of all nodes, a tenth at once, stopping at the first failure.
    fn default() -> Self {
        Self {
            waves: Vec::new(),
            disruption: DisruptionBudget(Amount::Percent(10)),
            errors: ErrorBudget(Amount::Fixed(0)),
        }
    }
}

impl Rollout {
    /// One wave of all nodes, a tenth at once, stopping at the first failure.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a wave.
    #[must_use]
    pub fn with_wave(mut self, wave: Wave) -> Self {
        self.waves.push(wave);
        self
    }

    /// Sets how many nodes of a wave may be out of work at once.
    #[must_use]
    pub fn with_disruption(mut self, budget: Amount) -> Self {
        self.disruption = DisruptionBudget(budget);
        self
    }

    /// Sets how many failures the run bears.
    #[must_use]
    pub fn with_errors(mut self, budget: Amount) -> Self {
        self.errors = ErrorBudget(budget);
        self
    }

    /// Deals the nodes out to the waves; pure, and the same for the same nodes in any order.
    pub fn assign(&self, nodes: &[ManagedNode]) -> Vec<AssignedWave> {
        let mut left: Vec<&ManagedNode> = nodes.iter().collect();
        left.sort_by(|a, b| a.id.cmp(&b.id));
        left.dedup_by(|a, b| a.id == b.id);
        let total = left.len();
        let mut assigned = Vec::new();
        for wave in &self.waves {
            let taken: BTreeSet<NodeId> = match &wave.members {
                WaveMembers::Amount(amount) => {
                    let count = amount.of(total).min(left.len());
                    (0..count).map(|at| left[at * left.len() / count].id.clone()).collect()
                }
                WaveMembers::Selector(selector) => left
                    .iter()
                    .filter(|node| selector.matches(node))
                    .map(|node| node.id.clone())
                    .collect(),
                WaveMembers::Rest => left.iter().map(|node| node.id.clone()).collect(),
            };
            left.retain(|node| !taken.contains(&node.id));
            if !taken.is_empty() {
                assigned.push(AssignedWave {
                    name: wave.name.clone(),
                    nodes: taken.into_iter().collect(),
                    bake: wave.bake,
                });
            }
        }
        if !left.is_empty() {
            let nodes = left.into_iter().map(|node| node.id.clone()).collect();
            let name = if self.waves.is_empty() { "all" } else { "rest" };
            assigned.push(AssignedWave { name: name.to_owned(), nodes, bake: Duration::ZERO });
        }
        assigned
    }
}

/// A part of a rollout.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Wave {
    /// Its name, for people.
    pub name: String,
    /// Who is in it.
    pub members: WaveMembers,
    /// How long to watch it before the next one begins.
    pub bake: Duration,
}

impl Wave {
    /// A wave without bake time.
    pub fn new(name: impl Into<String>, members: WaveMembers) -> Self {
        Self { name: name.into(), members, bake: Duration::ZERO }
    }

    /// Sets how long to watch the wave before the next one begins.
    #[must_use]
    pub fn with_bake(mut self, bake: Duration) -> Self {
        self.bake = bake;
        self
    }
}

/// Who is in a wave.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "a rollout has a handful of waves: a box would only burden who writes one"
)]
#[non_exhaustive]
pub enum WaveMembers {
    /// So many of all the run's nodes, spread evenly over those that are left in the order of their
    /// ids: a canary wave then touches every account, not the first one alone.
    Amount(Amount),
    /// The nodes a selector takes.
    Selector(NodeSelector),
    /// All that are left.
    Rest,
}

/// A wave with the nodes that were dealt to it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AssignedWave {
    /// Its name, for people.
    pub name: String,
    /// Its nodes, by id.
    pub nodes: Vec<NodeId>,
    /// How long to watch it before the next one begins.
    pub bake: Duration,
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::OperatingSystem;

    fn nodes(n: usize) -> Vec<ManagedNode> {
        (0..n)
            .map(|i| {
                let id = format!("aws/1/eu-west-1/i-{i:03}").parse().unwrap();
                ManagedNode::new(id, OperatingSystem::Ubuntu, Timestamp::UNIX_EPOCH)
            })
            .collect()
    }

    #[test]
    fn percent_rounds_up_and_fixed_is_capped() {
        assert_eq!(Amount::Percent(1).of(3), 1);
        assert_eq!(Amount::Percent(100).of(7), 7);
        assert_eq!(Amount::Fixed(9).of(3), 3);
        assert_eq!(Amount::Percent(0).of(9), 0);
        assert!("110%".parse::<Amount>().is_err());
    }

    #[test]
    fn nodes_that_no_wave_takes_come_last() {
        let rollout =
            Rollout::new().with_wave(Wave::new("canary", WaveMembers::Amount(Amount::Fixed(2))));
        let waves = rollout.assign(&nodes(5));
        let shape: Vec<_> = waves.iter().map(|w| (w.name.as_str(), w.nodes.len())).collect();
        assert_eq!(shape, [("canary", 2), ("rest", 3)]);
    }

    proptest! {
        #[test]
        fn every_node_is_dealt_exactly_once(n in 0usize..60, canary in 0u8..=100, count in 0u32..70) {
            let rollout = Rollout::new()
                .with_wave(Wave::new("a", WaveMembers::Amount(Amount::Percent(canary))))
                .with_wave(Wave::new("b", WaveMembers::Amount(Amount::Fixed(count))));
            let all = nodes(n);
            let mut dealt: Vec<NodeId> =
                rollout.assign(&all).into_iter().flat_map(|wave| wave.nodes).collect();
            dealt.sort();
            prop_assert_eq!(dealt, all.into_iter().map(|node| node.id).collect::<Vec<_>>());
        }
    }
}
