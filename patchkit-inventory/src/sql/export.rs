//! The tables of a Parquet export, on a session of DataFusion's.

use std::{collections::BTreeMap, fmt, sync::Arc};

use datafusion::{
    arrow::datatypes::Schema,
    catalog::{TableProvider, empty::EmptyTable, view::ViewTable},
    common::{Result as EngineResult, exec_err},
    datasource::{
        file_format::parquet::ParquetFormat,
        listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
        provider_as_source,
    },
    error::DataFusionError,
    logical_expr::{LogicalPlan, LogicalPlanBuilder, col},
    object_store::{self, ObjectStoreExt},
    prelude::SessionContext,
};
use patchkit_core::{Error, Result};
use percent_encoding::percent_decode_str;

use super::{
    error::classify,
    function::lake_functions,
    table::{KNOWN_NODES, NodeTable},
    view,
};
use crate::{
    InventoryType,
    columns::{table_name, table_schema},
    parquet::{SUCCESS, type_folder},
};

const PROVIDER: &str = "sql";
const OPERATION: &str = "open_export";

/// The columns that the path of a file has, in the path's order.
const IN_PATH: [&str; 2] = ["account_id", "region"];

/// A Parquet export of a lake, as tables and views of any session of DataFusion's.
///
/// # Behavior
/// - The tables and the [views](crate::View::ALL) have the names, columns and types that
///   [`FleetSql`](crate::FleetSql) gives them; a documented type of which the export has no rows is an
///   empty table.
/// - `lake_nodes` has every node that a row names. A node of which the lake lists only objects without
///   rows is not in an export, and so not in here.
/// - There is no `lake_problems`: what was lost is in what
///   [`export_parquet`](crate::parquet::export_parquet) answered.
/// - Files are pruned by `account_id` and `region`, row groups by `node_id`, and only the columns are read
///   that a query names. Values come out of the paths as they were, escapes undone.
/// - The tables are DataFusion's own, so that plans over them can be sent to other processes, as
///   Ballista does: each of them must reach the export by the same URL, and have
///   [`lake_functions`].
/// - Ballista 55.0.0 can count rows twice in a query during which it loses an executor, without an
///   error: such a query is to be asked again.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use datafusion::prelude::SessionContext;
/// use patchkit_inventory::{LocalSource, ParquetLake, parquet::{ParquetOptions, export_parquet}};
///
/// # let lake = tempfile::tempdir()?;
/// # let folder = lake.path().join("AWS:Tag/accountid=011122223333/region=eu-west-1");
/// # std::fs::create_dir_all(&folder)?;
/// # std::fs::write(folder.join("i-0a.json"), r#"{"Key":"PatchGroup","Value":"web"}"#)?;
/// # let out = tempfile::tempdir()?;
/// # let (path, out) = (lake.path(), out.path());
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let source = Arc::new(LocalSource::open(path)?);
/// export_parquet(source, out, ParquetOptions::default()).await?;
///
/// let context = SessionContext::new();
/// let export = ParquetLake::open(&context, &out.display().to_string(), []).await?;
/// export.register(&context).await?;
/// let rows = context.sql("SELECT node_id, liveness FROM nodes WHERE account_id = '011122223333'");
/// assert_eq!(rows.await?.count().await?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ParquetLake {
    root: ListingTableUrl,
    /// The folders of the types that have rows.
    folders: BTreeMap<InventoryType, String>,
    others: Vec<String>,
}

impl ParquetLake {
    /// Finds out what an export has: the path of a folder, or a URL for which the session has a store.
    ///
    /// # Behavior
    /// - The path of a type is in lower case, so that the export has forgotten how a custom type is
    ///   spelled. `spelled` says it: with `Custom:RackRow` in it, that table is `custom_rack_row`, and
    ///   `custom_rackrow` without.
    ///
    /// # Errors
    /// - `NotFound`: there is no [`SUCCESS`] in it. It is no export, or one that was broken off.
    /// - `InvalidInput`: it is no URL, or one of a store that the session does not have.
    /// - `Unexpected`: what else the store says.
    pub async fn open(
        context: &SessionContext,
        url: &str,
        spelled: impl IntoIterator<Item = InventoryType>,
    ) -> Result<Self> {
        let root = ListingTableUrl::parse(url).map_err(classify)?;
        if root.get_glob().is_some() {
            let message = "a path with ?, * or [ is read as a pattern: give a file:// URL";
            return Err(Error::invalid(PROVIDER, OPERATION, message));
        }
        let store = context.runtime_env().object_store(&root).map_err(|error| {
            let message = format!("the session has no object store for {}:", root.scheme());
            Error::invalid(PROVIDER, OPERATION, message).with_source(error)
        })?;
        match store.head(&root.prefix().clone().join(SUCCESS)).await {
            Err(object_store::Error::NotFound { .. }) => {
                let what = format!("a finished export in /{}", root.prefix());
                return Err(Error::not_found(PROVIDER, OPERATION, what));
            }
            mark => mark.map_err(failed)?,
        };
        let listed = store.list_with_delimiter(Some(root.prefix())).await.map_err(failed)?;
        let spelled: Vec<_> = spelled.into_iter().collect();
        let (mut folders, mut others) = (BTreeMap::new(), Vec::new());
        for path in listed.common_prefixes {
            let Some(folder) = path.filename().map(str::to_owned) else { continue };
            match type_of(&folder) {
                Some(ty) => {
                    let ty = spelled.iter().find(|it| **it == ty).cloned().unwrap_or(ty);
                    folders.insert(ty, folder);
                }
                None => others.push(folder),
            }
        }
        Ok(Self { root, folders, others })
    }

