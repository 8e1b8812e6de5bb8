//! What operators ask of runs, and where a run stands.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Event, Record, RunLease};
use crate::{RunId, operator::Plain};

/// What an operator asks of runs; their holders read it within a poll.
///
/// None of them stops what is under way: half an install is worse than a whole one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "order", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Order {
    /// The run begins nothing new until it is told to resume.
    Pause {
        /// The run.
        run: RunId,
    },
    /// A paused run goes on.
    Resume {
        /// The run.
        run: RunId,
    },
    /// The run ends early: it begins nothing new, and puts back what it started.
    Cancel {
        /// The run.
        run: RunId,
    },
    /// The kill switch is on: every run ends early, no run begins, and nothing is submitted.
    Halt,
    /// The kill switch is off: runs may begin. Those that it ended stay ended.
    Allow,
    /// An order of a newer version, kept as it is.
    #[serde(untagged)]
    Other(serde_json::Value),
}

impl Order {
    /// The run it is for; `None` where it is for all.
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Self::Pause { run } | Self::Resume { run } | Self::Cancel { run } => Some(run),
            Self::Halt | Self::Allow | Self::Other(_) => None,
        }
    }

    /// Whether the holder of `run` has to read it.
    pub fn concerns(&self, run: &RunId) -> bool {
        self.run().is_none_or(|to| to == run)
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause { run } => write!(f, "pause {run}"),
            Self::Resume { run } => write!(f, "resume {run}"),
            Self::Cancel { run } => write!(f, "cancel {run}"),
            Self::Halt => f.write_str("halt all runs"),
            Self::Allow => f.write_str("allow runs again"),
            Self::Other(order) => write!(f, "an order of a newer version: {order}"),
        }
    }
}

/// An order, with who gave it and why.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OrderRecord {
    /// When it was given.
    pub at: Timestamp,
    /// What is asked.
    #[serde(flatten)]
    pub order: Order,
    /// Who gave it. Untrusted: escape before showing.
    pub by: String,
    /// Why. Untrusted: escape before showing.
    pub reason: String,
}

impl OrderRecord {
    /// An order, as a journal reads it back.
    pub fn new(
        at: Timestamp,
        order: Order,
        by: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self { at, order, by: by.into(), reason: reason.into() }
    }
}

impl fmt::Display for OrderRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (by, reason) = (Plain(&self.by), Plain(&self.reason));
        write!(f, "{}, ordered by {by} at {}: {reason}", self.order, self.at)
    }
}

/// What the orders come to for one run, the strictest last.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Standing {
    /// It may begin new work.
    #[default]
    Free,
    /// It begins nothing until it is told to.
    Paused,
    /// It is to end early.
    Cancelled,
    /// The kill switch is on.
    Halted,
}

impl Standing {
    /// What `orders`, oldest first, come to for `run`.
    ///
    /// ```
    /// use patchkit_core::{Order, OrderRecord, RunId, Standing};
    ///
    /// let run = RunId::new("2026-11-24")?;
    /// let order = |order| OrderRecord::new("2026-11-24T02:00:00Z".parse().unwrap(), order, "kim", "");
    /// let mut orders = vec![order(Order::Pause { run: run.clone() })];
    /// assert_eq!(Standing::of(&run, &orders), Standing::Paused);
    /// orders.push(order(Order::Resume { run: run.clone() }));
    /// assert_eq!(Standing::of(&run, &orders), Standing::Free);
    /// orders.push(order(Order::Halt));
    /// assert_eq!(Standing::of(&run, &orders), Standing::Halted);
    /// # Ok::<(), patchkit_core::Error>(())
    /// ```
    pub fn of(run: &RunId, orders: &[OrderRecord]) -> Self {
        let (mut paused, mut cancelled, mut halted) = (Self::Free, Self::Free, Self::Free);
        for record in orders.iter().filter(|record| record.order.concerns(run)) {
            match &record.order {
                Order::Pause { .. } => paused = Self::Paused,
                Order::Resume { .. } => paused = Self::Free,
                Order::Cancel { .. } => cancelled = Self::Cancelled,
                Order::Halt => halted = Self::Halted,
                Order::Allow => halted = Self::Free,
                Order::Other(_) => {}
            }
        }
        paused.max(cancelled).max(halted)
    }
}

/// Where a run stands, without its records.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunHead {
    /// The run.
    pub run: RunId,
    /// When it began.
    pub begun_at: Timestamp,
    /// Its newest lease.
    pub lease: RunLease,
    /// How many records it has.
    pub records: u64,
    /// The newest of them.
    pub last: Option<Record>,
}

impl RunHead {
    /// A run's head, as a journal tells it.
    pub fn new(begun_at: Timestamp, lease: RunLease, records: u64, last: Option<Record>) -> Self {
        Self { run: lease.run.clone(), begun_at, lease, records, last }
    }

    /// What it comes to at `now`, under `standing`.
    pub fn state(&self, now: Timestamp, standing: Standing) -> RunState {
        match self.last.as_ref().map(|record| &record.event) {
            Some(Event::RunFinished) => RunState::Finished,
            Some(Event::RunAbandoned { .. }) => RunState::Abandoned,
            _ if self.lease.expires_at <= now => RunState::Dead,
            _ => match standing {
                Standing::Free => RunState::Running,
                Standing::Paused => RunState::Paused,
                Standing::Cancelled | Standing::Halted => RunState::Ending,
            },
        }
    }
}

/// What a run is doing, as far as the journal tells.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunState {
    /// Someone holds it, and it may begin new work.
    Running,
    /// Someone holds it, and it waits to be resumed.
    Paused,
    /// Someone holds it, and it was told to end early.
    Ending,
    /// It is over.
    Finished,
    /// It was given up by an operator.
    Abandoned,
    /// It is not over, and nobody holds it: resume, recover or abandon it.
    Dead,
}

impl RunState {
    /// The word used in lists and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Ending => "ending",
            Self::Finished => "finished",
            Self::Abandoned => "abandoned",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(orders: impl IntoIterator<Item = Order>) -> Vec<OrderRecord> {
        let record = |order| OrderRecord::new(Timestamp::UNIX_EPOCH, order, "kim", "");
        orders.into_iter().map(record).collect()
    }

    #[test]
    fn a_cancelled_run_stays_so_and_the_kill_switch_beats_all() {
        let (run, other) = (RunId::new("r").unwrap(), RunId::new("other").unwrap());
        let cancel = Order::Cancel { run: run.clone() };
        let given = orders([cancel, Order::Resume { run: run.clone() }]);
        assert_eq!(Standing::of(&run, &given), Standing::Cancelled);
        assert_eq!(Standing::of(&other, &given), Standing::Free);
        let given = orders([Order::Halt, Order::Pause { run: run.clone() }]);
        assert_eq!(Standing::of(&run, &given), Standing::Halted);
        let given = orders([Order::Halt, Order::Pause { run: run.clone() }, Order::Allow]);
        assert_eq!(Standing::of(&run, &given), Standing::Paused);
        assert_eq!(Standing::of(&other, &given), Standing::Free);
    }

    #[test]
    fn an_order_of_a_newer_version_is_kept() {
        let text = r#"{"at":"2026-11-24T02:00:00Z","order":"slow_down","by":"kim","reason":"x"}"#;
        let record: OrderRecord = serde_json::from_str(text).unwrap();
        assert!(matches!(record.order, Order::Other(_)), "{record:?}");
        let again: serde_json::Value = serde_json::to_value(&record).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }
}
