//! The outbox: written down, delivered, written down.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    lock::Mutex as Turn,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Notification, Notifier};
use crate::{Book, Entry, Error, ErrorKind, Ledger, Result};

/// Delivers notifications at least once, through a ledger.
///
/// What is to be told is written down first, then delivered, then written down as delivered. Flush the
/// outbox when the process starts: what was not confirmed is delivered again, with the same id.
///
/// # Behavior
/// - A notification that the ledger knows by its id is not queued again.
/// - One receiver that fails keeps nothing from the others.
/// - Nothing is given up: what a receiver refuses waits until it is flushed, or discarded by someone.
///
/// # Example
/// ```
/// use patchkit_core::{
///     NodeSelector, Result, RunId, VirtualClock,
///     memory::{MemoryCloud, MemoryJournal},
///     notify::{Notification, Notifier, Outbox},
///     workflow::Runner,
/// };
///
/// #[derive(Debug)]
/// struct Console;
///
/// #[async_trait::async_trait]
/// impl Notifier for Console {
///     fn name(&self) -> &str {
///         "console"
///     }
///
///     async fn deliver(&self, notification: &Notification) -> Result<()> {
///         println!("{}", notification.text);
///         Ok(())
///     }
/// }
///
/// # futures::executor::block_on(async {
/// let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
/// let fleet = MemoryCloud::builder().seed(7).nodes(20).clock(clock.clone()).build();
/// let journal = MemoryJournal::new(clock.clone());
/// let outbox = Outbox::new(journal.clone()).with_notifier(Console);
/// outbox.flush().await?;
///
/// let runner = Runner::new(fleet.clone(), fleet, journal, clock);
/// let scan = runner.scan(&RunId::new("weekly")?, &NodeSelector::all()).await?;
/// if let Some(notification) = Notification::nodes_non_compliant(&scan) {
///     assert!(outbox.send(&notification).await?.is_clean());
/// }
/// # Ok::<(), patchkit_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Outbox {
    ledger: Arc<dyn Ledger>,
    notifiers: BTreeMap<String, Arc<dyn Notifier>>,
    /// Held while something is delivered, so that one process delivers nothing twice.
    state: Turn<State>,
}

/// What the ledger holds, as far as it was read.
#[derive(Default)]
struct State {
    read_to: Option<u64>,
    known: BTreeSet<String>,
    open: BTreeMap<String, Open>,
    unread: Vec<String>,
}

/// A notification that not all receivers have.
struct Open {
    notification: Notification,
    queued_at: Timestamp,
    /// Those that do not have it, with the number of tries and the last error.
    to: BTreeMap<String, (u32, Option<String>)>,
}

/// What is written down.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "outbox", rename_all = "snake_case")]
enum Letter {
    Queued {
        notification: Notification,
        to: BTreeSet<String>,
    },
    Delivered {
        id: String,
        to: String,
    },
    Failed {
        id: String,
        to: String,
        error: String,
    },
    Discarded {
        id: String,
        by: String,
        reason: String,
    },
    #[serde(untagged)]
    Other(serde_json::Value),
}

/// One delivery that was tried.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Delivery {
    /// The notification's id.
    pub id: String,
    /// The notifier's name.
    pub to: String,
    /// Why it is not known to be delivered; `None` where it is. Holds others' words: escape before
    /// showing.
    pub error: Option<String>,
}

/// What came of deliveries.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Posted {
    /// Each that was tried.
    pub deliveries: Vec<Delivery>,
    /// What of the ledger cannot be read: notifications may be among it. And what could not be written
    /// down: those are delivered again.
    pub problems: Vec<String>,
}

impl Posted {
    /// Whether all that was tried is delivered and nothing is left to look at.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.deliveries.iter().all(|it| it.error.is_none())
    }
}

/// A notification that a receiver is not known to have.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Undelivered {
    /// The notification.
    pub notification: Notification,
    /// The notifier's name; this outbox may know none of that name.
    pub to: String,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// How often a delivery failed.
    pub failures: u32,
    /// Why it did the last time. Holds others' words: escape before showing.
    pub last_error: Option<String>,
}

impl Outbox {
    /// An outbox without receivers.
    pub fn new(ledger: impl Ledger) -> Self {
        Self { ledger: Arc::new(ledger), notifiers: BTreeMap::new(), state: Turn::default() }
    }

    /// Delivers to `notifier` as well; one of the same name is replaced.
    #[must_use]
    pub fn with_notifier(mut self, notifier: impl Notifier) -> Self {
        self.notifiers.insert(notifier.name().to_owned(), Arc::new(notifier));
        self
    }

    /// Writes a notification down for all receivers, without delivering it yet.
    ///
    /// # Errors
    /// Those of the ledger: it may have been written down or not. To queue it again does no harm.
    pub async fn queue(&self, notification: &Notification) -> Result<()> {
        let mut state = self.state.lock().await;
        self.read_on(&mut state).await?;
        self.write_down(&state, notification).await
    }

    /// Writes a notification down and delivers it to all receivers.
    ///
    /// # Errors
    /// Those of the ledger, where the notification could not be written down: nothing was delivered.
    pub async fn send(&self, notification: &Notification) -> Result<Posted> {
        let mut state = self.state.lock().await;
        self.read_on(&mut state).await?;
        self.write_down(&state, notification).await?;
        self.read_on(&mut state).await?;
        Ok(self.deliver(&state, |id| *id == notification.id).await)
    }

    /// Delivers all that is not known to be delivered, oldest first for each receiver.
    ///
    /// # Errors
    /// Those of the ledger, where it could not be read: nothing was delivered.
    pub async fn flush(&self) -> Result<Posted> {
        let mut state = self.state.lock().await;
        self.read_on(&mut state).await?;
        Ok(self.deliver(&state, |_| true).await)
    }

