//! How often Azure is called, so that a fleet-wide read never makes production tooling throttle.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use patchkit_core::{Clock, NodeId};

/// A rate that Azure keeps.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Quota {
    /// Every read of Resource Manager, of one caller in one subscription.
    Reads,
    /// Every write of Resource Manager, of one caller in one subscription.
    Writes,
    /// Every deletion of Resource Manager, of one caller in one subscription.
    Deletes,
    /// Assessing and installing patches.
    GuestPatch,
    /// Starting, stopping and changing machines.
    UpdateMachine,
    /// Deallocating machines, which Azure counts as deletions.
    DeleteMachine,
    /// Reading one machine.
    LowCostGet,
    /// Listing machines.
    HighCostGet,
    /// Looking at an operation.
    GetOperation,
    /// Queries of Resource Graph, of one caller.
    ResourceGraph,
}

/// Calls in a second over time, and at once after a rest.
#[derive(Clone, Copy, Debug)]
struct Rate {
    per_second: f64,
    burst: f64,
}

const fn per_minute(calls: f64, burst: f64) -> Rate {
    Rate { per_second: calls / 60.0, burst }
}

const fn per_second(calls: f64, burst: f64) -> Rate {
    Rate { per_second: calls, burst }
}

impl Quota {
    /// What Azure documents: for all of a subscription in a location, and for one resource ("Compute
    /// throttling limits"; "Understand how Azure Resource Manager throttles requests"; "Guidance for
    /// throttled requests in Azure Resource Graph").
    const fn documented(self) -> (Rate, Option<Rate>) {
        match self {
            Self::Reads => (per_second(25.0, 250.0), None),
            Self::Writes | Self::Deletes => (per_second(10.0, 200.0), None),
            Self::GuestPatch => (per_minute(200.0, 600.0), Some(per_minute(2.0, 6.0))),
            Self::UpdateMachine | Self::DeleteMachine => {
                (per_minute(500.0, 1_500.0), Some(per_minute(4.0, 12.0)))
            }
            Self::LowCostGet => (per_minute(8_000.0, 24_000.0), Some(per_minute(12.0, 36.0))),
            Self::HighCostGet => (per_minute(300.0, 900.0), None),
            Self::GetOperation => (per_minute(5_000.0, 15_000.0), Some(per_minute(15.0, 45.0))),
            Self::ResourceGraph => (per_second(3.0, 15.0), None),
        }
    }
}

/// Which share of Azure's documented rates is used.
///
/// The rates are shared with everyone who works on the same subscription, the portal included, so half
/// of each is used unless something else is said. What the service tells of the rest is heeded in any
/// case: a bucket that others have emptied is waited for.
///
/// ```
/// use patchkit_azure::{CallBudget, Quota};
///
/// let budget = CallBudget::share(0.25).with_quota(Quota::ResourceGraph, 0.8);
/// assert_eq!(budget.of(Quota::ResourceGraph), 0.8);
/// assert_eq!(budget.of(Quota::GuestPatch), 0.25);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CallBudget {
    quotas: BTreeMap<Quota, f64>,
    rest: f64,
}

impl Default for CallBudget {
    /// Half of each rate.
    fn default() -> Self {
        Self::share(0.5)
    }
}

/// A share of nothing would never let a call go; more than all is refused by the service.
fn sound(share: f64) -> f64 {
    if share.is_nan() { 1.0 } else { share.clamp(0.01, 1.0) }
}

impl CallBudget {
    /// So much of each rate: a hundredth at least, and all of it at most.
    pub fn share(share: f64) -> Self {
        Self { quotas: BTreeMap::new(), rest: sound(share) }
    }

    /// As often as anyone likes: for simulators.
    pub fn unlimited() -> Self {
        Self { quotas: BTreeMap::new(), rest: f64::INFINITY }
    }

    /// Sets the share of one rate.
    #[must_use]
    pub fn with_quota(mut self, quota: Quota, share: f64) -> Self {
        self.quotas.insert(quota, sound(share));
        self
    }

    /// The share of a rate.
    pub fn of(&self, quota: Quota) -> f64 {
        self.quotas.get(&quota).copied().unwrap_or(self.rest)
    }
}

/// Which buckets a call takes from, beside the front door's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Charge {
    quota: Option<Quota>,
    subscription: String,
    location: String,
    /// The machine that it is about.
    resource: Option<String>,
}

