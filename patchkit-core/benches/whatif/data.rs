//! A fleet that follows from a seed: the same for both halves.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use jiff::{SignedDuration, Timestamp};
use patchkit_core::{
    ApprovalRule, AutoApproval, Classification, ComplianceLevel, OperatingSystem, Patch,
    PatchBaseline, PatchFilter, PatchFilterKey, PatchId, RejectedAction, Severity, evaluate,
};
use serde_json::json;

#[derive(Clone, Copy)]
pub(crate) struct Fleet {
    pub(crate) nodes: u32,
    pub(crate) patches: u16,
    pub(crate) seed: u64,
}

pub(crate) const OS: OperatingSystem = OperatingSystem::AmazonLinux2023;
pub(crate) const INSTALLED: u8 = 0;
pub(crate) const MISSING: u8 = 1;

/// Three in five nodes lack nothing; of the patches on nodes one in fifty is missing.
const MISSING_OF_WORSE: u32 = 10;

impl Fleet {
    /// Writes the patches on nodes, as columns of little-endian numbers, and what the baselines
    /// decide. Says how many patches on nodes there are.
    pub(crate) fn write(self, folder: &Path) -> io::Result<usize> {
        let create = |name: &str| File::create(folder.join(name)).map(BufWriter::new);
        let [mut nodes, mut patches, mut states] =
            [create("node.u32")?, create("patch.u16")?, create("state.u8")?];
        let mut random = Random(self.seed);
        let mut order: Vec<u16> = (0..self.patches).collect();
        let mut pairs = 0;
        for node in 0..self.nodes {
            let count = (self.patches / 10).max(1) + 5;
            let worse = random.below(5) < 2;
            // One to nineteen, with the mean that is wanted.
            let missing = if worse { 1 + random.below(2 * MISSING_OF_WORSE - 1) } else { 0 };
            for at in 0..count.min(self.patches) {
                let other = at
                    + u16::try_from(random.below(u32::from(self.patches - at)))
                        .expect("it is below the number of patches");
                order.swap(usize::from(at), usize::from(other));
                let state = if u32::from(at) < missing { MISSING } else { INSTALLED };
                nodes.write_all(&node.to_le_bytes())?;
                patches.write_all(&order[usize::from(at)].to_le_bytes())?;
                states.write_all(&[state])?;
                pairs += 1;
            }
        }
        for mut file in [nodes, patches, states] {
            file.flush()?;
        }
        std::fs::write(folder.join("decisions.json"), self.decisions().to_string())?;
        Ok(pairs)
    }

    /// What the baselines say, patch by patch, for whoever does not evaluate them.
    fn decisions(self) -> serde_json::Value {
        let (a, b) = (baseline_a(), baseline_b());
        let patches = self.all_patches();
        let approved = |baseline: &PatchBaseline| -> Vec<bool> {
            patches.iter().map(|patch| evaluate(baseline, patch, when()).is_approved()).collect()
        };
        let days: Vec<i64> = patches
            .iter()
            .map(|patch| {
                let decision = evaluate(&a, patch, Timestamp::MAX);
                let from = decision.approved_from.unwrap_or(Timestamp::MIN);
                if !decision.is_approved() || from > until() {
                    -1
                } else if from <= when() {
                    0
                } else {
                    // The day of UTC on which it is approved, today's being 1.
                    1 + from.as_second().div_euclid(86_400) - when().as_second().div_euclid(86_400)
                }
            })
            .collect();
        let rejected: Vec<bool> = patches
            .iter()
            .map(|patch| {
                evaluate(&a, patch, when()).approval == patchkit_core::Approval::ExplicitRejected
            })
            .collect();
        json!({"approved_a": approved(&a), "approved_b": approved(&b), "day_a": days,
               "rejected_a": rejected})
    }

    pub(crate) fn all_patches(self) -> Vec<Patch> {
        let mut random = Random(self.seed ^ 0x5eed);
        (0..self.patches).map(|number| patch(number, &mut random)).collect()
    }
}

pub(crate) fn when() -> Timestamp {
    Timestamp::constant(1_795_154_400, 0)
}

pub(crate) fn until() -> Timestamp {
    when() + SignedDuration::from_hours(24 * 30)
}

/// Four rules, ten patches approved by name and ten rejected, three of them by wildcard.
pub(crate) fn baseline_a() -> PatchBaseline {
    rules(7)
}

/// The same with shorter delays and one more patch rejected.
pub(crate) fn baseline_b() -> PatchBaseline {
    rules(3).with_rejected(["package-1"])
}

/// The same with what is rejected blocked.
pub(crate) fn blocking() -> PatchBaseline {
    baseline_a().with_rejected_action(RejectedAction::Block)
}

fn rules(days: u16) -> PatchBaseline {
    let kind = |text: &str| PatchFilter::new(PatchFilterKey::Classification, [text]);
    let severity =
        |texts: &[&str]| PatchFilter::new(PatchFilterKey::Severity, texts.iter().copied());
    let rule = |days, level| ApprovalRule::new(AutoApproval::AfterDays(days)).with_level(level);
    PatchBaseline::new("bench", OS)
        .with_rule(
            rule(days, ComplianceLevel::Critical)
                .with_filter(kind("Security"))
                .with_filter(severity(&["Critical", "Important"])),
        )
        .with_rule(
            rule(days + 7, ComplianceLevel::Medium)
                .with_filter(kind("Security"))
                .with_filter(severity(&["Medium", "Low"])),
        )
        .with_rule(rule(days + 14, ComplianceLevel::Low).with_filter(kind("Bugfix")))
        .with_rule(rule(days + 30, ComplianceLevel::Low).with_filter(kind("Enhancement")))
        .with_approved((0..10).map(|n| format!("package-{}.x86_64", 100 + n)))
        .with_rejected((0..7).map(|n| format!("package-{}.x86_64", 200 + n)))
        .with_rejected(["package-30*", "package-31*", "package-32*"])
}

fn patch(number: u16, random: &mut Random) -> Patch {
    let id = PatchId::new(format!("package-{number}.x86_64")).expect("it is a name");
    let kind = [
        Classification::Security,
        Classification::Security,
        Classification::Bugfix,
        Classification::Enhancement,
    ];
    let severity = [Severity::Critical, Severity::Important, Severity::Medium, Severity::Low];
    // More of the last weeks than of the last year, as catalogues are.
    let share = i64::from(random.below(1_000));
    let age = share * share * 400 * 24 / 1_000_000;
    Patch::new(id)
        .with_title(format!("0:1.{number}-1.amzn2023"))
        .with_classification(kind[random.below(4) as usize].clone())
        .with_severity(severity[random.below(4) as usize].clone())
        .with_released_at(when() - SignedDuration::from_hours(age + 1))
}

/// Splitmix64: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u32::try_from((z ^ (z >> 31)) >> 32).expect("32 bits are left");
        u32::try_from((u64::from(high) * u64::from(bound)) >> 32).expect("it is below the bound")
    }
}
