//! SQL over a lake, read-only and within limits.

mod answer;
mod chosen;
mod error;
#[cfg(feature = "parquet")]
mod export;
mod function;
mod ledger;
mod limits;
mod problem;
mod prune;
mod scan;
mod shape;
mod table;
mod view;

use std::{collections::BTreeSet, fmt, sync::Arc};

use datafusion::{
    catalog::TableProvider,
    execution::{
        SessionState, SessionStateBuilder,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::GreedyMemoryPool,
        object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::LogicalPlan,
    prelude::{SQLOptions, SessionConfig, SessionContext},
};
use patchkit_core::{Clock, Result};

#[cfg(feature = "parquet")]
pub use self::export::ParquetLake;
pub use self::{
    answer::{Answer, Losses},
    function::lake_functions,
    limits::QueryLimits,
    shape::MAX_QUERY_BYTES,
};
use self::{
    error::{classify, refused},
    ledger::{Ledger, Origin},
    table::{KNOWN_NODES, LakeTable, NodeTable, ProblemTable},
};
use crate::{InventoryType, ObjectSource, columns};

/// They make texts and arrays of any length out of nothing, which no limit of memory would see. Those of
/// arrays are there where another crate of the embedder's switches them on.
const GROWS: [&str; 7] =
    ["array_repeat", "array_resize", "generate_series", "lpad", "range", "repeat", "rpad"];

/// A lake that answers SQL.
///
/// # Behavior
/// - A table for each inventory type, `aws_application` with the columns of
///   [`table_schema`](crate::columns::table_schema), and the [views](crate::View::ALL) over them.
/// - `lake_nodes` has the key of every node that the lake lists; `lake_problems` reads all of the lake
///   for what is lost of it (`object_key`, `line`, `kind`, `reason`, `lines`).
/// - `iso_time(text)` reads a point in time; `version_below(platform_name, epoch, version, release,
///   limit)` compares versions by the rules of the platform.
/// - Only objects are read whose keys the query's filters take, of these only the columns it names,
///   and of applications only rows whose names can begin as it asks.
/// - Queries read and do nothing else: statements that would create, change, copy or set anything are
///   refused, and there is no way to name a place outside the lake.
/// - All tables of one query see one listing of the lake.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use patchkit_core::VirtualClock;
/// use patchkit_inventory::{FleetSql, LocalSource, QueryLimits};
///
/// # let lake = tempfile::tempdir()?;
/// # for (ty, row) in [
/// #     ("AWS:InstanceInformation", r#"{"InstanceStatus":"Active"}"#),
/// #     ("AWS:ComplianceSummary", r#"{"ComplianceType":"Patch","Status":"COMPLIANT"}"#),
/// # ] {
/// #     let folder = lake.path().join(ty).join("accountid=111122223333/region=eu-west-1");
/// #     std::fs::create_dir_all(&folder)?;
/// #     std::fs::write(folder.join("i-0a.json"), row)?;
/// # }
/// # let path = lake.path();
/// # let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
/// # runtime.block_on(async {
/// # let clock = Arc::new(VirtualClock::manual(jiff::Timestamp::UNIX_EPOCH));
/// let lake = FleetSql::open(Arc::new(LocalSource::open(path)?), clock)?;
/// let query = "SELECT status, count(*) AS nodes FROM patch_compliance GROUP BY status";
/// let (rows, reading) = lake.query(query, QueryLimits::default()).await?.collect().await?;
/// assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
/// assert!(reading.skipped.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FleetSql {
    origin: Origin,
    clock: Arc<dyn Clock>,
    state: SessionState,
}

impl FleetSql {
    /// The lake of `source`, with a table for each documented type.
    ///
    /// # Errors
    /// None that depends on the lake: it is read when a query comes.
    pub fn open(source: Arc<dyn ObjectSource>, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::with_types(source, clock, [])
    }

    /// As [`open`](Self::open), with tables of custom types too: `custom_rack` of `Custom:Rack`.
    ///
    /// # Errors
    /// `InvalidInput` where two types have one table's name.
    pub fn with_types(
        source: Arc<dyn ObjectSource>,
        clock: Arc<dyn Clock>,
        others: impl IntoIterator<Item = InventoryType>,
    ) -> Result<Self> {
        Self::over(Origin::Lake(source), clock, others)
    }

    /// The lake that a snapshot holds, as it was when that was refreshed.
    ///
    /// # Behavior
    /// - Tables, views and answers are those of the lake, and nothing is listed or read for them. The
    ///   snapshot stays as it is: who refreshes it opens the new one.
    /// - [`Answer::reading`] and `lake_problems` tell what was found in reading the lake.
    /// - The JSON of `other_fields` may have its fields in another order.
    ///
    /// # Errors
    /// `InvalidInput` where two of the named types have one table's name.
    #[cfg(feature = "snapshot")]
    pub fn over_snapshot(
        snapshot: &crate::LakeSnapshot,
        clock: Arc<dyn Clock>,
        others: impl IntoIterator<Item = InventoryType>,
    ) -> Result<Self> {
        let listing = Arc::new(ledger::Listing::of(snapshot));
        Self::over(Origin::Snapshot(snapshot.clone(), listing), clock, others)
    }

