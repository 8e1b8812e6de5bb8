//! Plans: what is there is read, and what will be done with it is decided.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    OtherPatchers, PatchListing, PatchOptions, PatchPlan, PlanStep, PlannedNode, SkippedNode,
    schedules,
};
use crate::{
    ComplianceStatus, MachineLink, ManagedNode, NodeCompliance, NodeId, NodeOrigin, NodeSelector,
    PowerState, Reachability, ResourceGroupName, Result, WaveMembers,
    link::other_ids,
    workflow::{Outcome, Runner, ScopeFailure},
};

impl Runner {
    /// Plans to patch what `options` select.
    ///
    /// # Guarantees
    /// - Reads only.
    /// - A node is skipped, with the reason, when its provider never patches it, when it is off and not
    ///   to be started, gone, hybrid and unreachable, or compliant by a fresh scan.
    /// - Resource groups that the nodes to start or the waves are named by are looked up now: the
    ///   plan holds the nodes, not the groups.
    /// - A scope that could not be listed is in [`PatchPlan::unlisted`], and none of its nodes in the
    ///   plan; where its compliance could not be read, its nodes are `Unknown`.
    ///
    /// # Assumptions
    /// - What is known of the nodes' compliance is as old as it says: a plan does not scan.
    ///
    /// # Errors
    /// The first error of a listing that is not about one scope alone: a plan over half a fleet would
    /// look like a whole one. `InvalidInput`: budgets or a ramp that cannot be kept to.
    pub async fn plan_patch(&self, options: &PatchOptions) -> Result<PatchPlan> {
        self.plan_patch_at(options, self.clock.now()).await
    }

    /// Plans as if it were `now`, as far as the age of what is known has a say.
    pub(in crate::workflow) async fn plan_patch_at(
        &self,
        options: &PatchOptions,
        now: Timestamp,
    ) -> Result<PatchPlan> {
        self.plan("patch", options, now, |options, known, now| {
            if known.status != ComplianceStatus::Compliant || !is_fresh(known, options.fresh, now) {
                return None;
            }
            let reason = format!("compliant by a scan {} ago", age(known, now));
            Some((Outcome::AlreadyCompliant, reason))
        })
        .await
    }

    pub(in crate::workflow) async fn plan(
        &self,
        workflow: &str,
        options: &PatchOptions,
        now: Timestamp,
        leave: impl Fn(&PatchOptions, &NodeCompliance, Timestamp) -> Option<(Outcome, String)>,
    ) -> Result<PatchPlan> {
        options.rollout.check()?;
        let (mut found, mut unlisted) = self.list(&options.selector).await?;
        unlisted.extend(self.learn_groups(&mut found, options).await?);
        let (known, unread) = self.known(found.iter().map(|node| node.id.clone())).await?;
        unlisted.extend(unread);
        let (mut nodes, mut skipped, mut chosen) = (Vec::new(), Vec::new(), Vec::new());
        for node in found {
            let none = NodeCompliance::unknown(node.id.clone());
            let compliance = known.get(&node.id).unwrap_or(&none);
            let mut planned = planned(&node, compliance);
            planned.keys = options.rollout.keys(&node);
            if self.scans_first(&node, compliance, options, now) {
                let install = planned.steps.iter().position(|step| *step == PlanStep::Install);
                planned.steps.insert(install.unwrap_or_default(), PlanStep::Scan);
            }
            let reason = cannot(options, &node)
                .or_else(|| others_patch(options, &node))
                .or_else(|| self.cannot_start(&node))
                .or_else(|| leave(options, compliance, now));
            if let Some((outcome, reason)) = reason {
                skipped.push(SkippedNode { node: planned, outcome, reason });
            } else {
                nodes.push(planned);
                chosen.push(node);
            }
        }
        let waves = options.rollout.assign(&chosen);
        let baselines = self.versions(&nodes).await;
        let expected = match options.patch_listing {
            PatchListing::Names => self.expected(&nodes).await,
            PatchListing::Count => BTreeMap::new(),
        };
        let mut plan = PatchPlan {
            workflow: workflow.to_owned(),
            created_at: now,
            options: options.clone(),
            nodes,
            waves,
            skipped,
            unlisted,
            baselines,
            expected,
            estimate: None,
        };
        plan.estimate = options
            .step_times
            .map(|times| plan.estimate(&times, |scope| self.fleet.capabilities_for(scope)));
        Ok(plan)
    }

