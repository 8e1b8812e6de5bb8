//! The ledger's books: one object for what was entered at once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt, TryFutureExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use patchkit_core::{Book, Entry, Error, ErrorKind, Ledger, Result};
use serde::{Deserialize, Serialize};

use super::{
    ObjectJournal, Shelf,
    error::{OBJECTS, malformed},
    leaf::{self, Broken},
    sequence::{Put, Sequence},
};

/// How many objects are asked for at once.
const AT_ONCE: usize = 32;

/// An entry's number is its object's times this, and its place in it: whoever writes need not read
/// how many entries there are.
const PLACES: u64 = 1 << 20;

const READ: &str = "entries";

/// Objects that are known to be there, of each book: those need not be listed again.
#[derive(Debug, Default)]
pub(super) struct Counts {
    history: AtomicU64,
    notifications: AtomicU64,
}

impl Counts {
    fn of(&self, book: Book) -> Option<&AtomicU64> {
        match book {
            Book::History => Some(&self.history),
            Book::Notifications => Some(&self.notifications),
            _ => None,
        }
    }
}

#[derive(Deserialize, Serialize)]
struct Header {
    mark: String,
    at: Timestamp,
}

impl Shelf {
    fn book(&self, book: Book) -> Sequence {
        Sequence::new(&self.store, self.prefix.clone().join("ledger").join(book.as_str()))
    }

    /// How many objects a book has.
    async fn count(&self, operation: &'static str, book: Book) -> Result<u64> {
        let known = self.counts.of(book);
        let from = known.map_or(0, |known| known.load(Ordering::Acquire));
        let count = self.book(book).count(operation, from.checked_sub(1)).await?;
        if let Some(known) = known {
            known.fetch_max(count, Ordering::AcqRel);
        }
        Ok(count)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Ledger for ObjectJournal {
    async fn enter(&self, book: Book, entries: &[serde_json::Value]) -> Result<()> {
        const ENTER: &str = "enter";
        if entries.len() > Entry::MOST {
            return Err(Error::invalid(OBJECTS, ENTER, "more than a million entries"));
        }
        if entries.is_empty() {
            return Ok(());
        }
        let mark = self.0.mark();
        let header = Header { mark: mark.clone(), at: self.0.clock.now() };
        let lines = entries.iter().map(ToString::to_string);
        let bytes = leaf::seal(&header, lines).map_err(|error| {
            malformed(ENTER, "the entries are not JSON".to_owned()).with_source(error)
        })?;
        let is_ours =
            |found: &[u8]| leaf::open::<Header>(found).is_ok_and(|(it, _)| it.mark == mark);
        let sequence = self.0.book(book);
        loop {
            let number = self.0.count(ENTER, book).await?;
            if sequence.put(ENTER, number, bytes.clone(), is_ours).await? == Put::Done {
                return Ok(());
            }
        }
    }

    fn entries(&self, book: Book, after: Option<u64>) -> BoxStream<'static, Result<Entry>> {
        let shelf = Arc::clone(&self.0);
        async move {
            let sequence = shelf.book(book);
            let first = after.map_or(0, |after| after / PLACES);
            let count = shelf.count(READ, book).await?;
            let objects = stream::iter(first..count).map(move |number| {
                let sequence = sequence.clone();
                async move {
                    let bytes = sequence.read(READ, number).await;
                    opened(&sequence, number, bytes)
                }
            });
            let items = objects.buffered(AT_ONCE).flat_map(stream::iter);
            // An error of the store is the last item.
            let items = items.scan(Going::On, |going, item| {
                let is_last = *going == Going::Over;
                if item.as_ref().is_err_and(|error| error.kind() != ErrorKind::Malformed) {
                    *going = Going::Over;
                }
                std::future::ready((!is_last).then_some(item))
            });
            let is_new = move |item: &Result<Entry>| match (item, after) {
                (Ok(entry), Some(after)) => entry.number > after,
                _ => true,
            };
            Ok(items.filter(move |item| std::future::ready(is_new(item))))
        }
        .try_flatten_stream()
        .boxed()
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Going {
    On,
    Over,
}

/// The entries of an object.
fn opened(sequence: &Sequence, number: u64, bytes: Result<Option<Bytes>>) -> Vec<Result<Entry>> {
    let bytes = match bytes {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            return vec![Err(malformed(READ, format!("{} is gone", sequence.place(number))))];
        }
        Err(error) => return vec![Err(error)],
    };
    let (header, lines) = match leaf::open::<Header>(&bytes) {
        Ok(opened) => opened,
        // Whoever wrote it was not told that it was written, or someone spoilt it since.
        Err(Broken::Torn(detail)) => {
            let what = format!("{}: {detail}", sequence.place(number));
            return vec![Err(malformed(READ, what))];
        }
        Err(Broken::Newer(version)) => return vec![Err(sequence.newer(READ, number, version))],
    };
    let entry = |(place, line): (u64, &&[u8])| {
        let number = number * PLACES + place;
        match serde_json::from_slice(line) {
            Ok(value) => Ok(Entry::new(number, header.at, value)),
            Err(error) => {
                Err(malformed(READ, format!("entry {number} cannot be read")).with_source(error))
            }
        }
    };
    (0..).zip(&lines).map(entry).collect()
}
