//! `cargo xtask moto`: the provider of AWS against moto, a simulated AWS by other people.

use std::{
    io::{self, BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    step::{Report, cargo},
    test, venv,
    workspace::{Scope, Workspace},
};

const NAME: &str = "moto";

/// What the tests read the server's address from.
const ADDRESS: &str = "PATCHKIT_MOTO";

/// The tests that need moto, by the module that they are in. They are ignored without it, as those are
/// that need an account.
const TESTS: &str = "on_moto::";

/// Runs those tests of patchkit-aws that moto can serve, against a server that is started for them.
pub(crate) fn check(workspace: &Workspace, report: &mut Report) {
    if workspace.scope == Scope::Quick {
        return report.unstarted(NAME, "--quick leaves out patchkit-aws, which is tested here");
    }
    let Some(python) = venv::python(workspace, NAME, report) else { return };
    let script = venv::tests(workspace).join("moto_server.py");
    let server = match Server::start(&python, &script) {
        Ok(server) => server,
        Err(error) => {
            return report.findings(NAME, &[format!("moto did not start: {error}")]);
        }
    };
    report.run(NAME, tests(workspace).env(ADDRESS, &server.address));
}

/// The tests, with the features of all others: with less of them the SDKs would be compiled again.
fn tests(workspace: &Workspace) -> Command {
    let selection = workspace.selection();
    let mut command;
    if test::has_nextest() {
        // It fails where it finds no test.
        command = cargo(["nextest", "run", "--no-fail-fast", "--run-ignored", "only"]);
        command.args(selection).args(["--test", "it", TESTS]);
    } else {
        command = cargo(["test", "--no-fail-fast"]);
        command.args(selection).args(["--test", "it", "--", "--ignored", TESTS]);
    }
    command
}

/// A server that ends with this value, and with this process however that ends: it listens to its
/// standard input.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts it, and waits until it listens.
    fn start(python: &Path, script: &Path) -> io::Result<Self> {
        let mut command = Command::new(python);
        command.arg(script).env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = Self { process: command.spawn()?, address: String::new() };
        if let Some(said) = server.process.stdout.take() {
            BufReader::new(said).read_line(&mut server.address)?;
        }
        server.address.truncate(server.address.trim_end().len());
        if server.address.starts_with("http://") {
            return Ok(server);
        }
        let how = server.process.try_wait()?;
        let how = how.map_or_else(|| "it told no address".to_owned(), |it| it.to_string());
        Err(io::Error::other(how))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where it has ended there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