    /// Lists what is not known to be delivered, oldest first.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn undelivered(&self) -> Result<Vec<Undelivered>> {
        let mut state = self.state.lock().await;
        self.read_on(&mut state).await?;
        let mut open: Vec<Undelivered> = state
            .open
            .values()
            .flat_map(|open| {
                open.to.iter().map(|(to, (failures, last_error))| Undelivered {
                    notification: open.notification.clone(),
                    to: to.clone(),
                    queued_at: open.queued_at,
                    failures: *failures,
                    last_error: last_error.clone(),
                })
            })
            .collect();
        open.sort_by_key(|it| it.queued_at);
        Ok(open)
    }

    /// Gives a notification up, as someone decides: it is not delivered any more.
    ///
    /// # Errors
    /// `NotFound` (nobody waits for one of this id), and those of the ledger.
    pub async fn discard(&self, id: &str, by: &str, reason: &str) -> Result<()> {
        let mut state = self.state.lock().await;
        self.read_on(&mut state).await?;
        if !state.open.contains_key(id) {
            return Err(Error::not_found("core", "discard", id));
        }
        let (by, reason) = (by.to_owned(), reason.to_owned());
        self.enter(&[Letter::Discarded { id: id.to_owned(), by, reason }]).await
    }

    async fn write_down(&self, state: &State, notification: &Notification) -> Result<()> {
        let to: BTreeSet<String> = self.notifiers.keys().cloned().collect();
        if to.is_empty() || state.known.contains(&notification.id) {
            return Ok(());
        }
        self.enter(&[Letter::Queued { notification: notification.clone(), to }]).await
    }

    async fn deliver(&self, state: &State, wanted: impl Fn(&String) -> bool) -> Posted {
        let mut open: Vec<&Open> =
            state.open.iter().filter(|(id, _)| wanted(id)).map(|(_, open)| open).collect();
        open.sort_by_key(|open| open.queued_at);
        let each = self.notifiers.iter();
        let each: Vec<BoxFuture<'_, Posted>> = each
            .map(|(name, notifier)| self.deliver_to(name, &**notifier, &open).boxed())
            .collect();
        let mut all = Posted { deliveries: Vec::new(), problems: state.unread.clone() };
        for posted in join_all(each).await {
            all.deliveries.extend(posted.deliveries);
            all.problems.extend(posted.problems);
        }
        all
    }

    /// Delivers what one receiver does not have, one after the other, so that it gets it in order.
    async fn deliver_to(&self, name: &str, notifier: &dyn Notifier, open: &[&Open]) -> Posted {
        let mut posted = Posted::default();
        for open in open.iter().filter(|open| open.to.contains_key(name)) {
            let (id, to) = (open.notification.id.clone(), name.to_owned());
            let error = notifier.deliver(&open.notification).await.err();
            let error = error.map(|error| error.report());
            #[cfg(feature = "metrics")]
            metrics::counter!(
                "patchkit_notifications_total",
                "notifier" => to.clone(),
                "end" => if error.is_none() { "delivered" } else { "failed" }
            )
            .increment(1);
            let letter = match error.clone() {
                None => Letter::Delivered { id: id.clone(), to: to.clone() },
                Some(error) => Letter::Failed { id: id.clone(), to: to.clone(), error },
            };
            if let Err(unwritten) = self.enter(&[letter]).await {
                posted.problems.push(unwritten.report());
            }
            posted.deliveries.push(Delivery { id, to, error });
        }
        posted
    }

    async fn enter(&self, letters: &[Letter]) -> Result<()> {
        let values: Result<Vec<serde_json::Value>, _> =
            letters.iter().map(serde_json::to_value).collect();
        let values = values.map_err(|error| {
            Error::invalid("core", "enter", "the notification is not JSON").with_source(error)
        })?;
        self.ledger.enter(Book::Notifications, &values).await
    }

    /// Reads what is new in the ledger, that of other processes too.
    async fn read_on(&self, state: &mut State) -> Result<()> {
        let mut entries = self.ledger.entries(Book::Notifications, state.read_to);
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) => state.take(entry),
                Err(error) if error.kind() == ErrorKind::Malformed => {
                    let report = error.report();
                    if !state.unread.contains(&report) {
                        state.unread.push(report);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl State {
    fn take(&mut self, entry: Entry) {
        let Entry { number, at, value } = entry;
        self.read_to = Some(number);
        match serde_json::from_value(value) {
            Ok(Letter::Queued { notification, to }) => {
                let id = notification.id.clone();
                // Two processes may queue one thing at the same moment.
                if self.known.insert(id.clone()) && !to.is_empty() {
                    let to = to.into_iter().map(|name| (name, (0, None))).collect();
                    self.open.insert(id, Open { notification, queued_at: at, to });
                }
            }
            Ok(Letter::Delivered { id, to }) => {
                if let Some(open) = self.open.get_mut(&id) {
                    open.to.remove(&to);
                    if open.to.is_empty() {
                        self.open.remove(&id);
                    }
                }
            }
            Ok(Letter::Failed { id, to, error }) => {
                if let Some((failures, last)) =
                    self.open.get_mut(&id).and_then(|open| open.to.get_mut(&to))
                {
                    *failures += 1;
                    *last = Some(error);
                }
            }
            Ok(Letter::Discarded { id, .. }) => {
                self.open.remove(&id);
            }
            Ok(Letter::Other(_)) | Err(_) => {
                let what = format!("entry {number} of the outbox is of a kind that is not known");
                self.unread.push(what);
            }
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("ledger", &self.ledger)
            .field("notifiers", &self.notifiers.keys())
            .finish_non_exhaustive()
    }
}
