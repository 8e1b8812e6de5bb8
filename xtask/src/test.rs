//! `cargo xtask test`: every class of test, with the runners' own output.

use crate::{
    clients, engines, moto,
    step::{Report, cargo, works},
    versions,
    workspace::Workspace,
};

/// Every class of test.
pub(crate) fn all(workspace: &Workspace, report: &mut Report) {
    suite(workspace, report);
    bare(workspace, report);
    doctest(workspace, report);
    fuzz(workspace, report);
    versions::check(report);
    engines::check(workspace, report);
    clients::check(workspace, report);
    moto::check(workspace, report);
}

/// Unit, conformance and integration tests of every crate, with all features of the libraries.
pub(crate) fn suite(workspace: &Workspace, report: &mut Report) {
    let runner = runner();
    report.run("suite", cargo(runner).args(workspace.selection()));
}

/// The core as it is without features: what the other tests would switch on by unification.
pub(crate) fn bare(_: &Workspace, report: &mut Report) {
    let runner = runner();
    report.run("bare", cargo(runner).args(["--package", "patchkit-core", "--no-default-features"]));
}

/// The examples in the documentation, which nextest does not run.
pub(crate) fn doctest(workspace: &Workspace, report: &mut Report) {
    report.run("doctest", cargo(["test", "--doc", "--no-fail-fast"]).args(workspace.selection()));
}

/// The fuzz targets and their seeds compile: to run them takes time.
pub(crate) fn fuzz(workspace: &Workspace, report: &mut Report) {
    let manifests = workspace.fuzz_manifests();
    if manifests.is_empty() {
        report.unstarted("fuzz", "no crate has fuzz targets");
    }
    for manifest in manifests {
        let mut command = cargo(["check", "--all-targets", "--manifest-path"]);
        command.arg(manifest).arg("--target-dir").arg(workspace.target.join("fuzz"));
        report.run("fuzz", &mut command);
    }
}

/// nextest where it is installed: faster, and it names a test that hangs. `cargo test` elsewhere.
fn runner() -> &'static [&'static str] {
    if has_nextest() {
        &["nextest", "run", "--no-fail-fast", "--no-tests", "pass"]
    } else {
        &["test", "--tests", "--no-fail-fast"]
    }
}

pub(crate) fn has_nextest() -> bool {
    works(&mut cargo(["nextest", "--version"]))
}
