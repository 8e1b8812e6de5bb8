//! Two plans held against each other.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BaselineVersion, PatchPlan, PlanStep, PlannedNode, SkippedNode};
use crate::{
    AssignedWave, BaselineId, ComplianceStatus, NodeId, PowerState, Reachability, Scope,
    workflow::ScopeFailure,
};

/// What is different between two plans, of which one is before and one after.
///
/// # Guarantees
/// - It is empty exactly where the plans are equal, but for `created_at`, their estimates and the
///   order of their lists.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlanDiff {
    /// What is of no single node.
    pub plan: Vec<PlanChange>,
    /// The nodes that differ, by id.
    pub nodes: Vec<NodeDiff>,
}

/// A difference that is of no single node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlanChange {
    /// The workflow is another.
    Workflow {
        /// The one before.
        before: String,
        /// The one after.
        after: String,
    },
    /// An option has another value.
    Option {
        /// Its path in the plan's JSON: `rollout.errors`.
        option: String,
        /// Its value before; null where it was not set.
        before: Value,
        /// Its value after.
        after: Value,
    },
    /// There are other waves, or they bake for other times.
    Waves {
        /// Those before, in order.
        before: Vec<String>,
        /// Those after.
        after: Vec<String>,
    },
    /// A scope was listed and could not be after.
    Unlisted {
        /// Which, and why.
        failure: ScopeFailure,
    },
    /// A scope could not be listed, and was after.
    Listed {
        /// Which, and why it could not be.
        failure: ScopeFailure,
    },
    /// A baseline has another content, or is in one of the plans alone.
    Baseline {
        /// As it was before.
        before: Option<BaselineVersion>,
        /// As it was after.
        after: Option<BaselineVersion>,
    },
}

/// A node's place in a plan.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NodePart {
    /// It is patched.
    Patched,
    /// It is left alone.
    Skipped,
}

/// A node that differs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeDiff {
    /// The node.
    pub node: NodeId,
    /// Its place before; `None` where the plan did not have it.
    pub before: Option<NodePart>,
    /// Its place after.
    pub after: Option<NodePart>,
    /// What else is different.
    pub changes: Vec<NodeChange>,
}

/// What is different about a node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum NodeChange {
    /// Its wave.
    Wave {
        /// Before; `None` where it was in none.
        before: Option<String>,
        /// After.
        after: Option<String>,
    },
    /// Its power.
    Power {
        /// Before.
        before: PowerState,
        /// After.
        after: PowerState,
    },
    /// Whether its agent answers.
    Reachability {
        /// Before.
        before: Reachability,
        /// After.
        after: Reachability,
    },
    /// Its compliance.
    Status {
        /// Before.
        before: ComplianceStatus,
        /// After.
        after: ComplianceStatus,
    },
    /// How many patches it lacks.
    Missing {
        /// Before.
        before: u32,
        /// After.
        after: u32,
    },
    /// When it was scanned.
    Scanned {
        /// Before.
        before: Option<Timestamp>,
        /// After.
        after: Option<Timestamp>,
    },
    /// The baseline it is held against is another one.
    Baseline {
        /// Before.
        before: Option<BaselineId>,
        /// After.
        after: Option<BaselineId>,
    },
    /// The baseline that it was held against has another content, or none that is known.
    BaselineContent,
    /// What is done.
    Steps {
        /// Before.
        before: Vec<PlanStep>,
        /// After.
        after: Vec<PlanStep>,
    },
    /// Why it is left alone.
    Reason {
        /// Before; `None` where it was not.
        before: Option<String>,
        /// After.
        after: Option<String>,
    },
    /// Something else that the plan says of it.
    Field {
        /// The field's name in the plan's JSON.
        field: String,
        /// Its value before; null where it was not set.
        before: Value,
        /// Its value after.
        after: Value,
    },
}

impl PlanDiff {
    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty() && self.nodes.is_empty()
    }

    /// The nodes of which something else would be done, or to something else: see
    /// [`NodeDiff::is_drift`].
    pub fn drifted(&self) -> impl Iterator<Item = &NodeDiff> {
        self.nodes.iter().filter(|node| node.is_drift())
    }
}

impl NodeDiff {
    /// Whether the difference makes a plan another one for the node, so that what was approved is not
    /// what is there.
    ///
    /// # Behavior
    /// - It is drift that a node is to be patched in one of the plans alone; and of one that is in
    ///   both, its power, its steps, its baseline or what that says, its operating system, its link
    ///   and other ids, and whatever this version does not know.
    /// - It is none that a scan found something else or is newer, that an agent answers or does not
    ///   while the steps stay the same, that it has another name or group, or that it is in another
    ///   wave: waves that are shares of the fleet are dealt anew for each node that comes or goes.
    pub fn is_drift(&self) -> bool {
        match (self.before, self.after) {
            (Some(NodePart::Patched), Some(NodePart::Patched)) => {
                self.changes.iter().any(NodeChange::is_drift)
            }
            (before, after) => {
                before == Some(NodePart::Patched) || after == Some(NodePart::Patched)
            }
        }
    }
}

