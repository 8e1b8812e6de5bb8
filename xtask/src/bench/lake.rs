//! `cargo xtask bench lake`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};
use cargo_metadata::Message;
use serde_json::Value;

use super::{
    Lake,
    row::Row,
    run::{Run, measure},
    snapshot,
};
use crate::{step::cargo, venv, workspace::Workspace};

/// What is asked, and of whom besides us. A snapshot's peers read the lake itself, for they keep none.
const WORKS: [(&str, &[&str]); 4] = [
    ("q1", &["duckdb", "orjson+pandas", "polars"]),
    ("q2", &["duckdb"]),
    ("q3a", &["datafusion"]),
    ("q3b", &["datafusion"]),
];

/// Who is asked for every row of a lake with dirt in it.
const OF_DIRT: [&str; 1] = ["datafusion"];

/// A work that costs the peer minutes is not repeated as often.
const LONG_ROUNDS: usize = 3;

fn run_all(bench: &Bench<'_>, tell: &mut dyn FnMut(Row)) -> Result<()> {
    for (work, peers) in WORKS {
        for peer in peers.iter().filter(|_| bench.wants(work)) {
            let rounds = bench.rounds(|| {
                Ok((
                    measure(&mut bench.ours(work, &bench.lake)?)?,
                    measure(&mut bench.peer(peer, work, &bench.lake)?)?,
                ))
            })?;
            tell(Row::of(work, peer, &rounds));
        }
    }
    if bench.wants("dirty") {
        dirty(bench, tell)?;
    }
    if bench.wants("snapshot") {
        snapshot::rows(bench, tell)?;
    }
    if bench.wants("whatif") {
        tell(what_if(bench)?);
    }
    Ok(())
}

pub(crate) fn run(workspace: &Workspace, options: &Lake) -> Result<ExitCode> {
    let bench = Bench::prepare(workspace, options)?;
    bench.tell(|tell| run_all(&bench, tell))
}

/// All that the works need.
pub(super) struct Bench<'a> {
    options: &'a Lake,
    workspace: &'a Workspace,
    ours: PathBuf,
    python: PathBuf,
    pub(super) lake: PathBuf,
    /// Where lakes are made and exports are written.
    pub(super) room: PathBuf,
}

impl<'a> Bench<'a> {
    pub(super) fn prepare(workspace: &'a Workspace, options: &'a Lake) -> Result<Self> {
        let python = venv::peers(workspace)?;
        let ours =
            build(&["--package", "patchkit-inventory", "--features", "parquet,snapshot"], "lake")?;
        let room = workspace.target.join("bench-lake");
        fs::create_dir_all(&room)?;
        let lake = match &options.at {
            Some(lake) => fs::canonicalize(lake).with_context(|| lake.display().to_string())?,
            None => made(&ours, &room, options.nodes)?,
        };
        Ok(Self { options, workspace, ours, python, lake, room })
    }

