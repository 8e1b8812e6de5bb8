//! Faults between a caller and a provider or journal, by a plan that runs the same way each time.
//!
//! [`Faulty`] wraps a provider and [`FaultyJournal`] a journal; both hand every call to a shared
//! [`Faults`], which counts it, writes it down, and looks up in its [`FaultPlan`] what is to happen
//! to it. Each call yields to the executor before and after, as a call over a network would, so a
//! future that drives such a provider can be dropped at each of its calls.

mod call;
mod harness;
mod journal;
mod provider;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use patchkit_core::{
    Clock, Error, ErrorKind, NodeId, OperationId, PatchAction, PowerTarget, Retry, SubmitToken,
};

pub(crate) use self::call::turn;
pub use self::{harness::FaultyHarness, journal::FaultyJournal, provider::Faulty};

/// What happens to a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// It is refused and never reaches the provider.
    Refuse(Failure),
    /// It is carried out, and the caller is told of a failure instead of the answer. A listing
    /// breaks after its first item.
    LoseAnswer(Failure),
    /// It is made twice. The caller gets the second answer; where an answer tells what the call
    /// changed (`grant_access`, `merge_tags`, `set_default_baseline`), the first. Calls that may
    /// not be made twice (`create_baseline`, `delete_baseline`, `begin`, `take_over`, `append`) are
    /// made once. A listing is begun, dropped after an item, and begun again.
    Repeat,
    /// It waits on the clock before it is made.
    Delay(Duration),
    /// It fails for the one of its nodes at this place, and goes well for the others. A call that
    /// is not about several nodes is refused.
    FailNode(usize, Failure),
    /// A listing breaks after so many items; every other call is left alone.
    Break(usize, Failure),
}

/// The error that a fault makes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// Its kind.
    pub kind: ErrorKind,
    /// When the call may be made again.
    pub retry: Retry,
}

impl Failure {
    /// A failure after which the same call must not be made again.
    pub fn new(kind: ErrorKind) -> Self {
        Self { kind, retry: Retry::Never }
    }

    /// Too many calls; nothing happened, and the call may be made again.
    pub fn throttled() -> Self {
        Self { kind: ErrorKind::Throttled, retry: Retry::Backoff }
    }

    /// The caller may not do this.
    pub fn denied() -> Self {
        Self::new(ErrorKind::PermissionDenied)
    }

    /// No answer in time.
    pub fn timeout() -> Self {
        Self::new(ErrorKind::Timeout)
    }

    fn error(self, operation: &'static str) -> Error {
        Error::new(self.kind, "fault", operation, "a fault was injected")
            .with_retry(self.retry)
            .with_request_id("injected")
    }
}

/// Which calls a fault hits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum When {
    Call(usize),
    From(usize),
    Every(usize),
}

/// Which faults hit which calls. Calls are numbered from 0, over all that share a [`Faults`].
///
/// ```
/// use patchkit_testkit::fault::{Failure, Fault, FaultPlan};
///
/// let plan = FaultPlan::new()
///     .at(3, Fault::LoseAnswer(Failure::timeout()))
///     .on("submit").every(2, Fault::Repeat);
/// # let _ = plan;
/// ```
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    rules: Vec<(Option<&'static str>, When, Fault)>,
    operation: Option<&'static str>,
}

impl FaultPlan {
    /// No faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Faults that a patient caller bears without its work suffering, for listings of at most
    /// `page_size` items a page.
    ///
    /// Every fifth call is throttled before it reaches the provider, every third one is made
    /// twice, every fourth one is late, and every seventh listing breaks at its first page's end.
    pub fn bearable(page_size: usize) -> Self {
        Self::new()
            .every(5, Fault::Refuse(Failure::throttled()))
            .every(3, Fault::Repeat)
            .every(4, Fault::Delay(Duration::from_secs(1)))
            .every(7, Fault::Break(page_size, Failure::throttled()))
    }

