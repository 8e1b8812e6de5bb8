//! Writes one node's objects, type by type.

use jiff::SignedDuration;
use patchkit_core::{ComplianceStatus, PatchState};

use super::{
    catalogue::{LINUX_PACKAGES, Packages, WINDOWS_PROGRAMS},
    node::{Findings, Node, PACKAGES, PatchItem, Spelling},
    rows::Row,
};
use crate::rng::Rng;

/// An object before it is bytes.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) data_type: &'static str,
    pub(super) key: String,
    pub(super) rows: Vec<Row>,
}

const SEVERITIES: [&str; 6] = ["Critical", "High", "Medium", "Low", "Informational", "Unspecified"];

/// All objects of a node.
pub(super) fn of(node: &Node, seed: u64, prefix: &str) -> Vec<Draft> {
    let rng = Rng::stream(seed, PACKAGES, node.index as u64);
    let mut drafts = vec![
        ("AWS:InstanceInformation", vec![instance_information(node)]),
        ("AWS:Tag", tags(node)),
        ("AWS:Application", applications(node, rng)),
    ];
    if node.findings != Findings::Nothing {
        drafts.push(("AWS:ComplianceItem", compliance_items(node)));
        drafts.push(("AWS:ComplianceSummary", compliance_summaries(node)));
    }
    if node.findings == Findings::Patches {
        drafts.push(("AWS:PatchSummary", vec![patch_summary(node)]));
    }
    if node.is_hybrid() {
        let rack = format!("R{:02}", node.index % 40);
        drafts.push(("Custom:RackInfo", vec![Row::new().text("Rack", rack).text("Row", "4")]));
    }
    drafts
        .into_iter()
        .map(|(data_type, rows)| Draft {
            data_type,
            key: key(node, data_type, prefix),
            rows: rows.into_iter().map(|row| sync_fields(node, data_type, row)).collect(),
        })
        .collect()
}

/// Where the sync puts a node's data of a type.
pub(super) fn key(node: &Node, data_type: &str, prefix: &str) -> String {
    let (account, region, id) = (&node.truth.account, &node.truth.region, &node.truth.id);
    format!(
        "{prefix}{data_type}/accountid={account}/region={region}\
         /resourcetype=ManagedInstanceInventory/{id}.json"
    )
}

/// What the sync adds to every row.
fn sync_fields(node: &Node, data_type: &str, row: Row) -> Row {
    row.text("resourceId", &*node.truth.id)
        .text("captureTime", node.truth.captured_at.to_string())
        .text("schemaVersion", if data_type == "AWS:Application" { "1.1" } else { "1.0" })
}

fn instance_information(node: &Node) -> Row {
    let (a, b) = (node.index / 250 % 250, node.index % 250);
    let windows = node.platform.packages == Packages::Windows;
    let host = if windows {
        format!("WIN-{:05}", node.index)
    } else {
        format!("ip-10-7-{a}-{b}.{}.compute.internal", node.truth.region)
    };
    let active = node.truth.instance_status.as_str() == "Active";
    Row::new()
        .text("AgentType", "amazon-ssm-agent")
        .text("AgentVersion", "3.3.987.0")
        .text("ComputerName", host)
        .text("IamRole", if node.is_hybrid() { "SSMServiceRole" } else { "" })
        .text("InstanceId", &*node.truth.id)
        .text("IpAddress", format!("10.7.{a}.{b}"))
        .text("PlatformName", node.platform.name)
        .text("PlatformType", if windows { "Windows" } else { "Linux" })
        .text("PlatformVersion", node.platform.version)
        .text("ResourceType", if node.is_hybrid() { "ManagedInstance" } else { "EC2Instance" })
        .text("AgentStatus", if active { "Active" } else { "Inactive" })
        .text("InstanceStatus", node.truth.instance_status.as_str())
}

fn tags(node: &Node) -> Vec<Row> {
    let tag = |key: &str, value: &str| Row::new().text("Key", key).text("Value", value);
    let mut rows = vec![
        tag("Environment", ["production", "staging", "test"][node.index % 3]),
        tag("Owner", "\"core\" team"),
    ];
    if let Some(group) = &node.truth.patch_group {
        rows.push(tag(["Patch Group", "PatchGroup"][node.index % 2], group));
    }
    rows
}

