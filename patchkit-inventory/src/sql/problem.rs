//! What is wrong with a lake, as a table.

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, Int64Array, RecordBatch, StringViewArray},
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    common::{Result, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{FutureExt, StreamExt, stream};

use super::{ledger::Ledger, table::external};
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

/// Reads all of a lake for what is lost of it or was put right.
#[derive(Debug)]
pub(super) struct ProblemScan {
    ledger: Arc<Ledger>,
    columns: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl ProblemScan {
    pub(super) fn new(ledger: Arc<Ledger>, columns: Vec<usize>) -> Result<Self> {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(schema().project(&columns)?)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(Self { ledger, columns, properties: Arc::new(properties) })
    }
}

impl DisplayAs for ProblemScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProblemScan: every type")
    }
}

impl ExecutionPlan for ProblemScan {
    fn name(&self) -> &'static str {
        "ProblemScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (ledger, columns) = (Arc::clone(&self.ledger), self.columns.clone());
        let found = async move {
            let pass = scan(Arc::clone(ledger.source()), ScanOptions::default(), || Onlooker);
            let (_, reading) = pass.await.map_err(external)?;
            let batch = batch(&reading)?.project(&columns)?;
            ledger.note_scan(reading);
            Ok(batch)
        };
        let rows = stream::once(found.boxed()).boxed();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
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
