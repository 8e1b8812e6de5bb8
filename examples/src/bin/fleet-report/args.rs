//! What the command line says.

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, ValueEnum, builder::PossibleValuesParser, builder::TypedValueParser as _};
use patchkit_examples::LakeFlags;
use patchkit_inventory::{Checked, Dimension, LoadOptions, NodesWanted, PatchDetails};

/// Reports on a data-sync lake: compliance by group, the worst nodes, the patches that most nodes
/// lack, packages below a version, and what of the lake could not be read.
///
/// Exit codes: 0 done, and nothing is wrong; 1 done, and a live node is not compliant (with --below: a
/// package is below the version, or cannot be compared), or data was lost; 2 bad usage, or a lake
/// that cannot be read or holds no inventory.
#[derive(Debug, Parser)]
#[command(name = "fleet-report", version)]
pub(crate) struct Args {
    /// A directory, or s3://bucket/prefix; without it a small sample lake is made and reported on
    pub(crate) lake: Option<OsString>,
    /// What nodes are grouped by
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "account,region",
        value_parser = dimension_parser()
    )]
    by: Vec<Dimension>,
    /// List the live nodes that are not compliant, one row a node, worst first
    #[arg(long, conflicts_with = "app")]
    pub(crate) non_compliant: bool,
    /// List the packages whose name the pattern takes, on live nodes: 'openssl*', without regard to
    /// case
    #[arg(long, value_name = "PATTERN")]
    pub(crate) app: Option<String>,
    /// Only packages below this version, by the rules of rpm, deb or Windows; epoch and release are
    /// compared where they are given
    #[arg(long, value_name = "VERSION", requires = "app")]
    pub(crate) below: Option<String>,
    /// Packages of nodes that are not live, too
    #[arg(long, requires = "app")]
    all: bool,
    /// Read only the types that the question needs, and no patch rows: faster, but what is lost of
    /// the rest of the lake is not found, and the most-missing patches are not known
    #[arg(long)]
    pub(crate) quick: bool,
    /// A folder to keep the lake in as it was read; the next run reads only what has changed
    #[arg(long, value_name = "DIR", requires = "lake")]
    pub(crate) snapshot: Option<PathBuf>,
    /// What goes to standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// How many of the worst nodes and of the most-missing patches are shown, and in a table how
    /// much of what was lost
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(crate) top: usize,
    #[command(flatten)]
    pub(crate) bucket: LakeFlags,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people
    Table,
    /// One object, documented in the README
    Json,
    /// The groups, or the rows where rows are asked for
    Csv,
}

impl Args {
    /// The dimensions, each once.
    pub(crate) fn by(&self) -> Vec<Dimension> {
        let mut by: Vec<Dimension> = Vec::with_capacity(self.by.len());
        for dimension in &self.by {
            if !by.contains(dimension) {
                by.push(*dimension);
            }
        }
        by
    }

    pub(crate) fn nodes(&self) -> NodesWanted {
        if self.all { NodesWanted::All } else { NodesWanted::Live }
    }

    pub(crate) fn options(&self) -> LoadOptions {
        if self.quick {
            LoadOptions::default()
        } else {
            LoadOptions::default().with_patches(PatchDetails::Loaded).with_checked(Checked::All)
        }
    }
}

fn dimension_parser() -> impl clap::builder::TypedValueParser<Value = Dimension> {
    PossibleValuesParser::new(Dimension::ALL.map(Dimension::as_str)).try_map(|name| {
        let found = Dimension::ALL.into_iter().find(|dimension| dimension.as_str() == name);
        found.ok_or("not a dimension")
    })
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
    fn a_dimension_named_twice_counts_once() {
        let args = Args::parse_from(["fleet-report", "--by", "region,account,region"]);
        assert_eq!(args.by(), [Dimension::Region, Dimension::Account]);
    }
}