    /// Lets the rules that follow hit this operation only, and count only its calls.
    #[must_use]
    pub fn on(mut self, operation: &'static str) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Lets the rules that follow hit any operation again.
    #[must_use]
    pub fn on_any(mut self) -> Self {
        self.operation = None;
        self
    }

    /// Hits the call with this number.
    #[must_use]
    pub fn at(self, call: usize, fault: Fault) -> Self {
        self.rule(When::Call(call), fault)
    }

    /// Hits the call with this number and all later ones.
    #[must_use]
    pub fn from(self, call: usize, fault: Fault) -> Self {
        self.rule(When::From(call), fault)
    }

    /// Hits every `n`th call.
    #[must_use]
    pub fn every(self, n: usize, fault: Fault) -> Self {
        self.rule(When::Every(n.max(1)), fault)
    }

    fn rule(mut self, when: When, fault: Fault) -> Self {
        self.rules.push((self.operation, when, fault));
        self
    }

    /// The first rule that hits.
    fn fault(&self, operation: &str, number: usize, of_operation: usize) -> Option<Fault> {
        let hit = |(only, when, _): &&(Option<&'static str>, When, Fault)| {
            let at = match only {
                None => number,
                Some(only) if *only == operation => of_operation,
                Some(_) => return false,
            };
            match *when {
                When::Call(call) => at == call,
                When::From(call) => at >= call,
                When::Every(n) => (at + 1).is_multiple_of(n),
            }
        };
        self.rules.iter().find(hit).map(|(_, _, fault)| *fault)
    }
}

/// One call that went through a wrapper.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// The method's name.
    pub operation: &'static str,
    /// The nodes it was about.
    pub nodes: Vec<NodeId>,
    /// The act that was submitted.
    pub act: Option<(SubmitToken, PatchAction)>,
    /// The power that was asked for.
    pub target: Option<PowerTarget>,
    /// The act that the provider answered with, whether or not the caller was told.
    pub accepted: Option<OperationId>,
    /// What happened to the call.
    pub fault: Option<Fault>,
    /// Whose call it was: the name of its [`Faults`].
    pub caller: &'static str,
}

impl Call {
    fn new(operation: &'static str) -> Self {
        Self {
            operation,
            nodes: Vec::new(),
            act: None,
            target: None,
            accepted: None,
            fault: None,
            caller: "",
        }
    }

    fn on(mut self, nodes: &[NodeId]) -> Self {
        self.nodes = nodes.to_vec();
        self
    }

    /// Whether the call changes something on a node.
    pub fn is_work(&self) -> bool {
        self.act.is_some() || self.target.is_some()
    }
}

/// The plan, the count and the log of the calls of one caller. Clones share all three.
#[derive(Clone)]
pub struct Faults {
    clock: Arc<dyn Clock>,
    name: &'static str,
    plan: Arc<FaultPlan>,
    state: Arc<Mutex<State>>,
    log: Arc<Mutex<Vec<Call>>>,
}

#[derive(Default)]
struct State {
    count: usize,
    by_operation: std::collections::BTreeMap<&'static str, usize>,
}

impl Faults {
    /// Carries out `plan`, waiting on `clock`.
    pub fn new(clock: Arc<dyn Clock>, plan: FaultPlan) -> Self {
        Self { clock, name: "", plan: Arc::new(plan), state: Arc::default(), log: Arc::default() }
    }

    /// Faults of another caller, with their own plan and count, written to the same log.
    #[must_use]
    pub fn beside(&self, name: &'static str, plan: FaultPlan) -> Self {
        Self {
            clock: Arc::clone(&self.clock),
            name,
            plan: Arc::new(plan),
            state: Arc::default(),
            log: Arc::clone(&self.log),
        }
    }

    /// The caller's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How many calls were made.
    pub fn count(&self) -> usize {
        self.state().count
    }

    /// Every call of every caller with this log, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.log().clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, Vec<Call>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, writes it down, and says what happens to it.
    fn enter(&self, mut call: Call) -> Option<Fault> {
        let fault = {
            let mut state = self.state();
            let number = state.count;
            state.count += 1;
            let of_operation = state.by_operation.entry(call.operation).or_default();
            let fault = self.plan.fault(call.operation, number, *of_operation);
            *of_operation += 1;
            fault
        };
        call.fault = fault;
        call.caller = self.name;
        self.log().push(call);
        fault
    }

    fn accepted(&self, token: &SubmitToken, operation: &OperationId) {
        let mut log = self.log();
        // Whoever submitted it may be dead: another asks after it.
        let submitted =
            |call: &&mut Call| call.act.as_ref().is_some_and(|(submitted, _)| submitted == token);
        if let Some(call) = log.iter_mut().rev().find(submitted) {
            call.accepted = Some(operation.clone());
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("name", &self.name)
            .field("plan", &self.plan)
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_hits_decides() {
        let refuse = Fault::Refuse(Failure::denied());
        let plan = FaultPlan::new()
            .at(2, refuse)
            .every(3, Fault::Repeat)
            .on("submit")
            .from(1, Fault::Delay(Duration::from_secs(1)));
        assert_eq!(plan.fault("nodes", 0, 0), None);
        assert_eq!(plan.fault("nodes", 2, 2), Some(refuse));
        assert_eq!(plan.fault("nodes", 5, 3), Some(Fault::Repeat));
        assert_eq!(plan.fault("submit", 6, 0), None);
        assert_eq!(plan.fault("submit", 7, 1), Some(Fault::Delay(Duration::from_secs(1))));
    }
}
