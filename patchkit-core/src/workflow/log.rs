//! A run's pen: writes to the journal under the run's lease, and reads there what operators ask.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::lock::Mutex as Turn;
use jiff::Timestamp;
use tracing::Span;

use super::{NodeReport, PlanStep, Runner, act::Acted, power::whole};
use crate::{
    Clock, Error, ErrorKind, Event, Journal, NodeId, OperationId, Order, OrderRecord, PatchAction,
    PerNode, Result, RunId, RunLease, Standing,
    clock::later,
    observe::{RunEventKind, Teller, Written},
};

/// How old the last reading of the orders may be when something is begun: the first pause of a poll
/// loop, so that a run with many acts does not ask for each of them.
const LISTEN: Duration = Duration::from_secs(5);

/// The journal of one run, and the lease under which it is written.
pub(super) struct RunLog {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    lease: Mutex<RunLease>,
    /// How often the lease was to be renewed, and the error of the last time.
    renewals: AtomicU64,
    renewing: Turn<Option<Error>>,
    heard: Mutex<Heard>,
    listening: Turn<()>,
    problems: Mutex<Vec<String>>,
    teller: Arc<Teller>,
    lost: Mutex<Lost>,
    pub(super) started_at: Timestamp,
}

/// What the last reading of the orders came to.
#[derive(Default)]
struct Heard {
    standing: Standing,
    at: Option<Timestamp>,
    error: Option<Error>,
}

/// Whether the run may still act.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Lost {
    /// It may.
    No,
    /// The journal cannot be written: nothing new may be begun, but what was begun is undone.
    Journal,
    /// Another holder owns the run: it undoes, not we.
    Lease,
}

impl RunLog {
    /// Creates the run and writes down what it is going to do. A run of which that cannot be written
    /// is let go again.
    pub(super) async fn begin(
        runner: &Runner,
        run: &RunId,
        workflow: &str,
        plan_hash: String,
        plan: serde_json::Value,
    ) -> Result<Self> {
        allowed(runner, run).await?;
        let lease = runner.journal.begin(run, &runner.holder, runner.term).await?;
        let log = Self::new(runner, lease);
        let started = Event::RunStarted { workflow: workflow.to_owned(), plan_hash, plan };
        if let Err(error) = log.append(&[started]).await {
            log.close(&[]).await;
            return Err(error);
        }
        Ok(log)
    }

    pub(super) async fn take_over(runner: &Runner, run: &RunId) -> Result<Self> {
        let lease = runner.journal.take_over(run, &runner.holder, runner.term).await?;
        Ok(Self::new(runner, lease))
    }

    fn new(runner: &Runner, lease: RunLease) -> Self {
        let teller = runner.teller(&lease.run);
        Self {
            journal: Arc::clone(&runner.journal),
            clock: Arc::clone(&runner.clock),
            lease: Mutex::new(lease),
            renewals: AtomicU64::new(0),
            renewing: Turn::new(None),
            heard: Mutex::default(),
            listening: Turn::new(()),
            problems: Mutex::new(Vec::new()),
            teller,
            lost: Mutex::new(Lost::No),
            started_at: runner.clock.now(),
        }
    }

    pub(super) fn run(&self) -> RunId {
        self.lease().run
    }

