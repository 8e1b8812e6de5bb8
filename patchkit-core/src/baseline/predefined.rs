//! The baselines that AWS provides for every operating system.
//!
//! Source: AWS user guide, "About predefined and custom patch baselines" (June 2023), whose table
//! gives each baseline's rules in words. Products are not restricted there, so neither here.

use super::{ApprovalRule, AutoApproval, PatchBaseline, PatchFilter, PatchFilterKey, UpdateScope};
use crate::OperatingSystem;

/// The baselines that AWS provides: one for every operating system, three for Windows.
///
/// # Behavior
/// - They have no id: AWS's are ARNs of their own in each Region.
/// - All give the level `Unspecified`.
/// - The first of an operating system is its default.
/// - Where the guide leaves something open, the description says what was assumed.
pub fn predefined() -> Vec<PatchBaseline> {
    OperatingSystem::KNOWN.iter().flat_map(of).collect()
}

/// The baseline that AWS uses where nobody has chosen another; `None` for an operating system that
/// PatchKit does not know.
///
/// ```
/// use patchkit_core::{OperatingSystem, predefined_default};
///
/// let baseline = predefined_default(&OperatingSystem::Windows).unwrap();
/// assert_eq!(baseline.name, "AWS-DefaultPatchBaseline");
/// ```
pub fn predefined_default(os: &OperatingSystem) -> Option<PatchBaseline> {
    of(os).into_iter().next()
}

fn of(os: &OperatingSystem) -> Vec<PatchBaseline> {
    let one = |name: &str, description: &str, rules: Vec<ApprovalRule>| {
        vec![baseline(os, name, description, rules)]
    };
    match os {
        OperatingSystem::AmazonLinux => {
            one("AWS-AmazonLinuxDefaultPatchBaseline", RPM, security_and_bugfix(IMPORTANT))
        }
        OperatingSystem::AmazonLinux2 => {
            one("AWS-AmazonLinux2DefaultPatchBaseline", RPM, security_and_bugfix(IMPORTANT))
        }
        OperatingSystem::AmazonLinux2022 => {
            one("AWS-AmazonLinux2022DefaultPatchBaseline", RPM, security_and_bugfix(IMPORTANT))
        }
        OperatingSystem::AmazonLinux2023 => {
            one("AWS-AmazonLinux2023DefaultPatchBaseline", RPM, security_and_bugfix(IMPORTANT))
        }
        OperatingSystem::RedHatEnterpriseLinux => {
            one("AWS-RedHatDefaultPatchBaseline", RPM, security_and_bugfix(IMPORTANT))
        }
        OperatingSystem::RockyLinux => {
            one("AWS-RockyLinuxDefaultPatchBaseline", RPM, security_and_bugfix(IMPORTANT))
        }
        OperatingSystem::AlmaLinux => {
            one("AWS-AlmaLinuxDefaultPatchBaseline", ALMA, security_and_bugfix(IMPORTANT))
        }
        OperatingSystem::OracleLinux => one(
            "AWS-OracleLinuxDefaultPatchBaseline",
            "Security patches of important or moderate severity and all bug fixes, 7 days after \
             their release.",
            security_and_bugfix(&["Important", "Moderate"]),
        ),
        OperatingSystem::CentOs => one(
            "AWS-CentOSDefaultPatchBaseline",
            "All updates 7 days after they become available, also those that are not security \
             updates.",
            vec![week().with_scope(UpdateScope::All)],
        ),
        OperatingSystem::Suse => one(
            "AWS-SuseDefaultPatchBaseline",
            "Security patches of critical or important severity, 7 days after their release.",
            vec![security(IMPORTANT)],
        ),
        OperatingSystem::Debian => one("AWS-DebianDefaultPatchBaseline", APT, every_priority()),
        OperatingSystem::Ubuntu => one("AWS-UbuntuDefaultPatchBaseline", APT, every_priority()),
        OperatingSystem::Raspbian => one("AWS-DefaultRaspbianPatchBaseline", APT, every_priority()),
        OperatingSystem::MacOs => one(
            "AWS-MacOSDefaultPatchBaseline",
            "Security patches, and all packages with a current update. AWS's guide gives no delay; \
             none is assumed.",
            vec![
                ApprovalRule::new(AutoApproval::AfterDays(0))
                    .with_filter(filter(PatchFilterKey::Classification, &["Security"])),
                ApprovalRule::new(AutoApproval::AfterDays(0))
                    .with_filter(filter(PatchFilterKey::Classification, &["*"])),
            ],
        ),
        OperatingSystem::Windows => windows(os),
        OperatingSystem::Other(_) => Vec::new(),
    }
}

