//! The questions.

use std::{collections::BTreeMap, error::Error, path::Path, sync::Arc};

use futures::executor::block_on;
use patchkit_inventory::{
    InventoryKey, InventoryRecord, InventoryType, LakeReading, Listing, LocalSource, NamePrefix,
    PlainRow, ScanOptions, Visitor,
    columns::{ColumnOptions, ColumnSink, scan_columns},
    parquet::{ParquetOptions, export_parquet},
    scan,
};
use serde_json::{Value, json};

use crate::{change, kept, make, spoil};

type Answer = Result<Value, Box<dyn Error>>;

pub(crate) fn run(args: &[&str]) -> Answer {
    match args {
        ["q1", lake] => q1(lake),
        ["q2", lake] => q2(lake),
        ["q3a", lake] => q3a(lake),
        ["q3b", lake, out] => q3b(lake, out),
        ["dirty", lake] => dirty(lake),
        ["make", lake, nodes] => {
            make::lake(Path::new(lake), nodes.parse()?)?;
            Ok(Value::Null)
        }
        ["snapshot", lake, store] => kept::run(lake, store),
        ["refresh", lake, store] => kept::refresh(lake, store),
        ["copy", lake, copy] => {
            change::copy(Path::new(lake), Path::new(copy))?;
            Ok(Value::Null)
        }
        ["change", copy] => Ok(json!(change::change(Path::new(copy))?)),
        ["spoil", lake, out] => Ok(spoil::lake(Path::new(lake), Path::new(out))?),
        _ => Err("lake WORK LAKE [OUT]".into()),
    }
}

fn source(lake: &str) -> Result<Arc<LocalSource>, Box<dyn Error>> {
    Ok(Arc::new(LocalSource::open(lake)?))
}

fn only(ty: InventoryType) -> ScanOptions {
    ScanOptions::default().with_types([ty]).with_listing(Listing::WantedTypes)
}

/// Nodes by account, Region and status.
#[derive(Default)]
struct Statuses(BTreeMap<(String, String, String), u64>);

impl Statuses {
    fn count(&mut self, key: &InventoryKey, kind: Option<&str>, status: Option<&str>) {
        if kind != Some("Patch") {
            return;
        }
        let scope = key.node().scope();
        let (account, region) = (scope.account().to_string(), scope.region().to_string());
        *self.0.entry((account, region, status.unwrap_or_default().to_owned())).or_default() += 1;
    }
}

impl Visitor for Statuses {
    type Object = InventoryKey;

    fn begin(&mut self, key: &InventoryKey) -> InventoryKey {
        key.clone()
    }

    fn row(&mut self, key: &mut InventoryKey, _: u64, row: &InventoryRecord<'_>) {
        self.count(key, row.text("ComplianceType"), row.text("Status"));
    }

    fn plain_row(&mut self, key: &mut InventoryKey, _: u64, row: &PlainRow<'_>) {
        self.count(key, row.text("ComplianceType").as_deref(), row.text("Status").as_deref());
    }
}

fn q1(lake: &str) -> Answer {
    let scan = scan(source(lake)?, only(InventoryType::ComplianceSummary), Statuses::default);
    let (parts, reading) = block_on(scan)?;
    let mut groups = BTreeMap::new();
    for (key, nodes) in parts.into_iter().flat_map(|part| part.0) {
        *groups.entry(key).or_insert(0) += nodes;
    }
    let groups: BTreeMap<_, u64> =
        groups.into_iter().map(|((a, r, s), nodes)| (format!("{a} {r} {s}"), nodes)).collect();
    Ok(json!({"groups": groups, "lost": reading.skipped.total()}))
}

/// Applications named `openssl…` that are older than 3.0.7.
struct Old {
    prefix: NamePrefix,
    nodes: u64,
    rows: u64,
}

pub(crate) fn is_old(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u64>().ok());
    let mut next = || numbers.next().flatten().unwrap_or(0);
    [next(), next(), next()] < [3, 0, 7]
}

impl Visitor for Old {
    type Object = u64;

    fn begin(&mut self, _: &InventoryKey) -> u64 {
        0
    }

    fn next_candidate(&self, _: &u64, lines: &[u8]) -> Option<usize> {
        self.prefix.next_candidate(lines)
    }

    fn row(&mut self, found: &mut u64, _: u64, row: &InventoryRecord<'_>) {
        if row.text("Name").is_some_and(|name| self.prefix.matches(name)) {
            *found += u64::from(row.text("Version").is_some_and(is_old));
        }
    }

    fn end(&mut self, found: u64, _: &patchkit_inventory::ObjectReading) {
        self.nodes += u64::from(found > 0);
        self.rows += found;
    }
}

fn q2(lake: &str) -> Answer {
    let make = || Old { prefix: NamePrefix::new("openssl"), nodes: 0, rows: 0 };
    let (parts, reading) = block_on(scan(source(lake)?, only(InventoryType::Application), make))?;
    let nodes: u64 = parts.iter().map(|part| part.nodes).sum();
    let rows: u64 = parts.iter().map(|part| part.rows).sum();
    Ok(json!({"nodes": nodes, "rows": rows, "lost": reading.skipped.total()}))
}

/// Counts what it is given.
#[derive(Default)]
struct Count(BTreeMap<InventoryType, usize>);

impl ColumnSink for Count {
    fn batch(
        &mut self,
        ty: &InventoryType,
        batch: arrow_array::RecordBatch,
    ) -> patchkit_core::Result<()> {
        *self.0.entry(ty.clone()).or_default() += batch.num_rows();
        Ok(())
    }
}

fn rows(reading: &LakeReading) -> Value {
    let rows: BTreeMap<_, _> = reading.types.iter().map(|(ty, it)| (ty, it.rows)).collect();
    json!({"rows": rows, "lost": reading.skipped.total()})
}

fn all_columns(lake: &str) -> Result<LakeReading, Box<dyn Error>> {
    let scan = scan_columns(source(lake)?, ColumnOptions::default(), Count::default);
    let (counts, reading) = block_on(scan)?;
    let counted: usize = counts.iter().flat_map(|count| count.0.values()).sum();
    if counted as u64 != reading.total().rows {
        return Err("the columns have not the rows that were read".into());
    }
    Ok(reading)
}

fn q3a(lake: &str) -> Answer {
    Ok(rows(&all_columns(lake)?))
}

/// As `q3a`, with each line that was lost by the key of its object.
fn dirty(lake: &str) -> Answer {
    let reading = all_columns(lake)?;
    let lost = reading.skipped.entries().iter().map(|lost| (lost.key.to_string(), lost.line));
    let mut answer = rows(&reading);
    answer["lost_lines"] = json!(lost.collect::<BTreeMap<_, _>>());
    answer["repaired"] = json!(reading.repaired.total());
    Ok(answer)
}

fn q3b(lake: &str, out: &str) -> Answer {
    let export = block_on(export_parquet(source(lake)?, out, ParquetOptions::default()))?;
    if export.rows != export.reading.total().rows {
        return Err("the files have not the rows that were read".into());
    }
    Ok(rows(&export.reading))
}
