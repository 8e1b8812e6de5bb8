//! A clock on which hours pass in seconds, for examples that wait for the outside world.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use patchkit_core::Clock;

/// A clock that goes so many times faster than the machine's.
///
/// A [`VirtualClock`](patchkit_core::VirtualClock) knows of no wait but its own: while a command runs
/// or a server answers it would run ahead.
#[derive(Clone, Copy, Debug)]
pub struct HurriedClock {
    from: Timestamp,
    began: Instant,
    times: u32,
}

impl HurriedClock {
    /// Begins at `from`, `times` as fast.
    pub fn new(from: Timestamp, times: u32) -> Self {
        Self { from, began: Instant::now(), times: times.max(1) }
    }
}

#[async_trait]
impl Clock for HurriedClock {
    fn now(&self) -> Timestamp {
        let passed = self.began.elapsed().saturating_mul(self.times);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        self.from.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration / self.times).await;
    }
}
