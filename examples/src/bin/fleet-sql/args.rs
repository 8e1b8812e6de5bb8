//! What the command line says.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use patchkit_examples::{Failure, LakeFlags};
use patchkit_inventory::QueryLimits;

/// Answers SQL over a data-sync lake, its snapshot or its Parquet export: its tables (aws_application, …)
/// and views (nodes, patch_compliance, patches, applications, compliance_by_group, …).
///
/// A folder that holds the manifest of a snapshot (fleet-report --snapshot) is taken for one, and a
/// folder that holds _SUCCESS (lake-parquet) for an export; any other is a lake. A snapshot is asked as
/// it is, with all that was lost in reading the lake. An export does not tell what was lost: it has no
/// lake_problems, and no node of which no row could be read.
///
/// Exit codes: 0 done; 1 done, and part of what the query read was lost (standard error says what);
/// 2 bad usage, a query that cannot be answered, or a lake that cannot be read.
#[derive(Debug, Parser)]
#[command(name = "fleet-sql", version)]
pub(crate) struct Args {
    /// A lake: a directory, or s3://bucket/prefix; or the folder of a snapshot or of an export
    pub(crate) lake: OsString,
    /// The query; without it the views and their columns are listed
    pub(crate) query: Option<String>,
    /// How the rows are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// Where the rows go, instead of standard output; the file is replaced when all are written
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The most rows that are written; for a table 1000 where it is not given, else all
    #[arg(long, value_name = "COUNT")]
    max_rows: Option<usize>,
    /// How long the query may take
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    /// What its joins, groups and sorts may hold at once
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    pub(crate) memory: usize,
    /// A folder to keep the lake in as it was read; the next query reads only what has changed
    #[arg(long, value_name = "DIR")]
    pub(crate) snapshot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) bucket: LakeFlags,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    Table,
    /// An array of objects, one a row
    Json,
    /// A header and rows; text that a spreadsheet would take for a formula has an apostrophe in front
    Csv,
    /// Apache Parquet, into --output
    Parquet,
}

/// A table is held whole, and nobody reads more of it.
const TABLE_ROWS: usize = 1_000;

impl Args {
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.format == Format::Parquet && self.output.is_none() {
            return Err(Failure::new("Parquet is for files: give --output FILE"));
        }
        Ok(())
    }

    pub(crate) fn max_rows(&self) -> usize {
        let most = if self.format == Format::Table { TABLE_ROWS } else { usize::MAX };
        self.max_rows.unwrap_or(most)
    }

    /// The limits of the query; one row more than is wanted tells whether there are more.
    pub(crate) fn limits(&self) -> QueryLimits {
        let limits = QueryLimits::default()
            .with_time(Duration::from_secs(self.timeout))
            .with_memory(self.memory.saturating_mul(1 << 20));
        match self.max_rows().checked_add(1) {
            Some(rows) => limits.with_rows(rows),
            None => limits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn parquet_needs_a_file_and_only_tables_are_cut() {
        let args =
            |more: &[&str]| Args::parse_from([&["fleet-sql", "lake", "SELECT 1"], more].concat());
        assert!(args(&["--format", "parquet"]).check().is_err());
        assert!(args(&["--format", "parquet", "--output", "x"]).check().is_ok());
        assert_eq!(args(&[]).limits().rows, Some(TABLE_ROWS + 1));
        assert_eq!(args(&["--format", "json"]).limits().rows, None);
    }
}
