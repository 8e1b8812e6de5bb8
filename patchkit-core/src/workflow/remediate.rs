//! Remediate: patch only what is known to be not compliant.

use jiff::Timestamp;

use super::{Outcome, PatchOptions, PatchPlan, Runner};
use crate::{ComplianceStatus, Result};

impl Runner {
    /// Plans to patch those nodes of `options` that are not compliant; carry it out with
    /// [`patch`](Self::patch).
    ///
    /// # Guarantees
    /// - Reads only.
    /// - A node whose compliance is unknown is skipped and named: scan it first.
    ///
    /// # Assumptions
    /// - What is known of the nodes' compliance is as old as it says: a plan does not scan.
    ///
    /// # Errors
    /// The first error of a listing that is not about one scope alone; one that is, is in the plan.
    pub async fn plan_remediation(&self, options: &PatchOptions) -> Result<PatchPlan> {
        self.plan_remediation_at(options, self.clock.now()).await
    }

    pub(super) async fn plan_remediation_at(
        &self,
        options: &PatchOptions,
        now: Timestamp,
    ) -> Result<PatchPlan> {
        self.plan("remediate", options, now, |_, known, _| match known.status {
            ComplianceStatus::NonCompliant => None,
            ComplianceStatus::Compliant => {
                Some((Outcome::AlreadyCompliant, "compliant by its last scan".to_owned()))
            }
            ComplianceStatus::Unknown => {
                Some((Outcome::Skipped, "its compliance is unknown: scan it first".to_owned()))
            }
        })
        .await
    }
}
