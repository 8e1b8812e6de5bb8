//! A scheduler and its executors, as processes.

use std::{
    env, fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    role::port_file,
    witness::{PATIENCE, Witness},
};

/// The folder that all processes share.
pub(crate) const PLACE: &str = "PATCHKIT_BALLISTA_PLACE";
/// The scheduler's port.
pub(crate) const PORT: &str = "PATCHKIT_BALLISTA_PORT";
/// The folder that an executor has for itself.
pub(crate) const WORK: &str = "PATCHKIT_BALLISTA_WORK";

pub(crate) const EXECUTORS: usize = 2;

/// DataFusion plans step into step: in a build without optimization, a view over views takes more than
/// the two megabytes of tokio's threads.
const STACK: &str = "16777216";

/// The processes; they end with it.
pub(crate) struct Cluster {
    pub(crate) port: u16,
    pub(crate) executors: Vec<Executor>,
    _scheduler: Process,
    place: TempDir,
}

pub(crate) struct Executor {
    process: Process,
    /// Where it keeps what its tasks give to those of the next stage.
    pub(crate) work: PathBuf,
}

impl Cluster {
    /// Starts all of them, and waits until the scheduler has its executors.
    pub(crate) fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let scheduler = Process::start("scheduler", place.path(), &[]);
        let port_file = port_file(place.path());
        wait("the scheduler has no port", || port_file.exists());
        let port = fs::read_to_string(port_file).unwrap();
        let executors = (0..EXECUTORS).map(|at| {
            let work = place.path().join(format!("work-{at}"));
            fs::create_dir(&work).unwrap();
            let work_text = work.to_str().unwrap();
            let process =
                Process::start("executor", place.path(), &[(PORT, &port), (WORK, work_text)]);
            Executor { process, work }
        });
        let executors = executors.collect();
        let port = port.parse().unwrap();
        wait("the scheduler has no executors", || is_ready(port));
        Self { port, executors, _scheduler: scheduler, place }
    }

    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn witness(&self) -> Witness {
        Witness::new(self.place())
    }

    /// Kills an executor, and takes along what it kept, as a machine does that is gone.
    pub(crate) fn kill(&mut self, pid: u32) {
        let at = self.executors.iter().position(|it| it.pid() == pid).unwrap();
        let executor = self.executors.remove(at);
        drop(executor.process);
        fs::remove_dir_all(executor.work).unwrap();
    }
}

impl Executor {
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

/// A process that outlives nobody.
struct Process(Child);

impl Process {
    fn start(role: &str, place: &Path, settings: &[(&str, &str)]) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", &format!("role::{role}"), "--ignored", "--nocapture"])
            .env(PLACE, place)
            .envs(settings.iter().copied())
            .env("RUST_MIN_STACK", STACK)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL, of which no process hears anything.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the scheduler says that it has the executors it wants.
fn is_ready(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn wait(lack: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{lack}");
        thread::sleep(Duration::from_millis(20));
    }
}