    /// The types of which the export has rows.
    pub fn types(&self) -> impl Iterator<Item = &InventoryType> {
        self.folders.keys()
    }

    /// Folders that no export has, and that are passed over.
    pub fn other_folders(&self) -> &[String] {
        &self.others
    }

    /// Registers the functions, tables and views in the session.
    ///
    /// # Errors
    /// `InvalidInput`: two types have one table's name, or something else in the session has it.
    pub async fn register(&self, context: &SessionContext) -> Result<()> {
        for function in lake_functions() {
            context.register_udf(function);
        }
        for (name, table) in self.tables()? {
            context.register_table(name, table).map_err(classify)?;
        }
        view::register(context).await
    }

    /// Every table with its name, `lake_nodes` among them, for a session that names them otherwise.
    ///
    /// # Errors
    /// `InvalidInput`: two types have one table's name.
    pub fn tables(&self) -> Result<BTreeMap<String, Arc<dyn TableProvider>>> {
        let mut tables: BTreeMap<String, Arc<dyn TableProvider>> = BTreeMap::new();
        let mut nodes = None;
        // A type without rows has no folder: nothing is listed there, and the table is empty.
        let empty = InventoryType::KNOWN.iter().filter(|ty| !self.folders.contains_key(*ty));
        let empty = empty.map(|ty| (ty, type_folder(ty)));
        let full = self.folders.iter().map(|(ty, folder)| (ty, folder.clone()));
        for (ty, folder) in full.chain(empty) {
            let table = self.table(ty, &folder).map_err(classify)?;
            if self.folders.contains_key(ty) {
                nodes = Some(keys(nodes, &table).map_err(classify)?);
            }
            let name = table_name(ty);
            let table = Arc::new(ViewTable::new(table, None));
            if tables.insert(name.clone(), table).is_some() {
                let message = format!("two inventory types have the table {name}");
                return Err(Error::invalid(PROVIDER, OPERATION, message));
            }
        }
        let nodes: Arc<dyn TableProvider> = match nodes {
            Some(plan) => Arc::new(ViewTable::new(plan, None)),
            None => Arc::new(EmptyTable::new(NodeTable::default().schema())),
        };
        tables.insert(KNOWN_NODES.to_owned(), nodes);
        Ok(tables)
    }

    /// The rows of one type, with their columns in the order in which they are documented: an engine
    /// has those of the path behind all others.
    fn table(&self, ty: &InventoryType, folder: &str) -> EngineResult<LogicalPlan> {
        let mut url = self.root.get_url().clone();
        let Ok(mut path) = url.path_segments_mut() else {
            return exec_err!("{} has no path", self.root.as_str());
        };
        path.pop_if_empty().push(folder).push("");
        drop(path);
        let schema = table_schema(ty);
        let (in_path, in_file): (Vec<_>, Vec<_>) =
            schema.fields().iter().cloned().partition(|it| IN_PATH.contains(&it.name().as_str()));
        let partitions = in_path.iter().map(|it| (it.name().clone(), it.data_type().clone()));
        let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
            .with_table_partition_cols(partitions.collect());
        let config = ListingTableConfig::new(ListingTableUrl::try_new(url, None)?)
            .with_listing_options(options)
            .with_schema(Arc::new(Schema::new(in_file)));
        let files = provider_as_source(Arc::new(ListingTable::try_new(config)?));
        let columns = schema.fields().iter().map(|it| col(it.name()));
        LogicalPlanBuilder::scan(format!("{}_files", table_name(ty)), files, None)?
            .project(columns)?
            .build()
    }
}

impl fmt::Debug for ParquetLake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folders: Vec<_> = self.folders.values().collect();
        f.debug_struct("ParquetLake").field("folders", &folders).finish_non_exhaustive()
    }
}

/// The nodes of a table, beside those of the tables before it.
fn keys(nodes: Option<LogicalPlan>, table: &LogicalPlan) -> EngineResult<LogicalPlan> {
    let keys = NodeTable::default().schema();
    let keys = keys.fields().iter().map(|it| col(it.name()));
    let own = LogicalPlanBuilder::from(table.clone()).project(keys)?;
    match nodes {
        Some(nodes) => LogicalPlanBuilder::from(nodes).union_distinct(own.build()?)?.build(),
        None => own.distinct()?.build(),
    }
}

/// The type that a folder of an export is of.
fn type_of(folder: &str) -> Option<InventoryType> {
    let value = percent_decode_str(folder.strip_prefix("type=")?).decode_utf8().ok()?;
    let name = value.replacen('_', ":", 1);
    InventoryType::is_type_segment(&name).then(|| name.parse().ok()).flatten()
}

fn failed(error: object_store::Error) -> Error {
    classify(DataFusionError::ObjectStore(Box::new(error)))
}