    /// The Parquet export of a lake: the path of its folder, or a URL for which the session has a store.
    ///
    /// # Behavior
    /// - Tables, views and answers are those of the lake, as far as an export has them: see
    ///   [`ParquetLake`], which also tells what `spelled` is for.
    /// - What was lost in reading the lake is not known: [`Answer::losses`] is [`Losses::Unknown`], and
    ///   `lake_problems` is `Unsupported`. A node of which no row could be read is in no table.
    /// - Nothing of the session is used but its stores. As ever, a query names no place of its own.
    ///
    /// # Errors
    /// As [`ParquetLake::open`] and [`ParquetLake::register`].
    #[cfg(feature = "parquet")]
    pub async fn over_export(
        session: &SessionContext,
        url: &str,
        clock: Arc<dyn Clock>,
        spelled: impl IntoIterator<Item = InventoryType>,
    ) -> Result<Self> {
        let stores = Arc::clone(&session.runtime_env().object_store_registry);
        let context = self::session(stores);
        let export = ParquetLake::open(&context, url, spelled).await?;
        export.register(&context).await?;
        register(&context, "lake_problems", Arc::new(ProblemTable::default()))?;
        Ok(Self { origin: Origin::Export(url.into()), clock, state: context.state() })
    }

    fn over(
        origin: Origin,
        clock: Arc<dyn Clock>,
        others: impl IntoIterator<Item = InventoryType>,
    ) -> Result<Self> {
        let context = session(Arc::new(DefaultObjectStoreRegistry::new()));
        for function in lake_functions() {
            context.register_udf(function);
        }
        let types: BTreeSet<_> = InventoryType::KNOWN.iter().cloned().chain(others).collect();
        for ty in types {
            let name = columns::table_name(&ty);
            let table: Arc<dyn TableProvider> = Arc::new(LakeTable::new(ty));
            if register(&context, &name, table)?.is_some() {
                return Err(refused(format!("two inventory types have the table {name}")));
            }
        }
        register(&context, KNOWN_NODES, Arc::new(NodeTable::default()))?;
        register(&context, "lake_problems", Arc::new(ProblemTable::default()))?;
        // Planning reads nothing and waits for nothing.
        futures::executor::block_on(view::register(&context))?;
        Ok(Self { origin, clock, state: context.state() })
    }

    /// Plans a query and begins it; rows come as they are asked for.
    ///
    /// # Errors
    /// - `InvalidInput`: it is no query, names what there is not, would do more than read, or needs
    ///   more memory than it may have. The place in the text is named where the parser knows it.
    /// - `Unsupported`: it is SQL that the engine does not have.
    /// - What made the listing of the lake end before its time.
    ///
    /// # Cancellation
    /// Dropping the future, or the answer, stops the reading.
    pub async fn query(&self, sql: &str, limits: QueryLimits) -> Result<Answer> {
        shape::check(sql)?;
        let ledger = Arc::new(Ledger::new(self.origin.clone()));
        let context = self.context(limits, &ledger)?;
        let deadline = answer::Deadline::new(Arc::clone(&self.clock), limits.time);
        let plan = async {
            let plan = context.state().create_logical_plan(sql).await.map_err(classify)?;
            check(&plan)?;
            let mut frame = context.execute_logical_plan(plan).await.map_err(classify)?;
            if let Some(rows) = limits.rows {
                frame = frame.limit(0, Some(rows)).map_err(classify)?;
            }
            frame.execute_stream().await.map_err(classify)
        };
        let (batches, deadline) = deadline.within(Box::pin(plan)).await?;
        Ok(Answer::new(batches, ledger, deadline))
    }

    /// A session of one query: its limits, and the place where its reading is written down.
    fn context(&self, limits: QueryLimits, ledger: &Arc<Ledger>) -> Result<SessionContext> {
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(limits.memory)))
            // What does not fit into the memory is refused, not written to whoever's disk.
            .with_disk_manager_builder(disk)
            .with_object_store_registry(Arc::clone(&self.state.runtime_env().object_store_registry))
            .build_arc()
            .map_err(classify)?;
        let config = self
            .state
            .config()
            .clone()
            // The catalogue with the tables is there already, and another would hide it.
            .with_create_default_catalog_and_schema(false)
            .with_extension(Arc::clone(ledger));
        let state = SessionStateBuilder::new_from_existing(self.state.clone())
            .with_config(config)
            .with_runtime_env(runtime)
            .build();
        Ok(SessionContext::new_with_state(state))
    }
}

impl fmt::Debug for FleetSql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetSql").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// A session for tables and views, with the functions that a query may call.
fn session(stores: Arc<dyn ObjectStoreRegistry>) -> SessionContext {
    let mut config = SessionConfig::new().with_information_schema(true);
    config.options_mut().sql_parser.collect_spans = true;
    let runtime = RuntimeEnv { object_store_registry: stores, ..RuntimeEnv::default() };
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::new(runtime))
        .with_default_features()
        .build();
    let context = SessionContext::new_with_state(state);
    for grows in GROWS {
        context.deregister_udf(grows);
    }
    context
}

fn register(
    context: &SessionContext,
    name: &str,
    table: Arc<dyn TableProvider>,
) -> Result<Option<Arc<dyn TableProvider>>> {
    context.register_table(name, table).map_err(classify)
}

/// Refuses whatever does more than read.
fn check(plan: &LogicalPlan) -> Result<()> {
    let reads =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reads.verify_plan(plan).map_err(classify)
}

#[cfg(test)]
mod tests;
