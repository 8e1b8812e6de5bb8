//! Many worlds, two at once, and what came of them.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// How many worlds there are at once.
const WORKERS: usize = 2;

/// What came of a world.
pub(crate) struct Found {
    /// Whether what was to happen has happened.
    pub(crate) reached: bool,
    /// The last words of those who worked in it.
    pub(crate) words: Vec<String>,
    /// Where the promise is broken.
    pub(crate) broken: Vec<String>,
}

impl Found {
    pub(crate) fn broken(why: String) -> Self {
        Self { reached: true, words: Vec::new(), broken: vec![why] }
    }
}

/// Does `work` for each, two at once; what was found is in their order.
pub(crate) fn each<T: Sync>(all: &[T], work: impl Fn(&T) -> Found + Sync) -> Vec<Found> {
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

/// Prints a line about a scene, and fails where a promise was broken, with what to repeat it by.
pub(crate) fn print<T: Display>(scene: &str, all: &[T], found: &[Found]) {
    assert_eq!(all.len(), found.len(), "{scene}: a world came to no end");
    let reached = found.iter().filter(|it| it.reached).count();
    let mut ways: BTreeMap<&str, usize> = BTreeMap::new();
    for word in found.iter().flat_map(|it| &it.words) {
        let way = word.split(':').next().unwrap_or_default();
        *ways.entry(way).or_default() += 1;
    }
    let broken: Vec<(&T, &Found)> =
        all.iter().zip(found).filter(|(_, it)| !it.broken.is_empty()).collect();
    println!(
        "{scene}: {} points, {reached} reached; {ways:?}; {} broken promises",
        all.len(),
        broken.len()
    );
    for (point, found) in &broken {
        println!("{scene} at {point} (PATCHKIT_KILL_AT={point}):");
        for broken in &found.broken {
            println!("    {broken}");
        }
        for word in &found.words {
            println!("    said: {word}");
        }
    }
    assert!(broken.is_empty(), "{scene}: the promise was broken at {} points", broken.len());
}
