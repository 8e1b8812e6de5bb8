//! The work `snapshot`: two questions of a snapshot that is loaded, beside peers that read the lake; and
//! to bring one up to date, beside making it.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    lake::{Bench, answer},
    row::{Row, median},
    run::{Run, measure},
};

/// The questions, and who answers each of them fastest without a snapshot.
const QUESTIONS: [(&str, &[&str]); 2] = [("q1", &["duckdb", "orjson+pandas"]), ("q2", &["duckdb"])];

/// How long a file must be left alone before a snapshot believes in its times.
const SETTLED: Duration = Duration::from_secs(3);

pub(super) fn rows(bench: &Bench<'_>, tell: &mut dyn FnMut(Row)) -> Result<()> {
    // The first one reads the whole lake, to files of which another work had links until now.
    thread::sleep(SETTLED);
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
    refreshed(bench, tell)
}

/// A lake of which one object in a hundred changes: the snapshot refreshed, and one made anew. Less than
/// two in a hundred of the bytes may be read for that.
fn refreshed(bench: &Bench<'_>, tell: &mut dyn FnMut(Row)) -> Result<()> {
    let [lake, kept, anew] =
        ["changing", "changing-kept", "changing-anew"].map(|it| bench.room.join(it));
    for folder in [&lake, &kept] {
        remove(folder)?;
    }
    answer(bench.ours("copy", &bench.lake)?.arg(&lake))?;
    // To link a file is to change it, and what has just changed is read again the next time.
    thread::sleep(SETTLED);
    answer(bench.ours("refresh", &lake)?.arg(&kept))?;
    let mut shares = Vec::new();
    let rounds = bench.few_rounds(|| {
        remove(&anew)?;
        answer(&mut bench.ours("change", &lake)?)?;
        let mut ours = measure(bench.ours("refresh", &lake)?.arg(&kept))?;
        let mut made = measure(bench.ours("refresh", &lake)?.arg(&anew))?;
        if let (Ok(ours), Ok(Value::Object(made))) = (&mut ours.answer, &mut made.answer) {
            let share = ratio(&ours["read_bytes"], &ours["bytes"]);
            shares.push(share);
            ours["reads_little"] = (share < 0.02).into();
            made.insert("reads_little".to_owned(), true.into());
            made.remove("read_bytes");
        }
        Ok((ours, made))
    })?;
    eprintln!(
        "of a lake with one object in a hundred changed, {:.2} % of the bytes were read",
        100.0 * median(shares.into_iter())
    );
    tell(Row::of("snapshot", "made anew, 1 % changed", &rounds));
    [&lake, &kept, &anew].into_iter().try_for_each(|folder| remove(folder))
}

fn ratio(part: &Value, whole: &Value) -> f64 {
    part.as_f64().zip(whole.as_f64()).map_or(f64::NAN, |(part, whole)| part / whole)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

fn ours(bench: &Bench<'_>) -> Result<Command> {
    let mut command = bench.ours("snapshot", &bench.lake)?;
    command.arg(bench.room.join("kept"));
    Ok(command)
}

/// One question of the run: its time alone, for the snapshot is loaded by then.
fn asked(run: Run, question: &str) -> Result<Run> {
    let said = run.answer.map_err(anyhow::Error::msg)?;
    let wall = said[format!("{question}_s")].as_f64().context("a question without a time")?;
    let cpu = said[format!("{question}_cpu_s")].as_f64().unwrap_or(f64::NAN);
    let answer: Value = said[question].clone();
    Ok(Run { wall, cpu, peak_mib: run.peak_mib, answer: Ok(answer) })
}
