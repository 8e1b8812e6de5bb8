//! The tables of a lake: one for each type, the nodes that it lists, and what is wrong with it.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{
        array::{RecordBatch, StringViewArray},
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    catalog::{Session, TableProvider, memory::MemorySourceConfig},
    common::{DataFusionError, Result, exec_datafusion_err},
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::{
        ExecutionPlan,
        streaming::{PartitionStream, StreamingTableExec},
    },
};

use super::{
    ledger::Ledger,
    problem::Problems,
    prune::{self, KEY_COLUMNS},
    scan::LakeScan,
};
use crate::{InventoryType, columns};

/// The table of the nodes.
pub(super) const KNOWN_NODES: &str = "lake_nodes";

/// What the query reads through; set for each query anew.
pub(super) fn ledger(session: &dyn Session) -> Result<Arc<Ledger>> {
    let ledger = session.config().get_extension::<Ledger>();
    ledger.ok_or_else(|| exec_datafusion_err!("a lake is read through a query of its own only"))
}

pub(super) fn external(error: patchkit_core::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Keys alone decide some filters, once for all of an object's rows.
fn by_keys(filter: &Expr) -> TableProviderFilterPushDown {
    if prune::is_of_keys(filter) {
        TableProviderFilterPushDown::Exact
    } else {
        TableProviderFilterPushDown::Unsupported
    }
}

/// The rows of one type.
#[derive(Debug)]
pub(super) struct LakeTable {
    ty: InventoryType,
    schema: SchemaRef,
}

impl LakeTable {
    pub(super) fn new(ty: InventoryType) -> Self {
        let schema = columns::table_schema(&ty);
        Self { ty, schema }
    }

    /// What the names of applications must begin with for any of the filters to take them.
    fn name_prefix(&self, filters: &[Expr]) -> Option<String> {
        if self.ty != InventoryType::Application {
            return None;
        }
        let prefixes = filters.iter().filter_map(|filter| prune::prefix(filter, "name"));
        prefixes.max_by_key(String::len)
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let is_application = self.ty == InventoryType::Application;
        let support = filters.iter().map(|filter| match by_keys(filter) {
            TableProviderFilterPushDown::Unsupported
                if is_application && prune::prefix(filter, "name").is_some() =>
            {
                TableProviderFilterPushDown::Inexact
            }
            support => support,
        });
        Ok(support.collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let ledger = ledger(session)?;
        let listing = ledger.listing().await.map_err(external)?;
        let objects = listing.types.get(&self.ty).map_or(&[][..], Vec::as_slice);
        let chosen = prune::chosen(objects, filters, session)?;
        let columns: Vec<usize> = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let scan =
            LakeScan::new(&self.ty, &self.schema, &columns, self.name_prefix(filters), limit);
        Ok(Arc::new(scan?.over(
            ledger,
            chosen,
            objects.len(),
            session.config().target_partitions(),
        )))
    }
}

/// The key columns of every node of which the lake lists any object, whatever it holds.
#[derive(Debug)]
pub(super) struct NodeTable(SchemaRef);

impl Default for NodeTable {
    fn default() -> Self {
        let fields = KEY_COLUMNS[..3].iter().map(|it| Field::new(*it, DataType::Utf8View, false));
        Self(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
    }
}

#[async_trait]
impl TableProvider for NodeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters.iter().map(|filter| by_keys(filter)).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let listing = ledger(session)?.listing().await.map_err(external)?;
        let mut nodes = BTreeSet::new();
        for objects in listing.types.values() {
            let chosen = prune::chosen(objects, filters, session)?;
            nodes.extend(chosen.into_iter().map(|object| object.node));
        }
        let texts = |text: fn(&patchkit_core::NodeId) -> &str| {
            Arc::new(StringViewArray::from_iter_values(nodes.iter().map(text)))
        };
        let batch = RecordBatch::try_new(
            self.schema(),
            vec![
                texts(|node| node.scope().account().as_str()),
                texts(|node| node.scope().region().as_str()),
                texts(|node| node.resource()),
            ],
        )?;
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], self.schema(), projection.cloned())?)
    }
}

/// Everything that is lost of a lake, or was read in spite of dirt.
#[derive(Debug)]
pub(super) struct ProblemTable(SchemaRef);

impl Default for ProblemTable {
    fn default() -> Self {
        Self(super::problem::schema())
    }
}

#[async_trait]
impl TableProvider for ProblemTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let problems: Arc<dyn PartitionStream> = Arc::new(Problems::new(ledger(session)?));
        let order = Vec::new();
        let scan = StreamingTableExec::try_new(
            self.schema(),
            vec![problems],
            projection,
            order,
            false,
            limit,
        )?;
        Ok(Arc::new(scan))
    }
}
