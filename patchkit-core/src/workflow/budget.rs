//! How many more nodes may be begun, by the budgets of a plan.

use std::collections::{BTreeMap, BTreeSet};

use super::{PatchPlan, PlannedNode};
use crate::{Budget, NodeId};

/// A group of nodes that a budget counts together: the budget's place in the plan, and the value of
/// its key.
pub(super) type Counted = (usize, Option<String>);

/// The budgets of a plan, with how many nodes are out of work under each.
pub(super) struct Room<'a> {
    plan: &'a PatchPlan,
    limits: BTreeMap<Counted, usize>,
    out: BTreeMap<Counted, usize>,
}

impl<'a> Room<'a> {
    pub(super) fn new(plan: &'a PatchPlan) -> Self {
        let mut sizes: BTreeMap<Counted, usize> = BTreeMap::new();
        // A plan may have as many waves as it has tags.
        let is_bound = !plan.options.rollout.budgets.is_empty();
        for node in plan.nodes.iter().filter(|_| is_bound) {
            for counted in counted(plan, node) {
                *sizes.entry(counted).or_default() += 1;
            }
        }
        let limit = |(counted, size): (Counted, usize)| {
            let budget = plan.options.rollout.budgets.get(counted.0);
            (counted, budget.map_or(size, |budget| budget.at_once.of(size)))
        };
        let limits = sizes.into_iter().map(limit).collect();
        Self { plan, limits, out: BTreeMap::new() }
    }

    /// Counts these nodes as out of work, and no others.
    pub(super) fn count(&mut self, out: &BTreeSet<NodeId>) {
        self.out.clear();
        for node in out.iter().filter_map(|node| self.plan.node(node)) {
            self.take(node);
        }
    }

    /// Counts one more.
    pub(super) fn take(&mut self, node: &PlannedNode) {
        for counted in counted(self.plan, node) {
            *self.out.entry(counted).or_default() += 1;
        }
    }

    /// The first group of the node that has no room, or whose slots are `taken` by others.
    pub(super) fn full(&self, node: &PlannedNode, taken: &BTreeSet<Counted>) -> Option<Counted> {
        counted(self.plan, node).find(|counted| {
            let limit = self.limits.get(counted).copied().unwrap_or_default();
            self.out.get(counted).copied().unwrap_or_default() >= limit || taken.contains(counted)
        })
    }

    /// Why nothing of a group may be begun while nothing is under way.
    pub(super) fn why(&self, counted: &Counted) -> String {
        let limit = self.limits.get(counted).copied().unwrap_or_default();
        let place = place(self.plan, counted);
        if limit == 0 {
            format!("the disruption budget of {place} is 0")
        } else {
            format!("failed nodes fill the disruption budget of {limit} of {place}")
        }
    }
}

/// The groups that the plan's budgets count a node in.
pub(super) fn counted(plan: &PatchPlan, node: &PlannedNode) -> impl Iterator<Item = Counted> {
    let group = |budget: &Budget| budget.per.as_ref().and_then(|key| node.keys.get(key).cloned());
    plan.options.rollout.budgets.iter().map(group).enumerate()
}

/// A group's name, for people.
pub(super) fn place(plan: &PatchPlan, (at, value): &Counted) -> String {
    match (plan.options.rollout.budgets.get(*at).and_then(|it| it.per.as_ref()), value) {
        (None, _) => "the run".to_owned(),
        (Some(key), Some(value)) => format!("{key} {value:?}"),
        (Some(key), None) => format!("the nodes without {key}"),
    }
}
