//! What is wrong with a lake, as a table.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, Int64Array, RecordBatch, StringViewArray},
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    common::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::{FutureExt, StreamExt, stream};

use super::{
    ledger::{Ledger, Origin},
    table::external,
};
use crate::{InventoryKey, InventoryRecord, LakeReading, ScanOptions, Visitor, scan};

/// The columns of `lake_problems`.
pub(super) fn schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8View, false);
    let number = |name| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        text("object_key"),
        number("line"),
        text("kind"),
        text("reason"),
        number("lines"),
    ]))
}

/// All that is lost of a lake or was put right: a lake is read whole for it, a snapshot knows.
#[derive(Debug)]
pub(super) struct Problems {
    ledger: Arc<Ledger>,
    schema: SchemaRef,
}

impl Problems {
    pub(super) fn new(ledger: Arc<Ledger>) -> Self {
        Self { ledger, schema: schema() }
    }
}

impl PartitionStream for Problems {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let ledger = Arc::clone(&self.ledger);
        let found = async move {
            let reading = match ledger.origin() {
                Origin::Lake(source) => {
                    let pass = scan(Arc::clone(source), ScanOptions::default(), || Onlooker);
                    pass.await.map_err(external)?.1
                }
                #[cfg(feature = "snapshot")]
                Origin::Snapshot(snapshot, _) => snapshot.reading(),
                #[cfg(feature = "parquet")]
                Origin::Export(url) => return Err(external(super::ledger::not_told(url))),
            };
            let batch = batch(&reading)?;
            ledger.note_scan(reading);
            Ok(batch)
        };
        let rows = stream::once(found.boxed()).boxed();
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

/// Has every row read, and wants none.
struct Onlooker;

impl Visitor for Onlooker {
    type Object = ();

    fn begin(&mut self, _: &InventoryKey) {}

    fn row(&mut self, (): &mut (), _: u64, _: &InventoryRecord<'_>) {}
}

fn batch(reading: &LakeReading) -> Result<RecordBatch> {
    let (lost, repaired) = (reading.skipped.entries(), reading.repaired.entries());
    let number = |line: Option<u64>| line.and_then(|line| i64::try_from(line).ok());
    let keys = lost.iter().map(|it| &*it.key).chain(repaired.iter().map(|it| &*it.key));
    let lines = lost.iter().map(|it| it.line).chain(repaired.iter().map(|it| it.line));
    let kinds = lost.iter().map(|_| "lost").chain(repaired.iter().map(|_| "repaired"));
    let reasons = lost
        .iter()
        .map(|it| it.reason.to_string())
        .chain(repaired.iter().map(|it| it.reason.to_string()));
    // An object that is lost whole has nobody knows how many lines.
    let counts =
        lost.iter().map(|it| it.line.map(|_| 1)).chain(repaired.iter().map(|it| Some(it.lines)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringViewArray::from_iter_values(keys)),
        Arc::new(lines.map(number).collect::<Int64Array>()),
        Arc::new(StringViewArray::from_iter_values(kinds)),
        Arc::new(StringViewArray::from_iter_values(reasons)),
        Arc::new(counts.map(number).collect::<Int64Array>()),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}
