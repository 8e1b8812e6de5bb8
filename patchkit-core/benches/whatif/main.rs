//! What it costs to hold 100,000 nodes with 2,000 patches against a baseline, to compare two
//! baselines, and to look 30 days ahead, beside Polars on the same data in the same run.
//!
//! ```text
//! cargo bench -p patchkit-core --bench whatif -- --python PATH
//! ```
//!
//! Both have all patches of all nodes in memory before the clock runs. Polars is given the decisions
//! of the baselines, PatchKit takes them itself, from the rules. Each question is asked in rounds,
//! one program after the other, many times a round, and both must give the same answer to all of
//! them, without which nothing is compared. `--nodes`, `--patches`, `--rounds` and `--seed` change
//! what is asked. Polars' half is `polars_half.py`: filters, semi joins and groups by its own query
//! engine, on integers.
//!
//! PatchKit and Polars are a process each; CPU time (user and system) and peak memory (`VmHWM`) are
//! read from `/proc`, so this needs Linux.

mod data;
mod engine;
mod process;
mod report;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use self::{
    data::Fleet,
    process::Process,
    report::{Report, Row},
};

#[derive(Debug, Parser)]
struct Args {
    /// How many nodes there are.
    #[arg(long, default_value_t = 100_000)]
    nodes: u32,
    /// How many patches there are, a tenth of them on each node.
    #[arg(long, default_value_t = 2_000)]
    patches: u16,
    /// How often each question is asked in turn.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// What the fleet follows from.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// A Python that has Polars and NumPy; else python3.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// Print compliance under one baseline as one JSON object, and nothing else.
    #[arg(long)]
    json: bool,
    /// What this process is: itself the bench, which starts the others.
    #[arg(long, hide = true)]
    part: Option<Part>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    Engine,
}

/// The questions, and how often each is asked without a pause: the times of Linux are hundredths
/// of a second.
const QUESTIONS: [(&str, &str, u32, u32); 4] = [
    ("judge", "compliance under one baseline", 1_000, 10),
    ("blocked", "the same, rejected patches blocked", 100, 3),
    ("what_if", "who changes between two baselines", 50, 3),
    ("forecast", "who falls out when, 30 days ahead", 50, 3),
];

fn main() -> ExitCode {
    let args = Args::parse();
    match args.part {
        None => compare(&args),
        Some(Part::Engine) => engine::main(),
    }
}

fn compare(args: &Args) -> ExitCode {
    let Some(version) = version(&args.python) else {
        let requirements = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/whatif/requirements.txt");
        eprintln!(
            "{} has no Polars. Install what requirements.txt pins:\n    \
             python3 -m venv VENV\n    \
             VENV/bin/pip install --requirement {requirements}\n\
             and say --python VENV/bin/python.",
            args.python.display()
        );
        return ExitCode::FAILURE;
    };
    let folder = tempfile::tempdir().expect("there is room for a fleet");
    let fleet = Fleet { nodes: args.nodes, patches: args.patches, seed: args.seed };
    let pairs = fleet.write(folder.path()).expect("there is room for a fleet");
    let this = env::current_exe().expect("a process knows its program");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/whatif/polars_half.py");
    let mut ours = Process::start(Command::new(this).args(["--part", "engine"]));
    let mut theirs = Process::start(Command::new(&args.python).arg(script));
    let load = json!({"folder": folder.path(), "nodes": args.nodes, "patches": args.patches,
                      "seed": args.seed});
    let loaded = [&mut ours, &mut theirs].map(|half| half.ask(&load));
    let mut rows = Vec::new();
    for (name, title, our_times, their_times) in QUESTIONS {
        let mut row = Row::new(title);
        for _ in 0..args.rounds {
            row.ours.add(&mut ours, name, our_times);
            row.theirs.add(&mut theirs, name, their_times);
        }
        rows.push(row);
    }
    let deciding = ours_only(&mut ours, "decide", args.rounds);
    let report = Report {
        size: format!("{} nodes, {} patches, {pairs} patches on nodes", args.nodes, args.patches),
        version,
        loaded: loaded.map(|it| it["seconds"].as_f64().unwrap_or_default()),
        plane_bytes: ours.ask(&json!({"ask": "bytes", "times": 1}))["answer"].clone(),
        peaks: [ours.peak_kilobytes(), theirs.peak_kilobytes()],
        deciding,
        rows,
    };
    if args.json {
        println!("{}", report.to_json());
    } else {
        println!("{report}");
    }
    if report.is_fair() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The median of what only PatchKit is asked, in seconds.
fn ours_only(ours: &mut Process, name: &str, rounds: usize) -> f64 {
    let mut row = Row::new(name);
    (0..rounds).for_each(|_| row.ours.add(ours, name, 100));
    row.ours.wall()
}

/// The versions of Polars and Python; `None` without Polars or NumPy.
fn version(python: &Path) -> Option<String> {
    let ask = "import numpy, polars, platform; print('Polars', polars.__version__, 'on Python', \
               platform.python_version())";
    let answer = Command::new(python).args(["-c", ask]).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    answer.status.success().then(|| text.trim().to_owned())
}

/// What a half is asked: to load, or a question so many times.
#[derive(Debug)]
enum Asked {
    Load(Value),
    Question(String, u64),
}

impl Asked {
    fn read(value: Value) -> Self {
        match value["ask"].as_str() {
            Some(name) => Self::Question(name.to_owned(), value["times"].as_u64().unwrap_or(1)),
            None => Self::Load(value),
        }
    }
}
