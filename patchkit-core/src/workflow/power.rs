//! Starts nodes, waits for them, and puts them back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::join_all;
use jiff::Timestamp;

use super::{
    Limits, Runner, UndoFailure,
    log::{Lost, RunLog},
    may_get_better,
};
use crate::{
    Change, Error, ErrorKind, Event, FleetExt, NodeId, NodeStatus, PerNode, Polled, PowerState,
    PowerTarget, Reachability, Result, clock::later, poll::Wait,
};

/// A node that may have been started by this run, and the power it had.
pub(super) type Started = BTreeMap<NodeId, PowerState>;

impl Runner {
    /// Starts nodes. Returns those that may be running because of it, and those that were refused.
    pub(super) async fn start(
        &self,
        log: &RunLog,
        nodes: &[(NodeId, PowerState)],
    ) -> (Started, BTreeMap<NodeId, String>) {
        let change = |(node, before): &(NodeId, PowerState)| Change::Start {
            node: node.clone(),
            before: *before,
        };
        let intents: Vec<Event> =
            nodes.iter().map(|node| Event::ChangeIntent { change: change(node) }).collect();
        if let Err(error) = log.intend(&intents).await {
            let reason = format!("not started: {}", error.report());
            return (
                Started::new(),
                nodes.iter().map(|(n, _)| (n.clone(), reason.clone())).collect(),
            );
        }
        let ids: Vec<NodeId> = nodes.iter().map(|(node, _)| node.clone()).collect();
        let answers =
            self.patiently(log, &ids, |ids| async move {
                self.set_power(&ids, PowerTarget::Running).await
            })
            .await;
        let (mut started, mut refused, mut events) = (Started::new(), BTreeMap::new(), Vec::new());
        for node in nodes {
            match answers.get(&node.0) {
                Some(Ok(())) => {
                    started.insert(node.0.clone(), node.1);
                    events.push(Event::ChangeDone { change: change(node) });
                }
                Some(Err(error)) if is_refusal(error.kind()) => {
                    refused.insert(node.0.clone(), format!("not started: {}", error.report()));
                    events
                        .push(Event::ChangeRefused { change: change(node), error: error.report() });
                }
                // No clear answer: it may be starting, so it is waited for and put back.
                Some(Err(_)) | None => {
                    started.insert(node.0.clone(), node.1);
                }
            }
        }
        log.note(&events).await;
        (started, refused)
    }

    async fn set_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()> {
        let chunks = self.fleet.call_chunks(nodes).into_iter();
        let answers = join_all(chunks.map(|chunk| async move {
            self.gate.pass(self.fleet.set_power(&chunk, target)).await
        }));
        whole(self.fleet.provider(), "set_power", nodes, answers.await.into_iter().flatten())
    }

    pub(super) async fn statuses(&self, nodes: &[NodeId]) -> PerNode<NodeStatus> {
        let chunks = self.fleet.call_chunks(nodes).into_iter();
        let answers = join_all(
            chunks.map(|chunk| async move { self.gate.pass(self.fleet.statuses(&chunk)).await }),
        );
        whole(self.fleet.provider(), "statuses", nodes, answers.await.into_iter().flatten())
    }

    /// The statuses of nodes that are about to be worked on.
    pub(super) async fn statuses_now(
        &self,
        log: &RunLog,
        nodes: &[NodeId],
    ) -> BTreeMap<NodeId, Result<NodeStatus>> {
        self.patiently(log, nodes, |nodes| async move { self.statuses(&nodes).await }).await
    }

    /// Asks again for the nodes that were throttled: one rate limit must not fail a node, and with
    /// it, by default, the run.
    async fn patiently<T, Fut>(
        &self,
        log: &RunLog,
        nodes: &[NodeId],
        ask: impl Fn(Vec<NodeId>) -> Fut,
    ) -> BTreeMap<NodeId, Result<T>>
    where
        Fut: Future<Output = PerNode<T>>,
    {
        let first = ask(nodes.to_vec()).await;
        let mut answers: BTreeMap<NodeId, Result<T>> = first.into_iter().collect();
        for pause in THROTTLE_PAUSES {
            let throttled = answers.iter().filter_map(|(node, answer)| {
                let error = answer.as_ref().err()?;
                let is_throttled = error.kind() == ErrorKind::Throttled && error.is_retryable();
                is_throttled.then(|| node.clone())
            });
            let again: Vec<NodeId> = throttled.collect();
            if again.is_empty() || self.is_cancelled(log) {
                break;
            }
            self.clock.sleep(Duration::from_secs(pause)).await;
            if log.keep().await.is_err() || self.is_cancelled(log) {
                break;
            }
            answers.extend(ask(again).await);
        }
        answers
    }

