//! `what-if` as its users run it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

use patchkit_core::ComplianceStatus;
use patchkit_testkit::lake::{Dirt, SampleLake};
use serde_json::{Value, json};

fn what_if(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_what-if")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {} {}", text(&output.stdout), text(&output.stderr))
    })
}

/// Baselines that approve every patch `days` after its release.
fn baselines(folder: &Path, days: u16) -> String {
    let of = |os: &str| {
        json!({"Name": "all", "OperatingSystem": os, "ApprovalRules": {"PatchRules": [
            {"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": days,
             "ComplianceLevel": "HIGH"}]}})
    };
    let systems =
        ["WINDOWS", "AMAZON_LINUX_2", "AMAZON_LINUX_2023", "REDHAT_ENTERPRISE_LINUX", "SUSE"];
    let apt = ["UBUNTU", "DEBIAN"];
    let all: Vec<Value> = systems.into_iter().chain(apt).map(of).collect();
    let path = folder.join(format!("baselines-{days}.json"));
    fs::write(&path, serde_json::to_vec(&all).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn names(rows: &Value, status: &str) -> BTreeSet<String> {
    let rows = rows.as_array().unwrap().iter().filter(|row| row["after"] == status);
    rows.map(|row| row["node"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_sample_is_the_golden_one() {
    let output = what_if(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn the_sample_in_json_says_who_falls_out_who_comes_in_and_from_when() {
    let output =
        what_if(&["--reject", "KB5044281", "--approve-after-days", "3", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let answer = json_of(&output);
    let out = names(&answer["changes"], "non_compliant");
    let back = names(&answer["changes"], "compliant");
    let lost = names(&answer["changes"], "unknown");
    assert_eq!(out.len() as u64, answer["totals"]["fall_out"].as_u64().unwrap());
    assert_eq!(back.len() as u64, answer["totals"]["come_in"].as_u64().unwrap());
    assert_eq!(lost.len() as u64, answer["totals"]["become_unknown"].as_u64().unwrap());
    assert!(!out.is_empty() && !back.is_empty() && !lost.is_empty(), "{answer}");
    for change in answer["changes"].as_array().unwrap() {
        assert!(!change["causes"].as_array().unwrap().is_empty());
        assert_eq!(change["since"].is_null(), change["after"] == "compliant", "{change}");
    }
    let groups = answer["groups"].as_array().unwrap();
    let sum: u64 = groups.iter().map(|group| group["fall_out"].as_u64().unwrap()).sum();
    assert_eq!(sum, out.len() as u64);
    let days: Vec<_> =
        answer["forecast"].as_array().unwrap().iter().map(|it| &it["date"]).collect();
    assert!(!days.is_empty());
    // No question, the same question.
    assert_eq!(text(&what_if(&["--format", "json"]).stdout), text(&output.stdout));
}

#[test]
fn nothing_changes_where_nothing_is_changed() {
    let output = what_if(&["--approve-after-days", "7", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let answer = json_of(&output);
    assert_eq!(answer["changes"], json!([]));
    assert_eq!(answer["later"], json!([]));
    assert_eq!(answer["totals"]["unknown_by"], json!({"not_scanned": 1}));
}

#[test]
fn one_node_is_explained_before_and_after() {
    let answer = json_of(&what_if(&["--format", "json"]));
    let out = names(&answer["changes"], "non_compliant");
    let node = out.first().unwrap();
    let output = what_if(&["--explain", node]);
    let told = text(&output.stdout);
    assert!(told.contains("approval_rules[0] (3 days after release"), "{told}");
    assert!(told.contains(&format!("Before: {node} is compliant")), "{told}");
    assert!(told.contains(&format!("After: {node} is non_compliant")), "{told}");
    let output = what_if(&["--explain", "i-nobody"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("i-nobody is no node"));
}

#[test]
fn a_lakes_nodes_have_the_verdicts_of_its_answer_key() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let key = SampleLake::new().with_seed(11).with_nodes(150).write(&lake).unwrap();
    let [now, then] = [0, 30].map(|days| baselines(folder.path(), days));
    let arguments = ["--lake", lake.to_str().unwrap(), "--baselines", &now, "--to", &then];
    let output =
        what_if(&[&arguments[..], &["--at", "2026-11-24T00:00:00Z", "--format", "json"]].concat());
    let answer = json_of(&output);
    // Without dates delays have no say.
    assert_eq!(answer["changes"], json!([]));
    assert!(answer["totals"]["undated_patches"].as_u64().unwrap() > 0);
    // A patch that was rejected when the lake was made is installed to these baselines.
    let live = key.nodes.iter().filter(|node| node.instance_status.is_live());
    let wrong = live.clone().filter(|node| {
        node.status == ComplianceStatus::NonCompliant
            && node.counts.non_compliant() > node.counts.installed_rejected
    });
    assert_eq!(answer["totals"]["non_compliant_before"], wrong.count());
    let unknown = live.filter(|node| node.status == ComplianceStatus::Unknown).count();
    assert!(answer["totals"]["unknown_after"].as_u64().unwrap() >= unknown as u64);
    let stopped: u64 = key.groups.iter().map(|group| group.not_live.stopped).sum();
    assert_eq!(answer["totals"]["stopped"], stopped);
}

#[test]
fn installing_what_is_missing_brings_its_nodes_in() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    SampleLake::new().with_seed(11).with_nodes(60).write(&lake).unwrap();
    let now = baselines(folder.path(), 0);
    let arguments = ["--lake", lake.to_str().unwrap(), "--baselines", &now, "--install", "*"];
    let output = what_if(&[&arguments[..], &["--format", "json"]].concat());
    let answer = json_of(&output);
    assert!(answer["totals"]["come_in"].as_u64().unwrap() > 0, "{answer}");
    assert_eq!(answer["totals"]["fall_out"], 0);
}

#[test]
fn what_was_lost_of_a_lake_is_named_and_no_clean_end() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let key = SampleLake::new().with_seed(3).with_nodes(60).with_dirt(&Dirt::ALL, 20).write(&lake);
    let hurt = key.unwrap().nodes_with_loss(&["AWS:ComplianceItem"]).len();
    assert!(hurt > 0);
    let now = baselines(folder.path(), 0);
    let arguments = ["--lake", lake.to_str().unwrap(), "--baselines", &now];
    let output =
        what_if(&[&arguments[..], &["--approve-after-days", "0", "--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let answer = json_of(&output);
    assert!(answer["problems"].as_array().unwrap().len() >= hurt);
    assert_eq!(answer["changes"], json!([]));
}

#[test]
fn text_of_nodes_cannot_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        (
            "AWS:InstanceInformation",
            r#"{"InstanceStatus":"Active","PlatformName":"Amazon Linux","PlatformVersion":"2"}"#,
        ),
        (
            "AWS:ComplianceSummary",
            r#"{"ComplianceType":"Patch","Status":"COMPLIANT","PatchGroup":"a\u202eb","ExecutionTime":"2026-01-12T00:00:00Z"}"#,
        ),
        (
            "AWS:ComplianceItem",
            r#"{"ComplianceType":"Patch","Id":"x\u001b[2J","Title":"t\u009b","PatchState":"Missing"}"#,
        ),
    ];
    for (ty, row) in rows {
        let place = folder.path().join(format!(
            "{ty}/accountid=111122223333/region=eu-west-1/resourcetype=ManagedInstanceInventory"
        ));
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("i-0a.json"), row).unwrap();
    }
    let now = baselines(folder.path(), 0);
    for format in ["table", "json"] {
        let output = what_if(&[
            "--lake",
            folder.path().to_str().unwrap(),
            "--baselines",
            &now,
            "--reject",
            "x*",
            "--explain",
            "i-0a",
            "--format",
            format,
        ]);
        let told = text(&output.stdout);
        assert!(
            !told.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')),
            "{told:?}"
        );
        assert!(told.contains("i-0a"), "{told}");
    }
}

#[test]
fn bad_usage_is_told_and_is_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    let empty = folder.path().to_str().unwrap();
    for (arguments, why) in [
        (&["--lake", none.to_str().unwrap()][..], "none"),
        (&["--lake", empty], "holds no inventory"),
        (&["--to", none.to_str().unwrap()], "cannot be read"),
        (&["--approve-after-days", "361"], "360 days at most"),
        (&["--reject", "a*b*"], "no baseline takes it"),
        (&["--baselines", "x"], "--lake"),
    ] {
        let output = what_if(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
    }
}
