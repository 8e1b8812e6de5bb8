//! Patches a fleet in memory, and calls a command and an address around its waves and nodes.
//!
//! ```sh
//! patch-hooks --exec ./drain.sh --zone-budget 1
//! ```

use std::{ffi::OsString, io::Write, process::ExitCode};

use clap::Parser;
use patchkit_core::{
    Amount, Budget, HookPoint, NodeKey, NodeSelector, Rollout, RunId, Wave,
    memory::{MemoryCloud, MemoryJournal},
    workflow::{Limits, PatchOptions, Runner},
};
#[cfg(feature = "http")]
use patchkit_examples::HttpHook;
use patchkit_examples::{Exit, HurriedClock, ShellHook, printable};

/// Patches a fleet in memory and calls what is given around it. Nothing real is patched.
#[derive(Debug, Parser)]
#[command(name = "patch-hooks", version)]
struct Args {
    /// A command for each node, before and after; what it is called for is in PATCHKIT_… and on its input
    #[arg(long)]
    exec: Option<OsString>,
    /// An argument of the command; again for more
    #[arg(long = "arg", allow_hyphen_values = true, requires = "exec")]
    arguments: Vec<OsString>,
    /// An address that is posted to before and after the run and each wave
    #[cfg(feature = "http")]
    #[arg(long)]
    post: Option<String>,
    /// How many nodes the fleet has
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    nodes: u32,
    /// How many nodes of one account are out of work at once
    #[arg(long, default_value_t = 1)]
    at_once: u32,
    /// How many times faster than the machine's clock the fleet's goes
    #[arg(long, default_value_t = 3_600)]
    speed: u32,
}

fn main() -> ExitCode {
    Exit::report(run(&Args::parse()))
}

fn run(args: &Args) -> Result<Exit, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Box::pin(patch(args)))
}

async fn patch(args: &Args) -> Result<Exit, Box<dyn std::error::Error>> {
    let clock = HurriedClock::new("2026-11-24T02:00:00Z".parse()?, args.speed);
    let fleet =
        MemoryCloud::builder().seed(7).nodes(usize::try_from(args.nodes)?).clock(clock).build();
    let mut limits = Limits::default();
    // They take their time on the machine's clock.
    limits.hook = limits.hook.saturating_mul(args.speed);
    let journal = MemoryJournal::new(clock);
    let mut runner = Runner::new(fleet.clone(), fleet, journal, clock).with_limits(limits);
    if let Some(program) = &args.exec {
        let points = [HookPoint::BeforeNode, HookPoint::AfterNode];
        let hook = ShellHook::new("exec", points, program);
        runner = runner.with_hook(args.arguments.iter().fold(hook, ShellHook::with_argument));
    }
    #[cfg(feature = "http")]
    if let Some(address) = &args.post {
        let points = [
            HookPoint::BeforeRun,
            HookPoint::BeforeWave,
            HookPoint::AfterWave,
            HookPoint::AfterRun,
        ];
        runner = runner.with_hook(HttpHook::new("post", points, address)?);
    }
    let rollout = Rollout::new()
        .with_wave(Wave::spread("canary", Amount::Fixed(1), NodeKey::Account))
        .with_disruption(Amount::Percent(100))
        .with_errors(Amount::Percent(100))
        .with_budget(Budget::per(NodeKey::Account, Amount::Fixed(args.at_once)));
    let options = PatchOptions::new(NodeSelector::all())
        .with_start(NodeSelector::all())
        .with_rollout(rollout);
    let plan = runner.plan_patch(&options).await?;
    let report = runner.patch(&RunId::new("2026-11-24")?, &plan).await?;
    let mut out = std::io::stdout().lock();
    // Names and notes are others' words.
    for line in plan.to_string().lines().chain(report.to_string().lines()) {
        writeln!(out, "{}", printable(line))?;
    }
    for node in report.nodes.iter().filter(|node| !node.outcome.notes.is_empty()) {
        let notes = node.outcome.notes.join("; ");
        let line = format!("  {}: {}: {notes}", node.node, node.outcome.outcome);
        writeln!(out, "{}", printable(&line))?;
    }
    out.flush()?;
    Ok(if report.is_clean() { Exit::Clean } else { Exit::Findings })
}