fn applications(node: &Node, mut rng: Rng) -> Vec<Row> {
    let platform = node.platform;
    let others = rng.range(9, 28);
    let offset = rng.index(LINUX_PACKAGES.len());
    let mut rows: Vec<Row> = (0..others)
        .map(|i| {
            let [a, b, c] = [rng.below(9), rng.below(40), rng.below(20)];
            let version = format!("{a}.{b}.{c}");
            // Neighbours in the list, so that no name comes twice on a node.
            let linux = LINUX_PACKAGES[(offset + i) % LINUX_PACKAGES.len()];
            let release = format!("{}.{}", rng.range(1, 90), platform.tail);
            match platform.packages {
                Packages::Rpm => {
                    let epoch = ["", "(none)", "0", "1"][rng.index(4)];
                    package(linux, epoch, &version, &release)
                }
                Packages::Deb if rng.percent(50) => {
                    let epoch = ["", "1:"][rng.index(2)];
                    package(linux, "", &format!("{epoch}{version}-{release}"), "")
                }
                Packages::Deb => package(linux, "1", &version, &release),
                Packages::Windows => {
                    let (name, publisher) = WINDOWS_PROGRAMS[(offset + i) % WINDOWS_PROGRAMS.len()];
                    program(name, publisher, &format!("{version}.{}", rng.below(30_000)))
                }
            }
        })
        .take(match platform.packages {
            Packages::Windows => WINDOWS_PROGRAMS.len(),
            _ => LINUX_PACKAGES.len(),
        })
        .collect();
    if let Some(ssl) = node.openssl {
        let (epoch, version, release) = (ssl.epoch, ssl.version, ssl.release);
        match platform.packages {
            Packages::Rpm => rows.extend(
                ["openssl", "openssl-libs"].map(|name| package(name, epoch, version, release)),
            ),
            Packages::Deb => rows
                .extend(["openssl", "libssl3"].map(|name| package(name, epoch, version, release))),
            Packages::Windows => rows.push(program(
                &format!("OpenSSL {version} Light (64-bit)"),
                "OpenSSL Win64 Installer Team",
                version,
            )),
        }
    }
    rows
}

fn package(name: &str, epoch: &str, version: &str, release: &str) -> Row {
    Row::new()
        .text("Name", name)
        .text("ApplicationType", "System Environment/Base")
        .text("Publisher", "Sample Packagers <packagers@example.com>")
        .text("Version", version)
        .text("Release", release)
        .text("Epoch", epoch)
        .text("InstalledTime", "2026-03-01T09:30:00Z")
        .text("Architecture", "x86_64")
        .text("URL", format!("https://example.com/{name}"))
        .text("Summary", format!("The {name} package"))
        .text("PackageId", format!("{name}.src"))
}

fn program(name: &str, publisher: &str, version: &str) -> Row {
    Row::new()
        .text("Name", name)
        .text("Publisher", publisher)
        .text("Version", version)
        .text("InstalledTime", "2026-03-01T00:00:00Z")
        .text("Architecture", "x86_64")
        .text("URL", "")
        .text("Summary", "")
        .text("PackageId", format!("{name}_is1"))
}

fn compliance_items(node: &Node) -> Vec<Row> {
    let mut rows: Vec<Row> = node.patches.iter().map(|patch| patch_item(node, patch)).collect();
    rows.push(
        head(node, "Association")
            .text("Id", "0f1a9c5e-sample-inventory")
            .text("Title", "AWS-GatherSoftwareInventory")
            .text("Status", status(node, association_status(node)))
            .text("Severity", "UNSPECIFIED")
            .text("DocumentName", "AWS-GatherSoftwareInventory")
            .text("DocumentVersion", "1"),
    );
    rows
}

fn patch_item(node: &Node, patch: &PatchItem) -> Row {
    let (id, title, classification) = if node.platform.packages == Packages::Windows {
        let kb = format!("KB{}", 5_000_000 + patch.number * 101);
        let title = format!("2026-10 Cumulative Update for x64-based Systems ({kb})");
        (kb, title, "SecurityUpdates")
    } else {
        let name = LINUX_PACKAGES[patch.number % LINUX_PACKAGES.len()];
        let title = format!("{name}:0:2.{}.1-4.{}", patch.number, node.platform.tail);
        (format!("{name}.x86_64"), title, "Security")
    };
    let camel = camel(&patch.state);
    let state = match node.spelling {
        Spelling::Camel => camel.to_owned(),
        Spelling::Upper => upper(camel),
    };
    let verdict = match patch.verdict() {
        // Neither one nor the other: Windows leaves the status empty.
        ComplianceStatus::Unknown => String::new(),
        verdict => status(node, verdict),
    };
    let installed = camel.starts_with("Installed");
    let mut row = head(node, "Patch")
        .text("Id", id)
        .text("Title", title)
        .text("Status", verdict)
        .text("Severity", level(patch.severity).to_uppercase())
        .text("DocumentName", "")
        .text("DocumentVersion", "")
        .text("Classification", classification)
        .text("PatchBaselineId", node.platform.baseline)
        .text("PatchSeverity", patch.severity)
        .text("PatchState", state)
        .text("PatchGroup", group(node))
        .text("InstalledTime", if installed { "2026-10-14T02:00:00Z" } else { "" });
    if patch.state == PatchState::Missing {
        row = row.text("CVEIds", format!("CVE-2026-{}", 10_000 + patch.number));
    }
    row
}

fn compliance_summaries(node: &Node) -> Vec<Row> {
    let association = head(node, "Association")
        .text("PatchGroup", "")
        .text("PatchBaselineId", "")
        .text("Status", status(node, association_status(node)))
        .text("OverallSeverity", "UNSPECIFIED");
    let mut rows = vec![with_counts(node, association, |name, verdict| {
        u32::from(name == "Unspecified" && verdict == association_status(node))
    })];
    if node.findings == Findings::Patches {
        let patch = head(node, "Patch")
            .text("PatchGroup", group(node))
            .text("PatchBaselineId", node.platform.baseline)
            .text("Status", status(node, node.truth.status))
            .text("OverallSeverity", worst(node).to_uppercase());
        let row = with_counts(node, patch, |name, verdict| {
            number(node, |patch| level(patch.severity) == name && patch.verdict() == verdict)
        });
        // The order of the two kinds is not promised.
        rows.insert(node.index % 2, row);
    }
    rows
}

