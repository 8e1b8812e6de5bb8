//! `patch-cycle` as its users run it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    collections::BTreeSet,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

fn patch_cycle(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_patch-cycle")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(arguments: &[&str]) -> (Output, Value) {
    let output = patch_cycle(&[arguments, &["--format", "json"]].concat());
    let value = serde_json::from_slice(&output.stdout).unwrap();
    (output, value)
}

#[test]
fn the_table_of_the_default_run_is_the_golden_one() {
    let output = patch_cycle(&[]);
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn the_same_seed_gives_the_same_output() {
    let arguments = ["--seed", "3", "--nodes", "60"];
    assert_eq!(patch_cycle(&arguments), patch_cycle(&arguments));
    let other = patch_cycle(&["--seed", "4", "--nodes", "60"]);
    assert_ne!(patch_cycle(&arguments).stdout, other.stdout);
}

#[test]
fn standard_output_is_one_object_with_the_documented_fields() {
    let (_, run) = json(&["--nodes", "40"]);
    let names = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(names(&run), ["nodes", "plan", "undo_failed"].map(str::to_owned).into());
    let nodes = run["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 40);
    let one_of = |value: &Value, words: &[&str]| {
        assert!(words.contains(&value.as_str().unwrap()), "{value}");
    };
    let power = ["running", "stopped", "deallocated", "starting", "stopping", "unknown"];
    let status = ["compliant", "non_compliant", "unknown"];
    let outcome = ["patched", "already_compliant", "failed", "skipped", "unreachable", "unknown"];
    for node in nodes {
        one_of(&node["power_before"], &power);
        one_of(&node["power_after"], &power);
        one_of(&node["status_before"], &status);
        one_of(&node["status_after"], &status);
        one_of(&node["outcome"], &outcome);
        assert!(node["id"].is_string());
        assert!(node["group"].is_string() || node["group"].is_null());
    }
    let ids: BTreeSet<_> = nodes.iter().map(|node| node["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), nodes.len());
}

#[test]
fn every_node_has_the_power_it_had_or_is_named() {
    for seed in ["1", "7", "42", "99"] {
        let (_, run) = json(&["--seed", seed, "--nodes", "80"]);
        let named: BTreeSet<_> = run["undo_failed"]
            .as_array()
            .unwrap()
            .iter()
            .map(|failure| failure["id"].as_str().unwrap())
            .collect();
        for node in run["nodes"].as_array().unwrap() {
            let id = node["id"].as_str().unwrap();
            assert!(
                node["power_before"] == node["power_after"] || named.contains(id),
                "seed {seed}: {node}"
            );
        }
    }
}

#[test]
fn no_node_is_called_patched_and_not_compliant() {
    let (_, run) = json(&["--nodes", "200"]);
    for node in run["nodes"].as_array().unwrap() {
        if node["outcome"] == "patched" || node["outcome"] == "already_compliant" {
            assert_eq!(node["status_after"], "compliant", "{node}");
        }
    }
}

#[test]
fn a_plan_alone_touches_nothing_and_ends_clean() {
    let (output, run) = json(&["--plan-only"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(run["nodes"], Value::Array(Vec::new()));
    assert_eq!(run["undo_failed"], Value::Array(Vec::new()));
    assert!(!run["plan"]["nodes"].as_array().unwrap().is_empty());
}

#[test]
fn a_saved_plan_is_carried_out_as_it_is_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.json");
    let file = file.to_str().unwrap();
    let (output, planned) = json(&["--plan-only", "--save-plan", file]);
    assert_eq!(output.status.code(), Some(0));
    let hash = planned["plan"]["hash"].as_str().unwrap();
    assert!(text(&output.stderr).contains(hash), "{}", text(&output.stderr));

    let (output, drift) = json(&["--plan-only", "--apply", file, "--hash", hash]);
    assert!(text(&output.stderr).contains("no difference"), "{}", text(&output.stderr));
    assert_eq!(drift["nodes"], Value::Array(Vec::new()));

    let (_, applied) = json(&["--apply", file, "--hash", hash]);
    assert_eq!(applied["plan"]["hash"], planned["plan"]["hash"]);
    assert!(applied["nodes"].as_array().unwrap().iter().any(|node| node["outcome"] == "patched"));

    for (arguments, word) in [
        (&["--apply", file, "--hash", "00"][..], "the plan's hash is"),
        // Another fleet than the one that it was made for.
        (&["--seed", "8", "--apply", file, "--hash", hash], "no more there"),
        (&["--apply", file], "--hash"),
        (&["--apply", "none.json", "--hash", hash], "none.json"),
    ] {
        let output = patch_cycle(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(word), "{arguments:?}: {}", text(&output.stderr));
    }
    // One node has gone since.
    let fewer = ["--nodes", "29", "--apply", file, "--hash", hash];
    assert_eq!(patch_cycle(&fewer).status.code(), Some(2));
    let borne = [&fewer[..], &["--tolerance", "5%"]].concat();
    assert_ne!(patch_cycle(&borne).status.code(), Some(2));
}

#[test]
fn the_exit_code_says_whether_all_is_well() {
    let mut codes = BTreeSet::new();
    for seed in ["7", "8"] {
        let (output, run) = json(&["--seed", seed]);
        let nodes = run["nodes"].as_array().unwrap();
        let is_well = run["undo_failed"].as_array().unwrap().is_empty()
            && nodes.iter().all(|node| {
                let outcome = node["outcome"].as_str().unwrap();
                node["status_after"] == "compliant"
                    && !["failed", "unreachable", "unknown"].contains(&outcome)
            });
        assert_eq!(output.status.code(), Some(i32::from(!is_well)), "seed {seed}");
        codes.insert(output.status.code());
    }
    assert_eq!(codes.len(), 2, "one seed ends well and one does not");
    for arguments in [&["--nodes", "0"][..], &["--nodes", "many"], &["--format", "xml"], &["x"]] {
        let output = patch_cycle(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_patch-cycle"))
        .args(["--nodes", "2000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn nobody_who_reads_the_progress_is_no_reason_to_stop() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_patch-cycle"))
        .args(["--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(run["nodes"].as_array().unwrap().len(), 30);
}

#[test]
fn the_plan_of_the_second_try_is_shown_before_it_is_carried_out() {
    let output = patch_cycle(&["--nodes", "2000"]);
    assert!(text(&output.stderr).contains("remediated: "));
    assert!(text(&output.stdout).contains("remediate plan "));
}
