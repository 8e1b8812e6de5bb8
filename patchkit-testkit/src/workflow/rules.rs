//! The rules that hold whatever went wrong.

use std::{collections::BTreeMap, time::Duration};

use futures::TryStreamExt;
use patchkit_core::{
    ComplianceStatus, ErrorKind, Event, NodeId, OperationId, PatchAction, PerNode, Record, Result,
    RunId, SubmitToken,
    workflow::{Outcome, Recovery, RunReport, UndoFailure},
};

use super::scene::Scene;
use crate::{cases::support::good, fault::Call};

impl Scene {
    /// Holds all rules against a run that has ended, in whatever way; `None` where it was dropped.
    pub(super) async fn hold(&self, report: Option<&Result<RunReport>>) {
        self.submitted_once();
        match report {
            Some(Ok(report)) => self.reported(report).await,
            Some(Err(_)) => self.power_is_back(&[], "after a run that failed to begin").await,
            None => {}
        }
        self.unfinished_nodes_are_claimed(report).await;
        self.recovered(report).await;
    }

    /// No act twice for one token, no two installs on one node by one run.
    fn submitted_once(&self) {
        let label = &self.label;
        let mut by_token: BTreeMap<SubmitToken, OperationId> = BTreeMap::new();
        let mut installs: BTreeMap<(NodeId, &str), OperationId> = BTreeMap::new();
        for call in self.calls() {
            let Some((token, action)) = &call.act else { continue };
            assert!(
                !by_token.contains_key(token),
                "{label}: {token} was submitted again after it was accepted"
            );
            let Some(operation) = &call.accepted else { continue };
            by_token.insert(token.clone(), operation.clone());
            if !matches!(action, PatchAction::Install(_)) {
                continue;
            }
            for node in &call.nodes {
                let other = installs.insert((node.clone(), call.caller), operation.clone());
                assert!(other.is_none(), "{label}: {node} was given two installs");
            }
        }
    }

    /// The report says what is so.
    async fn reported(&self, report: &RunReport) {
        let label = &self.label;
        self.power_is_back(&report.undo_failed, "after the run").await;
        self.ended_nodes_are_free(report).await;
        let told: Vec<_> = report.nodes.iter().map(|node| node.node.clone()).collect();
        assert_eq!(told, self.nodes(), "{label}: every node is reported, by id");
        let calls = self.calls();
        for node in &report.nodes {
            let id = &node.node;
            let installed =
                accepted(&calls, id, |action| matches!(action, PatchAction::Install(_)));
            let scanned = accepted(&calls, id, |action| action == PatchAction::Scan);
            match node.outcome.outcome {
                Outcome::Patched => {
                    let installed = installed.unwrap_or(usize::MAX);
                    assert!(
                        scanned.is_some_and(|scanned| installed < scanned),
                        "{label}: {id} is called patched without a scan after an install"
                    );
                    let compliance = self.h().compliance();
                    let known = good(compliance.summary(id).await, "a summary");
                    assert_eq!(
                        known.status,
                        ComplianceStatus::Compliant,
                        "{label}: {id} is called patched"
                    );
                }
                Outcome::Skipped | Outcome::AlreadyCompliant => {
                    assert!(installed.is_none(), "{label}: {id} was given an install");
                }
                _ => {}
            }
        }
    }

    /// A run that says that all is well has given every node back.
    async fn ended_nodes_are_free(&self, report: &RunReport) {
        if !report.undo_failed.is_empty() || !report.problems.is_empty() {
            return;
        }
        for (node, claim) in self.probe("probe-ended", &self.nodes()).await {
            if let Err(error) = claim {
                panic!("{}: {node} stays claimed: {}", self.label, error.report());
            }
        }
    }

    /// Each node's power is what it was, or it is among `named`.
    pub(super) async fn power_is_back(&self, named: &[UndoFailure], when: &str) {
        for (node, power) in self.powers().await {
            assert!(
                power == self.before[&node] || named.iter().any(|failure| failure.node == node),
                "{}: {when} {node} is {power} and was {}",
                self.label,
                self.before[&node]
            );
        }
    }

