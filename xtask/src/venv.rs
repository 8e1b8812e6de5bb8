//! The pinned Python packages of `tests/clients`, of the engines and of the peers, each set in an
//! environment of its own.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    bench,
    step::{Report, works},
    workspace::Workspace,
};

/// Where Python may be found. The first that is new enough is taken.
const PYTHONS: [&str; 3] = ["python3", "python", "py"];

/// What the newest clients ask for, with all that a virtual environment is made of.
const SUITABLE: &str = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))";

/// Where the tests and their pins are.
pub(crate) fn tests(workspace: &Workspace) -> PathBuf {
    workspace.root.join("tests").join("clients")
}

/// The interpreter of an environment that holds just the pinned clients, for the step `name`: made
/// once for each set of pins. `None` where there is none, which the report then knows.
pub(crate) fn python(
    workspace: &Workspace,
    name: &'static str,
    report: &mut Report,
) -> Option<PathBuf> {
    pinned(workspace, &tests(workspace), name, report)
}

/// The interpreter of an environment that holds the pinned query engines, as [`python`] has the
/// clients.
pub(crate) fn engines(
    workspace: &Workspace,
    name: &'static str,
    report: &mut Report,
) -> Option<PathBuf> {
    pinned(workspace, &workspace.root.join("tests").join("engines"), name, report)
}

fn pinned(
    workspace: &Workspace,
    home: &Path,
    name: &'static str,
    report: &mut Report,
) -> Option<PathBuf> {
    let Some(python) =
        PYTHONS.into_iter().find(|it| works(Command::new(it).args(["-c", SUITABLE])))
    else {
        let reason = "no Python of 3.10 or later with venv and ensurepip: install python3";
        report.unstarted(name, reason);
        return None;
    };
    environment(workspace, home, python, name, report)
}

/// The interpreter of an environment that holds the pinned peers of `cargo xtask bench lake`. What
/// makes it speaks on stderr alone.
pub(crate) fn peers(workspace: &Workspace) -> Result<PathBuf> {
    let python = PYTHONS.into_iter().find(|it| works(Command::new(it).args(["-c", SUITABLE])));
    let python = python.context("no Python of 3.10 or later with venv and ensurepip")?;
    let home = bench::home(workspace);
    let (name, mut report) = ("peers", Report::default());
    let found = environment(workspace, &home, python, name, &mut report);
    found.context("the peers could not be installed")
}

fn environment(
    workspace: &Workspace,
    tests: &Path,
    python: &str,
    name: &'static str,
    report: &mut Report,
) -> Option<PathBuf> {
    let pins = tests.join("requirements.txt");
    let wanted = match fs::read_to_string(&pins) {
        Ok(wanted) => wanted,
        Err(error) => {
            report.findings(name, &[format!("{}: {error}", pins.display())]);
            return None;
        }
    };
    let home = workspace.target.join("clients-venv").join(key(&wanted, &version(python)));
    let own = home.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    // Written last: an environment without it was broken off.
    let whole = home.join("installed");
    if whole.exists() && works(Command::new(&own).args(["-c", SUITABLE])) {
        return Some(own);
    }
    let mut make = Command::new(python);
    let made = report.run(name, make.args(["-m", "venv", "--clear"]).arg(&home));
    let mut install = Command::new(&own);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(["--retries", "8", "--timeout", "60", "--requirement"]).arg(&pins);
    if !made || !report.run(name, &mut install) {
        return None;
    }
    if let Err(error) = fs::write(&whole, wanted) {
        report.findings(name, &[format!("{}: {error}", whole.display())]);
        return None;
    }
    Some(own)
}

/// What the interpreter calls itself: an environment does not outlive it.
fn version(python: &str) -> String {
    let mut command = Command::new(python);
    let said = command.arg("--version").stdin(Stdio::null()).output();
    said.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default()
}

/// A folder's name for what is to be in it.
fn key(pins: &str, version: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (pins, version).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_pins_or_another_python_get_an_environment_of_their_own() {
        let one = key("boto3==1\n", "Python 3.12.1");
        assert_eq!(one, key("boto3==1\n", "Python 3.12.1"));
        assert_ne!(one, key("boto3==2\n", "Python 3.12.1"));
        assert_ne!(one, key("boto3==1\n", "Python 3.13.0"));
    }
}
