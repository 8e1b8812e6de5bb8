//! Follows the schedules, takes up what a daemon that died has left, and stops in good order.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::join_all};
use jiff::{SignedDuration, Timestamp};
use metrics_exporter_prometheus::PrometheusBuilder;
use patchkit_core::{
    ErrorKind, Result, RunId, RunLine, RunState, Runs, Standing,
    observe::{EventStream, Observer as _, RunEvent},
    workflow::Runner,
};
use patchkit_examples::{Exit, printable, tell};
use patchkit_journal::SqliteJournal;
use tokio::{
    net::TcpListener,
    sync::{Mutex, watch},
};

use super::{
    SharedClock,
    config::{Config, span},
    drain::UnderWay,
    fleet,
    job::{End, Job},
    serve::{Served, serve},
    state::{LastRun, State},
};

/// Whose orders these are, in the journal.
const BY: &str = "patchd";
/// Why a run is paused that the next daemon is to go on with.
const DRAINING: &str = "the daemon stops";
/// How many lines of events wait for a slow reader.
const LINES: usize = 10_000;
/// How often a wait looks at the clock, which may have been set.
const GLANCE: Duration = Duration::from_mins(1);

/// How far ahead freezes are read: longer than any window is open.
const HORIZON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Why a run could not be carried out.
struct Failed {
    /// It is another's, or was carried out before.
    conflict: bool,
    report: String,
}

/// The daemon.
pub(crate) struct Daemon {
    config: Config,
    clock: SharedClock,
    runner: Runner,
    runs: Runs,
    under_way: Arc<UnderWay>,
    state: Arc<State>,
    stop: watch::Sender<bool>,
    turn: Mutex<()>,
}

impl Daemon {
    /// Opens the journal and the fleet, and listens.
    pub(crate) async fn start(
        config: Config,
        clock: SharedClock,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let metrics = PrometheusBuilder::new().install_recorder()?;
        let journal = SqliteJournal::open(&config.journal, Arc::clone(&clock))?;
        let runs = Runs::new(journal.clone(), Arc::clone(&clock));
        let under_way = Arc::new(UnderWay::default());
        let (feed, lines) = EventStream::bounded(LINES);
        let seen = Arc::clone(&under_way);
        let runner = fleet::runner(&config, journal, Arc::clone(&clock))
            .await?
            .with_holder(&config.holder)
            .with_observer(feed)
            .with_observer(move |event: &RunEvent| seen.observe(event));
        // Lines that nobody reads do not stop the runs.
        std::thread::spawn(move || {
            let _ = futures::executor::block_on(lines.write_json(std::io::stdout()));
        });
        let listener = TcpListener::bind(config.listen).await?;
        tell(&format!("patchd: health and metrics at http://{}", listener.local_addr()?));
        let state = Arc::new(State::default());
        let served = Served { state: Arc::clone(&state), metrics };
        tokio::spawn(serve(listener, Arc::new(served)));
        let stop = watch::Sender::new(false);
        Ok(Self { config, clock, runner, runs, under_way, state, stop, turn: Mutex::new(()) })
    }

    /// Works until it is told to stop.
    pub(crate) async fn run(self) -> Result<Exit, Box<dyn std::error::Error>> {
        let jobs = self.config.jobs()?;
        let after = self.clock.now().saturating_sub(self.config.catch_up)?;
        let work = async {
            let jobs = join_all(jobs.iter().map(|job| self.follow(job, after)));
            futures::join!(self.watch_over(), jobs);
            // Schedules that never come again leave a daemon that still tells of its health.
            self.told_to_stop().await;
            // The drain ends the daemon, not its work.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = work => {}
            () = self.drain() => {}
        }
        tell("patchd: stopped");
        Ok(Exit::Clean)
    }

    /// Goes on with runs that nobody holds: those of a daemon that died, once its lease is over.
    async fn watch_over(&self) {
        loop {
            let lines: Vec<Result<RunLine>> = self.runs.list().collect().await;
            let unread = lines.iter().find_map(|line| Some(line.as_ref().err()?.report()));
            if let Some(error) = &unread {
                say(error);
            }
            self.state.change(|health| health.journal = unread);
            let left = lines.into_iter().flatten().filter(|line| line.state == RunState::Dead);
            join_all(left.map(async |line| self.go_on(&line).await)).await;
            tokio::select! {
                () = self.clock.sleep(GLANCE) => {}
                () = self.told_to_stop() => return,
            }
        }
    }