    /// A node that the run started and did not put back is not another run's to work on.
    async fn unfinished_nodes_are_claimed(&self, report: Option<&Result<RunReport>>) {
        let unfinished: Vec<NodeId> = match report {
            Some(Ok(report)) => report.undo_failed.iter().map(|at| at.node.clone()).collect(),
            Some(Err(_)) => Vec::new(),
            None => {
                let calls = self.calls();
                let worked = |node: &&NodeId| {
                    calls.iter().any(|call| call.is_work() && call.nodes.contains(node))
                };
                let powers = self.powers().await;
                let moved = |node: &&NodeId| powers[*node] != self.before[*node];
                self.before.keys().filter(worked).filter(moved).cloned().collect()
            }
        };
        for (node, claim) in self.probe("probe-before", &unfinished).await {
            match claim {
                Ok(()) => panic!("{}: {node} is not put back and can be claimed", self.label),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{}", self.label),
            }
        }
    }

    /// A healthy worker puts everything in order, once and for all.
    async fn recovered(&self, report: Option<&Result<RunReport>>) {
        let label = &self.label;
        self.outlive_the_lease().await;
        let calls_before = self.calls().len();
        let rescuer = self.healthy("rescuer");
        match rescuer.recover(&self.run).await {
            Ok(recovery) => {
                self.recovery_is_whole(&recovery);
                if report.is_none() {
                    self.installs_are_told(&recovery).await;
                }
            }
            // There is no run to recover where none was begun.
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{label}: {}", error.report());
                assert!(!matches!(report, Some(Ok(_))), "{label}: the run is not in the journal");
            }
        }
        self.power_is_back(&[], "after the recovery").await;
        for (node, claim) in self.probe("probe-after", &self.nodes()).await {
            if let Err(error) = claim {
                panic!("{label}: {node} stays claimed after the recovery: {}", error.report());
            }
        }
        match self.healthy("rescuer").recover(&self.run).await {
            Ok(again) => {
                self.recovery_is_whole(&again);
                assert!(again.restored.is_empty(), "{label}: twice is as good as once");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{label}"),
        }
        let submitted =
            self.calls()[calls_before..].iter().filter(|call| call.act.is_some()).count();
        assert_eq!(submitted, 0, "{label}: a recovery submits nothing");
        self.power_is_back(&[], "after the second recovery").await;
    }

    fn recovery_is_whole(&self, recovery: &Recovery) {
        let label = &self.label;
        assert!(recovery.undo_failed.is_empty(), "{label}: {:?}", recovery.undo_failed);
        // Who cannot look for an act by its token says so.
        let finds = self.h().fleet().capabilities().find_operation;
        let mut problems = recovery.problems.iter();
        let problem = problems.find(|problem| finds || !problem.contains("find_operation"));
        assert!(problem.is_none(), "{label}: {problem:?}");
    }

    /// An install of a run that died is waited for, and its nodes are named, unless their end is in
    /// the journal.
    async fn installs_are_told(&self, recovery: &Recovery) {
        let events: Vec<Record> =
            good(self.world.journal().events(&self.run).try_collect().await, "the run's events");
        let ended = |node: &NodeId| {
            events.iter().any(|record| {
                matches!(&record.event, Event::NodeFinished { node: other, .. } if other == node)
            })
        };
        let fleet = self.h().fleet();
        for call in self.calls() {
            let Some((_, PatchAction::Install(_))) = call.act else { continue };
            let Some(operation) = &call.accepted else { continue };
            for node in &call.nodes {
                assert!(
                    ended(node) || recovery.unknown.iter().any(|(other, _)| other == node),
                    "{}: {node} was given an install and nobody tells",
                    self.label
                );
            }
            if fleet.capabilities().find_operation {
                let seen = good(fleet.operation(operation).await, "an act");
                assert!(seen.status.is_final(), "{}: {operation} is under way", self.label);
            }
        }
    }

    /// Claims nodes as another run would, and gives them back.
    pub(super) async fn probe(&self, run: &str, nodes: &[NodeId]) -> PerNode<()> {
        let journal = &self.world.journal;
        let run = good(RunId::new(run), "a run's id");
        let lease = journal.begin(&run, "probe", Duration::from_mins(1)).await;
        let lease = good(lease, "beginning a run");
        let claims = journal.claim(&lease, nodes).await;
        good(journal.unclaim(&lease, nodes).await, "giving nodes back");
        good(journal.release(&lease).await, "giving a run back");
        claims.into_iter().map(|(node, claim)| (node, claim.map(drop))).collect()
    }
}

/// The place in the log of the last accepted act of a kind on a node.
fn accepted(calls: &[Call], node: &NodeId, is: impl Fn(PatchAction) -> bool) -> Option<usize> {
    calls.iter().rposition(|call| {
        call.accepted.is_some()
            && call.nodes.contains(node)
            && call.act.as_ref().is_some_and(|(_, action)| is(*action))
    })
}
