//! One baseline's decisions on all patches of a cohort, taken once.

use jiff::Timestamp;

use super::{
    matrix::{Cohort, Column},
    scenario::Scenario,
};
use crate::{
    CompiledBaseline, ComplianceStatus, Decision, JudgedPatch, OperatingSystem, Patch,
    PatchBaseline, Presence, UpdateScope, baseline::state_under,
};

/// What one baseline says of each patch of a cohort, and how bad each state then is for a node.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) compiled: CompiledBaseline,
    pub(super) decisions: Vec<Decision>,
    /// Patches that an install override list would have installed.
    listed: Vec<Listed>,
    pub(super) absent: Vec<Weight>,
    pub(super) pending_reboot: Vec<Weight>,
    pub(super) installed: Vec<Weight>,
}

/// A bit for each level of what is wrong: to put two together takes no branch, which the levels of
/// patches would make unpredictable.
pub(super) type Weight = u8;

pub(super) const HARMLESS: Weight = 0;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Listed {
    Named,
    NotNamed,
}

impl Decided {
    pub(super) fn new(baseline: &PatchBaseline, scenario: &Scenario, cohort: &Cohort) -> Self {
        let compiled = CompiledBaseline::new(baseline).with_boundary(scenario.boundary);
        let columns = &cohort.patches;
        let mut decided = Self {
            decisions: columns
                .iter()
                .map(|column| compiled.decide(&column.patch, scenario.when))
                .collect(),
            listed: listed(&scenario.installs, &cohort.operating_system, columns, scenario.when),
            compiled,
            absent: Vec::with_capacity(columns.len()),
            pending_reboot: Vec::with_capacity(columns.len()),
            installed: Vec::with_capacity(columns.len()),
        };
        for (number, column) in columns.iter().enumerate() {
            let weight = |presence| {
                let judged = decided.judge(number, &column.patch, presence, scenario);
                judged.map_or(HARMLESS, |judged| weight(&judged))
            };
            let weights = [Presence::Absent, Presence::InstalledPendingReboot, Presence::Installed]
                .map(weight);
            decided.absent.push(weights[0]);
            decided.pending_reboot.push(weights[1]);
            decided.installed.push(weights[2]);
        }
        decided
    }

    /// The state of a patch on a node, as the core judges it.
    pub(super) fn judge(
        &self,
        number: usize,
        patch: &Patch,
        presence: Presence,
        scenario: &Scenario,
    ) -> Option<JudgedPatch> {
        let presence = match (presence, self.listed.get(number)) {
            (Presence::Absent, Some(Listed::Named)) => Presence::Installed,
            (presence, _) => presence,
        };
        let decision = self.decisions[number];
        state_under(&self.compiled, decision, patch, presence, scenario.operation)
    }

    /// From when on a node that lacks the patch is not compliant for it; `None` for never.
    ///
    /// An approval is never taken back as time goes, so that there is one such moment. Before it
    /// the patch may be wrong already as an available security update.
    pub(super) fn onset(
        &self,
        number: usize,
        patch: &Patch,
        scenario: &Scenario,
    ) -> Option<Timestamp> {
        if self.listed.get(number) == Some(&Listed::Named) {
            return (self.absent[number] != HARMLESS).then_some(Timestamp::MIN);
        }
        let at_last = self.compiled.decide(patch, Timestamp::MAX);
        let state = |decision| {
            let judged =
                state_under(&self.compiled, decision, patch, Presence::Absent, scenario.operation);
            judged.is_some_and(|judged| judged.status == ComplianceStatus::NonCompliant)
        };
        let before = self.compiled.decide(patch, Timestamp::MIN);
        if state(before) {
            return Some(Timestamp::MIN);
        }
        state(at_last).then(|| at_last.approved_from.unwrap_or(Timestamp::MIN))
    }
}

fn weight(judged: &JudgedPatch) -> Weight {
    match judged.status {
        ComplianceStatus::NonCompliant => 1 << judged.level as Weight,
        _ => HARMLESS,
    }
}

fn listed(
    names: &[String],
    os: &OperatingSystem,
    columns: &[Column],
    when: Timestamp,
) -> Vec<Listed> {
    if names.is_empty() {
        return Vec::new();
    }
    let list = PatchBaseline::new("install-override-list", os.clone())
        .with_approved(names)
        .with_approved_scope(UpdateScope::All);
    let list = CompiledBaseline::new(&list);
    let is_named = |column: &Column| list.decide(&column.patch, when).is_approved();
    let named = |column| if is_named(column) { Listed::Named } else { Listed::NotNamed };
    columns.iter().map(named).collect()
}
