//! The state of a patch on a node, and what all states say of the node.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AvailableUpdates, CompiledBaseline, Decision, RejectedAction, eval::Approval};
use crate::{
    Classification, ComplianceLevel, ComplianceStatus, Patch, PatchCounts, PatchState, PlatformKind,
};

/// A patch as it is on a node, before any baseline is asked.
///
/// ```
/// use patchkit_core::{
///     ApprovalRule, AutoApproval, CompiledBaseline, NodePatch, OperatingSystem, OperationKind,
///     Patch, PatchBaseline, PatchId, PatchState, Presence, patch_state,
/// };
///
/// let baseline = PatchBaseline::new("web", OperatingSystem::AmazonLinux2023)
///     .with_rule(ApprovalRule::new(AutoApproval::AfterDays(0)));
/// let baseline = CompiledBaseline::new(&baseline);
/// let bash = NodePatch::new(Patch::new(PatchId::new("bash")?), Presence::Absent);
///
/// let when = "2026-01-01T00:00:00Z".parse().unwrap();
/// let judged = patch_state(&baseline, &bash, OperationKind::Scan, when).unwrap();
/// assert_eq!(judged.state, PatchState::Missing);
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodePatch {
    /// The patch.
    pub patch: Patch,
    /// Whether it is there.
    pub presence: Presence,
    /// The packages that are not there yet and that it would bring along.
    pub needs: Vec<Patch>,
}

impl NodePatch {
    /// A patch that needs no other.
    pub fn new(patch: Patch, presence: Presence) -> Self {
        Self { patch, presence, needs: Vec::new() }
    }

    /// Adds a package that is not there yet and that the patch would bring along.
    #[must_use]
    pub fn with_need(mut self, needed: Patch) -> Self {
        self.needs.push(needed);
        self
    }
}

/// Whether a patch is on a node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Presence {
    /// It is not, and could be.
    Absent,
    /// It is, and takes effect.
    Installed,
    /// It is, and takes effect after a reboot.
    InstalledPendingReboot,
    /// It is not: the last attempt to install it failed.
    InstallFailed,
    /// The feature that it is for is not there (Windows).
    NotApplicable,
}

/// The operation after which a patch is judged.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// What is approved and absent is missing.
    Scan,
    /// What is approved and absent has failed.
    Install,
}

/// What an install does with a patch.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InstallChoice {
    /// It installs it, with all that it needs.
    Install,
    /// It does not: the patch is approved, but needs a package that is rejected with
    /// [`RejectedAction::Block`]. It is reported as failed.
    NeedsBlocked,
    /// It leaves it as it is: there already, not applicable or not approved.
    Leave,
}

/// The state of a patch on a node, held against a baseline.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct JudgedPatch {
    /// The state.
    pub state: PatchState,
    /// Its verdict; `Unknown` for a state that is neither.
    pub status: ComplianceStatus,
    /// How much the baseline's owner minds.
    pub level: ComplianceLevel,
}

impl JudgedPatch {
    /// A patch in `state`, with the verdict that `baseline` gives it.
    pub fn new(baseline: &CompiledBaseline, state: PatchState, level: ComplianceLevel) -> Self {
        let status = state.compliance(baseline.available_status());
        Self { state, status, level }
    }
}

/// What all patches say of a node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeVerdict {
    /// The verdict.
    pub status: ComplianceStatus,
    /// The highest compliance level among what is wrong.
    pub level: Option<ComplianceLevel>,
    /// How many patches are in which state.
    pub counts: PatchCounts,
}

impl CompiledBaseline {
    /// What an install does with a patch.
    ///
    /// A rejected patch is never installed by itself. Under
    /// [`RejectedAction::AllowAsDependency`] it comes along with a patch that needs it.
    pub fn install_choice(&self, node_patch: &NodePatch, when: Timestamp) -> InstallChoice {
        match node_patch.presence {
            Presence::Absent | Presence::InstallFailed => {}
            Presence::Installed | Presence::InstalledPendingReboot | Presence::NotApplicable => {
                return InstallChoice::Leave;
            }
        }
        if !self.decide(&node_patch.patch, when).is_approved() {
            InstallChoice::Leave
        } else if node_patch.needs.iter().any(|needed| self.blocks(needed)) {
            InstallChoice::NeedsBlocked
        } else {
            InstallChoice::Install
        }
    }

    /// What an available security update that is not approved says of a node.
    fn available_status(&self) -> ComplianceStatus {
        match self.baseline().available_updates {
            AvailableUpdates::Compliant => ComplianceStatus::Compliant,
            AvailableUpdates::NonCompliant => ComplianceStatus::NonCompliant,
        }
    }

    fn is_windows(&self) -> bool {
        self.baseline().operating_system.platform() == PlatformKind::Windows
    }
}

