//! Why a baseline decides as it does, as data and in words.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ApprovalBoundary, AutoApproval, CompiledBaseline, DecidedBy, Decision, PatchBaseline,
    PatchFilter, PatchFilterKey, RuleOutcome, UpdateScope, eval::Approval, filter::CompiledFilter,
};
use crate::{BaselineId, ComplianceLevel, Patch, PatchId};

/// Explains the decision on one patch; [`CompiledBaseline::explain`] does with another boundary.
///
/// # Example
/// ```
/// use patchkit_core::{
///     ApprovalRule, AutoApproval, OperatingSystem, Patch, PatchBaseline, PatchId, explain,
/// };
///
/// let baseline = PatchBaseline::new("web", OperatingSystem::Windows)
///     .with_rule(ApprovalRule::new(AutoApproval::AfterDays(7)));
/// let patch = Patch::new(PatchId::new("KB5034441")?)
///     .with_released_at("2025-11-09T18:00:00Z".parse().unwrap());
///
/// let explanation = explain(&baseline, &patch, "2025-11-10T00:00:00Z".parse().unwrap());
/// assert_eq!(
///     explanation.to_string().lines().next().unwrap(),
///     "KB5034441 is pending approval by baseline \"web\": \
///      approval_rules[0] approves it from 2025-11-16T18:00:00Z",
/// );
/// # Ok::<(), patchkit_core::Error>(())
/// ```
pub fn explain(baseline: &PatchBaseline, patch: &Patch, when: Timestamp) -> Explanation {
    CompiledBaseline::new(baseline).explain(patch, when)
}

/// A decision, and what every part of the baseline says of the patch.
///
/// All parts are told, also those that had no say because an earlier one had decided.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The baseline's name.
    pub baseline: String,
    /// The baseline's id, where it has one.
    pub baseline_id: Option<BaselineId>,
    /// The patch.
    pub patch: PatchId,
    /// The time it was judged for.
    pub when: Timestamp,
    /// When in the last day of its delay a patch is approved.
    pub boundary: ApprovalBoundary,
    /// The decision, as [`CompiledBaseline::decide`] gives it.
    pub decision: Decision,
    /// The global filters, in order.
    pub global_filters: Vec<FilterVerdict>,
    /// The entries of the rejected list that match.
    pub rejected_by: Vec<EntryVerdict>,
    /// The entries of the approved list that match.
    pub approved_by: Vec<EntryVerdict>,
    /// The rules, in order.
    pub rules: Vec<RuleVerdict>,
    /// List entries that can match no patch, for their format is not one of their list's.
    pub unusable: Vec<DecidedBy>,
}

/// What one filter says of a patch.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FilterVerdict {
    /// The property.
    pub key: PatchFilterKey,
    /// The values it takes.
    pub wanted: Vec<String>,
    /// The values the patch has; empty where it has none.
    pub found: Vec<String>,
    /// Whether the patch passes.
    pub passed: bool,
}

/// What one rule says of a patch.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RuleVerdict {
    /// How much it matters, to this rule, that the patch is missing.
    pub level: ComplianceLevel,
    /// When it approves.
    pub approval: AutoApproval,
    /// Its filters, in order.
    pub filters: Vec<FilterVerdict>,
    /// The outcome.
    pub outcome: RuleOutcome,
}

/// A list entry that matches a patch.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EntryVerdict {
    /// Its place in the list, from 0.
    pub index: usize,
    /// The entry.
    pub entry: String,
    /// Whether it counts: an approved patch from another than a security source does not, unless
    /// the list takes these.
    pub counts: bool,
}

impl CompiledBaseline {
    /// Explains the decision on one patch at a time.
    pub fn explain(&self, patch: &Patch, when: Timestamp) -> Explanation {
        let baseline = self.baseline();
        let verdicts = |filters: &[PatchFilter], compiled: &[CompiledFilter]| {
            let pairs = filters.iter().zip(compiled);
            pairs.map(|(filter, compiled)| FilterVerdict::new(filter, compiled, patch)).collect()
        };
        let entries = |list: &[String], matching: Vec<usize>, scope: UpdateScope| {
            let counts = self.takes_source(patch, scope);
            let verdict = |index: usize| {
                list.get(index).map(|entry| EntryVerdict { index, entry: entry.clone(), counts })
            };
            matching.into_iter().filter_map(verdict).collect()
        };
        let rules = baseline.approval_rules.iter().zip(self.rules());
        Explanation {
            baseline: baseline.name.clone(),
            baseline_id: baseline.id.clone(),
            patch: patch.id.clone(),
            when,
            boundary: self.boundary(),
            decision: self.decide(patch, when),
            global_filters: verdicts(&baseline.global_filters, self.global()),
            // Rejection does not ask for the source.
            rejected_by: entries(
                &baseline.rejected_patches,
                self.rejecting(patch),
                UpdateScope::All,
            ),
            approved_by: entries(
                &baseline.approved_patches,
                self.approving(patch),
                baseline.approved_patches_scope,
            ),
            rules: rules
                .map(|(rule, compiled)| RuleVerdict {
                    level: rule.compliance_level,
                    approval: rule.approval,
                    filters: verdicts(&rule.filters, &compiled.filters),
                    outcome: self.outcome(compiled, patch, when),
                })
                .collect(),
            unusable: self.unusable_entries(),
        }
    }
}

