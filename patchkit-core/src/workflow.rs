//! The workflows: scan, access check, tag check, patch, remediate, and the recovery of a run that died.
//!
//! They are written against the traits alone. Each of them reads, plans, writes its intent to the
//! journal, acts, and reports an outcome for every node.

mod access;
mod act;
mod announce;
mod budget;
mod evidence;
mod freeze;
mod gate;
mod health;
mod hold;
mod hooked;
mod hooks;
mod left;
mod listing;
mod log;
mod outcome;
mod pace;
mod patch;
mod plan;
mod power;
mod ramp;
mod recover;
mod remediate;
mod remember;
mod resume;
mod scan;
mod scan_first;
mod slots;
mod tags;
mod timing;
mod verify;
mod waves;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use self::gate::Gate;
pub use self::{
    access::{AccessFinding, AccessMode, AccessOutcome, AccessReport},
    freeze::{Freezes, WhileFrozen},
    health::{Health, HealthCheck, WaveSoFar},
    hooks::{Hook, HookCall, HookWave},
    listing::{Listing, ScopeFailure},
    outcome::{NodeOutcome, NodeReport, Outcome, RunReport, UndoFailure},
    plan::{OtherPatchers, PatchOptions, PatchPlan, PlanStep, PlannedNode, SkippedNode},
    recover::Recovery,
    scan::{ScanOutcome, ScanReport, ScannedNode},
    tags::{RequiredTags, TagFinding, TagMode, TagOutcome, TagRecord, TagReport, TagState},
    timing::{KnownTime, NodeTimes, TakenTimes},
};
use crate::{
    Clock, ComplianceReport, Error, ErrorKind, Fleet, Journal, PollPolicy, RunId,
    history::History,
    notify::Outbox,
    observe::{Observer, Teller},
};

/// How many calls are under way at once, where nobody says it.
const PARALLEL: usize = 8;

/// Runs workflows over a fleet, its compliance and a journal.
///
/// The futures of its workflows are `Send`, and need no runtime but that of the provider.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use patchkit_core::{
///     NodeSelector, RunId, VirtualClock,
///     memory::{MemoryCloud, MemoryJournal},
///     workflow::{PatchOptions, Runner},
/// };
///
/// # futures::executor::block_on(async {
/// let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
/// let cloud = MemoryCloud::builder().seed(7).nodes(12).clock(clock.clone()).build();
/// let journal = MemoryJournal::new(clock.clone());
/// let runner = Runner::new(cloud.clone(), cloud, journal, clock);
///
/// let plan = runner.plan_patch(&PatchOptions::new(NodeSelector::all())).await?;
/// println!("{plan}");
/// let report = runner.patch(&RunId::new("2026-11-24")?, &plan).await?;
/// assert!(report.undo_failed.is_empty());
/// # Ok::<(), patchkit_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Runner {
    fleet: Arc<dyn Fleet>,
    compliance: Arc<dyn ComplianceReport>,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    observers: Vec<Arc<dyn Observer>>,
    history: Option<History>,
    outbox: Option<Arc<Outbox>>,
    hooks: Vec<Arc<dyn Hook>>,
    health: Option<Arc<dyn HealthCheck>>,
    cancel: CancelToken,
    holder: String,
    term: Duration,
    limits: Limits,
    parallel: usize,
    gate: Arc<Gate>,
}

impl Runner {
    /// A runner with the usual limits, no observers, and a holder name of `patchkit`.
    pub fn new(
        fleet: impl Fleet,
        compliance: impl ComplianceReport,
        journal: impl Journal,
        clock: impl Clock,
    ) -> Self {
        Self {
            fleet: Arc::new(fleet),
            compliance: Arc::new(compliance),
            journal: Arc::new(journal),
            clock: Arc::new(clock),
            observers: Vec::new(),
            history: None,
            outbox: None,
            hooks: Vec::new(),
            health: None,
            cancel: CancelToken::new(),
            holder: "patchkit".to_owned(),
            term: Duration::from_mins(5),
            limits: Limits::default(),
            parallel: PARALLEL,
            gate: Arc::new(Gate::new(PARALLEL)),
        }
    }

    /// Tells `observer` too what happens, as it happens.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Stops the run's submissions, and undoes, when `token` is cancelled.
    #[must_use]
    pub fn with_cancel(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }

    /// Names the holder of the leases: one name for each process.
    #[must_use]
    pub fn with_holder(mut self, holder: impl Into<String>) -> Self {
        self.holder = holder.into();
        self
    }

    /// Sets how long each kind of step may take.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how many calls to the provider are under way at once; 8 where it is not set.
    ///
    /// Acts are not calls: all acts of a round are followed at the same time, however many there
    /// are. Clones that are made afterwards share the bound.
    #[must_use]
    pub fn with_parallel(mut self, calls: usize) -> Self {
        self.parallel = calls.max(1);
        self.gate = Arc::new(Gate::new(self.parallel));
        self
    }

    /// Tells of a run of this runner.
    fn teller(&self, run: &RunId) -> Arc<Teller> {
        Arc::new(Teller::new(run, &self.clock, &self.observers))
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("fleet", &self.fleet)
            .field("holder", &self.holder)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// How long each kind of step may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Until a started node runs.
    pub start: Duration,
    /// Until a running node's agent answers. Agents retry their registration for half an hour.
    pub reachable: Duration,
    /// Until a scan is over.
    pub scan: Duration,
    /// Until an agent update is over.
    pub update_agent: Duration,
    /// Until an install, its reboot included, is over.
    pub install: Duration,
    /// Until a stopped node is off.
    pub stop: Duration,
    /// Until a service that tells late shows what it accepted.
    pub consistency: Duration,
    /// Until a [`Hook`] has answered.
    pub hook: Duration,
    /// Until a [`HealthCheck`] has answered.
    pub health: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let minute = Duration::from_mins(1);
        Self {
            start: 10 * minute,
            reachable: 30 * minute,
            scan: 30 * minute,
            update_agent: 15 * minute,
            install: 180 * minute,
            stop: 20 * minute,
            consistency: 2 * minute,
            hook: 5 * minute,
            health: minute,
        }
    }
}

impl Limits {
    fn policy(limit: Duration) -> PollPolicy {
        PollPolicy::new(limit)
    }
}

/// A switch that stops runs: no new submission after the next poll, and what was started is undone.
///
/// Clones share one switch.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A switch that is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the runs that hold this switch.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether someone asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Whether what a read was refused for may be otherwise a moment later, whatever the error itself
/// says of its retry: credentials are renewed, and what is there only late is `NotFound` at first.
fn may_get_better(error: &Error) -> bool {
    error.is_retryable()
        || !matches!(
            error.kind(),
            ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::InvalidInput
        )
}

fn unexpected(operation: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Unexpected, "core", operation, message)
}
