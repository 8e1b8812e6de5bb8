//! Time as an argument: nobody in PatchKit reads the wall clock by himself.

use std::{
    collections::BTreeMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

/// Tells the time and waits.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Returns when `duration` has passed on this clock.
    async fn sleep(&self, duration: Duration);
}

#[async_trait]
impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    async fn sleep(&self, duration: Duration) {
        (**self).sleep(duration).await;
    }
}

/// The machine's clock, sleeping on tokio's timer.
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[cfg(feature = "tokio")]
#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// How often the earliest sleeper is polled in vain before an automatic clock moves on: it gives
/// futures beside it the chance to register an earlier deadline.
const IDLE_POLLS: u32 = 2;

/// A clock that moves only when asked, or as soon as everyone who uses it sleeps.
///
/// An hour of waiting then takes no time, and takes the same course each time. Clones share one
/// time.
///
/// # Behavior
/// - [`VirtualClock::automatic`] jumps to the earliest deadline when nothing but sleeping goes on.
///   It knows only of the sleepers on this clock, so it is for work whose waits all go through it,
///   on one thread: what another thread is busy with looks like nothing, and time runs ahead of it.
/// - [`VirtualClock::manual`] stands still until [`advance`](Self::advance).
///
/// ```
/// use std::time::Duration;
/// use jiff::Timestamp;
/// use patchkit_core::{Clock, VirtualClock};
///
/// let clock = VirtualClock::automatic(Timestamp::UNIX_EPOCH);
/// futures::executor::block_on(async {
///     futures::join!(clock.sleep(Duration::from_secs(3600)), clock.sleep(Duration::from_secs(60)));
/// });
/// assert_eq!(clock.now().as_second(), 3600);
/// ```
#[derive(Clone)]
pub struct VirtualClock(Arc<Mutex<VirtualState>>);

struct VirtualState {
    now: Timestamp,
    mode: VirtualMode,
    idle: u32,
    next_id: u64,
    sleepers: BTreeMap<(Timestamp, u64), Waker>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum VirtualMode {
    Automatic,
    Manual,
}

impl VirtualClock {
    /// A clock that jumps over waits.
    pub fn automatic(now: Timestamp) -> Self {
        Self::with_mode(now, VirtualMode::Automatic)
    }

    /// A clock that moves by [`advance`](Self::advance) only.
    pub fn manual(now: Timestamp) -> Self {
        Self::with_mode(now, VirtualMode::Manual)
    }

    fn with_mode(now: Timestamp, mode: VirtualMode) -> Self {
        let sleepers = BTreeMap::new();
        Self(Arc::new(Mutex::new(VirtualState { now, mode, idle: 0, next_id: 0, sleepers })))
    }

    /// Moves the clock forward and wakes those whose time has come.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        let to = later(state.now, by);
        state.move_to(to);
    }

    fn state(&self) -> MutexGuard<'_, VirtualState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VirtualState {
    fn move_to(&mut self, to: Timestamp) {
        self.now = to;
        self.idle = 0;
        for ((deadline, _), waker) in &self.sleepers {
            if *deadline <= to {
                waker.wake_by_ref();
            }
        }
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VirtualClock({})", self.now())
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    async fn sleep(&self, duration: Duration) {
        let deadline = later(self.now(), duration);
        Sleep { clock: self.clone(), deadline, id: None }.await;
    }
}

/// A sleeper on a virtual clock; leaves the clock's list when dropped.
struct Sleep {
    clock: VirtualClock,
    deadline: Timestamp,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.state();
        if state.now >= self.deadline {
            return Poll::Ready(());
        }
        let id = if let Some(id) = self.id {
            id
        } else {
            state.next_id += 1;
            state.idle = 0;
            self.id = Some(state.next_id);
            state.next_id
        };
        state.sleepers.insert((self.deadline, id), cx.waker().clone());
        if state.mode == VirtualMode::Automatic {
            if state.sleepers.keys().next() == Some(&(self.deadline, id)) {
                state.idle += 1;
                if state.idle > IDLE_POLLS {
                    let to = self.deadline;
                    state.move_to(to);
                    return Poll::Ready(());
                }
            }
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.clock.state().sleepers.remove(&(self.deadline, id));
        }
    }
}

/// `at` plus `by`, or the end of time.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, future::join_all};

    use super::*;

    #[test]
    fn sleepers_wake_in_the_order_of_their_deadlines() {
        let clock = VirtualClock::automatic(Timestamp::UNIX_EPOCH);
        let woken = Mutex::new(Vec::new());
        block_on(join_all([30, 10, 20].map(|secs| {
            let (clock, woken) = (&clock, &woken);
            async move {
                clock.sleep(Duration::from_secs(secs)).await;
                woken.lock().unwrap().push((secs, clock.now().as_second()));
            }
        })));
        assert_eq!(*woken.lock().unwrap(), [(10, 10), (20, 20), (30, 30)]);
    }

    #[test]
    fn a_dropped_sleeper_does_not_hold_the_clock_back() {
        let clock = VirtualClock::automatic(Timestamp::UNIX_EPOCH);
        block_on(async {
            {
                let mut early = clock.sleep(Duration::from_secs(1));
                assert!(futures::poll!(&mut early).is_pending());
            }
            clock.sleep(Duration::from_secs(5)).await;
        });
        assert_eq!(clock.now().as_second(), 5);
    }

    #[test]
    fn a_manual_clock_stands_still() {
        let clock = VirtualClock::manual(Timestamp::UNIX_EPOCH);
        block_on(async {
            let mut sleep = clock.sleep(Duration::from_secs(5));
            for _ in 0..10 {
                assert!(futures::poll!(&mut sleep).is_pending());
            }
            clock.advance(Duration::from_secs(5));
            assert!(futures::poll!(&mut sleep).is_ready());
        });
    }
}
