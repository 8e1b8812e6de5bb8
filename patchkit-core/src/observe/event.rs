//! Events of runs, as data.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    NodeId, OperationId, PatchAction, RunId,
    operator::Plain,
    workflow::{NodeReport, PlanStep},
};

/// Something that happened in a run.
///
/// Its JSON is one object: the fields here and those of the kind, whose name is under `event`.
///
/// ```
/// use patchkit_core::observe::{RunEvent, RunEventKind};
///
/// let line = r#"{"v":1,"run":"r","at":"2026-11-24T02:00:00Z","seq":7,"event":"checked","nodes":3}"#;
/// let event: RunEvent = serde_json::from_str(line)?;
/// assert_eq!(event.kind, RunEventKind::Checked { nodes: 3 });
/// assert_eq!(serde_json::to_string(&event)?, line);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunEvent {
    /// The version of the form. It grows when a field changes its meaning, not when one is added.
    #[serde(rename = "v")]
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// When it happened, by the runner's clock.
    pub at: Timestamp,
    /// Its number, from 0 without gaps, among those that one process tells of the run. A run that
    /// another process goes on with is counted anew.
    pub seq: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: RunEventKind,
}

impl RunEvent {
    /// The version that this build writes.
    pub const VERSION: u32 = 1;

    /// An event in this build's form.
    pub fn new(run: RunId, at: Timestamp, seq: u64, kind: RunEventKind) -> Self {
        Self { version: Self::VERSION, run, at, seq, kind }
    }
}

impl fmt::Display for RunEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}  {}", self.at, self.run, self.kind)
    }
}

/// What happened.
///
/// What these tell is told as it happens, which may be before it is in the journal: a run is resumed
/// from its journal, never from these.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunEventKind {
    /// The run began, and is in the journal.
    RunStarted {
        /// The workflow's name.
        workflow: String,
        /// The plan's hash; empty for a workflow without a plan.
        plan_hash: String,
        /// How many nodes it has, where that is known before.
        nodes: Option<usize>,
    },
    /// Another holder goes on with the run.
    RunResumed {
        /// Who.
        holder: String,
    },
    /// The run begins nothing new until it is told to go on.
    RunPaused,
    /// A paused run goes on, or ends.
    RunUnpaused,
    /// The run waits: it begins nothing more until then, and looks after its lease and its orders
    /// meanwhile. Told once for each wait; what comes next tells that it is over.
    Waiting {
        /// For what.
        cause: WaitCause,
        /// Until when at the longest, as far as is known.
        until: Timestamp,
    },
    /// A wave begins.
    WaveStarted {
        /// Its name. Untrusted: escape before showing.
        wave: String,
        /// How many nodes it has.
        nodes: usize,
    },
    /// A node enters a step.
    NodeStep {
        /// The node.
        node: NodeId,
        /// The step.
        step: PlanStep,
    },
    /// A node's part in the run is over.
    NodeFinished {
        /// How it ended. Its power afterwards is in the run's report alone.
        report: Box<NodeReport>,
    },
    /// Some nodes were scanned, checked or tagged.
    Checked {
        /// How many more.
        nodes: usize,
    },
    /// An act was accepted.
    OperationStarted {
        /// Its id.
        operation: OperationId,
        /// The act.
        action: PatchAction,
        /// The nodes.
        nodes: Vec<NodeId>,
    },
    /// An accepted act is not followed any more: it ended on every node, or took too long.
    OperationEnded {
        /// Its id.
        operation: OperationId,
        /// The act.
        action: PatchAction,
        /// On how many nodes it ended well.
        succeeded: usize,
        /// On how many it did not.
        failed: usize,
        /// On how many its end is not known.
        unknown: usize,
        /// How long it was followed, in seconds.
        seconds: u64,
    },
    /// Something went wrong without belonging to one node.
    Problem {
        /// What. Holds providers' words: escape before showing.
        problem: String,
    },
    /// The run is over.
    RunFinished {
        /// The workflow's name; empty where it cannot be told.
        workflow: String,
        /// How long it took in this process, in seconds.
        seconds: u64,
    },
    /// An event of a newer version, kept as it is.
    #[serde(untagged)]
    Other(serde_json::Value),
}

