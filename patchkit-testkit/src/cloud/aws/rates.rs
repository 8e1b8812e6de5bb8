//! How many requests a second AWS takes, where it says so.

use crate::cloud::{
    shared::{Shared, lock},
    throttle::Rate,
};

/// Calls a second of an account in one Region (General Reference, Systems Manager quotas). Of no
/// other operation that is served here are they published.
const PER_SECOND: [(&str, u32); 10] = [
    ("CreateAssociation", 3),
    ("DeleteAssociation", 2),
    ("DescribeAssociation", 2),
    ("DescribeAssociationExecutionTargets", 4),
    ("DescribeAssociationExecutions", 4),
    ("DescribeEffectiveInstanceAssociations", 1),
    ("DescribeInstanceAssociationsStatus", 2),
    ("ListAssociations", 4),
    ("StartAssociationsOnce", 2),
    ("UpdateAssociation", 3),
];

/// How many seconds' worth of calls may come at once. Nobody says it.
const BURST: u32 = 2;

/// Whether a request of this scope, an account's Region, may be made now.
pub(super) fn allows(shared: &Shared, scope: &str, service: &str, operation: &str) -> bool {
    let Some(buckets) = &shared.buckets else { return true };
    let known = PER_SECOND.iter().find(|(name, _)| service == "ssm" && *name == operation);
    let Some((_, calls)) = known else { return true };
    let rate = Rate::per_second(f64::from(*calls), calls * BURST);
    let key = format!("{scope}/{operation}");
    let now = shared.bucket_time();
    lock(buckets).take(&key, rate, now).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{
        World,
        aws::ring::KeyRing,
        s3::SignatureChecks,
        world::{State, clock::WorldClock},
    };

    #[test]
    fn the_documented_rates_are_kept_by_account_and_region() {
        let plan = World::builder().seed(7).nodes(10).plan();
        let (state, clock) = (State::new(&plan), WorldClock::new(plan.now, 0.0));
        let shared = Shared::new(state, clock, KeyRing::new(7, &[]), SignatureChecks::Off);
        let asks =
            |scope, operation| (0..9).filter(|_| allows(&shared, scope, "ssm", operation)).count();
        assert_eq!(asks("1/us-east-1", "DescribeEffectiveInstanceAssociations"), 2);
        assert_eq!(asks("1/eu-west-1", "DescribeEffectiveInstanceAssociations"), 2);
        assert_eq!(asks("1/us-east-1", "DescribeInstancePatchStates"), 9);
    }
}