impl Charge {
    /// A query of Resource Graph, which the front door does not count (its 429s name a quota of the
    /// user: "Guidance for throttled requests in Azure Resource Graph").
    pub(crate) fn graph() -> Self {
        Self { quota: Some(Quota::ResourceGraph), ..Self::default() }
    }

    /// A call about one machine.
    pub(crate) fn on(quota: Quota, node: &NodeId) -> Self {
        Self {
            quota: Some(quota),
            subscription: node.scope().account().as_str().to_ascii_lowercase(),
            location: node.scope().region().as_str().to_ascii_lowercase(),
            resource: Some(node.resource().to_ascii_lowercase()),
        }
    }

    /// A listing in a subscription.
    pub(crate) fn listing(subscription: &str) -> Self {
        let subscription = subscription.to_ascii_lowercase();
        Self { quota: Some(Quota::HighCostGet), subscription, ..Self::default() }
    }

    /// A call that the front door alone counts.
    pub(crate) fn door(subscription: &str) -> Self {
        Self { subscription: subscription.to_ascii_lowercase(), ..Self::default() }
    }

    fn buckets(&self, door: Quota) -> Vec<Key> {
        let Self { quota, subscription, location, resource } = self;
        let mut all = Vec::with_capacity(3);
        if *quota != Some(Quota::ResourceGraph) {
            all.push((door, Part::All, subscription.clone()));
        }
        if let Some(quota) = *quota {
            all.push((quota, Part::All, format!("{subscription}/{location}")));
            if let Some(resource) = resource
                && quota.documented().1.is_some()
            {
                all.push((quota, Part::Resource, resource.clone()));
            }
        }
        all
    }
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Part {
    All,
    Resource,
}

/// What an answer tells of the calls that are left.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Left {
    /// Of the front door.
    pub(crate) door: Option<f64>,
    /// Of the provider, for the subscription.
    pub(crate) all: Option<f64>,
    /// Of the provider, for the resource.
    pub(crate) resource: Option<f64>,
    /// How long nothing is to be asked.
    pub(crate) pause: Option<Duration>,
}

/// A rate, whose it is, and the name of that.
type Key = (Quota, Part, String);

/// The buckets of one caller; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Limiter {
    budget: Arc<CallBudget>,
    clock: Arc<dyn Clock>,
    buckets: Arc<Mutex<HashMap<Key, Bucket>>>,
}

#[derive(Debug)]
struct Bucket {
    rate: Rate,
    /// Calls that may go at once; below zero while calls wait that have their turn already.
    tokens: f64,
    filled_at: Timestamp,
}

/// How many buckets are kept before the full ones are let go: a full one is as good as a new one.
const MOST_BUCKETS: usize = 20_000;

impl Limiter {
    pub(crate) fn new(budget: CallBudget, clock: Arc<dyn Clock>) -> Self {
        Self { budget: Arc::new(budget), clock, buckets: Arc::default() }
    }

    /// Waits until the call may be made.
    pub(crate) async fn admit(&self, charge: &Charge, door: Quota) {
        let mut wait = Duration::ZERO;
        for key in charge.buckets(door) {
            wait = wait.max(self.with(key, Bucket::take).unwrap_or_default());
        }
        if !wait.is_zero() {
            self.clock.sleep(wait).await;
        }
    }

    /// Heeds what an answer told.
    pub(crate) fn told(&self, charge: &Charge, door: Quota, left: &Left) {
        for key in charge.buckets(door) {
            let known = match key {
                (quota, _, _) if quota == door => left.door,
                (_, Part::All, _) => left.all,
                (_, Part::Resource, _) => left.resource,
            };
            self.with(key, |bucket| {
                bucket.tokens = bucket.tokens.min(known.unwrap_or(f64::INFINITY));
                if let Some(pause) = left.pause {
                    let then = 1.0 - pause.as_secs_f64() * bucket.rate.per_second;
                    bucket.tokens = bucket.tokens.min(then);
                }
            });
        }
    }

