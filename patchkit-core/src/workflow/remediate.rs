//! Remediate: only what is known to be not compliant, by the remedy that fits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use super::{
    Limits, NodeOutcome, Outcome, PatchOptions, PatchPlan, PlanStep, Runner,
    act::Acted,
    patch::{Progressing, failed, skipped},
    plan::age,
    power::Patience,
};
use crate::{ComplianceStatus, NodeCompliance, NodeId, PatchAction, Polled, Result, poll::Wait};

/// The kind under which compliance with associations is kept.
const ASSOCIATION: &str = "Association";

/// What is wrong with a node.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Wrong {
    Patches,
    Associations,
    Both,
}

impl Runner {
    /// Plans to bring those nodes of `options` back that are not compliant; carry it out with
    /// [`patch`](Self::patch).
    ///
    /// # Guarantees
    /// - Reads only.
    /// - A node that lacks patches is given an install; one whose associations fail has them applied
    ///   again, and only one of which both is so is given both. Waves and budgets hold for either.
    /// - A node whose compliance is unknown is skipped and named: scan it first.
    ///
    /// # Assumptions
    /// - What is known of the nodes' compliance is as old as it says: a plan does not scan.
    ///
    /// # Errors
    /// The first error of a listing that is not about one scope alone; one that is, is in the plan.
    pub async fn plan_remediation(&self, options: &PatchOptions) -> Result<PatchPlan> {
        let wrong: Mutex<BTreeMap<NodeId, Wrong>> = Mutex::default();
        let mut plan = self
            .plan("remediate", options, |_, known, now| {
                let can = self.fleet.capabilities_for(known.node.scope()).refresh_associations;
                let fails = associations(known) == Some(ComplianceStatus::NonCompliant);
                let it = match (known.status, fails && can) {
                    (ComplianceStatus::NonCompliant, true) => Wrong::Both,
                    (ComplianceStatus::NonCompliant, false) => Wrong::Patches,
                    (_, true) => Wrong::Associations,
                    (_, false) if fails => {
                        let why = "its associations fail, and its provider cannot apply them again";
                        return Some((Outcome::Skipped, why.to_owned()));
                    }
                    (ComplianceStatus::Compliant, false) => {
                        let why = format!("compliant by a scan {} ago", age(known, now));
                        return Some((Outcome::AlreadyCompliant, why));
                    }
                    (ComplianceStatus::Unknown, false) => {
                        let why = "its compliance is unknown: scan it first";
                        return Some((Outcome::Skipped, why.to_owned()));
                    }
                };
                let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
                wrong.insert(known.node.clone(), it);
                None
            })
            .await?;
        let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
        for node in &mut plan.nodes {
            let at = |step: &PlanStep| matches!(step, PlanStep::Scan | PlanStep::Install);
            let at = node.steps.iter().position(at).unwrap_or(node.steps.len());
            match wrong.get(&node.id) {
                None | Some(Wrong::Patches) => continue,
                Some(Wrong::Both) => {}
                Some(Wrong::Associations) => node.steps.retain(|step| {
                    !matches!(step, PlanStep::Scan | PlanStep::Install | PlanStep::Rescan)
                }),
            }
            node.steps.insert(at, PlanStep::RefreshAssociations);
        }
        Ok(plan)
    }

