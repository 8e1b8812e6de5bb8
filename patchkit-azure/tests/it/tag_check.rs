//! The daily tag check: what is missing, what is merged, what is exported.

use std::sync::Arc;

use patchkit_azure::UpdateManager;
use patchkit_core::{
    FleetExt, NodeId, NodeSelector, RunId,
    memory::{MemoryCloud, MemoryJournal},
    workflow::{RequiredTags, Runner, TagMode, TagOutcome, TagReport},
};
use patchkit_testkit::cloud::World;

use crate::cloud::{Cloud, arc, vm};

/// Tags are checked without asking for compliance.
fn runner(world: &World, azure: &UpdateManager) -> Runner {
    let clock = Arc::new(world.clock());
    let journal = MemoryJournal::new(Arc::clone(&clock));
    let compliance = MemoryCloud::builder().build();
    Runner::new(azure.clone(), compliance, journal, clock)
}

async fn check(cloud: &Cloud, mode: TagMode) -> TagReport {
    let required = RequiredTags::new().with_default("CostCenter", "unknown").with_name("Owner");
    let run = RunId::new("daily-tags").unwrap();
    let runner = runner(&cloud.world, &cloud.azure);
    runner.check_tags(&run, &NodeSelector::all(), &required, mode).await.unwrap()
}

#[tokio::test]
async fn a_check_is_a_dry_run_unless_merging_is_asked_for() {
    let cloud = Cloud::empty().await;
    cloud.add(&vm().with_tag("Owner", "alice"));
    let report = check(&cloud, TagMode::default()).await;
    assert_eq!(report.nodes[0].outcome, TagOutcome::Missing);
    assert_eq!(report.nodes[0].missing, ["CostCenter"]);
    let wrote = |operation: &str| operation.contains("Update") || operation.contains("Create");
    assert!(!cloud.world.calls().iter().any(|it| wrote(&it.operation)));
}

#[tokio::test]
async fn a_merge_adds_what_is_missing_touches_no_other_tag_and_is_taken_back() {
    let cloud = Cloud::empty().await;
    let bare = cloud.add(&vm().with_tag("Owner", "alice").with_tag("Stage", "prod"));
    let whole = cloud.add(&arc().with_tag("Owner", "bob").with_tag("CostCenter", "42"));
    let report = check(&cloud, TagMode::Merge).await;
    let outcome = |node: &NodeId| report.nodes.iter().find(|it| it.node == *node).unwrap().outcome;
    assert_eq!((outcome(&bare), outcome(&whole)), (TagOutcome::Merged, TagOutcome::Complete));
    assert_eq!(cloud.count("Tags_UpdateAtScope"), 1);
    let tags = cloud.azure.node(&bare).await.unwrap().tags;
    let tags: Vec<_> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(tags, ["CostCenter=unknown", "Owner=alice", "Stage=prod"]);
    assert!(runner(&cloud.world, &cloud.azure).revert_tags(&report).await.is_empty());
    assert!(!cloud.azure.node(&bare).await.unwrap().tags.contains_key("CostCenter"));
}

#[tokio::test]
async fn a_machine_that_has_fifty_tags_is_told_and_the_others_are_merged() {
    let cloud = Cloud::empty().await;
    let full = (0..49).fold(vm().with_tag("Owner", "x"), |it, n| it.with_tag(format!("t{n}"), "x"));
    let (full, other) = (cloud.add(&full), cloud.add(&vm().with_tag("Owner", "x")));
    let report = check(&cloud, TagMode::Merge).await;
    let finding = |node: &NodeId| report.nodes.iter().find(|it| it.node == *node).unwrap();
    assert_eq!(finding(&other).outcome, TagOutcome::Merged);
    assert_eq!(finding(&full).outcome, TagOutcome::Failed);
    let why = finding(&full).error.as_deref().unwrap();
    assert!(why.contains("would have 51 tags, and can have 50"), "{why}");
}

#[tokio::test]
async fn all_tags_of_all_machines_are_exported() {
    let cloud = Cloud::empty().await;
    cloud.add(&vm().with_tag("Owner", "=cmd|' /C calc'!A0").with_tag("CostCenter", "42"));
    cloud.add(&arc());
    let report = check(&cloud, TagMode::Check).await;
    let mut lines = Vec::new();
    report.write_json_lines(&mut lines).unwrap();
    assert_eq!(String::from_utf8(lines).unwrap().lines().count(), 4, "two set, two missing");
    let mut sheet = Vec::new();
    report.write_csv(&mut sheet).unwrap();
    let sheet = String::from_utf8(sheet).unwrap();
    assert!(sheet.contains(",Owner,'=cmd|' /C calc'!A0,"), "{sheet}");
}
