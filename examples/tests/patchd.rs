//! The daemon: its schedules, its health, how it stops, and how it goes on where it was killed.

#![cfg(all(unix, feature = "patchd"))]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// As long as anything here is waited for.
const LONG: Duration = Duration::from_mins(2);

const FLEET: &str = "[fleet.memory]\nseed = 7\nnodes = 30\nspeed = 600\n";
const PATCH: &str = "[patch]\nschedule = \"cron(0/20 * * * ? *)\"\nwindow = \"6h\"\n\
                     disruption = \"25%\"\nerrors = \"50%\"\n";

struct Daemon {
    child: Child,
    told: BufReader<ChildStderr>,
    address: String,
}

impl Daemon {
    fn start(directory: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_patchd"))
            .arg(directory.join("patchd.toml"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        let (_, address) = line.trim().split_once("http://").unwrap_or_else(|| panic!("{line}"));
        Self { child, told, address: address.to_owned() }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    fn until(&self, what: &str, seen: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let health: Value = serde_json::from_str(&self.get("/healthz").1).unwrap();
            if seen(&health) {
                return;
            }
            assert!(begun.elapsed() < LONG, "{what}: {health}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for its end; what it told, and its exit code.
    fn end(mut self) -> (String, Option<i32>) {
        let mut told = String::new();
        self.told.read_to_string(&mut told).unwrap();
        (told, self.child.wait().unwrap().code())
    }
}

fn write(directory: &Path, text: &str) {
    let journal = directory.join("patchd.db");
    let head = format!("journal = '{}'\nlisten = \"127.0.0.1:0\"\n", journal.display());
    std::fs::write(directory.join("patchd.toml"), head + text).unwrap();
}

fn check(text: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), text);
    let path = directory.path().join("patchd.toml");
    Command::new(env!("CARGO_BIN_EXE_patchd")).arg("--check").arg(path).output().unwrap()
}

#[test]
fn it_works_by_its_schedules_and_tells_of_its_health() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &format!("{FLEET}[scan]\nschedule = \"rate(10 minutes)\"\n{PATCH}"));
    let daemon = Daemon::start(directory.path());
    daemon.until("a patch run ends", |it| it["jobs"]["patch"]["last"]["end"].is_string());
    daemon.until("a scan ends", |it| it["jobs"]["scan"]["last"]["end"].is_string());
    assert_eq!(daemon.get("/readyz").0, 200);
    assert_eq!(daemon.get("/elsewhere").0, 404);
    let (status, metrics) = daemon.get("/metrics");
    assert_eq!(status, 200);
    for name in
        ["patchd_runs_total{job=\"patch\"", "patchkit_nodes_finished_total{outcome=\"patched\"}"]
    {
        assert!(metrics.contains(name), "{metrics}");
    }
    daemon.signal("TERM");
    let (told, code) = daemon.end();
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("patchd: stopped"), "{told}");
}

#[test]
fn a_daemon_that_was_killed_goes_on_with_its_run_and_does_not_repeat_it() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &format!("{FLEET}{PATCH}"));
    let first = Daemon::start(directory.path());
    first.until("a patch run begins", |it| it["jobs"]["patch"]["running"].is_string());
    std::thread::sleep(Duration::from_millis(500));
    first.signal("KILL");
    assert_eq!(first.end().1, None);
    let second = Daemon::start(directory.path());
    let begun = Instant::now();
    let mut told = second.told;
    let mut line = String::new();
    while !line.contains("was carried to its end") {
        line.clear();
        assert!(told.read_line(&mut line).unwrap() > 0 && begun.elapsed() < LONG, "{line}");
    }
    let mut child = second.child;
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_example_of_a_configuration_is_sound() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/patchd.toml");
    let checked =
        Command::new(env!("CARGO_BIN_EXE_patchd")).args(["--check", path]).output().unwrap();
    let told = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_ne!(checked.status.code(), Some(2), "{}", String::from_utf8_lossy(&checked.stderr));
    for job in ["scan", "access", "tags", "patch"] {
        assert!(told.lines().any(|line| line.starts_with(job)), "{told}");
    }
}

#[test]
fn what_is_wrong_with_a_configuration_is_told_with_its_place() {
    for (text, what) in [
        (FLEET.to_owned(), "nothing to do"),
        (format!("{FLEET}{PATCH}bakes = \"1h\"\n"), "unknown field `bakes`"),
        (format!("{FLEET}[scan]\nschedule = \"cron(0 25 * * ? *)\"\n"), "25"),
        (format!("{FLEET}[scan]\nschedule = \"weekly\"\n"), "not rate"),
        (
            format!("{FLEET}[access]\nschedule = \"rate(1 day)\"\npolicy = \"x\"\n"),
            "instance_profile",
        ),
        (format!("{FLEET}{}", PATCH.replace("\"25%\"", "\"many\"")), "many"),
        (format!("{FLEET}{}", PATCH.replace("\"6h\"", "\"-6h\"")), "negative"),
        (format!("zone = \"Mars/Olympus\"\n{FLEET}{PATCH}"), "Mars"),
    ] {
        let checked = check(&text);
        let told = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.code(), Some(2), "{text}: {told}");
        assert!(told.contains("patchd.toml") && told.contains(what), "{text}: {told}");
    }
}
