//! `cargo xtask bench`: what PatchKit takes beside what people would use instead, in one run.

mod lake;
mod row;
mod run;
mod snapshot;
mod sql;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};

pub(crate) use self::lake::home;
use crate::workspace::Workspace;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Bench {
    /// A data-sync lake beside DuckDB, Polars, DataFusion and orjson with pandas, and what-if beside
    /// Polars
    Lake(Lake),
    /// SQL over a lake, its snapshot and its Parquet export, beside DuckDB and DataFusion over the lake
    Sql(Lake),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Lake {
    /// Print one JSON object a line, and nothing else, to stdout
    #[arg(long)]
    json: bool,
    /// Take this lake instead of making one
    #[arg(long = "lake", value_name = "DIR")]
    at: Option<PathBuf>,
    /// How many nodes a lake has that is made
    #[arg(long, default_value_t = 10_000)]
    nodes: usize,
    /// How often each pair runs in turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only these works
    #[arg(long, value_delimiter = ',', value_name = "WORK")]
    only: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, bench: &Bench) -> Result<ExitCode> {
    match bench {
        Bench::Lake(lake) => lake::run(workspace, lake),
        Bench::Sql(lake) => sql::run(workspace, lake),
    }
}
