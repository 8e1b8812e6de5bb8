//! Plans held against each other and against the fleet, and applied.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use common::{World, id, node, off, options, run_id, world};
use futures::{TryStreamExt, executor::block_on};
use patchkit_core::{
    Amount, ApprovalRule, AutoApproval, Baseline, Clock, ComplianceStatus, ErrorKind, Event,
    Journal, NodeSelector, PatchBaseline, PowerState, Result, Rollout, Runs, VirtualClock, Wave,
    WaveMembers,
    memory::{Fault, MemoryNode},
    workflow::{
        Applied, ApplyOptions, Approver, Decided, NodeChange, NodePart, PatchListing, PatchPlan,
        PlanChange, PlanDiff, StepTimes,
    },
};

fn three() -> World {
    world([
        node(id("i-01")).with_scan("2026-11-20T00:00:00Z".parse().unwrap()),
        node(id("i-02")).with_scan("2026-11-20T00:00:00Z".parse().unwrap()),
        off(id("i-03"), PowerState::Stopped),
    ])
}

fn plan(world: &World) -> PatchPlan {
    block_on(world.runner.plan_patch(&options())).unwrap()
}

fn drift(world: &World, plan: &PatchPlan) -> PlanDiff {
    block_on(world.runner.drift(plan)).unwrap()
}

/// The submissions and power changes so far: what a refused plan must not make.
fn acts(world: &World) -> usize {
    let calls = world.cloud.calls();
    calls.iter().filter(|call| ["submit", "set_power"].contains(&call.operation)).count()
}

#[test]
fn a_plan_made_again_is_no_different() {
    let world = three();
    let (before, after) = (plan(&world), plan(&world));
    assert!(before.diff(&after).is_empty(), "{}", before.diff(&after));
    assert_eq!(before.diff(&after).to_string(), "no difference\n");
}

