//! `--format table`: for people.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use comfy_table::{CellAlignment, Table};
use patchkit_examples::{printable, table};
use patchkit_inventory::LakeReading;

use super::export::Export;

/// Writes the tables.
pub(crate) fn write(out: &mut impl Write, export: &Export, top: usize) -> io::Result<()> {
    types(out, export)?;
    let reading = &export.written.reading;
    lost(out, reading, top)?;
    repaired(out, reading, top)?;
    let total = reading.total();
    writeln!(
        out,
        "Read {} of {} objects, {} MB; wrote {} MB.",
        total.objects,
        reading.listed,
        total.bytes.div_ceil(1_000_000),
        export.written.bytes.div_ceil(1_000_000),
    )
}

fn types(out: &mut impl Write, export: &Export) -> io::Result<()> {
    let mut rows = table(["type", "rows", "files", "folder"]);
    for ty in &export.types {
        rows.add_row([
            printable(&ty.name),
            ty.rows.to_string(),
            ty.files.to_string(),
            ty.folder.as_deref().map_or_else(|| "–".to_owned(), printable),
        ]);
    }
    let written = &export.written;
    rows.add_row([
        "total".to_owned(),
        written.rows.to_string(),
        written.files.len().to_string(),
        String::new(),
    ]);
    right(&mut rows, 1..3);
    writeln!(out, "{} as Parquet in {}", printable(&export.lake), printable(&export.out))?;
    section(out, &rows)
}

/// Data that was lost: the export is incomplete by so much.
fn lost(out: &mut impl Write, reading: &LakeReading, top: usize) -> io::Result<()> {
    let all = reading.skipped.total();
    if all == 0 {
        return writeln!(out, "Nothing was lost in reading.\n");
    }
    let mut rows = table(["why", "line", "object"]);
    for lost in reading.skipped.entries().iter().take(top) {
        let line = lost.line.map_or_else(|| "all".to_owned(), |line| line.to_string());
        rows.add_row([printable(&lost.reason.to_string()), line, printable(&lost.key)]);
    }
    right(&mut rows, 1..2);
    let more = rest(rows.row_count(), all, "--format json lists all");
    writeln!(out, "Data that was lost{more}")?;
    section(out, &rows)
}

fn repaired(out: &mut impl Write, reading: &LakeReading, top: usize) -> io::Result<()> {
    let all = reading.repaired.total();
    if all == 0 {
        return Ok(());
    }
    let mut reasons: BTreeMap<String, (u64, &str)> = BTreeMap::new();
    for repaired in reading.repaired.entries() {
        let reason = reasons.entry(repaired.reason.to_string()).or_insert((0, &*repaired.key));
        reason.0 += 1;
    }
    let count = reasons.len();
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, (objects, _))| std::cmp::Reverse(*objects));
    let mut rows = table(["read in spite of", "objects", "first"]);
    for (reason, (objects, first)) in reasons.into_iter().take(top) {
        rows.add_row([printable(&reason), objects.to_string(), printable(first)]);
    }
    right(&mut rows, 1..2);
    let more = rest(rows.row_count(), count as u64, "--format json lists each object");
    writeln!(out, "Dirt that cost no data: {all} in all; kinds{more}")?;
    section(out, &rows)
}

/// A table and the line that ends its section; a table without rows is not drawn.
fn section(out: &mut impl Write, table: &Table) -> io::Result<()> {
    if table.row_count() > 0 {
        writeln!(out, "{}", table.trim_fmt())?;
    }
    writeln!(out)
}

/// How much of a list is shown, where that is not all.
fn rest(shown: usize, all: u64, how: &str) -> String {
    if shown as u64 == all { format!(": {all}") } else { format!(": {shown} of {all}; {how}") }
}

fn right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