fn with_counts(node: &Node, mut row: Row, count: impl Fn(&str, ComplianceStatus) -> u32) -> Row {
    for (kind, verdict) in [
        ("Compliant", ComplianceStatus::Compliant),
        ("NonCompliant", ComplianceStatus::NonCompliant),
    ] {
        for name in SEVERITIES {
            row = row.count(format!("{kind}{name}Count"), count(name, verdict), node.numbers);
        }
    }
    row
}

fn number(node: &Node, takes: impl Fn(&PatchItem) -> bool) -> u32 {
    let taken = node.patches.iter().filter(|patch| takes(patch)).count();
    u32::try_from(taken).unwrap_or(u32::MAX)
}

fn patch_summary(node: &Node) -> Row {
    let counts = &node.truth.counts;
    let wrong = |patch: &PatchItem| patch.verdict() == ComplianceStatus::NonCompliant;
    let critical = number(node, |patch| wrong(patch) && patch.severity == "Critical");
    let scanned = scanned_at(node);
    Row::new()
        .text("PatchGroup", group(node))
        .text("BaselineId", node.platform.baseline)
        .text("SnapshotId", execution(node))
        .text("OwnerInformation", "")
        .count("InstalledCount", counts.installed, node.numbers)
        .count("InstalledOtherCount", counts.installed_other, node.numbers)
        .count("InstalledPendingRebootCount", counts.installed_pending_reboot, node.numbers)
        .count("InstalledRejectedCount", counts.installed_rejected, node.numbers)
        .count("NotApplicableCount", counts.not_applicable, node.numbers)
        .count("UnreportedNotApplicableCount", 0, node.numbers)
        .count("MissingCount", counts.missing, node.numbers)
        .count("FailedCount", counts.failed, node.numbers)
        .count("CriticalNonCompliantCount", critical, node.numbers)
        .count("SecurityNonCompliantCount", number(node, wrong), node.numbers)
        .count("OtherNonCompliantCount", 0, node.numbers)
        .text("OperationType", "Scan")
        .text("OperationStartTime", &*scanned)
        .text("OperationEndTime", scanned)
        .text("RebootOption", "NoReboot")
}

fn head(node: &Node, compliance_type: &str) -> Row {
    Row::new()
        .text("ComplianceType", compliance_type)
        .text("ExecutionId", execution(node))
        .text("ExecutionType", "Command")
        .text("ExecutionTime", scanned_at(node))
}

fn execution(node: &Node) -> String {
    format!("5a3e1f00-7c1d-4b6e-9f20-{:012}", node.index)
}

fn scanned_at(node: &Node) -> String {
    let at = node.truth.captured_at;
    at.checked_sub(SignedDuration::from_mins(3)).unwrap_or(at).to_string()
}

fn group(node: &Node) -> &str {
    node.truth.patch_group.as_deref().unwrap_or_default()
}

/// Associations have a verdict of their own, which says nothing of patches.
fn association_status(node: &Node) -> ComplianceStatus {
    match node.index % 7 {
        6 => ComplianceStatus::NonCompliant,
        _ => ComplianceStatus::Compliant,
    }
}

fn status(node: &Node, status: ComplianceStatus) -> String {
    let camel = if status == ComplianceStatus::Compliant { "Compliant" } else { "NonCompliant" };
    match node.spelling {
        Spelling::Camel => camel.to_owned(),
        Spelling::Upper => upper(camel),
    }
}

/// `InstalledPendingReboot` as `INSTALLED_PENDING_REBOOT`.
fn upper(camel: &str) -> String {
    let mut text = String::new();
    for c in camel.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_uppercase());
    }
    text
}

fn camel(state: &PatchState) -> &'static str {
    match state {
        PatchState::Installed => "Installed",
        PatchState::InstalledOther => "InstalledOther",
        PatchState::InstalledPendingReboot => "InstalledPendingReboot",
        PatchState::InstalledRejected => "InstalledRejected",
        PatchState::Missing => "Missing",
        PatchState::Failed => "Failed",
        _ => "NotApplicable",
    }
}

fn level(severity: &str) -> &'static str {
    match severity {
        "Critical" => "Critical",
        "Important" => "High",
        "Medium" => "Medium",
        _ => "Low",
    }
}

fn worst(node: &Node) -> &'static str {
    let wrong = |patch: &&PatchItem| patch.verdict() == ComplianceStatus::NonCompliant;
    let levels: Vec<&str> =
        node.patches.iter().filter(wrong).map(|patch| level(patch.severity)).collect();
    SEVERITIES.into_iter().find(|name| levels.contains(name)).unwrap_or("Unspecified")
}