    /// Waits until `there` holds for each node, or the limit is over, or the run is cancelled and
    /// `patience` allows to stop. Returns the nodes for which it never held, with the last word.
    pub(super) async fn wait_nodes(
        &self,
        log: &RunLog,
        nodes: &[NodeId],
        limit: Duration,
        patience: Patience,
        there: impl Fn(&NodeStatus) -> bool,
    ) -> BTreeMap<NodeId, String> {
        let mut left: BTreeMap<NodeId, String> =
            nodes.iter().map(|node| (node.clone(), "never asked".to_owned())).collect();
        if left.is_empty() {
            return left;
        }
        // Nodes that are refused or not there, and since when: services tell late, but not for ever.
        let mut refused: BTreeMap<NodeId, Timestamp> = BTreeMap::new();
        let mut given_up: BTreeMap<NodeId, String> = BTreeMap::new();
        let policy = Limits::policy(limit);
        let mut wait = Wait::begin(&*self.clock, &policy);
        let waited = loop {
            let _ = log.keep().await;
            let ids: Vec<NodeId> = left.keys().cloned().collect();
            for (node, status) in self.statuses(&ids).await {
                match status {
                    Ok(status) if there(&status) => {
                        left.remove(&node);
                    }
                    Ok(status) => {
                        let mut word =
                            format!("power {}, agent {}", status.power, status.reachability);
                        if let Some(problem) = &status.problem {
                            word = format!("{word}: {problem}");
                        }
                        refused.remove(&node);
                        left.insert(node, word);
                    }
                    Err(error)
                        if error.kind() == ErrorKind::NotFound || !may_get_better(&error) =>
                    {
                        let now = self.clock.now();
                        let since = *refused.entry(node.clone()).or_insert(now);
                        if now < later(since, self.limits.consistency) {
                            left.insert(node, error.report());
                        } else {
                            left.remove(&node);
                            given_up.insert(node, error.report());
                        }
                    }
                    Err(error) => {
                        left.insert(node, error.report());
                    }
                }
            }
            let answer = if left.is_empty() {
                Polled::Ready(())
            } else if patience == Patience::UntilCancelled && self.is_cancelled(log) {
                Polled::Failed(Self::why_cancelled(log).to_owned())
            } else {
                Polled::Pending
            };
            if let Some(end) = wait.answered(Ok(answer)).await {
                break end;
            }
        };
        if let Err(error) = waited {
            for word in left.values_mut() {
                *word = format!("{word}; {error}");
            }
        }
        left.extend(given_up);
        left
    }

    /// Puts nodes back to the power they had. Never gives up half-way: every node gets a try, and
    /// those that cannot be put back are named.
    pub(super) async fn restore(&self, log: &RunLog, started: &Started) -> Vec<UndoFailure> {
        let mut failures = Vec::new();
        if started.is_empty() {
            return failures;
        }
        let mut by_target: BTreeMap<PowerTarget, Vec<NodeId>> = BTreeMap::new();
        for (node, before) in started {
            by_target
                .entry(before.as_target().unwrap_or(PowerTarget::Stopped))
                .or_default()
                .push(node.clone());
        }
        for (target, nodes) in by_target {
            failures.extend(self.restore_to(log, target, &nodes).await);
        }
        let failed: BTreeSet<&NodeId> = failures.iter().map(|failure| &failure.node).collect();
        let mut events = Vec::with_capacity(started.len());
        for (node, before) in started {
            let change = Change::Start { node: node.clone(), before: *before };
            if !failed.contains(node) {
                events.push(Event::Undone { change });
            }
        }
        for failure in &failures {
            let before = started.get(&failure.node).copied().unwrap_or(PowerState::Unknown);
            let change = Change::Start { node: failure.node.clone(), before };
            events.push(Event::UndoFailed { change, error: failure.error.clone() });
        }
        log.note(&events).await;
        failures
    }

