//! Orders: one object for each, in the order in which they were given.

use std::sync::{Mutex, PoisonError};

use futures::{StreamExt, TryStreamExt, lock::Mutex as Turn, stream};
use jiff::Timestamp;
use patchkit_core::{Order, OrderRecord, Result, RunId};
use serde::{Deserialize, Serialize};

use super::{
    Shelf,
    error::malformed,
    leaf,
    sequence::{Put, Sequence},
};

/// How many orders are read at once by a process that has read none yet.
const AT_ONCE: usize = 16;

pub(super) struct Orders {
    sequence: Sequence,
    /// Held while new ones are read, so that they are read once.
    reading: Turn<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    count: u64,
    orders: Vec<OrderRecord>,
}

#[derive(Deserialize, Serialize)]
struct Header {
    mark: String,
    record: OrderRecord,
}

impl Orders {
    pub(super) fn new(sequence: Sequence) -> Self {
        Self { sequence, reading: Turn::new(()), known: Mutex::default() }
    }

    pub(super) async fn give(&self, shelf: &Shelf, record: &OrderRecord) -> Result<()> {
        const GIVE: &str = "order";
        let mark = shelf.mark();
        let header = Header { mark: mark.clone(), record: record.clone() };
        let none: [&str; 0] = [];
        let bytes = leaf::seal(&header, none).map_err(|error| {
            malformed(GIVE, "the order is not JSON".to_owned()).with_source(error)
        })?;
        let is_ours =
            |found: &[u8]| leaf::open::<Header>(found).is_ok_and(|(it, _)| it.mark == mark);
        loop {
            let number = self.read_on(GIVE, shelf.clock.now()).await?;
            if self.sequence.put(GIVE, number, bytes.clone(), is_ours).await? == Put::Done {
                return Ok(());
            }
        }
    }

    pub(super) async fn of(&self, run: &RunId, now: Timestamp) -> Result<Vec<OrderRecord>> {
        self.read_on("orders", now).await?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let concerning = known.orders.iter().filter(|record| record.order.concerns(run));
        Ok(concerning.cloned().collect())
    }

    /// Reads the orders that are new; returns how many objects there are.
    async fn read_on(&self, operation: &'static str, now: Timestamp) -> Result<u64> {
        let _turn = self.reading.lock().await;
        let from = self.known.lock().unwrap_or_else(PoisonError::into_inner).count;
        let count = self.sequence.count(operation, from.checked_sub(1)).await?;
        let new: Vec<OrderRecord> = stream::iter(from..count)
            .map(|number| self.read(operation, number, now))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.orders.extend(new);
        known.count = count;
        Ok(count)
    }

    async fn read(
        &self,
        operation: &'static str,
        number: u64,
        now: Timestamp,
    ) -> Result<OrderRecord> {
        let gone = || malformed(operation, format!("{} is gone", self.sequence.place(number)));
        let bytes = self.sequence.read(operation, number).await?.ok_or_else(gone)?;
        match leaf::open::<Header>(&bytes) {
            Ok((header, _)) => Ok(header.record),
            Err(broken) => {
                // Whoever gave it was not told that it was left, or someone spoilt it since: runs
                // are to report it, and a person to find out.
                let torn = self.sequence.torn(operation, number, broken)?;
                let order = Order::Other(serde_json::json!({ "torn": torn }));
                Ok(OrderRecord::new(now, order, "unknown", "it cannot be read"))
            }
        }
    }
}
