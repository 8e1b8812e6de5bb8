//! What all endpoints share: the state behind a lock, the clock, the keys and the record.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use patchkit_core::{Clock as _, SystemClock};

use super::{
    aws::ring::KeyRing,
    azure::{Bearer, buffers::Buffers, graph::Pager},
    clock::Sleepers,
    fault::{FaultKind, Faults},
    limit::Limits,
    pages::Pages,
    policy::Policy,
    record::{Calls, Record, RecordedCall},
    s3::SignatureChecks,
    throttle::{Buckets, RetryAfter},
    world::{State, clock::WorldClock, uuid},
};
use crate::rng::mix;

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) clock: Mutex<WorldClock>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) checks: SignatureChecks,
    pub(crate) record: Mutex<Record>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) policy: Mutex<Policy>,
    pub(crate) pages: Mutex<Pages>,
    pub(crate) sleepers: Mutex<Sleepers>,
    pub(crate) limits: Mutex<Limits>,
    requests: AtomicU64,
    seed: u64,
    began: Instant,
    /// The world's time then.
    start: Timestamp,
    /// The machine's time then; none where the world's was chosen, and nothing may depend on it.
    pub(crate) real_start: Option<Timestamp>,
    /// None where nothing is limited.
    pub(crate) buckets: Option<Mutex<Buckets>>,
    /// Who may call Azure.
    pub(crate) bearer: Bearer,
    /// The answers of Resource Graph whose pages are still asked for.
    pub(crate) pager: Mutex<Pager>,
    /// What their pages are written in.
    pub(crate) buffers: Buffers,
    /// How many items a page of Azure's lists holds.
    pub(crate) azure_page: usize,
}

impl Shared {
    pub(crate) fn new(
        state: State,
        clock: WorldClock,
        keys: KeyRing,
        checks: SignatureChecks,
    ) -> Self {
        Self {
            seed: state.seed,
            began: Instant::now(),
            start: state.now,
            real_start: Some(SystemClock.now()),
            buckets: None,
            pager: Mutex::new(Pager::new(state.seed)),
            buffers: Buffers::default(),
            bearer: Bearer { seed: state.seed, checked: false },
            azure_page: 50,
            state: Mutex::new(state),
            clock: Mutex::new(clock),
            keys: Arc::new(keys),
            checks,
            record: Mutex::default(),
            faults: Mutex::default(),
            policy: Mutex::default(),
            pages: Mutex::default(),
            sleepers: Mutex::default(),
            limits: Mutex::default(),
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

    /// The world's time.
    pub(crate) fn now(&self) -> Timestamp {
        lock(&self.clock).now()
    }

    /// Lets time pass, and what is due happen in it; what is to be written is written.
    pub(crate) fn advance(&self, by: Duration) {
        lock(&self.clock).advance(by);
        let mut state = self.settled();
        while state.write_some(64) {}
    }

    /// Lets time pass until then, unless it is later already.
    pub(crate) fn advance_to(&self, then: Timestamp) {
        {
            let mut clock = lock(&self.clock);
            let by = then.duration_since(clock.now());
            clock.advance(by.try_into().unwrap_or_default());
        }
        self.advance(Duration::ZERO);
    }

    /// How many requests have come.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The time by which credentials expire: the world's, where its start was chosen. Elsewhere
    /// clients look at their own clock, which may be ahead of the world's: the later start counts, and
    /// the time that passed faster.
    pub(crate) fn credential_time(&self) -> Timestamp {
        let now = self.now();
        let Some(real_start) = self.real_start else { return now };
        let world = now.duration_since(self.start);
        let passed = world.max(SignedDuration::try_from(self.began.elapsed()).unwrap_or_default());
        self.start.max(real_start).checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// The time by which buckets refill.
    pub(crate) fn bucket_time(&self) -> Timestamp {
        lock(&self.clock).bucket_time()
    }

    pub(crate) fn next_request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        uuid(mix(self.seed ^ mix(number)), mix(number))
    }

    /// What the faults and the policy say of a request, once all of it is known. The fault is noted.
    pub(crate) fn meet(&self, outcome: &mut RecordedCall) -> Met {
        if lock(&self.policy).denies(&outcome.subject()) {
            return Met::Denied;
        }
        self.meet_anyone(outcome)
    }

    /// The same of a request that no policy can be about.
    pub(crate) fn meet_anyone(&self, outcome: &mut RecordedCall) -> Met {
        let now = self.bucket_time();
        if let Some(wait) = lock(&self.limits).refuse(&outcome.subject(), now) {
            return Met::Throttled(Some(wait));
        }
        let fault = lock(&self.faults).meet(&outcome.subject());
        outcome.fault = fault;
        match fault {
            None => Met::Pass(None),
            Some(FaultKind::Throttle) => Met::Throttled(None),
            Some(FaultKind::Deny) => Met::Denied,
            Some(FaultKind::Fail { status }) => Met::Failed(status),
            Some(FaultKind::CutBefore | FaultKind::Away) => Met::Cut,
            Some(kind) => Met::Pass(Some(kind)),
        }
    }

    /// What the faults say of a request once it has been carried out, where none met it before.
    pub(crate) fn meet_after(&self, outcome: &mut RecordedCall) -> Option<FaultKind> {
        if outcome.fault.is_none() {
            outcome.fault = lock(&self.faults).meet_after(&outcome.subject());
        }
        outcome.fault
    }

    /// Takes a fault back that could do nothing to the answer.
    pub(crate) fn take_back(&self, kind: FaultKind, outcome: &mut RecordedCall) {
        outcome.fault = None;
        lock(&self.faults).take_back(kind, &outcome.subject());
    }

    pub(crate) fn calls(&self) -> Calls {
        lock(&self.record).calls()
    }

    pub(crate) fn note(&self, mut outcome: RecordedCall) {
        outcome.scopes = Vec::new();
        lock(&self.record).note(outcome);
    }
}

/// What becomes of a request before the service acts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Met {
    /// The service acts; its answer may be spoiled.
    Pass(Option<FaultKind>),
    Denied,
    /// There are too many; how long it is to wait, where a rate tells.
    Throttled(Option<RetryAfter>),
    /// It fails with this status.
    Failed(u16),
    /// The connection is cut.
    Cut,
}

/// A panic in one request leaves the state as it is for the others: a test server goes on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
