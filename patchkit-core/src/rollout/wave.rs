//! Waves: who is in them, and how nodes are dealt out to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Amount, NodeKey, Rollout};
use crate::{ManagedNode, NodeId, NodeSelector};

/// A part of a rollout.
///
/// ```
/// use std::time::Duration;
/// use patchkit_core::{Amount, NodeKey, NodeSelector, Rollout, Wave, WaveMembers};
///
/// let tested = NodeSelector::all().with_tag("Environment", ["test"]);
/// let rollout = Rollout::new()
///     .with_wave(Wave::ids("first", ["aws/111122223333/eu-west-1/i-01".parse()?]))
///     .with_wave(Wave::new("test", WaveMembers::Selector(tested)))
///     // One node of every zone, then an hour of watching.
///     .with_wave(
///         Wave::spread("canary", Amount::Fixed(1), NodeKey::Zone).with_bake(Duration::from_hours(1)),
///     )
///     .with_wave(Wave::of("databases", NodeKey::Tag("App".to_owned()), ["db", "cache"]))
///     // What is left, account by account.
///     .with_wave(Wave::each("account", NodeKey::Account));
/// # assert_eq!(rollout.waves.len(), 5);
/// # Ok::<(), patchkit_core::Error>(())
/// ```
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

    /// These nodes.
    pub fn ids(name: impl Into<String>, ids: impl IntoIterator<Item = NodeId>) -> Self {
        Self::new(name, WaveMembers::Selector(NodeSelector::ids(ids)))
    }

    /// The nodes of a zone, an account, a tag's value, …: those that `key` groups under one of
    /// `values`.
    pub fn of<V: Into<String>>(
        name: impl Into<String>,
        key: NodeKey,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        Self::new(name, WaveMembers::Of { key, values })
    }

    /// A wave for each group that `key` makes of the nodes that are left.
    pub fn each(name: impl Into<String>, key: NodeKey) -> Self {
        Self::new(name, WaveMembers::Each(key))
    }

    /// So many nodes of each group that `key` makes: a canary that touches every zone, account, ….
    pub fn spread(name: impl Into<String>, amount: Amount, key: NodeKey) -> Self {
        Self::new(name, WaveMembers::Spread { amount, key })
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
#[non_exhaustive]
pub enum WaveMembers {
    /// So many of all the run's nodes, spread evenly over those that are left in the order of their
    /// ids: a canary wave then touches every account, not the first one alone.
    Amount(Amount),
    /// The nodes a selector takes.
    Selector(NodeSelector),
    /// The nodes that a key groups under one of some values.
    Of {
        /// The key.
        key: NodeKey,
        /// The values.
        values: BTreeSet<String>,
    },
    /// All that are left, in a wave for each group that a key makes of them, in the order of its
    /// values. Nodes without a value come last.
    Each(NodeKey),
    /// So many nodes of each group that a key makes of all the run's nodes; those without a value
    /// are a group of their own.
    Spread {
        /// How many of each group, or which share of it.
        amount: Amount,
        /// The key.
        key: NodeKey,
    },
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

impl Rollout {
    /// Deals the nodes out to the waves; pure, and the same for the same nodes in any order.
    pub fn assign(&self, nodes: &[ManagedNode]) -> Vec<AssignedWave> {
        let mut left: Vec<&ManagedNode> = nodes.iter().collect();
        left.sort_by(|a, b| a.id.cmp(&b.id));
        left.dedup_by(|a, b| a.id == b.id);
        let all = left.clone();
        let mut assigned = Vec::new();
        for wave in &self.waves {
            for (name, taken) in wave.take(&all, &left) {
                let taken: BTreeSet<NodeId> = taken.into_iter().map(|it| it.id.clone()).collect();
                left.retain(|node| !taken.contains(&node.id));
                if !taken.is_empty() {
                    let nodes = taken.into_iter().collect();
                    assigned.push(AssignedWave { name, nodes, bake: wave.bake });
                }
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

impl Wave {
    /// Whom it takes of those that are left of all, and the name that each part of it has.
    fn take<'a>(
        &self,
        all: &[&'a ManagedNode],
        left: &[&'a ManagedNode],
    ) -> Vec<(String, Vec<&'a ManagedNode>)> {
        let those = |is: &dyn Fn(&ManagedNode) -> bool| {
            left.iter().copied().filter(|node| is(node)).collect::<Vec<_>>()
        };
        let taken = match &self.members {
            WaveMembers::Amount(amount) => evenly(amount.of(all.len()), left),
            WaveMembers::Selector(selector) => those(&|node| selector.matches(node)),
            WaveMembers::Of { key, values } => {
                those(&|node| key.of(node).is_some_and(|value| values.contains(&value)))
            }
            WaveMembers::Spread { amount, key } => {
                let sizes = grouped(key, all);
                let groups = grouped(key, left).into_iter();
                let count = |value: &_| amount.of(sizes.get(value).map_or(0, Vec::len));
                groups.flat_map(|(value, nodes)| evenly(count(&value), &nodes)).collect()
            }
            WaveMembers::Rest => left.to_vec(),
            WaveMembers::Each(key) => {
                let mut groups = grouped(key, left);
                let none = groups.remove(&None);
                let named = groups.into_iter().filter_map(|(value, nodes)| Some((value?, nodes)));
                let none = none.map(|nodes| (format!("without {key}"), nodes));
                let name = |(value, nodes)| (format!("{} {value}", self.name), nodes);
                return named.chain(none).map(name).collect();
            }
        };
        vec![(self.name.clone(), taken)]
    }
}

/// So many of `nodes`, at even distances.
fn evenly<'a>(count: usize, nodes: &[&'a ManagedNode]) -> Vec<&'a ManagedNode> {
    let count = count.min(nodes.len());
    (0..count).filter_map(|at| nodes.get(at * nodes.len() / count).copied()).collect()
}

fn grouped<'a>(
    key: &NodeKey,
    nodes: &[&'a ManagedNode],
) -> BTreeMap<Option<String>, Vec<&'a ManagedNode>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for node in nodes {
        groups.entry(key.of(node)).or_default().push(*node);
    }
    groups
}
