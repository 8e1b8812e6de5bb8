//! The world's time in another process than the world's.

use std::{
    collections::BTreeSet,
    fmt,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use patchkit_core::Clock;
use serde_json::Value;

use crate::tap::{Deed, Tap};

/// How often everyone else gets a turn before time jumps, where no call is under way.
const TURNS: usize = 4;
/// How many looks in a row, a millisecond apart, must find nothing going on where one is: it sleeps
/// too, then.
const QUIET: u32 = 100;

/// The world's time: who sleeps on it makes it pass, as in the world's own process.
///
/// Time jumps as soon as no call is under way but those that sleep.
#[derive(Clone)]
pub(crate) struct WorldTime {
    tap: Arc<Tap>,
    shared: Arc<Shared>,
    /// Whether its sleeps are points of the run.
    counts: Counts,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Counts {
    Yes,
    No,
}

struct Shared {
    control: SocketAddr,
    state: Mutex<State>,
}

struct State {
    /// The world's time.
    now: Timestamp,
    /// How far this process's clock is off.
    off: SignedDuration,
    sleepers: BTreeSet<(Timestamp, u64)>,
    changes: u64,
}

impl WorldTime {
    /// The time of the world whose control endpoint this is.
    pub(crate) fn new(control: &str, tap: &Arc<Tap>) -> Self {
        let control: SocketAddr = control.trim_start_matches("http://").parse().unwrap();
        let state = State {
            now: now_of(&ask(control, "GET", "")),
            off: SignedDuration::ZERO,
            sleepers: BTreeSet::new(),
            changes: 0,
        };
        let shared = Arc::new(Shared { control, state: Mutex::new(state) });
        let woken = Arc::downgrade(&shared);
        tap.on_waking(Box::new(move |deed| {
            let Some(shared) = woken.upgrade() else { return };
            let now = now_of(&ask(shared.control, "GET", ""));
            let mut state = shared.state();
            state.now = state.now.max(now);
            if let Deed::Jump(seconds) = deed {
                state.off += SignedDuration::from_secs(seconds);
            }
        }));
        Self { tap: Arc::clone(tap), shared, counts: Counts::No }
    }

    /// The same time, whose sleeps are points of the run.
    pub(crate) fn counted(&self) -> Self {
        Self { counts: Counts::Yes, ..self.clone() }
    }

    async fn rest(&self, duration: Duration) {
        let sleeper = Sleeper::lie_down(&self.shared, duration);
        let (mut quiet, mut seen) = (0, self.goings_on());
        while self.shared.state().now < sleeper.place.0 {
            if self.tap.under_way() == 0 && sleeper.is_first() {
                let before = self.goings_on();
                for _ in 0..TURNS {
                    tokio::task::yield_now().await;
                }
                if before == self.goings_on() {
                    self.shared.pass(sleeper.place.0);
                    continue;
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            let now = self.goings_on();
            quiet = if now == seen { quiet + 1 } else { 0 };
            seen = now;
            if quiet >= QUIET && sleeper.is_first() {
                self.shared.pass(sleeper.place.0);
            }
        }
    }

    fn goings_on(&self) -> (usize, u64) {
        (self.tap.changes(), self.shared.state().changes)
    }
}

impl fmt::Debug for WorldTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorldTime({})", self.now())
    }
}

#[async_trait]
impl Clock for WorldTime {
    fn now(&self) -> Timestamp {
        let state = self.shared.state();
        state.now + state.off
    }

    async fn sleep(&self, duration: Duration) {
        match self.counts {
            Counts::Yes => self.tap.sleep(self.rest(duration)).await,
            Counts::No => self.rest(duration).await,
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the world's time pass until then.
    fn pass(&self, then: Timestamp) {
        let by = then.duration_since(self.state().now).as_secs_f64();
        let body = format!("{{\"advance_seconds\": {by}}}");
        let now = now_of(&ask(self.control, "POST", &body));
        let mut state = self.state();
        // What is lost by way of a fraction of a second is no reason to ask again.
        state.now = state.now.max(now).max(then);
    }
}

/// Who sleeps until when, until it is dropped.
struct Sleeper<'a> {
    shared: &'a Shared,
    place: (Timestamp, u64),
}

impl<'a> Sleeper<'a> {
    fn lie_down(shared: &'a Shared, duration: Duration) -> Self {
        let mut state = shared.state();
        state.changes += 1;
        let place = (state.now + SignedDuration::try_from(duration).unwrap(), state.changes);
        state.sleepers.insert(place);
        Self { shared, place }
    }

    fn is_first(&self) -> bool {
        self.shared.state().sleepers.first() == Some(&self.place)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.changes += 1;
        state.sleepers.remove(&self.place);
    }
}

/// Asks a world for its time, or moves it. Blocks, for a moment.
fn ask(control: SocketAddr, method: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(control).unwrap();
    write!(
        stream,
        "{method} /clock HTTP/1.1\r\nhost: {control}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap()
}

fn now_of(clock: &Value) -> Timestamp {
    clock["now"].as_str().unwrap().parse().unwrap()
}
