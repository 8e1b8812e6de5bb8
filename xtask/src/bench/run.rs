//! One process, and what it took.

use std::{
    io::Read,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result};
use serde_json::Value;
use wait4::Wait4 as _;

/// What a whole process took, and what it said.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    pub(crate) peak_mib: f64,
    /// Its answer, or the end of what it complained of.
    pub(crate) answer: Result<Value, String>,
}

/// Runs a program to its end; it answers with one JSON value.
pub(crate) fn measure(command: &mut Command) -> Result<Run> {
    let program = command.get_program().to_string_lossy().into_owned();
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| program.clone())?;
    // Read beside each other: a program that complains at length would wait for its reader.
    let mut complaint = child.stderr.take();
    let complaint = std::thread::spawn(move || {
        let mut text = Vec::new();
        complaint.as_mut().map(|pipe| pipe.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut said = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_end(&mut said).with_context(|| program.clone())?;
    }
    let done = child.wait4().with_context(|| program.clone())?;
    let wall = begun.elapsed().as_secs_f64();
    let complaint = complaint.join().unwrap_or_default();
    let answer = if done.status.success() {
        serde_json::from_slice(&said).map_err(|error| error.to_string())
    } else {
        Err(last_line(&complaint))
    };
    Ok(Run {
        wall,
        cpu: (done.rusage.utime + done.rusage.stime).as_secs_f64(),
        peak_mib: kibibytes(done.rusage.maxrss) / 1_024.0,
        answer,
    })
}

/// The last line says what went wrong, in every language that is asked here.
fn last_line(complaint: &str) -> String {
    let line = complaint.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no word of it");
    line.chars().take(300).collect()
}

/// Bytes in kibibytes: what the system counts in, and exact as a number with a point.
fn kibibytes(bytes: u64) -> f64 {
    u32::try_from(bytes >> 10).map_or(f64::INFINITY, f64::from)
}
