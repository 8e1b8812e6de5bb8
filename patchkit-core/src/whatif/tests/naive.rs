//! The evaluation that everyone would write: every node, every patch, every time.

use jiff::Timestamp;

use crate::{
    CompiledBaseline, ComplianceStatus, JudgedPatch, NodeId, NodePatch, NodeVerdict,
    OperatingSystem, Patch, PatchBaseline, PatchCounts, PatchGroupName, Presence, UpdateScope,
    judge_node, patch_state,
    whatif::{BaselineSet, Evidence, NodeFacts, PatchMatrix, Scenario},
};

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) os: OperatingSystem,
    pub(super) group: Option<PatchGroupName>,
    pub(super) evidence: Evidence,
    pub(super) patches: Vec<(Patch, Presence)>,
}

pub(super) fn matrix(nodes: &[Node]) -> PatchMatrix {
    let mut builder = PatchMatrix::builder();
    for node in nodes {
        let mut facts =
            NodeFacts::new(node.id.clone(), node.os.clone()).with_evidence(node.evidence);
        facts.group.clone_from(&node.group);
        for (patch, presence) in &node.patches {
            let patch = builder.offer(&node.os, patch.clone());
            facts = facts.with_patch(patch, *presence);
        }
        builder.node(facts).unwrap();
    }
    builder.build()
}

/// Override, else the group's, else the default; the last of each.
fn baseline<'a>(set: &'a Sets, node: &Node) -> Option<&'a PatchBaseline> {
    let fits = |it: &&PatchBaseline| it.operating_system == node.os;
    let own = set.groups.iter().filter(|(group, _)| Some(group) == node.group.as_ref());
    let mut found = set.overrides.iter().rfind(fits);
    if found.is_none() {
        found = own.map(|(_, it)| it).rfind(fits);
    }
    if found.is_none() {
        found = set.defaults.iter().rfind(fits);
    }
    found
}

/// What a [`BaselineSet`] is made of.
#[derive(Clone, Debug)]
pub(super) struct Sets {
    pub(super) defaults: Vec<PatchBaseline>,
    pub(super) groups: Vec<(PatchGroupName, PatchBaseline)>,
    pub(super) overrides: Vec<PatchBaseline>,
}

impl From<&Sets> for BaselineSet {
    fn from(sets: &Sets) -> Self {
        let set = sets.defaults.iter().cloned().fold(Self::new(), Self::with_default);
        let groups = sets.groups.iter().cloned();
        let set = groups.fold(set, |set, (group, it)| set.with_group(group, it));
        sets.overrides.iter().cloned().fold(set, Self::with_override)
    }
}

/// The judged patches of a node in the order of the node's own list.
pub(super) fn judged(
    sets: &Sets,
    scenario: &Scenario,
    node: &Node,
    when: Timestamp,
) -> Option<(CompiledBaseline, Vec<Option<JudgedPatch>>)> {
    let compiled = CompiledBaseline::new(baseline(sets, node)?).with_boundary(scenario.boundary);
    let list = PatchBaseline::new("list", node.os.clone())
        .with_approved(&scenario.installs)
        .with_approved_scope(UpdateScope::All);
    let list = CompiledBaseline::new(&list);
    let judged = node.patches.iter().map(|(patch, presence)| {
        let absent = matches!(presence, Presence::Absent | Presence::InstallFailed);
        let installs = absent && list.decide(patch, when).is_approved();
        let presence = if installs { Presence::Installed } else { *presence };
        let node_patch = NodePatch::new(patch.clone(), presence);
        patch_state(&compiled, &node_patch, scenario.operation, when)
    });
    let judged = judged.collect();
    Some((compiled, judged))
}

pub(super) fn verdict(
    sets: &Sets,
    scenario: &Scenario,
    node: &Node,
    when: Timestamp,
) -> NodeVerdict {
    let Some((compiled, judged)) = judged(sets, scenario, node, when) else {
        let counts = PatchCounts::default();
        return NodeVerdict { status: ComplianceStatus::Unknown, level: None, counts };
    };
    let patches = node.patches.iter().zip(judged);
    let reported =
        patches.filter_map(|((patch, _), it)| Some((patch.classification.as_ref(), it?)));
    let mut verdict = judge_node(&compiled, reported);
    match node.evidence {
        Evidence::Whole => {}
        Evidence::Part if verdict.status == ComplianceStatus::NonCompliant => {}
        _ => verdict.status = ComplianceStatus::Unknown,
    }
    verdict
}
