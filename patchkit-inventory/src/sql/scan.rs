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
    ledger::{Ledger, Listed, Origin},
    table::external,
};
#[cfg(feature = "snapshot")]
use crate::snapshot::{PartReader, Wants};
use crate::{
    InventoryType, LakeReading, ScanOptions,
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
        let dealt = dealt(&chosen, count);
        for (object, share) in chosen.into_iter().zip(dealt) {
            shares[share].push(object);
        }
        self.shares = shares.into_iter().map(Arc::from).collect();
        self.listed = listed;
        self.ledger = Some(ledger);
        self.properties = properties(self.schema(), count);
        self
    }

    /// What gives the rows of a share.
    fn reader(&self, ledger: &Ledger, share: &Arc<[Listed]>, batch_rows: usize) -> Result<Reader> {
        match ledger.origin() {
            Origin::Lake(source) => {
                let chosen = Arc::new(Chosen::new(Arc::clone(source), Arc::clone(share)));
                let mut options = ColumnOptions::default()
                    .with_scan(ScanOptions::default().with_workers(NonZeroUsize::MIN))
                    .with_columns(self.names.iter().cloned());
                options.batch_rows = NonZeroUsize::new(batch_rows);
                options.application_prefix = self.name_prefix.as_deref().map(Box::from);
                let reader = ColumnReader::new(chosen, &self.ty, options);
                Ok(Reader::Lake(Box::new(reader)))
            }
            #[cfg(feature = "snapshot")]
            Origin::Snapshot(snapshot, _) => {
                let wants = Wants {
                    columns: &self.names,
                    name_prefix: self.name_prefix.as_deref(),
                    batch_rows,
                };
                let held = share.iter().filter_map(|object| object.held);
                let reader = snapshot.rows(&self.ty, held, &wants).map_err(external)?;
                Ok(Reader::Snapshot(Box::new(reader)))
            }
            #[cfg(feature = "parquet")]
            Origin::Export(url) => Err(external(super::ledger::not_told(url))),
        }
    }

    /// How many rows some objects have, about.
    fn rows(&self, objects: &[Listed]) -> usize {
        #[cfg(feature = "snapshot")]
        if let Some(held) = objects.iter().map(|object| object.held).collect::<Option<Vec<_>>>() {
            return held.iter().map(|held| held.rows as usize).sum();
        }
        objects.len() * rows_in_object(&self.ty)
    }

    fn objects(&self) -> usize {
        self.shares.iter().map(|share| share.len()).sum()
    }
}

/// Which share each object goes to.
fn dealt(objects: &[Listed], shares: usize) -> Vec<usize> {
    #[cfg(feature = "snapshot")]
    if let Some(held) = objects.iter().map(|object| object.held).collect::<Option<Vec<_>>>() {
        return by_part(&held, shares);
    }
    // Neighbours are of one account and Region and much alike: dealt out one by one, the shares are
    // of one size.
    (0..objects.len()).map(|at| at % shares).collect()
}

/// A part is taken whole, by the share that has the fewest rows.
#[cfg(feature = "snapshot")]
fn by_part(objects: &[crate::snapshot::HeldAt], shares: usize) -> Vec<usize> {
    let mut rows = vec![0_u64; shares];
    let parts = objects.chunk_by(|a, b| a.part == b.part);
    let dealt = parts.flat_map(|part| {
        let least = (0..shares).min_by_key(|share| rows[*share]).unwrap_or_default();
        rows[least] += part.iter().map(|object| u64::from(object.rows)).sum::<u64>();
        std::iter::repeat_n(least, part.len())
    });
    dealt.collect()
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
        let state = Pass {
            reader: self.reader(&ledger, share, context.session_config().batch_size())?,
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
        let rows = match args.partition() {
            Some(partition) => self.shares.get(partition).map_or(0, |share| self.rows(share)),
            None => self.shares.iter().map(|share| self.rows(share)).sum(),
        };
        let mut statistics = Statistics::new_unknown(&self.schema());
        // Not exact where it could be: the engine would count without reading, and nothing would say
        // what was lost of what was counted.
        statistics.num_rows = Precision::Inexact(rows);
        Ok(Arc::new(statistics))
    }
}

/// What gives the rows of one partition.
enum Reader {
    Lake(Box<ColumnReader>),
    #[cfg(feature = "snapshot")]
    Snapshot(Box<PartReader>),
}

impl Reader {
    async fn next(&mut self) -> patchkit_core::Result<Option<RecordBatch>> {
        match self {
            Self::Lake(reader) => reader.next().await.transpose(),
            #[cfg(feature = "snapshot")]
            Self::Snapshot(reader) => reader.next(),
        }
    }

    /// What was read, lost and repaired, once that was all.
    fn reading(&self) -> Option<LakeReading> {
        match self {
            Self::Lake(reader) => reader.reading().cloned(),
            #[cfg(feature = "snapshot")]
            Self::Snapshot(reader) => Some(reader.reading()),
        }
    }
}

/// One partition's pass.
struct Pass {
    reader: Reader,
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
        let Some(batch) = self.reader.next().await.map_err(external)? else {
            if let Some(reading) = self.reader.reading() {
                self.ledger.note_scan(reading);
            }
            self.metrics.done();
            return Ok(None);
        };
        let batch = batch.slice(0, self.left.min(batch.num_rows()));
        self.left -= batch.num_rows();
        self.metrics.record_output(batch.num_rows());
        Ok(Some(batch.project(&self.order)?.with_schema(Arc::clone(&self.schema))?))
    }
}
