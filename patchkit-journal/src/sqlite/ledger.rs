//! The ledger's books in the file.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use patchkit_core::{Book, Entry, Error, Ledger, Result};
use rusqlite::{Connection, Row, params};

use super::{
    SqliteJournal,
    book::{execute, json},
    error::{SQLITE, classify, malformed},
};

/// How much of a book is read at once: readers must not hold up writers for long.
const CHUNK: usize = 500;

const READ: &str = "entries";

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Ledger for SqliteJournal {
    async fn enter(&self, book: Book, entries: &[serde_json::Value]) -> Result<()> {
        if entries.len() > Entry::MOST {
            return Err(Error::invalid(SQLITE, "enter", "more than a million entries"));
        }
        let texts: Result<Vec<String>> = entries.iter().map(|it| json("enter", it)).collect();
        let (texts, clock) = (texts?, self.clock());
        self.desk.write("enter", move |c| enter(c, book, &texts, clock.now())).await
    }

    fn entries(&self, book: Book, after: Option<u64>) -> BoxStream<'static, Result<Entry>> {
        let desk = Arc::clone(&self.desk);
        let chunks = stream::try_unfold(Some(after.unwrap_or(0)), move |after| {
            let desk = Arc::clone(&desk);
            async move {
                let Some(after) = after else { return Ok(None) };
                let items = desk.read(READ, move |c| entries(c, book, after)).await?;
                let next = items.last().map(|(number, _)| *number);
                let next = next.filter(|_| items.len() == CHUNK);
                let items = items.into_iter().map(|(_, item)| Ok(item));
                Ok::<_, Error>(Some((stream::iter(items), next)))
            }
        });
        // What is wrong with a row is an item; what is wrong with the file ends the stream.
        chunks.try_flatten().map(|item| item.and_then(|row| row)).boxed()
    }
}

fn enter(connection: &Connection, book: Book, texts: &[String], now: Timestamp) -> Result<()> {
    let sql = "INSERT INTO ledger (book, at, entry) VALUES (?1, ?2, ?3)";
    let at = now.to_string();
    for text in texts {
        execute("enter", connection, sql, params![book.as_str(), at, text])?;
    }
    Ok(())
}

fn entries(connection: &Connection, book: Book, after: u64) -> Result<Vec<(u64, Result<Entry>)>> {
    let fail = |error| classify(READ, &Arc::new(error));
    let sql = "SELECT id, at, entry FROM ledger WHERE book = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    let mut statement = connection.prepare_cached(sql).map_err(fail)?;
    let mut rows = statement.query(params![book.as_str(), after, CHUNK]).map_err(fail)?;
    let mut items = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        let number: u64 = row.get(0).map_err(fail)?;
        items.push((number, entry(row, book, number)));
    }
    Ok(items)
}

fn entry(row: &Row<'_>, book: Book, number: u64) -> Result<Entry> {
    let read = || -> Result<Entry, Box<dyn std::error::Error + Send + Sync>> {
        let at = row.get_ref(1)?.as_str()?.parse()?;
        // A damaged page may hold anything: text that is no UTF-8 is no reason to stop.
        let value = serde_json::from_slice(row.get_ref(2)?.as_bytes()?)?;
        Ok(Entry::new(number, at, value))
    };
    let spoilt = |error| malformed(READ, format!("entry {number} of {book} cannot be read"), error);
    read().map_err(spoilt)
}
