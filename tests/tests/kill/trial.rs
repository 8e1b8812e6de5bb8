//! One world in which something goes wrong, to its end.

use std::{fmt, fs, thread, time::Duration};

use patchkit_testkit::cloud::Fault;
use rustix::process::{Signal, WaitOptions, kill_process, waitpid};

use crate::{
    child::{Running, Task, Work},
    point::Point,
    promise::{self, Told},
    stage::{PAST_THE_LEASE, Play, Stage},
    tap::{Deed, let_go},
};

/// What goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    /// What happens to the first process, and at which point.
    first: Option<(Point, Deed)>,
    /// The point at which the one that comes after it is killed as well.
    second: Option<Point>,
    /// What becomes of the run then.
    end: Work,
    /// The name of a trouble with the clouds, and the trouble.
    trouble: Option<(&'static str, Vec<Fault>)>,
    /// How large the first process's files may grow, in blocks of 512 bytes.
    room: Option<u64>,
}

/// What came of it.
pub(crate) struct Found {
    /// Whether what was to happen to the first process has happened.
    pub(crate) reached: bool,
    /// Whether all has happened.
    pub(crate) all_reached: bool,
    /// The last words of those who worked in it.
    pub(crate) words: Vec<String>,
    /// Where the promise is broken.
    pub(crate) broken: Vec<String>,
    /// What the record has of writes that the first process made after it was let go on.
    pub(crate) late: Vec<String>,
}

impl Trial {
    /// The first process is killed, and the next one goes on.
    pub(crate) fn killed(point: &Point) -> Self {
        Self::at(point, Deed::Kill)
    }

    /// Something happens to the first process.
    pub(crate) fn at(point: &Point, deed: Deed) -> Self {
        let first = Some((point.clone(), deed));
        Self { first, second: None, end: Work::GoOn, trouble: None, room: None }
    }

    /// The first process finds no room for its journal.
    pub(crate) fn full(blocks: u64) -> Self {
        let room = Some(blocks);
        Self { first: None, second: None, end: Work::GoOn, trouble: None, room }
    }

    /// The next process is killed as well.
    pub(crate) fn and_again(mut self, point: &Point) -> Self {
        self.second = Some(point.clone());
        self
    }

    /// The run is ended, not gone on with.
    pub(crate) fn ended(mut self) -> Self {
        self.end = Work::Recover;
        self
    }

    /// The clouds have a trouble, too.
    pub(crate) fn amid(mut self, name: &'static str, faults: Vec<Fault>) -> Self {
        self.trouble = Some((name, faults));
        self
    }

    /// Plays it.
    pub(crate) fn play(&self, stage: &Stage) -> Found {
        let play = stage.play();
        for fault in self.trouble.iter().flat_map(|(_, faults)| faults) {
            play.world.add_fault(fault.clone()).unwrap();
        }
        let mut found = Found {
            reached: true,
            all_reached: true,
            words: Vec::new(),
            broken: Vec::new(),
            late: Vec::new(),
        };
        let tasks = match self.processes(&play, &mut found) {
            Ok(tasks) => tasks,
            Err(why) => {
                found.broken.push(why);
                return found;
            }
        };
        let answers: Vec<_> = tasks.iter().map(Task::answer).collect();
        let told = Told::of(&play, &answers);
        found.broken = promise::broken(&play, &told);
        // What was on its way to a cloud when the process stood still nobody can take back.
        let writing = fs::read_to_string(tasks[0].reached()).unwrap_or_default();
        if !found.late.is_empty() && writing == "0" {
            found.broken.push(format!("it acted for another: {:?}", found.late));
        }
        found.words = told.words;
        found
    }

    /// Lets the lease of whoever died be over, also by a clock that was ahead.
    fn lapse(&self, play: &Play<'_>) {
        let ahead = match self.first {
            Some((_, Deed::Jump(by))) => by.try_into().unwrap_or_default(),
            _ => 0,
        };
        play.world.advance(PAST_THE_LEASE + Duration::from_secs(ahead));
    }

    /// One process after the other. The last one has the last word, and must come to its end.
    fn processes(&self, play: &Play<'_>, found: &mut Found) -> Result<Vec<Task>, String> {
        let first = play.task("first", Work::Patch, self.first.clone());
        let setup = self.room.map(|room| format!("trap '' XFSZ; ulimit -f {room}"));
        let mut child = first.start(setup.as_deref());
        let stopped = matches!(self.first, Some((_, Deed::Stop))) && is_stopped(&child);
        if !stopped {
            child.wait()?;
        }
        self.lapse(play);
        let mut tasks = vec![first];
        if let Some(point) = &self.second {
            let task = play.task("second", self.end, Some((point.clone(), Deed::Kill)));
            task.start(None).wait()?;
            self.lapse(play);
            tasks.push(task);
        }
        let last = play.task("last", self.end, None);
        let ended = last.start(None).wait();
        let is_done = last.answer().is_some_and(|answer| !answer.is_given_up());
        tasks.push(last);
        if stopped {
            let before = promise::writes(play).len();
            fs::write(let_go(&tasks[0].reached()), "").map_err(|error| error.to_string())?;
            kill_process(child.pid(), Signal::CONT).map_err(|error| error.to_string())?;
            child.wait()?;
            // Who stands still in the middle of a write keeps the file of the journal to himself.
            if is_done {
                found.late = promise::writes(play).split_off(before);
            } else {
                self.lapse(play);
                tasks.push(play.task("after all", self.end, None));
                tasks[tasks.len() - 1].start(None).wait()?;
            }
        }
        let ended = ended?;
        if !ended.success() {
            return Err(format!("the process ended with {ended}: {}", tasks[1].words()));
        }
        found.reached = tasks[0].is_at_its_point();
        found.all_reached = tasks.iter().all(Task::is_at_its_point);
        Ok(tasks)
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.first {
            Some((point, Deed::Kill)) => write!(f, "{point}")?,
            Some((point, Deed::Stop)) => write!(f, "{point}+stop")?,
            Some((point, Deed::Jump(by))) => write!(f, "{point}{by:+}s")?,
            None => f.write_str("undisturbed")?,
        }
        if let Some(point) = &self.second {
            write!(f, "+{point}")?;
        }
        if self.end == Work::Recover {
            f.write_str("+recover")?;
        }
        if let Some((name, _)) = &self.trouble {
            write!(f, "+{name}")?;
        }
        if let Some(room) = self.room {
            write!(f, "+room{room}")?;
        }
        Ok(())
    }
}

/// Waits until the child stands still; says whether it does, or is over already.
fn is_stopped(child: &Running) -> bool {
    // Who asks `waitpid` for a child that is over takes its end away from `Child::wait`.
    loop {
        let options = WaitOptions::UNTRACED | WaitOptions::NOHANG;
        match waitpid(Some(child.pid()), options) {
            Ok(None) => thread::sleep(Duration::from_millis(2)),
            Ok(Some((_, status))) => return status.stopped(),
            Err(_) => return false,
        }
    }
}
