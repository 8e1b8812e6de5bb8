//! The patches that made nodes have or lack.

use jiff::Timestamp;

use super::world::days_before;
use crate::{Classification, OperatingSystem, Package, Patch, PatchId, PatchSource, Severity};

/// The operating systems of made nodes.
pub(super) const SYSTEMS: [OperatingSystem; 4] = [
    OperatingSystem::AmazonLinux2023,
    OperatingSystem::Ubuntu,
    OperatingSystem::RedHatEnterpriseLinux,
    OperatingSystem::Windows,
];

/// The vendor's version of each.
pub(super) fn version(os: &OperatingSystem) -> &'static str {
    match os {
        OperatingSystem::Ubuntu => "22.04",
        OperatingSystem::RedHatEnterpriseLinux => "9.4",
        OperatingSystem::Windows => "10.0.20348",
        _ => "2023",
    }
}

/// Id, version, classification, severity, and age in days.
type Row = (&'static str, &'static str, Classification, Severity, u64);

const WINDOWS: [Row; 6] = [
    ("KB5046616", "2026-11 Cumulative", Classification::SecurityUpdates, Severity::Critical, 13),
    ("KB5044281", "2026-10 Cumulative", Classification::SecurityUpdates, Severity::Critical, 41),
    ("KB5044099", ".NET Framework", Classification::SecurityUpdates, Severity::Important, 41),
    ("KB5042349", "Servicing stack", Classification::CriticalUpdates, Severity::Important, 70),
    ("KB2267602", "Defender", Classification::DefinitionUpdates, Severity::Unspecified, 1),
    ("KB5046547", "Preview", Classification::Updates, Severity::Low, 20),
];

const LINUX: [Row; 8] = [
    ("openssl", "3.0.8-1.el9", Classification::Security, Severity::Important, 30),
    ("kernel", "6.1.112-122.189", Classification::Security, Severity::Important, 21),
    ("glibc", "2.34-52.8", Classification::Security, Severity::Critical, 44),
    ("curl", "8.5.0-1", Classification::Security, Severity::Medium, 16),
    ("sudo", "1.9.15-1", Classification::Security, Severity::Important, 9),
    ("systemd", "252.23-2", Classification::Bugfix, Severity::Low, 60),
    ("bash", "5.2.15-1", Classification::Bugfix, Severity::Low, 90),
    ("expat", "2.5.0-2", Classification::Security, Severity::Important, 2),
];

/// The patches for an operating system, released before `now`.
pub(super) fn patches(os: &OperatingSystem, now: Timestamp) -> Vec<Patch> {
    let rows: &[Row] = if *os == OperatingSystem::Windows { &WINDOWS } else { &LINUX };
    rows.iter().filter_map(|row| patch(os, row, now)).collect()
}

fn patch(os: &OperatingSystem, row: &Row, now: Timestamp) -> Option<Patch> {
    let (id, version, classification, severity, age) = row;
    let released = days_before(now, *age);
    let windows = *os == OperatingSystem::Windows;
    let apt = *os == OperatingSystem::Ubuntu;
    let name = if windows || apt { (*id).to_owned() } else { format!("{id}.x86_64") };
    let mut patch = Patch::new(PatchId::new(name).ok()?).with_title(*version);
    if apt {
        patch.priority = Some("Important".to_owned());
        patch.section = Some("libs".to_owned());
    } else {
        patch = patch
            .with_released_at(released)
            .with_classification(classification.clone())
            .with_severity(severity.clone());
    }
    let product = match os {
        OperatingSystem::Windows => "WindowsServer2022",
        OperatingSystem::Ubuntu => "Ubuntu22.04",
        OperatingSystem::RedHatEnterpriseLinux => "RedhatEnterpriseLinux9.4",
        _ => "AmazonLinux2023",
    };
    patch = patch.with_product(product);
    if windows {
        patch.patch_set = Some("OS".to_owned());
        patch.product_families.push("Windows".to_owned());
    } else {
        let (version, release) = version.split_once('-').unwrap_or((version, ""));
        patch.package = Some(Package {
            name: (*id).to_owned(),
            arch: if apt { "amd64" } else { "x86_64" }.to_owned(),
            epoch: String::new(),
            version: version.to_owned(),
            release: release.to_owned(),
            repository: "updates".to_owned(),
        });
        if !apt && !classification.is_security() {
            patch = patch.with_source(PatchSource::Other);
        }
    }
    Some(patch)
}
