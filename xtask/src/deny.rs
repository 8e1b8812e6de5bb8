//! `cargo xtask deny`: licences, banned crates and sources, by cargo-deny.

use std::process::Command;

use crate::{
    step::{Report, cargo, works},
    workspace::Workspace,
};

/// The version that is installed where there is none: three minutes on two cores, once.
const VERSION: &str = "0.20.2";

/// Runs cargo-deny, which is first installed under `target/tools` when it is absent.
pub(crate) fn check(workspace: &Workspace, report: &mut Report) {
    let tools = workspace.target.join("tools");
    let own = tools.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    let on_path = works(Command::new("cargo-deny").arg("--version"));
    if !on_path && !works(Command::new(&own).arg("--version")) {
        let build = tools.join("build");
        let mut install = cargo(["install", "--locked", "cargo-deny", "--version", VERSION]);
        // It runs for a second; to optimize it takes minutes.
        install.arg("--debug");
        report.run("deny", install.arg("--root").arg(&tools).arg("--target-dir").arg(&build));
        // Only the binary is wanted again. What is left behind costs disk, nothing else.
        std::fs::remove_dir_all(build).ok();
    }
    let program = if on_path { "cargo-deny".as_ref() } else { own.as_os_str() };
    // Advisories stay out: their database is a git repository, which not every machine reaches.
    report.run(
        "deny",
        Command::new(program)
            .args(["check", "--hide-inclusion-graph"])
            .args(["bans", "licenses", "sources"]),
    );
}
