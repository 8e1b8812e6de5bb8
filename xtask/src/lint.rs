//! `cargo xtask lint`: what the compiler, rustfmt and rustdoc say.

use anyhow::Result;

use crate::{
    deny, house,
    step::{Report, cargo, works},
    tree,
    workspace::{EXAMPLES, Scope, Workspace},
};

/// Every lint, the quick ones first.
pub(crate) fn all(workspace: &Workspace, report: &mut Report) -> Result<()> {
    fmt(workspace, report);
    report.findings("house", &house::check(workspace)?);
    report.findings("tree", &tree::check(workspace)?);
    deny::check(workspace, report);
    clippy(workspace, report);
    docs(workspace, report);
    Ok(())
}

/// Formatting, of the fuzz crates too.
pub(crate) fn fmt(workspace: &Workspace, report: &mut Report) {
    if !works(&mut cargo(["fmt", "--version"])) {
        return report.unstarted("fmt", "rustfmt is missing: rustup component add rustfmt");
    }
    report.run("fmt", &mut cargo(["fmt", "--all", "--check"]));
    for manifest in workspace.fuzz_manifests() {
        let mut command = cargo(["fmt", "--check", "--manifest-path"]);
        report.run("fmt", command.arg(manifest));
    }
}

/// Clippy over three feature sets: each library alone without features, the examples with their default
/// ones, and every crate with all. A library's default features are none or all, or a store of the
/// journal's.
pub(crate) fn clippy(workspace: &Workspace, report: &mut Report) {
    if !works(&mut cargo(["clippy", "--version"])) {
        return report.unstarted("clippy", "clippy is missing: rustup component add clippy");
    }
    let heavy = workspace.heavy_libraries().filter(|_| workspace.scope == Scope::Whole);
    for library in workspace.light_libraries().chain(heavy) {
        // By themselves: tests switch features on, and are linted below.
        let mut alone = cargo(["clippy", "--package", &library.name, "--no-default-features"]);
        report.run("clippy", alone.args(["--", "-D", "warnings"]));
    }
    let strict = ["--all-targets", "--", "-D", "warnings"];
    if workspace.scope == Scope::Whole {
        report.run("clippy", cargo(["clippy", "--package", EXAMPLES]).args(strict));
    }
    report.run("clippy", cargo(["clippy"]).args(workspace.selection_to_lint()).args(strict));
}

/// The documentation, in which a broken link is an error.
pub(crate) fn docs(workspace: &Workspace, report: &mut Report) {
    let mut command = cargo(["doc", "--no-deps"]);
    report.run(
        "docs",
        command.args(workspace.selection_to_lint()).env("RUSTDOCFLAGS", "-D warnings"),
    );
}
