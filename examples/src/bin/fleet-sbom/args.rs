//! What the command line says.

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use patchkit_examples::LakeFlags;
use patchkit_report::SpecVersion;

/// Writes what a node runs as CycloneDX; with a command, tells what differs between two nodes or which
/// advisories hit a fleet.
///
/// Exit codes: 0 done, and nothing is wrong; 1 done, and two nodes differ, an advisory hits or may hit, or
/// data was lost; 2 bad usage, or input that cannot be read.
#[derive(Debug, Parser)]
#[command(name = "fleet-sbom", version, args_conflicts_with_subcommands = false)]
pub(crate) struct Args {
    /// A data-sync lake: a directory, or s3://bucket/prefix; without it a small sample lake is made and
    /// read
    #[arg(long, value_name = "LAKE", global = true)]
    pub(crate) lake: Option<OsString>,
    #[command(flatten)]
    pub(crate) bucket: LakeFlags,
    #[command(flatten)]
    pub(crate) bill: Bill,
    #[command(subcommand)]
    pub(crate) question: Option<Question>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Bill {
    /// The node, by its id; without it the first one that has a list. With --out several may be given,
    /// and without any of them every live node has its bill
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Vec<String>,
    /// A folder that is empty or not there yet, for one bill of each node
    #[arg(long, value_name = "DIR", conflicts_with = "serial")]
    pub(crate) out: Option<PathBuf>,
    /// Bills of nodes that are not live, too
    #[arg(long, requires = "out", conflicts_with = "node")]
    pub(crate) all: bool,
    /// The time that the bill carries; without it now
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<Timestamp>,
    /// The serial number that it carries; without it one is made of what it says
    #[arg(long, value_name = "UUID")]
    pub(crate) serial: Option<String>,
    /// Which edition of CycloneDX is written
    #[arg(long, value_enum, default_value_t = Spec::Newest)]
    pub(crate) spec: Spec,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Question {
    /// What differs between two nodes, or a node and an earlier bill of it
    Diff(Diff),
    /// Which advisories hit which nodes
    Match(Match),
}

#[derive(clap::Args, Debug)]
pub(crate) struct Diff {
    /// A node, by its id, or a file that this program wrote
    #[arg(value_name = "BEFORE")]
    pub(crate) before: String,
    /// Another one
    #[arg(value_name = "AFTER")]
    pub(crate) after: String,
    /// What goes to standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Match {
    /// Advisories in the OSV schema: a file, or a directory of them; without it a few for the sample
    #[arg(long, value_name = "PATH")]
    pub(crate) advisories: Vec<PathBuf>,
    /// An index of Debian's or Ubuntu's packages, which tells the sources that they are built of
    #[arg(long, value_name = "FILE")]
    pub(crate) packages: Vec<PathBuf>,
    /// Only these nodes, by their ids
    #[arg(long, value_name = "NODE")]
    pub(crate) only: Vec<String>,
    /// Nodes that are not live, too
    #[arg(long, conflicts_with = "only")]
    pub(crate) all: bool,
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
    /// One object
    Json,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Spec {
    /// 1.6, for readers that know no newer one
    #[value(name = "1.6")]
    V1_6,
    /// The newest, 1.7
    #[value(name = "1.7")]
    Newest,
}

impl From<Spec> for SpecVersion {
    fn from(spec: Spec) -> Self {
        match spec {
            Spec::V1_6 => Self::V1_6,
            Spec::Newest => Self::V1_7,
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
}
