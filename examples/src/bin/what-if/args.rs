//! What the command line says.

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, ValueEnum, builder::PossibleValuesParser, builder::TypedValueParser as _};
use jiff::Timestamp;
use patchkit_core::whatif::GroupBy;
use patchkit_examples::LakeFlags;

/// Tells what a change of patch baselines would do to a fleet: who falls out, who comes in, from when
/// and for which patches.
///
/// Exit codes: 0 done, and no node falls out; 1 done, and a node falls out or may, or data was lost;
/// 2 bad usage, or input that cannot be read.
#[derive(Debug, Parser)]
#[command(name = "what-if", version)]
pub(crate) struct Args {
    /// A data-sync lake: a directory, or s3://bucket/prefix; without it a small sample fleet is asked
    #[arg(long, value_name = "LAKE")]
    pub(crate) lake: Option<OsString>,
    #[command(flatten)]
    pub(crate) bucket: LakeFlags,
    /// The baselines as they are, as `aws ssm get-patch-baseline` answers them, one after the other;
    /// without it those that AWS predefines
    #[arg(long, value_name = "FILE", requires = "lake")]
    pub(crate) baselines: Option<PathBuf>,
    /// Patches with their dates, as `aws ssm describe-available-patches` lists them; without it delays
    /// have no say in a patch
    #[arg(long, value_name = "FILE", requires = "lake")]
    pub(crate) catalogue: Vec<PathBuf>,
    /// The baselines as they would be; without it those that are, with the changes that follow
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Reject this patch, as rejected lists name it
    #[arg(long, value_name = "PATCH")]
    pub(crate) reject: Vec<String>,
    /// Approve this patch at once, as approved lists name it
    #[arg(long, value_name = "PATCH")]
    pub(crate) approve: Vec<String>,
    /// Approve patches so many days after their release, wherever a rule has a delay
    #[arg(long, value_name = "DAYS")]
    pub(crate) approve_after_days: Option<u16>,
    /// Hold nodes against these baselines, whatever their own is: a `BaselineOverride`
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline_override: Option<PathBuf>,
    /// Suppose that this patch is installed where it is absent, as an install override list names it
    #[arg(long, value_name = "PATCH")]
    pub(crate) install: Vec<String>,
    /// The time that is asked about; without it now
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<Timestamp>,
    /// How many days to look ahead
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(..=3_660))]
    pub(crate) days: u16,
    /// What changes are counted by
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "account,platform,patch_group",
        value_parser = group_parser()
    )]
    by: Vec<GroupBy>,
    /// Explain one node, by its id
    #[arg(long, value_name = "NODE")]
    pub(crate) explain: Option<String>,
    /// What goes to standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// How many rows a table shows
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) top: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people
    Table,
    /// One object, documented in the README
    Json,
}

impl Args {
    /// The dimensions, each once.
    pub(crate) fn by(&self) -> Vec<GroupBy> {
        let mut by: Vec<GroupBy> = Vec::with_capacity(self.by.len());
        for dimension in &self.by {
            if !by.contains(dimension) {
                by.push(*dimension);
            }
        }
        by
    }
}

fn group_parser() -> impl clap::builder::TypedValueParser<Value = GroupBy> {
    PossibleValuesParser::new(GroupBy::ALL.map(GroupBy::as_str)).try_map(|name| {
        let found = GroupBy::ALL.into_iter().find(|by| by.as_str() == name);
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
        let args = Args::parse_from(["what-if", "--by", "platform,account,platform"]);
        assert_eq!(args.by(), [GroupBy::Platform, GroupBy::Account]);
    }
}
