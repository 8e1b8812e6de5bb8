//! Serves simulated AWS and Azure control planes until it is told to stop.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};
use jiff::Timestamp;
use patchkit_testkit::cloud::{Throttles, World, s3::SignatureChecks};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// An answer is hundreds of small pieces of memory, of which the oldest go when it comes.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves simulated AWS and Azure control planes until SIGTERM.
///
/// Prints one line of JSON when it is ready: where it listens, and which accounts, Regions,
/// subscriptions and keys there are.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The seed of all that is made: nodes, their patches, keys and how they behave. Accounts and
    /// subscriptions are the same for each.
    #[arg(long, default_value_t = 7, allow_negative_numbers = true)]
    seed: u64,
    /// How many machines there are; 0: none, but those that the control endpoint is told to add.
    #[arg(long, default_value_t = 300, value_parser = at_most::<1_000_000>, allow_negative_numbers = true)]
    nodes: usize,
    /// About how many patches there are for all operating systems together.
    #[arg(long, default_value_t = 400, value_parser = at_most::<100_000>, allow_negative_numbers = true)]
    patches: usize,
    /// How many seconds of the world pass in a real one, a million at most; 0: only the control endpoint moves it.
    /// Then commands reach no node, and nothing is ever done, until it is told that time has passed.
    #[arg(long, default_value_t = 60.0, value_parser = speed, allow_negative_numbers = true)]
    speed: f64,
    /// When the world begins, as in 2026-11-02T00:00:00Z, in one of the years 1970 to 9000; without it, now.
    /// With it, temporary credentials end by the world's time, whatever the clock of a client says.
    #[arg(long)]
    start_at: Option<Timestamp>,
    /// Writes the lake of all accounts here, as Resource Data Sync does, from the start and whenever a
    /// node changes; and the output of commands that name a bucket, under the same key. It is what
    /// `fleet-report DIR` reports on. All of it is written when the process has ended on SIGTERM or
    /// Ctrl-C; a second one does not wait for that. Of what cannot be written, each cause is told once on
    /// standard error; so is a folder that is not empty, whose files stay.
    #[arg(long, value_name = "DIR")]
    lake: Option<PathBuf>,
    /// Serves only requests that are signed by one of the printed keys, or carry a token given out.
    #[arg(long)]
    check_signatures: bool,
    /// Whether requests are limited by the documented rates.
    #[arg(long, value_enum, default_value = "documented")]
    throttles: Limited,
    /// The address to listen on. Port 0: each endpoint takes a free one; another: AWS listens there,
    /// S3, Azure and the control endpoint on the next three.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Limited {
    Documented,
    Off,
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sim-cloud: {error}");
            ExitCode::FAILURE
        }
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.0..=1e6).contains(&speed) => Ok(speed),
        _ => Err("a speed is a number from 0 to 1000000".to_owned()),
    }
}

/// Reads how many there are to be: more than anyone has would be a typo, and no memory holds them.
fn at_most<const MOST: usize>(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number) if number <= MOST => Ok(number),
        _ => Err(format!("it is a whole number from 0 to {MOST}")),
    }
}

async fn serve(args: Args) -> std::io::Result<()> {
    let mut builder = World::builder()
        .seed(args.seed)
        .nodes(args.nodes)
        .patches(args.patches)
        .speed(args.speed)
        .listen(args.listen)
        .throttles(match args.throttles {
            Limited::Documented => Throttles::Documented,
            Limited::Off => Throttles::Off,
        });
    if let Some(at) = args.start_at {
        builder = builder.start_at(at);
    }
    let has_lake = args.lake.is_some();
    if let Some(lake) = args.lake {
        // A world that goes on where it was is usual; that of another seed would be read as one with it.
        if std::fs::read_dir(&lake).is_ok_and(|mut it| it.next().is_some()) {
            eprintln!(
                "sim-cloud: {} is not empty: what is in it stays, and is of the lake, too",
                lake.display()
            );
        }
        builder = builder.lake(lake);
    }
    if args.check_signatures {
        builder = builder.signature_checks(SignatureChecks::On);
    }
    // Both are caught before the line is printed: who reads it may stop us at once.
    let mut terminated = signal(SignalKind::terminate())?;
    let world = builder.start().await?;
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, &world.endpoints())?;
    writeln!(out)?;
    out.flush()?;
    told_to_end(&mut terminated).await?;
    if has_lake {
        // Who reads the lake after us cannot know what it lacks.
        let write = tokio::task::spawn_blocking(move || world.advance(Duration::ZERO));
        tokio::select! {
            written = write => written?,
            told = told_to_end(&mut terminated) => {
                told?;
                eprintln!("sim-cloud: ended before all of the lake was written");
                std::process::exit(1);
            }
        }
    }
    // A request under way is finished, but not waited for longer than this.
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(3));
        std::process::exit(0);
    });
    Ok(())
}

async fn told_to_end(terminated: &mut Signal) -> std::io::Result<()> {
    tokio::select! {
        _ = terminated.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}