    /// Applies the associations again of those nodes of which the plan says so. Returns the nodes that
    /// are to be given an install, and how the others ended.
    pub(super) async fn refresh(
        &self,
        going: &mut Progressing<'_>,
        label: &str,
        open: Vec<NodeId>,
    ) -> (Vec<NodeId>, Vec<(NodeId, NodeOutcome)>) {
        let has = |node: &NodeId, step| {
            going.plan.node(node).is_some_and(|planned| planned.steps.contains(&step))
        };
        let refreshed: BTreeSet<NodeId> =
            open.iter().filter(|node| has(node, PlanStep::RefreshAssociations)).cloned().collect();
        if refreshed.is_empty() {
            return (open, Vec::new());
        }
        let is_done = |node: &NodeId| !has(node, PlanStep::Install) && refreshed.contains(node);
        let (alone, rest): (Vec<NodeId>, Vec<NodeId>) = open.into_iter().partition(is_done);
        if let Some(reason) = self.held(going).await {
            let ended = alone.into_iter().map(|node| (node, skipped(&reason))).collect();
            return (rest, ended);
        }
        // What was asked for before the run was resumed is not asked for again: an association may
        // be an install.
        let (mut acted, mut new) = (BTreeMap::new(), Vec::new());
        for node in refreshed {
            match going.refreshed.remove(&node) {
                Some(end) => drop(acted.insert(node, end)),
                None => new.push(node),
            }
        }
        for node in &new {
            going.log.step(node, PlanStep::RefreshAssociations);
        }
        let (label, limit) = (format!("{label}-associations"), self.limits.install);
        let (action, patience) = (PatchAction::RefreshAssociations, Patience::UntilCancelled);
        acted.append(&mut self.act(going.log, &label, action, &new, limit, patience).await);
        for node in &rest {
            if let Some(problem) = acted.get(node).and_then(Acted::problem) {
                going.note(node, format!("associations not applied again: {problem}"));
            }
        }
        let applied = alone.iter().filter(|node| matches!(acted.get(*node), Some(Acted::Ended(_))));
        let mut late = self.applied(going, applied.cloned().collect()).await;
        let mut ended = Vec::with_capacity(alone.len());
        for node in alone {
            let outcome = match acted.remove(&node) {
                // The associations' own verdict counts, not how the act ended.
                Some(end @ Acted::Ended(_)) => {
                    let problem = end.problem().map(|problem| format!("associations: {problem}"));
                    let mut outcome =
                        late.remove(&node).unwrap_or_else(|| NodeOutcome::new(Outcome::Remediated));
                    outcome.notes.extend(problem);
                    outcome
                }
                Some(Acted::NotBegun(reason)) if self.is_cancelled(going.log) => skipped(reason),
                Some(Acted::NotBegun(reason)) => failed(reason),
                Some(Acted::Unwatched(reason)) => {
                    going.unwatched.insert(node.clone(), reason.clone());
                    NodeOutcome::new(Outcome::Unknown).because(reason)
                }
                Some(Acted::Unknown(reason)) => NodeOutcome::new(Outcome::Unknown).because(reason),
                None => NodeOutcome::new(Outcome::Unknown).because("nobody told of it"),
            };
            ended.push((node, outcome));
        }
        (rest, ended)
    }

    /// Waits until the associations of the nodes are compliant; returns how those ended that are not.
    async fn applied(
        &self,
        going: &Progressing<'_>,
        nodes: BTreeSet<NodeId>,
    ) -> BTreeMap<NodeId, NodeOutcome> {
        let mut left: BTreeMap<NodeId, NodeOutcome> = BTreeMap::new();
        let unknown = || NodeOutcome::new(Outcome::Unknown);
        for node in nodes {
            left.insert(node, unknown().because("nothing is known of its associations"));
        }
        if left.is_empty() {
            return left;
        }
        let policy = Limits::policy(self.limits.consistency).with_max_errors(u32::MAX);
        let mut wait = Wait::begin(&*self.clock, &policy);
        loop {
            let _ = going.log.keep().await;
            let answer = match self.known(left.keys().cloned()).await {
                Ok((known, _)) => {
                    for (node, known) in known {
                        match associations(&known) {
                            Some(ComplianceStatus::Compliant) => drop(left.remove(&node)),
                            Some(ComplianceStatus::NonCompliant) => {
                                let why = "its associations still fail";
                                left.insert(node, failed(why));
                            }
                            Some(ComplianceStatus::Unknown) | None => {}
                        }
                    }
                    Ok(if left.is_empty() { Polled::Ready(()) } else { Polled::Pending })
                }
                Err(error) => {
                    let report = error.report();
                    for outcome in left.values_mut() {
                        *outcome = unknown().because(&report);
                    }
                    Err(error)
                }
            };
            // However the wait ended: what is left says why.
            if wait.answered(answer).await.is_some() {
                return left;
            }
        }
    }
}

fn associations(known: &NodeCompliance) -> Option<ComplianceStatus> {
    known.others.get(ASSOCIATION).copied()
}