impl NodeChange {
    fn is_drift(&self) -> bool {
        match self {
            Self::Power { .. }
            | Self::Baseline { .. }
            | Self::BaselineContent
            | Self::Steps { .. } => true,
            Self::Field { field, .. } => field != "name" && field != "group" && field != EXPECTED,
            _ => false,
        }
    }
}

impl PatchPlan {
    /// What is different in `after`.
    pub fn diff(&self, after: &Self) -> PlanDiff {
        let (old, new) = (Index::new(self), Index::new(after));
        let content = changed_content(self, after);
        let ids: BTreeSet<&NodeId> = old.nodes.keys().chain(new.nodes.keys()).copied().collect();
        let nodes = ids.into_iter().filter_map(|id| node_diff(id, &old, &new, &content)).collect();
        PlanDiff { plan: plan_changes(self, after), nodes }
    }
}

/// The expected patches of a node, which are no field of it in the plan's JSON.
const EXPECTED: &str = "expected";

/// What a plan says of each of its nodes.
struct Index<'a> {
    plan: &'a PatchPlan,
    nodes: HashMap<&'a NodeId, (&'a PlannedNode, Option<&'a SkippedNode>)>,
    waves: HashMap<&'a NodeId, String>,
}

impl<'a> Index<'a> {
    fn new(plan: &'a PatchPlan) -> Self {
        let mut nodes: HashMap<_, _> =
            plan.skipped.iter().map(|it| (&it.node.id, (&it.node, Some(it)))).collect();
        nodes.extend(plan.nodes.iter().map(|node| (&node.id, (node, None))));
        let mut waves = HashMap::new();
        for (wave, label) in plan.waves.iter().zip(labels(&plan.waves)) {
            for node in &wave.nodes {
                waves.entry(node).or_insert_with(|| label.clone());
            }
        }
        Self { plan, nodes, waves }
    }
}

/// The names of waves, each told from others of the same name.
fn labels(waves: &[AssignedWave]) -> Vec<String> {
    let mut seen = HashMap::new();
    let label = |wave: &AssignedWave| {
        let count = seen.entry(wave.name.clone()).or_insert(0_usize);
        *count += 1;
        if *count == 1 { wave.name.clone() } else { format!("{} ({count})", wave.name) }
    };
    waves.iter().map(label).collect()
}

fn node_diff(
    id: &NodeId,
    old: &Index<'_>,
    new: &Index<'_>,
    content: &BTreeSet<(&Scope, &BaselineId)>,
) -> Option<NodeDiff> {
    let part = |of: Option<&(&PlannedNode, Option<&SkippedNode>)>| {
        of.map(|(_, skipped)| skipped.map_or(NodePart::Patched, |_| NodePart::Skipped))
    };
    let (before, after) = (old.nodes.get(id), new.nodes.get(id));
    let mut changes = Vec::new();
    if let (Some((was, _)), Some((is, _))) = (before, after) {
        if was != is {
            typed_changes(was, is, &mut changes);
            other_changes(was, is, &mut changes);
        }
        if was.baseline.as_ref().is_some_and(|baseline| content.contains(&(id.scope(), baseline))) {
            changes.push(NodeChange::BaselineContent);
        }
        let expected = [old, new].map(|index| index.plan.expected.get(id));
        if expected[0] != expected[1] {
            let [before, after] = expected.map(|it| serde_json::to_value(it).unwrap_or_default());
            changes.push(NodeChange::Field { field: EXPECTED.to_owned(), before, after });
        }
    }
    let reason = |of: Option<&(&PlannedNode, Option<&SkippedNode>)>| {
        let skipped = of.and_then(|(_, skipped)| *skipped)?;
        Some(format!("{}: {}", skipped.outcome, skipped.reason))
    };
    let (was, is) = (reason(before), reason(after));
    if was != is {
        changes.push(NodeChange::Reason { before: was, after: is });
    }
    let (was, is) = (old.waves.get(id).cloned(), new.waves.get(id).cloned());
    if was != is {
        changes.push(NodeChange::Wave { before: was, after: is });
    }
    let (before, after) = (part(before), part(after));
    let differs = before != after || !changes.is_empty();
    differs.then(|| NodeDiff { node: id.clone(), before, after, changes })
}