    /// Learns which nodes are in the resource groups that the choice of nodes to start and the waves
    /// name: the listing was asked for those of its own selector alone. A scope that cannot tell
    /// leaves the plan: its nodes would be in the wrong wave, or stay off.
    async fn learn_groups(
        &self,
        found: &mut Vec<ManagedNode>,
        options: &PatchOptions,
    ) -> Result<Vec<ScopeFailure>> {
        let waves = options.rollout.waves.iter().filter_map(|wave| match &wave.members {
            WaveMembers::Selector(selector) => Some(selector),
            _ => None,
        });
        let named = options.start.iter().chain(waves).filter_map(|it| it.resource_groups.as_ref());
        let named: BTreeSet<ResourceGroupName> = named.flatten().cloned().collect();
        if named.is_empty() || found.is_empty() {
            return Ok(Vec::new());
        }
        let asked = NodeSelector::ids(found.iter().map(|node| node.id.clone()));
        let (members, failures) = self.list(&asked.with_resource_groups(named)).await?;
        let mut groups: BTreeMap<NodeId, _> =
            members.into_iter().map(|node| (node.id, node.resource_groups)).collect();
        found.retain(|node| !failures.iter().any(|it| it.scope.is(node.id.scope())));
        for node in found {
            node.resource_groups.extend(groups.remove(&node.id).unwrap_or_default());
        }
        Ok(failures)
    }

    /// Whether a node is scanned before the install, for what is installed is what the scan finds.
    fn scans_first(
        &self,
        node: &ManagedNode,
        known: &NodeCompliance,
        options: &PatchOptions,
        now: Timestamp,
    ) -> bool {
        self.fleet.capabilities_for(node.id.scope()).scan_before_install
            && (known.status == ComplianceStatus::Unknown || !is_fresh(known, options.fresh, now))
    }

    fn cannot_start(&self, node: &ManagedNode) -> Option<(Outcome, String)> {
        (node.power.is_off() && !self.fleet.capabilities_for(node.id.scope()).power)
            .then(|| (Outcome::Skipped, "off, and its provider cannot start it".to_owned()))
    }
}

/// Why a node cannot be patched now, whatever its compliance.
fn cannot(options: &PatchOptions, node: &ManagedNode) -> Option<(Outcome, String)> {
    let starts = options.start.as_ref().is_some_and(|selector| selector.matches(node));
    let skipped = |reason: &str| Some((Outcome::Skipped, reason.to_owned()));
    if let Some(reason) = &node.unpatchable {
        return skipped(reason);
    }
    match node.power {
        PowerState::Terminated => skipped("terminated"),
        PowerState::Stopping | PowerState::Starting => {
            skipped("its power is changing: someone else is at work on it")
        }
        PowerState::Stopped | PowerState::Deallocated if !starts => {
            skipped("off, and not among the nodes to start")
        }
        PowerState::Stopped | PowerState::Deallocated | PowerState::Running => None,
        PowerState::Unknown if node.reachability == Reachability::Online => None,
        PowerState::Unknown => Some((
            Outcome::Unreachable,
            match node.origin {
                NodeOrigin::Hybrid => {
                    "its agent does not answer, and its power is not ours".to_owned()
                }
                NodeOrigin::Cloud => {
                    "its power is unknown and its agent does not answer".to_owned()
                }
            },
        )),
    }
}

/// Why a node is left to others, which may patch its machine as well.
fn others_patch(options: &PatchOptions, node: &ManagedNode) -> Option<(Outcome, String)> {
    if options.other_patchers == OtherPatchers::Allow {
        return None;
    }
    let reason = match node.link.as_ref()? {
        MachineLink::Unresolved { reason } => {
            format!("it may be patched as another node too: {reason}")
        }
        MachineLink::Host(link) if !link.schedules.is_empty() => {
            format!("{} patches it too, by {}", link.host, schedules(link))
        }
        MachineLink::Host(_) => return None,
    };
    Some((Outcome::Skipped, reason))
}

fn planned(node: &ManagedNode, known: &NodeCompliance) -> PlannedNode {
    let mut steps = Vec::with_capacity(6);
    if node.power.is_off() {
        steps.extend([PlanStep::Start, PlanStep::WaitReachable, PlanStep::UpdateAgent]);
    } else if node.reachability != Reachability::Online {
        steps.push(PlanStep::WaitReachable);
    }
    steps.extend([PlanStep::Install, PlanStep::Rescan]);
    if node.power.is_off() {
        steps.push(PlanStep::RestorePower);
    }
    PlannedNode {
        id: node.id.clone(),
        name: node.name.clone(),
        group: node.patch_group(),
        operating_system: node.operating_system.clone(),
        power: node.power,
        reachability: node.reachability,
        status: known.status,
        missing: known.counts.missing.saturating_add(known.counts.failed),
        baseline: known.baseline.clone(),
        scanned_at: known.observed_at,
        steps,
        link: node.link.clone(),
        also: other_ids(node),
        keys: BTreeMap::new(),
    }
}

fn is_fresh(known: &NodeCompliance, fresh: Duration, now: Timestamp) -> bool {
    // Clocks differ; a scan that is further in the future than it may be old is no evidence.
    known.age(now).is_some_and(|age| age.unsigned_abs() < fresh)
}

pub(in crate::workflow) fn age(known: &NodeCompliance, now: Timestamp) -> String {
    known.age(now).map_or_else(
        || "never".to_owned(),
        |age| format!("{:#}", SignedDuration::from_mins(age.as_mins())),
    )
}
