//! What happens later: acts with their time, in order of time and then of entry.

use std::{cmp::Reverse, collections::BinaryHeap, fmt};

use jiff::Timestamp;

use super::State;

type Act = Box<dyn FnOnce(&mut State) + Send>;

#[derive(Default)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Reverse<Entry>>,
    entered: u64,
}

impl Agenda {
    pub(crate) fn enter(&mut self, at: Timestamp, act: Act) {
        self.entered += 1;
        self.heap.push(Reverse(Entry { at, order: self.entered, act }));
    }

    /// The next act that is due at `now`, with its time.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<(Timestamp, Act)> {
        if self.heap.peek()?.0.at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.act))
    }
}

impl fmt::Debug for Agenda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = self.heap.peek().map(|entry| entry.0.at);
        f.debug_struct("Agenda")
            .field("acts", &self.heap.len())
            .field("next", &next)
            .finish_non_exhaustive()
    }
}

struct Entry {
    at: Timestamp,
    order: u64,
    act: Act,
}

impl Entry {
    fn key(&self) -> (Timestamp, u64) {
        (self.at, self.order)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}
