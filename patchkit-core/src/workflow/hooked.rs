//! Calls hooks, and knows which calls are owed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::future::join_all;

use super::{
    Hook, HookCall, HookWave, Outcome, Runner,
    gate::Gate,
    log::Lost,
    patch::{Progressing, skipped},
};
use crate::{Event, HookMark, HookPoint, NodeId, RunId};

/// What is known of a run's hooks.
#[derive(Default)]
pub(super) struct HookBook {
    /// Calls that end what was begun, and were not made.
    owed: BTreeSet<HookMark>,
    /// Calls that stand before something, and ended well.
    passed: BTreeSet<HookMark>,
    /// Nodes after which a call failed, and how.
    failed: Vec<(NodeId, String)>,
}

impl HookBook {
    /// Reads what the journal says of a call.
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::HookOwed { hook } => {
                self.owed.insert(hook.clone());
            }
            Event::HookDone { hook } => {
                let was_owed = self.owed.remove(hook);
                if !was_owed {
                    self.passed.insert(hook.clone());
                }
            }
            Event::HookFailed { hook, error } => {
                // A call that stands before something is made again, if that comes to pass.
                if self.owed.remove(hook)
                    && let Some(node) = &hook.node
                {
                    self.failed.push((node.clone(), failure(hook, error)));
                }
            }
            _ => {}
        }
    }

    /// Nodes for which a call is owed: they may be out of work.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.owed.iter().filter_map(|mark| mark.node.as_ref())
    }

    pub(super) fn is_owing(&self) -> bool {
        !self.owed.is_empty()
    }

    pub(super) fn failed(&self) -> &[(NodeId, String)] {
        &self.failed
    }
}

impl Runner {
    /// Calls what stands before nodes. Returns those that may be begun; the others are skipped.
    pub(super) async fn before_nodes(
        &self,
        going: &mut Progressing<'_>,
        nodes: &[NodeId],
    ) -> Vec<NodeId> {
        let mut open = nodes.to_vec();
        for hook in &self.hooks {
            let mark = |node| mark(hook, HookPoint::BeforeNode, None, Some(node));
            let failures = self.before(going, hook, open.iter().map(mark).collect()).await;
            let ended = failures.iter().filter_map(|(mark, error)| {
                Some((mark.node.clone()?, skipped(failure(mark, error))))
            });
            self.finish(going, ended.collect()).await;
            open.retain(|node| going.is_open(node));
        }
        open
    }

    /// Calls what is owed after nodes.
    pub(super) async fn after_nodes(&self, going: &mut Progressing<'_>, nodes: &[NodeId]) {
        for hook in self.hooks.iter().rev() {
            let mark = |node| mark(hook, HookPoint::AfterNode, None, Some(node));
            let failures = self.after(going, hook, nodes.iter().map(mark).collect()).await;
            for (mark, error) in failures {
                if let Some(node) = &mark.node {
                    going.note(node, failure(&mark, &error));
                    going.out.insert(node.clone());
                }
            }
        }
    }

    /// Calls what is owed after nodes whose part is over: those of a run that died.
    pub(super) async fn after_ended_nodes(&self, going: &mut Progressing<'_>) {
        let ended = going.hooks.nodes().filter(|node| !going.is_open(node));
        let ended: BTreeSet<NodeId> = ended.cloned().collect();
        let ended: Vec<NodeId> = ended.into_iter().collect();
        self.after_nodes(going, &ended).await;
    }

    /// Calls what stands before a wave, or before the run. A failure stops the run.
    pub(super) async fn before_all(&self, going: &mut Progressing<'_>, wave: Option<usize>) {
        let point = wave.map_or(HookPoint::BeforeRun, |_| HookPoint::BeforeWave);
        for hook in &self.hooks {
            if going.stopped.is_some() {
                return;
            }
            let failures = self.before(going, hook, vec![mark(hook, point, wave, None)]).await;
            if let Some((mark, error)) = failures.first() {
                let reason = failure(mark, error);
                going.log.problem(reason.clone());
                going.stopped = Some(reason);
            }
        }
    }

    /// Calls what is owed after a wave, or after the run.
    pub(super) async fn after_all(&self, going: &mut Progressing<'_>, wave: Option<usize>) {
        let point = wave.map_or(HookPoint::AfterRun, |_| HookPoint::AfterWave);
        for hook in self.hooks.iter().rev() {
            let failures = self.after(going, hook, vec![mark(hook, point, wave, None)]).await;
            for (mark, error) in failures {
                going.log.problem(failure(&mark, &error));
            }
        }
    }

    /// Calls all that a run owes which is about to end, and names what nobody is there to call.
    pub(super) async fn settle_hooks(&self, going: &mut Progressing<'_>) {
        let nodes: BTreeSet<NodeId> = going.hooks.nodes().cloned().collect();
        self.after_nodes(going, &nodes.into_iter().collect::<Vec<_>>()).await;
        for wave in (0..going.plan.waves.len()).rev() {
            self.after_all(going, Some(wave)).await;
        }
        self.after_all(going, None).await;
        if going.log.lost() == Lost::Lease {
            return;
        }
        for mark in std::mem::take(&mut going.hooks.owed) {
            let problem = format!("hook {mark} is owed, and there is no hook of that name");
            if let Some(node) = &mark.node {
                going.note(node, problem.clone());
            }
            going.log.problem(problem);
        }
    }