/// The state of a patch on a node after `operation`; `None` where it is not reported.
///
/// # Behavior
/// - Installed: `Installed` where it is approved, `InstalledOther` where it is not or not yet.
/// - Installed and rejected: `InstalledRejected` under [`RejectedAction::Block`], else
///   `InstalledOther`.
/// - Pending reboot: `InstalledPendingReboot`, approved or not, but for what is blocked.
/// - Approved and absent: `Missing` after a scan, `Failed` after an install, which leaves nothing
///   missing; so too where it needs a package that is blocked.
/// - Not approved and absent: not reported, but for a security update that is offered to a Windows
///   node: `AvailableSecurityUpdate`, unless it is rejected.
/// - Approved and not applicable: `NotApplicable` on Windows, else not reported.
/// - What is reported for another reason than an approval has the level `Unspecified`.
pub fn patch_state(
    baseline: &CompiledBaseline,
    node_patch: &NodePatch,
    operation: OperationKind,
    when: Timestamp,
) -> Option<JudgedPatch> {
    let decision = baseline.decide(&node_patch.patch, when);
    let kind = PatchKind::of(&node_patch.patch, decision);
    state_under(baseline, kind, node_patch.presence, operation)
}

/// All of a patch, and of the decision on it, that its state on a node hangs on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PatchKind {
    approval: Approval,
    level: ComplianceLevel,
    concern: Concern,
}

/// Whether a patch counts among the security patches of a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Concern {
    Security,
    Other,
}

impl PatchKind {
    pub(crate) fn of(patch: &Patch, decision: Decision) -> Self {
        let is_security = patch.classification.as_ref().is_some_and(Classification::is_security);
        let concern = if is_security { Concern::Security } else { Concern::Other };
        Self { approval: decision.approval, level: decision.level, concern }
    }

    fn is_approved(self) -> bool {
        matches!(self.approval, Approval::Approved | Approval::ExplicitApproved)
    }
}

/// The state of a patch on which the baseline has decided already: who judges many nodes decides
/// once.
pub(crate) fn state_under(
    baseline: &CompiledBaseline,
    kind: PatchKind,
    presence: Presence,
    operation: OperationKind,
) -> Option<JudgedPatch> {
    let state = match presence {
        Presence::Installed => installed(baseline, kind),
        // The newer user guide ("Patch compliance state values") counts also what was installed
        // outside Patch Manager since the last reboot; the older one did not.
        Presence::InstalledPendingReboot => match installed(baseline, kind) {
            PatchState::InstalledRejected => PatchState::InstalledRejected,
            _ => PatchState::InstalledPendingReboot,
        },
        Presence::Absent | Presence::InstallFailed if kind.is_approved() => match operation {
            OperationKind::Scan => PatchState::Missing,
            OperationKind::Install => PatchState::Failed,
        },
        Presence::Absent | Presence::InstallFailed => {
            let rejected = kind.approval == Approval::ExplicitRejected;
            if !baseline.is_windows() || kind.concern != Concern::Security || rejected {
                return None;
            }
            PatchState::AvailableSecurityUpdate
        }
        Presence::NotApplicable if baseline.is_windows() && kind.is_approved() => {
            PatchState::NotApplicable
        }
        Presence::NotApplicable => return None,
    };
    let level = if kind.is_approved() { kind.level } else { ComplianceLevel::Unspecified };
    Some(JudgedPatch::new(baseline, state, level))
}

/// What all reported patches of a scanned node say of it.
///
/// # Behavior
/// - Not compliant when any patch is rejected, pending a reboot, missing or failed, or where an
///   available security update is and the baseline says that this counts; else compliant, also
///   without any patch. That a node was scanned at all is the caller's to know.
/// - A patch can be among the critical and the security ones at once: the counts do not add up.
/// - An available security update is never among the critical ones.
pub fn judge_node<'a>(
    baseline: &CompiledBaseline,
    patches: impl IntoIterator<Item = (Option<&'a Classification>, JudgedPatch)>,
) -> NodeVerdict {
    let mut counts = PatchCounts::default();
    let mut level = None;
    for (classification, JudgedPatch { state, level: of_patch, .. }) in patches {
        counts.count(&state);
        if state.compliance(baseline.available_status()) != ComplianceStatus::NonCompliant {
            continue;
        }
        let available = state == PatchState::AvailableSecurityUpdate;
        let of_patch = if available { ComplianceLevel::Unspecified } else { of_patch };
        let critical = of_patch == ComplianceLevel::Critical;
        let security = available || classification.is_some_and(Classification::is_security);
        counts.critical_non_compliant += u32::from(critical);
        counts.security_non_compliant += u32::from(security);
        counts.other_non_compliant += u32::from(!critical && !security);
        level = level.max(Some(of_patch));
    }
    let status =
        if level.is_some() { ComplianceStatus::NonCompliant } else { ComplianceStatus::Compliant };
    NodeVerdict { status, level, counts }
}

fn installed(baseline: &CompiledBaseline, kind: PatchKind) -> PatchState {
    match (kind.approval, baseline.baseline().rejected_action) {
        (Approval::Approved | Approval::ExplicitApproved, _) => PatchState::Installed,
        (Approval::ExplicitRejected, RejectedAction::Block) => PatchState::InstalledRejected,
        _ => PatchState::InstalledOther,
    }
}

#[cfg(test)]
mod tests;
