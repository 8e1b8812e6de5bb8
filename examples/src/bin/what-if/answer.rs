//! What the fleet answers, before it is written in any form.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use patchkit_core::{
    NodeId,
    whatif::{
        Doubt, Forecast, GroupBy, NodeChange, NodeExplanation, OnsetShift, WhatIf, forecast,
        what_if,
    },
};
use patchkit_examples::{Exit, Failure};

use super::{args::Args, input::Fleet, question::Question};

/// One run's answer.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) question: &'a Question,
    pub(crate) what_if: WhatIf<'a>,
    pub(crate) changes: Vec<NodeChange>,
    pub(crate) shifts: Vec<OnsetShift>,
    pub(crate) forecast: Forecast,
    pub(crate) until: Timestamp,
    pub(crate) by: Vec<GroupBy>,
    pub(crate) top: usize,
    /// How many nodes are unknown after the change, and why.
    pub(crate) doubts: BTreeMap<Doubt, usize>,
    /// Nodes whose verdict before the change is another than their scan's.
    pub(crate) contradictions: Vec<NodeId>,
    /// The node that was asked for, before and after.
    pub(crate) explained: Option<[NodeExplanation; 2]>,
}

impl<'a> Answer<'a> {
    pub(crate) fn find(
        args: &Args,
        fleet: &'a Fleet,
        question: &'a Question,
    ) -> Result<Self, Failure> {
        let ahead = SignedDuration::from_hours(24 * i64::from(args.days));
        let until = fleet.when.checked_add(ahead).unwrap_or(Timestamp::MAX);
        let what_if = what_if(&fleet.matrix, &question.before, &question.after);
        let mut doubts = BTreeMap::new();
        for (_, doubt) in what_if.after().unknown() {
            *doubts.entry(doubt).or_insert(0) += 1;
        }
        let contradictions = what_if.before().contradictions().map(|(node, _)| node.id.clone());
        let contradictions = contradictions.collect();
        let explained = match &args.explain {
            Some(name) => Some(explain(fleet, &what_if, name)?),
            None => None,
        };
        Ok(Self {
            fleet,
            question,
            changes: what_if.changes().collect(),
            shifts: what_if.shifts(until),
            forecast: forecast(&fleet.matrix, &question.after, until),
            what_if,
            until,
            by: args.by(),
            top: args.top,
            doubts,
            contradictions,
            explained,
        })
    }

    /// What the process ends with: data that was lost may hide anything, so it is no clean end.
    pub(crate) fn exit(&self) -> Exit {
        let counts = self.what_if.counts();
        let is_clean =
            counts.fall_out == 0 && counts.become_unknown == 0 && self.fleet.problems.is_empty();
        if is_clean { Exit::Clean } else { Exit::Findings }
    }
}

fn explain(
    fleet: &Fleet,
    what_if: &WhatIf<'_>,
    name: &str,
) -> Result<[NodeExplanation; 2], Failure> {
    let takes = |id: &NodeId| id.resource() == name || id.to_string() == name;
    let mut found = fleet.matrix.nodes().filter(|node| takes(&node.id));
    let Some(node) = found.next() else {
        return Err(Failure::new(format!("{name} is no node of {}", fleet.name)));
    };
    if found.next().is_some() {
        return Err(Failure::new(format!(
            "{name} is the id of several nodes: give one whole, as {}",
            node.id
        )));
    }
    let of = |verdicts: &patchkit_core::whatif::Verdicts<'_>| {
        let why = || Failure::new(format!("{name} is no node of {}", fleet.name));
        verdicts.explain(&node.id).ok_or_else(why)
    };
    Ok([of(what_if.before())?, of(what_if.after())?])
}
