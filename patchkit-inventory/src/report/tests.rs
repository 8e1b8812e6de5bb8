use std::{fs, path::Path, sync::Mutex};

use futures::{TryStreamExt, executor::block_on};
use patchkit_core::ComplianceStatus;

use super::*;
use crate::{ApplicationQuery, Dimension, LocalSource, NodesWanted, SkipReason};

const A: &str = "111122223333";
const B: &str = "012345678901";

fn put(lake: &Path, ty: &str, account: &str, node: &str, lines: &[&str]) {
    let folder = lake.join(format!(
        "{ty}/accountid={account}/region=eu-west-1/resourcetype=ManagedInstanceInventory"
    ));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{node}.json")), lines.join("\n")).unwrap();
}

fn info(status: &str) -> String {
    format!(
        r#"{{"InstanceStatus":"{status}","PlatformName":"Amazon Linux","PlatformVersion":"2","ComputerName":"web"}}"#
    )
}

fn summary(status: &str) -> String {
    format!(
        r#"{{"ComplianceType":"Patch","Status":"{status}","PatchGroup":"prod","PatchBaselineId":"pb-1","ExecutionTime":"2026-01-01T00:00:00Z"}}"#
    )
}

/// A node of every liveness, compliant where it has data.
fn lake() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path();
    for (node, account, status) in [
        ("i-active", A, "Active"),
        ("mi-lost", A, "ConnectionLost"),
        ("i-stopped", A, "Stopped"),
        ("i-gone", B, "Terminated"),
        ("i-active", B, "Active"),
        ("i-bare", B, "Active"),
    ] {
        put(lake, "AWS:InstanceInformation", account, node, &[&info(status)]);
        if node != "i-bare" {
            let verdict = if node == "mi-lost" { "NON_COMPLIANT" } else { "COMPLIANT" };
            put(lake, "AWS:ComplianceSummary", account, node, &[&summary(verdict)]);
        }
    }
    put(lake, "AWS:ComplianceSummary", B, "i-orphan", &[&summary("COMPLIANT")]);
    put(
        lake,
        "AWS:ComplianceItem",
        A,
        "mi-lost",
        &[
            r#"{"ComplianceType":"Patch","Id":"openssl","Title":"openssl-3","Status":"NON_COMPLIANT","PatchState":"Missing","Severity":"CRITICAL","Classification":"Security","CVEIds":"CVE-1, CVE-2","InstalledTime":"1970-01-01T00:00:00Z"}"#,
            r#"{"ComplianceType":"Association","Id":"x","Status":"COMPLIANT"}"#,
            r#"{"ComplianceType":"Patch","Id":"bash","Status":"COMPLIANT","PatchState":"INSTALLED","InstalledTime":"2026-01-01T00:00:00Z"}"#,
            r#"{"ComplianceType":"Patch","Id":"cur"#,
        ],
    );
    put(
        lake,
        "AWS:Application",
        A,
        "mi-lost",
        &[r#"{"Name":"OpenSSL","Version":"1.0"}"#, r#"{"Name":"bash","Version":"5"}"#, "<Error/>"],
    );
    put(lake, "AWS:Application", B, "i-gone", &[r#"{"Name":"openssl-libs","Version":"1.1"}"#]);
    dir
}

fn load(lake: &tempfile::TempDir, options: LoadOptions) -> LakeReport {
    let source = Arc::new(LocalSource::open(lake.path()).unwrap());
    block_on(LakeReport::load(source, options)).unwrap()
}

fn id(account: &str, node: &str) -> NodeId {
    format!("aws/{account}/eu-west-1/{node}").parse().unwrap()
}

#[test]
fn only_live_nodes_are_compliant_or_not() {
    let dir = lake();
    let report = load(&dir, LoadOptions::default());
    let totals = report.totals();
    assert_eq!((totals.compliant, totals.non_compliant, totals.unknown), (2, 1, 2));
    assert_eq!((totals.not_live.stopped, totals.not_live.terminated, totals.nodes()), (1, 1, 5));
    assert_eq!(report.nodes().count(), 7);
}

#[test]
fn groups_add_up_to_the_totals() {
    let dir = lake();
    let report = load(&dir, LoadOptions::default());
    for by in [&[][..], &[Dimension::Account], &[Dimension::PatchGroup, Dimension::Platform]] {
        let groups = report.groups(by);
        let sum: u64 = groups.iter().map(|g| g.counts.nodes() + g.counts.not_live.total()).sum();
        assert_eq!(sum, 7, "{by:?}");
    }
    let accounts = report.groups(&[Dimension::Account]);
    assert_eq!(accounts[0].values, [Some(B.to_owned())]);
    assert_eq!(accounts[0].counts.unknown, 2);
    let baselines = report.groups(&[Dimension::Baseline]);
    assert_eq!(baselines[0].values, [None]);
    assert_eq!(baselines[1].values, [Some("pb-1".to_owned())]);
}

#[test]
fn one_id_in_two_accounts_is_two_nodes() {
    let dir = lake();
    let report = load(&dir, LoadOptions::default());
    assert!(report.node(&id(A, "i-active")).is_some());
    assert!(report.node(&id(B, "i-active")).is_some());
}

#[test]
fn a_node_that_is_gone_is_listed_only_when_it_is_asked_for_and_then_as_unknown() {
    let dir = lake();
    let report = load(&dir, LoadOptions::default());
    let list = |selector: &NodeSelector| -> Vec<NodeCompliance> {
        block_on(report.summaries(selector).try_collect()).unwrap()
    };
    assert_eq!(list(&NodeSelector::all()).len(), 5);
    let stopped = list(&NodeSelector::all().with_power([PowerState::Stopped]));
    assert_eq!((stopped.len(), stopped[0].status), (1, ComplianceStatus::Unknown));
    let gone = list(&NodeSelector::ids([id(B, "i-gone")]));
    assert_eq!((gone.len(), gone[0].status), (1, ComplianceStatus::Unknown));
    assert!(gone[0].observed_at.is_some());
    let prod = NodeSelector::all().with_operating_systems([patchkit_core::OperatingSystem::Ubuntu]);
    assert!(list(&prod).is_empty());
    assert!(list(&NodeSelector::ids([])).is_empty());
}

#[test]
fn patches_are_read_from_that_nodes_object_and_what_is_lost_of_them_is_told() {
    let dir = lake();
    let report = load(&dir, LoadOptions::default());
    let patches: Vec<_> = block_on(report.patches(&id(A, "mi-lost")).collect());
    let good: Vec<_> = patches.iter().filter_map(|patch| patch.as_ref().ok()).collect();
    assert_eq!(good.len(), 2);
    assert_eq!((good[0].patch.as_str(), &good[0].state), ("openssl", &PatchState::Missing));
    assert_eq!((good[0].cves.len(), good[0].installed_at), (2, None));
    assert_eq!(good[1].state, PatchState::Installed);
    let error = patches[2].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert!(error.message().contains("line 4: the line ends inside a value"), "{error}");

    let none: Vec<_> = block_on(report.patches(&id(B, "i-bare")).collect());
    assert!(none.is_empty());
    let unknown: Vec<_> = block_on(report.patches(&id(B, "i-other")).collect());
    assert_eq!(unknown[0].as_ref().unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn missing_patches_are_counted_over_live_nodes() {
    let dir = lake();
    let item = r#"{"ComplianceType":"Patch","Id":"openssl","Title":"openssl-1","Status":"NON_COMPLIANT","PatchState":"Failed","Severity":"LOW"}"#;
    put(dir.path(), "AWS:ComplianceItem", A, "i-active", &[item]);
    put(dir.path(), "AWS:ComplianceItem", B, "i-gone", &[item]);
    assert_eq!(load(&dir, LoadOptions::default()).most_missing(9), None);
    let report = load(&dir, LoadOptions::default().with_patches(PatchDetails::Loaded));
    let gaps = report.most_missing(9).unwrap();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].missing, gaps[0].failed, &gaps[0].title), (1, 1, &None));
    assert_eq!(gaps[0].level, ComplianceLevel::Critical);
    let worst = report.worst(9);
    assert_eq!(worst.len(), 1);
    assert_eq!(worst[0].last.counts.missing, 1);
}

#[test]
fn applications_are_joined_with_liveness() {
    let dir = lake();
    let report = load(&dir, LoadOptions::default());
    let find = |query: ApplicationQuery| {
        let rows = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&rows);
        let reading = block_on(report.for_each_application(&query, move |row| {
            let version = row.version.unwrap_or_default();
            sink.lock().unwrap().push(format!("{} {} {version}", row.node.id.resource(), row.name));
        }))
        .unwrap();
        let mut rows = std::mem::take(&mut *rows.lock().unwrap());
        rows.sort();
        (rows, reading)
    };
    let query = ApplicationQuery::default().with_name_prefix("openssl");
    let (rows, reading) = find(query.clone());
    assert_eq!(rows, ["mi-lost OpenSSL 1.0"]);
    assert_eq!((reading.total().rows, reading.total().passed_over), (1, 2));
    assert_eq!(reading.skipped.entries()[0].reason, SkipReason::Malformed(1));
    let (rows, _) = find(query.with_nodes(NodesWanted::All));
    assert_eq!(rows, ["i-gone openssl-libs 1.1", "mi-lost OpenSSL 1.0"]);
    assert_eq!(find(ApplicationQuery::default()).0, ["mi-lost OpenSSL 1.0", "mi-lost bash 5"]);
}

#[test]
fn a_lost_information_makes_a_node_unknown_and_not_gone() {
    let dir = lake();
    put(dir.path(), "AWS:InstanceInformation", A, "i-active", &[r#"{"InstanceStatus":"Act"#]);
    let report = load(&dir, LoadOptions::default());
    assert_eq!(report.totals().unknown, 3);
    assert_eq!(report.reading().skipped.total(), 1);
}

#[tokio::test]
async fn a_report_is_usable_behind_the_trait() {
    let dir = lake();
    let source = Arc::new(LocalSource::open(dir.path()).unwrap());
    let report: Arc<dyn ComplianceReport> =
        Arc::new(LakeReport::load(source, LoadOptions::default()).await.unwrap());
    let summary = report.summary(&id(A, "mi-lost")).await.unwrap();
    assert_eq!(summary.status, ComplianceStatus::NonCompliant);
    assert_eq!(report.patches(&id(A, "mi-lost")).count().await, 3);
}