/// What a run waits for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitCause {
    /// A freeze to be over.
    Freeze,
    /// Other runs to give a shared budget's slots back; it gives up then.
    Slot,
    /// The ramp to let another node start.
    Ramp,
    /// A wave to have been watched for as long as the plan wants.
    Bake,
    /// A cause of a newer version.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for WaitCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Freeze => f.write_str("for a freeze to be over"),
            Self::Slot => f.write_str("for slots of a shared budget"),
            Self::Ramp => f.write_str("to start further nodes"),
            Self::Bake => f.write_str("to see how the wave does"),
            Self::Other(cause) => write!(f, "for {}", Plain(cause)),
        }
    }
}

impl RunEventKind {
    /// The word under `event` in its JSON.
    pub fn as_str(&self) -> &str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::RunResumed { .. } => "run_resumed",
            Self::RunPaused => "run_paused",
            Self::RunUnpaused => "run_unpaused",
            Self::Waiting { .. } => "waiting",
            Self::WaveStarted { .. } => "wave_started",
            Self::NodeStep { .. } => "node_step",
            Self::NodeFinished { .. } => "node_finished",
            Self::Checked { .. } => "checked",
            Self::OperationStarted { .. } => "operation_started",
            Self::OperationEnded { .. } => "operation_ended",
            Self::Problem { .. } => "problem",
            Self::RunFinished { .. } => "run_finished",
            Self::Other(event) => {
                event.get("event").and_then(serde_json::Value::as_str).unwrap_or("unknown")
            }
        }
    }

    /// The node that it is about, where it is about one.
    pub fn node(&self) -> Option<&NodeId> {
        match self {
            Self::NodeStep { node, .. } => Some(node),
            Self::NodeFinished { report } => Some(&report.node),
            _ => None,
        }
    }
}

impl fmt::Display for RunEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunStarted { workflow, nodes, .. } => {
                write!(f, "the run began: {}", Plain(workflow))?;
                nodes.map_or(Ok(()), |nodes| write!(f, ", {nodes} nodes"))
            }
            Self::RunResumed { holder } => write!(f, "{} goes on with the run", Plain(holder)),
            Self::RunPaused => f.write_str("the run is paused"),
            Self::RunUnpaused => f.write_str("the run is not paused any more"),
            Self::Waiting { cause, until } => write!(f, "the run waits {cause}, until {until}"),
            Self::WaveStarted { wave, nodes } => write!(f, "wave {}: {nodes} nodes", Plain(wave)),
            Self::NodeStep { node, step } => write!(f, "{node}: {step}"),
            Self::NodeFinished { report } => {
                write!(f, "{} ended: {}", report.node, report.outcome.outcome)?;
                report.outcome.notes.iter().try_for_each(|note| write!(f, "; {}", Plain(note)))
            }
            Self::Checked { nodes } => write!(f, "{nodes} more nodes checked"),
            Self::OperationStarted { operation, action, nodes } => {
                write!(f, "{action} is {operation}, on {} nodes", nodes.len())
            }
            Self::OperationEnded { operation, succeeded, failed, unknown, .. } => write!(
                f,
                "{operation} ended: {succeeded} succeeded, {failed} failed, {unknown} unknown"
            ),
            Self::Problem { problem } => write!(f, "problem: {}", Plain(problem)),
            Self::RunFinished { seconds, .. } => write!(f, "the run is over, after {seconds} s"),
            Self::Other(event) => write!(f, "an event that this version does not know: {event}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_newer_version_is_kept() {
        let line = r#"{"v":2,"run":"r","at":"2026-11-24T02:00:00Z","seq":0,"event":"rewound","by":[1,null]}"#;
        let event: RunEvent = serde_json::from_str(line).unwrap();
        assert_eq!((event.version, event.kind.as_str()), (2, "rewound"));
        let again = serde_json::to_value(&event).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(line).unwrap());
    }

    #[test]
    fn words_of_others_stay_on_their_line() {
        let problem = "a\n2026 faked\u{1b}[2J".to_owned();
        let kind = RunEventKind::Problem { problem };
        assert_eq!(kind.to_string(), "problem: a\\n2026 faked\\u{1b}[2J");
    }
}
