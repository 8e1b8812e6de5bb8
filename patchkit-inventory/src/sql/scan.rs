//! The pass over the objects of one type, as a step of a plan.

use std::{fmt, num::NonZeroUsize, sync::Arc};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    common::{Result, Statistics, stats::Precision, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, StatisticsArgs,
        execution_plan::{Boundedness, EmissionType},
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, stream};

use super::{
    chosen::Chosen,
    ledger::{Ledger, Listed},
    table::external,
};
use crate::{
    InventoryType, ObjectSource, ScanOptions,
    columns::{ColumnOptions, ColumnReader},
};

/// Rows in an object of a type, roughly: enough to tell which side of a join is the smaller one.
fn rows_in_object(ty: &InventoryType) -> usize {
    match ty {
        InventoryType::Application => 500,
        InventoryType::ComplianceItem | InventoryType::File | InventoryType::Process => 200,
        InventoryType::Service | InventoryType::WindowsRole | InventoryType::WindowsRegistry => 100,
        InventoryType::WindowsUpdate | InventoryType::PatchCompliance => 50,
        InventoryType::Tag | InventoryType::Network => 5,
        _ => 1,
    }
}

/// Reads the chosen objects of one type, some of them on each partition.
#[derive(Clone, Debug)]
pub(super) struct LakeScan {
    ty: InventoryType,
    /// The columns that are made, in the order of the table.
    names: Vec<Box<str>>,
    /// Where each column of the plan is among those.
    order: Vec<usize>,
    name_prefix: Option<String>,
    limit: Option<usize>,
    ledger: Option<Arc<Ledger>>,
    shares: Vec<Arc<[Listed]>>,
    listed: usize,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LakeScan {
    pub(super) fn new(
        ty: &InventoryType,
        table: &SchemaRef,
        columns: &[usize],
        name_prefix: Option<String>,
        limit: Option<usize>,
    ) -> Result<Self> {
        let mut made = columns.to_vec();
        made.sort_unstable();
        made.dedup();
        let order = columns.iter().filter_map(|column| made.binary_search(column).ok()).collect();
        let names = made.iter().map(|column| table.field(*column).name().as_str().into()).collect();
        let schema = Arc::new(table.project(columns)?);
        Ok(Self {
            ty: ty.clone(),
            names,
            order,
            name_prefix,
            limit,
            ledger: None,
            shares: Vec::new(),
            listed: 0,
            properties: properties(schema, 1),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// Spreads the objects over at most so many partitions.
    pub(super) fn over(
        mut self,
        ledger: Arc<Ledger>,
        chosen: Vec<Listed>,
        listed: usize,
        partitions: usize,
    ) -> Self {
        let count = partitions.min(chosen.len()).max(1);
        let mut shares = vec![Vec::with_capacity(chosen.len().div_ceil(count)); count];
        // Neighbours are of one account and Region and much alike: dealt out one by one, the shares
        // are of one size.
        for (at, object) in chosen.into_iter().enumerate() {
            shares[at % count].push(object);
        }
        self.shares = shares.into_iter().map(Arc::from).collect();
        self.listed = listed;
        self.ledger = Some(ledger);
        self.properties = properties(self.schema(), count);
        self
    }

    fn objects(&self) -> usize {
        self.shares.iter().map(|share| share.len()).sum()
    }
}

fn properties(schema: SchemaRef, partitions: usize) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

impl DisplayAs for LakeScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (chosen, listed) = (self.objects(), self.listed);
        write!(f, "LakeScan: type={}, objects={chosen} of {listed}", self.ty)?;
        write!(f, ", columns=[{}]", self.names.join(", "))?;
        if let Some(prefix) = &self.name_prefix {
            write!(f, ", names={prefix:?}")?;
        }
        match self.limit {
            Some(limit) => write!(f, ", limit={limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for LakeScan {
    fn name(&self) -> &'static str {
        "LakeScan"
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

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let (Some(ledger), Some(share)) = (self.ledger.clone(), self.shares.get(partition)) else {
            let nothing = RecordBatchStreamAdapter::new(schema, stream::empty());
            return Ok(Box::pin(nothing));
        };
        let source: Arc<dyn ObjectSource> =
            Arc::new(Chosen::new(Arc::clone(ledger.source()), Arc::clone(share)));
        let mut options = ColumnOptions::default()
            .with_scan(ScanOptions::default().with_workers(NonZeroUsize::MIN))
            .with_columns(self.names.iter().cloned());
        options.batch_rows = NonZeroUsize::new(context.session_config().batch_size());
        options.application_prefix = self.name_prefix.as_deref().map(Box::from);
        let state = Pass {
            reader: ColumnReader::new(source, &self.ty, options),
            ledger,
            schema: Arc::clone(&schema),
            order: self.order.clone(),
            left: self.limit.unwrap_or(usize::MAX),
            metrics: BaselineMetrics::new(&self.metrics, partition),
        };
        let batches = stream::try_unfold(state, |mut pass| async move {
            Ok(pass.next().await?.map(|batch| (batch, pass)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let objects = match args.partition() {
            Some(partition) => self.shares.get(partition).map_or(0, |share| share.len()),
            None => self.objects(),
        };
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Inexact(objects * rows_in_object(&self.ty));
        Ok(Arc::new(statistics))
    }
}

/// One partition's pass.
struct Pass {
    reader: ColumnReader,
    ledger: Arc<Ledger>,
    schema: SchemaRef,
    order: Vec<usize>,
    left: usize,
    metrics: BaselineMetrics,
}

impl Pass {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.left == 0 {
            return Ok(None);
        }
        let Some(batch) = self.reader.next().await else {
            if let Some(reading) = self.reader.reading() {
                self.ledger.note_scan(reading.clone());
            }
            self.metrics.done();
            return Ok(None);
        };
        let batch = batch.map_err(external)?;
        let batch = batch.slice(0, self.left.min(batch.num_rows()));
        self.left -= batch.num_rows();
        self.metrics.record_output(batch.num_rows());
        Ok(Some(batch.project(&self.order)?.with_schema(Arc::clone(&self.schema))?))
    }
}