    pub(super) fn lost(&self) -> Lost {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the orders came to when they were read last. A run that was to end ends, whatever is
    /// ordered afterwards: nodes may have been put back already.
    pub(super) fn standing(&self) -> Standing {
        self.heard().standing
    }

    pub(super) fn tell(&self, kind: RunEventKind) {
        self.teller.tell(kind);
    }

    /// A node enters a step.
    pub(super) fn step(&self, node: &NodeId, step: PlanStep) {
        self.tell(RunEventKind::NodeStep { node: node.clone(), step });
    }

    /// A node's part in the run is over.
    pub(super) fn finished(&self, report: &NodeReport) {
        self.tell(RunEventKind::NodeFinished { report: Box::new(report.clone()) });
    }

    /// An act that was accepted is not followed any more.
    pub(super) fn ended(
        &self,
        operation: OperationId,
        action: PatchAction,
        began: Timestamp,
        ends: &[(NodeId, Acted)],
    ) {
        let succeeded = ends.iter().filter(|(_, end)| end.succeeded()).count();
        let is_over = |(_, end): &&(NodeId, Acted)| matches!(end, Acted::Ended(_));
        let over = ends.iter().filter(is_over).count();
        let took = self.clock.now().duration_since(began);
        self.tell(RunEventKind::OperationEnded {
            operation,
            action,
            succeeded,
            failed: over - succeeded,
            unknown: ends.len() - over,
            seconds: took.as_secs().unsigned_abs(),
        });
    }

    /// The run's span, for what is done in it.
    pub(super) fn span(&self) -> Span {
        self.teller.span()
    }

    pub(super) fn teller(&self) -> &Arc<Teller> {
        &self.teller
    }

    pub(super) fn problems(&self) -> Vec<String> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn problem(&self, problem: String) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if !problems.contains(&problem) {
            problems.push(problem.clone());
            drop(problems);
            self.tell(RunEventKind::Problem { problem });
        }
    }

