//! `cargo xtask versions`: the order of package versions, held against the tools whose order it is.

use std::process::Command;

use crate::{
    step::{Report, cargo, works},
    test,
};

const NAME: &str = "versions";

/// Each tool, and the tests that ask it. They are ignored otherwise: few machines have both.
const TOOLS: [(&str, &str); 2] = [("rpm", "rpm_"), ("dpkg", "dpkg_")];

/// Runs the tests whose tool is installed, and names the tools that are not.
pub(crate) fn check(report: &mut Report) {
    for (tool, tests) in TOOLS {
        if works(Command::new(tool).arg("--version")) {
            report.run(NAME, &mut command(tests));
        } else {
            report.unstarted(
                NAME,
                format!("no {tool}: install it, on Debian by apt-get install {tool}"),
            );
        }
    }
}

fn command(tests: &str) -> Command {
    let place = ["--package", "patchkit-inventory", "--test", "version_tools"];
    if test::has_nextest() {
        // It fails where it finds no test.
        let mut command = cargo(["nextest", "run", "--no-fail-fast", "--run-ignored", "only"]);
        command.args(place).arg(tests);
        return command;
    }
    let mut command = cargo(["test", "--no-fail-fast"]);
    command.args(place).args(["--", "--ignored", tests]);
    command
}
