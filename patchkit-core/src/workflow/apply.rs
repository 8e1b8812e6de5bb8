//! Plan, then apply: a plan is carried out as it was approved, or not at all.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{PatchPlan, PlanDiff, RunReport, Runner, log::allowed};
use crate::{Amount, Error, ErrorKind, Event, Result, RunId, clock::later};

/// How a plan is applied.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ApplyOptions {
    /// The hash of the plan that is meant.
    pub expected_hash: String,
    /// How many nodes may have drifted, of those that the plan patches; none by default.
    pub tolerance: Amount,
    /// Who has to agree; nobody by default.
    pub approver: Option<Arc<dyn Approver>>,
}

impl ApplyOptions {
    /// Applies the plan of this hash, where nothing has drifted and without asking anyone.
    pub fn new(expected_hash: impl Into<String>) -> Self {
        Self { expected_hash: expected_hash.into(), tolerance: Amount::Fixed(0), approver: None }
    }

    /// Bears so many drifted nodes.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: Amount) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Asks `approver` before anything is done.
    #[must_use]
    pub fn with_approver(mut self, approver: impl Approver) -> Self {
        self.approver = Some(Arc::new(approver));
        self
    }
}

/// Decides whether a plan is carried out: a person, a ticket, a rule.
#[async_trait]
pub trait Approver: fmt::Debug + Send + Sync + 'static {
    /// Decides on `plan`, of which `drift` tells how the fleet differs now.
    ///
    /// # Behavior
    /// - It may take its time: nothing is begun meanwhile, and the fleet is looked at again
    ///   afterwards.
    ///
    /// # Errors
    /// Any: nothing is begun.
    async fn decide(&self, plan: &PatchPlan, drift: &PlanDiff) -> Result<Decided>;
}

/// What an [`Approver`] says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decided {
    /// The plan may be carried out.
    Approved {
        /// Who says so.
        by: String,
        /// What is to be remembered of it.
        note: String,
    },
    /// It may not.
    Denied {
        /// Who says so.
        by: String,
        /// Why.
        reason: String,
    },
    /// Nobody has said so yet: ask again later.
    Pending,
}

/// How applying a plan ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "applied", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Applied {
    /// It was carried out.
    Ran {
        /// How its nodes ended.
        report: RunReport,
    },
    /// It was denied: nothing was begun, and the run's name is free.
    Denied {
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// Nobody has decided yet: nothing was begun, and the run's name is free.
    Pending,
}

