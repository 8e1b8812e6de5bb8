//! One baseline's decisions on all patches of a cohort, taken once.

use jiff::Timestamp;

use super::{
    matrix::{Cohort, Column},
    scenario::Scenario,
};
use crate::{
    CompiledBaseline, ComplianceStatus, Decision, JudgedPatch, OperatingSystem, Patch,
    PatchBaseline, Presence, UpdateScope,
    baseline::{PatchKind, state_under},
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

/// All that a patch's weights hang on.
type Kind = (PatchKind, Option<Listed>);

impl Decided {
    pub(super) fn new(baseline: &PatchBaseline, scenario: &Scenario, cohort: &Cohort) -> Self {
        let compiled = CompiledBaseline::new(baseline).with_boundary(scenario.boundary);
        let columns = &cohort.patches;
        let mut decided = Self {
            decisions: columns
                .iter()
                .map(|column| compiled.decide_named(&column.patch, &column.names, scenario.when))
                .collect(),
            listed: listed(&scenario.installs, &cohort.operating_system, columns, scenario.when),
            compiled,
            absent: Vec::with_capacity(columns.len()),
            pending_reboot: Vec::with_capacity(columns.len()),
            installed: Vec::with_capacity(columns.len()),
        };
        // Thousands of patches are of a handful of kinds, each judged once.
        let mut known: Vec<(Kind, [Weight; 3])> = Vec::new();
        for (number, column) in columns.iter().enumerate() {
            let kind = PatchKind::of(&column.patch, decided.decisions[number]);
            let key = (kind, decided.listed.get(number).copied());
            let found = known.iter().find(|(known, _)| *known == key).map(|(_, weights)| *weights);
            let [absent, pending_reboot, installed] = found.unwrap_or_else(|| {
                let weight = |presence| {
                    let judged = decided.judge(number, &column.patch, presence, scenario);
                    judged.map_or(HARMLESS, |judged| weight(&judged))
                };
                let all = [Presence::Absent, Presence::InstalledPendingReboot, Presence::Installed];
                let weights = all.map(weight);
                known.push((key, weights));
                weights
            });
            decided.absent.push(absent);
            decided.pending_reboot.push(pending_reboot);
            decided.installed.push(installed);
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
        let kind = PatchKind::of(patch, self.decisions[number]);
        state_under(&self.compiled, kind, presence, scenario.operation)
    }

    /// From when on a node that lacks the patch is not compliant for it; `None` for never.
    ///
    /// An approval is never taken back as time goes, so that there is one such moment. Before it
    /// the patch may be wrong already as an available security update.
    pub(super) fn onset(
        &self,
        number: usize,
        column: &Column,
        scenario: &Scenario,
    ) -> Option<Timestamp> {
        if self.listed.get(number) == Some(&Listed::Named) {
            return (self.absent[number] != HARMLESS).then_some(Timestamp::MIN);
        }
        let Column { patch, names, .. } = column;
        let at_last = self.compiled.decide_named(patch, names, Timestamp::MAX);
        let state = |decision| {
            let kind = PatchKind::of(patch, decision);
            let judged = state_under(&self.compiled, kind, Presence::Absent, scenario.operation);
            judged.is_some_and(|judged| judged.status == ComplianceStatus::NonCompliant)
        };
        let before = self.compiled.decide_named(patch, names, Timestamp::MIN);
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
    let is_named =
        |column: &Column| list.decide_named(&column.patch, &column.names, when).is_approved();
    let named = |column| if is_named(column) { Listed::Named } else { Listed::NotNamed };
    columns.iter().map(named).collect()
}
