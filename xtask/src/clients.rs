//! `cargo xtask clients`: the simulated clouds, driven by the clouds' own Python clients.

use std::process::Command;

use crate::{
    step::{Report, cargo},
    venv,
    workspace::Workspace,
};

const NAME: &str = "clients";

/// Runs `tests/clients` against a `sim-cloud` that is built for it.
pub(crate) fn check(workspace: &Workspace, report: &mut Report) {
    let Some(python) = venv::python(workspace, NAME, report) else { return };
    if !report.run(NAME, &mut build(workspace)) {
        return;
    }
    let binary = format!("sim-cloud{}", std::env::consts::EXE_SUFFIX);
    let mut pytest = Command::new(python);
    pytest.args(["-m", "pytest", "--quiet"]).current_dir(venv::tests(workspace));
    // Compiled Python is nothing that the sources should be littered with.
    pytest.env("PYTHONDONTWRITEBYTECODE", "1");
    report.run(NAME, pytest.env("SIM_CLOUD", workspace.target.join("debug").join(binary)));
}

/// With the features that it has where the suite is compiled, which has been done then: those of the
/// tests too, so that one of them is asked for.
fn build(workspace: &Workspace) -> Command {
    let mut command = cargo(["build"]);
    command.args(workspace.selection()).args(["--bin", "sim-cloud", "--test", "cloud"]);
    command
}
