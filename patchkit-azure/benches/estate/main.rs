//! What it costs to know the patches of 100,000 machines of Azure, beside Microsoft's own client for Python
//! that asks for the same.
//!
//! ```text
//! cargo bench -p patchkit-azure --bench estate -- --python PATH
//! ```
//!
//! Both list all machines of five subscriptions, virtual ones, those of Arc and the instances of uniform
//! scale sets, each with its last assessment and its last installation; keep a row for each; and must come to
//! the same totals, without which nothing is compared. They send the same queries to Resource Graph, a
//! thousand rows on a page. `--nodes` and `--seed` change what is read. The client's half is `estate.py`.
//!
//! The simulated cloud, PatchKit and the client are a process each. Wall time is from the start of a reader's
//! process to its totals, and most of it is the simulator's; a reader's CPU time (user and system) and peak
//! memory (`VmHWM`) are read from `/proc` before it ends, so this needs Linux; its calls are those that the
//! simulator recorded. Neither reader is slowed down on purpose: the simulator does not throttle, and
//! PatchKit's [`CallBudget`](patchkit_azure::CallBudget) is unlimited, which it should not be in a tenant
//! that others use.

mod reader;
mod report;

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use patchkit_testkit::cloud::{Throttles, World, WorldBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::{
    reader::Totals,
    report::{Cost, Report},
};

#[derive(Debug, Parser)]
struct Args {
    /// About how many machines the estate has.
    #[arg(long, default_value_t = 100_000)]
    nodes: usize,
    /// What the simulated world follows from.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// A Python that has azure-mgmt-resourcegraph; else that of `cargo xtask clients`, else python3.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// What this process is: itself the bench, which starts the others.
    #[arg(long, hide = true)]
    part: Option<Part>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    Simulator,
    Reader,
}

/// What a reader is told: one line of JSON on its standard input, whose end it then waits for.
#[derive(Debug, Deserialize, Serialize)]
struct Task {
    endpoint: String,
    subscriptions: Vec<String>,
}

const SUBSCRIPTIONS: u64 = 5;

/// Half of the machines of a simulated world are Azure's, give or take a few.
fn machines(nodes: usize) -> usize {
    nodes * 2
}

fn main() -> ExitCode {
    let args = Args::parse();
    match args.part {
        None => compare(&args),
        Some(Part::Simulator) => simulate(&args),
        Some(Part::Reader) => reader::main(),
    }
}

fn compare(args: &Args) -> ExitCode {
    let python = args.python.clone().unwrap_or_else(python);
    let Some(version) = version(&python) else {
        let requirements =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/clients/requirements.txt");
        eprintln!(
            "{} has no azure-mgmt-resourcegraph. Install it as tests/clients/requirements.txt pins it:\n    \
             python3 -m venv VENV\n    \
             VENV/bin/pip install --requirement {requirements}\n\
             and say --python VENV/bin/python; or run `cargo xtask clients` once.",
            python.display()
        );
        return ExitCode::FAILURE;
    };
    let simulator = Simulator::start(args);
    let task = simulator.task();
    let this = env::current_exe().expect("a process knows its program");
    let ours = simulator.measure(Command::new(this).args(["--part", "reader"]), &task);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/estate/estate.py");
    let theirs = simulator.measure(Command::new(&python).arg(script), &task);
    let report = Report { version, ours, theirs };
    println!("{report}");
    if report.is_fair() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The interpreter that `cargo xtask clients` made, where it did.
fn python() -> PathBuf {
    let usual = PathBuf::from("python3");
    let Ok(this) = env::current_exe() else { return usual };
    // target/release/deps/estate-…
    let Some(target) = this.ancestors().nth(3) else { return usual };
    let Ok(venvs) = target.join("clients-venv").read_dir() else { return usual };
    let whole = venvs.flatten().map(|it| it.path()).find(|it| it.join("installed").exists());
    whole.map_or(usual, |it| it.join("bin").join("python"))
}

/// The versions of the client and of Python; `None` without the client.
fn version(python: &Path) -> Option<String> {
    let ask = "import azure.mgmt.compute, azure.mgmt.resourcegraph as it, platform; \
               print('azure-mgmt-resourcegraph', it.__version__, 'on Python', \
               platform.python_version())";
    let answer = Command::new(python).args(["-c", ask]).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    answer.status.success().then(|| text.trim().to_owned())
}

/// Serves a world until its standard input ends; tells its endpoints first.
#[tokio::main]
async fn simulate(args: &Args) -> ExitCode {
    let world = World::builder().seed(args.seed).nodes(machines(args.nodes));
    let world = world.throttles(Throttles::Off).speed(0.0);
    let subscriptions = (1..=SUBSCRIPTIONS).map(|n| format!("5b1c0ffe-0000-4000-8000-{n:012}"));
    let world = subscriptions.fold(world, WorldBuilder::azure_subscription);
    let world = world.start().await.expect("there is a port on loopback");
    say(&world.endpoints());
    wait_for_the_end();
    ExitCode::SUCCESS
}

/// Prints one line of JSON.
fn say(value: &impl Serialize) {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value).expect("there is someone who reads");
    writeln!(out).and_then(|()| out.flush()).expect("there is someone who reads");
}

/// Keeps the process as it is until whoever started it has looked at it.
fn wait_for_the_end() {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("standard input is a pipe");
}

/// A process that is told things in lines of JSON, and answers so. Its input's end is its own.
struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        // Nobody's proxy has a say in what is measured.
        let command = command
            .envs([("NO_PROXY", "127.0.0.1"), ("no_proxy", "127.0.0.1")])
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, out }
    }

    fn tell(&mut self, value: &impl Serialize) {
        let line = serde_json::to_string(value).expect("it has no odd keys");
        let mut input = self.child.stdin.as_ref().expect("it is piped");
        writeln!(input, "{line}").expect("the process reads");
    }

    /// Its next line; a process that fails says why on standard error, which is ours.
    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("what it says is text");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("it said {line:?}: {error}"))
    }

    fn proc(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.child.id());
        std::fs::read_to_string(path).expect("this is Linux, and the process is there")
    }

    /// User and system time of all threads so far, which Linux counts in hundredths of a second.
    fn cpu(&self) -> Duration {
        let text = self.proc("stat");
        let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field = |n| after_name.split_whitespace().nth(n).and_then(|it| it.parse::<u64>().ok());
        // proc_pid_stat(5): fields 14 and 15, of which the name is the second.
        let ticks = field(11).zip(field(12)).map(|(user, system)| user + system);
        Duration::from_millis(ticks.expect("times are numbers") * 10)
    }

    fn peak_kilobytes(&self) -> u64 {
        let text = self.proc("status");
        let line = text.lines().find_map(|it| it.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().expect("memory is a number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

struct Simulator {
    /// Ends when it is dropped.
    _process: Process,
    endpoints: Value,
}

impl Simulator {
    fn start(args: &Args) -> Self {
        let this = env::current_exe().expect("a process knows its program");
        let mut command = Command::new(this);
        command.args(["--part", "simulator", "--nodes", &args.nodes.to_string()]);
        let mut process = Process::start(command.args(["--seed", &args.seed.to_string()]));
        let endpoints = process.hear();
        Self { _process: process, endpoints }
    }

    fn text(&self, pointer: &str) -> String {
        self.endpoints.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn list(&self, name: &str) -> Vec<String> {
        serde_json::from_value(self.endpoints[name].clone()).expect("it is a list of names")
    }

    fn task(&self) -> Task {
        Task { endpoint: self.text("/azure_endpoint"), subscriptions: self.list("subscriptions") }
    }

    /// Runs a reader, and sees what it took.
    fn measure(&self, command: &mut Command, task: &Task) -> Cost {
        self.control("DELETE");
        let begun = Instant::now();
        let mut reader = Process::start(command);
        reader.tell(task);
        let totals = reader.hear();
        let wall = begun.elapsed();
        let totals: Totals = serde_json::from_value(totals).expect("it tells its totals");
        let (cpu, kilobytes) = (reader.cpu(), reader.peak_kilobytes());
        Cost { totals, wall, cpu, kilobytes, calls: self.calls() }
    }

    fn calls(&self) -> BTreeMap<String, usize> {
        let record: Value = serde_json::from_slice(&self.control("GET")).expect("it is JSON");
        let mut calls = BTreeMap::new();
        for call in record.as_array().expect("it is a list") {
            let operation = call["operation"].as_str().unwrap_or_default();
            *calls.entry(operation.to_owned()).or_default() += 1;
        }
        calls
    }

    /// Asks for the record of requests, or has it forgotten.
    fn control(&self, method: &str) -> Vec<u8> {
        let address = self.text("/control_endpoint");
        let address = address.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("the simulator listens");
        let head = format!("{method} /calls HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
        write!(stream, "{head}content-length: 0\r\n\r\n").expect("the simulator reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the simulator answers");
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").expect("an answer has a head");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..end]));
        answer.split_off(end + 4)
    }
}