#[test]
fn a_difference_says_what_came_what_went_and_what_changed() {
    let world = three();
    let before = plan(&world);
    world.cloud.insert(node(id("i-04")));
    world.cloud.update(&id("i-01"), |it| it.with_power(PowerState::Terminated)).unwrap();
    world.cloud.update(&id("i-03"), |it| it.with_power(PowerState::Running)).unwrap();
    let mut after = options().with_rollout(
        Rollout::new().with_wave(Wave::new("canary", WaveMembers::Amount(Amount::Fixed(1)))),
    );
    after.fresh = Duration::from_hours(1);
    let after = block_on(world.runner.plan_patch(&after)).unwrap();
    insta::assert_snapshot!(before.diff(&after), @r#"
    option fresh.secs: 86400 → 3600
    option rollout.waves: [] → [{"bake":{"nanos":0,"secs":0},"members":{"amount":{"fixed":1}},"name":"canary"}]
    waves: [all] → [canary; rest]
    - aws/111122223333/eu-west-1/i-01: skipped now; power running → terminated; agent online → inactive; steps [install, rescan] → [wait reachable, install, rescan]; skipped: terminated; wave all → none
    ~ aws/111122223333/eu-west-1/i-02: wave all → canary
    ~ aws/111122223333/eu-west-1/i-03: power stopped → running; agent inactive → online; steps [start, wait reachable, update agent, install, rescan, restore power] → [install, rescan]; wave all → rest
    + aws/111122223333/eu-west-1/i-04: new, to be patched; wave none → rest
    4 nodes differ, 3 of them in what would be done
    "#);
}

#[test]
fn every_field_of_a_node_makes_a_difference() {
    let world = three();
    let before = plan(&world);
    let json = serde_json::to_value(&before).unwrap();
    let edits = [
        ("name", serde_json::json!("web")),
        ("group", serde_json::json!("Linux")),
        ("operating_system", serde_json::json!("WINDOWS")),
        ("power", serde_json::json!("stopped")),
        ("reachability", serde_json::json!("lost")),
        ("status", serde_json::json!("compliant")),
        ("missing", serde_json::json!(77)),
        ("baseline", serde_json::json!("pb-0123456789abcdef0")),
        ("scanned_at", serde_json::json!("2026-01-01T00:00:00Z")),
        ("steps", serde_json::json!(["rescan"])),
        ("link", serde_json::json!({"link": "unresolved", "reason": "two hosts"})),
        ("also", serde_json::json!(["azure/sub/westeurope/vm-1"])),
    ];
    for (field, value) in edits {
        let mut edited = json.clone();
        edited["nodes"][0][field] = value;
        let edited: PatchPlan =
            serde_json::from_value(edited).unwrap_or_else(|error| panic!("{field}: {error}"));
        let diff = before.diff(&edited);
        assert_eq!(diff.nodes.len(), 1, "{field}: {diff}");
        assert_eq!(diff.nodes[0].changes.len(), 1, "{field}: {diff}");
        let drifts =
            !["name", "group", "reachability", "status", "missing", "scanned_at"].contains(&field);
        assert_eq!(diff.drifted().count() == 1, drifts, "{field}");
    }
}

#[test]
fn a_node_that_moves_to_another_wave_is_named() {
    let world = three();
    let before = plan(&world);
    let mut after = before.clone();
    let moved = after.waves[0].nodes.remove(0);
    let mut late = after.waves[0].clone();
    late.nodes = vec![moved.clone()];
    after.waves.push(late);
    let diff = before.diff(&after);
    assert_eq!(diff.nodes.len(), 1, "{diff}");
    assert_eq!(diff.nodes[0].node, moved);
    assert!(matches!(diff.nodes[0].changes[..], [NodeChange::Wave { .. }]), "{diff}");
    assert!(diff.plan.iter().any(|it| matches!(it, PlanChange::Waves { .. })), "{diff}");
    assert_eq!(diff.drifted().count(), 0);
}

#[test]
fn what_a_scan_finds_anew_is_no_drift_but_a_node_that_need_not_be_patched_is() {
    let world = three();
    let before = plan(&world);
    block_on(world.runner.scan(&run_id("scan"), &NodeSelector::ids([id("i-01")]))).unwrap();
    let diff = drift(&world, &before);
    assert!(!diff.is_empty());
    assert_eq!(diff.drifted().count(), 0, "{diff}");

    let one =
        block_on(world.runner.plan_patch(&common::options_of(NodeSelector::ids([id("i-01")]))));
    block_on(world.runner.patch(&run_id("one"), &one.unwrap())).unwrap();
    let diff = drift(&world, &before);
    let drifted: Vec<_> = diff.drifted().collect();
    assert_eq!(drifted.len(), 1, "{diff}");
    assert_eq!(drifted[0].after, Some(NodePart::Skipped));
}

#[test]
fn that_time_goes_by_is_no_drift() {
    let world = three();
    block_on(world.patch(&options()));
    let plan = plan(&world);
    assert_eq!(plan.skipped.len(), 3, "{plan}");
    world.clock.advance(Duration::from_hours(40));
    let diff = drift(&world, &plan);
    assert!(diff.is_empty(), "{diff}");
}

#[test]
fn a_plan_of_another_hash_is_refused_before_anything_is_asked() {
    let world = three();
    let (plan, before) = (plan(&world), world.cloud.calls().len());
    let refused = block_on(world.runner.apply(&run_id("run"), &plan, &ApplyOptions::new("0000")))
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains(&plan.hash()), "{refused}");
    assert_eq!(world.cloud.calls().len(), before);
}

