//! What scans found, read for many nodes with few calls.

use std::collections::BTreeMap;

use futures::{StreamExt, future::join_all};
use jiff::Timestamp;

use super::{Limits, Runner, log::RunLog, may_get_better};
use crate::{
    Error, FleetExt, NodeCompliance, NodeId, NodeSelector, Polled, Retry, WaitError, poll::Wait,
};

/// What is known of nodes that were scanned.
#[derive(Default)]
pub(super) struct Evidence {
    /// Of those nodes of which it is as new as their scan.
    pub(super) known: BTreeMap<NodeId, NodeCompliance>,
    /// Why it is not, of the others.
    pub(super) late: BTreeMap<NodeId, String>,
}

/// A node whose result is not there yet.
struct Awaited {
    /// When its scan began.
    since: Timestamp,
    /// What went wrong with the last look.
    problem: Option<String>,
}

/// One look at the nodes of a batch.
struct Look {
    nodes: Vec<NodeId>,
    known: Vec<NodeCompliance>,
    error: Option<Error>,
}

impl Runner {
    /// Waits until what is known of the nodes is as new as their scans, which began at these times.
    ///
    /// A look asks for all nodes that are left, in batches as a provider takes them. A batch that
    /// fails is asked for again while that may help, and costs the others nothing.
    pub(super) async fn evidence(
        &self,
        log: &RunLog,
        since: BTreeMap<NodeId, Timestamp>,
    ) -> Evidence {
        let mut evidence = Evidence::default();
        let awaited = |(node, since)| (node, Awaited { since, problem: None });
        let mut left: BTreeMap<NodeId, Awaited> = since.into_iter().map(awaited).collect();
        if left.is_empty() {
            return evidence;
        }
        let policy = Limits::policy(self.limits.consistency).with_max_errors(u32::MAX);
        let mut wait = Wait::begin(&*self.clock, &policy);
        let waited = loop {
            let _ = log.keep().await;
            let ids: Vec<NodeId> = left.keys().cloned().collect();
            let looks = self.fleet.call_chunks(&ids).into_iter().map(|batch| self.look(batch));
            let mut slow = None;
            for look in join_all(looks).await {
                if let Some(error) = evidence.take(&mut left, look)
                    && matches!(error.retry(), Retry::After(_))
                {
                    slow = Some(error);
                }
            }
            let answer = match slow {
                // The wait honours what the service asks for.
                Some(error) if !left.is_empty() => Err(error),
                _ if left.is_empty() => Ok(Polled::Ready(())),
                _ => Ok(Polled::Pending),
            };
            if let Some(end) = wait.answered(answer).await {
                break end;
            }
        };
        let word = match waited {
            Ok(()) | Err(WaitError::Poll(_)) => String::new(),
            Err(error) => error.to_string(),
        };
        for (node, awaited) in left {
            evidence.late.insert(node, not_there(awaited.problem.as_ref().unwrap_or(&word)));
        }
        evidence
    }

    /// Reads what is known of the nodes of one batch. What came before an error counts.
    async fn look(&self, nodes: Vec<NodeId>) -> Look {
        let mut look = Look { known: Vec::with_capacity(nodes.len()), nodes, error: None };
        let _place = self.gate.place().await;
        let mut rows = self.compliance.summaries(&NodeSelector::ids(look.nodes.iter().cloned()));
        while let Some(row) = rows.next().await {
            match row {
                Ok(known) => look.known.push(known),
                Err(error) => look.error = Some(error),
            }
        }
        look
    }
}

impl Evidence {
    /// Takes over what a look found, and returns its error.
    fn take(&mut self, left: &mut BTreeMap<NodeId, Awaited>, look: Look) -> Option<Error> {
        for known in look.known {
            let Some(awaited) = left.get(&known.node) else { continue };
            if known.observed_at.is_some_and(|at| at >= awaited.since) {
                left.remove(&known.node);
                self.known.insert(known.node.clone(), known);
            }
        }
        let report = look.error.as_ref().map(Error::report);
        let hopeless = look.error.as_ref().is_some_and(|error| !may_get_better(error));
        for node in look.nodes {
            let Some(awaited) = left.get_mut(&node) else { continue };
            awaited.problem.clone_from(&report);
            if hopeless {
                left.remove(&node);
                self.late.insert(node, not_there(report.as_deref().unwrap_or_default()));
            }
        }
        look.error
    }
}

fn not_there(why: &str) -> String {
    format!("the scan's result was not there: {why}")
}
