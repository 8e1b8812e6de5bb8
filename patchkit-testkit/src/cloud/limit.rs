//! Rates that someone sets, besides the documented ones.

use globset::{Glob, GlobMatcher};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    fault::Subject,
    throttle::{Buckets, Rate, RetryAfter},
};

/// Limits how often an operation is called in each account's Region or subscription. A query over several
/// subscriptions is a call in each of them.
///
/// ```
/// use patchkit_testkit::cloud::RateLimit;
///
/// let patient = RateLimit::of("DescribeInstancePatch*", 3.0, 5);
/// # let _ = patient;
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RateLimit {
    /// The operation; a glob.
    pub operation: String,
    /// How many requests a second of the world it takes in the long run.
    pub per_second: f64,
    /// How many it takes at once after a rest.
    pub burst: u32,
}

impl RateLimit {
    /// Takes `per_second` requests, and `burst` at once after a rest.
    pub fn of(operation: impl Into<String>, per_second: f64, burst: u32) -> Self {
        Self { operation: operation.into(), per_second, burst }
    }
}

/// The limits that are set, with their buckets.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    set: Vec<(RateLimit, GlobMatcher)>,
    buckets: Buckets,
}

impl Limits {
    pub(crate) fn add(&mut self, limit: RateLimit) -> Result<(), globset::Error> {
        let glob = Glob::new(&limit.operation)?.compile_matcher();
        self.set.push((limit, glob));
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn all(&self) -> Vec<RateLimit> {
        self.set.iter().map(|(limit, _)| limit.clone()).collect()
    }

    /// Where a request is one too many for one of them: how long it is to wait.
    pub(crate) fn refuse(&mut self, subject: &Subject<'_>, now: Timestamp) -> Option<RetryAfter> {
        let Self { set, buckets } = self;
        if set.is_empty() {
            return None;
        }
        let own = [subject.scope];
        let several: Vec<&str> = subject.scopes.iter().map(|it| &**it).collect();
        let scopes = if several.is_empty() { &own[..] } else { &several };
        let wanted = set.iter().enumerate().flat_map(|(place, (limit, glob))| {
            let rate = Rate::per_second(limit.per_second.max(0.0), limit.burst);
            let fits = glob.is_match(subject.operation);
            let scopes = scopes.iter().filter(move |_| fits);
            scopes.map(move |scope| (format!("{place}:{}:{scope}", subject.operation), rate))
        });
        let wanted: Vec<_> = wanted.collect();
        buckets.take_all(&wanted, now).err()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cloud::world::clock::later;

    #[test]
    fn a_limit_is_for_each_operation_and_scope_by_itself() {
        let mut limits = Limits::default();
        limits.add(RateLimit::of("Describe*", 1.0, 2)).unwrap();
        let subject = |operation, scope| Subject {
            service: "ssm",
            operation,
            caller: "any",
            scope,
            scopes: &[],
            ids: &[],
            page: None,
            passes_role: false,
            at: Timestamp::UNIX_EPOCH,
        };
        let now = Timestamp::UNIX_EPOCH;
        let here = subject("DescribeInstancePatches", "1/us-east-1");
        let refused: Vec<_> = (0..3).map(|_| limits.refuse(&here, now).is_some()).collect();
        assert_eq!(refused, [false, false, true]);
        assert_eq!(limits.refuse(&subject("DescribeInstancePatches", "1/eu-west-1"), now), None);
        assert_eq!(limits.refuse(&subject("SendCommand", "1/us-east-1"), now), None);
        assert_eq!(limits.refuse(&here, later(now, Duration::from_secs(1))), None);
        limits.add(RateLimit::of("List*", 0.0, 1)).unwrap();
        let list = subject("ListCommands", "1/us-east-1");
        let refused = [(); 2].map(|()| limits.refuse(&list, now).map(RetryAfter::seconds));
        assert_eq!(refused, [None, Some(86_400)], "what never refills tells a day");

        // A request that one of two rates refuses takes nothing of the other.
        let mut limits = Limits::default();
        limits.add(RateLimit::of("Send*", 0.001, 2)).unwrap();
        limits.add(RateLimit::of("SendCommand", 1.0, 1)).unwrap();
        let send = subject("SendCommand", "1/us-east-1");
        let refused = [(); 3].map(|()| limits.refuse(&send, now).map(RetryAfter::seconds));
        assert_eq!(refused, [None, Some(1), Some(1)]);
        let then = later(now, Duration::from_secs(1));
        assert_eq!(limits.refuse(&send, then), None);
    }
}
