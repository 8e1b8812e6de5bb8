//! `--format json`: one object.

use std::io::{self, Write};

use patchkit_examples::write_json;
use serde::Serialize;

use super::export::{Export, TypeExport};

/// Writes the object.
pub(crate) fn write(out: &mut impl Write, export: &Export) -> io::Result<()> {
    write_json(out, &Document::new(export))
}

#[derive(Serialize)]
struct Document<'a> {
    lake: &'a str,
    out: &'a str,
    totals: Totals,
    types: Vec<Type<'a>>,
    files: Vec<String>,
    skipped: Vec<Finding<'a>>,
    repaired: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Totals {
    rows: u64,
    files: usize,
    bytes: u64,
    skipped: u64,
    repaired: u64,
}

#[derive(Serialize)]
struct Type<'a> {
    name: &'a str,
    folder: Option<&'a str>,
    rows: u64,
    files: usize,
}

/// Data that was lost, or read in spite of dirt.
#[derive(Serialize)]
struct Finding<'a> {
    key: &'a str,
    line: Option<u64>,
    reason: String,
}

impl<'a> From<&'a TypeExport> for Type<'a> {
    fn from(ty: &'a TypeExport) -> Self {
        Self { name: &ty.name, folder: ty.folder.as_deref(), rows: ty.rows, files: ty.files }
    }
}

impl<'a> Document<'a> {
    fn new(export: &'a Export) -> Self {
        let (written, reading) = (&export.written, &export.written.reading);
        let lost = reading.skipped.entries().iter().map(|lost| Finding {
            key: &lost.key,
            line: lost.line,
            reason: lost.reason.to_string(),
        });
        let repaired = reading.repaired.entries().iter().map(|repaired| Finding {
            key: &repaired.key,
            line: repaired.line,
            reason: repaired.reason.to_string(),
        });
        Self {
            lake: &export.lake,
            out: &export.out,
            totals: Totals {
                rows: written.rows,
                files: written.files.len(),
                bytes: written.bytes,
                skipped: reading.skipped.total(),
                repaired: reading.repaired.total(),
            },
            types: export.types.iter().map(Type::from).collect(),
            files: written.files.iter().map(|file| file.display().to_string()).collect(),
            skipped: lost.collect(),
            repaired: repaired.collect(),
        }
    }
}
