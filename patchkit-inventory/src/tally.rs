//! What the rows of one node add up to, in whatever order and on whichever worker they come.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use patchkit_core::{
    BaselineId, Classification, ComplianceLevel, ComplianceStatus, NodeCompliance, NodeId,
    OperatingSystem, PatchCounts, PatchGroupName, PatchId, PatchState, Tags,
};

use crate::{Disagreement, InventoryRecord, LakeNode, Liveness, NodeInfo, finding::shown};

/// What is worth knowing of a patch that nodes lack; shared between them.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct PatchFacts {
    pub(crate) id: PatchId,
    pub(crate) title: Option<Box<str>>,
    pub(crate) level: ComplianceLevel,
    pub(crate) classification: Option<Classification>,
}

/// A name that core would refuse is taken as it may be shown: it is not lost.
fn baseline(row: &InventoryRecord<'_>, field: &str) -> Option<BaselineId> {
    let text = row.text(field)?;
    BaselineId::new(text).or_else(|_| BaselineId::new(shown(text))).ok()
}

fn group(row: &InventoryRecord<'_>, field: &str) -> Option<PatchGroupName> {
    let text = row.text(field)?;
    PatchGroupName::new(text).or_else(|_| PatchGroupName::new(shown(text))).ok()
}

/// One verdict on the patches of a node.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    status: ComplianceStatus,
    level: Option<ComplianceLevel>,
    counts: PatchCounts,
    baseline: Option<BaselineId>,
    group: Option<PatchGroupName>,
    /// When the run began that found it, where that is told apart from its end.
    began: Option<Timestamp>,
    at: Option<Timestamp>,
}

/// How bad a verdict is, for choosing between two of one time: never the better one in doubt.
fn badness(status: ComplianceStatus) -> u8 {
    match status {
        ComplianceStatus::NonCompliant => 2,
        ComplianceStatus::Unknown => 1,
        _ => 0,
    }
}

impl Verdict {
    /// A row of `AWS:ComplianceSummary` with `ComplianceType` `Patch`.
    pub(crate) fn of_compliance_summary(row: &InventoryRecord<'_>) -> Self {
        let count = |name| row.count(name).unwrap_or(0);
        let others = [
            "NonCompliantHighCount",
            "NonCompliantMediumCount",
            "NonCompliantLowCount",
            "NonCompliantInformationalCount",
            "NonCompliantUnspecifiedCount",
        ];
        let mut counts = PatchCounts::default();
        counts.critical_non_compliant = count("NonCompliantCriticalCount");
        counts.other_non_compliant =
            others.into_iter().fold(0, |sum, name| sum.saturating_add(count(name)));
        Self {
            status: row
                .text("Status")
                .map_or(ComplianceStatus::Unknown, ComplianceStatus::from_wire),
            level: row.text("OverallSeverity").and_then(ComplianceLevel::from_wire),
            counts,
            baseline: baseline(row, "PatchBaselineId"),
            group: group(row, "PatchGroup"),
            began: None,
            at: row.time("ExecutionTime").or_else(|| row.time("captureTime")),
        }
    }

    /// A row of `AWS:PatchSummary`, by the node's own rule: not compliant when any patch is missing,
    /// failed, rejected or waiting for a reboot, or when the counts of what is not compliant say so
    /// (which is how a baseline that minds available security updates shows).
    pub(crate) fn of_patch_summary(row: &InventoryRecord<'_>) -> Self {
        let mut counts = PatchCounts::default();
        let mut unreadable = false;
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
            match (row.text(name), row.count(name)) {
                (_, Some(count)) => *slot = count,
                (Some(_), None) => unreadable = true,
                (None, None) => {}
            }
        }
        let wrong = [
            counts.installed_pending_reboot,
            counts.installed_rejected,
            counts.missing,
            counts.failed,
            counts.critical_non_compliant,
            counts.security_non_compliant,
            counts.other_non_compliant,
        ];
        let decisive = ["MissingCount", "FailedCount"].iter().all(|name| row.count(name).is_some());
        let status = if wrong.iter().any(|count| *count > 0) {
            ComplianceStatus::NonCompliant
        } else if decisive && !unreadable {
            ComplianceStatus::Compliant
        } else {
            ComplianceStatus::Unknown
        };
        let times = ["OperationEndTime", "OperationStartTime", "captureTime"];
        Self {
            status,
            level: row.text("NonCompliantSeverity").and_then(ComplianceLevel::from_wire),
            counts,
            baseline: baseline(row, "BaselineId"),
            group: group(row, "PatchGroup"),
            began: row.time("OperationStartTime"),
            at: times.iter().find_map(|name| row.time(name)),
        }
    }

    /// The newer of two; of one time the worse. A verdict that says nothing loses to one that does.
    fn newer(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        let rank = |verdict: &Self| {
            let known = verdict.status != ComplianceStatus::Unknown;
            (known, verdict.at, badness(verdict.status))
        };
        match (a, b) {
            (Some(a), Some(b)) => Some(if rank(&b) > rank(&a) { b } else { a }),
            (a, b) => a.or(b),
        }
    }

    /// The one of the node's two summaries to believe: the newer one.
    ///
    /// The compliance summary is dated by the beginning of the run, the patch summary by its end. Of
    /// one run neither is newer, and the worse one counts: the patch summary of a baseline that minds
    /// available security updates need not show them, where the other says NON_COMPLIANT.
    fn choose(compliance: Option<Self>, patch: Option<Self>) -> Option<Self> {
        if let (Some(a), Some(b)) = (&compliance, &patch)
            && a.status != ComplianceStatus::Unknown
            && b.status != ComplianceStatus::Unknown
            && b.began.is_some_and(|began| a.at >= Some(began) && a.at <= b.at)
        {
            return if badness(a.status) >= badness(b.status) { compliance } else { patch };
        }
        Self::newer(compliance, patch)
    }
}

