//! Writes a data-sync lake, on disk or in S3, as Parquet for query engines.

mod args;
mod export;
mod json;
mod lake;
mod tables;

use std::{
    io::{BufWriter, Write},
    process::ExitCode,
};

use args::{Args, Format};
use clap::Parser;
use export::Export;
use patchkit_examples::Exit;

fn main() -> ExitCode {
    Exit::report(run(&Args::parse()))
}

fn run(args: &Args) -> Result<Exit, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let export = runtime.block_on(Export::write(args))?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    match args.format {
        Format::Table => tables::write(&mut out, &export, args.top)?,
        Format::Json => json::write(&mut out, &export)?,
    }
    out.flush()?;
    Ok(export.exit())
}
