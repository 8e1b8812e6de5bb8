//! A clock by which a provider under test lives in the world's time.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use patchkit_core::Clock;

use super::{
    shared::{Shared, lock},
    world::clock::{END, later},
};

/// How long a sleeper looks away between two looks, in the machine's time.
const LOOK: Duration = Duration::from_millis(1);
/// How many looks in a row must find nothing going on before time jumps.
const QUIET: u32 = 5;

/// The world's time: who sleeps on it makes it pass.
///
/// An hour of waiting takes some milliseconds then. Clones and other clocks of the same world share
/// one time. It stays good after the world is dropped, which it then outlives.
///
/// # Behavior
/// - Time jumps to the earliest deadline of all sleepers, once nothing else goes on: no request has
///   come, no one has begun or ended to sleep for some milliseconds. So sleepers that run at once
///   wait no longer together than the longest of them alone.
/// - What is busy otherwise for longer than that, in another thread or with another server, looks
///   like nothing: time runs ahead of it.
/// - Where the world's time moves by itself too ([`WorldBuilder::speed`](super::WorldBuilder::speed)),
///   a sleep ends as soon as either has come to its end.
///
/// It waits on tokio's timer, so it needs a runtime with time enabled.
#[derive(Clone)]
pub struct SimClock(pub(super) Arc<Shared>);

impl fmt::Debug for SimClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimClock({})", self.0.now())
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        let sleeper = Sleeper::lie_down(&self.0, later(self.now(), duration).min(END));
        let (mut quiet, mut seen) = (0, sleeper.goings_on());
        while self.now() < sleeper.place.0 {
            tokio::time::sleep(LOOK).await;
            let now = sleeper.goings_on();
            quiet = if now == seen { quiet + 1 } else { 0 };
            seen = now;
            if quiet >= QUIET && sleeper.is_first() {
                self.0.advance_to(sleeper.place.0);
            }
        }
    }
}

/// Who sleeps until when.
#[derive(Debug, Default)]
pub(crate) struct Sleepers {
    by_deadline: BTreeSet<(Timestamp, u64)>,
    /// How often someone lay down or got up.
    changes: u64,
}

/// One of them, until it is dropped.
struct Sleeper<'a> {
    shared: &'a Shared,
    place: (Timestamp, u64),
}

impl<'a> Sleeper<'a> {
    fn lie_down(shared: &'a Shared, deadline: Timestamp) -> Self {
        let mut sleepers = lock(&shared.sleepers);
        sleepers.changes += 1;
        let place = (deadline, sleepers.changes);
        sleepers.by_deadline.insert(place);
        Self { shared, place }
    }

    fn is_first(&self) -> bool {
        lock(&self.shared.sleepers).by_deadline.first() == Some(&self.place)
    }

    /// What differs as soon as anything has gone on.
    fn goings_on(&self) -> (u64, u64) {
        (self.shared.requests(), lock(&self.shared.sleepers).changes)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let mut sleepers = lock(&self.shared.sleepers);
        sleepers.changes += 1;
        sleepers.by_deadline.remove(&self.place);
    }
}
