//! The costs of both halves side by side.

use std::fmt;

use serde_json::{Value, json};

use super::process::Process;

/// What one question took of both.
pub(crate) struct Row {
    title: String,
    pub(crate) ours: Costs,
    pub(crate) theirs: Costs,
}

impl Row {
    pub(crate) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), ours: Costs::default(), theirs: Costs::default() }
    }

    fn is_fair(&self) -> bool {
        let first = self.ours.answers.first();
        let answers = self.ours.answers.iter().chain(&self.theirs.answers);
        first.is_some() && answers.into_iter().all(|answer| Some(answer) == first)
    }
}

/// What the rounds of one question took, each for one asking, in seconds.
#[derive(Default)]
pub(crate) struct Costs {
    wall: Vec<f64>,
    cpu: Vec<f64>,
    answers: Vec<Value>,
}

impl Costs {
    /// Asks so many times.
    pub(crate) fn add(&mut self, half: &mut Process, name: &str, times: u32) {
        let before = half.cpu();
        let answer = half.ask(&json!({"ask": name, "times": times}));
        let cpu = half.cpu().saturating_sub(before);
        self.cpu.push(cpu.as_secs_f64() / f64::from(times));
        self.wall.push(answer["seconds"].as_f64().expect("it tells its time") / f64::from(times));
        self.answers.push(answer["answer"].clone());
    }

    pub(crate) fn wall(&self) -> f64 {
        median(&self.wall)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) struct Report {
    pub(crate) size: String,
    /// Of Polars and Python.
    pub(crate) version: String,
    /// How long loading took, ours and theirs.
    pub(crate) loaded: [f64; 2],
    pub(crate) plane_bytes: Value,
    pub(crate) peaks: [u64; 2],
    /// What of each answer of ours is deciding on the patches.
    pub(crate) deciding: f64,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// Whether both gave the same answers.
    pub(crate) fn is_fair(&self) -> bool {
        self.rows.iter().all(Row::is_fair)
    }
}

impl Report {
    /// The first question as `cargo xtask bench` has its rows.
    pub(crate) fn to_json(&self) -> Value {
        let Some(judge) = self.rows.first() else { return Value::Null };
        let (ours, theirs) = (&judge.ours, &judge.theirs);
        let ratio = |theirs: &[f64], ours: &[f64]| {
            let pairs = theirs.iter().zip(ours);
            median(&pairs.map(|(theirs, ours)| theirs / ours).collect::<Vec<_>>())
        };
        let [ours_peak, their_peak] = self.peaks.map(|kilobytes| kilobytes / 1_024);
        json!({
            "ours_wall_s": ours.wall(),
            "peer_wall_s": theirs.wall(),
            "wall_ratio": ratio(&theirs.wall, &ours.wall),
            "cpu_ratio": ratio(&theirs.cpu, &ours.cpu),
            "ours_peak_mib": ours_peak,
            "peer_peak_mib": their_peak,
            "agree": judge.is_fair(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        writeln!(f, "{}; {cores} cores; {}\n", self.size, self.version)?;
        writeln!(
            f,
            "{:38} {:>10} {:>10} {:>8} {:>10} {:>10} {:>8}",
            "median of a question, ms", "PatchKit", "Polars", "times", "CPU", "CPU", "times"
        )?;
        for row in &self.rows {
            if !row.is_fair() {
                writeln!(f, "{}: nothing can be compared, for the answers differ:", row.title)?;
                writeln!(f, "  PatchKit {:?}", row.ours.answers.first())?;
                writeln!(f, "  Polars   {:?}", row.theirs.answers.first())?;
                continue;
            }
            let [wall, their_wall] = [&row.ours, &row.theirs].map(|it| it.wall() * 1e3);
            let [cpu, their_cpu] = [&row.ours, &row.theirs].map(|it| median(&it.cpu) * 1e3);
            writeln!(
                f,
                "{:38} {wall:10.2} {their_wall:10.2} {:8.1} {cpu:10.2} {their_cpu:10.2} {:8.1}",
                row.title,
                their_wall / wall,
                their_cpu / cpu,
            )?;
            writeln!(f, "    both say {}", row.ours.answers[0])?;
        }
        if let Some(judge) = self.rows.first() {
            let algebra = judge.ours.wall() - self.deciding;
            writeln!(
                f,
                "\nof each answer {:.2} ms is deciding on the patches, which Polars is given; with the \
                 decisions given to both, compliance takes {:.2} ms: {:.1} times",
                self.deciding * 1e3,
                algebra * 1e3,
                judge.theirs.wall() / algebra
            )?;
        }
        let [ours, theirs] = self.loaded;
        writeln!(f, "loading from files, s: PatchKit {ours:.2}, Polars {theirs:.2}")?;
        let [ours, theirs] = self.peaks.map(|kilobytes| kilobytes / 1_024);
        writeln!(f, "peak memory, MB: PatchKit {ours}, Polars {theirs}")?;
        writeln!(f, "the planes take {} bytes", self.plane_bytes)?;
        let Some(judge) = self.rows.first() else { return Ok(()) };
        let times = judge.theirs.wall() / judge.ours.wall();
        let algebra = judge.theirs.wall() / (judge.ours.wall() - self.deciding);
        let met = |is: bool| if is { "met" } else { "missed" };
        write!(
            f,
            "compliance in a tenth of Polars' time, deciding included: {}; in a thirty-fifth with the \
             decisions given: {}; in a thirty-fifth, deciding included: {}",
            met(times >= 10.0),
            met(algebra >= 35.0),
            met(times >= 35.0)
        )
    }
}