    fn with<T>(&self, key: Key, change: impl FnOnce(&mut Bucket) -> T) -> Option<T> {
        let share = self.budget.of(key.0);
        if share.is_infinite() {
            return None;
        }
        let (all, resource) = key.0.documented();
        let rate = if key.1 == Part::Resource { resource? } else { all };
        // One call at least must fit into a bucket.
        let rate =
            Rate { per_second: rate.per_second * share, burst: (rate.burst * share).max(1.0) };
        let now = self.clock.now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_BUCKETS {
            buckets.retain(|_, bucket| {
                bucket.fill(now);
                bucket.tokens < bucket.rate.burst
            });
        }
        let new = || Bucket { rate, tokens: rate.burst, filled_at: now };
        let bucket = buckets.entry(key).or_insert_with(new);
        bucket.fill(now);
        Some(change(bucket))
    }
}

impl Bucket {
    fn fill(&mut self, now: Timestamp) {
        let passed = now.duration_since(self.filled_at).as_secs_f64().max(0.0);
        self.filled_at = self.filled_at.max(now);
        self.tokens = (self.tokens + passed * self.rate.per_second).min(self.rate.burst);
    }

    /// Takes a turn, and tells how long it is until then.
    fn take(&mut self) -> Duration {
        self.tokens -= 1.0;
        Duration::from_secs_f64((-self.tokens / self.rate.per_second).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use patchkit_core::VirtualClock;

    use super::*;

    fn limiter(budget: CallBudget) -> (Limiter, VirtualClock) {
        let clock = VirtualClock::automatic(Timestamp::UNIX_EPOCH);
        (Limiter::new(budget, Arc::new(clock.clone())), clock)
    }

    fn node(name: &str) -> NodeId {
        format!("azure/s/westeurope//subscriptions/s/resourceGroups/g/providers/p/{name}")
            .parse()
            .unwrap()
    }

    fn seconds_of(limiter: &Limiter, clock: &VirtualClock, charge: &Charge, calls: usize) -> f64 {
        let from = clock.now();
        block_on(async {
            for _ in 0..calls {
                limiter.admit(charge, Quota::Writes).await;
            }
        });
        clock.now().duration_since(from).as_secs_f64()
    }

    #[test]
    fn one_machine_is_patched_no_oftener_than_azure_lets_it() {
        let (limiter, clock) = limiter(CallBudget::share(1.0));
        let charge = Charge::on(Quota::GuestPatch, &node("vm1"));
        assert!(seconds_of(&limiter, &clock, &charge, 6) < 0.01);
        let next = seconds_of(&limiter, &clock, &charge, 2);
        assert!((59.0..61.0).contains(&next), "{next}");
        let other = Charge::on(Quota::GuestPatch, &node("vm2"));
        assert!(seconds_of(&limiter, &clock, &other, 6) < 0.01);
    }

    #[test]
    fn a_share_is_a_share_of_the_rate_and_of_the_burst() {
        let (limiter, clock) = limiter(CallBudget::share(0.2));
        assert!(seconds_of(&limiter, &clock, &Charge::graph(), 3) < 0.01);
        let next = seconds_of(&limiter, &clock, &Charge::graph(), 6);
        assert!((9.5..10.5).contains(&next), "{next}");
    }

    #[test]
    fn what_others_have_used_up_is_waited_for() {
        let (limiter, clock) = limiter(CallBudget::share(1.0));
        let left = Left { all: Some(0.0), ..Left::default() };
        limiter.told(&Charge::graph(), Quota::Writes, &left);
        let next = seconds_of(&limiter, &clock, &Charge::graph(), 3);
        assert!((0.9..1.1).contains(&next), "{next}");
    }

    #[test]
    fn nothing_is_asked_before_a_throttle_is_over() {
        let (limiter, clock) = limiter(CallBudget::share(1.0));
        let left = Left { pause: Some(Duration::from_secs(90)), ..Left::default() };
        let charge = Charge::on(Quota::GuestPatch, &node("vm1"));
        limiter.told(&charge, Quota::Writes, &left);
        let next = seconds_of(&limiter, &clock, &charge, 1);
        assert!((89.0..91.0).contains(&next), "{next}");
    }

    #[test]
    fn an_unlimited_budget_never_waits() {
        let (limiter, clock) = limiter(CallBudget::unlimited());
        let charge = Charge::on(Quota::GuestPatch, &node("vm1"));
        assert!(seconds_of(&limiter, &clock, &charge, 1_000) < 0.01);
    }
}
