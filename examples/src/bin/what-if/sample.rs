//! A small fleet, so that the first question needs nothing.

use jiff::{SignedDuration, Timestamp};
use patchkit_core::{
    ApprovalRule, AutoApproval, Classification, ComplianceLevel, ComplianceStatus, OperatingSystem,
    Package, Patch, PatchBaseline, PatchFilter, PatchFilterKey, PatchGroupName, PatchId, Presence,
    Severity,
    whatif::{BaselineSet, Evidence, MatrixBuilder, NodeFacts, PatchMatrix, PatchRef, Scenario},
};
use patchkit_examples::Failure;
use patchkit_inventory::{NotLive, compare_versions};

use super::input::Fleet;

/// What is rejected where nothing is asked.
pub(crate) const REJECTED: &str = "KB5044281";

/// 2026-11-24T02:00:00Z.
const TODAY: Timestamp = Timestamp::constant(1_795_485_600, 0);

/// An update or a package's version, its title, severity, and age in days.
type Row = (&'static str, &'static str, Severity, i64);

const WINDOWS: [Row; 5] = [
    ("KB5046616", "2026-11 Cumulative Update for Windows Server 2022", Severity::Critical, 5),
    ("KB5044281", "2026-10 Cumulative Update for Windows Server 2022", Severity::Critical, 41),
    ("KB5044099", "2026-10 .NET Framework Security Update", Severity::Important, 41),
    ("KB5046700", "2026-11 Servicing Stack Update", Severity::Important, 1),
    ("KB5042349", "2026-09 Servicing Stack Update", Severity::Critical, 70),
];

const LINUX: [Row; 6] = [
    ("openssl", "3.0.8-1.amzn2023.0.16", Severity::Important, 4),
    ("openssl", "3.0.8-1.amzn2023.0.14", Severity::Important, 60),
    ("kernel", "6.1.112-122.189.amzn2023", Severity::Important, 21),
    ("glibc", "2.34-52.amzn2023.0.11", Severity::Critical, 44),
    ("curl", "8.5.0-1.amzn2023.0.4", Severity::Medium, 16),
    ("expat", "2.5.0-1.amzn2023.0.4", Severity::Important, 6),
];

/// The sample as it is at a time.
pub(crate) fn fleet(at: Option<Timestamp>) -> Result<Fleet, Failure> {
    let baselines: BaselineSet = [OperatingSystem::Windows, OperatingSystem::AmazonLinux2023]
        .map(baseline)
        .into_iter()
        .collect();
    let scanned_under = Scenario::new(baselines.clone(), TODAY);
    let mut builder = PatchMatrix::builder().with_scanned_under(scanned_under, compare_versions);
    let windows = offer(&mut builder, &OperatingSystem::Windows, &WINDOWS)?;
    let linux = offer(&mut builder, &OperatingSystem::AmazonLinux2023, &LINUX)?;
    for number in 0..24 {
        builder.node(node(number, &windows, &linux)?)?;
    }
    Ok(Fleet {
        name: "the sample fleet".to_owned(),
        matrix: builder.build(),
        baselines,
        when: at.unwrap_or(TODAY),
        not_live: NotLive::default(),
        problems: Vec::new(),
    })
}

fn baseline(os: OperatingSystem) -> PatchBaseline {
    let (kind, severity) = match os {
        OperatingSystem::Windows => ("SecurityUpdates", PatchFilterKey::MsrcSeverity),
        _ => ("Security", PatchFilterKey::Severity),
    };
    let rule = ApprovalRule::new(AutoApproval::AfterDays(7))
        .with_level(ComplianceLevel::High)
        .with_filter(PatchFilter::new(PatchFilterKey::Classification, [kind]))
        .with_filter(PatchFilter::new(severity, ["Critical", "Important"]));
    PatchBaseline::new(format!("Sample-{os}"), os).with_rule(rule)
}

fn offer(
    builder: &mut MatrixBuilder,
    os: &OperatingSystem,
    rows: &[Row],
) -> Result<Vec<PatchRef>, Failure> {
    let windows = *os == OperatingSystem::Windows;
    let patch = |(name, title, severity, age): &Row| -> Result<Patch, Failure> {
        let id = if windows { (*name).to_owned() } else { format!("{name}.x86_64") };
        let released = TODAY - SignedDuration::from_hours(24 * age + 8);
        let mut patch = Patch::new(PatchId::new(id)?)
            .with_title(*title)
            .with_severity(severity.clone())
            .with_released_at(released);
        if windows {
            return Ok(patch
                .with_classification(Classification::SecurityUpdates)
                .with_product("WindowsServer2022"));
        }
        let (version, release) = title.split_once('-').unwrap_or((title, ""));
        patch.package = Some(Package {
            name: (*name).to_owned(),
            arch: "x86_64".to_owned(),
            version: version.to_owned(),
            release: release.to_owned(),
            ..Package::default()
        });
        Ok(patch.with_classification(Classification::Security).with_product("AmazonLinux2023"))
    };
    rows.iter().map(|row| Ok(builder.offer(os, patch(row)?))).collect()
}

/// One in three nodes is a Windows server; what each has follows from its number.
fn node(number: usize, windows: &[PatchRef], linux: &[PatchRef]) -> Result<NodeFacts, Failure> {
    let account = ["111122223333", "222233334444", "333344445555"][number % 3];
    let region = ["eu-west-1", "us-east-1"][number / 3 % 2];
    let id = format!("aws/{account}/{region}/i-{number:017x}").parse()?;
    let is_windows = number % 3 == number / 3 % 3;
    let os = if is_windows { OperatingSystem::Windows } else { OperatingSystem::AmazonLinux2023 };
    let group = PatchGroupName::new(["Windows", "Linux"][usize::from(!is_windows)])?;
    let scanned = TODAY - SignedDuration::from_hours(20);
    let mut facts = NodeFacts::new(id, os)
        .with_group(group)
        .with_report(ComplianceStatus::Unknown, Some(scanned));
    if number == 23 {
        return Ok(facts.with_evidence(Evidence::Nothing));
    }
    let is = |patch: &PatchRef, absent: bool| {
        (*patch, if absent { Presence::Absent } else { Presence::Installed })
    };
    if is_windows {
        facts = facts.with_product("WindowsServer2022");
        // Updates that are not approved yet show as available; the newest is on no node.
        facts.patches.push(is(&windows[0], number.is_multiple_of(2)));
        facts.patches.push(is(&windows[1], number % 4 == 1));
        facts.patches.push(is(&windows[2], number == 8));
        facts.patches.push(is(&windows[3], true));
        facts.patches.push(is(&windows[4], false));
    } else {
        // What is not approved yet, a scan of Linux does not report.
        let newest = number.is_multiple_of(5);
        facts.patches.push(is(&linux[usize::from(!newest)], false));
        facts.patches.push(is(&linux[2], number == 7));
        facts.patches.push(is(&linux[3], number == 14));
        facts.patches.push(is(&linux[4], false));
    }
    Ok(facts)
}
