//! Looks at plans that were saved: what is in one, and what is different between two.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};
use patchkit_core::workflow::{PatchPlan, PlanDiff};
use patchkit_examples::{Exit, Failure, write_json};
use serde_json::json;

/// Looks at plans that `PatchPlan::to_file` saved.
///
/// Exit codes: 0 done, and for `diff` no difference; 1 a difference; 2 bad usage, or a file that is no
/// plan or was changed after it was saved.
#[derive(Debug, Parser)]
#[command(name = "plan", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// What goes to standard output
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints a plan, and the hash by which it is applied
    Show {
        /// The plan
        plan: PathBuf,
    },
    /// Tells in words what is different between two plans
    Diff {
        /// The one before
        before: PathBuf,
        /// The one after
        after: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One object
    Json,
}

fn main() -> ExitCode {
    Exit::report(run(&Args::parse()))
}

fn run(args: &Args) -> Result<Exit, Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    let exit = match &args.command {
        Command::Show { plan } => {
            let plan = read(plan)?;
            match args.format {
                Format::Text => lines(&mut out, &format!("{plan}hash {}\n", plan.hash()))?,
                Format::Json => {
                    write_json(&mut out, &json!({"hash": plan.hash(), "plan": plan}))?;
                }
            }
            Exit::Clean
        }
        Command::Diff { before, after } => {
            let (before, after) = (read(before)?, read(after)?);
            let diff: PlanDiff = before.diff(&after);
            match args.format {
                Format::Text => lines(&mut out, &diff.to_string())?,
                Format::Json => {
                    let (before, after) = (before.hash(), after.hash());
                    let diff = json!({"before": before, "after": after, "diff": diff});
                    write_json(&mut out, &diff)?;
                }
            }
            if diff.is_empty() { Exit::Clean } else { Exit::Findings }
        }
    };
    out.flush()?;
    Ok(exit)
}

fn read(path: &Path) -> Result<PatchPlan, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    PatchPlan::from_file(&text)
        .map_err(|error| Failure::new(format!("{}: {}", path.display(), error.report())))
}

/// Writes lines that hold words of nodes: nothing in them steers a terminal.
fn lines(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    for line in text.lines() {
        writeln!(out, "{}", patchkit_examples::printable(line))?;
    }
    Ok(())
}
