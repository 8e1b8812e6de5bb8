//! Workflows that survive anything: the process that patches the reference case is killed at each of
//! its points, and what it leaves is held against what the simulated clouds have recorded.
//!
//! Whatever dies, no node is patched twice at once, no node that a run started is left running
//! unreported, and no outcome is claimed without evidence.
//!
//! | variable | what it does |
//! |---|---|
//! | `PATCHKIT_KILL_ALL=1` | takes every point, where else each of the journal and the writes, and a part of the others, are taken |
//! | `PATCHKIT_KILL_AT=submit.3.after` | takes this point alone |

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

use std::{env, fs};

use self::{
    child::Work,
    point::{Point, spread},
    promise::{Absent, Told},
    scene::{Found, each, print},
    stage::{Stage, truths, wait},
    tap::Deed,
};

/// So many points at least, of those that are neither the journal's nor a write.
const OTHERS: usize = 160;

/// A run that nothing interrupts: its points, in order, and what the machines still lack after it.
fn undisturbed(stage: &Stage) -> (Vec<Point>, Absent) {
    let play = stage.play();
    let mut task = play.task("first", Work::Patch, None);
    task.track = true;
    let ended = wait(&mut task.start(None)).unwrap();
    assert!(ended.success(), "{}", task.words());
    let told = Told::of(&play, &[task.answer()]);
    println!("undisturbed: {:?}", told.words);
    let broken = promise::broken(&play, &told, None);
    assert!(broken.is_empty(), "{broken:#?}");
    let points = fs::read_to_string(task.points()).unwrap();
    let points = points.lines().map(|line| line.parse().unwrap()).collect();
    let lacks = truths(&play.world).into_iter();
    (points, lacks.map(|(name, it)| (name, it.absent.into_iter().collect())).collect())
}

/// The points that are taken, of all.
fn chosen(points: &[Point]) -> Vec<Point> {
    if let Ok(point) = env::var("PATCHKIT_KILL_AT") {
        return vec![point.parse().unwrap()];
    }
    if env::var_os("PATCHKIT_KILL_ALL").is_some() {
        return points.to_vec();
    }
    let (vital, others): (Vec<Point>, Vec<Point>) =
        points.iter().cloned().partition(Point::is_vital);
    [vital, spread(&others, OTHERS)].concat()
}

#[test]
fn a_run_that_is_killed_at_any_point_is_gone_on_with_and_keeps_its_promise() {
    let stage = Stage::new();
    let (points, absent) = undisturbed(&stage);
    let chosen = chosen(&points);
    println!("{} kill points, of which {} are taken", points.len(), chosen.len());
    let found = each(&chosen, |point| {
        let play = stage.play();
        let first = play.task("first", Work::Patch, Some((point.clone(), Deed::Kill)));
        if let Err(hung) = wait(&mut first.start(None)) {
            return Found::broken(hung);
        }
        play.lapse();
        let second = play.task("second", Work::GoOn, None);
        match wait(&mut second.start(None)) {
            Ok(ended) if ended.success() => {}
            ended => return Found::broken(format!("{ended:?}: {}", second.words())),
        }
        let told = Told::of(&play, &[first.answer(), second.answer()]);
        let broken = promise::broken(&play, &told, Some(&absent));
        Found { reached: first.reached().exists(), words: told.words, broken }
    });
    print("killed", &chosen, &found);
    assert!(points.len() >= 300, "only {} points", points.len());
}
