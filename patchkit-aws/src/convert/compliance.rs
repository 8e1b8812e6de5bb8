//! What Systems Manager tells of a node's patches as the core's compliance.

use std::{collections::HashMap, convert::Infallible, str::FromStr};

use aws_sdk_ssm::types::{InstancePatchState, PatchComplianceData};
use patchkit_core::{
    BaselineId, ComplianceLevel, ComplianceStatus, NodeCompliance, NodeId, PatchCompliance,
    PatchCounts, PatchGroupName, PatchId, PatchState, Result,
};

use super::timestamp;

/// The verdict that counts give: anything that is missing, failed, rejected or waiting for a reboot, or
/// that the service itself counts as not compliant, which is how a baseline that minds available
/// security updates shows.
fn verdict(counts: &PatchCounts) -> ComplianceStatus {
    let told =
        [counts.critical_non_compliant, counts.security_non_compliant, counts.other_non_compliant];
    if counts.non_compliant() > 0 || told.iter().any(|count| *count > 0) {
        ComplianceStatus::NonCompliant
    } else {
        ComplianceStatus::Compliant
    }
}

/// A node's patch summary of DescribeInstancePatchStates.
pub(crate) fn patch_state(node: NodeId, state: &InstancePatchState) -> NodeCompliance {
    let count = |count: i32| u32::try_from(count).unwrap_or(0);
    let maybe = |it: Option<i32>| it.map_or(0, count);
    let mut counts = PatchCounts::default();
    counts.installed = count(state.installed_count());
    counts.installed_other = count(state.installed_other_count());
    counts.installed_pending_reboot = maybe(state.installed_pending_reboot_count());
    counts.installed_rejected = maybe(state.installed_rejected_count());
    counts.missing = count(state.missing_count());
    counts.failed = count(state.failed_count());
    counts.not_applicable = count(state.not_applicable_count());
    counts.available_security_update = maybe(state.available_security_update_count());
    counts.critical_non_compliant = maybe(state.critical_non_compliant_count());
    counts.security_non_compliant = maybe(state.security_non_compliant_count());
    counts.other_non_compliant = maybe(state.other_non_compliant_count());
    let mut known = NodeCompliance::unknown(node);
    known.status = verdict(&counts);
    known.counts = counts;
    known.baseline = BaselineId::new(state.baseline_id()).ok();
    known.group = PatchGroupName::new(state.patch_group()).ok();
    known.observed_at = timestamp(state.operation_end_time());
    known
}

/// A node's patch summary out of the inventory, where every number is a text. A row that lacks the
/// counts which decide says nothing.
pub(crate) fn patch_summary(node: NodeId, row: &HashMap<String, String>) -> NodeCompliance {
    let text = |name: &str| row.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let mut counts = PatchCounts::default();
    let mut sound = true;
    for (name, slot) in [
        ("InstalledCount", &mut counts.installed),
        ("InstalledOtherCount", &mut counts.installed_other),
        ("InstalledPendingRebootCount", &mut counts.installed_pending_reboot),
        ("InstalledRejectedCount", &mut counts.installed_rejected),
        ("MissingCount", &mut counts.missing),
        ("FailedCount", &mut counts.failed),
        ("NotApplicableCount", &mut counts.not_applicable),
        ("AvailableSecurityUpdateCount", &mut counts.available_security_update),
        ("CriticalNonCompliantCount", &mut counts.critical_non_compliant),
        ("SecurityNonCompliantCount", &mut counts.security_non_compliant),
        ("OtherNonCompliantCount", &mut counts.other_non_compliant),
    ] {
        match text(name).map(str::parse) {
            Some(Ok(count)) => *slot = count,
            Some(Err(_)) => sound = false,
            None if matches!(name, "MissingCount" | "FailedCount") => sound = false,
            None => {}
        }
    }
    let mut known = NodeCompliance::unknown(node);
    known.status = match verdict(&counts) {
        ComplianceStatus::Compliant if !sound => ComplianceStatus::Unknown,
        verdict => verdict,
    };
    known.counts = counts;
    known.level = text("NonCompliantSeverity").and_then(ComplianceLevel::from_wire);
    known.baseline = text("BaselineId").and_then(|id| BaselineId::new(id).ok());
    known.group = text("PatchGroup").and_then(|group| PatchGroupName::new(group).ok());
    known.observed_at =
        ["OperationEndTime", "OperationStartTime"].iter().find_map(|name| text(name)?.parse().ok());
    known
}

/// One patch of DescribeInstancePatches.
///
/// Whether an available security update counts is the baseline's to say, which the row does not
/// tell: its status is `Unknown`.
pub(crate) fn patch(row: &PatchComplianceData) -> Result<PatchCompliance> {
    let state: PatchState = word(row.state().as_str());
    let status = state.compliance(ComplianceStatus::Unknown);
    // Windows names a patch by its KB; elsewhere the KB id holds the package's name.
    let mut patch = PatchCompliance::new(PatchId::new(row.kb_id())?, state, status);
    // Rows of InstalledOther and NotApplicable leave them out (user guide, "Patch compliance state
    // values": for size).
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    patch.title = said(row.title());
    patch.classification = said(row.classification()).map(|it| word(&it));
    patch.severity = said(row.severity()).map(|it| word(&it));
    // What is not installed carries the beginning of time.
    patch.installed_at = timestamp(row.installed_time()).filter(|at| at.as_second() > 0);
    let cves = row.cve_ids().unwrap_or_default().split(',').map(str::trim);
    patch.cves = cves.filter(|cve| !cve.is_empty()).map(str::to_owned).collect();
    Ok(patch)
}

/// A word of the service's: one that the core does not know survives.
fn word<T: FromStr<Err = Infallible>>(text: &str) -> T {
    text.parse().unwrap_or_else(|never: Infallible| match never {})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pairs: &[(&str, &str)]) -> NodeCompliance {
        let node = "aws/111122223333/eu-west-1/i-01".parse().unwrap();
        let row = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        patch_summary(node, &row.collect())
    }

    #[test]
    fn a_summary_without_its_counts_is_unknown() {
        assert_eq!(row(&[]).status, ComplianceStatus::Unknown);
        assert_eq!(row(&[("MissingCount", "0")]).status, ComplianceStatus::Unknown);
        let odd = row(&[("MissingCount", "0"), ("FailedCount", "many")]);
        assert_eq!(odd.status, ComplianceStatus::Unknown);
        let sound = row(&[("MissingCount", "0"), ("FailedCount", "0"), ("InstalledCount", "")]);
        assert_eq!(sound.status, ComplianceStatus::Compliant);
    }

    #[test]
    fn a_missing_patch_counts_whatever_else_cannot_be_read() {
        let known = row(&[("MissingCount", "1"), ("FailedCount", "?")]);
        assert_eq!(known.status, ComplianceStatus::NonCompliant);
    }

    #[test]
    fn an_update_that_the_baseline_minds_counts() {
        let base =
            [("MissingCount", "0"), ("FailedCount", "0"), ("AvailableSecurityUpdateCount", "2")];
        assert_eq!(row(&base).status, ComplianceStatus::Compliant);
        let minded = [&base[..], &[("SecurityNonCompliantCount", "2")]].concat();
        assert_eq!(row(&minded).status, ComplianceStatus::NonCompliant);
    }
}
