//! Draws one node: what it is, and what is true of it.

use jiff::{SignedDuration, Timestamp};
use patchkit_core::{ComplianceStatus, PatchCounts, PatchState};

use super::{
    InstanceStatus, NodeTruth, SampleLake,
    catalogue::{Age, OpenSsl, PLATFORMS, Packages, Platform, REGIONS},
    rows::Numbers,
};
use crate::rng::{Rng, mix};

/// A node with all that its objects say.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) truth: NodeTruth,
    pub(super) index: usize,
    pub(super) platform: &'static Platform,
    pub(super) openssl: Option<&'static OpenSsl>,
    pub(super) findings: Findings,
    pub(super) patches: Vec<PatchItem>,
    pub(super) numbers: Numbers,
    pub(super) spelling: Spelling,
}

/// Which compliance data the lake has of a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Findings {
    Patches,
    /// Associations ran, and nobody ever scanned for patches.
    AssociationsOnly,
    Nothing,
}

/// How states are written; both are seen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spelling {
    Camel,
    Upper,
}

#[derive(Debug)]
pub(super) struct PatchItem {
    pub(super) number: usize,
    pub(super) state: PatchState,
    pub(super) severity: &'static str,
}

impl Node {
    pub(super) fn draw(lake: &SampleLake, index: usize) -> Self {
        let mut rng = Rng::stream(lake.seed, NODES, index as u64);
        let first = Rng::stream(lake.seed, PLATFORM, 0).index(PLATFORMS.len());
        let platform = &PLATFORMS[(first + index % PLATFORMS.len()) % PLATFORMS.len()];
        let windows = platform.packages == Packages::Windows;
        let status = instance_status(index);
        let openssl = (!windows || rng.percent(40)).then(|| rng.pick(platform.openssl));
        let findings = match index % 19 {
            11 => Findings::Nothing,
            13 => Findings::AssociationsOnly,
            _ => Findings::Patches,
        };
        let patches = match findings {
            Findings::Patches => patches(&mut rng, platform),
            _ => Vec::new(),
        };
        let mut counts = PatchCounts::default();
        for patch in &patches {
            counts.count(&patch.state);
        }
        let group = [if windows { "Windows" } else { "Linux" }, "AppA", "prod / tier 1", ""];
        let old = openssl.is_some_and(|openssl| openssl.age == Age::Old);
        let rows_of_openssl = if platform.packages == Packages::Rpm { 2 } else { 1 };
        let truth = NodeTruth {
            id: id(lake.seed, index),
            account: account(skewed(&mut rng, lake.accounts)),
            region: REGIONS[skewed(&mut rng, lake.regions)].to_owned(),
            platform_name: platform.name.to_owned(),
            platform_version: platform.version.to_owned(),
            instance_status: status,
            status: match findings {
                Findings::Patches if counts.non_compliant() > 0 => ComplianceStatus::NonCompliant,
                Findings::Patches => ComplianceStatus::Compliant,
                _ => ComplianceStatus::Unknown,
            },
            counts,
            patch_group: Some(*rng.pick(&group)).filter(|name| !name.is_empty()).map(str::to_owned),
            baseline: (findings == Findings::Patches).then(|| platform.baseline.to_owned()),
            captured_at: captured_at(&mut rng, lake.taken_at, status),
            old_openssl: if old { rows_of_openssl } else { 0 },
        };
        let numbers = if rng.percent(50) { Numbers::Text } else { Numbers::Native };
        let spelling = if rng.percent(50) { Spelling::Camel } else { Spelling::Upper };
        Self { truth, index, platform, openssl, findings, patches, numbers, spelling }
    }

    pub(super) fn is_hybrid(&self) -> bool {
        self.truth.id.starts_with("mi-")
    }
}

impl PatchItem {
    /// The verdict on it; `Unknown` where it is neither one nor the other.
    pub(super) fn verdict(&self) -> ComplianceStatus {
        match self.state {
            PatchState::NotApplicable => ComplianceStatus::Unknown,
            PatchState::Installed | PatchState::InstalledOther => ComplianceStatus::Compliant,
            _ => ComplianceStatus::NonCompliant,
        }
    }
}

/// The streams of random numbers.
const NODES: u64 = 1;
pub(super) const PACKAGES: u64 = 2;
pub(super) const DIRT: u64 = 3;
const PLATFORM: u64 = 4;

/// The account's number; the first begins with a zero, as account ids may.
pub(super) fn account(index: usize) -> String {
    format!("{:012}", (11_122_223_333 + 107_000_011_000 * index as u64) % 1_000_000_000_000)
}

/// By turns and not by chance, so that a lake of 32 nodes has every kind.
fn instance_status(index: usize) -> InstanceStatus {
    match index {
        _ if index % 17 == 3 => InstanceStatus::ConnectionLost,
        _ if index % 23 == 5 => InstanceStatus::Stopped,
        _ if index % 29 == 7 => InstanceStatus::Terminated,
        _ => InstanceStatus::Active,
    }
}

fn id(seed: u64, index: usize) -> String {
    let kind = if index % 8 == 1 { "mi" } else { "i" };
    format!("{kind}-0{:016x}", mix(mix(seed).wrapping_add(index as u64)))
}

/// Half in the first place, a quarter in the second, as estates are.
fn skewed(rng: &mut Rng, len: usize) -> usize {
    (rng.next().trailing_zeros() as usize).min(len - 1)
}

fn captured_at(rng: &mut Rng, now: Timestamp, status: InstanceStatus) -> Timestamp {
    let minutes = match status {
        InstanceStatus::Active => rng.range(5, 24 * 60),
        _ => rng.range(24 * 60, 300 * 24 * 60),
    };
    let age = SignedDuration::from_mins(i64::try_from(minutes).unwrap_or_default());
    now.checked_sub(age).unwrap_or(now)
}

fn patches(rng: &mut Rng, platform: &Platform) -> Vec<PatchItem> {
    let mut states = vec![PatchState::Installed; rng.range(2, 5)];
    states.push(PatchState::InstalledOther);
    if platform.packages == Packages::Windows {
        states.push(PatchState::NotApplicable);
    }
    if rng.percent(40) {
        states.extend(vec![PatchState::Missing; rng.range(1, 4)]);
        for (percent, state) in [
            (20, PatchState::Failed),
            (20, PatchState::InstalledPendingReboot),
            (5, PatchState::InstalledRejected),
        ] {
            if rng.percent(percent) {
                states.push(state);
            }
        }
    }
    let first = rng.index(400);
    states
        .into_iter()
        .zip(first..)
        .map(|(state, number)| PatchItem {
            number,
            state,
            severity: rng.pick::<&str>(&["Critical", "Important", "Medium", "Low"]),
        })
        .collect()
}
