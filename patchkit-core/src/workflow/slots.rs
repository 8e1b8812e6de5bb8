//! Budgets that several runs keep together: slots that are claimed in the journal, as nodes are.
//!
//! A slot is a claim, so that it is fenced with the run's lease, outlives the worker, and goes when
//! the run is recovered.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    PatchPlan, Runner,
    budget::{Counted, counted, place},
    log::RunLog,
    patch::Progressing,
};
use crate::{AccountId, Amount, NodeId, Region, Result, Scope, SharedBudget};

/// The provider of slots' ids, which no node may have.
pub(super) const PROVIDER: &str = "patchkit:budget";

/// How many slots are asked for at once at least: most are free, or none.
const BATCH: usize = 32;

/// The slots that a run holds.
#[derive(Default)]
pub(super) struct Slots {
    held: BTreeMap<Counted, BTreeSet<u32>>,
}

impl Runner {
    /// Takes slots for nodes that are to begin. Returns those that got all that they need; what the
    /// others lack is in `full`, with the budgets' names.
    pub(super) async fn take_slots(
        &self,
        going: &mut Progressing<'_>,
        picked: Vec<NodeId>,
        full: &mut BTreeSet<Counted>,
    ) -> Result<Vec<NodeId>> {
        let (plan, shared) = (going.plan, shared(going.plan));
        let mut granted = picked;
        if shared.is_empty() {
            return Ok(granted);
        }
        for at in shared {
            let groups = grouped(plan, at, &granted);
            let out = grouped(plan, at, &going.out);
            for (group, nodes) in groups {
                let out = out.get(&group).map_or(0, Vec::len);
                let has = self.hold_slots(going, &group, out + nodes.len()).await?;
                let refused: BTreeSet<NodeId> =
                    nodes.into_iter().skip(has.saturating_sub(out)).collect();
                if !refused.is_empty() {
                    full.insert(group);
                    granted.retain(|node| !refused.contains(node));
                }
            }
        }
        let used = granted.iter().chain(&going.out).cloned().collect();
        self.keep_slots(going.log, plan, &mut going.slots, &used).await;
        Ok(granted)
    }

    /// Gives back the slots that no node needs which is out of work.
    pub(super) async fn free_slots(&self, going: &mut Progressing<'_>) {
        let Progressing { plan, log, slots, out, .. } = going;
        self.keep_slots(log, plan, slots, out).await;
    }

    /// Finds the slots that a dead holder of the run had, and keeps as many as `used` needs.
    pub(super) async fn find_slots(
        &self,
        log: &RunLog,
        plan: &PatchPlan,
        used: &BTreeSet<NodeId>,
    ) -> Slots {
        let mut slots = Slots::default();
        for group in all_groups(plan) {
            let ids = slot_ids(plan, &group, |_| true).unwrap_or_default();
            let nodes: Vec<NodeId> = ids.iter().map(|(_, id)| id.clone()).collect();
            // Those that it held and those that are free answer alike; what is too many goes back.
            let claims: BTreeMap<NodeId, Result<()>> =
                log.claim(&nodes).await.into_iter().collect();
            let held = ids.into_iter().filter(|(_, id)| matches!(claims.get(id), Some(Ok(()))));
            slots.held.insert(group, held.map(|(slot, _)| slot).collect());
        }
        self.keep_slots(log, plan, &mut slots, used).await;
        slots
    }

    /// All slots but as many as `used` needs, to be given back with the run: also those whose claim
    /// had no clear answer.
    pub(super) fn slots_to_give(
        plan: &PatchPlan,
        slots: &Slots,
        used: &BTreeSet<NodeId>,
    ) -> Vec<NodeId> {
        let mut give = Vec::new();
        for group in all_groups(plan) {
            let needed = needed(plan, &group, used);
            let held = slots.held.get(&group);
            let kept: BTreeSet<u32> = held.into_iter().flatten().take(needed).copied().collect();
            let ids = slot_ids(plan, &group, |slot| !kept.contains(&slot)).unwrap_or_default();
            give.extend(ids.into_iter().map(|(_, id)| id));
        }
        give
    }

