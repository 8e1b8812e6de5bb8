//! `plan` as its users run it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use futures::executor::block_on;
use patchkit_core::{
    Amount, NodeSelector, PowerState, Rollout, VirtualClock, Wave, WaveMembers,
    memory::{MemoryCloud, MemoryJournal},
    workflow::{PatchOptions, Runner},
};

fn plan(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_plan")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Two plans over one fleet, of which the second was made after somebody had been at work.
fn two_plans(folder: &Path) -> [PathBuf; 2] {
    let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
    let cloud = MemoryCloud::builder().seed(7).nodes(8).clock(clock.clone()).build();
    let journal = MemoryJournal::new(clock.clone());
    let runner = Runner::new(cloud.clone(), cloud.clone(), journal, clock.clone());
    let options = PatchOptions::new(NodeSelector::all());
    let save = |name: &str, options: &PatchOptions| {
        let plan = block_on(runner.plan_patch(options)).unwrap();
        let path = folder.join(name);
        fs::write(&path, plan.to_file().unwrap()).unwrap();
        path
    };
    let before = save("before.json", &options);
    let stopped = block_on(runner.plan_patch(&options)).unwrap().nodes[0].id.clone();
    cloud.update(&stopped, |node| node.with_power(PowerState::Stopped)).unwrap();
    clock.advance(Duration::from_hours(1));
    let canary = Wave::new("canary", WaveMembers::Amount(Amount::Fixed(1)));
    let after = save("after.json", &options.with_rollout(Rollout::new().with_wave(canary)));
    [before, after]
}

#[test]
fn the_difference_of_two_plans_is_the_golden_one() {
    let folder = tempfile::tempdir().unwrap();
    let [before, after] = two_plans(folder.path());
    let output = plan(&["diff", before.to_str().unwrap(), after.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn a_plan_is_no_different_from_itself() {
    let folder = tempfile::tempdir().unwrap();
    let [before, _] = two_plans(folder.path());
    let before = before.to_str().unwrap();
    let output = plan(&["diff", before, before]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "no difference\n");
}

#[test]
fn a_plan_is_shown_with_the_hash_by_which_it_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    let [before, _] = two_plans(folder.path());
    let output = plan(&["show", before.to_str().unwrap()]);
    let file: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&before).unwrap()).unwrap();
    let hash = format!("hash {}", file["hash"].as_str().unwrap());
    assert_eq!(text(&output.stdout).lines().last(), Some(hash.as_str()));
}

#[test]
fn a_plan_that_was_edited_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [before, after] = two_plans(folder.path());
    let edited = fs::read_to_string(&before).unwrap().replacen("\"running\"", "\"stopped\"", 1);
    fs::write(&before, edited).unwrap();
    let output = plan(&["diff", before.to_str().unwrap(), after.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let words = text(&output.stderr);
    assert!(
        words.contains("before.json") && words.contains("changed after it was saved"),
        "{words}"
    );
}
