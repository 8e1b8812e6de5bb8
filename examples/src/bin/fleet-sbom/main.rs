//! Writes what nodes run as CycloneDX, one node or all of them, tells what differs between two, and which advisories hit a fleet.

mod args;
mod bills;
mod differences;
mod fleet;
mod json;
mod matches;
mod tables;

use std::{
    io::{BufWriter, Write},
    process::ExitCode,
};

use args::{Args, Bill, Format, Question};
use clap::Parser;
use fleet::Fleet;
use patchkit_core::{Clock, SystemClock};
use patchkit_examples::{Exit, Failure, tell, write_json};
use patchkit_report::Sbom;

type Answer = Result<Exit, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    Exit::report(run(&Args::parse()))
}

fn run(args: &Args) -> Answer {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let exit = match &args.question {
        None => runtime.block_on(bill(args, &mut out))?,
        Some(Question::Diff(asked)) => {
            let diff = runtime.block_on(differences::find(args, asked))?;
            match asked.format {
                Format::Table => tables::diff(&mut out, &diff, asked)?,
                Format::Json => json::diff(&mut out, &diff)?,
            }
            if diff.changes.is_empty() { Exit::Clean } else { Exit::Findings }
        }
        Some(Question::Match(asked)) => {
            let matches = runtime.block_on(matches::find(args, asked))?;
            match asked.format {
                Format::Table => tables::matches(&mut out, &matches, asked.top)?,
                Format::Json => json::matches(&mut out, &matches)?,
            }
            matches.exit()
        }
    };
    out.flush()?;
    Ok(exit)
}

async fn bill(args: &Args, out: &mut impl Write) -> Answer {
    let Bill { node, out: folder, at, serial, spec, .. } = &args.bill;
    if folder.is_none() && node.len() > 1 {
        return Err(Failure::new("of several nodes the bills go into a folder: give --out").into());
    }
    let fleet = Fleet::open(args).await?;
    let at = at.unwrap_or_else(|| SystemClock.now());
    if let Some(folder) = folder {
        return bills::write(&fleet, &args.bill, folder, at, out).await;
    }
    let software = fleet.software(node.first().map(String::as_str)).await?;
    let mut sbom = Sbom::new(&software, at)?.with_spec((*spec).into());
    if let Some(serial) = serial {
        sbom =
            sbom.with_serial(serial.parse().map_err(|error| {
                Failure::new(format!("--serial {serial:?} is no UUID: {error}"))
            })?);
    }
    write_json(out, &sbom)?;
    let lost = software.coverage.lost();
    if lost == 0 {
        return Ok(Exit::Clean);
    }
    tell(&format!("{lost} rows of the node's list could not be read: the bill is incomplete"));
    Ok(Exit::Findings)
}
