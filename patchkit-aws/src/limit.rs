//! How often each operation is called in one account and Region, so that a fleet-wide read never
//! makes production tooling throttle.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use patchkit_core::Clock;

/// How often one operation may be called.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rate {
    /// Calls in a second, over time.
    pub per_second: f64,
    /// Calls that may come at once after a rest.
    pub burst: u32,
}

impl Rate {
    /// So many calls in a second, and as many at once.
    pub fn per_second(calls: f64) -> Self {
        // A rate of nothing would never let a call go.
        let per_second = if calls.is_finite() { calls.max(0.01) } else { f64::INFINITY };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates, and the value is above zero"
        )]
        let burst = per_second.ceil() as u32;
        Self { per_second, burst }
    }

    /// Sets how many calls may come at once after a rest.
    #[must_use]
    pub fn with_burst(mut self, calls: u32) -> Self {
        self.burst = calls.max(1);
        self
    }
}

/// How often each operation is called in one account and Region.
///
/// AWS documents rates for few of Systems Manager's operations; what is not documented starts low.
/// A throttled operation is called half as often from then on, and comes back to its rate by and by.
///
/// ```
/// use patchkit_aws::{CallBudget, Rate};
///
/// let budget = CallBudget::default()
///     .with_operation("GetInventory", Rate::per_second(10.0))
///     .with_rest(Rate::per_second(3.0).with_burst(6));
/// assert_eq!(budget.of("GetInventory").per_second, 10.0);
/// assert_eq!(budget.of("SendCommand").burst, 6);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CallBudget {
    operations: BTreeMap<Box<str>, Rate>,
    rest: Rate,
}

/// What AWS documents ("AWS Systems Manager endpoints and quotas", General Reference; "Request
/// throttling for the Amazon EC2 API": the buckets of describe and mutating calls are far larger, and
/// are shared with every other tool of the account; IAM user guide, "IAM and AWS STS quotas": 600
/// requests a second).
const DOCUMENTED: [(&str, f64, u32); 18] = [
    ("AssumeRole", 100.0, 100),
    ("CreateAssociation", 3.0, 3),
    ("CreateAssociationBatch", 1.0, 1),
    ("DeleteAssociation", 2.0, 2),
    ("DescribeAssociation", 2.0, 2),
    ("DescribeAssociationExecutions", 4.0, 4),
    ("DescribeAssociationExecutionTargets", 4.0, 4),
    ("DescribeEffectiveInstanceAssociations", 1.0, 1),
    ("DescribeInstanceAssociationsStatus", 2.0, 2),
    ("ListAssociations", 4.0, 4),
    ("StartAssociationsOnce", 2.0, 2),
    ("UpdateAssociation", 3.0, 3),
    ("DescribeInstances", 10.0, 50),
    ("DescribeInstanceStatus", 10.0, 50),
    ("DescribeIamInstanceProfileAssociations", 10.0, 50),
    ("StartInstances", 2.0, 5),
    ("StopInstances", 2.0, 5),
    ("GetObject", 100.0, 100),
];

impl Default for CallBudget {
    /// What AWS documents, and five calls a second of everything else.
    fn default() -> Self {
        let documented = DOCUMENTED
            .map(|(operation, per_second, burst)| (operation.into(), Rate { per_second, burst }));
        Self {
            operations: documented.into_iter().collect(),
            rest: Rate::per_second(5.0).with_burst(10),
        }
    }
}

impl CallBudget {
    /// As often as anyone likes: for accounts that nobody else uses, and for simulators.
    pub fn unlimited() -> Self {
        Self { operations: BTreeMap::new(), rest: Rate::per_second(f64::INFINITY) }
    }

    /// Sets the rate of one operation, named as the API names it.
    #[must_use]
    pub fn with_operation(mut self, operation: impl Into<Box<str>>, rate: Rate) -> Self {
        self.operations.insert(operation.into(), rate);
        self
    }

    /// Sets the rate of each operation that has none of its own.
    #[must_use]
    pub fn with_rest(mut self, rate: Rate) -> Self {
        self.rest = rate;
        self
    }

    /// The rate of an operation.
    pub fn of(&self, operation: &str) -> Rate {
        self.operations.get(operation).copied().unwrap_or(self.rest)
    }
}

/// The buckets of one account and Region; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Limiter {
    budget: Arc<CallBudget>,
    clock: Arc<dyn Clock>,
    buckets: Arc<Mutex<HashMap<Box<str>, Bucket>>>,
}

#[derive(Debug)]
struct Bucket {
    rate: Rate,
    /// Calls in a second now: below `rate` after a throttle.
    pace: f64,
    /// Calls that may go at once; below zero while calls wait that have their turn already.
    tokens: f64,
    filled_at: Timestamp,
}