/// What the items of a node add up to.
#[derive(Clone, Debug, Default)]
pub(crate) struct ItemTally {
    counts: PatchCounts,
    level: Option<ComplianceLevel>,
    at: Option<Timestamp>,
    baseline: Option<BaselineId>,
    group: Option<PatchGroupName>,
    wrong: bool,
    right: bool,
    /// Whether part of the items was lost, so that the rest cannot show the node compliant.
    pub(crate) partial: bool,
    pub(crate) gaps: Vec<(Arc<PatchFacts>, PatchState)>,
}

/// The verdict on one patch: the row's own word, or else what its state means.
pub(crate) fn item_status(row: &InventoryRecord<'_>, state: &PatchState) -> ComplianceStatus {
    match row.text("Status").map(ComplianceStatus::from_wire) {
        Some(status) if status != ComplianceStatus::Unknown => status,
        _ => state.compliance(ComplianceStatus::Unknown),
    }
}

impl ItemTally {
    pub(crate) fn take(&mut self, row: &InventoryRecord<'_>, state: &PatchState) {
        let status = item_status(row, state);
        self.counts.count(state);
        if status == ComplianceStatus::NonCompliant {
            let level = row.text("Severity").and_then(ComplianceLevel::from_wire);
            let kind = row.text("Classification").map(|text| {
                let Ok(kind) = text.parse::<Classification>();
                kind
            });
            let critical = level == Some(ComplianceLevel::Critical);
            let security = kind.is_some_and(|kind| kind.is_security());
            self.counts.critical_non_compliant += u32::from(critical);
            self.counts.security_non_compliant += u32::from(security);
            self.counts.other_non_compliant += u32::from(!critical && !security);
            self.level = self.level.max(level);
            self.wrong = true;
        }
        self.right |= status == ComplianceStatus::Compliant;
        self.at = self.at.max(row.time("ExecutionTime").or_else(|| row.time("captureTime")));
        if self.baseline.is_none() {
            self.baseline = baseline(row, "PatchBaselineId");
            self.group = group(row, "PatchGroup");
        }
    }

    fn verdict(&self) -> Verdict {
        let status = match (self.wrong, self.right && !self.partial) {
            (true, _) => ComplianceStatus::NonCompliant,
            (false, true) => ComplianceStatus::Compliant,
            (false, false) => ComplianceStatus::Unknown,
        };
        Verdict {
            status,
            level: self.level,
            counts: self.counts,
            baseline: self.baseline.clone(),
            group: self.group.clone(),
            began: None,
            at: self.at,
        }
    }
}

/// What was read of one node so far. Merging is commutative: objects come in any order.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeTally {
    info: Option<(Liveness, Option<OperatingSystem>, NodeInfo)>,
    compliance_summary: Option<Verdict>,
    patch_summary: Option<Verdict>,
    items: Option<ItemTally>,
    others: BTreeMap<String, (Option<Timestamp>, ComplianceStatus)>,
    tags: Tags,
    item_paths: Vec<Arc<str>>,
}

impl NodeTally {
    pub(crate) fn take_info(&mut self, row: &InventoryRecord<'_>) {
        let text = |name| row.text(name).map(Box::from);
        let info = NodeInfo {
            computer_name: text("ComputerName"),
            platform_name: text("PlatformName"),
            platform_version: text("PlatformVersion"),
            node_kind: text("ResourceType"),
            agent_version: text("AgentVersion"),
            ip_address: text("IpAddress"),
            captured_at: row.time("captureTime"),
        };
        let os = row.text("PlatformName").map(|name| {
            OperatingSystem::from_platform(name, row.text("PlatformVersion").unwrap_or_default())
        });
        // An agent too old for a name still tells the kind.
        let os = os.or_else(|| {
            let kind = row.text("PlatformType")?;
            Some(OperatingSystem::from_platform(kind, ""))
        });
        let liveness = row.text("InstanceStatus").map_or(Liveness::Unknown, Liveness::from_wire);
        self.merge_info((liveness, os, info));
    }

