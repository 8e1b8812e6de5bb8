//! The lake, its export, and what one process answers over the lake.

use std::{fs, path::Path, sync::Arc};

use ballista::prelude::{SessionConfigExt, SessionContextExt};
use datafusion::{
    arrow::{
        array::RecordBatch,
        util::display::{ArrayFormatter, FormatOptions},
    },
    execution::SessionStateBuilder,
    prelude::{SessionConfig, SessionContext},
};
use patchkit_core::SystemClock;
use patchkit_inventory::{
    FleetSql, LocalSource, ParquetLake, QueryLimits,
    parquet::{ParquetOptions, export_parquet},
};
use patchkit_testkit::lake::{Dirt, SampleLake};
use tempfile::TempDir;

use crate::{cluster::Cluster, role::functions};

/// The first account of every sample lake, with the zero that it begins with.
const ZERO: &str = "011122223333";

pub(crate) struct Fleet {
    sql: FleetSql,
    folder: TempDir,
}

impl Fleet {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (lake, out) = (folder.path().join("lake"), folder.path().join("out"));
        let recipe = SampleLake::new().with_seed(11).with_nodes(150).with_dirt(&Dirt::ALL, 10);
        recipe.write(&lake).unwrap();
        write_odd_region(&lake);
        let source = Arc::new(LocalSource::open(&lake).unwrap());
        export_parquet(source.clone(), out, ParquetOptions::default()).await.unwrap();
        let sql = FleetSql::open(source, Arc::new(SystemClock)).unwrap();
        Self { sql, folder }
    }

    /// What one process answers over the lake, rows in order.
    pub(crate) async fn ask(&self, sql: &str) -> Vec<String> {
        let answer = self.sql.query(sql, QueryLimits::default()).await.unwrap();
        rows(&answer.collect().await.unwrap().0)
    }

    /// A session whose queries the cluster runs, over the export.
    pub(crate) async fn session(&self, cluster: &Cluster) -> SessionContext {
        let config = SessionConfig::new_with_ballista()
            .with_target_partitions(4)
            .with_ballista_adaptive_query_planner(false)
            .set_usize("ballista.scheduler.max_partitions_per_task", 1);
        let state = SessionStateBuilder::new().with_config(config).with_default_features().build();
        let url = format!("df://127.0.0.1:{}", cluster.port);
        let session = SessionContext::remote_with_state(&url, state).await.unwrap();
        for function in functions(cluster.place()) {
            session.register_udf(function);
        }
        let out = self.folder.path().join("out");
        let export = ParquetLake::open(&session, out.to_str().unwrap(), []).await.unwrap();
        export.register(&session).await.unwrap();
        session
    }
}

/// What the session answers: the names of its columns, and its rows in order.
pub(crate) async fn in_order(session: &SessionContext, sql: &str) -> (Vec<String>, Vec<String>) {
    let frame = session.sql(sql).await.unwrap();
    let columns = frame.schema().field_names();
    let batches = frame.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let bare = |name: String| name.rsplit('.').next().map(str::to_owned);
    (columns.into_iter().filter_map(bare).collect(), rows(&batches))
}

fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        let texts = (0..batch.num_rows()).map(|row| {
            columns.iter().map(|it| it.value(row).to_string()).collect::<Vec<_>>().join(" | ")
        });
        rows.extend(texts);
    }
    rows.sort_unstable();
    rows
}

/// A Region whose letters are escaped in a path, or could be.
fn write_odd_region(lake: &Path) {
    let place = lake.join(format!("AWS:Tag/accountid={ZERO}/region=é:ü'{{}}"));
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("i-0a.json"), r#"{"Key":"Name","Value":"web"}"#).unwrap();
}
