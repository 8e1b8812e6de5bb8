//! How a daemon stops: nothing new is begun, what is under way is waited for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use patchkit_core::{
    NodeId, OperationId, RunId,
    observe::{Observer, RunEvent, RunEventKind},
};
use tokio::sync::watch;

/// Which runs are under way, and what of them cannot be left alone.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    runs: Mutex<BTreeMap<RunId, Busy>>,
    changed: watch::Sender<()>,
}

/// Nodes that are being worked on, and acts that are followed.
#[derive(Debug, Default)]
struct Busy {
    nodes: BTreeSet<NodeId>,
    operations: BTreeSet<OperationId>,
}

impl UnderWay {
    /// The runs that have begun and are not over.
    pub(crate) fn runs(&self) -> Vec<RunId> {
        self.lock().keys().cloned().collect()
    }

    /// Waits until nothing is worked on.
    pub(crate) async fn quiet(&self) {
        let mut changed = self.changed.subscribe();
        let busy = |it: &Busy| !it.nodes.is_empty() || !it.operations.is_empty();
        while self.lock().values().any(busy) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, Busy>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for UnderWay {
    fn observe(&self, event: &RunEvent) {
        let mut runs = self.lock();
        let busy = runs.entry(event.run.clone()).or_default();
        match &event.kind {
            RunEventKind::NodeStep { node, .. } => {
                busy.nodes.insert(node.clone());
            }
            RunEventKind::NodeFinished { report } => {
                busy.nodes.remove(&report.node);
            }
            RunEventKind::OperationStarted { operation, .. } => {
                busy.operations.insert(operation.clone());
            }
            RunEventKind::OperationEnded { operation, .. } => {
                busy.operations.remove(operation);
            }
            RunEventKind::RunFinished { .. } => {
                runs.remove(&event.run);
            }
            _ => {}
        }
        drop(runs);
        self.changed.send_replace(());
    }
}
