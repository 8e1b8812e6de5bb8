//! Submits an act once, and follows it to its end on each node.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use jiff::Timestamp;
use tracing::Instrument;

use super::{Limits, Runner, gate::Place, log::RunLog, may_get_better, power::Patience};
use crate::{
    Error, ErrorKind, Event, FleetExt, NodeId, NodeOperation, OperationId, OperationStatus,
    PatchAction, PatchRequest, Polled, Result, Retry, Standing, SubmitToken, WaitError,
    clock::later, poll::Wait,
};

/// How often a submission that was refused without effect is made again.
const SUBMIT_TRIES: u32 = 5;

/// The longest wait before such a submission, whatever the service asks for.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// How an act ended on one node.
#[derive(Clone, Debug)]
pub(super) enum Acted {
    /// The provider's own last word.
    Ended(NodeOperation),
    /// It was not begun.
    NotBegun(String),
    /// It may have happened, or may be going on.
    Unknown(String),
    /// It was accepted, and whoever may tell how far it has come refuses to: as far as anyone knows
    /// it is going on.
    Unwatched(String),
}

impl Acted {
    pub(super) fn succeeded(&self) -> bool {
        matches!(self, Self::Ended(end) if end.status == OperationStatus::Succeeded)
    }

    /// The reason, where it did not succeed.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Ended(end) if end.status == OperationStatus::Succeeded => None,
            Self::Ended(end) => Some(match &end.detail {
                Some(detail) => format!("{}: {detail}", end.status),
                None => end.status.to_string(),
            }),
            Self::NotBegun(reason) | Self::Unknown(reason) | Self::Unwatched(reason) => {
                Some(reason.clone())
            }
        }
    }
}

enum Sent {
    Accepted(OperationId),
    Refused(Error),
    Lost(String),
}

impl Runner {
    /// Carries `action` out on `nodes`; every node gets an answer.
    ///
    /// `label` makes the submissions' tokens, so it must be unique in the run. A cancelled run
    /// submits nothing, unless `patience` is to the end: what was done has to be looked at.
    pub(super) async fn act(
        &self,
        log: &RunLog,
        label: &str,
        action: PatchAction,
        nodes: &[NodeId],
        limit: Duration,
        patience: Patience,
    ) -> BTreeMap<NodeId, Acted> {
        let chunks = self.fleet.chunks(nodes).into_iter().enumerate().map(|(at, chunk)| {
            let label = format!("{}-{label}-{at}", log.run());
            let span = log.teller().operation(action, chunk.len());
            async move { self.act_on_chunk(log, &label, action, chunk, limit, patience).await }
                .instrument(span)
        });
        // All at once: an install takes hours, of which its calls take seconds. Those pass the gate.
        join_all(chunks).await.into_iter().flatten().collect()
    }

    async fn act_on_chunk(
        &self,
        log: &RunLog,
        label: &str,
        action: PatchAction,
        mut nodes: Vec<NodeId>,
        limit: Duration,
        patience: Patience,
    ) -> Vec<(NodeId, Acted)> {
        let mut answers = Vec::with_capacity(nodes.len());
        // One node that does not exist refuses the whole submission; it is made again without it,
        // as a new one. Each round takes at least one node away.
        for round in 0.. {
            if nodes.is_empty() {
                break;
            }
            let name = format!("{label}-{round}");
            let token = match SubmitToken::stamped(&name, self.clock.now()) {
                Ok(token) => token,
                Err(error) => {
                    return not_begun(answers, nodes, &error.report());
                }
            };
            match self.send(log, &token, action, &nodes, patience).await {
                Sent::Accepted(id) => {
                    let began = self.clock.now();
                    let ends = self.follow(log, &id, &nodes, limit).await;
                    log.ended(id, action, began, &ends);
                    answers.extend(ends);
                    return answers;
                }
                Sent::Lost(reason) => {
                    answers.extend(
                        nodes.into_iter().map(|node| (node, Acted::Unknown(reason.clone()))),
                    );
                    return answers;
                }
                Sent::Refused(error) => {
                    let named = error.node().and_then(|bad| nodes.iter().position(|n| n == bad));
                    match named {
                        Some(at) if error.kind() != ErrorKind::Cancelled => {
                            let bad = nodes.remove(at);
                            answers.push((bad, Acted::NotBegun(error.report())));
                        }
                        _ => return not_begun(answers, nodes, &error.report()),
                    }
                }
            }
        }
        answers
    }

