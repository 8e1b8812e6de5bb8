//! `fleet-sbom` as its users run it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use patchkit_testkit::lake::{Dirt, SampleLake};
use serde_json::{Value, json};

const AT: &str = "2026-11-30T05:00:00Z";

fn fleet_sbom(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fleet-sbom")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {} {}", text(&output.stdout), text(&output.stderr))
    })
}

/// A lake of one node with some packages.
fn lake(folder: &Path, platform: &str, version: &str, packages: &str) {
    let information = format!(
        r#"{{"InstanceStatus":"Active","PlatformName":"{platform}","PlatformVersion":"{version}"}}"#
    );
    for (ty, rows) in [("AWS:InstanceInformation", &*information), ("AWS:Application", packages)] {
        let place = folder.join(format!(
            "{ty}/accountid=111122223333/region=eu-west-1/resourcetype=ManagedInstanceInventory"
        ));
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("i-0a.json"), rows).unwrap();
    }
}

#[test]
fn the_bill_of_a_node_of_the_sample_begins_as_the_golden_one() {
    let output = fleet_sbom(&["--at", AT]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let bill = json_of(&output);
    assert!(bill["components"].as_array().unwrap().len() > 10);
    let head: Vec<_> = text(&output.stdout).lines().take(80).collect();
    insta::assert_snapshot!(head.join("\n"));
    assert_eq!(output.stdout, fleet_sbom(&["--at", AT]).stdout);
    let older = json_of(&fleet_sbom(&["--at", AT, "--spec", "1.6"]));
    assert_eq!(older["specVersion"], "1.6");
    assert_eq!(older["components"], bill["components"]);
}

#[test]
fn what_hits_the_sample_is_the_golden_table() {
    let output = fleet_sbom(&["match"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn a_node_is_compared_with_an_earlier_bill_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (here, place) = (folder.path().join("lake"), folder.path().join("before.json"));
    let row = |name: &str, version: &str, release: &str| {
        format!(r#"{{"Name":"{name}","Version":"{version}","Release":"{release}","Epoch":"0"}}"#)
    };
    let rows = |rows: [String; 3]| rows.join("\n");
    let before =
        rows([row("bash", "5.1", "9.el9"), row("curl", "7.76", "2.el9"), row("vim", "8", "1")]);
    lake(&here, "Rocky Linux", "9.4", &before);
    let lake_text = here.to_str().unwrap();
    fs::write(&place, fleet_sbom(&["--lake", lake_text, "--node", "i-0a"]).stdout).unwrap();
    let arguments = ["diff", "--lake", lake_text, place.to_str().unwrap(), "i-0a"];
    assert_eq!(fleet_sbom(&arguments).status.code(), Some(0));

    let after = rows([
        row("bash", "5.1", "10.el9"),
        row("curl", "7.76~rc1", "9.el9"),
        row("zsh", "5", "1"),
    ]);
    lake(&here, "Rocky Linux", "9.4", &after);
    let output = fleet_sbom(&[&arguments[..], &["--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let diff = json_of(&output);
    let kinds: Vec<_> = diff["changes"].as_array().unwrap().iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["upgraded", "downgraded", "removed", "added"]);
    let table = fleet_sbom(&arguments);
    assert!(text(&table.stdout).contains("5.1-9.el9"), "{}", text(&table.stdout));
}

#[test]
fn bad_advisories_are_told_and_the_others_count() {
    let folder = tempfile::tempdir().unwrap();
    let advisories = folder.path().join("mine.ndjson");
    let good = json!({"id": "MINE-1", "affected": [{
        "package": {"purl": "pkg:rpm/rocky/bash?distro=rocky-9"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "5.1-9.el9"}]}]}]});
    fs::write(&advisories, format!("{good}\n{{\"id\":\"MINE-2\"}}\n{{\"id\":\n")).unwrap();
    let place = folder.path().join("lake");
    let row = r#"{"Name":"bash","Version":"5.1","Release":"6.el9"}"#;
    lake(&place, "Rocky Linux", "9.4", row);
    let output = fleet_sbom(&[
        "match",
        "--lake",
        place.to_str().unwrap(),
        "--advisories",
        advisories.to_str().unwrap(),
        "--format",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let answer = json_of(&output);
    assert_eq!(answer["advisories"]["read"], 1);
    assert_eq!(answer["advisories"]["problems"].as_array().unwrap().len(), 2);
    let hit = &answer["nodes"][0]["findings"][0];
    assert_eq!((&hit["advisory"], &hit["fixed"]), (&json!("MINE-1"), &json!("5.1-9.el9")));
    assert_eq!(
        (&hit["installed"], &answer["nodes"][0]["reach"]),
        (&json!("5.1-6.el9"), &json!("held"))
    );
}

#[test]
fn a_dirty_lake_names_what_was_lost_and_hits_no_other_node() {
    let folder = tempfile::tempdir().unwrap();
    let (clean, dirty) = (folder.path().join("clean"), folder.path().join("dirty"));
    let sample = || SampleLake::new().with_seed(5).with_nodes(60);
    sample().write(&clean).unwrap();
    let key = sample().with_dirt(&Dirt::ALL, 20).write(&dirty).unwrap();
    assert!(!key.nodes_with_loss(&["AWS:Application"]).is_empty());
    let nodes = |lake: &Path| -> Vec<Value> {
        let output =
            fleet_sbom(&["match", "--all", "--lake", lake.to_str().unwrap(), "--format", "json"]);
        assert_eq!(output.status.code(), Some(1));
        let mut answer = json_of(&output);
        serde_json::from_value(answer["nodes"].take()).unwrap()
    };
    let (clean, dirty) = (nodes(&clean), nodes(&dirty));
    assert_eq!(clean.len(), dirty.len());
    let mut whole = 0;
    for (clean, dirty) in clean.iter().zip(&dirty) {
        assert_eq!(clean["node"], dirty["node"]);
        let is_whole = dirty["lost_rows"] == 0 && dirty["reach"] == clean["reach"];
        let id = dirty["node"].as_str().unwrap();
        let id = id.rsplit('/').next().unwrap();
        let lost = key.nodes_with_loss(&["AWS:Application", "AWS:InstanceInformation"]);
        assert_eq!(is_whole, !lost.contains(id), "{dirty}");
        if is_whole {
            whole += 1;
            assert_eq!(clean["findings"], dirty["findings"]);
        }
    }
    assert!(whole > 0);
}

#[test]
fn text_of_nodes_and_advisories_cannot_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let advisories = folder.path().join("a.json");
    let hostile = json!({"id": "X\u{1b}[2J", "aliases": ["\u{202e}"], "affected": [{
        "package": {"ecosystem": "Debian", "name": "a\u{9b}"}, "versions": ["1\u{1b}"]}]});
    fs::write(&advisories, hostile.to_string()).unwrap();
    let place = folder.path().join("lake");
    lake(&place, "Debian", "12\\u001b", r#"{"Name":"a\u009b","Version":"1\u001b"}"#);
    let place = place.to_str().unwrap();
    for arguments in [
        &["match", "--lake", place, "--advisories", advisories.to_str().unwrap()][..],
        &[
            "match",
            "--lake",
            place,
            "--advisories",
            advisories.to_str().unwrap(),
            "--format",
            "json",
        ],
        &["--lake", place],
    ] {
        let output = fleet_sbom(arguments);
        let told = text(&output.stdout);
        let steers = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!told.contains(steers), "{told:?}");
        assert!(told.contains("i-0a"), "{told} {}", text(&output.stderr));
    }
}

#[test]
fn bad_usage_is_told_and_is_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, none) = (folder.path().to_str().unwrap(), folder.path().join("none"));
    let none = none.to_str().unwrap();
    for (arguments, why) in [
        (&["--lake", none][..], "none"),
        (&["--lake", empty], "holds no inventory"),
        (&["--node", "i-nobody"], "is no node"),
        (&["--serial", "7"], "is no UUID"),
        (&["diff", "i-nobody", "i-nobody"], "is no node"),
        (&["match", "--advisories", none], "cannot be read"),
        (&["match", "--advisories", empty], "there is no advisory"),
        (&["match", "--packages", none], "cannot be read"),
        (&["match", "--only", "i-nobody"], "is no node"),
    ] {
        let output = fleet_sbom(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
    }
}

#[test]
fn every_live_node_has_a_bill_of_its_own_in_one_pass() {
    let folder = tempfile::tempdir().unwrap();
    let (place, bills) = (folder.path().join("lake"), folder.path().join("bills"));
    let key = SampleLake::new().with_seed(5).with_nodes(60).write(&place).unwrap();
    let [lake, out] = [&place, &bills].map(|path| path.to_str().unwrap());
    let output = fleet_sbom(&["--lake", lake, "--out", out, "--at", AT]);
    let named: Vec<_> = fs::read_dir(&bills)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(text(&output.stdout).contains(&format!("{} bills", named.len())));
    assert!(named.len() > 20, "{} {}", named.len(), text(&output.stderr));
    drop(key);
    for name in &named {
        let node = name.rsplit('_').next().unwrap().strip_suffix(".cdx.json").unwrap();
        let one = fleet_sbom(&["--lake", lake, "--node", node, "--at", AT]);
        let bill = fs::read(bills.join(name)).unwrap();
        assert_eq!(text(&bill), text(&one.stdout), "{name}");
    }
    let again = fleet_sbom(&["--lake", lake, "--out", out]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("holds something already"));

    let (all, two) = (folder.path().join("all"), folder.path().join("two"));
    let count = |path: &Path| fs::read_dir(path).unwrap().count();
    fleet_sbom(&["--lake", lake, "--out", all.to_str().unwrap(), "--all"]);
    assert!(count(&all) > named.len(), "stopped nodes have lists too");
    let node = |name: &String| name.rsplit('_').next().unwrap().replace(".cdx.json", "");
    let (one, other) = (node(&named[0]), node(&named[1]));
    let several = ["--lake", lake, "--node", &one, "--node", &other];
    let output = fleet_sbom(&[&several[..], &["--out", two.to_str().unwrap()]].concat());
    assert_eq!((output.status.code(), count(&two)), (Some(0), 2), "{}", text(&output.stderr));
    let output = fleet_sbom(&several);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--out"), "{}", text(&output.stderr));
}

#[test]
fn a_node_with_two_lists_has_one_bill_and_a_lost_row_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("lake");
    let row = |name: &str| format!(r#"{{"Name":"{name}","Version":"1"}}"#);
    lake(&place, "Ubuntu", "22.04", &row("bash"));
    // A second sync under another prefix.
    lake(&place.join("other"), "Ubuntu", "22.04", &format!("{}\nnonsense\n", row("zsh")));
    let out = folder.path().join("bills");
    let arguments = ["--lake", place.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let output = fleet_sbom(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("1 of 1 bills are incomplete"),
        "{}",
        text(&output.stderr)
    );
    let bill = fs::read_to_string(out.join("111122223333_eu-west-1_i-0a.cdx.json")).unwrap();
    assert!(bill.contains("\"bash\"") && bill.contains("\"zsh\""), "{bill}");
}