    /// Holds `wanted` slots of a group if it can. Returns how many it holds.
    async fn hold_slots(
        &self,
        going: &mut Progressing<'_>,
        group: &Counted,
        wanted: usize,
    ) -> Result<usize> {
        let held = going.slots.held.entry(group.clone()).or_default();
        let ids = slot_ids(going.plan, group, |slot| !held.contains(&slot))?;
        let mut ids = ids.as_slice();
        while held.len() < wanted && !ids.is_empty() {
            let (now, later) = ids.split_at((wanted - held.len()).max(BATCH).min(ids.len()));
            ids = later;
            let nodes: Vec<NodeId> = now.iter().map(|(_, id)| id.clone()).collect();
            let claims: BTreeMap<NodeId, Result<()>> =
                going.log.claim(&nodes).await.into_iter().collect();
            let got = now.iter().filter(|(_, id)| matches!(claims.get(id), Some(Ok(()))));
            held.extend(got.map(|(slot, _)| *slot));
        }
        Ok(held.len())
    }

    async fn keep_slots(
        &self,
        log: &RunLog,
        plan: &PatchPlan,
        slots: &mut Slots,
        used: &BTreeSet<NodeId>,
    ) {
        for (group, held) in &mut slots.held {
            let needed = needed(plan, group, used);
            let given: BTreeSet<u32> = held.iter().skip(needed).copied().collect();
            if given.is_empty() {
                continue;
            }
            let ids = slot_ids(plan, group, |slot| given.contains(&slot)).unwrap_or_default();
            let nodes: Vec<NodeId> = ids.into_iter().map(|(_, id)| id).collect();
            // What could not be given back is held still, and goes with the run.
            if log.unclaim(&nodes).await {
                held.retain(|slot| !given.contains(slot));
            }
        }
    }

    /// What a run says that waited for a slot in vain.
    pub(super) fn no_slot(plan: &PatchPlan, full: &BTreeSet<Counted>) -> String {
        let names = full.iter().filter_map(|group| {
            let shared = shared_budget(plan, group.0)?;
            let minutes = shared.patience.as_secs() / 60;
            let name = &shared.name;
            Some(format!(
                "shared budget {name:?} had no room for {} in {minutes} min",
                place(plan, group)
            ))
        });
        names.collect::<Vec<_>>().join("; ")
    }
}

/// The places of the plan's shared budgets.
fn shared(plan: &PatchPlan) -> Vec<usize> {
    let budgets = plan.options.rollout.budgets.iter().enumerate();
    budgets.filter(|(_, budget)| budget.shared.is_some()).map(|(at, _)| at).collect()
}

pub(super) fn shared_budget(plan: &PatchPlan, at: usize) -> Option<&SharedBudget> {
    plan.options.rollout.budgets.get(at)?.shared.as_ref()
}

fn grouped<'a>(
    plan: &PatchPlan,
    at: usize,
    nodes: impl IntoIterator<Item = &'a NodeId>,
) -> BTreeMap<Counted, Vec<NodeId>> {
    let mut groups: BTreeMap<Counted, Vec<NodeId>> = BTreeMap::new();
    for node in nodes {
        let planned = plan.node(node);
        if let Some(group) = planned.and_then(|node| counted(plan, node).nth(at)) {
            groups.entry(group).or_default().push(node.clone());
        }
    }
    groups
}

/// How many slots of a group the nodes need.
fn needed(plan: &PatchPlan, group: &Counted, nodes: &BTreeSet<NodeId>) -> usize {
    grouped(plan, group.0, nodes).get(group).map_or(0, Vec::len)
}

/// The groups of the plan's shared budgets.
fn all_groups(plan: &PatchPlan) -> BTreeSet<Counted> {
    let shared = shared(plan);
    if shared.is_empty() {
        return BTreeSet::new();
    }
    let groups = plan.nodes.iter().flat_map(|node| counted(plan, node));
    groups.filter(|(at, _)| shared.contains(at)).collect()
}

/// The ids of a group's slots. Values are quoted, so that no two groups have a slot in common.
fn slot_ids(
    plan: &PatchPlan,
    (at, value): &Counted,
    is: impl Fn(u32) -> bool,
) -> Result<Vec<(u32, NodeId)>> {
    let budget = plan.options.rollout.budgets.get(*at);
    let Some((shared, Amount::Fixed(slots))) =
        budget.and_then(|budget| Some((budget.shared.as_ref()?, budget.at_once)))
    else {
        return Ok(Vec::new());
    };
    let key = budget.and_then(|budget| budget.per.as_ref()).map(ToString::to_string);
    let scope = Scope::new(PROVIDER, AccountId::new("journal")?, Region::new("slots")?)?;
    let id = |slot: u32| {
        let resource = format!("{:?}/{key:?}/{value:?}/{slot}", shared.name);
        Ok((slot, NodeId::new(scope.clone(), &resource)?))
    };
    (0..slots).filter(|slot| is(*slot)).map(id).collect()
}