    /// Makes calls that stand before something, unless they ended well already. Returns those that
    /// failed.
    async fn before(
        &self,
        going: &mut Progressing<'_>,
        hook: &Arc<dyn Hook>,
        mut marks: Vec<HookMark>,
    ) -> Vec<(HookMark, String)> {
        let Some(point) = marks.first().map(|mark| mark.point) else { return Vec::new() };
        let (asks, owes) = (hook.wants(point), hook.wants(point.after()));
        marks.retain(|mark| !going.hooks.passed.contains(mark));
        let mut events = Vec::with_capacity(marks.len() * 2);
        for mark in &marks {
            let after = mark.clone().after();
            if owes && !going.hooks.owed.contains(&after) {
                events.push(Event::HookOwed { hook: after });
            }
            if asks {
                events.push(Event::HookIntent { hook: mark.clone() });
            }
        }
        if let Err(error) = going.log.append(&events).await {
            let word = format!("not called: {}", error.report());
            return marks.into_iter().map(|mark| (mark, word.clone())).collect();
        }
        for event in &events {
            going.hooks.take(event);
        }
        if !asks {
            return Vec::new();
        }
        self.call(going, hook, marks).await
    }

    /// Makes calls that are owed. Returns those that failed.
    async fn after(
        &self,
        going: &mut Progressing<'_>,
        hook: &Arc<dyn Hook>,
        mut marks: Vec<HookMark>,
    ) -> Vec<(HookMark, String)> {
        marks.retain(|mark| going.hooks.owed.contains(mark));
        // Another holder owns the run, and what it owes.
        if marks.is_empty() || going.log.lost() == Lost::Lease {
            return Vec::new();
        }
        let intents: Vec<Event> =
            marks.iter().map(|hook| Event::HookIntent { hook: hook.clone() }).collect();
        // What cannot be written down is done all the same: it puts something back.
        going.log.note(&intents).await;
        self.call(going, hook, marks).await
    }

    async fn call(
        &self,
        going: &mut Progressing<'_>,
        hook: &Arc<dyn Hook>,
        marks: Vec<HookMark>,
    ) -> Vec<(HookMark, String)> {
        // The calls of hooks take no places from those to the provider: they may be long.
        let gate = Gate::new(self.parallel);
        let run = going.log.run();
        let ends = {
            let (gate, run, going) = (&gate, &run, &*going);
            let calls = marks.into_iter().map(|mark| async move {
                let call = going.hook_call(run, &mark);
                let made = self.within(going.log, self.limits.hook, hook.call(&call));
                let error = match gate.pass(made).await {
                    Some(Ok(())) => None,
                    Some(Err(error)) => Some(error.report()),
                    None => Some(format!("no answer in {} s", self.limits.hook.as_secs())),
                };
                (mark, error)
            });
            join_all(calls).await
        };
        let event = |(mark, error): &(HookMark, Option<String>)| match error.clone() {
            None => Event::HookDone { hook: mark.clone() },
            Some(error) => Event::HookFailed { hook: mark.clone(), error },
        };
        let events: Vec<Event> = ends.iter().map(event).collect();
        going.log.note(&events).await;
        for event in &events {
            going.hooks.take(event);
        }
        ends.into_iter().filter_map(|(mark, error)| Some((mark, error?))).collect()
    }
}

impl Progressing<'_> {
    fn hook_call<'a>(&'a self, run: &'a RunId, mark: &'a HookMark) -> HookCall<'a> {
        let is_after = mark.point == mark.point.after();
        let at = mark.wave.and_then(|wave| usize::try_from(wave).ok());
        let wave = at.and_then(|at| self.plan.waves.get(at));
        let node = mark.node.as_ref();
        let ended = node.filter(|node| is_after && !self.is_open(node));
        HookCall {
            id: format!("{run} {mark}"),
            run,
            point: mark.point,
            wave: wave.zip(mark.wave).map(|(wave, index)| HookWave {
                index,
                name: &wave.name,
                nodes: wave.nodes.len(),
            }),
            node: node.and_then(|node| self.plan.node(node)),
            outcome: ended.and_then(|node| Some(&self.reports.get(node)?.outcome)),
            tally: match (is_after, node, wave) {
                (true, None, Some(wave)) => self.tally(wave.nodes.iter()),
                (true, None, None) => self.tally(self.plan.nodes.iter().map(|node| &node.id)),
                _ => BTreeMap::new(),
            },
        }
    }

    fn tally<'a>(&self, nodes: impl Iterator<Item = &'a NodeId>) -> BTreeMap<Outcome, usize> {
        let mut tally = BTreeMap::new();
        for report in nodes.filter_map(|node| self.reports.get(node)) {
            *tally.entry(report.outcome.outcome).or_default() += 1;
        }
        tally
    }
}

fn mark(
    hook: &Arc<dyn Hook>,
    point: HookPoint,
    wave: Option<usize>,
    node: Option<&NodeId>,
) -> HookMark {
    let mut mark = HookMark::new(hook.name(), point);
    mark.wave = wave.map(|wave| u32::try_from(wave).unwrap_or(u32::MAX));
    mark.node = node.cloned();
    mark
}

fn failure(mark: &HookMark, error: &str) -> String {
    format!("hook {:?} {}: {error}", mark.name, mark.point)
}
