//! Answers SQL over a data-sync lake, on disk or in S3.

mod args;
mod cell;
mod guide;
mod lake;
mod output;
mod target;

use std::process::ExitCode;

use args::Args;
use clap::Parser;
use futures::TryStreamExt;
use output::Output;
use patchkit_core::ErrorKind;
use patchkit_examples::{Exit, Failure, printable, tell};
use patchkit_inventory::LakeReading;
use target::Target;

/// How many of the lost lines are named; a query of `lake_problems` lists all.
const NAMED: usize = 3;

fn main() -> ExitCode {
    Exit::report(run(&Args::parse()))
}

fn run(args: &Args) -> Result<Exit, Box<dyn std::error::Error>> {
    let Some(query) = &args.query else {
        guide::write(&mut std::io::stdout().lock())?;
        return Ok(Exit::Clean);
    };
    args.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let reading = runtime.block_on(answer(args, query))?;
    Ok(tell_loss(&reading))
}

async fn answer(args: &Args, query: &str) -> Result<LakeReading, Box<dyn std::error::Error>> {
    let lake = lake::open(args).await?;
    // One row more than is wanted tells whether there are more.
    let limits = args.limits();
    let mut answer = lake.query(query, limits).await.map_err(|error| explain(&error, args))?;
    // A query that fails at once writes nothing.
    let mut next = answer.try_next().await.map_err(|error| explain(&error, args))?;
    let target = Target::open(args.output.as_deref())?;
    let mut output = Output::begin(args.format, target, &answer.schema())?;
    let (mut left, mut is_cut) = (args.max_rows(), false);
    while let Some(batch) = next.take() {
        is_cut = batch.num_rows() > left;
        let batch = batch.slice(0, batch.num_rows().min(left));
        left -= batch.num_rows();
        output.take(&batch)?;
        if is_cut {
            break;
        }
        next = answer.try_next().await.map_err(|error| explain(&error, args))?;
    }
    output.finish()?;
    if is_cut {
        tell(&format!("there are more rows than {}: --max-rows shows more", args.max_rows()));
    }
    Ok(answer.reading())
}

/// Names the flag that may help.
fn explain(error: &patchkit_core::Error, args: &Args) -> Failure {
    let report = printable(&error.report());
    match error.kind() {
        ErrorKind::Timeout => Failure::new(format!("{report}; --timeout gives it more time")),
        ErrorKind::InvalidInput if report.to_lowercase().contains("memory") => {
            Failure::new(format!("{report}; --memory gives it more than {} MiB", args.memory))
        }
        _ => Failure::new(report),
    }
}

/// Says what was lost of the lake, for an answer has no place for it.
fn tell_loss(reading: &LakeReading) -> Exit {
    let lost = reading.skipped.total();
    if lost == 0 {
        return Exit::Clean;
    }
    tell(&format!("{lost} lines or objects were lost; all are in the table lake_problems:"));
    for entry in reading.skipped.entries().iter().take(NAMED) {
        let line = entry.line.map_or_else(String::new, |line| format!(" line {line}"));
        tell(&printable(&format!("  {}{line}: {}", entry.key, entry.reason)));
    }
    Exit::Findings
}