    fn merge_info(&mut self, new: (Liveness, Option<OperatingSystem>, NodeInfo)) {
        let rank =
            |info: &(Liveness, Option<OperatingSystem>, NodeInfo)| (info.2.captured_at, info.0);
        if self.info.as_ref().is_none_or(|old| rank(&new) > rank(old)) {
            self.info = Some(new);
        }
    }

    /// A row of `AWS:ComplianceSummary` of any kind; the kinds are kept apart.
    pub(crate) fn take_compliance_summary(&mut self, row: &InventoryRecord<'_>) {
        let verdict = Verdict::of_compliance_summary(row);
        match row.text("ComplianceType") {
            Some(kind) if kind.eq_ignore_ascii_case("Patch") => {
                self.compliance_summary =
                    Verdict::newer(self.compliance_summary.take(), Some(verdict));
            }
            Some(kind) => self.merge_other(kind.to_owned(), (verdict.at, verdict.status)),
            // A verdict on nobody knows what.
            None => {}
        }
    }

    fn merge_other(&mut self, kind: String, new: (Option<Timestamp>, ComplianceStatus)) {
        let slot = self.others.entry(kind).or_insert(new);
        if (new.0, badness(new.1)) > (slot.0, badness(slot.1)) {
            *slot = new;
        }
    }

    pub(crate) fn take_patch_summary(&mut self, row: &InventoryRecord<'_>) {
        let verdict = Some(Verdict::of_patch_summary(row));
        self.patch_summary = Verdict::newer(self.patch_summary.take(), verdict);
    }

    pub(crate) fn take_tag(&mut self, row: &InventoryRecord<'_>) {
        if let Some(key) = row.text("Key") {
            self.tags.insert(key.to_owned(), row.text("Value").unwrap_or_default().to_owned());
        }
    }

    pub(crate) fn items(&mut self) -> &mut ItemTally {
        self.items.get_or_insert_default()
    }

    pub(crate) fn take_item_path(&mut self, path: &Arc<str>) {
        self.item_paths.push(Arc::clone(path));
    }

    pub(crate) fn merge(&mut self, other: Self) {
        if let Some(info) = other.info {
            self.merge_info(info);
        }
        self.compliance_summary =
            Verdict::newer(self.compliance_summary.take(), other.compliance_summary);
        self.patch_summary = Verdict::newer(self.patch_summary.take(), other.patch_summary);
        self.items = match (self.items.take(), other.items) {
            // Two syncs may write one node under two prefixes; the newer items are the node's.
            (Some(a), Some(b)) => Some(if (b.at, b.wrong) > (a.at, a.wrong) { b } else { a }),
            (a, b) => a.or(b),
        };
        for (kind, new) in other.others {
            self.merge_other(kind, new);
        }
        self.tags.extend(other.tags);
        self.item_paths.extend(other.item_paths);
    }

    /// The node that all this amounts to.
    pub(crate) fn finish(mut self, id: NodeId) -> LakeNode {
        self.item_paths.sort_unstable();
        let disagreement = match (&self.compliance_summary, &self.patch_summary) {
            (Some(a), Some(b))
                if a.status != b.status
                    && a.status != ComplianceStatus::Unknown
                    && b.status != ComplianceStatus::Unknown =>
            {
                Some(Disagreement {
                    compliance_summary: (a.status, a.at),
                    patch_summary: (b.status, b.at),
                })
            }
            _ => None,
        };
        let seen = |items: &&ItemTally| items.counts != PatchCounts::default();
        let from_items = self.items.as_ref().filter(seen).map(ItemTally::verdict);
        let counts = [&self.patch_summary, &from_items, &self.compliance_summary]
            .into_iter()
            .find_map(|verdict| verdict.as_ref().map(|verdict| verdict.counts));
        let taken = Verdict::choose(self.compliance_summary, self.patch_summary);
        // The items are many and may be cut; they decide only where no summary does.
        let taken = match taken {
            Some(verdict) if verdict.status != ComplianceStatus::Unknown => Some(verdict),
            other => Verdict::newer(other, from_items),
        };
        let mut last = NodeCompliance::unknown(id.clone());
        if let Some(verdict) = taken {
            last.status = verdict.status;
            last.level = verdict.level.filter(|_| verdict.status == ComplianceStatus::NonCompliant);
            last.baseline = verdict.baseline;
            last.group = verdict.group;
            last.observed_at = verdict.at;
        }
        last.counts = counts.unwrap_or_default();
        last.others = self.others.into_iter().map(|(kind, (_, status))| (kind, status)).collect();
        let (liveness, operating_system, info) = self.info.unwrap_or_default();
        LakeNode {
            id,
            liveness,
            operating_system,
            info,
            tags: self.tags,
            last,
            disagreement,
            gaps: self.items.map(|items| items.gaps).unwrap_or_default(),
            item_paths: self.item_paths,
        }
    }
}

#[cfg(test)]
mod tests;
