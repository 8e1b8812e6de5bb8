use std::{fs, path::Path, sync::Arc};

use futures::executor::block_on;
use patchkit_core::{
    ApprovalRule, AutoApproval, PatchBaseline, PatchGroupName,
    whatif::{BaselineSet, Doubt, Scenario, what_if},
};

use super::*;
use crate::{LoadOptions, LocalSource, parse_catalogue};

fn put(lake: &Path, ty: &str, node: &str, lines: &[&str]) {
    let folder = lake.join(format!(
        "{ty}/accountid=111122223333/region=eu-west-1/resourcetype=ManagedInstanceInventory"
    ));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{node}.json")), lines.join("\n")).unwrap();
}

fn info(lake: &Path, node: &str, status: &str, platform: &str, version: &str) {
    let row = format!(
        r#"{{"InstanceStatus":"{status}","PlatformName":"{platform}","PlatformVersion":"{version}"}}"#
    );
    put(lake, "AWS:InstanceInformation", node, &[&row]);
}

fn summary(lake: &Path, node: &str, status: &str) {
    let row = format!(
        r#"{{"ComplianceType":"Patch","Status":"{status}","PatchGroup":"prod","PatchBaselineId":"pb-1","ExecutionTime":"2026-01-12T00:00:00Z"}}"#
    );
    put(lake, "AWS:ComplianceSummary", node, &[&row]);
}

fn item(id: &str, title: &str, state: &str) -> String {
    format!(
        r#"{{"ComplianceType":"Patch","Id":"{id}","Title":"{title}","PatchState":"{state}","Classification":"Security","PatchSeverity":"Important"}}"#
    )
}

fn node(name: &str) -> NodeId {
    format!("aws/111122223333/eu-west-1/{name}").parse().unwrap()
}

fn read(lake: &Path, builder: MatrixBuilder) -> LakeMatrix {
    let source = Arc::new(LocalSource::open(lake).unwrap());
    block_on(async {
        let report = LakeReport::load(source, LoadOptions::default()).await.unwrap();
        report.matrix(builder).await.unwrap()
    })
}

fn after_days(os: OperatingSystem, days: u16) -> PatchBaseline {
    PatchBaseline::new("web", os).with_rule(ApprovalRule::new(AutoApproval::AfterDays(days)))
}

fn scenario(days: u16) -> Scenario {
    let set: BaselineSet = [OperatingSystem::AmazonLinux2, OperatingSystem::Windows]
        .map(|os| after_days(os, days))
        .into_iter()
        .collect();
    Scenario::new(set, "2026-01-15T00:00:00Z".parse().unwrap())
}

#[test]
fn only_live_nodes_with_their_whole_report_can_be_compliant() {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path();
    for (name, status) in [
        ("i-fine", "Active"),
        ("i-missing", "ConnectionLost"),
        ("i-odd", "Active"),
        ("i-cut", "Active"),
        ("i-few", "Active"),
        ("i-none", "Active"),
        ("i-stopped", "Stopped"),
        ("i-gone", "Terminated"),
    ] {
        info(lake, name, status, "Amazon Linux", "2");
        summary(lake, name, "COMPLIANT");
    }
    summary(lake, "i-orphan", "COMPLIANT");
    let fine = item("bash.x86_64", "bash:0:5-1", "INSTALLED");
    let odd = item("zlib.x86_64", "zlib:0:1-1", "Quantum");
    put(lake, "AWS:ComplianceItem", "i-fine", &[&fine]);
    let missing = item("bash.x86_64", "bash:0:5-1", "Missing");
    put(lake, "AWS:ComplianceItem", "i-missing", &[&missing]);
    put(lake, "AWS:ComplianceItem", "i-odd", &[&fine, &odd, &odd]);
    put(lake, "AWS:ComplianceItem", "i-cut", &[&fine, &missing[..40]]);
    let counts = r#"{"InstalledCount":"1","MissingCount":2,"FailedCount":0,"OperationEndTime":"2026-01-13T00:00:00Z"}"#;
    put(lake, "AWS:PatchSummary", "i-few", &[counts]);
    put(lake, "AWS:ComplianceItem", "i-few", &[&fine]);
    put(lake, "AWS:PatchSummary", "i-none", &[counts]);
    for gone in ["i-stopped", "i-gone", "i-orphan"] {
        put(lake, "AWS:ComplianceItem", gone, &[&fine]);
    }

    let read = read(lake, PatchMatrix::builder());
    assert_eq!((read.not_live.stopped, read.not_live.terminated), (1, 1));
    assert_eq!(read.problems.len(), 1);
    assert_eq!(read.problems[0].node(), Some(&node("i-odd")));
    assert!(read.problems[0].message().starts_with("2 rows"), "{}", read.problems[0]);
    assert_eq!(read.reading.skipped.total(), 1);
    let scenario = scenario(0);
    let verdicts = read.matrix.judge(&scenario);
    for (name, status, doubt) in [
        ("i-fine", ComplianceStatus::Compliant, None),
        ("i-missing", ComplianceStatus::NonCompliant, None),
        ("i-odd", ComplianceStatus::Unknown, Some(Doubt::ReportInPart)),
        ("i-cut", ComplianceStatus::Unknown, Some(Doubt::ReportInPart)),
        ("i-few", ComplianceStatus::Unknown, Some(Doubt::ReportInPart)),
        ("i-none", ComplianceStatus::Unknown, Some(Doubt::NotScanned)),
    ] {
        assert_eq!(verdicts.status(&node(name)), Some(status), "{name}");
        assert_eq!(verdicts.doubt(&node(name)), doubt, "{name}");
    }
    // Without information its operating system is not known either, and no baseline is for it.
    assert_eq!(verdicts.doubt(&node("i-orphan")), Some(Doubt::NoBaseline));
    assert_eq!(verdicts.status(&node("i-gone")), None);
    let group = Some(PatchGroupName::new("prod").unwrap());
    assert_eq!(read.matrix.node(&node("i-fine")).unwrap().group, group);
    assert_eq!(verdicts.contradictions().count(), 1);
}

