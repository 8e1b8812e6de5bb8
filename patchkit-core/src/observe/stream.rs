//! Events for whoever reads them at a pace of their own.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};

use super::{Observer, RunEvent};

/// The events of runs, in order, for one reader.
///
/// # Behavior
/// - A run never waits for the reader. What does not fit is dropped, the oldest first, and the next
///   item says how many there were.
/// - It ends when the last feed is gone, with the runner that holds it.
///
/// # Example
/// ```
/// use futures::StreamExt;
/// use patchkit_core::{
///     NodeSelector, RunId, VirtualClock,
///     memory::{MemoryCloud, MemoryJournal},
///     observe::{EventStream, Streamed},
///     workflow::Runner,
/// };
///
/// # futures::executor::block_on(async {
/// let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
/// let fleet = MemoryCloud::builder().seed(7).nodes(3).clock(clock.clone()).build();
/// let (feed, events) = EventStream::bounded(1_000);
/// let runner = Runner::new(fleet.clone(), fleet, MemoryJournal::new(clock.clone()), clock)
///     .with_observer(feed);
/// runner.scan(&RunId::new("weekly")?, &NodeSelector::all()).await?;
/// drop(runner);
///
/// let seen: Vec<Streamed> = events.collect().await;
/// assert!(matches!(&seen[0], Streamed::Event(event) if event.kind.as_str() == "run_started"));
/// # Ok::<(), patchkit_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "streams do nothing unless they are polled"]
pub struct EventStream(Arc<Shared>);

/// Where a run puts its events for an [`EventStream`]; clones feed the same one.
#[derive(Debug)]
pub struct EventFeed(Arc<Shared>);

/// What a reader of events gets.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Streamed {
    /// An event.
    Event(RunEvent),
    /// So many events were dropped here, because they were not read in time.
    Dropped {
        /// How many.
        dropped: u64,
    },
}

#[derive(Debug)]
struct Shared {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<RunEvent>,
    dropped: u64,
    feeds: usize,
    gone: bool,
    waker: Option<Waker>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventStream {
    /// A stream that keeps up to `capacity` events, at least one, until they are read.
    pub fn bounded(capacity: usize) -> (EventFeed, Self) {
        let state = State { feeds: 1, ..State::default() };
        let shared = Shared { capacity: capacity.max(1), state: Mutex::new(state) };
        let shared = Arc::new(shared);
        (EventFeed(Arc::clone(&shared)), Self(shared))
    }

    /// Writes the events as lines of JSON, to the stream's end, each line as soon as there is one.
    ///
    /// # Behavior
    /// - Dropped events are a line too: `{"dropped":12}`.
    /// - Writing blocks. Give it a thread or a task of its own, and the run does not wait for it.
    ///
    /// # Errors
    /// The first one of `to`. What follows is not read any more, and the run goes on.
    pub async fn write_json(mut self, mut to: impl io::Write) -> io::Result<()> {
        while let Some(item) = self.next().await {
            let mut line = serde_json::to_vec(&item)?;
            line.push(b'\n');
            to.write_all(&line)?;
            to.flush()?;
        }
        Ok(())
    }
}

impl Stream for EventStream {
    type Item = Streamed;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Streamed>> {
        let mut state = self.0.state();
        if state.dropped > 0 {
            let dropped = std::mem::take(&mut state.dropped);
            return Poll::Ready(Some(Streamed::Dropped { dropped }));
        }
        if let Some(event) = state.queue.pop_front() {
            return Poll::Ready(Some(Streamed::Event(event)));
        }
        if state.feeds == 0 {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.gone = true;
        state.queue.clear();
    }
}

impl Observer for EventFeed {
    fn observe(&self, event: &RunEvent) {
        let mut state = self.0.state();
        if state.gone {
            return;
        }
        if state.queue.len() >= self.0.capacity {
            // The end of a run is among the newest, and matters most.
            state.queue.pop_front();
            state.dropped += 1;
        }
        state.queue.push_back(event.clone());
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Clone for EventFeed {
    fn clone(&self) -> Self {
        self.0.state().feeds += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for EventFeed {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.feeds -= 1;
        // Only the last one ends the stream; the others leave its reader asleep, and its waker there.
        let waker = if state.feeds == 0 { state.waker.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, executor::block_on};

    use super::*;
    use crate::{RunId, observe::RunEventKind};

    fn event(seq: u64) -> RunEvent {
        let kind = RunEventKind::Checked { nodes: 1 };
        RunEvent::new(RunId::new("r").unwrap(), jiff::Timestamp::UNIX_EPOCH, seq, kind)
    }

    #[test]
    fn a_reader_that_lags_is_told_how_many_it_missed_and_gets_the_newest() {
        let (feed, events) = EventStream::bounded(3);
        (0..10).for_each(|seq| feed.observe(&event(seq)));
        drop(feed);
        let seen: Vec<Streamed> = block_on(events.collect());
        let newest = (7..10).map(|seq| Streamed::Event(event(seq)));
        let expected: Vec<Streamed> =
            std::iter::once(Streamed::Dropped { dropped: 7 }).chain(newest).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_reader_that_waits_is_woken_by_an_event_and_by_the_end() {
        let (feed, mut events) = EventStream::bounded(3);
        assert!(events.next().now_or_never().is_none());
        std::thread::scope(|scope| {
            let shared = Arc::clone(&events.0);
            let reader = scope.spawn(move || block_on(events.collect::<Vec<_>>()));
            // Its own waker replaces that of the look above, which wakes nobody.
            std::thread::sleep(std::time::Duration::from_millis(20));
            let other = feed.clone();
            drop(feed);
            assert!(shared.state().waker.is_some(), "a feed that goes wakes nobody");
            other.observe(&event(0));
            std::thread::sleep(std::time::Duration::from_millis(20));
            other.observe(&event(1));
            std::thread::sleep(std::time::Duration::from_millis(20));
            drop(other);
            assert_eq!(reader.join().unwrap(), [0, 1].map(|seq| Streamed::Event(event(seq))));
        });
    }

    #[test]
    fn a_stream_that_nobody_reads_any_more_keeps_nothing() {
        let (feed, events) = EventStream::bounded(3);
        let shared = Arc::clone(&events.0);
        feed.observe(&event(0));
        drop(events);
        feed.observe(&event(1));
        assert!(shared.state().queue.is_empty());
    }

    #[test]
    fn lines_of_json_read_back_and_tell_what_was_dropped() {
        let (feed, events) = EventStream::bounded(2);
        (0..4).for_each(|seq| feed.observe(&event(seq)));
        drop(feed);
        let mut text = Vec::new();
        block_on(events.write_json(&mut text)).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<Streamed> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = [
            Streamed::Dropped { dropped: 2 },
            Streamed::Event(event(2)),
            Streamed::Event(event(3)),
        ];
        assert_eq!(lines, expected);
        assert!(text.starts_with("{\"dropped\":2}\n"), "{text}");
    }
}