impl Runner {
    /// Carries `plan` out as it is, where it is the one that is meant and the fleet is still as it
    /// says.
    ///
    /// # Guarantees
    /// - Nothing is done before the plan's hash was compared, the fleet was planned anew and held
    ///   against it, and the approver, where there is one, has agreed.
    /// - What runs is the given plan, not the new one: nodes that have come since are left alone.
    /// - The approval is in the journal before the first act.
    /// - A decision that took its time is followed by another look at the fleet.
    ///
    /// # Assumptions
    /// - Those of [`patch`](Self::patch).
    ///
    /// # Errors
    /// `Conflict` (the hash is another plan's, or more nodes have [drifted](super::NodeDiff::is_drift)
    /// than is borne, with the differences), `InvalidInput` (no plan of this version's workflows), the
    /// approver's own, and those of [`plan_patch`](Self::plan_patch) and [`patch`](Self::patch).
    ///
    /// # Example
    /// ```
    /// use patchkit_core::{
    ///     Amount, ErrorKind, NodeSelector, PowerState, RunId, VirtualClock,
    ///     memory::{MemoryCloud, MemoryJournal},
    ///     workflow::{Applied, ApplyOptions, PatchOptions, Runner},
    /// };
    ///
    /// # futures::executor::block_on(async {
    /// let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
    /// let cloud = MemoryCloud::builder().seed(7).nodes(12).clock(clock.clone()).build();
    /// let runner =
    ///     Runner::new(cloud.clone(), cloud.clone(), MemoryJournal::new(clock.clone()), clock);
    /// let plan = runner.plan_patch(&PatchOptions::new(NodeSelector::all())).await?;
    /// let reviewed = plan.hash();
    ///
    /// let node = &plan.nodes[0].id;
    /// cloud.update(node, |node| node.with_power(PowerState::Stopped))?;
    /// let strict = ApplyOptions::new(&reviewed);
    /// let refused = runner.apply(&RunId::new("strict")?, &plan, &strict).await.unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Conflict);
    ///
    /// let lenient = ApplyOptions::new(&reviewed).with_tolerance(Amount::Fixed(1));
    /// let applied = runner.apply(&RunId::new("lenient")?, &plan, &lenient).await?;
    /// assert!(matches!(applied, Applied::Ran { .. }));
    /// # Ok::<(), patchkit_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn apply(
        &self,
        run: &RunId,
        plan: &PatchPlan,
        options: &ApplyOptions,
    ) -> Result<Applied> {
        let hash = plan.hash();
        if !hash.eq_ignore_ascii_case(options.expected_hash.trim()) {
            let expected: String = options.expected_hash.chars().take(hash.len()).collect();
            return Err(refused(format!("the plan's hash is {hash}, not {expected:?}")));
        }
        allowed(self, run).await?;
        let drift = self.bearable(plan, options.tolerance).await?;
        let mut events = Vec::new();
        if let Some(approver) = &options.approver {
            let asked_at = self.clock.now();
            match approver.decide(plan, &drift).await? {
                Decided::Approved { by, note } => {
                    events.push(Event::PlanApproved { plan_hash: hash, by, note });
                }
                Decided::Denied { by, reason } => return Ok(Applied::Denied { by, reason }),
                Decided::Pending => return Ok(Applied::Pending),
            }
            if self.clock.now() >= later(asked_at, AT_ONCE) {
                self.bearable(plan, options.tolerance).await?;
            }
        }
        let report = Box::pin(self.carry_out(run, plan, &events)).await?;
        Ok(Applied::Ran { report })
    }

    /// Tells how the fleet differs now from a plan: it is planned anew, with the plan's own options,
    /// and held against it. Reads only.
    ///
    /// How old a scan may be is judged as it was when the plan was made: that time goes by is no drift.
    ///
    /// # Errors
    /// `InvalidInput` (the plan is of a workflow that this version does not know), and those of
    /// [`plan_patch`](Self::plan_patch).
    pub async fn drift(&self, plan: &PatchPlan) -> Result<PlanDiff> {
        let now = match plan.workflow.as_str() {
            "patch" => self.plan_patch_at(&plan.options, plan.created_at).await?,
            "remediate" => self.plan_remediation_at(&plan.options, plan.created_at).await?,
            other => {
                let message = format!("the plan is of a workflow that is not known: {other:?}");
                return Err(Error::invalid("core", "drift", message));
            }
        };
        Ok(plan.diff(&now))
    }

    /// The drift, where it is not more than `tolerance` of the nodes that the plan patches.
    async fn bearable(&self, plan: &PatchPlan, tolerance: Amount) -> Result<PlanDiff> {
        let drift = self.drift(plan).await?;
        let (drifted, most) = (drift.drifted().count(), tolerance.of(plan.nodes.len()));
        if drifted <= most {
            return Ok(drift);
        }
        let mut words: Vec<String> = drift.plan.iter().map(ToString::to_string).collect();
        words.extend(drift.drifted().map(ToString::to_string));
        let more = words.len().saturating_sub(NAMED);
        words.truncate(NAMED);
        let mut message = format!(
            "{drifted} nodes have drifted from the plan, which patches {}, and {most} are borne: {}",
            plan.nodes.len(),
            words.join("; ")
        );
        if more > 0 {
            message = format!("{message}; and {more} more");
        }
        Err(refused(message))
    }
}

/// A decision that comes so soon was made on what the fleet is like.
const AT_ONCE: Duration = Duration::from_mins(1);

/// How many differences an error names.
const NAMED: usize = 20;

fn refused(message: String) -> Error {
    Error::new(ErrorKind::Conflict, "core", "apply", message)
}
