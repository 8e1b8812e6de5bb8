//! What the cycle prints: the plan, the tables before and after, or one JSON object.

use std::{collections::BTreeMap, fmt::Write as _, io::Write};

use patchkit_core::{
    ComplianceStatus, NodeId, PatchGroupName, PowerState,
    workflow::{NodeReport, Outcome, PatchPlan, RunReport, UndoFailure},
};
use patchkit_examples::{percent, printable, table, write_json};
use serde::Serialize;

/// The plan for people, safe for a terminal.
pub(crate) fn plan(plan: &PatchPlan) -> String {
    plan.to_string().lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", printable(line));
        text
    })
}

/// The object of `--format json`.
#[derive(Serialize)]
struct Document<'a> {
    plan: Plan<'a>,
    nodes: Vec<Row<'a>>,
    undo_failed: &'a [UndoFailureRow<'a>],
}

#[derive(Serialize)]
struct Plan<'a> {
    hash: String,
    #[serde(flatten)]
    plan: &'a PatchPlan,
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a NodeId,
    group: Option<&'a PatchGroupName>,
    power_before: PowerState,
    power_after: PowerState,
    status_before: ComplianceStatus,
    status_after: ComplianceStatus,
    outcome: Outcome,
}

#[derive(Serialize)]
struct UndoFailureRow<'a> {
    id: &'a NodeId,
    step: &'a str,
    error: &'a str,
}

impl<'a> From<&'a UndoFailure> for UndoFailureRow<'a> {
    fn from(failure: &'a UndoFailure) -> Self {
        Self { id: &failure.node, step: &failure.step, error: &failure.error }
    }
}

impl<'a> From<&'a NodeReport> for Row<'a> {
    fn from(report: &'a NodeReport) -> Self {
        Self {
            id: &report.node,
            group: report.group.as_ref(),
            power_before: documented(report.power_before),
            power_after: documented(report.power_after),
            status_before: report.status_before,
            status_after: report.status_after,
            outcome: report.outcome.outcome,
        }
    }
}

/// A node that is gone has no power that could be told.
fn documented(power: PowerState) -> PowerState {
    match power {
        PowerState::Terminated => PowerState::Unknown,
        other => other,
    }
}

/// Writes one JSON object and nothing else.
pub(crate) fn json(
    out: &mut impl Write,
    plan: &PatchPlan,
    ended: Option<&RunReport>,
) -> std::io::Result<()> {
    let undo_failed: Vec<UndoFailureRow<'_>> =
        ended.iter().flat_map(|report| &report.undo_failed).map(UndoFailureRow::from).collect();
    let document = Document {
        plan: Plan { hash: plan.hash(), plan },
        nodes: ended.iter().flat_map(|report| &report.nodes).map(Row::from).collect(),
        undo_failed: &undo_failed,
    };
    write_json(out, &document)
}

/// Puts the second run's ends in the place of the first one's, where it touched a node.
pub(crate) fn merge(mut first: RunReport, second: RunReport) -> RunReport {
    let mut again: BTreeMap<NodeId, NodeReport> =
        second.nodes.into_iter().map(|node| (node.node.clone(), node)).collect();
    for node in &mut first.nodes {
        let Some(later) = again.remove(&node.node) else { continue };
        node.power_after = later.power_after;
        if later.outcome.outcome != Outcome::Skipped {
            node.status_after = later.status_after;
            node.outcome = later.outcome;
        }
    }
    first.ended_at = second.ended_at;
    first.undo_failed.extend(second.undo_failed);
    first.problems.extend(second.problems);
    first
}

/// Whether every node is compliant, nothing failed, and nothing is left to look at. A node that was
/// left alone for a reason is no failure.
pub(crate) fn is_clean(ended: &RunReport) -> bool {
    let failed = |node: &NodeReport| {
        matches!(node.outcome.outcome, Outcome::Failed | Outcome::Unreachable | Outcome::Unknown)
    };
    ended.undo_failed.is_empty()
        && ended.problems.is_empty()
        && ended
            .nodes
            .iter()
            .all(|node| node.status_after == ComplianceStatus::Compliant && !failed(node))
}

/// How many nodes of a group had which status.
#[derive(Default)]
struct Tally {
    nodes: u64,
    before: BTreeMap<ComplianceStatus, u64>,
    after: BTreeMap<ComplianceStatus, u64>,
}

/// Writes the tables: each node, each group before and after, what needs a look.
pub(crate) fn tables(out: &mut impl Write, ended: &RunReport) -> std::io::Result<()> {
    let mut nodes = table(["node", "group", "power", "status", "outcome", "notes"]);
    let mut groups: BTreeMap<String, Tally> = BTreeMap::new();
    for node in &ended.nodes {
        let group = node.group.as_ref().map_or("–", |group| group.as_str());
        let tally = groups.entry(printable(group)).or_default();
        tally.nodes += 1;
        *tally.before.entry(node.status_before).or_default() += 1;
        *tally.after.entry(node.status_after).or_default() += 1;
        nodes.add_row([
            short(&node.node),
            printable(group),
            arrow(node.power_before, node.power_after),
            arrow(node.status_before, node.status_after),
            node.outcome.outcome.to_string(),
            printable(&node.outcome.notes.join("; ")),
        ]);
    }
    writeln!(out, "{nodes}\n")?;

    let mut summary = table(["group", "nodes", "compliant before", "compliant after", "unknown"]);
    for (group, tally) in &groups {
        let good = |counts: &BTreeMap<_, u64>| {
            counts.get(&ComplianceStatus::Compliant).copied().unwrap_or(0)
        };
        let share = |count| format!("{count} ({})", percent(count, tally.nodes));
        summary.add_row([
            group.clone(),
            tally.nodes.to_string(),
            share(good(&tally.before)),
            share(good(&tally.after)),
            tally.after.get(&ComplianceStatus::Unknown).copied().unwrap_or(0).to_string(),
        ]);
    }
    writeln!(out, "{summary}\n")?;
    for line in ended.to_string().lines() {
        writeln!(out, "{}", printable(line))?;
    }
    let left = ended.nodes.iter().filter(|node| node.status_after != ComplianceStatus::Compliant);
    match left.count() {
        0 => writeln!(out, "every node is compliant"),
        1 => writeln!(out, "1 node is not known to be compliant: exit code 1"),
        left => writeln!(out, "{left} nodes are not known to be compliant: exit code 1"),
    }
}

fn arrow<T: Copy + PartialEq + ToString>(before: T, after: T) -> String {
    if before == after {
        before.to_string()
    } else {
        format!("{} → {}", before.to_string(), after.to_string())
    }
}

/// The scope and the name: an ARM id is too long for a table.
pub(super) fn short(id: &NodeId) -> String {
    let scope = id.scope();
    let account: String = scope.account().as_str().chars().take(12).collect();
    printable(&format!("{}/{account}/{}/{}", scope.provider(), scope.region(), id.name()))
}
