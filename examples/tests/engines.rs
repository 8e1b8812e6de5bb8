//! The Parquet export, read by other people's query engines: `cargo xtask engines`.
//!
//! What they find is held against what our own reader finds in the lake, which has no Parquet in it:
//! rows, statuses and names by passes over the rows, filled columns by `scan_columns`.

#![cfg(feature = "parquet")]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
    sync::Arc,
};

use arrow_array::{Array, RecordBatch};
use futures::executor::block_on;
use patchkit_core::Result;
use patchkit_inventory::{
    InventoryKey, InventoryRecord, InventoryType, LocalSource, ScanOptions, Visitor,
    columns::{ColumnOptions, ColumnSink, scan_columns},
    parquet::type_folder,
    scan,
};
use patchkit_testkit::lake::{Dirt, SampleLake};
use serde::Deserialize;
use serde_json::Value;

/// The interpreter that has the engines.
const PYTHON: &str = "PATCHKIT_ENGINES";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/engines/engines.py");

/// The first account of every sample lake, with the zero that it begins with.
const ZERO: &str = "011122223333";

/// What an engine, or our own reader, finds.
#[derive(Debug, Default, Deserialize, Eq, PartialEq)]
struct Found {
    /// By type, account and Region.
    rows: BTreeSet<(String, String, String, u64)>,
    /// How many rows of a type have something in a column.
    filled: BTreeMap<String, BTreeMap<String, u64>>,
    /// Summaries about patches by account, Region and status, as they were written.
    statuses: BTreeSet<(String, String, String, u64)>,
    /// Packages that are called `openssl…`, whatever the case.
    names: BTreeSet<(String, u64)>,
}

#[test]
#[ignore = "needs DuckDB: cargo xtask engines"]
fn duckdb_reads_what_our_reader_reads() {
    let untold = hold("duckdb");
    assert!(untold.contains(&ZERO.into()), "texts where a number would lose a zero: {untold:?}");
}

#[test]
#[ignore = "needs Polars: cargo xtask engines"]
fn polars_reads_what_our_reader_reads() {
    assert_takes_accounts_for_numbers(&hold("polars"));
}

#[test]
#[ignore = "needs PyArrow: cargo xtask engines"]
fn pyarrow_reads_what_our_reader_reads() {
    let untold = hold("pyarrow");
    assert!(untold.contains(&ZERO.into()), "twelve digits are too long for a number: {untold:?}");
}

#[test]
#[ignore = "needs PySpark and a JVM: cargo xtask engines"]
fn pyspark_reads_what_our_reader_reads() {
    assert_takes_accounts_for_numbers(&hold("pyspark"));
}

/// Why the documentation has partitions told to be text.
fn assert_takes_accounts_for_numbers(untold: &[Value]) {
    let number: u64 = ZERO.parse().unwrap();
    assert!(untold.contains(&number.into()), "{untold:?}");
}

/// Holds an engine against our own reader over a clean lake and over one with every kind of dirt, and
/// gives the accounts as it reads them where it is not told that partitions are text.
fn hold(engine: &str) -> Vec<Value> {
    let mut untold = Vec::new();
    for (dirt, percent) in [(&[][..], 0), (&Dirt::ALL, 10)] {
        let folder = tempfile::tempdir().unwrap();
        let (lake, out) = (folder.path().join("lake"), folder.path().join("out"));
        let recipe = SampleLake::new().with_seed(11).with_nodes(150).with_dirt(dirt, percent);
        let key = recipe.write(&lake).unwrap();
        write_odd_names(&lake);
        let export = Command::new(env!("CARGO_BIN_EXE_lake-parquet")).arg(&lake).arg(&out).output();
        assert_ne!(export.unwrap().status.code(), Some(2), "the lake is exported");

        let ours = ours(&lake);
        if dirt.is_empty() {
            let rows: u64 = key.types.values().map(|ty| ty.rows).sum();
            let found: u64 = ours.rows.iter().map(|(.., rows)| rows).sum();
            assert_eq!(found, rows + ODD.len() as u64);
        }
        assert!(ours.statuses.iter().any(|(account, ..)| account == ZERO));
        assert!(ours.names.iter().any(|(name, _)| name.starts_with("openssl")));
        let (theirs, accounts) = ask(engine, &out);
        assert_eq!(theirs.rows, ours.rows, "rows as {engine} counts them");
        assert_eq!(theirs.filled, ours.filled, "columns as {engine} counts them");
        assert_eq!(theirs.statuses, ours.statuses, "statuses as {engine} counts them");
        assert_eq!(theirs.names, ours.names, "names as {engine} counts them");
        untold = accounts;
    }
    untold
}

