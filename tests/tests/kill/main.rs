//! Workflows that survive anything: the process that patches the reference case is killed at each of
//! its points, and what it leaves is held against what the simulated clouds have recorded.
//!
//! Whatever dies, no node is patched twice at once, no node that a run started is left running
//! unreported, and no outcome is claimed without evidence.
//!
//! | variable | what it does |
//! |---|---|
//! | `PATCHKIT_KILL_ALL=1` | kills at every point, where else each write of the journal and of the clouds, and a part of the others, are taken |
//! | `PATCHKIT_KILL_AT=submit.3.after` | plays one trial alone, as a scene has named it |

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod child;
#[path = "../estate/mod.rs"]
mod estate;
mod point;
mod promise;
mod scene;
mod stage;
mod tap;
mod tapped;
mod time;
mod trial;

use std::{
    collections::BTreeMap,
    env, fs,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::ToSpan as _;
use patchkit_core::{
    PatchState,
    workflow::{NodeOutcome, Outcome},
};
use patchkit_testkit::cloud::{Fault, FaultKind, PatchSpec};

use self::{
    child::Work,
    point::{Point, Side, spread},
    promise::Told,
    scene::play,
    stage::{Stage, begin},
    tap::Deed,
    trial::Trial,
};

/// So many points at least, of those that are no writes.
const OTHERS: usize = 40;

/// One scene after the other: each has two processes at work already.
fn stage() -> MutexGuard<'static, Stage> {
    static STAGE: LazyLock<Mutex<Stage>> = LazyLock::new(|| Mutex::new(Stage::new()));
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_everything_wanted() -> bool {
    ["PATCHKIT_KILL_ALL", "PATCHKIT_KILL_AT"].iter().any(|name| env::var_os(name).is_some())
}

/// So many of the writes and so many of the others; all where they are wanted.
fn some(points: &[Point], writes: usize, others: usize) -> Vec<Point> {
    if is_everything_wanted() {
        return points.to_vec();
    }
    sample(points, writes, others)
}

fn sample(points: &[Point], writes: usize, others: usize) -> Vec<Point> {
    let (write, other): (Vec<Point>, Vec<Point>) =
        points.iter().cloned().partition(Point::is_write);
    [spread(&write, writes), spread(&other, others)].concat()
}

fn by_call(points: &[Point]) -> BTreeMap<&str, usize> {
    points.iter().fold(BTreeMap::new(), |mut counts, point| {
        *counts.entry(&*point.call).or_default() += 1;
        counts
    })
}

#[test]
fn a_promise_that_is_broken_is_seen() {
    let stage = stage();
    let says = |broken: &[String], words: &str| broken.iter().any(|it| it.contains(words));
    let started = |point: &&Point| point.call == "set_power" && point.side == Side::After;
    let started = stage.points.iter().find(started).unwrap();

    // Nobody goes on with a run that has started machines.
    let world = stage.play();
    let task = world.task("first", Work::Patch, Some((started.clone(), Deed::Kill)));
    task.start(None).wait().unwrap();
    world.world.advance(Duration::from_hours(1));
    let broken = promise::broken(&world, &Told::of(&world, &[]));
    for words in ["and is not named", "is still claimed"] {
        assert!(says(&broken, words), "{words}: {broken:#?}");
    }

    // The journal is lost, and the run made once more; then patches go away again.
    let world = stage.play();
    let whole = world.task("first", Work::Patch, None);
    whole.start(None).wait().unwrap();
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(whole.place.join(format!("runs.db{ending}")));
    }
    whole.start(None).wait().unwrap();
    let told = Told::of(&world, &[whole.answer()]);
    let good = |end: &NodeOutcome| end.outcome == Outcome::Patched;
    let (node, _) = told.outcomes.iter().find(|(_, end)| good(end)).unwrap();
    let gone = [PatchSpec::new("gone".parse().unwrap(), PatchState::Missing)];
    world.world.set_patches(node.resource(), &gone).unwrap();
    let broken = promise::broken(&world, &Told { is_whole: true, ..told });
    for words in ["was given an install by", "and lacks"] {
        assert!(says(&broken, words), "{words}: {broken:#?}");
    }
    let broken = promise::broken(&world, &Told { is_whole: true, ..Told::default() });
    assert!(says(&broken, "nobody tells how"), "{broken:#?}");
}

#[test]
fn a_run_that_is_killed_at_any_point_is_gone_on_with() {
    let stage = stage();
    let chosen = some(&stage.points, usize::MAX, OTHERS);
    println!("{} kill points: {:?}", stage.points.len(), by_call(&stage.points));
    assert!(chosen.len() >= 300, "only {} points", chosen.len());
    play("killed", &stage, chosen.iter().map(Trial::killed).collect());
}

#[test]
fn a_run_that_is_killed_at_any_point_is_ended_by_a_recovery() {
    let stage = stage();
    let trials =
        some(&stage.points, 20, 4).iter().map(|point| Trial::killed(point).ended()).collect();
    play("recovered", &stage, trials);
}

#[test]
fn the_process_that_goes_on_is_killed_as_well() {
    let stage = stage();
    let (first, second) = (sample(&stage.points, 20, 4), sample(&stage.points, 8, 4));
    // Each of the first with another of the second: a resumption is shorter than its run.
    let second: Vec<Point> = spread(&second, second.len()).into_iter().rev().collect();
    let pairs = first.iter().zip(second.iter().cycle());
    let trials = pairs.map(|(first, second)| Trial::killed(first).and_again(second)).collect();
    play("killed twice", &stage, trials);
}

#[test]
fn a_process_that_stood_still_while_another_took_its_run_over_stops_acting() {
    let stage = stage();
    let trials =
        some(&stage.points, 18, 6).iter().map(|point| Trial::at(point, Deed::Stop)).collect();
    play("lease lost", &stage, trials);
}

#[test]
fn a_clock_that_jumps_breaks_no_promise() {
    let stage = stage();
    let points = some(&stage.points, 4, 2);
    let jumps = [7_200, -7_200, 100_000];
    let jump = |by| points.iter().map(move |point| Trial::at(point, Deed::Jump(by)));
    play("clock jumps", &stage, jumps.into_iter().flat_map(jump).collect());
}

/// Of each service each call, for longer than any single one is tried.
#[test]
fn a_throttle_storm_breaks_no_promise() {
    let stage = stage();
    let (from, until) = (begin() + 4.minutes(), begin() + 40.minutes());
    let storm =
        |service: &str| Fault::new(FaultKind::Throttle).of_service(service).between(from, until);
    let storm = ["ssm", "ec2", "arm"].map(storm).to_vec();
    let points = some(&stage.points_amid(&storm), 7, 3);
    let trials = points.iter().map(|at| Trial::killed(at).amid("storm", storm.clone())).collect();
    play("throttle storm", &stage, trials);
}

#[test]
fn a_region_that_is_away_for_an_hour_breaks_no_promise() {
    let stage = stage();
    let away = Fault::new(FaultKind::Away)
        .in_scope("111122223333/us-east-1")
        .between(begin() + 2.minutes(), begin() + 62.minutes());
    let points = some(&stage.points_amid(std::slice::from_ref(&away)), 7, 3);
    let trial = |at| Trial::killed(at).amid("away", vec![away.clone()]);
    play("Region away", &stage, points.iter().map(trial).collect());
}

#[test]
fn a_journal_whose_disk_is_full_breaks_no_promise() {
    let stage = stage();
    play("disk full", &stage, (1..=10).map(|at| Trial::full(64 + at * 72)).collect());
}