/// Two with the same rules, and one for Microsoft's applications too.
fn windows(os: &OperatingSystem) -> Vec<PatchBaseline> {
    let patch_set = |set| filter(PatchFilterKey::PatchSet, &[set]);
    let system = || {
        week()
            .with_filter(patch_set("OS"))
            .with_filter(filter(
                PatchFilterKey::Classification,
                &["CriticalUpdates", "SecurityUpdates"],
            ))
            .with_filter(filter(PatchFilterKey::MsrcSeverity, IMPORTANT))
    };
    let applications = week().with_filter(patch_set("APPLICATION"));
    vec![
        baseline(os, "AWS-DefaultPatchBaseline", WINDOWS, vec![system()]),
        baseline(os, "AWS-WindowsPredefinedPatchBaseline-OS", WINDOWS, vec![system()]),
        baseline(
            os,
            "AWS-WindowsPredefinedPatchBaseline-OS-Applications",
            "Critical and security updates of Windows with a critical or important MSRC severity, \
             and all patches of Microsoft's applications, 7 days after their release.",
            vec![system(), applications],
        ),
    ]
}

fn baseline(
    os: &OperatingSystem,
    name: &str,
    description: &str,
    rules: Vec<ApprovalRule>,
) -> PatchBaseline {
    let baseline = PatchBaseline::new(name, os.clone()).with_description(description);
    rules.into_iter().fold(baseline, PatchBaseline::with_rule)
}

fn security_and_bugfix(severities: &[&str]) -> Vec<ApprovalRule> {
    let bugfix = week().with_filter(filter(PatchFilterKey::Classification, &["Bugfix"]));
    vec![security(severities), bugfix]
}

fn security(severities: &[&str]) -> ApprovalRule {
    week()
        .with_filter(filter(PatchFilterKey::Classification, &["Security"]))
        .with_filter(filter(PatchFilterKey::Severity, severities))
}

fn every_priority() -> Vec<ApprovalRule> {
    let priorities = ["Required", "Important", "Standard", "Optional", "Extra"];
    vec![
        ApprovalRule::new(AutoApproval::Immediately)
            .with_filter(filter(PatchFilterKey::Priority, &priorities)),
    ]
}

fn week() -> ApprovalRule {
    ApprovalRule::new(AutoApproval::AfterDays(7))
}

fn filter(key: PatchFilterKey, values: &[&str]) -> PatchFilter {
    PatchFilter::new(key, values.iter().copied())
}

const IMPORTANT: &[&str] = &["Critical", "Important"];

const RPM: &str = "Security patches of critical or important severity and all bug fixes, 7 days \
                   after their release.";
const ALMA: &str = "Security patches of critical or important severity and all bug fixes, 7 days \
                    after their release. AWS's guide of 2023 does not list it: name and rules are \
                    expected, by Rocky Linux, and not verified.";
