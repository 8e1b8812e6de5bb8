//! Token buckets: how both clouds limit their callers.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

/// How fast a bucket refills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    per_second: f64,
    cap: u32,
}

impl Rate {
    pub(crate) const fn per_second(tokens: f64, cap: u32) -> Self {
        Self { per_second: tokens, cap }
    }

    pub(crate) const fn per_minute(tokens: f64, cap: u32) -> Self {
        Self { per_second: tokens / 60.0, cap }
    }

    pub(crate) fn cap(self) -> u32 {
        self.cap
    }
}

/// How many whole tokens are left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Remaining(pub(crate) u32);

/// How long it takes until there is a token again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RetryAfter(pub(crate) Duration);

impl RetryAfter {
    pub(crate) const SECOND: Self = Self(Duration::from_secs(1));

    /// In whole seconds, from one to those of a day: what the header can say. A bucket that never
    /// refills has no time that it could tell.
    pub(crate) fn seconds(self) -> u64 {
        let whole = self.0.as_secs().saturating_add(u64::from(self.0.subsec_nanos() > 0));
        whole.clamp(1, 86_400)
    }
}

/// Buckets by key; one that no one has taken from is full.
#[derive(Debug, Default)]
pub(crate) struct Buckets(HashMap<Box<str>, Bucket>);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Timestamp,
    rate: Rate,
}

/// Full buckets are forgotten when there are more than this.
const MANY: usize = 100_000;

impl Buckets {
    /// Takes a token.
    ///
    /// # Errors
    /// Where there is none. A refused request takes nothing.
    pub(crate) fn take(
        &mut self,
        key: &str,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Remaining, RetryAfter> {
        let bucket = self.bucket(key, rate, now);
        bucket.check()?;
        bucket.tokens -= 1.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between zero and the cap"
        )]
        Ok(Remaining(bucket.tokens as u32))
    }

    /// Takes a token of each of these buckets.
    ///
    /// # Errors
    /// Where one has none. A refused request takes nothing of any.
    pub(crate) fn take_all(
        &mut self,
        all: &[(String, Rate)],
        now: Timestamp,
    ) -> Result<(), RetryAfter> {
        for (key, rate) in all {
            self.bucket(key, *rate, now).check()?;
        }
        for (key, rate) in all {
            self.take(key, *rate, now)?;
        }
        Ok(())
    }

    fn bucket(&mut self, key: &str, rate: Rate, now: Timestamp) -> &mut Bucket {
        if self.0.len() > MANY && !self.0.contains_key(key) {
            self.0.retain(|_, bucket| {
                bucket.refill(now);
                bucket.tokens < f64::from(bucket.rate.cap)
            });
        }
        let full = Bucket { tokens: f64::from(rate.cap), at: now, rate };
        let bucket = self.0.entry(key.into()).or_insert(full);
        bucket.rate = rate;
        bucket.refill(now);
        bucket
    }
}

impl Bucket {
    fn check(&self) -> Result<(), RetryAfter> {
        if self.tokens >= 1.0 {
            return Ok(());
        }
        let wait = (1.0 - self.tokens) / self.rate.per_second;
        Err(RetryAfter(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX)))
    }

    fn refill(&mut self, now: Timestamp) {
        let passed = now.duration_since(self.at).as_secs_f64().max(0.0);
        let tokens = self.tokens + passed * self.rate.per_second;
        self.tokens = tokens.min(f64::from(self.rate.cap));
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::world::clock::later;

    #[test]
    fn a_bucket_gives_its_cap_and_then_one_token_per_refill() {
        let (mut buckets, now) = (Buckets::default(), Timestamp::UNIX_EPOCH);
        let rate = Rate::per_minute(2.0, 6);
        for left in (0..6).rev() {
            assert_eq!(buckets.take("vm", rate, now), Ok(Remaining(left)));
        }
        let Err(wait) = buckets.take("vm", rate, now) else { panic!("a seventh token") };
        assert_eq!(wait.seconds(), 30);
        let then = later(now, Duration::from_secs(30));
        assert_eq!(buckets.take("vm", rate, then), Ok(Remaining(0)));
        assert!(buckets.take("vm", rate, then).is_err());
    }

    #[test]
    fn a_bucket_never_holds_more_than_its_cap_and_none_is_of_another_key() {
        let (mut buckets, now) = (Buckets::default(), Timestamp::UNIX_EPOCH);
        let rate = Rate::per_second(1.0, 2);
        assert_eq!(buckets.take("a", rate, now), Ok(Remaining(1)));
        let then = later(now, Duration::from_secs(1_000));
        assert_eq!(buckets.take("a", rate, then), Ok(Remaining(1)));
        assert_eq!(buckets.take("b", rate, then), Ok(Remaining(1)));
        // Time that goes back refills nothing and takes nothing.
        assert_eq!(buckets.take("a", rate, now), Ok(Remaining(0)));
    }
}
