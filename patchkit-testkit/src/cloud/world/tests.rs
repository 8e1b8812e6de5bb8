use std::{collections::HashSet, sync::Arc, time::Duration};

use patchkit_core::{ComplianceStatus, OperationKind};

use super::{
    Consistency, Execution, State,
    clock::later,
    machine::{Agent, AwsKind, AzureKind, Behavior, MachineIx, Power, ScopeIx},
    patching::{JobEnd, Reboot, Work},
    populate::Plan,
    power::Off,
};

fn plan(nodes: usize) -> Plan {
    let named = |id: &str, name: &str| (Arc::from(id), Arc::from(name));
    Plan {
        seed: 7,
        now: "2026-11-02T00:00:00Z".parse().unwrap(),
        accounts: vec![named("111122223333", "security"), named("222233334444", "shared")],
        regions: vec!["us-east-1".into(), "eu-west-1".into()],
        subscriptions: vec![named("11111111-2222-3333-4444-555555555555", "production")],
        nodes,
        patches: 200,
        behavior: None,
        consistency: Consistency::default(),
    }
}

fn world() -> State {
    State::new(&plan(400))
}

/// A world of machines that all behave alike, and one of them that is managed, runs and lacks
/// patches that its baseline wants.
fn behaving(behavior: Behavior) -> (State, MachineIx) {
    let mut state = State::new(&Plan { behavior: Some(behavior), ..plan(400) });
    let at = places(&state)
        .find(|at| {
            let agent = state.machine(*at).aws.as_ref().map(|it| it.agent);
            state.answers(*at) && agent == Some(Agent::Online)
        })
        .unwrap();
    let judgement = state.judgement_for(at).unwrap();
    // What its baseline wants is taken off it, all of it.
    let wanted: Vec<usize> = judgement.wanted.ones().collect();
    let patches = &mut state.machine_mut(at).patches;
    for place in &wanted {
        patches.relevant.insert(*place);
        patches.installed.set(*place, false);
        patches.pending.set(*place, false);
    }
    assert!(wanted.len() > 2);
    (state, at)
}

fn places(state: &State) -> impl Iterator<Item = MachineIx> + use<> {
    (0..u32::try_from(state.machines.len()).unwrap()).map(MachineIx)
}

fn pass(state: &mut State, seconds: u64) {
    state.settle(later(state.now, Duration::from_secs(seconds)));
}

/// Installs what the baseline wants and scans after it, as the agent does; the end once it came.
fn install(state: &mut State, at: MachineIx, reboot: Reboot, seconds: u64) -> bool {
    let judgement = state.judgement_for(at).unwrap();
    let work = Work::Install { wanted: judgement.wanted.clone(), reboot };
    let started = state.now;
    let before = state.machine(at).aws.as_ref().and_then(|it| it.scan.as_ref()).map(|it| it.ended);
    state
        .start_job(at, work, move |state: &mut State, at, _: JobEnd| {
            let execution = Execution {
                id: "command".into(),
                kind: "Command",
                snapshot: "snapshot".into(),
                reboot_option: "RebootIfNeeded",
                install_override: None,
                started,
            };
            state.upload_scan(at, judgement, OperationKind::Install, execution);
        })
        .unwrap();
    pass(state, seconds);
    let after = state.machine(at).aws.as_ref().and_then(|it| it.scan.as_ref()).map(|it| it.ended);
    after != before
}

fn status(state: &State, at: MachineIx) -> ComplianceStatus {
    state.machine(at).aws.as_ref().unwrap().scan.as_ref().unwrap().verdict.status
}

#[test]
fn one_seed_makes_one_world() {
    let truth = |state: &State| -> Vec<_> { places(state).map(|at| state.truth(at)).collect() };
    let (one, two) = (world(), world());
    assert_eq!(truth(&one), truth(&two));
    let other = State::new(&Plan { seed: 8, ..plan(400) });
    assert_ne!(truth(&one), truth(&other));
}

#[test]
fn no_two_machines_share_an_id() {
    let ids = world().all_ids();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
}

#[test]
fn every_account_and_region_has_a_stopped_instance_and_a_managed_one() {
    // Also where there is no more than that, whatever the seed.
    let seeds = (0..30).map(|seed| State::new(&Plan { seed, ..plan(8) }));
    for state in seeds.chain([world()]) {
        for scope in (0..4).map(ScopeIx) {
            let machines = &state.scope(scope).machines;
            let instance = |at: &&MachineIx| {
                let aws = state.machine(**at).aws.as_ref();
                aws.is_some_and(|it| matches!(it.side, AwsKind::Ec2(_)))
            };
            let stopped = |at: &MachineIx| state.machine(*at).power == Power::Stopped;
            assert!(machines.iter().filter(instance).any(stopped));
            assert!(machines.iter().any(|at| state.answers(*at)));
        }
    }
}

#[test]
fn of_several_arc_machines_of_a_subscription_one_is_out_of_reach() {
    for seed in 0..20 {
        let state = State::new(&Plan { seed, ..plan(60) });
        let arc: Vec<_> = places(&state)
            .filter(|at| {
                state.machine(*at).azure.as_ref().is_some_and(|it| it.kind == AzureKind::Arc)
            })
            .collect();
        let lost = arc.iter().filter(|at| !state.answers_azure(**at)).count();
        assert!(arc.len() < 2 || (1..arc.len()).contains(&lost), "{seed}: {lost} of {}", arc.len());
    }
}

