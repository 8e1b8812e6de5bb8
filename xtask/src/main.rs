//! The workspace's own tasks.
//!
//! Each step of CI is a subcommand of the same name: "CI failed at docs" is `cargo xtask docs`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::{
    step::{Report, Unstarted},
    workspace::{Scope, Workspace},
};

mod bench;
mod clients;
mod deny;
mod engines;
mod house;
mod lint;
mod manifest;
mod moto;
mod step;
mod test;
mod tree;
mod venv;
mod versions;
mod workspace;

/// Lints, tests and times the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Args, Clone, Copy, Debug)]
struct Reach {
    /// Leave out the crates and features that compile a cloud SDK or a query engine
    #[arg(long, global = true)]
    quick: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum Task {
    /// All of fmt, house, tree, deny, clippy and docs
    Lint,
    /// Formatting
    Fmt,
    /// The house rules that no other tool checks: file sizes, manifests, one paging loop
    House,
    /// What the light crates pull in
    Tree,
    /// Licences, banned crates and sources (installs cargo-deny under target/ when it is absent)
    Deny,
    /// Clippy with the workspace's lints, over the feature sets that matter
    Clippy,
    /// The documentation builds without a warning
    Docs,
    /// All of suite, bare, doctest, fuzz, versions, engines, clients and moto
    Test,
    /// Unit, conformance and integration tests of every crate (with nextest where installed)
    Suite,
    /// The core's tests without any feature
    Bare,
    /// The examples in the documentation
    Doctest,
    /// The fuzz targets compile
    Fuzz,
    /// The order of package versions, held against rpm and dpkg
    Versions,
    /// The Parquet export of a lake, read by DuckDB, Polars, PyArrow, PySpark and Ballista
    Engines,
    /// The simulated clouds, driven by the clouds' own Python clients
    Clients,
    /// The provider of AWS against moto, a simulated AWS by other people
    Moto,
    /// What PatchKit takes beside what people would use instead (downloads these)
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let scope = if cli.reach.quick { Scope::Quick } else { Scope::Whole };
    let workspace = Workspace::load(scope)?;
    if let Task::Bench(bench) = &cli.task {
        return bench::run(&workspace, bench);
    }
    let mut report = Report::default();
    // A lint that did not run has found nothing out, so it fails. A test may lack what only some
    // machines have, and says so.
    let unstarted = match cli.task {
        Task::Test
        | Task::Suite
        | Task::Bare
        | Task::Doctest
        | Task::Fuzz
        | Task::Versions
        | Task::Engines
        | Task::Clients
        | Task::Moto => Unstarted::Tell,
        _ => Unstarted::Fail,
    };
    match cli.task {
        Task::Lint => lint::all(&workspace, &mut report)?,
        Task::Fmt => lint::fmt(&workspace, &mut report),
        Task::House => report.findings("house", &house::check(&workspace)?),
        Task::Tree => report.findings("tree", &tree::check(&workspace)?),
        Task::Deny => deny::check(&workspace, &mut report),
        Task::Clippy => lint::clippy(&workspace, &mut report),
        Task::Docs => lint::docs(&workspace, &mut report),
        Task::Test => test::all(&workspace, &mut report),
        Task::Suite => test::suite(&workspace, &mut report),
        Task::Bare => test::bare(&workspace, &mut report),
        Task::Doctest => test::doctest(&workspace, &mut report),
        Task::Fuzz => test::fuzz(&workspace, &mut report),
        Task::Versions => versions::check(&mut report),
        Task::Engines => engines::check(&workspace, &mut report),
        Task::Clients => clients::check(&workspace, &mut report),
        Task::Moto => moto::check(&workspace, &mut report),
        Task::Bench(_) => {}
    }
    Ok(report.close(unstarted))
}
