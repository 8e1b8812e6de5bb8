//! What a fleet of a hundred thousand nodes costs: to plan, to patch in virtual time, to write down,
//! and to go on with after half of it.
//!
//! ```text
//! cargo bench -p patchkit-journal --bench scale -- --nodes 100000
//! ```
//!
//! The cloud is the one in memory, the journal a real SQLite file. CPU time is that of the whole
//! process: the simulated cloud and SQLite are in it, so that PatchKit's own share is less. Times
//! and memory are read from `/proc`, so this needs Linux. `--nodes` and `--seed` change the fleet.

mod counted;
mod process;
mod time;

use std::{
    collections::BTreeMap,
    error::Error,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use patchkit_core::{
    Amount, ErrorKind, NodeSelector, Rollout, RunId, Wave, WaveMembers,
    memory::{Fault, MemoryCloud},
    observe::{RunEvent, RunEventKind},
    workflow::{Outcome, PatchOptions, PatchPlan, RunReport, Runner},
};
use patchkit_journal::SqliteJournal;

use self::{
    counted::Counted,
    process::{cpu, forget_peak, peak, resident},
    time::{Simulated, drive},
};

type Done<T> = Result<T, Box<dyn Error>>;

#[derive(Debug, Parser)]
struct Args {
    /// How many nodes there are.
    #[arg(long, default_value_t = 100_000)]
    nodes: usize,
    /// What the fleet follows from.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Done<()> {
    let args = Args::parse();
    let directory = tempfile::tempdir()?;
    let whole = World::new(&args, &directory.path().join("whole.db"))?;
    println!("{} nodes, of which {:.0} MB are the simulated cloud", args.nodes, resident());
    let plan = planned(&whole)?;
    let report = driven(&whole, &plan, args.nodes)?;
    // The write-ahead log is taken into the file when it is closed.
    drop(whole);
    let bytes = usize::try_from(std::fs::metadata(directory.path().join("whole.db"))?.len())?;
    println!("  journal: {:.0} bytes for each node", float(bytes) / float(args.nodes));
    let resumed = resumed(&args, &plan, &directory.path().join("half.db"))?;
    println!("  outcomes: {}", outcomes(&report));
    println!("  of the run that was resumed: {}", outcomes(&resumed));
    Ok(())
}

/// A fleet, a journal, and the time they share.
struct World {
    clock: Simulated,
    cloud: MemoryCloud,
    journal: Counted<SqliteJournal>,
}

impl World {
    fn new(args: &Args, journal: &Path) -> Done<Self> {
        let clock = Simulated::new("2026-11-24T02:00:00Z".parse()?);
        let cloud =
            MemoryCloud::builder().seed(args.seed).nodes(args.nodes).clock(clock.clone()).build();
        let journal = Counted::new(SqliteJournal::open(journal, clock.clone())?);
        Ok(Self { clock, cloud, journal })
    }

    fn runner(&self) -> Runner {
        Runner::new(
            self.cloud.clone(),
            self.cloud.clone(),
            self.journal.clone(),
            self.clock.clone(),
        )
    }

    fn drive<T>(&self, work: impl Future<Output = T>, until: impl Fn() -> bool) -> Option<T> {
        drive(&self.clock, self.journal.under_way(), work, until)
    }
}

/// A canary, a tenth, the rest; failures do not stop it, so that all of it is driven.
fn options() -> PatchOptions {
    let wave = |name, share| Wave::new(name, WaveMembers::Amount(Amount::Percent(share)));
    let rollout = Rollout::new()
        .with_wave(wave("canary", 1).with_bake(Duration::from_hours(1)))
        .with_wave(wave("early", 10).with_bake(Duration::from_hours(1)))
        .with_disruption(Amount::Percent(50))
        .with_errors(Amount::Percent(100));
    PatchOptions::new(NodeSelector::all())
        .with_start(NodeSelector::all())
        .with_fresh(Duration::ZERO)
        .with_rollout(rollout)
}

fn planned(world: &World) -> Done<PatchPlan> {
    let before = resident();
    forget_peak()?;
    let (begun, used) = (Instant::now(), cpu());
    let options = options();
    let runner = world.runner();
    let plan = world.drive(runner.plan_patch(&options), || false);
    let plan = plan.ok_or("a plan has an end")??;
    let (wall, used) = (begun.elapsed(), cpu().saturating_sub(used));
    println!(
        "plan: {:.2} s ({:.2} s of CPU), {:.0} MB at most beside the cloud",
        wall.as_secs_f64(),
        used.as_secs_f64(),
        peak() - before,
    );
    let begun = Instant::now();
    let hash = plan.hash();
    println!("  hashed in {:.2} s: {}", begun.elapsed().as_secs_f64(), &hash[..12]);
    Ok(plan)
}

fn driven(world: &World, plan: &PatchPlan, nodes: usize) -> Done<RunReport> {
    let (began, begun, used) = (world.clock.at(), Instant::now(), cpu());
    let runner = world.runner();
    let run = RunId::new("whole")?;
    let report = world.drive(runner.patch(&run, plan), || false);
    let report = report.ok_or("a run has an end")??;
    let used = cpu().saturating_sub(used);
    println!(
        "run: {:.1} h of virtual time in {:.1} s, {:.3} ms of CPU for each node",
        world.clock.at().duration_since(began).as_secs_f64() / 3600.0,
        begun.elapsed().as_secs_f64(),
        used.as_secs_f64() * 1e3 / float(nodes),
    );
    Ok(report)
}

/// Runs until half of the nodes are over, dies, and goes on with the file that is left.
fn resumed(args: &Args, plan: &PatchPlan, file: &Path) -> Done<RunReport> {
    let world = World::new(args, file)?;
    let over = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&over);
    let half = plan.nodes.len() / 2 + plan.skipped.len();
    let runner = world.runner().with_observer(move |event: &RunEvent| {
        if let RunEventKind::NodeFinished { .. } = event.kind {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let run = RunId::new("half")?;
    let dies = world.drive(runner.patch(&run, plan), || over.load(Ordering::Relaxed) >= half);
    if dies.is_some() {
        return Err("the run was over before it could die".into());
    }
    let World { clock, cloud, journal } = world;
    drop((runner, journal));
    clock.advance(Duration::from_mins(10));
    let journal = Counted::new(SqliteJournal::open(file, clock.clone())?);
    let world = World { clock, cloud, journal };

    // What a resumption does by itself ends with its first call to the provider.
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    world.cloud.on_call(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Fault::Pass
    });
    let runner = world.runner();
    let (begun, used) = (Instant::now(), cpu());
    let first = world.drive(runner.resume(&run), || calls.load(Ordering::Relaxed) > 0);
    if first.is_some() {
        return Err("a resumption without any call".into());
    }
    println!(
        "resume: {:.2} s ({:.2} s of CPU) up to its first call to the provider",
        begun.elapsed().as_secs_f64(),
        cpu().saturating_sub(used).as_secs_f64(),
    );
    world.clock.advance(Duration::from_mins(10));
    let begun = Instant::now();
    let report = world.drive(runner.resume(&run), || false).ok_or("a run has an end")??;
    println!("  the other half in {:.1} s", begun.elapsed().as_secs_f64());
    let again = world.drive(runner.resume(&run), || false);
    match again {
        Some(Err(error)) if error.kind() == ErrorKind::Conflict => Ok(report),
        _ => Err("the run was not over".into()),
    }
}

fn outcomes(report: &RunReport) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for node in &report.nodes {
        let word: Outcome = node.outcome.outcome;
        *counts.entry(word.to_string()).or_default() += 1;
    }
    let counts = counts.into_iter().map(|(word, count)| format!("{count} {word}"));
    counts.collect::<Vec<_>>().join(", ")
}

#[expect(clippy::cast_precision_loss, reason = "numbers of nodes and bytes, for people")]
fn float(number: usize) -> f64 {
    number as f64
}
