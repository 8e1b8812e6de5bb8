//! A small daemon that carries out four schedules of patching: scan, access check, tag check, patch.
//!
//! It is an example of embedding PatchKit, and small: what it does is in the library.
//! - One job after the other: a scan claims the nodes that it scans, and a patch run that begins
//!   beside it would leave them out.
//! - An occurrence is a run's name in the journal: no restart and no second daemon repeats it. A rate
//!   counts from one fixed moment, not from the daemon's start.
//! - SIGTERM pauses and does not cancel: a cancelled run is over, a paused one is gone on with by the
//!   next daemon. An operator's own pause is not lifted.
//! - What died is looked for all the time, by its lease: the daemon that was killed may have been
//!   another one.

mod config;
mod daemon;
mod drain;
mod fleet;
mod job;
mod serve;
mod state;

use std::{io::Write, path::PathBuf, process::ExitCode, sync::Arc};

use clap::Parser;
use jiff::SignedDuration;
use patchkit_core::Clock;
use patchkit_examples::{Exit, printable};

use self::{config::Config, daemon::Daemon};

/// Scans, checks access and tags, and patches, each on its schedule.
///
/// Health is at /healthz and /readyz, metrics are at /metrics, what the runs do goes to standard output
/// as lines of JSON. On SIGTERM nothing new is begun, what is under way is waited for, and the runs
/// are taken up again on the next start.
#[derive(Debug, Parser)]
#[command(name = "patchd", version)]
struct Args {
    /// The configuration: see examples/etc/patchd.toml
    config: PathBuf,
    /// Only read the configuration, and tell what is wrong with it and what comes when
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    Exit::report(run(&Args::parse()))
}

fn run(args: &Args) -> Result<Exit, Box<dyn std::error::Error>> {
    let config = Config::read(&args.config)?;
    let clock = fleet::clock(&config);
    if args.check {
        return check(&config, clock.as_ref());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let daemon = Daemon::start(config, clock).await?;
        daemon.run().await
    })
}

/// Tells what comes in the next ninety days, and what is wrong with it.
fn check(config: &Config, clock: &dyn Clock) -> Result<Exit, Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    let from = clock.now();
    let until = from.saturating_add(SignedDuration::from_hours(24 * 90))?;
    for job in config.jobs()? {
        let next: Vec<String> =
            job.timetable.occurrences(from)?.take(3).map(|at| at.to_string()).collect();
        let next = if next.is_empty() { "never".to_owned() } else { next.join(", ") };
        writeln!(out, "{:6}  {}  next: {next}", job.name, job.timetable)?;
    }
    let findings = config.lint(from, until)?;
    for finding in &findings {
        writeln!(out, "warning: {}", printable(&finding.to_string()))?;
    }
    Ok(if findings.is_empty() { Exit::Clean } else { Exit::Findings })
}

/// A clock that is shared.
type SharedClock = Arc<dyn Clock>;
