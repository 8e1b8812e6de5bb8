//! The order of a run: wave after wave, as many nodes at once as the budgets have room for.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use jiff::Timestamp;
use tracing::Instrument;

use super::{
    PlannedNode, Runner,
    budget::{Counted, Room},
    freeze::{Fit, fit},
    patch::{Progressing, skipped},
    power::Started,
    slots::shared_budget,
};
use crate::{
    AssignedWave, NodeId,
    clock::later,
    observe::{RunEventKind, WaitCause},
};

/// Why no further node is begun.
pub(super) type Stop = Option<String>;

/// How often a run that finds no slot of a shared budget free asks again.
const ASK: Duration = Duration::from_secs(30);

/// What may be begun now.
enum Pick {
    /// These nodes.
    Nodes(Vec<NodeId>),
    /// Nothing before then.
    Later(Timestamp),
    /// Nothing while other runs hold the slots of these groups.
    Taken(BTreeSet<Counted>),
    /// Nothing of what is left.
    Nothing,
    /// Nothing of this run any more.
    Stop(String),
}

/// The nodes of a wave that are not begun, and the budgets over them.
struct Queue<'a> {
    left: VecDeque<NodeId>,
    room: Room<'a>,
    /// How many of the wave may be out of work at once.
    budget: usize,
}

impl Runner {
    /// Works through the waves, from the one at `from` on.
    pub(super) async fn waves(&self, going: &mut Progressing<'_>, claimed: &[NodeId], from: usize) {
        let claimed: BTreeSet<&NodeId> = claimed.iter().collect();
        let mut stop: Stop = going.stopped.clone();
        let waves = &going.plan.waves;
        for (at, wave) in waves.iter().enumerate().skip(from) {
            // A plan comes from outside: a node that it names twice is patched once.
            let nodes: BTreeSet<&NodeId> = wave
                .nodes
                .iter()
                .filter(|node| claimed.contains(node) && going.open.contains(node))
                .collect();
            let nodes: Vec<NodeId> = nodes.into_iter().cloned().collect();
            let was_stopped = stop.is_some();
            if stop.is_none() {
                let (name, count) = (wave.name.clone(), nodes.len());
                going.log.tell(RunEventKind::WaveStarted { wave: name, nodes: count });
                let span = going.log.teller().wave(&wave.name, count);
                stop = self.wave(going, at, wave, &nodes).instrument(span).await;
            }
            if let Some(reason) = &stop {
                let left = nodes.into_iter().filter(|node| going.open.contains(node));
                let ended = left.map(|node| (node, skipped(reason))).collect();
                self.finish(going, ended).await;
            }
            // Of a run that was resumed an earlier holder may have begun it.
            self.after_all(going, Some(at)).await;
            if !was_stopped && going.stopped.is_none() && going.is_begun(at) {
                self.judge(going, at).await;
            }
            if stop.is_none() && at + 1 < waves.len() {
                self.bake(going, at, wave.bake).await;
            }
            stop = stop.or_else(|| going.stopped.clone());
        }
        let left = going.open.iter().cloned();
        let ended = left.map(|node| (node, skipped("in no wave of the plan"))).collect();
        self.finish(going, ended).await;
    }

    /// Works through a wave, as many nodes at once as the budgets have room for.
    async fn wave(
        &self,
        going: &mut Progressing<'_>,
        at: usize,
        wave: &AssignedWave,
        nodes: &[NodeId],
    ) -> Stop {
        if nodes.is_empty() {
            return None;
        }
        if let Some(reason) = self.may_begin(going).await {
            return Some(reason);
        }
        self.before_all(going, Some(at)).await;
        let errors = going.plan.options.rollout.errors.0.of(going.plan.nodes.len());
        let mut queue = Queue {
            left: nodes.iter().cloned().collect(),
            room: Room::new(going.plan),
            budget: going.plan.disruption(wave.nodes.len()),
        };
        let (mut round, mut waiting) = (0, None);
        while !queue.left.is_empty() {
            if let Some(reason) = self.may_begin(going).await {
                return Some(reason);
            }
            if going.failures > errors {
                return Some(format!("the error budget of {errors} is used up"));
            }
            match self.pick(going, &mut queue).await {
                Pick::Stop(reason) => return Some(reason),
                Pick::Nothing => {}
                Pick::Later(at) => self.wait(going, WaitCause::Freeze, at).await,
                Pick::Taken(full) => {
                    let now = self.clock.now();
                    let patience = |group: &Counted| shared_budget(going.plan, group.0);
                    let patience = full.iter().filter_map(patience).map(|it| it.patience).max();
                    let patience = patience.unwrap_or_default();
                    let since = *waiting.get_or_insert_with(|| {
                        let (cause, until) = (WaitCause::Slot, later(now, patience));
                        going.log.tell(RunEventKind::Waiting { cause, until });
                        now
                    });
                    if later(since, patience) <= now {
                        return Some(Self::no_slot(going.plan, &full));
                    }
                    self.sleep_until(going, later(now, ASK)).await;
                }
                Pick::Nodes(nodes) => {
                    waiting = None;
                    let label = format!("{}w{at}r{round}", going.prefix);
                    self.round(going, &label, &nodes, Started::new()).await;
                    self.free_slots(going).await;
                    round += 1;
                }
            }
        }
        (going.failures > errors).then(|| format!("the error budget of {errors} is used up"))
    }