#[test]
fn with_a_catalogue_a_shorter_delay_names_who_falls_out_and_who_may() {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path();
    info(lake, "i-linux", "Active", "Amazon Linux", "2");
    info(lake, "i-new", "Active", "Amazon Linux", "2");
    info(lake, "i-windows", "Active", "Microsoft Windows Server 2022 Datacenter", "10.0.20348");
    for name in ["i-linux", "i-new", "i-windows"] {
        summary(lake, name, "COMPLIANT");
    }
    let old = item("curl.x86_64", "curl:0:8.4.0-1.amzn2", "Installed");
    let new = item("curl.x86_64", "curl:0:8.5.0-10.amzn2", "InstalledOther");
    put(lake, "AWS:ComplianceItem", "i-linux", &[&old]);
    put(lake, "AWS:ComplianceItem", "i-new", &[&new]);
    let update = item("KB5034441", "2026-01 Update (KB5034441)", "AvailableSecurityUpdate");
    put(lake, "AWS:ComplianceItem", "i-windows", &[&update]);
    let catalogue = parse_catalogue(
        r#"[{"Name":"curl","Arch":"x86_64","Epoch":0,"Version":"8.5.0","Release":"9.amzn2",
             "Product":"AmazonLinux2.0","Classification":"Security",
             "ReleaseDate":"2026-01-10T00:00:00Z"},
            {"KbNumber":"KB5034441","Product":"WindowsServer2022","ProductFamily":"Windows",
             "Classification":"SecurityUpdates","ReleaseDate":"2026-01-11T00:00:00Z"}]"#,
        None,
    );
    let (seven, three) = (scenario(7), scenario(3));
    let builder = PatchMatrix::builder().with_scanned_under(seven.clone(), compare_versions);
    let mut builder = builder;
    catalogue.unwrap().catalogue.offer_to(&mut builder);
    let read = read(lake, builder);
    let answer = what_if(&read.matrix, &seven, &three);
    let changes: Vec<_> =
        answer.changes().map(|it| (it.node.name().to_owned(), it.after)).collect();
    assert_eq!(
        changes,
        [
            ("i-linux".to_owned(), ComplianceStatus::Unknown),
            ("i-windows".to_owned(), ComplianceStatus::NonCompliant),
        ]
    );
    assert_eq!(answer.before().counts().compliant, 3);
}

#[test]
fn a_windows_server_is_a_product() {
    for (platform, product) in [
        ("Microsoft Windows Server 2019 Datacenter", Some("WindowsServer2019")),
        ("Microsoft Windows Server 2012 R2 Standard", Some("WindowsServer2012R2")),
        ("Microsoft Windows 11", None),
        ("Amazon Linux", None),
    ] {
        assert_eq!(windows_product(platform).as_deref(), product, "{platform}");
    }
}

#[test]
fn versions_are_ordered_as_on_the_system_and_not_without_a_number() {
    let os = OperatingSystem::AmazonLinux2;
    assert_eq!(compare_versions(&os, "8.5.0-10", "8.5.0-9"), Some(Ordering::Greater));
    assert_eq!(compare_versions(&os, "1:1.0-1", "2.0-1"), Some(Ordering::Greater));
    assert_eq!(compare_versions(&os, "unknown", "2.0-1"), None);
}
