//! An operator's desk: which runs there are, what they did, and what they are told to do.

use std::{fmt, sync::Arc};

use futures::{StreamExt, stream::BoxStream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Clock, ErrorKind, Journal, Order, OrderRecord, Record, Result, RunHead, RunId, RunState,
    Standing,
};

/// How many runs of a list are looked at at once.
const AT_ONCE: usize = 8;

/// The runs of a journal, as an operator sees and steers them.
///
/// It needs the journal alone, so it works from any machine that reaches it. Whoever holds a run
/// reads its orders within a poll. A run that nobody holds is resumed, recovered or abandoned by a
/// [`Runner`](crate::workflow::Runner).
///
/// # Example
/// ```
/// use std::time::Duration;
/// use patchkit_core::{Journal, RunId, RunState, Runs, VirtualClock, memory::MemoryJournal};
///
/// # futures::executor::block_on(async {
/// let clock = VirtualClock::manual("2026-11-24T02:00:00Z".parse().unwrap());
/// let journal = MemoryJournal::new(clock.clone());
/// let run = RunId::new("2026-11-24")?;
/// journal.begin(&run, "worker-1", Duration::from_secs(300)).await?;
///
/// let runs = Runs::new(journal, clock);
/// runs.pause(&run, "kim", "the database is slow").await?;
/// assert_eq!(runs.line(&run).await?.state, RunState::Paused);
/// println!("{}", runs.story(&run).await?);
/// # Ok::<(), patchkit_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Runs {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
}

impl Runs {
    /// The runs of `journal`. Whether a lease is over is told by `clock`.
    pub fn new(journal: impl Journal, clock: impl Clock) -> Self {
        Self { journal: Arc::new(journal), clock: Arc::new(clock) }
    }

    /// Lists the runs, oldest first.
    ///
    /// # Behavior
    /// - A run that cannot be read is an error that names it, and the others come all the same.
    ///
    /// # Errors
    /// `Malformed`, `Unexpected`.
    pub fn list(&self) -> BoxStream<'static, Result<RunLine>> {
        let this = self.clone();
        let lines = self.journal.runs().map(move |run| {
            let this = this.clone();
            async move { this.line(&run?).await }
        });
        lines.buffered(AT_ONCE).boxed()
    }

    /// Tells where one run stands.
    ///
    /// # Errors
    /// `NotFound`, `Malformed`, `Unexpected`.
    pub async fn line(&self, run: &RunId) -> Result<RunLine> {
        let head = self.journal.head(run).await?;
        let orders = self.journal.orders(run).await?;
        let standing = Standing::of(run, &orders);
        Ok(RunLine { state: head.state(self.clock.now(), standing), head })
    }

    /// Tells all that happened in a run. What cannot be read of it is named in its place.
    ///
    /// # Errors
    /// `NotFound`, `Unexpected`.
    pub async fn story(&self, run: &RunId) -> Result<RunStory> {
        let line = self.line(run).await?;
        let orders = self.journal.orders(run).await?;
        let (mut records, mut unread) = (Vec::new(), Vec::new());
        let mut events = self.journal.events(run);
        while let Some(item) = events.next().await {
            match item {
                Ok(record) => records.push(record),
                Err(error) if error.kind() == ErrorKind::Malformed => unread.push(error.report()),
                Err(error) => return Err(error),
            }
        }
        Ok(RunStory { line, records, orders, unread })
    }

    /// Has a run begin nothing new until it is resumed; what is under way goes on.
    ///
    /// # Errors
    /// `NotFound`, `Unexpected`.
    pub async fn pause(&self, run: &RunId, by: &str, reason: &str) -> Result<()> {
        self.journal.order(&Order::Pause { run: run.clone() }, by, reason).await
    }

    /// Has a paused run go on.
    ///
    /// A run whose worker died is another matter: see
    /// [`Runner::resume`](crate::workflow::Runner::resume).
    ///
    /// # Errors
    /// `NotFound`, `Unexpected`.
    pub async fn resume(&self, run: &RunId, by: &str, reason: &str) -> Result<()> {
        self.journal.order(&Order::Resume { run: run.clone() }, by, reason).await
    }

    /// Has a run end early: it begins nothing new, looks at what it did, and puts back what it
    /// started.
    ///
    /// # Errors
    /// `NotFound`, `Unexpected`.
    pub async fn cancel(&self, run: &RunId, by: &str, reason: &str) -> Result<()> {
        self.journal.order(&Order::Cancel { run: run.clone() }, by, reason).await
    }

    /// Turns the kill switch on: every run ends early, nothing is submitted, and no run begins.
    ///
    /// # Behavior
    /// - What is under way goes on and is watched to its end; what runs have started they put back.
    /// - Unlike a cancelled run, one that is halted does not even scan what it installed.
    ///
    /// # Errors
    /// `Unexpected`: it may be on or not; try again.
    pub async fn halt(&self, by: &str, reason: &str) -> Result<()> {
        self.journal.order(&Order::Halt, by, reason).await
    }

    /// Turns the kill switch off: runs may begin. Those that it ended stay ended.
    ///
    /// # Errors
    /// `Unexpected`.
    pub async fn allow(&self, by: &str, reason: &str) -> Result<()> {
        self.journal.order(&Order::Allow, by, reason).await
    }
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs").field("journal", &self.journal).finish_non_exhaustive()
    }
}