#[test]
fn drift_past_the_tolerance_is_refused_with_the_differences_and_nothing_is_begun() {
    let world = three();
    let plan = plan(&world);
    world.cloud.update(&id("i-01"), |it| it.with_power(PowerState::Stopped)).unwrap();
    world.cloud.update(&id("i-02"), |it| it.with_power(PowerState::Terminated)).unwrap();
    let options = ApplyOptions::new(plan.hash()).with_tolerance(Amount::Fixed(1));
    let refused = block_on(world.runner.apply(&run_id("run"), &plan, &options)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let words = refused.to_string();
    assert!(words.contains("2 nodes have drifted"), "{words}");
    assert!(words.contains("i-01") && words.contains("i-02"), "{words}");
    assert_eq!(acts(&world), 0);
    assert!(block_on(world.journal.head(&run_id("run"))).is_err(), "the run was not begun");

    let options = ApplyOptions::new(plan.hash()).with_tolerance(Amount::Fixed(2));
    let applied = block_on(world.runner.apply(&run_id("run"), &plan, &options)).unwrap();
    assert!(matches!(applied, Applied::Ran { .. }));
}

#[test]
fn what_runs_is_the_plan_that_was_given() {
    let world = three();
    let plan = plan(&world);
    world.cloud.insert(node(id("i-99")));
    let options = ApplyOptions::new(plan.hash()).with_tolerance(Amount::Percent(50));
    let applied = block_on(world.runner.apply(&run_id("run"), &plan, &options)).unwrap();
    let Applied::Ran { report } = applied else { panic!("{applied:?}") };
    assert_eq!(report.nodes.len(), 3);
    assert!(world.installs().iter().all(|call| !call.nodes.contains(&id("i-99"))));
}

/// Says what it was told to, after something has happened.
#[derive(Clone)]
struct Says {
    decided: Decided,
    then: Arc<dyn Fn() + Send + Sync>,
    takes: (VirtualClock, Duration),
    seen: Arc<Mutex<Vec<usize>>>,
}

impl Says {
    fn new(world: &World, decided: Decided) -> Self {
        let takes = (world.clock.clone(), Duration::ZERO);
        Self { decided, then: Arc::new(|| ()), takes, seen: Arc::default() }
    }
}

impl std::fmt::Debug for Says {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Says({:?})", self.decided)
    }
}

#[async_trait]
impl Approver for Says {
    async fn decide(&self, _: &PatchPlan, drift: &PlanDiff) -> Result<Decided> {
        self.seen.lock().unwrap().push(drift.drifted().count());
        (self.then)();
        self.takes.0.sleep(self.takes.1).await;
        Ok(self.decided.clone())
    }
}

fn approved() -> Decided {
    Decided::Approved { by: "kim".to_owned(), note: "CHG-42".to_owned() }
}

#[test]
fn an_approval_is_journaled_before_the_first_act_and_told_in_the_story() {
    let world = three();
    let plan = plan(&world);
    let says = Says::new(&world, approved());
    let options = ApplyOptions::new(plan.hash()).with_approver(says.clone());
    block_on(world.runner.apply(&run_id("run"), &plan, &options)).unwrap();
    assert_eq!(*says.seen.lock().unwrap(), [0]);
    let records: Vec<_> =
        block_on(world.journal.events(&run_id("run")).try_collect::<Vec<_>>()).unwrap();
    assert!(matches!(records[0].event, Event::RunStarted { .. }));
    let approval =
        Event::PlanApproved { plan_hash: plan.hash(), by: "kim".into(), note: "CHG-42".into() };
    assert_eq!(records[1].event, approval);
    let runs = Runs::new(world.journal.clone(), world.clock.clone());
    let story = block_on(runs.story(&run_id("run"))).unwrap().to_string();
    assert!(story.contains("was approved by kim: CHG-42"), "{story}");
}

#[test]
fn a_plan_that_is_denied_or_not_decided_on_begins_nothing() {
    let world = three();
    let plan = plan(&world);
    let denied = Decided::Denied { by: "kim".to_owned(), reason: "quarter's end".to_owned() };
    for decided in [denied, Decided::Pending] {
        let options =
            ApplyOptions::new(plan.hash()).with_approver(Says::new(&world, decided.clone()));
        let applied = block_on(world.runner.apply(&run_id("run"), &plan, &options)).unwrap();
        match (decided, applied) {
            (Decided::Denied { .. }, Applied::Denied { by, reason }) => {
                assert_eq!((by.as_str(), reason.as_str()), ("kim", "quarter's end"));
            }
            (Decided::Pending, Applied::Pending) => {}
            (decided, applied) => panic!("{decided:?}: {applied:?}"),
        }
        assert_eq!(acts(&world), 0);
        assert!(block_on(world.journal.head(&run_id("run"))).is_err(), "the name is free");
    }
}

