//! Which of our commands are known, by the tokens they were sent with.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use patchkit_core::OperationId;

use super::{document::Document, token::Marker};

/// How late a listing may tell of a command, and our clock may differ from the service's.
const LATE: Duration = Duration::from_mins(15);

/// For so long a listing is as good as a new one: it tells late by some seconds itself.
const FRESH: Duration = Duration::from_secs(5);

/// How far back a token is looked for where nothing else is said: as far as Systems Manager keeps
/// commands (user guide, "AWS Systems Manager Run Command"). A token that is not found there cannot be
/// found at all.
const LOOKBACK: Duration = Duration::from_hours(30 * 24);

/// Whether a listing of some seconds ago will do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Freshness {
    Recent,
    Now,
}

/// What one process knows of the commands that were sent with tokens, by itself and by others.
///
/// It is a copy of what Systems Manager lists, so that each listing need only tell what is new.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    shelves: HashMap<Document, Shelf>,
    /// Sends that are under way, and those whose answers were lost.
    open: HashMap<Marker, Document>,
}

#[derive(Debug, Default)]
struct Shelf {
    ids: HashMap<Marker, (OperationId, Timestamp)>,
    /// All that was sent before this time is in `ids`, give or take what is told late.
    read: Option<Timestamp>,
}

/// A command in a listing.
pub(super) struct Row {
    pub(super) marker: Marker,
    pub(super) id: OperationId,
    pub(super) sent: Timestamp,
}

impl Ledger {
    pub(super) fn find(&self, document: Document, marker: Marker) -> Option<OperationId> {
        let entries = self.entries();
        entries.shelves.get(&document)?.ids.get(&marker).map(|(id, _)| id.clone())
    }

    /// From when on the commands of a document have to be listed; none where what is known will do.
    pub(super) fn missing_since(
        &self,
        document: Document,
        now: Timestamp,
        lookback: Option<Duration>,
        freshness: Freshness,
    ) -> Option<Timestamp> {
        let entries = self.entries();
        match entries.shelves.get(&document).and_then(|shelf| shelf.read) {
            Some(read) if freshness == Freshness::Recent && earlier(now, FRESH) <= read => None,
            Some(read) => Some(earlier(read, LATE)),
            None => Some(earlier(now, lookback.unwrap_or(LOOKBACK))),
        }
    }

    /// Keeps what a whole listing told that was begun at `read`; forgets what is older than tokens
    /// are looked for.
    pub(super) fn keep(
        &self,
        document: Document,
        rows: Vec<Row>,
        read: Timestamp,
        lookback: Option<Duration>,
    ) {
        let oldest = earlier(read, lookback.unwrap_or(LOOKBACK));
        let mut entries = self.entries();
        for row in &rows {
            entries.open.remove(&row.marker);
        }
        let shelf = entries.shelves.entry(document).or_default();
        shelf.ids.retain(|_, (_, sent)| *sent >= oldest);
        for Row { marker, id, sent } in rows {
            // Were there two of one token, the first is the act that was meant.
            let kept = shelf.ids.entry(marker).or_insert_with(|| (id.clone(), sent));
            if sent < kept.1 {
                *kept = (id, sent);
            }
        }
        shelf.read = shelf.read.max(Some(read));
    }

    /// The document of a send that is under way, or whose answer was lost.
    pub(super) fn open(&self, marker: Marker) -> Option<Document> {
        self.entries().open.get(&marker).copied()
    }

    /// Notes that a command is about to be sent.
    pub(super) fn begin(&self, document: Document, marker: Marker) -> Begun {
        match self.entries().open.insert(marker, document) {
            None => Begun::First,
            Some(_) => Begun::Again,
        }
    }

    /// Notes that a command was accepted.
    pub(super) fn accepted(&self, document: Document, row: Row) {
        let mut entries = self.entries();
        entries.open.remove(&row.marker);
        let shelf = entries.shelves.entry(document).or_default();
        shelf.ids.insert(row.marker, (row.id, row.sent));
    }

    /// Notes that a command was not sent after all.
    pub(super) fn refused(&self, marker: Marker) {
        self.entries().open.remove(&marker);
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a token is sent for the first time by this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Begun {
    First,
    Again,
}

fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_sub(by).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCAN: Document = Document::RunPatchBaseline;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::new(1_800_000_000 + seconds, 0).unwrap()
    }

    fn row(token: &str, id: &str, sent: Timestamp) -> Row {
        let marker = Marker::of(&token.parse().unwrap());
        Row { marker, id: id.parse().unwrap(), sent }
    }

    #[test]
    fn only_what_is_new_is_listed_again() {
        let ledger = Ledger::default();
        let since = |now, freshness| ledger.missing_since(SCAN, now, None, freshness);
        assert_eq!(since(at(0), Freshness::Recent), Some(earlier(at(0), LOOKBACK)));
        ledger.keep(SCAN, Vec::new(), at(0), None);
        assert_eq!(since(at(5), Freshness::Recent), None);
        assert_eq!(since(at(6), Freshness::Recent), Some(at(-900)));
        assert_eq!(since(at(0), Freshness::Now), Some(at(-900)));
        let other = Document::UpdateAgent;
        assert!(ledger.missing_since(other, at(0), None, Freshness::Recent).is_some());
    }

    #[test]
    fn of_two_commands_with_one_token_the_first_counts() {
        let ledger = Ledger::default();
        ledger.keep(SCAN, vec![row("t", "second", at(9)), row("t", "first", at(1))], at(10), None);
        ledger.keep(SCAN, vec![row("t", "third", at(20))], at(21), None);
        let found = ledger.find(SCAN, row("t", "x", at(0)).marker);
        assert_eq!(found.unwrap().as_str(), "first");
    }

    #[test]
    fn an_open_send_is_closed_by_an_answer_or_a_listing() {
        let ledger = Ledger::default();
        let marker = row("t", "x", at(0)).marker;
        assert_eq!(ledger.begin(SCAN, marker), Begun::First);
        assert_eq!(ledger.begin(SCAN, marker), Begun::Again);
        ledger.refused(marker);
        assert_eq!(ledger.begin(SCAN, marker), Begun::First);
        ledger.keep(SCAN, vec![row("t", "x", at(1))], at(2), None);
        assert_eq!(ledger.open(marker), None);
    }

    #[test]
    fn what_is_older_than_tokens_are_looked_for_is_forgotten() {
        let ledger = Ledger::default();
        ledger.keep(SCAN, vec![row("t", "x", at(0))], at(1), None);
        let marker = row("t", "x", at(0)).marker;
        ledger.keep(SCAN, Vec::new(), at(29 * 24 * 3_600), None);
        assert!(ledger.find(SCAN, marker).is_some());
        ledger.keep(SCAN, Vec::new(), at(31 * 24 * 3_600), None);
        assert_eq!(ledger.find(SCAN, marker), None);
    }
}