    /// Prints each row as it comes; answers that differ fail.
    pub(super) fn tell(
        &self,
        rows: impl FnOnce(&mut dyn FnMut(Row)) -> Result<()>,
    ) -> Result<ExitCode> {
        if !self.options.json {
            println!("{}", Row::head());
        }
        let mut differ = false;
        rows(&mut |row| {
            differ |= row.agree == Some(false);
            if self.options.json {
                println!("{}", row.to_json());
            } else {
                println!("{row}");
            }
        })?;
        Ok(if differ { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    pub(super) fn wants(&self, work: &str) -> bool {
        self.options.only.is_empty() || self.options.only.iter().any(|only| only == work)
    }

    /// Ours and the peer's in turn: what disturbs the machine disturbs both.
    pub(super) fn rounds(
        &self,
        mut pair: impl FnMut() -> Result<(Run, Run)>,
    ) -> Result<Vec<(Run, Run)>> {
        (0..self.options.rounds.max(1)).map(|_| pair()).collect()
    }

    /// As [`rounds`](Self::rounds), of a pair that takes long.
    pub(super) fn few_rounds(
        &self,
        mut pair: impl FnMut() -> Result<(Run, Run)>,
    ) -> Result<Vec<(Run, Run)>> {
        (0..self.options.rounds.clamp(1, LONG_ROUNDS)).map(|_| pair()).collect()
    }

    /// A fresh place for what a work writes.
    fn out(&self, work: &str) -> Result<Option<PathBuf>> {
        if work != "q3b" {
            return Ok(None);
        }
        let out = self.room.join("out");
        if out.exists() {
            fs::remove_dir_all(&out)?;
        }
        Ok(Some(out))
    }

    pub(super) fn ours(&self, work: &str, lake: &Path) -> Result<Command> {
        let mut command = Command::new(&self.ours);
        command.arg(work).arg(lake).args(self.out(work)?);
        Ok(command)
    }

    pub(super) fn peer(&self, peer: &str, work: &str, lake: &Path) -> Result<Command> {
        let mut command = Command::new(&self.python);
        command.arg(home(self.workspace).join("peers.py")).args([peer, work]);
        command.arg(lake).args(self.out(work)?);
        Ok(command)
    }
}

/// Where the peers' half and its pins are.
pub(crate) fn home(workspace: &Workspace) -> PathBuf {
    workspace.root.join("patchkit-inventory").join("benches").join("lake")
}

/// Builds a bench and gives its program; what cargo says goes to stderr.
pub(super) fn build(what: &[&str], name: &str) -> Result<PathBuf> {
    let mut command =
        cargo(["build", "--profile", "bench", "--message-format", "json-render-diagnostics"]);
    command.args(what).args(["--bench", name]).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let done = command.output().context("cargo build")?;
    if !done.status.success() {
        bail!("the bench {name} does not build");
    }
    let messages = Message::parse_stream(&*done.stdout).filter_map(Result::ok);
    messages
        .filter_map(|message| match message {
            Message::CompilerArtifact(artifact) if artifact.target.name == name => {
                artifact.executable
            }
            _ => None,
        })
        .last()
        .map(Into::into)
        .with_context(|| format!("cargo names no program for the bench {name}"))
}

/// A lake of so many nodes, made once.
fn made(ours: &Path, room: &Path, nodes: usize) -> Result<PathBuf> {
    let lake = room.join(format!("lake-{nodes}"));
    // Written last: a lake without it was broken off.
    let whole = room.join(format!("lake-{nodes}.whole"));
    if !whole.exists() {
        if lake.exists() {
            fs::remove_dir_all(&lake)?;
        }
        eprintln!("making a lake of {nodes} nodes");
        answer(Command::new(ours).arg("make").arg(&lake).arg(nodes.to_string()))?;
        fs::write(&whole, "")?;
    }
    Ok(lake)
}

/// The answer of a program that must have one.
pub(super) fn answer(command: &mut Command) -> Result<Value> {
    measure(command)?.answer.map_err(anyhow::Error::msg)
}

/// A lake with every kind of dirt, held against what the dirt is known to cost, beside the same pass
/// over the lake without it and beside whoever else reads every row.
fn dirty(bench: &Bench<'_>, tell: &mut dyn FnMut(Row)) -> Result<()> {
    let dirty = bench.room.join("dirty");
    if dirty.exists() {
        fs::remove_dir_all(&dirty)?;
    }
    let spoil = || {
        let mut command = Command::new(&bench.ours);
        command.arg("spoil").arg(&bench.lake).arg(&dirty);
        command
    };
    let expected = answer(&mut spoil())?;
    let rounds = bench.rounds(|| {
        let ours = measure(&mut bench.ours("dirty", &dirty)?)?;
        let mut clean = measure(&mut bench.ours("dirty", &bench.lake)?)?;
        // The clean pass has another answer by design: what counts is what is known of the dirt.
        clean.answer = clean.answer.map(|_| expected.clone());
        Ok((ours, clean))
    })?;
    tell(Row::of("dirty", "clean, known losses", &rounds));
    for peer in OF_DIRT {
        let rounds = bench.few_rounds(|| {
            Ok((
                measure(&mut bench.ours("dirty", &dirty)?)?,
                measure(&mut bench.peer(peer, "q3a", &dirty)?)?,
            ))
        })?;
        tell(Row::of("dirty", peer, &rounds));
    }
    fs::remove_dir_all(&dirty)?;
    Ok(())
}

/// The bench of core, which runs its own rounds of both.
fn what_if(bench: &Bench<'_>) -> Result<Row> {
    let program = build(&["--package", "patchkit-core"], "whatif")?;
    let rounds = bench.options.rounds.max(1).to_string();
    let mut command = Command::new(program);
    command.arg("--json").arg("--python").arg(&bench.python).args(["--rounds", &rounds]);
    command.current_dir(env::temp_dir());
    let said = answer(&mut command)?;
    let number = |name: &str| said[name].as_f64().unwrap_or(f64::NAN);
    Ok(Row {
        work: "whatif",
        peer: "polars".to_owned(),
        ours_wall: number("ours_wall_s"),
        peer_wall: number("peer_wall_s"),
        wall_ratio: number("wall_ratio"),
        cpu_ratio: number("cpu_ratio"),
        ours_peak: number("ours_peak_mib"),
        peer_peak: number("peer_peak_mib"),
        agree: said["agree"].as_bool(),
        peer_error: None,
    })
}
