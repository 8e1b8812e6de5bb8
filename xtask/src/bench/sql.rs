//! `cargo xtask bench sql`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Result;

use super::{
    Lake,
    lake::{Bench, answer, build},
    row::Row,
    run::measure,
};
use crate::workspace::Workspace;

/// The works by what is asked, each with its name for both questions.
const PLACES: [(&str, [&str; 2]); 3] = [
    ("lake", ["lake q1", "lake q2"]),
    ("snapshot", ["kept q1", "kept q2"]),
    ("export", ["export q1", "export q2"]),
];

const QUESTIONS: [&str; 2] = ["q1", "q2"];

/// Who answers in SQL over the lake itself: they keep nothing.
const PEERS: [&str; 2] = ["duckdb", "datafusion"];

pub(super) fn run(workspace: &Workspace, options: &Lake) -> Result<ExitCode> {
    let features = "parquet,snapshot,sql";
    let program = build(&["--package", "patchkit-inventory", "--features", features], "sql")?;
    let bench = Bench::prepare(workspace, options)?;
    let places = [bench.lake.clone(), kept(&bench)?, exported(&bench)?];
    bench.tell(|tell| {
        for ((place, works), folder) in PLACES.iter().zip(&places) {
            for (question, work) in QUESTIONS.iter().zip(works) {
                for peer in PEERS.iter().filter(|_| bench.wants(place)) {
                    let rounds = bench.rounds(|| {
                        let ours = measure(&mut asked(&program, place, folder, question))?;
                        Ok((ours, measure(&mut bench.peer(peer, question, &bench.lake)?)?))
                    })?;
                    tell(Row::of(work, peer, &rounds));
                }
            }
        }
        Ok(())
    })
}

fn asked(program: &Path, place: &str, folder: &Path, question: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(place).arg(folder).arg(question);
    command
}

/// A snapshot of the lake.
fn kept(bench: &Bench<'_>) -> Result<PathBuf> {
    let kept = bench.room.join("kept");
    answer(bench.ours("snapshot", &bench.lake)?.arg(&kept))?;
    Ok(kept)
}

/// An export of the lake.
fn exported(bench: &Bench<'_>) -> Result<PathBuf> {
    answer(&mut bench.ours("q3b", &bench.lake)?)?;
    // Where the next export of the other bench does not take it away.
    let (out, exported) = (bench.room.join("out"), bench.room.join("exported"));
    if exported.exists() {
        fs::remove_dir_all(&exported)?;
    }
    fs::rename(out, &exported)?;
    Ok(exported)
}