impl FilterVerdict {
    fn new(filter: &PatchFilter, compiled: &CompiledFilter, patch: &Patch) -> Self {
        Self {
            key: filter.key.clone(),
            wanted: filter.values.clone(),
            found: compiled.found(patch).map(str::to_owned).collect(),
            passed: compiled.passes(patch),
        }
    }
}

impl fmt::Display for Explanation {
    /// The decision on the first line, then one line for each part that has something to say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.headline(f)?;
        for (index, filter) in self.global_filters.iter().enumerate() {
            write!(f, "\n  global_filters[{index}] {filter}")?;
        }
        for EntryVerdict { index, entry, .. } in &self.rejected_by {
            write!(f, "\n  rejected_patches[{index}] {entry:?} matches")?;
        }
        for EntryVerdict { index, entry, counts } in &self.approved_by {
            let but = if *counts { "" } else { ", but the patch is from no security source" };
            write!(f, "\n  approved_patches[{index}] {entry:?} matches{but}")?;
        }
        for (index, rule) in self.rules.iter().enumerate() {
            write!(f, "\n  approval_rules[{index}] {rule}")?;
        }
        for entry in &self.unusable {
            write!(f, "\n  {entry} can match no patch: its format is not one of the list's")?;
        }
        Ok(())
    }
}

impl Explanation {
    fn headline(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            patch, baseline, decision: Decision { approval, level, by, approved_from }, ..
        } = self;
        write!(f, "{patch} is {} by baseline {baseline:?}", in_words(*approval))?;
        match (by, approved_from) {
            (DecidedBy::GlobalFilter(_), _) => write!(f, ": it fails {by}")?,
            (DecidedBy::RejectedPatch(_) | DecidedBy::ApprovedPatch(_), _) => {
                write!(f, ": {by} names it")?;
            }
            (DecidedBy::Rule(_), Some(from)) if *approval == Approval::PendingApproval => {
                write!(f, ": {by} approves it from {from}")?;
            }
            // The rule with the highest level decides; another may have approved it earlier.
            (DecidedBy::Rule(_), Some(from)) => {
                write!(f, ": {by} approves it, approved since {from}")?;
            }
            (DecidedBy::Rule(_), None) => write!(f, ": {by} approves it")?,
            (DecidedBy::Nothing, _) => f.write_str(": no rule takes it, and no list names it")?,
        }
        if *level > ComplianceLevel::Unspecified {
            write!(f, ", level {level}")?;
        }
        Ok(())
    }
}

impl fmt::Display for FilterVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed { "passes" } else { "fails" };
        write!(f, "{} in {:?} {verdict}: the patch has ", self.key, self.wanted)?;
        if self.found.is_empty() { f.write_str("none") } else { write!(f, "{:?}", self.found) }
    }
}

impl fmt::Display for RuleVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.approval {
            AutoApproval::Immediately => f.write_str("(at once"),
            AutoApproval::AfterDays(days) => write!(f, "({days} days after release"),
            AutoApproval::Until(last) => write!(f, "(released until {last}"),
        }?;
        write!(f, ", level {}) ", self.level)?;
        match self.outcome {
            RuleOutcome::Filtered => f.write_str("does not take the patch"),
            RuleOutcome::NotSecurity => f.write_str("takes only patches from security sources"),
            RuleOutcome::AfterCutoff => f.write_str("does not approve: released after that date"),
            RuleOutcome::Undated => f.write_str("does not approve: release date not known"),
            RuleOutcome::Waits(from) => write!(f, "approves from {from}"),
            RuleOutcome::Approves(Some(from)) => write!(f, "approves since {from}"),
            RuleOutcome::Approves(None) => f.write_str("approves"),
        }?;
        for filter in &self.filters {
            write!(f, "\n    {filter}")?;
        }
        Ok(())
    }
}

fn in_words(approval: Approval) -> &'static str {
    match approval {
        Approval::Approved => "approved",
        Approval::PendingApproval => "pending approval",
        Approval::ExplicitApproved => "explicitly approved",
        Approval::ExplicitRejected => "explicitly rejected",
        Approval::NotSelected => "not selected",
    }
}

#[cfg(test)]
mod tests;
