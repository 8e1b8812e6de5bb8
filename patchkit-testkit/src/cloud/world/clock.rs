//! The world's time: a base, a speed, and what tests add.

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

/// When a world begins at the earliest and at the latest: years that clients can read.
pub(crate) const STARTS: RangeInclusive<Timestamp> =
    Timestamp::UNIX_EPOCH..=Timestamp::constant(221_876_927_999, 0);

/// The end of time, 1 January 9900: what is due later never happens. It is before the last time that
/// can be told, so that no more than that is ever due at once.
pub(crate) const END: Timestamp = Timestamp::constant(250_246_627_200, 0);

/// How many seconds pass at most in a real one.
pub(crate) const FASTEST: f64 = 1e6;

/// Time that runs at a speed of its own and can be advanced.
#[derive(Debug)]
pub(crate) struct WorldClock {
    base: Timestamp,
    since: Instant,
    speed: f64,
    /// How long it stood still before `since`, in real time.
    stood: Duration,
}

impl WorldClock {
    /// Starts at `base`; `speed` is how many seconds pass in a real one, zero for a clock that only
    /// [`advance`](Self::advance) moves.
    pub(crate) fn new(base: Timestamp, speed: f64) -> Self {
        Self { base, since: Instant::now(), speed: sane(speed), stood: Duration::ZERO }
    }

    pub(crate) fn now(&self) -> Timestamp {
        later(self.base, self.since.elapsed().mul_f64(self.speed)).min(END)
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.base = later(self.base, by).min(END);
    }

    pub(crate) fn speed(&self) -> f64 {
        self.speed
    }

    /// The world's time, and on top of it ours for as long as the world's stood still: who waits
    /// for a token gets one in either. It never goes back, whatever becomes of the speed.
    pub(crate) fn bucket_time(&self) -> Timestamp {
        later(self.now(), self.stood + self.standing())
    }

    /// How long it has been standing still, in real time.
    fn standing(&self) -> Duration {
        if self.speed > 0.0 { Duration::ZERO } else { self.since.elapsed() }
    }

    /// Goes on from now at another speed.
    pub(crate) fn set_speed(&mut self, speed: f64) {
        self.base = self.now();
        self.stood += self.standing();
        self.since = Instant::now();
        self.speed = sane(speed);
    }
}

/// A speed that is none is that of a clock that stands still; none is so fast that time ends.
fn sane(speed: f64) -> f64 {
    if speed.is_finite() { speed.clamp(0.0, FASTEST) } else { 0.0 }
}

/// `at` plus `by`; the end of time where that is beyond it.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

/// `at` minus `by`; the beginning of time where that is before it.
pub(crate) fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_sub(by).ok())
        .unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_speed_zero_moves_only_when_it_is_advanced() {
        let base = Timestamp::UNIX_EPOCH;
        let mut clock = WorldClock::new(base, 0.0);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(clock.now(), base);
        clock.advance(Duration::from_secs(90));
        assert_eq!(clock.now(), later(base, Duration::from_secs(90)));
    }

    #[test]
    fn time_has_an_end_that_is_before_the_last_time() {
        let mut clock = WorldClock::new(*STARTS.end(), 0.0);
        for _ in 0..2 {
            clock.advance(Duration::from_hours(24 * 366 * 1_000));
            assert_eq!(clock.now(), END);
        }
        assert!(later(END, Duration::from_hours(24 * 366)) < Timestamp::MAX);
    }

    #[test]
    fn the_time_of_buckets_never_goes_back() {
        let mut clock = WorldClock::new(Timestamp::UNIX_EPOCH, 0.0);
        let mut last = clock.bucket_time();
        for speed in [1.0, 0.0, 0.0, 60.0, 0.0] {
            std::thread::sleep(Duration::from_millis(2));
            let before = clock.bucket_time();
            assert!(before > last);
            clock.set_speed(speed);
            last = clock.bucket_time();
            assert!(last >= before);
        }
    }

    #[test]
    fn a_change_of_speed_loses_no_time() {
        let mut clock = WorldClock::new(Timestamp::UNIX_EPOCH, 1_000_000.0);
        std::thread::sleep(Duration::from_millis(2));
        let before = clock.now();
        clock.set_speed(0.0);
        assert!(clock.now() >= before);
        assert!(before > Timestamp::UNIX_EPOCH);
    }
}
