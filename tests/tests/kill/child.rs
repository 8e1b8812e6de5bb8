//! The process that is killed, and the one that comes after it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use patchkit_core::{
    Error, ErrorKind, LinkedFleet, Result, RunId,
    workflow::{PatchPlan, Recovery, RunReport, Runner},
};
use patchkit_journal::SqliteJournal;
use patchkit_testkit::cloud::Endpoints;
use serde::{Deserialize, Serialize};

use crate::{
    estate,
    point::Point,
    tap::{Deed, Tap},
    tapped::{Tapped, tapped},
    time::WorldTime,
};

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
}

/// What a child has to say.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Answer {
    pub(crate) reports: Vec<RunReport>,
    pub(crate) recoveries: Vec<Recovery>,
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

    /// What the child had to say, where it lived to say it.
    pub(crate) fn answer(&self) -> Option<Answer> {
        serde_json::from_slice(&fs::read(self.file("answer.json")).ok()?).ok()
    }

    /// What the child said before it died, or did not answer.
    pub(crate) fn words(&self) -> String {
        fs::read_to_string(self.file("out")).unwrap_or_default()
    }

    /// Starts the child, in a shell that does this first.
    pub(crate) fn start(&self, setup: Option<&str>) -> Child {
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
        command
            .args(["--exact", "child::child", "--ignored", "--nocapture", "--test-threads", "1"])
            .env(TASK, task)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap()
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
        let aws = tapped(&estate::aws(&self.endpoints, clock.clone()).await, &tap);
        let azure = tapped(&estate::azure(&self.endpoints, clock.clone()).await, &tap);
        let fleet = LinkedFleet::new(aws, azure);
        let journal = SqliteJournal::open(Self::journal(&self.place), clock.clone()).unwrap();
        let runner =
            Runner::new(fleet.clone(), fleet, Tapped::new(journal, &tap), clock.counted())
                .with_holder(&self.holder);
        let plan = fs::read(Self::plan(&self.place)).unwrap();
        let plan: PatchPlan = serde_json::from_slice(&plan).unwrap();
        let mut answer = Answer::default();
        let ended = match self.work {
            Work::Patch => answer.take("patch", runner.patch(&run(), &plan).await).map(drop),
            Work::GoOn => answer.go_on(&runner, &plan).await,
        };
        if let Err(error) = ended {
            answer.words.push(format!("given up: {}", error.report()));
        }
        answer
    }
}

impl Answer {
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

    /// Does what the documentation of `resume` tells an operator to.
    async fn go_on(&mut self, runner: &Runner, plan: &PatchPlan) -> Result<()> {
        let Err(error) = self.take("resume", runner.resume(&run()).await) else { return Ok(()) };
        match error.kind() {
            // It was never begun.
            ErrorKind::NotFound => self.take("patch", runner.patch(&run(), plan).await),
            // It was over, though nobody has seen its report; or it died before its first record.
            ErrorKind::Conflict | ErrorKind::Unsupported => {
                let recovery = runner.recover(&run()).await?;
                self.words.push(format!("recover: {recovery:?}"));
                self.recoveries.push(recovery);
                if error.kind() == ErrorKind::Conflict {
                    return Ok(());
                }
                self.take("patch again", runner.patch(&again(), plan).await)
            }
            _ => Err(error),
        }
    }
}