/// One run of a list.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunLine {
    /// What it is doing.
    pub state: RunState,
    /// Where it stands.
    #[serde(flatten)]
    pub head: RunHead,
}

impl RunLine {
    /// When it was written to last, or began.
    pub fn newest_at(&self) -> Timestamp {
        self.head.last.as_ref().map_or(self.head.begun_at, |record| record.at)
    }
}

impl fmt::Display for RunLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RunHead { run, begun_at, lease, records, .. } = &self.head;
        write!(f, "{:9}  {run}  begun {begun_at}, {records} records", self.state)?;
        match self.state {
            RunState::Finished | RunState::Abandoned => write!(f, ", over {}", self.newest_at()),
            RunState::Dead => {
                write!(f, ", held by {} until {}", Plain(&lease.holder), lease.expires_at)
            }
            _ => write!(f, ", held by {}", Plain(&lease.holder)),
        }
    }
}

/// All that happened in a run, for people: it prints one line for each record and order, in order of
/// time.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunStory {
    /// Where the run stands.
    pub line: RunLine,
    /// What was written down.
    pub records: Vec<Record>,
    /// What it was told, and what all runs were told.
    pub orders: Vec<OrderRecord>,
    /// What of it cannot be read.
    pub unread: Vec<String>,
}

impl fmt::Display for RunStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.line)?;
        // Orders for all runs that were given before this one began say nothing of it.
        let begun = self.line.head.begun_at;
        let mut orders = self.orders.iter().filter(|order| order.at >= begun).peekable();
        for record in &self.records {
            while let Some(order) = orders.next_if(|order| order.at < record.at) {
                writeln!(f, "  {}  {}", order.at, Ordered(order))?;
            }
            writeln!(f, "  {}  {}", record.at, record.event)?;
        }
        for order in orders {
            writeln!(f, "  {}  {}", order.at, Ordered(order))?;
        }
        for unread in &self.unread {
            writeln!(f, "  UNREAD  {}", Plain(unread))?;
        }
        Ok(())
    }
}

struct Ordered<'a>(&'a OrderRecord);

impl fmt::Display for Ordered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OrderRecord { order, by, reason, .. } = self.0;
        write!(f, "ORDER {order}, by {}: {}", Plain(by), Plain(reason))
    }
}

/// Text of others on one line of ours: nothing in it moves the cursor or begins a line.
pub(crate) struct Plain<'a>(pub(crate) &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            if char.is_control() {
                write!(f, "{}", char.escape_debug())?;
            } else {
                write!(f, "{char}")?;
            }
        }
        Ok(())
    }
}
