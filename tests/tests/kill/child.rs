//! The process that is killed, and the one that comes after it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use patchkit_core::{
    Clock as _, Error, ErrorKind, Journal, LinkedFleet, Result, RunId,
    workflow::{PatchPlan, Recovery, RunReport, Runner},
};
use patchkit_journal::SqliteJournal;
use patchkit_testkit::cloud::Endpoints;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::{
    estate,
    point::Point,
    tap::{Deed, Tap},
    tapped::{Tapped, tapped},
    time::WorldTime,
};

/// A child that takes longer hangs.
const PATIENCE: Duration = Duration::from_mins(4);
/// When an operator tries again.
const LATER: Duration = Duration::from_mins(5);

/// Where a child reads what it is to do.
const TASK: &str = "PATCHKIT_KILL_TASK";

/// What a child is to do.
#[derive(Deserialize, Serialize)]
pub(crate) struct Task {
    pub(crate) endpoints: Endpoints,
    /// Where plan, journal and answers are.
    pub(crate) place: PathBuf,
    /// The child's own name.
    pub(crate) holder: String,
    pub(crate) work: Work,
    pub(crate) deed: Option<(Point, Deed)>,
    /// Whether the points of the run are written down.
    pub(crate) track: bool,
}

/// What becomes of the run.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Work {
    /// It is begun.
    Patch,
    /// It is gone on with, as an operator would.
    GoOn,
    /// It is ended.
    Recover,
}

/// What a child has to say.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Answer {
    pub(crate) reports: Vec<RunReport>,
    pub(crate) recoveries: Vec<Recovery>,
    /// Whether the run was ended, and not gone on with.
    pub(crate) is_recovered: bool,
    /// What was done, and what it was answered.
    pub(crate) words: Vec<String>,
}

impl Task {
    pub(crate) fn journal(place: &Path) -> PathBuf {
        place.join("runs.db")
    }

    pub(crate) fn plan(place: &Path) -> PathBuf {
        place.join("plan.json")
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.place.join(format!("{}.{ending}", self.holder))
    }

    /// Where the points are written down.
    pub(crate) fn points(&self) -> PathBuf {
        self.file("points")
    }

    /// Where it is written down that the point was reached.
    pub(crate) fn reached(&self) -> PathBuf {
        self.file("reached")
    }

    /// Whether what was to happen to the child has happened.
    pub(crate) fn is_at_its_point(&self) -> bool {
        self.deed.is_none() || self.reached().exists()
    }

    /// What the child had to say, where it lived to say it.
    pub(crate) fn answer(&self) -> Option<Answer> {
        serde_json::from_slice(&fs::read(self.file("answer.json")).ok()?).ok()
    }

    /// What the child said before it died, or did not answer.
    pub(crate) fn words(&self) -> String {
        fs::read_to_string(self.file("out")).unwrap_or_default()
    }

    /// Starts the child, in a shell that does this first.
    pub(crate) fn start(&self, setup: Option<&str>) -> Running {
        let task = self.file("task.json");
        fs::write(&task, serde_json::to_vec(self).unwrap()).unwrap();
        let this = env::current_exe().unwrap();
        let mut command = match setup {
            None => Command::new(this),
            Some(setup) => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(format!("{setup}; exec \"$0\" \"$@\"")).arg(this);
                command
            }
        };
        let out = fs::File::create(self.file("out")).unwrap();
        let child = command
            .args(["--exact", "child::child", "--ignored", "--nocapture", "--test-threads", "1"])
            .env(TASK, task)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn();
        Running(child.unwrap())
    }
}

/// A process that outlives nobody.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where it hangs.
    pub(crate) fn wait(&mut self) -> std::result::Result<ExitStatus, String> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(format!("the process was not over after {} min", PATIENCE.as_secs() / 60))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is over already, as a rule.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The run that is interrupted.
pub(crate) fn run() -> RunId {
    RunId::new("fortnight").unwrap()
}

/// The one that an operator begins where that one cannot be gone on with.
pub(crate) fn again() -> RunId {
    RunId::new("fortnight-again").unwrap()
}

/// Not a test of its own: the process that the others start.
#[test]
#[ignore = "the process that the other tests start"]
fn child() {
    let task = env::var(TASK).unwrap();
    let task: Task = serde_json::from_slice(&fs::read(task).unwrap()).unwrap();
    // One thread: the calls of a run come in the same order each time, as far as answers do.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(task.carry_out());
    fs::write(task.file("answer.json"), serde_json::to_vec(&answer).unwrap()).unwrap();
}

