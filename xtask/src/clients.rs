//! `cargo xtask clients`: the simulated clouds, driven by the clouds' own Python clients.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    step::{Report, cargo, works},
    workspace::Workspace,
};

const NAME: &str = "clients";

/// Where Python may be found. The first that is new enough is taken.
const PYTHONS: [&str; 3] = ["python3", "python", "py"];

/// What the newest clients ask for, with all that a virtual environment is made of.
const SUITABLE: &str = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))";

/// Runs `tests/clients` against a `sim-cloud` that is built for it.
pub(crate) fn check(workspace: &Workspace, report: &mut Report) {
    let tests = workspace.root.join("tests").join("clients");
    let Some(python) =
        PYTHONS.into_iter().find(|it| works(Command::new(it).args(["-c", SUITABLE])))
    else {
        let reason = "no Python of 3.10 or later with venv and ensurepip: install python3";
        return report.unstarted(NAME, reason);
    };
    let Some(python) = environment(workspace, &tests, python, report) else { return };
    let build = ["build", "--package", "patchkit-testkit", "--bin", "sim-cloud"];
    if !report.run(NAME, &mut cargo(build)) {
        return;
    }
    let binary = format!("sim-cloud{}", std::env::consts::EXE_SUFFIX);
    let mut pytest = Command::new(python);
    pytest.args(["-m", "pytest", "--quiet"]).current_dir(tests);
    // Compiled Python is nothing that the sources should be littered with.
    pytest.env("PYTHONDONTWRITEBYTECODE", "1");
    report.run(NAME, pytest.env("SIM_CLOUD", workspace.target.join("debug").join(binary)));
}

/// The interpreter of an environment that holds just the pinned clients: made once for each set of
/// pins. `None` where that failed, which the report then knows.
fn environment(
    workspace: &Workspace,
    tests: &Path,
    python: &str,
    report: &mut Report,
) -> Option<PathBuf> {
    let pins = tests.join("requirements.txt");
    let wanted = match fs::read_to_string(&pins) {
        Ok(wanted) => wanted,
        Err(error) => {
            report.findings(NAME, &[format!("{}: {error}", pins.display())]);
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
    let made = report.run(NAME, make.args(["-m", "venv", "--clear"]).arg(&home));
    let mut install = Command::new(&own);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(["--retries", "8", "--timeout", "60", "--requirement"]).arg(&pins);
    if !made || !report.run(NAME, &mut install) {
        return None;
    }
    if let Err(error) = fs::write(&whole, wanted) {
        report.findings(NAME, &[format!("{}: {error}", whole.display())]);
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
