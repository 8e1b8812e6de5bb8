//! The work `snapshot`: two questions of a snapshot that is loaded, beside peers that read the lake.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    lake::Bench,
    row::Row,
    run::{Run, measure},
};

/// The questions, and who answers each of them fastest without a snapshot.
const QUESTIONS: [(&str, &[&str]); 2] = [("q1", &["duckdb", "orjson+pandas"]), ("q2", &["duckdb"])];

pub(super) fn rows(bench: &Bench<'_>, tell: &mut impl FnMut(Row)) -> Result<()> {
    // The first one reads the whole lake.
    measure(&mut ours(bench)?)?.answer.map_err(anyhow::Error::msg)?;
    for (question, peers) in QUESTIONS {
        for peer in peers {
            let rounds = bench.rounds(|| {
                let ours = asked(measure(&mut ours(bench)?)?, question)?;
                Ok((ours, measure(&mut bench.peer(peer, question, &bench.lake)?)?))
            })?;
            tell(Row::of("snapshot", &format!("{peer} {question}"), &rounds));
        }
    }
    Ok(())
}

fn ours(bench: &Bench<'_>) -> Result<Command> {
    let mut command = bench.ours("snapshot", &bench.lake)?;
    command.arg(bench.room.join("kept"));
    Ok(command)
}

/// One question of the run: its time alone, for the snapshot is loaded by then. What of the process's
/// CPU was its is not known.
fn asked(run: Run, question: &str) -> Result<Run> {
    let said = run.answer.map_err(anyhow::Error::msg)?;
    let wall = said[format!("{question}_s")].as_f64().context("a question without a time")?;
    let answer: Value = said[question].clone();
    Ok(Run { wall, cpu: f64::NAN, peak_mib: run.peak_mib, answer: Ok(answer) })
}
