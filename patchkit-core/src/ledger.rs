//! The ledger: books that outlive runs, in the same store as their journal.

use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Append-only books beside a journal's runs.
///
/// They belong to no run, so whoever writes needs no lease. What their entries mean is said by those
/// who keep them: [`History`](crate::history::History), [`Outbox`](crate::notify::Outbox).
#[async_trait]
pub trait Ledger: fmt::Debug + Send + Sync + 'static {
    /// Writes entries at the end of a book.
    ///
    /// # Behavior
    /// - All entries of a call are written in one step and side by side, or none.
    ///
    /// # Errors
    /// `InvalidInput` (more than a million at once), `Unexpected` (the store failed; they may have
    /// been written).
    async fn enter(&self, book: Book, entries: &[serde_json::Value]) -> Result<()>;

    /// Reads a book, from its beginning or from behind the entry of number `after`.
    ///
    /// # Behavior
    /// - What `enter` has returned `Ok` for is read back by every later `entries`, once and in order.
    /// - Books are apart: entries of one are not in another.
    /// - Numbers of entries grow; there may be gaps between them.
    /// - An entry that cannot be read is a `Malformed` item, and those behind it come all the same.
    ///
    /// # Errors
    /// `Malformed`, `Unexpected`.
    fn entries(&self, book: Book, after: Option<u64>) -> BoxStream<'static, Result<Entry>>;
}

/// Which book of a ledger.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Book {
    /// What was seen of nodes' compliance, and which plans were approved.
    History,
    /// What is to be told to whom, and what was.
    Notifications,
}

impl Book {
    /// The name by which stores keep it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::Notifications => "notifications",
        }
    }
}

impl fmt::Display for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One entry of a book.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// Its number: greater than those of all entries before it.
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What was written.
    pub value: serde_json::Value,
}

impl Entry {
    /// The most entries of one call.
    pub const MOST: usize = 1 << 20;

    /// An entry, as a ledger reads it back.
    pub fn new(number: u64, at: Timestamp, value: serde_json::Value) -> Self {
        Self { number, at, value }
    }
}