    /// Writes events down; after an error nothing new may be begun.
    pub(super) async fn append(&self, events: &[Event]) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let lease = self.lease();
        let result = self.journal.append(&lease, events).await;
        if let Err(error) = &result {
            self.fail(error);
        }
        let written = if result.is_ok() { Written::Yes } else { Written::No };
        for event in events {
            self.teller.journaled(event, written);
        }
        result
    }

    /// Writes down what is about to be done; after an error it may not be.
    ///
    /// A process can stand still while it waits for the journal, and another take its run over: a lease
    /// that may be over by now is renewed first.
    pub(super) async fn intend(&self, events: &[Event]) -> Result<()> {
        self.append(events).await?;
        self.renew().await
    }

    /// Writes down what has happened already. The run goes on without it: the intent stands, and a
    /// recovery looks at the fleet itself.
    pub(super) async fn note(&self, events: &[Event]) {
        // `append` keeps the error among the run's problems.
        let _ = self.append(events).await;
    }

    /// Prolongs the lease when less than half of its term is left, and reads the orders.
    pub(super) async fn keep(&self) -> Result<()> {
        self.renew().await?;
        self.listen().await
    }

    async fn renew(&self) -> Result<()> {
        if self.is_kept() {
            return Ok(());
        }
        // All acts of a round come here at one time: one of them renews for all.
        let before = self.renewals.load(Ordering::Acquire);
        let mut last = self.renewing.lock().await;
        if self.renewals.load(Ordering::Acquire) != before {
            return last.as_ref().map_or(Ok(()), |error| Err(error.copy()));
        }
        let renewed = self.journal.renew(&self.lease()).await;
        self.renewals.fetch_add(1, Ordering::Release);
        match renewed {
            Ok(renewed) => {
                *last = None;
                *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
                Ok(())
            }
            Err(error) => {
                *last = Some(error.copy());
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Reads the orders, unless that was just done. What cannot be read may be the kill switch, so
    /// nothing new is begun any more.
    async fn listen(&self) -> Result<()> {
        if let Some(answer) = self.just_heard() {
            return answer;
        }
        let _turn = self.listening.lock().await;
        if let Some(answer) = self.just_heard() {
            return answer;
        }
        let run = self.run();
        match self.journal.orders(&run).await {
            Ok(orders) => {
                let standing = Standing::of(&run, &orders);
                for record in self.notable(standing, &orders) {
                    self.problem(record.to_string());
                }
                let mut heard = self.heard();
                let before = Some(heard.standing).filter(|it| *it >= Standing::Cancelled);
                heard.standing = before.unwrap_or_default().max(standing);
                (heard.at, heard.error) = (Some(self.clock.now()), None);
                Ok(())
            }
            Err(error) => {
                self.lose(Lost::Journal, &error);
                let mut heard = self.heard();
                (heard.at, heard.error) = (Some(self.clock.now()), Some(error.copy()));
                Err(error)
            }
        }
    }

    /// The orders that belong in the run's report: those that end it, and those that this version
    /// does not know.
    fn notable<'a>(
        &self,
        standing: Standing,
        orders: &'a [OrderRecord],
    ) -> impl Iterator<Item = &'a OrderRecord> {
        let began = self.started_at;
        let halt = orders.iter().rposition(|record| record.order == Order::Halt);
        let halt = halt.filter(|_| standing == Standing::Halted);
        orders.iter().enumerate().filter_map(move |(at, record)| {
            let is_notable = match record.order {
                Order::Cancel { .. } => true,
                Order::Halt => Some(at) == halt,
                Order::Other(_) => record.at >= began,
                _ => false,
            };
            is_notable.then_some(record)
        })
    }

    fn just_heard(&self) -> Option<Result<()>> {
        let heard = self.heard();
        let is_fresh = self.clock.now() < later(heard.at?, LISTEN);
        is_fresh.then(|| heard.error.as_ref().map_or(Ok(()), |error| Err(error.copy())))
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_kept(&self) -> bool {
        let lease = self.lease();
        later(self.clock.now(), lease.term / 2) < lease.expires_at
    }

    pub(super) async fn claim(&self, nodes: &[NodeId]) -> PerNode<()> {
        let claims = self.journal.claim(&self.lease(), nodes).await;
        let claims = claims.into_iter().map(|(node, claim)| (node, claim.map(drop)));
        whole("core", "claim", nodes, claims)
    }

    /// Claims nodes whose machines have other ids as well: a node is claimed when all of them are.
    /// What is held of one that is not goes back with the run.
    pub(super) async fn claim_whole(&self, nodes: &[(NodeId, BTreeSet<NodeId>)]) -> PerNode<()> {
        let ids: BTreeSet<&NodeId> =
            nodes.iter().flat_map(|(node, also)| std::iter::once(node).chain(also)).collect();
        let ids: Vec<NodeId> = ids.into_iter().cloned().collect();
        let claims: BTreeMap<NodeId, Result<()>> = self.claim(&ids).await.into_iter().collect();
        let answer = |(node, also): &(NodeId, BTreeSet<NodeId>)| {
            let refused = std::iter::once(node).chain(also).find_map(|id| match claims.get(id) {
                Some(Err(error)) => Some(error.copy()),
                _ => None,
            });
            (node.clone(), refused.map_or(Ok(()), Err))
        };
        nodes.iter().map(answer).collect()
    }

    /// Gives claims back while the run goes on. Says whether it could.
    pub(super) async fn unclaim(&self, nodes: &[NodeId]) -> bool {
        match self.journal.unclaim(&self.lease(), nodes).await {
            Ok(()) => true,
            Err(error) => {
                self.fail(&error);
                false
            }
        }
    }

    /// Gives nodes and run back. A lease that stays is over after its term.
    pub(super) async fn close(&self, nodes: &[NodeId]) {
        if self.lost() == Lost::Lease {
            return;
        }
        let lease = self.lease();
        if let Err(error) = self.journal.unclaim(&lease, nodes).await {
            self.problem(error.report());
        }
        if let Err(error) = self.journal.release(&lease).await {
            self.problem(error.report());
        }
    }

    fn fail(&self, error: &Error) {
        let lost = if error.kind() == ErrorKind::Conflict { Lost::Lease } else { Lost::Journal };
        self.lose(lost, error);
    }

    fn lose(&self, lost: Lost, error: &Error) {
        let mut state = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if *state != Lost::Lease {
            *state = lost;
        }
        drop(state);
        self.problem(error.report());
    }

    fn lease(&self) -> RunLease {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Refuses what may not begin while the kill switch is on.
pub(super) async fn allowed(runner: &Runner, run: &RunId) -> Result<()> {
    let orders = runner.journal.orders(run).await?;
    if Standing::of(run, &orders) != Standing::Halted {
        return Ok(());
    }
    let halt = orders.iter().rev().find(|record| record.order == Order::Halt);
    let halt = halt.map(ToString::to_string).unwrap_or_default();
    let message = format!("the kill switch is on: {halt}");
    Err(Error::new(ErrorKind::Cancelled, "core", "begin", message))
}