    /// Submits once. The same token is sent again only after an answer which says that nothing was
    /// begun.
    async fn send(
        &self,
        log: &RunLog,
        token: &SubmitToken,
        action: PatchAction,
        nodes: &[NodeId],
        patience: Patience,
    ) -> Sent {
        // The intent is not written before there is a place: of acts that wait for theirs nobody
        // has to ask whether they were begun.
        let mut place = match self.admitted(log, patience).await {
            Ok(place) => place,
            Err(error) => return Sent::Refused(error),
        };
        let intent = Event::SubmitIntent { token: token.clone(), action, nodes: nodes.to_vec() };
        if let Err(error) = log.intend(&[intent]).await {
            return Sent::Refused(error);
        }
        let mut pause = Duration::from_secs(5);
        for attempt in 1.. {
            let request =
                PatchRequest::new(token.clone(), nodes.to_vec(), action).with_run(log.run());
            let error = match self.fleet.submit(request).await {
                Ok(operation) => {
                    log.note(&[Event::Submitted {
                        token: token.clone(),
                        operation: operation.clone(),
                    }])
                    .await;
                    return Sent::Accepted(operation);
                }
                Err(error) => error,
            };
            drop(place);
            match error.kind() {
                ErrorKind::Throttled
                    if attempt < SUBMIT_TRIES
                        && error.is_retryable()
                        && !self.is_over(log, patience) =>
                {
                    if let Retry::After(delay) = error.retry() {
                        pause = pause.max(delay.min(LONGEST_PAUSE));
                    }
                    // Its time may be over by now, and another may have looked for the act.
                    if let Err(lost) = self.pause(log, pause).await {
                        return Sent::Refused(lost);
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    place = match self.admitted(log, patience).await {
                        Ok(place) => place,
                        Err(stop) if stop.kind() == ErrorKind::Cancelled => {
                            let failed =
                                Event::SubmitFailed { token: token.clone(), error: error.report() };
                            log.note(&[failed]).await;
                            return Sent::Refused(stop);
                        }
                        Err(lost) => return Sent::Refused(lost),
                    };
                }
                ErrorKind::Throttled
                | ErrorKind::NotFound
                | ErrorKind::PermissionDenied
                | ErrorKind::Unauthenticated
                | ErrorKind::InvalidInput
                | ErrorKind::Unsupported
                | ErrorKind::NodeUnreachable
                | ErrorKind::Conflict => {
                    let failed =
                        Event::SubmitFailed { token: token.clone(), error: error.report() };
                    log.note(&[failed]).await;
                    return Sent::Refused(error);
                }
                // The answer was lost or makes no sense: the act may be going on.
                _ => return self.find_lost(log, token, nodes, &error).await,
            }
        }
        // Not reached: the last try returns.
        Sent::Refused(Self::cancelled(log, "submit"))
    }

    /// Waits for a place at the gate, and for a paused run to be resumed.
    async fn admitted(&self, log: &RunLog, patience: Patience) -> Result<Place<'_>> {
        loop {
            self.hold(log).await;
            let place = self.gate.place().await;
            // What was ordered, or whose the run is, may be otherwise than before the wait.
            if self.is_over(log, patience) {
                return Err(Self::cancelled(log, "submit"));
            }
            log.keep().await?;
            match log.standing() {
                Standing::Paused if !self.cancel.is_cancelled() => drop(place),
                _ if self.is_over(log, patience) => return Err(Self::cancelled(log, "submit")),
                _ => return Ok(place),
            }
        }
    }

    /// Whether nothing may be submitted any more. What was done has to be looked at, also by a run
    /// that was cancelled; the kill switch stops even that.
    fn is_over(&self, log: &RunLog, patience: Patience) -> bool {
        log.standing() == Standing::Halted
            || patience == Patience::UntilCancelled && self.is_cancelled(log)
    }

    /// Waits, and keeps the run's lease meanwhile.
    async fn pause(&self, log: &RunLog, pause: Duration) -> Result<()> {
        let mut left = pause;
        while left > Duration::ZERO {
            let slice = left.min(Duration::from_mins(1));
            self.clock.sleep(slice).await;
            left -= slice;
            log.keep().await?;
        }
        Ok(())
    }

    /// Looks for an act whose submission had no answer; never sends it again.
    async fn find_lost(
        &self,
        log: &RunLog,
        token: &SubmitToken,
        nodes: &[NodeId],
        error: &Error,
    ) -> Sent {
        match self.find(log, token, nodes).await {
            Ok(operation) => {
                let submitted =
                    Event::Submitted { token: token.clone(), operation: operation.clone() };
                log.note(&[submitted]).await;
                Sent::Accepted(operation)
            }
            // The intent stands without an answer, for a recovery to name.
            Err(_) => {
                Sent::Lost(format!("the answer to the submission was lost ({})", error.report()))
            }
        }
    }

