//! What all endpoints share: the state behind a lock, the clock, the keys and the record.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use jiff::Timestamp;
use patchkit_core::{Clock as _, SystemClock};

use super::{
    aws::keys::Keys,
    azure::Bearer,
    record::{Calls, Outcome, RecordedCall},
    throttle::Buckets,
    world::{
        State,
        clock::{WorldClock, later},
        uuid,
    },
};
use crate::rng::mix;

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) clock: Mutex<WorldClock>,
    pub(crate) keys: Keys,
    record: Mutex<Calls>,
    requests: AtomicU64,
    seed: u64,
    began: Instant,
    /// None where nothing is limited.
    pub(crate) buckets: Option<Mutex<Buckets>>,
    /// Who may call Azure.
    pub(crate) bearer: Bearer,
    /// How many items a page of Azure's lists holds.
    pub(crate) azure_page: usize,
}

impl Shared {
    pub(crate) fn new(state: State, clock: WorldClock, keys: Keys) -> Self {
        Self {
            seed: state.seed,
            began: Instant::now(),
            buckets: Some(Mutex::default()),
            bearer: Bearer { seed: state.seed, checked: false },
            azure_page: 50,
            state: Mutex::new(state),
            clock: Mutex::new(clock),
            keys,
            record: Mutex::default(),
            requests: AtomicU64::new(0),
        }
    }

    /// The state, after all that is due by now has happened.
    pub(crate) fn settled(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        let now = lock(&self.clock).now();
        state.settle(now);
        state
    }

    /// The time by which credentials expire. Clients look at their own clock, which may be ahead of
    /// a world whose time stands still: the later of the two counts.
    pub(crate) fn credential_time(&self) -> Timestamp {
        lock(&self.clock).now().max(SystemClock.now())
    }

    /// The time by which buckets refill: the world's, and where that stands still, ours on top.
    pub(crate) fn bucket_time(&self) -> Timestamp {
        let clock = lock(&self.clock);
        let now = clock.now();
        if clock.speed() > 0.0 { now } else { later(now, self.began.elapsed()) }
    }

    pub(crate) fn next_request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        uuid(mix(self.seed ^ mix(number)), mix(number))
    }

    pub(crate) fn calls(&self) -> Calls {
        lock(&self.record).clone()
    }

    pub(crate) fn note(&self, outcome: Outcome) {
        let Outcome {
            at,
            service,
            operation,
            caller,
            scope,
            ids,
            status,
            error,
            acted,
            request_id,
        } = outcome;
        lock(&self.record).0.push(RecordedCall {
            at,
            service,
            operation,
            caller,
            scope,
            ids,
            status: Some(status),
            error,
            acted,
            fault: None,
            request_id,
        });
    }
}

/// A panic in one request leaves the state as it is for the others: a test server goes on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
