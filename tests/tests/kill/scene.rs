//! Many trials, two at once, and what came of them.

use std::{
    collections::BTreeMap,
    env,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use crate::{
    stage::Stage,
    trial::{Found, Trial},
};

/// How many worlds there are at once.
const WORKERS: usize = 2;

/// Plays all trials, or the one that `PATCHKIT_KILL_AT` names; prints a line about them, and fails
/// where a promise was broken, with what to repeat it by.
pub(crate) fn play(scene: &str, stage: &Stage, mut trials: Vec<Trial>) {
    if let Ok(only) = env::var("PATCHKIT_KILL_AT") {
        trials.retain(|trial| trial.to_string() == only);
    }
    let began = Instant::now();
    let is_alone = trials.len() == 1;
    let found = each(&trials, |trial| {
        let found = trial.play(stage);
        for broken in &found.broken {
            eprintln!("{scene}: PATCHKIT_KILL_AT={trial}: {broken}");
        }
        for word in found
            .words
            .iter()
            .filter(|word| is_alone || !found.broken.is_empty() || word.starts_with("given up"))
        {
            eprintln!("{scene}: PATCHKIT_KILL_AT={trial}: said: {word}");
        }
        for late in &found.late {
            eprintln!("{scene}: PATCHKIT_KILL_AT={trial}: late: {late}");
        }
        found
    });
    assert_eq!(trials.len(), found.len(), "{scene}: a world came to no end");
    let reached = found.iter().filter(|it| it.reached).count();
    let all_reached = found.iter().filter(|it| it.all_reached).count();
    let late: usize = found.iter().map(|it| it.late.len()).sum();
    let broken = found.iter().filter(|it| !it.broken.is_empty()).count();
    let mut ways: BTreeMap<&str, usize> = BTreeMap::new();
    for word in found.iter().flat_map(|it| &it.words) {
        *ways.entry(word.split(':').next().unwrap_or_default()).or_default() += 1;
    }
    let ways: Vec<String> = ways.into_iter().map(|(way, times)| format!("{times} {way}")).collect();
    println!(
        "{scene}: {} trials, {reached} reached, {all_reached} whole; {}; {late} late writes; {broken} broken promises; \
         {} s",
        trials.len(),
        ways.join(", "),
        began.elapsed().as_secs()
    );
    assert_eq!(broken, 0, "{scene}: promises were broken");
    // Calls that change places take a point away now and then.
    assert!(all_reached * 3 >= trials.len(), "{scene}: only {all_reached} were whole");
    assert!(reached * 10 >= trials.len() * 9, "{scene}: only {reached} points were reached");
}

/// Does `work` for each, two at once; what was found is in their order.
fn each<T: Sync>(all: &[T], work: impl Fn(&T) -> Found + Sync) -> Vec<Found> {
    let next = AtomicUsize::new(0);
    let found: Mutex<BTreeMap<usize, Found>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = all.get(at) else { return };
                    let one = work(one);
                    found.lock().unwrap_or_else(PoisonError::into_inner).insert(at, one);
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}
