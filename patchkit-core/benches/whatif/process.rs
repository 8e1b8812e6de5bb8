//! A process that answers lines of JSON by lines of JSON.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;

/// A half of the comparison. Its input's end is its own.
pub(crate) struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.env("PYTHONDONTWRITEBYTECODE", "1");
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, out }
    }

    /// Asks, and waits for the answer; a process that fails says why on standard error, which is
    /// ours.
    pub(crate) fn ask(&mut self, question: &impl Serialize) -> Value {
        let line = serde_json::to_string(question).expect("it has no odd keys");
        let mut input = self.child.stdin.as_ref().expect("it is piped");
        writeln!(input, "{line}").expect("the process reads");
        let mut line = String::new();
        self.out.read_line(&mut line).expect("what it says is text");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("it said {line:?}: {error}"))
    }

    fn proc(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.child.id());
        std::fs::read_to_string(path).expect("this is Linux, and the process is there")
    }

    /// User and system time of all threads so far, which Linux counts in hundredths of a second.
    pub(crate) fn cpu(&self) -> Duration {
        let text = self.proc("stat");
        let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field = |n| after_name.split_whitespace().nth(n).and_then(|it| it.parse::<u64>().ok());
        // proc_pid_stat(5): fields 14 and 15, of which the name is the second.
        let ticks = field(11).zip(field(12)).map(|(user, system)| user + system);
        Duration::from_millis(ticks.expect("times are numbers") * 10)
    }

    pub(crate) fn peak_kilobytes(&self) -> u64 {
        let text = self.proc("status");
        let line = text.lines().find_map(|it| it.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().expect("memory is a number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}