    /// Asks for the act of `token` on `nodes` until the provider must have told of it.
    pub(super) async fn find(
        &self,
        log: &RunLog,
        token: &SubmitToken,
        nodes: &[NodeId],
    ) -> Result<OperationId, WaitError> {
        let policy = Limits::policy(self.limits.consistency).with_max_errors(u32::MAX);
        let mut wait = Wait::begin(&*self.clock, &policy);
        loop {
            // A lease that is lost does not stop the looking: it changes nothing.
            let _ = log.keep().await;
            let found = self.gate.pass(self.fleet.find_operation(token, nodes)).await;
            let answer = found.map(|id| id.map_or(Polled::Pending, Polled::Ready));
            if let Some(end) = wait.answered(answer).await {
                return end;
            }
        }
    }

    /// Follows an accepted act until it has ended on every node, or `limit` is over; then it is
    /// cancelled, and what has not ended is unknown.
    ///
    /// One call for each look, however many nodes the act has, and none after its end. An act that
    /// cannot be watched any more is not asked for again.
    pub(super) async fn follow(
        &self,
        log: &RunLog,
        id: &OperationId,
        nodes: &[NodeId],
        limit: Duration,
    ) -> Vec<(NodeId, Acted)> {
        let mut seen: BTreeMap<NodeId, NodeOperation> = BTreeMap::new();
        let mut refused = None;
        // A cancelled run waits for what is under way: half an install is worse than a whole one.
        // For the same reason no error ends the wait that may get better: the nodes would be stopped
        // under it.
        let policy = Limits::policy(limit).with_max_errors(u32::MAX);
        let mut wait = Wait::begin(&*self.clock, &policy);
        let ended = loop {
            // A lease that is lost does not stop the watching: it changes nothing.
            let _ = log.keep().await;
            let answer = match self.gate.pass(self.fleet.operation(id)).await {
                Ok(act) => {
                    refused = None;
                    seen.extend(act.nodes.into_iter().map(|node| (node.node.clone(), node)));
                    let over = |node| seen.get(node).is_some_and(|at| at.status.is_final());
                    Ok(if nodes.iter().all(over) { Polled::Ready(()) } else { Polled::Pending })
                }
                Err(error) => Err(self.not_told(error, &mut refused)),
            };
            if let Some(end) = wait.answered(answer).await {
                break end;
            }
        };
        let unwatched = matches!(
            &ended,
            Err(WaitError::Poll(error)) if error.kind() != ErrorKind::NotFound
        );
        let reason = match &ended {
            Ok(()) => String::new(),
            // Another holder may be following it.
            Err(WaitError::Exceeded { last, .. }) if !self.is_taken_over(log).await => {
                let cancelled = self.gate.pass(self.fleet.cancel(id)).await;
                let note = match cancelled {
                    Ok(()) => "it was cancelled".to_owned(),
                    Err(error) => format!("cancelling failed: {}", error.report()),
                };
                let asked = last.as_ref().map(|error| format!(" ({})", error.report()));
                let asked = asked.unwrap_or_default();
                format!("not over after {} min{asked}; {note}", limit.as_secs() / 60)
            }
            Err(WaitError::Poll(error)) => error.report(),
            Err(error) => error.to_string(),
        };
        nodes
            .iter()
            .map(|node| {
                let word = match seen.remove(node) {
                    Some(end) if end.status.is_final() => return (node.clone(), Acted::Ended(end)),
                    Some(end) => format!("last seen {}: {reason}", end.status),
                    None => format!("the provider never told of the node: {reason}"),
                };
                let acted = if unwatched { Acted::Unwatched(word) } else { Acted::Unknown(word) };
                (node.clone(), acted)
            })
            .collect()
    }

    /// The error of a look at an act, as the poll loop takes it: retryable where a later look may
    /// find more. `refused` is since when the act is not found, or the caller may not look: services
    /// tell late of what they have accepted, and of what someone may do.
    fn not_told(&self, error: Error, refused: &mut Option<Timestamp>) -> Error {
        let now = self.clock.now();
        let lasting = error.kind() == ErrorKind::NotFound || !may_get_better(&error);
        let patient = !lasting || {
            let since = *refused.get_or_insert(now);
            now < later(since, self.limits.consistency)
        };
        let retry = if patient { Retry::Backoff } else { Retry::Never };
        match (retry, error.retry()) {
            // What the service asks for is kept.
            (Retry::Backoff, Retry::After(_)) => error,
            _ => error.with_retry(retry),
        }
    }
}

fn not_begun(
    mut answers: Vec<(NodeId, Acted)>,
    nodes: Vec<NodeId>,
    reason: &str,
) -> Vec<(NodeId, Acted)> {
    answers.extend(nodes.into_iter().map(|node| (node, Acted::NotBegun(reason.to_owned()))));
    answers
}
