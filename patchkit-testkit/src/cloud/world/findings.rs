//! What Systems Manager shows of the patches that an operation found on a node.

use jiff::Timestamp;
use patchkit_core::{ComplianceLevel, ComplianceStatus, Patch, PatchState};

use super::{
    State,
    clock::later,
    judge::{PatchScan, between},
    machine::MachineIx,
};

/// A patch as an operation reported it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finding<'a> {
    pub(crate) patch: &'a Patch,
    /// As real replies spell it: `InstalledOther`.
    pub(crate) state: &'a str,
    pub(crate) status: ComplianceStatus,
    pub(crate) level: ComplianceLevel,
    /// None where it is not there.
    pub(crate) installed: Option<Timestamp>,
    windows: bool,
}

impl Finding<'_> {
    /// Empty for what the baseline does not ask for: the agent leaves it out to save space (user
    /// guide, "Patch compliance state values").
    pub(crate) fn classification(&self) -> &str {
        let patch = self.patch;
        match &patch.classification {
            _ if self.is_short() => "",
            Some(classification) => classification.as_str(),
            None => patch.section.as_deref().unwrap_or_default(),
        }
    }

    /// As its vendor names it, on APT its priority; empty where the classification is.
    pub(crate) fn severity(&self) -> &str {
        let patch = self.patch;
        match &patch.severity {
            _ if self.is_short() => "",
            Some(severity) => severity.as_str(),
            None => patch.priority.as_deref().unwrap_or_default(),
        }
    }

    /// Windows tells the titles only of what its baseline asks for (AWS CLI examples,
    /// describe-instance-patches).
    pub(crate) fn title(&self) -> &str {
        if self.windows && self.is_short() {
            return "";
        }
        self.patch.title.as_deref().unwrap_or_default()
    }

    /// With commas between them, and only for what is yet to come: `Missing` and `Failed`.
    pub(crate) fn cves(&self) -> Option<String> {
        let wanted = matches!(self.state, "Missing" | "Failed") && !self.patch.cves.is_empty();
        wanted.then(|| self.patch.cves.join(","))
    }

    /// Neither compliant nor not is an empty text (botocore ssm model, `ComplianceItem.Status`).
    pub(crate) fn status(&self) -> &'static str {
        match self.status {
            ComplianceStatus::Compliant => "COMPLIANT",
            ComplianceStatus::NonCompliant => "NON_COMPLIANT",
            _ => "",
        }
    }

    fn is_short(&self) -> bool {
        matches!(self.state, "InstalledOther" | "NotApplicable")
    }
}

impl State {
    /// What the last operation on a node reported, by the place of the patch; nothing where there
    /// was none.
    pub(crate) fn findings(&self, at: MachineIx) -> impl Iterator<Item = Finding<'_>> {
        let scan = self.machine(at).aws.as_ref().and_then(|aws| aws.scan.as_deref());
        scan.into_iter().flat_map(move |scan| self.findings_of(at, scan))
    }

    /// What an operation on a node reported, by the place of the patch.
    pub(crate) fn findings_of<'a>(
        &'a self,
        at: MachineIx,
        scan: &'a PatchScan,
    ) -> impl Iterator<Item = Finding<'a>> {
        let system = self.system_of(at);
        scan.items().map(move |(place, judged)| {
            let patch = &system.patches[place];
            let state = spelled(&judged.state);
            let there = state.starts_with("Installed");
            Finding {
                patch,
                state,
                status: judged.status,
                level: judged.level,
                installed: there.then(|| self.installed_at(at, scan, place)),
                windows: system.is_windows(),
            }
        })
    }

    /// When a patch was installed: known for those of this world's time, made up for the others.
    fn installed_at(&self, at: MachineIx, scan: &PatchScan, place: usize) -> Timestamp {
        let known = scan.patches.installed_at.iter().rev();
        let known = known.into_iter().find(|(of, _)| usize::from(*of) == place);
        if let Some(second) = known.and_then(|(_, at)| Timestamp::from_second(*at).ok()) {
            return second;
        }
        self.installed_before(at, place)
    }

    /// When a patch that was there from the beginning was installed: in the days after its release,
    /// or with the machine.
    pub(crate) fn installed_before(&self, at: MachineIx, place: usize) -> Timestamp {
        let machine = self.machine(at);
        let released = self.system_of(at).patches[place].released_at;
        let bits = self.draw(at, 0x1257 ^ place as u64);
        let begun = machine.aws.as_ref().and_then(|aws| aws.registered);
        let when = released.unwrap_or(machine.created).max(machine.created);
        let when = later(when, between(bits, 3_600, 9 * 86_400));
        // Nothing is installed in the future, nor after a boot that made it take effect.
        let when = when.min(machine.first_booted.max(begun.unwrap_or(machine.created)));
        Timestamp::from_second(when.as_second()).unwrap_or(when)
    }
}

/// A state as real replies and sync files have it, other than the model's enum (AWS CLI examples,
/// describe-instance-patches).
pub(crate) fn spelled(state: &PatchState) -> &str {
    match state {
        PatchState::Installed => "Installed",
        PatchState::InstalledOther => "InstalledOther",
        PatchState::InstalledPendingReboot => "InstalledPendingReboot",
        PatchState::InstalledRejected => "InstalledRejected",
        PatchState::Missing => "Missing",
        PatchState::Failed => "Failed",
        PatchState::AvailableSecurityUpdate => "AvailableSecurityUpdate",
        PatchState::NotApplicable => "NotApplicable",
        // The judge gives no other; who names states may.
        other => other.as_str(),
    }
}
