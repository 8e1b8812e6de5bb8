//! Reports on a data-sync lake, on disk or in S3.

mod answer;
mod apps;
mod args;
mod json;
mod kept;
mod lake;
mod row;
mod sheet;
mod source;
mod tables;

use std::{
    io::{BufWriter, Write},
    process::ExitCode,
};

use answer::Answer;
use args::{Args, Format};
use clap::Parser;
use lake::Lake;
use patchkit_examples::{Exit, tell};

fn main() -> ExitCode {
    Exit::report(run(&Args::parse()))
}

fn run(args: &Args) -> Result<Exit, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let answer = runtime.block_on(async {
        let lake = Lake::open(args).await?;
        Answer::find(args, &lake).await
    })?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    match args.format {
        Format::Table => tables::write(&mut out, &answer)?,
        Format::Json => json::write(&mut out, &answer)?,
        Format::Csv => {
            sheet::write(&mut out, &answer)?;
            tell_loss(&answer);
        }
    }
    out.flush()?;
    Ok(answer.exit())
}

/// A sheet has no place for what was lost of the lake.
fn tell_loss(answer: &Answer) {
    if answer.lost() > 0 {
        let lost = answer.lost();
        tell(&format!("{lost} lines or objects were lost; --format json lists them"));
    }
}
