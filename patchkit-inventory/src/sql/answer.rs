//! The rows of a query, as they come.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    execution::SendableRecordBatchStream,
};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, future::BoxFuture};
use patchkit_core::{Clock, Error, ErrorKind, Result};

use super::{
    error::classify,
    ledger::{Ledger, Origin},
};
use crate::LakeReading;

/// Whether an answer tells what was lost of the rows it rests on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Losses {
    /// The reading names every line and object that was lost.
    Told,
    /// The rows come from a Parquet export, which was made of what could be read: an empty reading
    /// says nothing.
    Unknown,
}

/// The rows of a query.
///
/// # Behavior
/// - A stream of batches, read as they are asked for. After an error it ends.
/// - Ends with `Timeout` when the query's time is up.
/// - Dropping it stops the reading.
pub struct Answer {
    batches: SendableRecordBatchStream,
    ledger: Arc<Ledger>,
    deadline: Deadline,
    ended: bool,
}

impl Answer {
    pub(super) fn new(
        batches: SendableRecordBatchStream,
        ledger: Arc<Ledger>,
        deadline: Deadline,
    ) -> Self {
        Self { batches, ledger, deadline, ended: false }
    }

    /// The columns of every batch.
    pub fn schema(&self) -> SchemaRef {
        self.batches.schema()
    }

    /// What was read so far, what was lost of it, and what was read in spite of dirt. Whole once the
    /// stream has ended, as far as the query has read: a limit of rows ends it sooner.
    pub fn reading(&self) -> LakeReading {
        self.ledger.reading()
    }

    /// Whether [`reading`](Self::reading) tells what was lost.
    pub fn losses(&self) -> Losses {
        match self.ledger.origin() {
            #[cfg(feature = "parquet")]
            Origin::Export(_) => Losses::Unknown,
            _ => Losses::Told,
        }
    }

    /// All rows, and what was lost in reading them, where that is [told](Self::losses).
    ///
    /// # Errors
    /// What ends the stream.
    pub async fn collect(mut self) -> Result<(Vec<RecordBatch>, LakeReading)> {
        let batches = (&mut self).try_collect().await?;
        Ok((batches, self.reading()))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("schema", &self.schema()).finish_non_exhaustive()
    }
}

impl Stream for Answer {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(late) = self.deadline.0.poll_unpin(cx) {
            self.ended = true;
            return Poll::Ready(Some(Err(late)));
        }
        let batch = std::task::ready!(self.batches.poll_next_unpin(cx));
        self.ended = !matches!(batch, Some(Ok(_)));
        Poll::Ready(batch.map(|batch| batch.map_err(classify)))
    }
}

/// The moment at which a query's time is up.
pub(super) struct Deadline(BoxFuture<'static, Error>);

impl Deadline {
    pub(super) fn new(clock: Arc<dyn Clock>, time: Duration) -> Self {
        Self(
            async move {
                clock.sleep(time).await;
                let message = format!("the query took longer than {} s", time.as_secs_f64());
                Error::new(ErrorKind::Timeout, "sql", "query", message)
            }
            .boxed(),
        )
    }

    /// What the work comes to, where that is before the deadline.
    pub(super) async fn within<T>(
        self,
        work: impl Future<Output = Result<T>> + Unpin,
    ) -> Result<(T, Self)> {
        match futures::future::select(work, self.0).await {
            futures::future::Either::Left((done, left)) => Ok((done?, Self(left))),
            futures::future::Either::Right((late, _)) => Err(late),
        }
    }
}