impl Task {
    async fn carry_out(&self) -> Answer {
        let track = self.track.then(|| self.points());
        let tap = Tap::new(self.deed.clone(), track, self.reached());
        let clock = WorldTime::new(&self.endpoints.control_endpoint, &tap);
        let mut answer = Answer::default();
        let fleet = loop {
            match self.open(&clock, &tap, &mut answer).await {
                Ok(fleet) => break fleet,
                // Nothing of it can be reached: an operator comes back later.
                Err(error) => answer.words.push(format!("not opened: {}", error.report())),
            }
            clock.sleep(LATER).await;
        };
        let journal = match SqliteJournal::open(Self::journal(&self.place), clock.clone()) {
            Ok(journal) => Arc::new(Tapped::new(journal, &tap)),
            // The disk may be full before there is a journal: nothing is begun then.
            Err(error) => {
                answer.words.push(format!("no journal: {}", error.report()));
                return answer;
            }
        };
        let runner = Runner::new(fleet.clone(), fleet, Arc::clone(&journal), clock.counted())
            .with_holder(&self.holder);
        let plan = fs::read(Self::plan(&self.place)).unwrap();
        let plan: PatchPlan = serde_json::from_slice(&plan).unwrap();
        let ended = match self.work {
            Work::Patch => answer.take("patch", runner.patch(&run(), &plan).await).map(drop),
            Work::GoOn => answer.go_on(&runner, &*journal, &plan).await,
            Work::Recover => answer.recover(&runner, &run()).await,
        };
        if let Err(error) = ended {
            answer.words.push(format!("given up: {}", error.report()));
        }
        answer
    }
}

impl Task {
    /// Opens what can be reached, and goes to work without the rest.
    async fn open(
        &self,
        clock: &WorldTime,
        tap: &Arc<Tap>,
        answer: &mut Answer,
    ) -> Result<LinkedFleet> {
        let (aws, no_aws) = estate::aws(&self.endpoints, clock.clone()).await?;
        let (azure, no_azure) = estate::azure(&self.endpoints, clock.clone()).await?;
        let lacking = no_aws.into_iter().chain(no_azure);
        answer.words.extend(lacking.map(|why| format!("not in the estate: {why}")));
        Ok(LinkedFleet::new(tapped(&aws, tap), tapped(&azure, tap)))
    }
}

impl Answer {
    /// Whether it could not do what it was to do.
    pub(crate) fn is_given_up(&self) -> bool {
        self.words.iter().any(|word| word.starts_with("no journal") || word.starts_with("given up"))
    }

    /// Takes a report over, and the words of an error.
    fn take(&mut self, what: &str, answer: Result<RunReport>) -> Result<(), Error> {
        match answer {
            Ok(report) => {
                self.words.push(format!("{what}: {:?}", report.tally()));
                self.reports.push(report);
                Ok(())
            }
            Err(error) => {
                self.words.push(format!("{what}: {}", error.report()));
                Err(error)
            }
        }
    }

    async fn recover(&mut self, runner: &Runner, run: &RunId) -> Result<()> {
        self.is_recovered = true;
        let recovery = match runner.recover(run).await {
            Ok(recovery) => recovery,
            // Killed before it was begun.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.words.push(format!("recover: {}", error.report()));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.words.push(format!("recover: {recovery:?}"));
        self.recoveries.push(recovery);
        Ok(())
    }

    /// Does what the documentation of `resume` tells an operator to.
    async fn go_on(
        &mut self,
        runner: &Runner,
        journal: &dyn Journal,
        plan: &PatchPlan,
    ) -> Result<()> {
        // The newest run is the one that matters.
        let run = if journal.head(&again()).await.is_ok() { again() } else { run() };
        let Err(error) = self.take("resume", runner.resume(&run).await) else { return Ok(()) };
        match error.kind() {
            // It was never begun.
            ErrorKind::NotFound => self.take("patch", runner.patch(&run, plan).await),
            // It was over, though nobody may have seen its report.
            ErrorKind::Conflict => {
                self.recover(runner, &run).await?;
                self.is_recovered = false;
                Ok(())
            }
            // It died before its first record.
            ErrorKind::Unsupported => {
                self.recover(runner, &run).await?;
                self.is_recovered = false;
                self.take("patch again", runner.patch(&self::again(), plan).await)
            }
            _ => Err(error),
        }
    }
}