    /// Names nodes that stay on because an install may be going on there: stopping it half-way would
    /// be worse. They stay claimed, and a recovery asks after the install again.
    pub(super) async fn leave_on(
        &self,
        log: &RunLog,
        nodes: Started,
        reasons: &BTreeMap<NodeId, String>,
    ) -> Vec<UndoFailure> {
        let (mut failures, mut events) = (Vec::new(), Vec::new());
        for (node, before) in nodes {
            let reason = reasons.get(&node).map_or("", String::as_str);
            let error = format!("left on, for an install may be going on there: {reason}");
            failures.push(UndoFailure::new(node.clone(), "start", error.clone()));
            events.push(Event::UndoFailed { change: Change::Start { node, before }, error });
        }
        log.note(&events).await;
        failures
    }

    /// Whether another holder has the run, as the journal says when there is any doubt.
    pub(super) async fn is_taken_over(&self, log: &RunLog) -> bool {
        let _ = log.keep().await;
        log.lost() == Lost::Lease
    }

    async fn restore_to(
        &self,
        log: &RunLog,
        target: PowerTarget,
        nodes: &[NodeId],
    ) -> Vec<UndoFailure> {
        let mut left: Vec<NodeId> = nodes.to_vec();
        let mut words: BTreeMap<NodeId, String> = BTreeMap::new();
        let rests = |status: &NodeStatus| status.power == target.state();
        // Setting power is idempotent, so unlike an install it is simply asked for again.
        for pause in RESTORE_PAUSES {
            self.clock.sleep(Duration::from_secs(pause)).await;
            // A node on its way up refuses to be stopped.
            let up = |status: &NodeStatus| status.power != PowerState::Starting;
            self.wait_nodes(log, &left, self.limits.start, Patience::ToTheEnd, up).await;
            if self.is_taken_over(log).await {
                let word = "another holder took the run over; it puts the node back";
                words = left.into_iter().map(|node| (node, word.to_owned())).collect();
                break;
            }
            let (mut accepted, mut unclear, mut refused) = (Vec::new(), Vec::new(), Vec::new());
            let mut errors: BTreeMap<NodeId, String> = BTreeMap::new();
            for (node, answer) in self.set_power(&left, target).await {
                let Err(error) = answer else {
                    accepted.push(node);
                    continue;
                };
                errors.insert(node.clone(), error.report());
                if is_refusal(error.kind()) { &mut refused } else { &mut unclear }.push(node);
            }
            // Whatever was answered, what the node is like has the last word.
            words.clear();
            for (nodes, limit) in [
                (accepted, self.limits.stop),
                (unclear, self.limits.consistency),
                (refused, Duration::ZERO),
            ] {
                let late = self.wait_nodes(log, &nodes, limit, Patience::ToTheEnd, rests).await;
                words.extend(late.into_iter().map(|(node, word)| {
                    let word = match errors.remove(&node) {
                        Some(error) => format!("{error}; {word}"),
                        None => word,
                    };
                    (node, word)
                }));
            }
            left.retain(|node| words.contains_key(node));
            if left.is_empty() {
                break;
            }
        }
        words
            .into_iter()
            .map(|(node, word)| {
                UndoFailure::new(node, "start", format!("not {target} again: {word}"))
            })
            .collect()
    }
}

/// Seconds before each further try of a call that was throttled.
const THROTTLE_PAUSES: [u64; 4] = [5, 15, 30, 60];

/// Seconds before each try to put nodes back.
const RESTORE_PAUSES: [u64; 3] = [0, 30, 120];

/// Whether a wait ends when the run is cancelled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Patience {
    UntilCancelled,
    ToTheEnd,
}

pub(super) fn is_online(status: &NodeStatus) -> bool {
    status.reachability == Reachability::Online
        && matches!(status.power, PowerState::Running | PowerState::Unknown)
}

/// The answers for `nodes`, one for each: a node that is left out has an error, never silence.
pub(super) fn whole<T>(
    provider: &'static str,
    operation: &'static str,
    nodes: &[NodeId],
    answers: impl IntoIterator<Item = (NodeId, Result<T>)>,
) -> PerNode<T> {
    let mut answers: BTreeMap<NodeId, Result<T>> = answers.into_iter().collect();
    let nodes: BTreeSet<&NodeId> = nodes.iter().collect();
    nodes
        .into_iter()
        .map(|node| {
            let answer = answers.remove(node).unwrap_or_else(|| {
                let message = "the answer leaves out the node";
                Err(Error::new(ErrorKind::Malformed, provider, operation, message)
                    .with_node(node.clone()))
            });
            (node.clone(), answer)
        })
        .collect()
}

/// Whether an error of a write says that nothing happened.
pub(super) fn is_refusal(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::Timeout | ErrorKind::Unexpected | ErrorKind::Malformed | ErrorKind::Cancelled
    )
}