fn typed_changes(was: &PlannedNode, is: &PlannedNode, changes: &mut Vec<NodeChange>) {
    if was.power != is.power {
        changes.push(NodeChange::Power { before: was.power, after: is.power });
    }
    if was.reachability != is.reachability {
        let (before, after) = (was.reachability, is.reachability);
        changes.push(NodeChange::Reachability { before, after });
    }
    if was.status != is.status {
        changes.push(NodeChange::Status { before: was.status, after: is.status });
    }
    if was.missing != is.missing {
        changes.push(NodeChange::Missing { before: was.missing, after: is.missing });
    }
    if was.baseline != is.baseline {
        let (before, after) = (was.baseline.clone(), is.baseline.clone());
        changes.push(NodeChange::Baseline { before, after });
    }
    if was.scanned_at != is.scanned_at {
        changes.push(NodeChange::Scanned { before: was.scanned_at, after: is.scanned_at });
    }
    if was.steps != is.steps {
        let (before, after) = (was.steps.clone(), is.steps.clone());
        changes.push(NodeChange::Steps { before, after });
    }
}

/// The fields that [`typed_changes`] compares.
const TYPED: [&str; 8] =
    ["id", "power", "reachability", "status", "missing", "baseline", "scanned_at", "steps"];

/// Fields are compared by their JSON, so that none that is added later is forgotten.
fn other_changes(was: &PlannedNode, is: &PlannedNode, changes: &mut Vec<NodeChange>) {
    let [mut was, mut is] = [was, is].map(object);
    for field in TYPED {
        was.remove(field);
        is.remove(field);
    }
    each_change(&was, &is, |field, before, after| {
        changes.push(NodeChange::Field { field: field.to_owned(), before, after });
    });
}

fn object(of: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

fn each_change(
    was: &Map<String, Value>,
    is: &Map<String, Value>,
    mut change: impl FnMut(&str, Value, Value),
) {
    let fields: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    for field in fields {
        let (before, after) = (was.get(field), is.get(field));
        // What is not set is left out, or null.
        let [before, after] = [before, after].map(|it| it.cloned().unwrap_or_default());
        if before != after {
            change(field, before, after);
        }
    }
}

fn plan_changes(was: &PatchPlan, is: &PatchPlan) -> Vec<PlanChange> {
    let mut changes = Vec::new();
    if was.workflow != is.workflow {
        let (before, after) = (was.workflow.clone(), is.workflow.clone());
        changes.push(PlanChange::Workflow { before, after });
    }
    if was.options != is.options {
        each_change(&object(&was.options), &object(&is.options), |option, before, after| {
            if let (Value::Object(was), Value::Object(is)) = (&before, &after) {
                each_change(was, is, |inner, before, after| {
                    let option = format!("{option}.{inner}");
                    changes.push(PlanChange::Option { option, before, after });
                });
            } else {
                let option = option.to_owned();
                changes.push(PlanChange::Option { option, before, after });
            }
        });
    }
    let [before, after] = [was, is].map(|plan| {
        let baked = |(wave, label): (&AssignedWave, String)| {
            let bake = wave.bake.as_secs();
            if bake == 0 { label } else { format!("{label}, then {bake} s of watching") }
        };
        plan.waves.iter().zip(labels(&plan.waves)).map(baked).collect::<Vec<_>>()
    });
    if before != after {
        changes.push(PlanChange::Waves { before, after });
    }
    let missing = |from: &PatchPlan, failure: &ScopeFailure| !from.unlisted.contains(failure);
    let listed = was.unlisted.iter().filter(|failure| missing(is, failure));
    changes.extend(listed.map(|failure| PlanChange::Listed { failure: failure.clone() }));
    let unlisted = is.unlisted.iter().filter(|failure| missing(was, failure));
    changes.extend(unlisted.map(|failure| PlanChange::Unlisted { failure: failure.clone() }));
    let mut baselines: BTreeMap<_, [Option<&BaselineVersion>; 2]> = BTreeMap::new();
    for (at, plan) in [was, is].into_iter().enumerate() {
        for version in &plan.baselines {
            baselines.entry((&version.scope, &version.id)).or_default()[at] = Some(version);
        }
    }
    let differ = baselines.into_values().filter(|[before, after]| before != after);
    changes.extend(differ.map(|[before, after]| PlanChange::Baseline {
        before: before.cloned(),
        after: after.cloned(),
    }));
    changes
}

/// The baselines whose content was known and is not the same any more, as far as is known.
fn changed_content<'a>(
    was: &'a PatchPlan,
    is: &PatchPlan,
) -> BTreeSet<(&'a Scope, &'a BaselineId)> {
    let now: HashMap<(&Scope, &BaselineId), &str> = is
        .baselines
        .iter()
        .filter_map(|it| Some(((&it.scope, &it.id), it.hash.as_deref()?)))
        .collect();
    let changed = was.baselines.iter().filter(|it| {
        it.hash.is_some() && it.hash.as_deref() != now.get(&(&it.scope, &it.id)).copied()
    });
    changed.map(|it| (&it.scope, &it.id)).collect()
}

impl fmt::Display for NodePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Patched => "patched",
            Self::Skipped => "skipped",
        })
    }
}
