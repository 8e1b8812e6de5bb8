//! Tells observers, `tracing` and metrics what happens in one run.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use tracing::{Level, Span, field};

use super::{Observer, RunEvent, RunEventKind};
use crate::{Clock, Event, NodeId, PatchAction, RunId, SubmitToken};

/// Where the events of one run go.
pub(crate) struct Teller {
    run: RunId,
    clock: Arc<dyn Clock>,
    observers: Vec<Arc<dyn Observer>>,
    seq: AtomicU64,
    began_at: Timestamp,
    span: Span,
    known: Mutex<Known>,
}

/// What later events are told with.
#[derive(Default)]
struct Known {
    workflow: String,
    /// Nodes whose part is not over.
    nodes: HashMap<NodeId, Span>,
    /// Acts that are about to be submitted.
    acts: BTreeMap<SubmitToken, (PatchAction, Vec<NodeId>)>,
}

impl Teller {
    pub(crate) fn new(
        run: &RunId,
        clock: &Arc<dyn Clock>,
        observers: &[Arc<dyn Observer>],
    ) -> Self {
        let workflow = field::Empty;
        Self {
            run: run.clone(),
            clock: Arc::clone(clock),
            observers: observers.to_vec(),
            seq: AtomicU64::new(0),
            began_at: clock.now(),
            span: tracing::info_span!(target: "patchkit", "run", %run, workflow),
            known: Mutex::default(),
        }
    }

    /// Says which workflow the run is of.
    pub(crate) fn name(&self, workflow: &str) {
        workflow.clone_into(&mut self.known().workflow);
        self.span.record("workflow", workflow);
    }

    /// The run's span.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The span of a wave.
    pub(crate) fn wave(&self, wave: &str, nodes: usize) -> Span {
        let run = &self.run;
        tracing::info_span!(target: "patchkit", parent: &self.span, "wave", %run, wave, nodes)
    }

    /// The span of an act; its id is recorded when it has one.
    pub(crate) fn operation(&self, action: PatchAction, nodes: usize) -> Span {
        let (run, operation) = (&self.run, field::Empty);
        tracing::info_span!(target: "patchkit", "operation", %run, operation, %action, nodes)
    }

    pub(crate) fn tell(&self, kind: RunEventKind) {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed);
        let event = RunEvent::new(self.run.clone(), self.clock.now(), seq, kind);
        self.trace(&event);
        #[cfg(feature = "metrics")]
        super::metric::count(&event.kind);
        for observer in &self.observers {
            observer.observe(&event);
        }
    }

    /// Tells what follows from an event of the journal. What could not be written has happened all
    /// the same, but for a beginning.
    pub(crate) fn journaled(&self, event: &Event, is_written: Written) {
        let kind = match event {
            Event::RunStarted { workflow, plan_hash, plan } if is_written == Written::Yes => {
                self.name(workflow);
                let nodes = plan.get("nodes").and_then(serde_json::Value::as_array).map(Vec::len);
                let (workflow, plan_hash) = (workflow.clone(), plan_hash.clone());
                RunEventKind::RunStarted { workflow, plan_hash, nodes }
            }
            Event::RunResumed { holder } if is_written == Written::Yes => {
                RunEventKind::RunResumed { holder: holder.clone() }
            }
            Event::SubmitIntent { token, action, nodes } => {
                self.known().acts.insert(token.clone(), (*action, nodes.clone()));
                return;
            }
            Event::SubmitFailed { token, .. } => {
                self.known().acts.remove(token);
                return;
            }
            Event::Submitted { token, operation } => {
                let Some((action, nodes)) = self.known().acts.remove(token) else { return };
                Span::current().record("operation", field::display(operation));
                RunEventKind::OperationStarted { operation: operation.clone(), action, nodes }
            }
            Event::RunFinished => {
                let took = self.clock.now().duration_since(self.began_at);
                let seconds = took.as_secs().unsigned_abs();
                RunEventKind::RunFinished { workflow: self.known().workflow.clone(), seconds }
            }
            _ => return,
        };
        self.tell(kind);
    }

    /// A node's span begins with its first step, in the wave's, and ends with its part.
    fn trace(&self, event: &RunEvent) {
        let (run, kind) = (&self.run, event.kind.as_str());
        let span = match &event.kind {
            RunEventKind::NodeStep { node, .. } => {
                let begin = || {
                    let outcome = field::Empty;
                    tracing::info_span!(target: "patchkit", "node", %run, %node, outcome)
                };
                self.known().nodes.entry(node.clone()).or_insert_with(begin).clone()
            }
            RunEventKind::NodeFinished { report } => {
                match self.known().nodes.remove(&report.node) {
                    Some(span) => {
                        span.record("outcome", report.outcome.outcome.as_str());
                        span
                    }
                    None => Span::current(),
                }
            }
            _ => Span::current(),
        };
        let parent = if span.is_none() { &self.span } else { &span };
        if matches!(event.kind, RunEventKind::Problem { .. }) {
            tracing::event!(
                target: "patchkit", parent: parent, Level::WARN, event = kind, %run, "{}", event.kind
            );
        } else {
            tracing::event!(
                target: "patchkit", parent: parent, Level::INFO, event = kind, %run, "{}", event.kind
            );
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the journal took an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Written {
    Yes,
    No,
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teller").field("run", &self.run).finish_non_exhaustive()
    }
}
