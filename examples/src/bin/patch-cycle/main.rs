//! The whole patch cycle on a cloud in memory: scan, access check, tag check, plan, patch in two
//! waves, rescan, remediate, report.
//!
//! To run it on a real fleet, replace `MemoryCloud` by a provider: nothing else changes. That is what
//! `--aws` and `--azure` do, built with the features of these names: accounts and Regions, or
//! subscriptions, as one estate, and both as one fleet in which a machine of both is one node.

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "azure")]
mod azure;
#[cfg(any(feature = "aws", feature = "azure"))]
mod clouds;
mod cycle;
mod progress;
mod report;
mod saved;

use std::{io::Write, process::ExitCode};

use clap::{Parser, ValueEnum};
use patchkit_examples::Exit;

/// Patches a fleet in memory: scan, access check, plan, two waves, rescan, report.
///
/// Exit codes: 0 done; 1 done, and a node is not compliant or something failed; 2 bad usage. With
/// --plan-only nothing is done to the fleet, and the exit code is 0.
#[derive(Debug, Parser)]
#[command(name = "patch-cycle", version)]
#[command(group = clap::ArgGroup::new("clouds").multiple(true))]
struct Args {
    /// What the fleet is made from: the same seed makes the same fleet and the same run
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// How many nodes the fleet has
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    nodes: u32,
    /// Stop after printing the plan
    #[arg(long)]
    plan_only: bool,
    /// What goes to standard output; progress goes to standard error
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    saved: saved::SavedArgs,
    #[cfg(any(feature = "aws", feature = "azure"))]
    #[command(flatten)]
    clouds: clouds::CloudArgs,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// The plan and tables
    Table,
    /// One object: plan, nodes, undo_failed
    Json,
}

fn main() -> ExitCode {
    Exit::report(run(&Args::parse()))
}

/// Runs the cycle on the fleet that the arguments name.
async fn on_fleet(args: &Args, out: &mut impl Write) -> Result<Exit, Box<dyn std::error::Error>> {
    #[cfg(any(feature = "aws", feature = "azure"))]
    if args.clouds.any() {
        return Box::pin(clouds::run(args, out)).await;
    }
    Box::pin(cycle::in_memory(args, out)).await
}

fn run(args: &Args) -> Result<Exit, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut out = std::io::stdout().lock();
    let exit = runtime.block_on(on_fleet(args, &mut out))?;
    out.flush()?;
    Ok(exit)
}