/// A type and a Region whose names are escaped in a path, or could be.
const ODD: [(&str, &str); 2] = [("Custom:Rack Größe", "a=b c%2F.."), ("AWS:Tag", "é:ü'{}")];

fn write_odd_names(lake: &Path) {
    for (ty, region) in ODD {
        let place = lake.join(format!("{ty}/accountid={ZERO}/region={region}"));
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("i-0a.json"), r#"{"Key":"Name","Value":"web"}"#).unwrap();
    }
}

fn ask(engine: &str, out: &Path) -> (Found, Vec<Value>) {
    let python = std::env::var_os(PYTHON).unwrap();
    let mut command = Command::new(python);
    command.arg(SCRIPT).arg(engine).arg(out).env("PYTHONDONTWRITEBYTECODE", "1");
    // Spark would leave its metastore where it is started.
    let output = command.current_dir(out.parent().unwrap()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let mut answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let untold = answer["untold"].as_array_mut().map(std::mem::take).unwrap();
    (serde_json::from_value(answer).unwrap(), untold)
}

/// What our own reader finds in the lake.
fn ours(lake: &Path) -> Found {
    let open = || Arc::new(LocalSource::open(lake).unwrap());
    let (passes, _) = block_on(scan(open(), ScanOptions::default(), Lines::default)).unwrap();
    let scan = scan_columns(open(), ColumnOptions::default(), Filled::default);
    let (columns, _) = block_on(scan).unwrap();
    let (mut rows, mut statuses) = (BTreeMap::new(), BTreeMap::new());
    let (mut names, mut filled) = (BTreeMap::new(), BTreeMap::<_, BTreeMap<_, _>>::new());
    for pass in passes {
        add(&mut rows, pass.rows);
        add(&mut statuses, pass.statuses);
        add(&mut names, pass.names);
    }
    for (folder, columns) in columns.into_iter().flat_map(|part| part.0) {
        add(filled.entry(folder).or_default(), columns);
    }
    // In the folder's name, and so in every row of it.
    for columns in filled.values_mut() {
        columns.insert("type".to_owned(), columns["account_id"]);
    }
    let flat = |((a, b, c), rows)| (a, b, c, rows);
    Found {
        rows: rows.into_iter().map(flat).collect(),
        filled,
        statuses: statuses.into_iter().map(flat).collect(),
        names: names.into_iter().collect(),
    }
}

fn add<K: Ord>(sum: &mut BTreeMap<K, u64>, counts: BTreeMap<K, u64>) {
    for (key, count) in counts {
        *sum.entry(key).or_default() += count;
    }
}

/// Counts what is in the lines.
#[derive(Default)]
struct Lines {
    rows: BTreeMap<(String, String, String), u64>,
    statuses: BTreeMap<(String, String, String), u64>,
    names: BTreeMap<String, u64>,
}

impl Visitor for Lines {
    type Object = InventoryKey;

    fn begin(&mut self, key: &InventoryKey) -> InventoryKey {
        key.clone()
    }

    fn row(&mut self, key: &mut InventoryKey, _: u64, row: &InventoryRecord<'_>) {
        let (ty, scope) = (key.inventory_type(), key.node().scope());
        let partition =
            |first: String| (first, scope.account().to_string(), scope.region().to_string());
        let name = ty.as_str().to_ascii_lowercase().replacen(':', "_", 1);
        *self.rows.entry(partition(name)).or_default() += 1;
        match ty {
            InventoryType::ComplianceSummary if row.text("ComplianceType") == Some("Patch") => {
                let (status, account, region) = partition(row.text("Status").unwrap().to_owned());
                *self.statuses.entry((account, region, status)).or_default() += 1;
            }
            InventoryType::Application => {
                let named = row.text("Name").filter(|it| it.to_lowercase().starts_with("openssl"));
                if let Some(name) = named {
                    *self.names.entry(name.to_owned()).or_default() += 1;
                }
            }
            _ => {}
        }
    }
}

/// Counts what is in the columns, before they are Parquet.
#[derive(Default)]
struct Filled(BTreeMap<String, BTreeMap<String, u64>>);

impl ColumnSink for Filled {
    fn batch(&mut self, ty: &InventoryType, batch: RecordBatch) -> Result<()> {
        let columns = self.0.entry(type_folder(ty)).or_default();
        for (field, values) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let filled = values.len() - values.null_count();
            *columns.entry(field.name().clone()).or_default() += filled as u64;
        }
        Ok(())
    }
}
