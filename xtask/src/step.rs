//! Running one step after the other, and saying at the end how each went.

use std::{
    env, fmt,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

/// What ran, what failed, and what could not be started.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

impl Report {
    /// Runs a command whose output goes to the terminal as it is; says whether it passed.
    pub(crate) fn run(&mut self, name: &'static str, command: &mut Command) -> bool {
        eprintln!("\n--- {name}: {}", shown(command));
        let begun = Instant::now();
        let outcome = match command.stdin(Stdio::null()).status() {
            Ok(status) if status.success() => Outcome::Passed,
            Ok(status) => Outcome::Failed(status.to_string()),
            Err(error) => Outcome::Unstarted(error.to_string()),
        };
        let passed = matches!(outcome, Outcome::Passed);
        self.push(name, shown(command), outcome, begun.elapsed());
        passed
    }

    /// Notes a check of our own: every finding is printed, and any of them fails the step.
    pub(crate) fn findings(&mut self, name: &'static str, findings: &[String]) {
        eprintln!("\n--- {name}");
        for finding in findings {
            eprintln!("{finding}");
        }
        let outcome = match findings.len() {
            0 => Outcome::Passed,
            1 => Outcome::Failed("1 finding".to_owned()),
            n => Outcome::Failed(format!("{n} findings")),
        };
        self.push(name, "checks of xtask".to_owned(), outcome, Duration::ZERO);
    }

    /// Notes a step that lacks what it needs.
    pub(crate) fn unstarted(&mut self, name: &'static str, reason: impl Into<String>) {
        let reason = reason.into();
        eprintln!("\n--- {name}: not started: {reason}");
        self.push(name, String::new(), Outcome::Unstarted(reason), Duration::ZERO);
    }

    /// Prints the summary and gives the exit code: 1 when a step failed.
    pub(crate) fn close(self, unstarted: Unstarted) -> ExitCode {
        println!("\nsummary");
        for step in &self.steps {
            println!("  {step}");
        }
        let failed = self.failed(unstarted);
        println!("{}", if failed { "failed" } else { "all that ran passed" });
        if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn failed(&self, unstarted: Unstarted) -> bool {
        self.steps.iter().any(|step| match step.outcome {
            Outcome::Passed => false,
            Outcome::Failed(_) => true,
            Outcome::Unstarted(_) => unstarted == Unstarted::Fail,
        })
    }

    fn push(&mut self, name: &'static str, what: String, outcome: Outcome, took: Duration) {
        self.steps.push(Step { name, what, outcome, took });
    }
}

/// What a step that could not be started means for the exit code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unstarted {
    /// It fails the task.
    Fail,
    /// It is named in the summary.
    Tell,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    what: String,
    outcome: Outcome,
    took: Duration,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, what, outcome, took } = self;
        let seconds = took.as_secs();
        match outcome {
            Outcome::Passed => write!(f, "passed       {name:<8} {seconds:>4} s  {what}"),
            Outcome::Failed(how) => {
                write!(f, "FAILED       {name:<8} {seconds:>4} s  {what}: {how}; ")?;
                write!(f, "again: cargo xtask {name}")
            }
            Outcome::Unstarted(why) => write!(f, "not started  {name:<8}         {why}"),
        }
    }
}

#[derive(Debug)]
enum Outcome {
    Passed,
    Failed(String),
    Unstarted(String),
}

/// A cargo of the toolchain that runs this task.
pub(crate) fn cargo<I, S>(args: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    // What cargo tells this package of itself. ring's build script asks for a new run when it
    // changes (`rerun-if-env-changed`), and with ring every SDK would be compiled again by whoever
    // builds by hand after this.
    for (name, _) in env::vars_os() {
        let of_package = ["CARGO_MANIFEST_", "CARGO_PKG_"];
        if of_package.iter().any(|it| name.to_string_lossy().starts_with(it)) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether a command can be started and succeeds, quietly.
pub(crate) fn works(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or_default().to_string_lossy()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_did_not_start_fails_a_lint_and_is_told_of_a_test() {
        let mut report = Report::default();
        report.run("deny", &mut Command::new("patchkit-has-no-such-command"));
        assert!(report.failed(Unstarted::Fail));
        assert!(!report.failed(Unstarted::Tell));
        assert!(report.steps[0].to_string().starts_with("not started  deny"));
    }

    #[test]
    fn ring_is_not_compiled_again_for_the_name_of_this_package() {
        let removed: Vec<_> = cargo(["build"])
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .map(|it| it.0.to_owned())
            .collect();
        assert!(removed.iter().any(|name| name == "CARGO_PKG_NAME"), "{removed:?}");
        assert!(removed.iter().any(|name| name == "CARGO_MANIFEST_DIR"), "{removed:?}");
    }

    #[test]
    fn a_failed_step_fails_whatever_comes_after_it() {
        let mut report = Report::default();
        report.run("suite", &mut cargo(["no-such-subcommand-of-cargo"]));
        report.findings("house", &[]);
        assert!(report.failed(Unstarted::Tell));
        assert!(report.steps[0].to_string().ends_with("again: cargo xtask suite"));
    }
}
