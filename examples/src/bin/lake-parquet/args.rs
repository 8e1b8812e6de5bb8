//! What the command line says.

use std::{ffi::OsString, num::NonZeroUsize, path::PathBuf};

use clap::{Parser, ValueEnum};
use patchkit_examples::LakeFlags;
use patchkit_inventory::{InventoryType, ScanOptions, parquet::ParquetOptions};

/// Writes a data-sync lake as Parquet, laid out for query engines:
/// OUT/type=aws_application/account_id=…/region=…/part-0-0.parquet.
///
/// Exit codes: 0 written, and nothing was lost; 1 written, and part of the lake was lost; 2 bad usage,
/// a folder that holds something, or a lake that cannot be read or holds no inventory.
#[derive(Debug, Parser)]
#[command(name = "lake-parquet", version)]
pub(crate) struct Args {
    /// A directory, or s3://bucket/prefix
    pub(crate) lake: OsString,
    /// A folder outside of the lake that is empty or not there yet
    pub(crate) out: PathBuf,
    /// Only these types: AWS:Application,AWS:ComplianceItem
    #[arg(long = "type", value_name = "NAMES", value_delimiter = ',')]
    types: Vec<InventoryType>,
    /// What goes to standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// How much of what was lost is shown in a table
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(crate) top: usize,
    /// How many threads read and write; as many as the machine has cores where it is not given
    #[arg(long, value_name = "COUNT")]
    workers: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) bucket: LakeFlags,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people
    Table,
    /// One object, documented in the README
    Json,
}

impl Args {
    pub(crate) fn options(&self) -> ParquetOptions {
        let mut scan = ScanOptions::default();
        scan.workers = self.workers;
        if !self.types.is_empty() {
            scan = scan.with_types(self.types.iter().cloned());
        }
        ParquetOptions::default().with_scan(scan)
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
    fn every_type_is_written_where_none_is_named() {
        let types = |more: &[&str]| {
            let args = Args::parse_from([&["lake-parquet", "lake", "out"], more].concat());
            args.options().scan.types.map(|types| types.len())
        };
        assert_eq!(types(&[]), None);
        assert_eq!(types(&["--type", "AWS:Tag,AWS:Application"]), Some(2));
    }
}