/// The slowest pace that throttles bring an operation to, as a share of its rate.
const SLOWEST: f64 = 1.0 / 16.0;

/// By how much of its rate the pace of an operation grows with each call that was not throttled.
const EASING: f64 = 1.0 / 50.0;

impl Limiter {
    pub(crate) fn new(budget: CallBudget, clock: Arc<dyn Clock>) -> Self {
        Self { budget: Arc::new(budget), clock, buckets: Arc::default() }
    }

    /// Waits until the operation may be called.
    pub(crate) async fn admit(&self, operation: &'static str) {
        let wait = self.with(operation, Bucket::take).filter(|wait| !wait.is_zero());
        if let Some(wait) = wait {
            self.clock.sleep(wait).await;
        }
    }

    /// The service asked for fewer calls.
    pub(crate) fn throttled(&self, operation: &str) {
        self.with(operation, |bucket| {
            bucket.pace = (bucket.pace / 2.0).max(bucket.rate.per_second * SLOWEST);
            bucket.tokens = bucket.tokens.min(0.0);
        });
    }

    /// A call went through.
    pub(crate) fn eased(&self, operation: &str) {
        self.with(operation, |bucket| {
            let most = bucket.rate.per_second;
            bucket.pace = (bucket.pace + most * EASING).min(most);
        });
    }

    fn with<T>(&self, operation: &str, change: impl FnOnce(&mut Bucket) -> T) -> Option<T> {
        let rate = self.budget.of(operation);
        if rate.per_second.is_infinite() {
            return None;
        }
        let now = self.clock.now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(operation) {
            let pace = rate.per_second;
            let tokens = f64::from(rate.burst);
            buckets.insert(operation.into(), Bucket { rate, pace, tokens, filled_at: now });
        }
        let bucket = buckets.get_mut(operation)?;
        bucket.fill(now);
        Some(change(bucket))
    }
}

impl Bucket {
    fn fill(&mut self, now: Timestamp) {
        let passed = now.duration_since(self.filled_at).as_secs_f64().max(0.0);
        self.filled_at = self.filled_at.max(now);
        self.tokens = (self.tokens + passed * self.pace).min(f64::from(self.rate.burst));
    }

    /// Takes a turn, and tells how long it is until then.
    fn take(&mut self) -> Duration {
        self.tokens -= 1.0;
        Duration::from_secs_f64((-self.tokens / self.pace).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use patchkit_core::VirtualClock;

    use super::*;

    fn limiter(rate: Rate) -> (Limiter, VirtualClock) {
        let clock = VirtualClock::automatic(Timestamp::UNIX_EPOCH);
        let budget = CallBudget::unlimited().with_operation("Describe", rate);
        (Limiter::new(budget, Arc::new(clock.clone())), clock)
    }

    fn seconds_of(limiter: &Limiter, clock: &VirtualClock, calls: usize) -> f64 {
        let from = clock.now();
        block_on(async {
            for _ in 0..calls {
                limiter.admit("Describe").await;
            }
        });
        clock.now().duration_since(from).as_secs_f64()
    }

    #[test]
    fn after_the_burst_calls_come_at_the_rate() {
        let (limiter, clock) = limiter(Rate::per_second(5.0).with_burst(10));
        assert!(seconds_of(&limiter, &clock, 10) < 0.01);
        let next = seconds_of(&limiter, &clock, 50);
        assert!((9.5..10.5).contains(&next), "{next}");
    }

    #[test]
    fn a_throttle_halves_the_pace_and_calls_bring_it_back() {
        let (limiter, clock) = limiter(Rate::per_second(4.0).with_burst(1));
        limiter.throttled("Describe");
        let slow = seconds_of(&limiter, &clock, 10);
        assert!((4.5..5.5).contains(&slow), "{slow}");
        for _ in 0..50 {
            limiter.eased("Describe");
        }
        let back = seconds_of(&limiter, &clock, 12);
        assert!((2.5..3.5).contains(&back), "{back}");
    }

    #[test]
    fn calls_that_wait_together_do_not_come_together() {
        let (limiter, clock) = limiter(Rate::per_second(1.0).with_burst(1));
        block_on(futures::future::join_all((0..5).map(|_| limiter.admit("Describe"))));
        assert_eq!(clock.now().as_second(), 4);
    }

    #[test]
    fn an_unlimited_operation_never_waits() {
        let (limiter, clock) = limiter(Rate::per_second(1.0));
        block_on(async {
            for _ in 0..1_000 {
                limiter.admit("Other").await;
            }
        });
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
    }
}
