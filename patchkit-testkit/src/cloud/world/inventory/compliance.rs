//! The rows of compliance: of patches from the last operation, and those that others put there.

use jiff::Timestamp;
use patchkit_core::{ComplianceLevel, ComplianceStatus};

use super::{super::findings::Finding, Row, row, stamp};
use crate::cloud::world::{State, judge::PatchScan, machine::MachineIx};

/// How many items there are of each level, compliant and not.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct LevelCounts {
    compliant: [u32; ComplianceLevel::ALL.len()],
    non_compliant: [u32; ComplianceLevel::ALL.len()],
}

impl LevelCounts {
    pub(crate) fn add(&mut self, status: ComplianceStatus, level: ComplianceLevel) {
        let counts = match status {
            ComplianceStatus::Compliant => &mut self.compliant,
            ComplianceStatus::NonCompliant => &mut self.non_compliant,
            _ => return,
        };
        counts[place(level)] += 1;
    }

    pub(crate) fn of(&self, status: ComplianceStatus, level: ComplianceLevel) -> u32 {
        match status {
            ComplianceStatus::Compliant => self.compliant[place(level)],
            _ => self.non_compliant[place(level)],
        }
    }

    pub(crate) fn total(&self, status: ComplianceStatus) -> u32 {
        ComplianceLevel::ALL.into_iter().map(|level| self.of(status, level)).sum()
    }

    /// Not compliant as soon as one item is not, and how much that one matters at most.
    pub(crate) fn verdict(&self) -> (ComplianceStatus, ComplianceLevel) {
        let bad = ComplianceStatus::NonCompliant;
        let worst = ComplianceLevel::ALL.into_iter().rev().find(|it| self.of(bad, *it) > 0);
        match worst {
            Some(level) => (bad, level),
            None => (ComplianceStatus::Compliant, ComplianceLevel::Unspecified),
        }
    }
}

fn place(level: ComplianceLevel) -> usize {
    ComplianceLevel::ALL.into_iter().position(|it| it == level).unwrap_or_default()
}

/// A level as the names of attributes have it: `Critical`.
pub(crate) fn in_names(level: ComplianceLevel) -> &'static str {
    match level {
        ComplianceLevel::Unspecified => "Unspecified",
        ComplianceLevel::Informational => "Informational",
        ComplianceLevel::Low => "Low",
        ComplianceLevel::Medium => "Medium",
        ComplianceLevel::High => "High",
        ComplianceLevel::Critical => "Critical",
    }
}

pub(crate) fn status_text(status: ComplianceStatus) -> &'static str {
    match status {
        ComplianceStatus::Compliant => "COMPLIANT",
        _ => "NON_COMPLIANT",
    }
}

impl State {
    pub(crate) fn patch_levels(&self, at: MachineIx) -> LevelCounts {
        let mut counts = LevelCounts::default();
        for finding in self.findings(at) {
            counts.add(finding.status, finding.level);
        }
        counts
    }

    pub(super) fn patch_compliance(&self, at: MachineIx) -> Vec<Row> {
        let findings = self.findings(at).map(|it| {
            row([
                ("Title", it.title().to_owned()),
                ("KBId", it.patch.id.as_str().to_owned()),
                ("Classification", it.classification().to_owned()),
                ("Severity", it.severity().to_owned()),
                ("State", it.state.to_owned()),
                ("InstalledTime", it.installed.map(stamp).unwrap_or_default()),
            ])
        });
        findings.collect()
    }

    /// Of patches, and of what was put there by PutComplianceItems.
    pub(super) fn compliance_items(&self, at: MachineIx) -> Option<(Timestamp, Vec<Row>)> {
        let aws = self.machine(at).aws.as_ref()?;
        let scan = aws.scan.as_deref();
        let mut newest = scan.map(|it| it.ended);
        let mut rows: Vec<Row> = Vec::new();
        if let Some(scan) = scan {
            rows.extend(self.findings(at).map(|it| patch_item(scan, &it)));
        }
        for put in self.scope(aws.scope).ssm.puts_of(&aws.id) {
            newest = newest.max(Some(put.at));
            rows.extend(put.item_rows());
        }
        Some((newest?, rows))
    }

    pub(super) fn compliance_summaries(&self, at: MachineIx) -> Option<(Timestamp, Vec<Row>)> {
        let aws = self.machine(at).aws.as_ref()?;
        let mut newest = None;
        let mut rows = Vec::new();
        if let Some(scan) = aws.scan.as_deref() {
            newest = Some(scan.ended);
            let head = head("Patch", &scan.execution, scan.execution_type, scan.started);
            let more = [
                ("PatchGroup", scan.group.as_deref().unwrap_or_default()),
                ("PatchBaselineId", scan.baseline_id()),
            ];
            rows.push(summary(head, more, &self.patch_levels(at)));
        }
        for put in self.scope(aws.scope).ssm.puts_of(&aws.id) {
            newest = newest.max(Some(put.at));
            let more = [("PatchGroup", ""), ("PatchBaselineId", "")];
            rows.push(summary(put.head(), more, &put.levels()));
        }
        Some((newest?, rows))
    }
}

/// The details of a patch, as ListComplianceItems and AWS:ComplianceItem both name them.
pub(crate) fn patch_details(scan: &PatchScan, finding: &Finding<'_>) -> Row {
    let mut details = row([
        ("DocumentName", String::new()),
        ("DocumentVersion", String::new()),
        ("Classification", finding.classification().to_owned()),
        ("PatchBaselineId", scan.baseline_id().to_owned()),
        ("PatchSeverity", finding.severity().to_owned()),
        ("PatchState", finding.state.to_owned()),
        ("PatchGroup", scan.group.as_deref().unwrap_or_default().to_owned()),
        ("InstalledTime", finding.installed.map(stamp).unwrap_or_default()),
    ]);
    if let Some(cves) = finding.cves() {
        details.insert("CVEIds".to_owned(), cves.into());
    }
    details
}

pub(crate) fn patch_item(scan: &PatchScan, finding: &Finding<'_>) -> Row {
    let mut item = head("Patch", &scan.execution, scan.execution_type, scan.started);
    item.extend(row([
        ("Id", finding.patch.id.as_str()),
        ("Title", finding.title()),
        ("Status", finding.status()),
        ("Severity", finding.level.as_str()),
    ]));
    item.extend(patch_details(scan, finding));
    item
}

/// What every row of compliance begins with: the context of the upload.
pub(crate) fn head(of: &str, execution: &str, execution_type: &str, at: Timestamp) -> Row {
    let time = stamp(at);
    row([
        ("ComplianceType", of),
        ("ExecutionId", execution),
        ("ExecutionType", execution_type),
        ("ExecutionTime", &time),
    ])
}

fn summary(mut head: Row, more: [(&str, &str); 2], counts: &LevelCounts) -> Row {
    let (status, level) = counts.verdict();
    head.extend(row(more));
    head.extend(row([("Status", status_text(status)), ("OverallSeverity", level.as_str())]));
    for (kind, status) in [
        ("Compliant", ComplianceStatus::Compliant),
        ("NonCompliant", ComplianceStatus::NonCompliant),
    ] {
        for level in ComplianceLevel::ALL {
            let name = format!("{kind}{}Count", in_names(level));
            head.insert(name, counts.of(status, level).to_string().into());
        }
    }
    head
}
