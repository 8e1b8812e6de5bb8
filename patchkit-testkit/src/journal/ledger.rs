//! The ledger: books beside the runs, for whoever writes.

use futures::{StreamExt, TryStreamExt};
use patchkit_core::{Book, Clock, Entry, ErrorKind, Ledger};

use super::{JournalHarness, Spoilt, support::at_once};
use crate::cases::support::good;

async fn entries(ledger: &dyn Ledger, book: Book, after: Option<u64>) -> Vec<Entry> {
    let entries: Vec<Entry> = good(ledger.entries(book, after).try_collect().await, "the entries");
    assert!(entries.is_sorted_by(|a, b| a.number < b.number), "numbers of {book} do not grow");
    entries
}

fn values(entries: &[Entry]) -> Vec<serde_json::Value> {
    entries.iter().map(|entry| entry.value.clone()).collect()
}

/// What was entered is read back by whoever opens the store, in order, with its time.
pub async fn what_was_entered_is_read_back_in_order(h: &dyn JournalHarness) {
    let ledger = h.ledger().await;
    assert!(entries(&*ledger, Book::History, None).await.is_empty());
    good(ledger.enter(Book::History, &[]).await, "nothing");
    let mut expected = Vec::new();
    for batch in 0..3_u32 {
        let batch: Vec<serde_json::Value> = (0..4)
            .map(|at| serde_json::json!({ "batch": batch, "at": at, "text": "\"line\"\n\u{2713}" }))
            .collect();
        good(ledger.enter(Book::History, &batch).await, "entries");
        expected.extend(batch);
        let other = h.ledger().await;
        assert_eq!(values(&entries(&*other, Book::History, None).await), expected);
    }
    let read = entries(&*ledger, Book::History, None).await;
    assert!(read.iter().all(|entry| entry.at == h.clock().now()));
}

/// Many entries are more than a store reads at once.
pub async fn a_long_book_is_read_to_its_end(h: &dyn JournalHarness) {
    let ledger = h.ledger().await;
    let batch: Vec<serde_json::Value> = (0..2_500).map(serde_json::Value::from).collect();
    good(ledger.enter(Book::History, &batch).await, "entries");
    good(ledger.enter(Book::History, &batch).await, "entries");
    let read = values(&entries(&*ledger, Book::History, None).await);
    assert_eq!(read, [batch.clone(), batch].concat());
}

/// A reader that knows a part of a book is given the rest of it.
pub async fn reading_goes_on_behind_any_entry(h: &dyn JournalHarness) {
    let ledger = h.ledger().await;
    for batch in [[0, 1, 2], [3, 4, 5]] {
        let batch = batch.map(serde_json::Value::from);
        good(ledger.enter(Book::Notifications, &batch).await, "entries");
    }
    let all = entries(&*ledger, Book::Notifications, None).await;
    assert_eq!(all.len(), 6);
    for (at, entry) in all.iter().enumerate() {
        let rest = entries(&*ledger, Book::Notifications, Some(entry.number)).await;
        assert_eq!(rest, all[at + 1..], "behind {}", entry.number);
    }
    good(ledger.enter(Book::Notifications, &[6.into()]).await, "an entry");
    let last = all.last().map(|entry| entry.number);
    let rest = entries(&*h.ledger().await, Book::Notifications, last).await;
    assert_eq!(values(&rest), [serde_json::Value::from(6)]);
}

/// An entry of one book is in no other.
pub async fn books_are_apart(h: &dyn JournalHarness) {
    let ledger = h.ledger().await;
    good(ledger.enter(Book::History, &["seen".into()]).await, "an entry");
    good(ledger.enter(Book::Notifications, &["told".into()]).await, "an entry");
    good(ledger.enter(Book::History, &["seen again".into()]).await, "an entry");
    assert_eq!(values(&entries(&*ledger, Book::History, None).await), ["seen", "seen again"]);
    assert_eq!(values(&entries(&*ledger, Book::Notifications, None).await), ["told"]);
}

/// Writers on several threads lose nothing to each other, and what one enters at once is side by side.
pub async fn what_writers_enter_at_once_stays_together(h: &dyn JournalHarness) {
    const EACH: usize = 5;
    let writers = at_once(6, async |writer| {
        let ledger = h.ledger().await;
        for batch in 0..EACH {
            let batch: Vec<serde_json::Value> =
                (0..3).map(|at| serde_json::json!([writer, batch, at])).collect();
            good(ledger.enter(Book::History, &batch).await, "entries");
        }
    });
    let read = values(&entries(&*h.ledger().await, Book::History, None).await);
    assert_eq!(read.len(), writers.len() * EACH * 3);
    let mut next = vec![0; writers.len()];
    for batch in read.chunks(3) {
        let number = |value: &serde_json::Value, at: usize| {
            let number = value[at].as_u64().and_then(|number| usize::try_from(number).ok());
            number.expect("a number")
        };
        let (writer, place) = (number(&batch[0], 0), number(&batch[0], 1));
        assert_eq!(place, next[writer], "the batches of a writer keep their order");
        next[writer] += 1;
        for (at, value) in batch.iter().enumerate() {
            assert_eq!([writer, place, at], [number(value, 0), number(value, 1), number(value, 2)]);
        }
    }
}

/// A store that fails acknowledges no entry, and keeps half of no batch.
pub async fn a_store_that_fails_enters_nothing(h: &dyn JournalHarness) {
    let ledger = h.ledger().await;
    good(ledger.enter(Book::History, &["before".into()]).await, "an entry");
    h.break_writes().await;
    let entered = ledger.enter(Book::History, &["a".into(), "b".into()]).await;
    assert!(entered.is_err(), "it was broken");
    h.mend().await;
    good(ledger.enter(Book::History, &["after".into()]).await, "an entry");
    assert_eq!(values(&entries(&*ledger, Book::History, None).await), ["before", "after"]);
}

/// An entry that a bad disk spoilt is an error of its own, with the ones around it.
pub async fn a_spoilt_entry_costs_only_itself(h: &dyn JournalHarness) {
    let ledger = h.ledger().await;
    for word in ["a", "b", "c"] {
        good(ledger.enter(Book::History, &[word.into()]).await, "an entry");
    }
    let number = entries(&*ledger, Book::History, None).await[1].number;
    if h.spoil_entry(Book::History, number).await == Spoilt::Never {
        return;
    }
    let items: Vec<_> = h.ledger().await.entries(Book::History, None).collect().await;
    assert_eq!(items.len(), 3);
    let error = items[1].as_ref().expect_err("it was spoilt");
    assert_eq!(error.kind(), ErrorKind::Malformed);
    for (at, word) in [(0, "a"), (2, "c")] {
        assert_eq!(items[at].as_ref().expect("an entry around it").value, word);
    }
}
