//! Tells what a change of patch baselines would do to a fleet, before it is made.

mod answer;
mod args;
mod input;
mod json;
mod question;
mod sample;
mod tables;

use std::{
    io::{BufWriter, Write},
    process::ExitCode,
};

use answer::Answer;
use args::{Args, Format};
use clap::Parser;
use input::Fleet;
use patchkit_examples::Exit;
use question::Question;

fn main() -> ExitCode {
    Exit::report(run(&Args::parse()))
}

fn run(args: &Args) -> Result<Exit, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let fleet = runtime.block_on(Fleet::open(args))?;
    let question = Question::new(args, &fleet)?;
    let answer = Answer::find(args, &fleet, &question)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    match args.format {
        Format::Table => tables::write(&mut out, &answer)?,
        Format::Json => json::write(&mut out, &answer)?,
    }
    out.flush()?;
    Ok(answer.exit())
}
