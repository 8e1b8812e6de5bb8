//! The books of the journal in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{cloud::pause, journal::MemoryJournal};
use crate::{Book, Entry, Error, Ledger, Result};

/// The entries of each book.
pub(super) type Entries = BTreeMap<Book, Vec<Entry>>;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Ledger for MemoryJournal {
    async fn enter(&self, book: Book, entries: &[serde_json::Value]) -> Result<()> {
        pause().await;
        if entries.len() > Entry::MOST {
            return Err(Error::invalid("memory", "enter", "more than a million entries"));
        }
        let now = self.now();
        self.with_entries(|books| {
            let written = books.entry(book).or_default();
            for value in entries {
                let number = written.len() as u64;
                written.push(Entry::new(number, now, value.clone()));
            }
        });
        Ok(())
    }

    fn entries(&self, book: Book, after: Option<u64>) -> BoxStream<'static, Result<Entry>> {
        let entries = self.with_entries(|books| books.get(&book).cloned().unwrap_or_default());
        let wanted = entries.into_iter().filter(move |it| after.is_none_or(|at| it.number > at));
        stream::iter(wanted.map(Ok)).boxed()
    }
}
