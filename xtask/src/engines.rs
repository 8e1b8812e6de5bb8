//! `cargo xtask engines`: the Parquet export of a lake, read by other people's query engines.

use std::{env, path::PathBuf, process::Command};

use crate::{
    step::{Report, cargo},
    test, venv,
    workspace::{Scope, Workspace},
};

const NAME: &str = "engines";

/// What the tests read the interpreter from that has the engines.
const PYTHON: &str = "PATCHKIT_ENGINES";

/// The target of the tests that read by Python's packages.
const BY_PYTHON: &str = "engines";

/// The target of Ballista's, which has the processes that they start as ignored tests too.
const BALLISTA: (&str, [&str; 2]) = ("ballista", ["ballista_", "an_executor_killed_"]);

/// The tests of the engines that need nothing beside their package. All are ignored otherwise.
const ALONE: [&str; 3] = ["duckdb_", "polars_", "pyarrow_"];

/// The tests of the one that runs in a JVM.
const IN_A_JVM: &str = "pyspark_";

/// Spark 4's oldest (spark.apache.org/docs/latest, "Downloading").
const OLDEST_JAVA: u32 = 17;

/// Runs the tests of every engine that can run here, and names what another lacks.
pub(crate) fn check(workspace: &Workspace, report: &mut Report) {
    match workspace.scope {
        Scope::Whole => {
            let (target, tests) = BALLISTA;
            report.run(NAME, &mut command(workspace, target, &tests));
        }
        Scope::Quick => report.unstarted(NAME, "Ballista takes a query engine to compile"),
    }
    let Some(python) = venv::engines(workspace, NAME, report) else { return };
    let mut tests = ALONE.to_vec();
    match java() {
        Some(version) if version >= OLDEST_JAVA => tests.push(IN_A_JVM),
        found => report.unstarted(NAME, lack(found)),
    }
    report.run(NAME, command(workspace, BY_PYTHON, &tests).env(PYTHON, &python));
}

/// The tests, with the features of all others: with less of them the examples would be compiled again.
fn command(workspace: &Workspace, target: &str, tests: &[&str]) -> Command {
    let selection = workspace.selection();
    let mut command;
    if test::has_nextest() {
        // It fails where it finds no test.
        command = cargo(["nextest", "run", "--no-fail-fast", "--run-ignored", "only"]);
        command.args(selection).args(["--test", target]);
    } else {
        command = cargo(["test", "--no-fail-fast"]);
        command.args(selection).args(["--test", target, "--", "--ignored"]);
    }
    command.args(tests);
    command
}

fn lack(found: Option<u32>) -> String {
    let has = found.map_or("no Java".to_owned(), |version| format!("Java {version}"));
    format!(
        "PySpark needs a JVM of {OLDEST_JAVA} or later, and there is {has}: install one, on Debian by \
         apt-get install default-jre-headless"
    )
}

/// The version of the JVM that PySpark would start.
fn java() -> Option<u32> {
    let home = env::var_os("JAVA_HOME").map(PathBuf::from);
    let java = home.map_or_else(|| "java".into(), |home| home.join("bin").join("java"));
    let said = Command::new(java).arg("-version").output().ok()?;
    feature_version(&String::from_utf8_lossy(&said.stderr))
}

/// The first number of `openjdk version "17.0.15" 2025-04-15`; Java 8 calls itself 1.8.
fn feature_version(said: &str) -> Option<u32> {
    let (_, version) = said.split_once("version \"")?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        version => Some(version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jvm_is_known_by_its_feature_version() {
        for (said, version) in [
            ("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment", Some(17)),
            ("openjdk version \"21\" 2023-09-19", Some(21)),
            ("openjdk version \"26-ea\" 2026-03-17", Some(26)),
            ("java version \"1.8.0_392\"", Some(8)),
            ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
        ] {
            assert_eq!(feature_version(said), version, "{said}");
        }
    }
}
