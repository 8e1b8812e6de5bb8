//! Counts the calls of a run, and does to its own process at one of them what a test has ordered.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    thread,
    time::Duration,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};

use crate::point::{Point, Side};

/// What happens to the process at a point.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) enum Deed {
    /// It is killed, and has no say in it.
    Kill,
    /// It stands still, until someone lets it go on.
    Stop,
    /// Its clock is set forwards, or backwards, by so many seconds.
    Jump(i64),
}

/// Whoever is to be told when the process goes on after its deed.
pub(crate) type Woken = Box<dyn Fn(Deed) + Send + Sync>;

/// Every call of a run passes here.
pub(crate) struct Tap {
    deed: Option<(Point, Deed)>,
    /// Where the points are written down, each on a line.
    track: Option<Mutex<fs::File>>,
    /// Where it is written down that the point was reached, and how many writes were under way.
    reached: PathBuf,
    numbers: Mutex<BTreeMap<&'static str, usize>>,
    under_way: AtomicUsize,
    /// How many of them write to a cloud: nobody can take those back.
    writing: AtomicUsize,
    changes: AtomicUsize,
    woken: Mutex<Option<Woken>>,
}

impl Tap {
    pub(crate) fn new(
        deed: Option<(Point, Deed)>,
        track: Option<PathBuf>,
        reached: PathBuf,
    ) -> Arc<Self> {
        Arc::new(Self {
            deed,
            track: track.map(|path| Mutex::new(fs::File::create(path).unwrap())),
            reached,
            numbers: Mutex::default(),
            under_way: AtomicUsize::new(0),
            writing: AtomicUsize::new(0),
            changes: AtomicUsize::new(0),
            woken: Mutex::default(),
        })
    }

    pub(crate) fn on_waking(&self, woken: Woken) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = Some(woken);
    }

    /// How many calls are under way, sleeps left out.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// What differs as soon as a call has begun or ended.
    pub(crate) fn changes(&self) -> usize {
        self.changes.load(Ordering::Relaxed)
    }

    /// Makes a call.
    pub(crate) async fn call<T>(
        self: &Arc<Self>,
        call: &'static str,
        made: impl Future<Output = T>,
    ) -> T {
        let begun = self.begin(call);
        let answer = made.await;
        begun.end();
        answer
    }

    /// Sleeps: a call that others need not wait for.
    pub(crate) async fn sleep(self: &Arc<Self>, slept: impl Future<Output = ()>) {
        let number = self.enter("sleep");
        slept.await;
        self.at("sleep", number, Side::After);
    }

    /// Reads a listing.
    pub(crate) fn listing<T: Send + 'static>(
        self: &Arc<Self>,
        call: &'static str,
        rows: BoxStream<'static, T>,
    ) -> BoxStream<'static, T> {
        let tap = Arc::clone(self);
        let begun = async move {
            let mut begun = Some(tap.begin(call));
            rows.chain(stream::poll_fn(move |_| {
                if let Some(begun) = begun.take() {
                    begun.end();
                }
                Poll::Ready(None)
            }))
        };
        stream::once(begun).flatten().boxed()
    }

    fn begin(self: &Arc<Self>, call: &'static str) -> Begun {
        let number = self.enter(call);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.writing.fetch_add(usize::from(is_write(call)), Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
        Begun { tap: Arc::clone(self), call, number }
    }

    fn enter(&self, call: &'static str) -> usize {
        let number = {
            let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
            let number = numbers.entry(call).or_default();
            *number += 1;
            *number - 1
        };
        self.at(call, number, Side::Before);
        number
    }

    /// Is at a point.
    fn at(&self, call: &'static str, number: usize, side: Side) {
        if let Some(track) = &self.track {
            let point = Point { call: call.to_owned(), number, side };
            let mut track = track.lock().unwrap_or_else(PoisonError::into_inner);
            writeln!(track, "{point}").unwrap();
        }
        let Some((point, deed)) = &self.deed else { return };
        if point.call != call || point.number != number || point.side != side {
            return;
        }
        let writing = self.writing.load(Ordering::Relaxed) + usize::from(is_write(call));
        fs::write(&self.reached, writing.to_string()).unwrap();
        match deed {
            Deed::Kill => kill_process(getpid(), Signal::KILL).unwrap(),
            Deed::Stop => {
                kill_process(getpid(), Signal::STOP).unwrap();
                // A signal to a process of many threads reaches it a moment later, and it must stand
                // still here: what it does in that moment it would do on a clock that stands, too.
                while !let_go(&self.reached).exists() {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            Deed::Jump(_) => {}
        }
        if let Some(woken) = &*self.woken.lock().unwrap_or_else(PoisonError::into_inner) {
            woken(*deed);
        }
    }
}

/// What is there as soon as a process that stands still may go on.
pub(crate) fn let_go(reached: &Path) -> PathBuf {
    reached.with_extension("go")
}

fn is_write(call: &str) -> bool {
    ["cancel", "set_power", "submit"].contains(&call)
}

/// A call that is under way, until it has ended or is dropped.
struct Begun {
    tap: Arc<Tap>,
    call: &'static str,
    number: usize,
}

impl Begun {
    fn end(self) {
        self.tap.at(self.call, self.number, Side::After);
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.tap.under_way.fetch_sub(1, Ordering::Relaxed);
        self.tap.writing.fetch_sub(usize::from(is_write(self.call)), Ordering::Relaxed);
        self.tap.changes.fetch_add(1, Ordering::Relaxed);
    }
}
