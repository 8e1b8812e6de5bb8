//! What is done on a schedule.

use std::time::Duration;

use jiff::Timestamp;
use patchkit_core::{
    ComplianceStatus, FreezeCalendar, MaintenanceWindow, NodeSelector, Result, RunId, Timetable,
    workflow::{
        AccessMode, AccessOutcome, Freezes, Outcome, PatchOptions, RequiredTags, Runner, TagMode,
        TagOutcome,
    },
};

/// A workflow and its schedule.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) timetable: Timetable,
    pub(crate) task: Task,
}

/// A workflow with what it takes.
#[derive(Debug)]
pub(crate) enum Task {
    Scan(NodeSelector),
    Access(NodeSelector, AccessMode),
    Tags(NodeSelector, RequiredTags, TagMode),
    Patch { options: Box<PatchOptions>, window: Duration, cutoff: Duration },
}

/// How a run ended, for metrics and the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// Nothing is left to do.
    Clean,
    /// Something was found that people should look at.
    Findings,
}

impl End {
    /// How a run ended whose nodes ended like this.
    fn of<T>(
        nodes: impl IntoIterator<Item = T>,
        is_good: impl Fn(T) -> bool,
        problems: &[String],
    ) -> Self {
        if nodes.into_iter().all(is_good) && problems.is_empty() {
            Self::Clean
        } else {
            Self::Findings
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Findings => "findings",
        }
    }
}

impl Job {
    /// The run of one occurrence. The same for every daemon of a journal, and after every restart: an
    /// occurrence is carried out once.
    pub(crate) fn run(&self, due: Timestamp) -> Result<RunId> {
        RunId::new(format!("{}-{}", self.name, due.strftime("%Y%m%dT%H%M%SZ")))
    }

    /// Whether it is too late for an occurrence: nothing is patched after its window.
    pub(crate) fn is_over(&self, due: Timestamp, now: Timestamp) -> bool {
        match &self.task {
            Task::Patch { window, cutoff, .. } => {
                !MaintenanceWindow::new(due, *window).with_cutoff(*cutoff).admits(now)
            }
            _ => false,
        }
    }

    pub(crate) async fn carry_out(
        &self,
        runner: &Runner,
        run: &RunId,
        due: Timestamp,
        freezes: Option<FreezeCalendar>,
    ) -> Result<End> {
        match &self.task {
            Task::Scan(selector) => {
                let report = runner.scan(run, selector).await?;
                let good = |status| status == ComplianceStatus::Compliant;
                let nodes = report.nodes.iter().map(|node| node.compliance.status);
                Ok(End::of(nodes, good, &report.problems))
            }
            Task::Access(selector, mode) => {
                let report = runner.check_access(run, selector, mode).await?;
                let good =
                    |it: AccessOutcome| matches!(it, AccessOutcome::Granted | AccessOutcome::Fixed);
                let nodes = report.nodes.iter().map(|node| node.outcome);
                Ok(End::of(nodes, good, &report.problems))
            }
            Task::Tags(selector, required, mode) => {
                let report = runner.check_tags(run, selector, required, *mode).await?;
                let good = |it: TagOutcome| matches!(it, TagOutcome::Complete | TagOutcome::Merged);
                let nodes = report.nodes.iter().map(|node| node.outcome);
                Ok(End::of(nodes, good, &report.problems))
            }
            Task::Patch { options, window, cutoff } => {
                let window = MaintenanceWindow::new(due, *window).with_cutoff(*cutoff);
                let mut options = (**options).clone().with_window(window);
                if let Some(calendar) = freezes {
                    options = options.with_freezes(Freezes::new(calendar));
                }
                let plan = runner.plan_patch(&options).await?;
                let report = runner.patch(run, &plan).await?;
                let good = |it: Outcome| matches!(it, Outcome::Patched | Outcome::AlreadyCompliant);
                let nodes = report.nodes.iter().map(|node| node.outcome.outcome);
                let ended = End::of(nodes, good, &report.problems);
                Ok(if report.undo_failed.is_empty() { ended } else { End::Findings })
            }
        }
    }
}