    /// Takes out of the queue what may be begun now, and ends what never may.
    async fn pick(&self, going: &mut Progressing<'_>, queue: &mut Queue<'_>) -> Pick {
        let budget = queue.budget;
        if budget == 0 {
            return Pick::Stop("the disruption budget is 0".to_owned());
        }
        // Those of earlier waves too: they may be out of work still.
        let free = budget.saturating_sub(going.out.len());
        if free == 0 {
            return Pick::Stop(format!("failed nodes fill the disruption budget of {budget}"));
        }
        let mut taken = BTreeSet::new();
        loop {
            let now = self.clock.now();
            queue.room.count(&going.out);
            let (mut picked, mut ended, mut back) = (Vec::new(), Vec::new(), Vec::new());
            let (mut thaw, mut filled) = (None, Vec::new());
            while picked.len() < free
                && let Some(id) = queue.left.pop_front()
            {
                let Some(node) = going.plan.node(&id) else { continue };
                match fits(going, node, now) {
                    Fit::Never(reason) => ended.push((id, skipped(reason))),
                    Fit::Later(at) => {
                        thaw = Some(thaw.map_or(at, |earlier: Timestamp| earlier.min(at)));
                        back.push(id);
                    }
                    Fit::Now => match queue.room.full(node, &taken) {
                        None => {
                            queue.room.take(node);
                            picked.push(id);
                        }
                        Some(group) => {
                            if !taken.contains(&group) {
                                filled.push((id.clone(), group));
                            }
                            back.push(id);
                        }
                    },
                }
            }
            self.finish(going, ended).await;
            back.into_iter().rev().for_each(|id| queue.left.push_front(id));
            if picked.is_empty() {
                return match thaw {
                    _ if !taken.is_empty() => Pick::Taken(taken),
                    Some(at) => Pick::Later(at),
                    None => self.give_up(going, queue, filled).await,
                };
            }
            let wanted = picked.clone();
            match self.take_slots(going, picked, &mut taken).await {
                Err(error) => return Pick::Stop(error.report()),
                Ok(granted) => {
                    let got: BTreeSet<&NodeId> = granted.iter().collect();
                    let refused = wanted.into_iter().rev().filter(|id| !got.contains(id));
                    refused.for_each(|id| queue.left.push_front(id));
                    // Else those whose slots are taken make place for others.
                    if !granted.is_empty() {
                        return Pick::Nodes(granted);
                    }
                }
            }
        }
    }

    /// Ends nodes whose budgets are filled by nodes that nobody brings back.
    async fn give_up(
        &self,
        going: &mut Progressing<'_>,
        queue: &mut Queue<'_>,
        filled: Vec<(NodeId, Counted)>,
    ) -> Pick {
        let budgets = &going.plan.options.rollout.budgets;
        let of_run = |(_, group): &&(NodeId, Counted)| {
            budgets.get(group.0).is_some_and(|budget| budget.per.is_none())
        };
        if let Some((_, group)) = filled.iter().find(of_run) {
            return Pick::Stop(queue.room.why(group));
        }
        let why = |(id, group): (NodeId, Counted)| (id, skipped(queue.room.why(&group)));
        let ended: Vec<_> = filled.into_iter().map(why).collect();
        self.finish(going, ended).await;
        queue.left.retain(|id| going.is_open(id));
        Pick::Nothing
    }

    /// Watches a wave that is over, for as long as it is healthy.
    pub(super) async fn bake(&self, going: &mut Progressing<'_>, at: usize, bake: Duration) {
        let slice = Duration::from_mins(1);
        if bake > Duration::ZERO && self.must_stop(going).is_none() {
            let (cause, until) = (WaitCause::Bake, later(self.clock.now(), bake));
            going.log.tell(RunEventKind::Waiting { cause, until });
        }
        let mut left = bake;
        while left > Duration::ZERO && self.must_stop(going).is_none() {
            let pause = left.min(slice);
            self.clock.sleep(pause).await;
            left -= pause;
            let _ = going.log.keep().await;
            self.judge_again(going, at).await;
        }
    }
}

/// When a node may begin, by what nodes of its kind take.
fn fits(going: &Progressing<'_>, node: &PlannedNode, now: Timestamp) -> Fit {
    let options = &going.plan.options;
    let Some(times) = &options.times else { return Fit::Now };
    fit(options.window.as_ref(), options.freezes.as_ref(), now, times.of_node(node))
}