    async fn go_on(&self, line: &RunLine) {
        let run = &line.head.run;
        let _turn = self.turn.lock().await;
        let went_on = async {
            if self.paused_by_us(run).await? {
                self.runs.resume(run, BY, "the daemon is back").await?;
            }
            match self.runner.resume(run).await {
                Ok(_) => Ok("carried to its end"),
                // A scan or a check: the next one finds what this one did not.
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    self.runner.recover(run).await.map(|_| "ended early")
                }
                Err(error) => Err(error),
            }
        };
        match went_on.await {
            Ok(what) => say(&format!("run {run} of a daemon that died was {what}")),
            Err(error) => say(&format!("run {run} cannot be taken up: {}", error.report())),
        }
    }

    /// Whether the pause that stands is a daemon's own: an operator's is not for it to lift.
    async fn paused_by_us(&self, run: &RunId) -> Result<bool> {
        let story = self.runs.story(run).await?;
        Ok(Standing::of(run, &story.orders) == Standing::Paused
            && story.orders.last().is_some_and(|it| it.by == BY && it.reason == DRAINING))
    }

    /// Carries a job out whenever it is due.
    async fn follow(&self, job: &Job, mut after: Timestamp) {
        loop {
            let due = match job.timetable.next_after(after) {
                Ok(Some(due)) => due,
                Ok(None) => return say(&format!("{} does not come again", job.name)),
                Err(error) => return say(&format!("{}: {}", job.name, error.report())),
            };
            self.state.of_job(job.name, |it| it.next = Some(due));
            tokio::select! {
                () = self.until(due) => {}
                () = self.told_to_stop() => return,
            }
            // One after the other: a scan holds the nodes that it scans, and a patch run would leave them out.
            let _turn = self.turn.lock().await;
            if *self.stop.borrow() {
                return;
            }
            if job.is_over(due, self.clock.now()) {
                say(&format!("{} of {due} is too late: its window is over", job.name));
            } else {
                self.carry_out(job, due).await;
            }
            // What came due meanwhile is made up for where it is not too old.
            let oldest = self.clock.now().saturating_sub(self.config.catch_up);
            after = oldest.map_or(due, |oldest| oldest.max(due));
        }
    }

    async fn carry_out(&self, job: &Job, due: Timestamp) {
        let run = match job.run(due) {
            Ok(run) => run,
            Err(error) => return say(&error.report()),
        };
        self.state.of_job(job.name, |it| it.running = Some(run.clone()));
        let ended = self.one(job, &run, due).await;
        let (end, error) = match &ended {
            Ok(end) => (end.as_str(), None),
            // Another daemon of this journal was first, or this one was before it was started again.
            Err(error) if error.conflict => ("elsewhere", None),
            Err(error) => ("failed", Some(error.report.clone())),
        };
        if let Some(error) = &error {
            say(&format!("run {run} failed: {error}"));
        }
        metrics::counter!("patchd_runs_total", "job" => job.name, "end" => end).increment(1);
        let last = LastRun { run, ended_at: self.clock.now(), end, error };
        self.state.of_job(job.name, |it| {
            it.running = None;
            it.last = Some(last);
        });
    }

    async fn one(
        &self,
        job: &Job,
        run: &RunId,
        due: Timestamp,
    ) -> std::result::Result<End, Failed> {
        // Read anew for each run: people add freezes while the daemon runs.
        let until = due.saturating_add(HORIZON).unwrap_or(Timestamp::MAX);
        let freezes = self
            .config
            .freezes(due, until)
            .map_err(|error| Failed { conflict: false, report: error.to_string() })?;
        let ended = Box::pin(job.carry_out(&self.runner, run, due, freezes)).await;
        ended.map_err(|error| Failed {
            conflict: error.kind() == ErrorKind::Conflict,
            report: error.report(),
        })
    }

    /// Waits until a time, by a clock that may be set while it waits.
    async fn until(&self, due: Timestamp) {
        loop {
            let left = due.duration_since(self.clock.now());
            let Ok(left) = Duration::try_from(left) else { return };
            if left.is_zero() {
                return;
            }
            self.clock.sleep(left.min(GLANCE)).await;
        }
    }

    async fn told_to_stop(&self) {
        let mut stop = self.stop.subscribe();
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// Waits to be told to stop; then has the runs begin nothing new, and waits for what is under way.
    async fn drain(&self) {
        stop_signal().await;
        self.stop.send_replace(true);
        self.state.change(|health| health.draining = true);
        say("stopping: what is under way is waited for; once more stops at once");
        for run in self.under_way.runs() {
            if let Err(error) = self.runs.pause(&run, BY, DRAINING).await {
                say(&format!("run {run} cannot be paused: {}", error.report()));
            }
        }
        let longest = span("drain", self.config.drain).unwrap_or_default();
        tokio::select! {
            () = self.under_way.quiet() => {}
            () = self.clock.sleep(longest) => {
                say("what is under way goes on without being watched; the next start looks at it");
            }
            () = stop_signal() => {}
        }
    }
}

/// SIGTERM, or Ctrl-C.
async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}

fn say(line: &str) {
    tell(&printable(&format!("patchd: {line}")));
}