const APT: &str = "Security patches of every priority, at once.";
const WINDOWS: &str = "Critical and security updates of Windows with a critical or important MSRC \
                       severity, 7 days after their release.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Approval, Classification, ComplianceLevel, Patch, PatchId, PatchSource, Severity, evaluate,
    };

    #[test]
    fn every_one_is_within_the_limits() {
        for baseline in predefined() {
            assert_eq!(baseline.validate(), [], "{}", baseline.name);
            assert_eq!(baseline.id, None);
        }
    }

    #[test]
    fn every_known_operating_system_has_a_default() {
        for os in OperatingSystem::KNOWN {
            let baseline = predefined_default(&os).unwrap();
            assert_eq!(baseline.operating_system, os);
            assert!(baseline.name.starts_with("AWS-"), "{}", baseline.name);
        }
        assert_eq!(predefined_default(&OperatingSystem::Other("PLAN_9".into())), None);
        let mut names: Vec<String> = predefined().into_iter().map(|it| it.name).collect();
        assert_eq!(names.len(), OperatingSystem::KNOWN.len() + 2);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), OperatingSystem::KNOWN.len() + 2);
    }

    #[test]
    fn all_give_the_level_unspecified() {
        let levels = predefined().into_iter().flat_map(|it| it.approval_rules);
        assert!(levels.into_iter().all(|it| it.compliance_level == ComplianceLevel::Unspecified));
    }

    #[test]
    fn the_name_that_is_not_verified_says_so() {
        let alma = predefined_default(&OperatingSystem::AlmaLinux).unwrap();
        assert!(alma.description.unwrap().contains("not verified"));
    }

    fn approval(os: &OperatingSystem, patch: &Patch, when: &str) -> Approval {
        evaluate(&predefined_default(os).unwrap(), patch, when.parse().unwrap()).approval
    }

    fn patch(kind: Classification, severity: Severity) -> Patch {
        Patch::new(PatchId::new("KB1").unwrap())
            .with_classification(kind)
            .with_severity(severity)
            .with_released_at("2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn they_approve_what_the_guide_says() {
        use Approval::{Approved, NotSelected, PendingApproval};
        let (early, late) = ("2026-01-02T00:00:00Z", "2026-01-08T00:00:00Z");
        let critical = patch(Classification::Security, Severity::Critical);
        let low = patch(Classification::Security, Severity::Low);
        let moderate = patch(Classification::Security, Severity::Moderate);
        let bugfix = patch(Classification::Bugfix, Severity::Unspecified);
        let other = bugfix.clone().with_source(PatchSource::Other);
        let windows = patch(Classification::SecurityUpdates, Severity::Important);
        let mut office = windows.clone();
        office.patch_set = Some("APPLICATION".into());
        let mut apt = Patch::new(PatchId::new("bash").unwrap());
        apt.priority = Some("required".into());
        for (os, patch, when, expected) in [
            (OperatingSystem::AmazonLinux2023, &critical, late, Approved),
            (OperatingSystem::AmazonLinux2023, &critical, early, PendingApproval),
            (OperatingSystem::AmazonLinux2023, &low, late, NotSelected),
            (OperatingSystem::AmazonLinux2023, &bugfix, late, Approved),
            (OperatingSystem::AmazonLinux2023, &other, late, NotSelected),
            (OperatingSystem::CentOs, &other, late, Approved),
            (OperatingSystem::OracleLinux, &critical, late, NotSelected),
            (OperatingSystem::OracleLinux, &moderate, late, Approved),
            (OperatingSystem::Suse, &bugfix, late, NotSelected),
            (OperatingSystem::Suse, &critical, late, Approved),
            (OperatingSystem::Ubuntu, &apt, early, Approved),
            (OperatingSystem::MacOs, &other, early, Approved),
            (OperatingSystem::Windows, &windows, late, Approved),
            (OperatingSystem::Windows, &windows, early, PendingApproval),
            (OperatingSystem::Windows, &office, late, NotSelected),
        ] {
            assert_eq!(approval(&os, patch, when), expected, "{os} {patch:?} {when}");
        }
        let all = predefined();
        let applications = all.iter().find(|it| it.name.ends_with("-Applications")).unwrap();
        let decision = evaluate(applications, &office, late.parse().unwrap());
        assert_eq!(decision.approval, Approved);
    }
}