#[test]
fn a_fleet_that_drifts_while_someone_decides_is_looked_at_again() {
    let world = three();
    let plan = plan(&world);
    let mut says = Says::new(&world, approved());
    let cloud = world.cloud.clone();
    says.then = Arc::new(move || {
        cloud.update(&id("i-01"), |it| it.with_power(PowerState::Terminated)).unwrap();
    });
    says.takes.1 = Duration::from_hours(3);
    let options = ApplyOptions::new(plan.hash()).with_approver(says);
    let refused = block_on(world.runner.apply(&run_id("run"), &plan, &options)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(acts(&world), 0);
}

#[test]
fn a_plan_of_an_unknown_workflow_is_not_applied() {
    let world = three();
    let mut plan = plan(&world);
    plan.workflow = "reinstall".to_owned();
    let options = ApplyOptions::new(plan.hash());
    let refused = block_on(world.runner.apply(&run_id("run"), &plan, &options)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
}

fn keeping(world: &World) -> patchkit_core::workflow::Runner {
    let cloud = world.cloud.clone();
    world.runner.clone().with_baselines(move |_| Some(Arc::new(cloud.clone()) as Arc<dyn Baseline>))
}

#[test]
fn a_baseline_that_was_edited_since_is_drift_of_all_its_nodes() {
    let world = three();
    let runner = keeping(&world);
    let plan = block_on(runner.plan_patch(&options())).unwrap();
    assert_eq!(plan.baselines.len(), 1);
    let version = &plan.baselines[0];
    assert_eq!(version.name.as_deref(), Some("everything"));
    assert!(plan.to_string().contains("everything version "), "{plan}");

    let edited = PatchBaseline::new("everything", common::OS)
        .with_id(version.id.clone())
        .with_rule(ApprovalRule::new(AutoApproval::AfterDays(90)));
    block_on(world.cloud.update_baseline(&edited)).unwrap();
    let diff = block_on(runner.drift(&plan)).unwrap();
    assert!(matches!(diff.plan[..], [PlanChange::Baseline { .. }]), "{diff}");
    // The third was never scanned: nobody knows by what it would be judged.
    assert_eq!(diff.drifted().count(), 2, "{diff}");
}

#[test]
fn a_baseline_that_cannot_be_read_is_in_the_plan_with_the_reason() {
    let world = three();
    let runner = keeping(&world);
    world.cloud.on_call(|call| match call.operation {
        "baseline" => Fault::Refuse(common::error(ErrorKind::PermissionDenied)),
        _ => Fault::Pass,
    });
    let plan = block_on(runner.plan_patch(&options())).unwrap();
    assert_eq!(plan.nodes.len(), 3);
    assert_eq!(plan.baselines[0].hash, None);
    assert!(plan.baselines[0].problem.as_ref().unwrap().contains("as the test wants it"));
}

#[test]
fn expected_patches_are_named_where_they_are_known() {
    let world = three();
    let wanted = options().with_patch_listing(PatchListing::Names);
    let named = block_on(world.runner.plan_patch(&wanted)).unwrap();
    let of = |name: &str| {
        let expected = named.expected.get(&id(name))?;
        Some(expected.patches.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(of("i-01"), Some(vec!["kernel".to_owned(), "openssl".to_owned()]));
    let unknown = named.nodes.iter().find(|it| it.id == id("i-03")).unwrap();
    assert_eq!((unknown.status, of("i-03")), (ComplianceStatus::Unknown, None));
    assert!(named.to_string().contains("expects kernel, openssl"), "{named}");
}

#[test]
fn one_node_whose_patches_cannot_be_listed_spoils_only_itself() {
    let world = three();
    let spoilt = Arc::new(Mutex::new(0));
    world.cloud.on_call(move |call| {
        if call.operation != "patches" {
            return Fault::Pass;
        }
        let mut count = spoilt.lock().unwrap();
        *count += 1;
        if *count == 1 {
            return Fault::Refuse(common::error(ErrorKind::PermissionDenied));
        }
        Fault::Pass
    });
    let wanted = options().with_patch_listing(PatchListing::Names);
    let plan = block_on(world.runner.plan_patch(&wanted)).unwrap();
    let problems = plan.expected.values().filter(|it| it.problem.is_some()).count();
    let whole = plan.expected.values().filter(|it| it.patches.len() == 2).count();
    assert_eq!((problems, whole), (1, 1));
}

#[test]
fn what_is_not_asked_for_is_not_in_the_json() {
    let world = three();
    let json = serde_json::to_value(plan(&world)).unwrap();
    for field in ["baselines", "expected", "estimate"] {
        assert!(json.get(field).is_none(), "{field}");
    }
    for option in ["patch_listing", "step_times"] {
        assert!(json["options"].get(option).is_none(), "{option}");
    }
}

#[test]
fn an_estimate_comes_near_what_a_run_takes() {
    let nodes = (0..120).map(|at| match at % 3 {
        0 => off(id(&format!("i-{at:03}")), PowerState::Stopped),
        _ => node(id(&format!("i-{at:03}"))),
    });
    let world = world(nodes.collect::<Vec<MemoryNode>>());
    // As the cloud in memory takes them.
    let mut times =
        StepTimes::default().with_install(Duration::from_mins(5)).with_scan(Duration::from_mins(1));
    times.start = Duration::from_mins(1);
    times.reachable = Duration::from_secs(30);
    times.update_agent = Duration::from_mins(1);
    times.stop = Duration::from_secs(45);
    let wave = Wave::new("canary", WaveMembers::Amount(Amount::Fixed(10)));
    let rollout = Rollout::new()
        .with_wave(wave.with_bake(Duration::from_hours(1)))
        .with_disruption(Amount::Percent(50));
    let options = options().with_rollout(rollout).with_step_times(times);
    let plan = block_on(world.runner.plan_patch(&options)).unwrap();
    let estimate = plan.estimate.unwrap();
    assert!(plan.to_string().contains("takes     about "), "{plan}");
    let (calls, began) = (world.cloud.calls().len(), world.now());
    let report = block_on(world.runner.patch(&run_id("run"), &plan)).unwrap();
    assert!(report.is_clean(), "{report}");
    let took = world.now().duration_since(began).as_secs_f64();
    let ratio = estimate.duration.as_secs_f64() / took;
    assert!((0.75..1.25).contains(&ratio), "{estimate}, and it took {took} s");
    let calls = world.cloud.calls().len() - calls;
    let percent = usize::try_from(estimate.calls).unwrap() * 100 / calls;
    assert!((75..135).contains(&percent), "{estimate}, and it made {calls} calls");
}

#[test]
fn a_plan_that_was_saved_is_the_same_when_it_is_loaded() {
    let world = three();
    let plan = plan(&world);
    let loaded = PatchPlan::from_file(&plan.to_file().unwrap()).unwrap();
    assert_eq!(loaded, plan);
    assert_eq!(loaded.hash(), plan.hash());
}

#[test]
fn a_file_that_was_edited_cut_or_is_of_a_later_form_is_refused() {
    let world = three();
    let plan = plan(&world);
    let file = plan.to_file().unwrap();
    let edited = file.replacen("i-02", "i-77", 1);
    let refused = PatchPlan::from_file(&edited).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Malformed);
    assert!(refused.to_string().contains(&plan.hash()), "{refused}");
    let cut = PatchPlan::from_file(&file[..file.len() / 2]).unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::Malformed);
    assert!(cut.to_string().contains("damaged"), "{cut}");
    let later = file.replacen("\"schema\": 1", "\"schema\": 2", 1);
    assert_eq!(PatchPlan::from_file(&later).unwrap_err().kind(), ErrorKind::Unsupported);
}
