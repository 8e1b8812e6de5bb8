//! What the nodes of a lake run, read from its objects.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use patchkit_core::{ErrorKind, NodeId};
use patchkit_inventory::{LakeReading, LakeReport, LoadOptions, LocalSource};
use patchkit_report::{Coverage, NodeSoftware, NodesAsked, for_each_software, read_software};

fn write(lake: &Path, ty: &str, node: &str, rows: &str) {
    let folder = lake.join(format!(
        "{ty}/accountid=012345678901/region=eu-west-1/resourcetype=ManagedInstanceInventory"
    ));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{node}.json")), rows).unwrap();
}

/// Two live nodes, of which one has no list, and one that is gone.
fn lake(folder: &Path) -> LakeReport {
    for (node, status) in [("i-0a", "Active"), ("i-0b", "Active"), ("i-0c", "Terminated")] {
        let row = format!(
            r#"{{"ComputerName":"{node}.example","InstanceStatus":"{status}","AgentVersion":"3.3.1",
            "PlatformName":"Red Hat Enterprise Linux","PlatformVersion":"9.4"}}"#
        );
        write(folder, "AWS:InstanceInformation", node, &row.replace('\n', ""));
    }
    let bash = r#"{"Name":"bash","Version":"5.1.8","Release":"9.el9","Epoch":"(none)","URL":"",
        "PackageId":"bash-5.1.8-9.el9.src.rpm","InstalledTime":"2026-01-02T03:04:05Z",
        "captureTime":"2026-11-29T04:00:00Z"}"#;
    let bash = bash.replace("\n        ", "");
    write(
        folder,
        "AWS:Application",
        "i-0a",
        &format!("{bash}\n{{\"Name\":\"zsh\n{{\"Name\":\"\"}}\n{bash}\n"),
    );
    write(folder, "AWS:Application", "i-0c", &bash);
    load(folder)
}

fn load(folder: &Path) -> LakeReport {
    let source = Arc::new(LocalSource::open(folder).unwrap());
    wait(LakeReport::load(source, LoadOptions::default())).unwrap()
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn id(node: &str) -> NodeId {
    format!("aws/012345678901/eu-west-1/{node}").parse().unwrap()
}

fn read(report: &LakeReport, asked: NodesAsked) -> (Vec<NodeSoftware>, LakeReading) {
    let all = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&all);
    let each = move |software| shared.lock().unwrap().push(software);
    let reading = wait(for_each_software(report, asked, each)).unwrap();
    let mut all = std::mem::take(&mut *all.lock().unwrap());
    all.sort_by(|a: &NodeSoftware, b| a.node.cmp(&b.node));
    (all, reading)
}

#[test]
fn a_nodes_list_is_joined_with_what_the_lake_knows_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (nodes, reading) = read(&lake(folder.path()), NodesAsked::Live);
    assert_eq!(nodes.len(), 2);
    let node = &nodes[0];
    assert_eq!(
        (node.name.as_deref(), node.agent_version.as_deref()),
        (Some("i-0a.example"), Some("3.3.1"))
    );
    assert_eq!(node.captured_at, Some("2026-11-29T04:00:00Z".parse().unwrap()));
    // Twice the same row, a row that was cut, and one that names nothing.
    assert_eq!(node.packages.len(), 1);
    assert_eq!(node.coverage, Coverage::Partial(2));
    assert_eq!(reading.skipped.total(), 1);
    let bash = &node.packages[0];
    assert_eq!((bash.epoch.as_deref(), bash.url.as_deref()), (None, None));
    assert_eq!(node.version_of(bash).as_deref(), Some("5.1.8-9.el9"));
    assert_eq!((&nodes[1].node, nodes[1].coverage), (&id("i-0b"), Coverage::Missing));
}

#[test]
fn nodes_that_are_gone_come_where_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let report = lake(folder.path());
    let (nodes, _) = read(&report, NodesAsked::All);
    assert_eq!(nodes.len(), 3);
    let (nodes, reading) = read(&report, NodesAsked::These(BTreeSet::from([id("i-0c")])));
    assert_eq!((nodes.len(), nodes[0].coverage), (1, Coverage::Read));
    // Lists of others are not opened, and other types not listed.
    assert_eq!(reading.types["AWS:Application"].objects, 1);
    assert_eq!(reading.listed, 2);
}

#[test]
fn a_node_under_two_prefixes_has_one_list() {
    let folder = tempfile::tempdir().unwrap();
    lake(folder.path());
    write(
        &folder.path().join("old"),
        "AWS:Application",
        "i-0a",
        r#"{"Name":"dash","Version":"0.5"}"#,
    );
    let report = load(folder.path());
    let (nodes, _) = wait(read_software(&report, [id("i-0a")])).unwrap();
    let names: Vec<_> = nodes[0].packages.iter().map(|package| &*package.name).collect();
    assert_eq!(names, ["bash", "dash"]);
    assert_eq!(nodes[0].coverage, Coverage::Partial(2));
    assert_eq!(read(&report, NodesAsked::Live).0.len(), 3);
}

#[test]
fn a_node_that_the_lake_does_not_hold_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let error = wait(read_software(&lake(folder.path()), [id("i-0f")])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