#[test]
fn a_machine_that_is_started_answers_once_its_agent_is_up() {
    let mut state = world();
    let stopped = |at: &MachineIx| {
        let machine = state.machine(*at);
        let online = machine.aws.as_ref().is_some_and(|it| it.agent == Agent::Online);
        machine.power == Power::Stopped && online && state.is_permitted(*at)
    };
    let at = places(&state).find(stopped).unwrap();
    let ready = state.power_on(at);
    assert_eq!(state.machine(at).power, Power::Starting);
    state.settle(ready);
    assert_eq!(state.machine(at).power, Power::Running);
    assert!(!state.answers(at));
    pass(&mut state, 60);
    assert!(state.answers(at));
}

#[test]
fn a_start_that_is_overtaken_by_a_stop_does_not_come_up() {
    let mut state = world();
    let at = places(&state).find(|at| state.machine(*at).power == Power::Stopped).unwrap();
    state.power_on(at);
    state.power_off(at, Off::Stop);
    pass(&mut state, 600);
    assert_eq!(state.machine(at).power, Power::Stopped);
}

#[test]
fn a_machine_that_installs_well_is_compliant_afterwards() {
    let (mut state, at) = behaving(Behavior::Well);
    let booted = state.machine(at).booted;
    assert!(install(&mut state, at, Reboot::AfterInstall, 7_200));
    assert_eq!(status(&state, at), ComplianceStatus::Compliant);
    assert!(state.machine(at).booted > booted);
    assert!(!state.machine(at).reboot_pending());
}

#[test]
fn without_a_reboot_what_was_installed_is_pending() {
    let (mut state, at) = behaving(Behavior::Well);
    assert!(install(&mut state, at, Reboot::Never, 7_200));
    assert_eq!(status(&state, at), ComplianceStatus::NonCompliant);
    assert!(state.machine(at).reboot_pending());
    state.boot_again(at);
    pass(&mut state, 600);
    assert!(!state.machine(at).reboot_pending());
}

#[test]
fn one_patch_that_never_installs_fails_and_the_others_do_not() {
    let (mut state, at) = behaving(Behavior::OneFails);
    assert!(install(&mut state, at, Reboot::AfterInstall, 7_200));
    assert_eq!(status(&state, at), ComplianceStatus::NonCompliant);
    assert_eq!(state.machine(at).patches.failed.count_ones(..), 1);
    let scan = state.machine(at).aws.as_ref().unwrap().scan.as_ref().unwrap();
    assert_eq!((scan.verdict.counts.failed, scan.verdict.counts.missing), (1, 0));
}

#[test]
fn a_machine_that_needs_two_rounds_is_compliant_after_the_second() {
    let (mut state, at) = behaving(Behavior::TwoRounds);
    assert!(install(&mut state, at, Reboot::AfterInstall, 7_200));
    assert_eq!(status(&state, at), ComplianceStatus::NonCompliant);
    assert!(install(&mut state, at, Reboot::AfterInstall, 7_200));
    assert_eq!(status(&state, at), ComplianceStatus::Compliant);
}

#[test]
fn machines_that_hang_die_or_boot_for_ever_never_come_to_an_end() {
    for behavior in [Behavior::Hangs, Behavior::DiesInTheMiddle, Behavior::RebootsForever] {
        let (mut state, at) = behaving(behavior);
        let lacked = state.truth(at).absent.len();
        assert!(!install(&mut state, at, Reboot::AfterInstall, 86_400), "{behavior:?}");
        assert_eq!(state.answers(at), behavior == Behavior::Hangs, "{behavior:?}");
        let half = behavior != Behavior::Hangs;
        assert_eq!(state.truth(at).absent.len() < lacked, half, "{behavior:?}");
    }
}

#[test]
fn a_second_operation_on_a_machine_finds_the_lock_held() {
    let (mut state, at) = behaving(Behavior::Well);
    assert!(state.start_job(at, Work::Scan, |_, _, _| {}).is_some());
    assert!(state.start_job(at, Work::Scan, |_, _, _| {}).is_none());
    pass(&mut state, 120);
    assert!(state.start_job(at, Work::Scan, |_, _, _| {}).is_some());
}

#[test]
fn a_machine_that_is_turned_off_loses_its_operation() {
    let (mut state, at) = behaving(Behavior::Well);
    state.start_job(at, Work::Scan, |_, _, _| panic!("it was turned off")).unwrap();
    state.power_off(at, Off::Stop);
    pass(&mut state, 600);
    assert_eq!(state.machine(at).job, None);
}

#[test]
fn what_is_due_happens_in_order_of_time_and_then_of_entry() {
    let mut state = world();
    let start = state.now;
    for (wait, name) in [(20, "third"), (10, "first"), (10, "second")] {
        state.after(Duration::from_secs(wait), move |state| {
            state.machines[1].name = format!("{}{name} ", state.machines[1].name).into();
        });
    }
    state.machines[1].name = "".into();
    state.settle(later(start, Duration::from_secs(20)));
    assert_eq!(&*state.machines[1].name, "first second third ");
    assert_eq!(state.now, later(start, Duration::from_secs(20)));
}
