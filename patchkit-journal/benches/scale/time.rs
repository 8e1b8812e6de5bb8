//! Virtual time that stands still while another thread writes the journal.
//!
//! `VirtualClock::automatic` knows only of those who sleep on it: what the journal's thread is busy
//! with looks like nothing to it, and time would run ahead of the disk.

use std::{
    collections::BTreeMap,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use jiff::Timestamp;
use patchkit_core::Clock;

/// A clock that [`drive`] moves to the next deadline when nothing else can go on.
#[derive(Clone, Debug)]
pub(crate) struct Simulated(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    now: Timestamp,
    next_id: u64,
    sleepers: BTreeMap<(Timestamp, u64), Waker>,
}

impl Simulated {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(State { now, next_id: 0, sleepers: BTreeMap::new() })))
    }

    pub(crate) fn at(&self) -> Timestamp {
        self.state().now
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.state().now += by;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves to the next deadline, and wakes those whose it is; nothing where nobody sleeps.
    fn jump(&self) -> bool {
        let mut state = self.state();
        let Some((&(deadline, _), _)) = state.sleepers.first_key_value() else { return false };
        state.now = state.now.max(deadline);
        while let Some(entry) = state.sleepers.first_entry()
            && entry.key().0 <= deadline
        {
            entry.remove().wake();
        }
        true
    }
}

#[async_trait::async_trait]
impl Clock for Simulated {
    fn now(&self) -> Timestamp {
        self.at()
    }

    async fn sleep(&self, duration: Duration) {
        let deadline = self.at() + duration;
        Sleep { clock: self.clone(), deadline, id: None }.await;
    }
}

struct Sleep {
    clock: Simulated,
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
        let id = *self.id.get_or_insert_with(|| {
            state.next_id += 1;
            state.next_id
        });
        state.sleepers.insert((self.deadline, id), cx.waker().clone());
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

/// Runs `work` to its end, or until `enough`: then it is dropped. Time moves when all of it waits
/// and no call to the journal is `under_way`.
pub(crate) fn drive<T>(
    clock: &Simulated,
    under_way: &AtomicUsize,
    work: impl Future<Output = T>,
    enough: impl Fn() -> bool,
) -> Option<T> {
    let woken = Arc::new(Bell { rung: AtomicBool::new(true), thread: thread::current() });
    let waker = Waker::from(Arc::clone(&woken));
    let mut work = pin!(work);
    loop {
        if woken.rung.swap(false, Ordering::AcqRel) {
            if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(done);
            }
            if enough() {
                return None;
            }
        } else if under_way.load(Ordering::Acquire) > 0 || !clock.jump() {
            thread::park();
        }
    }
}

struct Bell {
    rung: AtomicBool,
    thread: Thread,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
