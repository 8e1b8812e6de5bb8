//! Whether a baseline approves a patch at a time. Pure: no clock, no I/O.

use std::fmt;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    ApprovalRule, AutoApproval, PatchBaseline, RejectedAction, UpdateScope,
    filter::CompiledFilter,
    list::{CompiledList, ListKind, Names, Subject},
};
use crate::{ComplianceLevel, PackageFamily, Patch, PatchSource};

/// Decides on one patch; for many, compile the baseline once with [`CompiledBaseline::new`].
///
/// ```
/// use patchkit_core::{
///     Approval, ApprovalRule, AutoApproval, OperatingSystem, Patch, PatchBaseline, PatchId, evaluate,
/// };
///
/// let baseline = PatchBaseline::new("web", OperatingSystem::Windows)
///     .with_rule(ApprovalRule::new(AutoApproval::AfterDays(7)));
/// let patch = Patch::new(PatchId::new("KB5034441")?)
///     .with_released_at("2025-11-09T18:00:00Z".parse().unwrap());
///
/// let decision = evaluate(&baseline, &patch, "2025-11-16T17:59:59Z".parse().unwrap());
/// assert_eq!(decision.approval, Approval::PendingApproval);
/// assert_eq!(decision.approved_from, Some("2025-11-16T18:00:00Z".parse().unwrap()));
/// # Ok::<(), patchkit_core::Error>(())
/// ```
pub fn evaluate(baseline: &PatchBaseline, patch: &Patch, when: Timestamp) -> Decision {
    CompiledBaseline::new(baseline).decide(patch, when)
}

/// A [`PatchBaseline`] with its filters and lists read once, to decide on many patches.
///
/// # Behavior
/// In this order, as on the node:
/// - A patch that fails a global filter is not looked at.
/// - A patch on the rejected list is rejected, whatever approves it.
/// - A patch on the approved list is approved at once; else it is when it passes any rule whose
///   delay is over. On Linux with yum, dnf or apt a rule, and the approved list, passes patches
///   from other than security sources only where its scope is [`UpdateScope::All`]; zypper counts
///   every patch as security, Windows and macOS do not know the option.
/// - The highest compliance level among the list and the rules that approve it is the patch's.
///
/// A list entry in a format its list does not take matches nothing: hold the baseline against
/// [`PatchBaseline::check`] first, or ask [`unusable_entries`](Self::unusable_entries).
///
/// A patch without release date has nothing to wait for: AWS takes the delay as zero where a Linux
/// repository gives neither date nor build time, and the date as 1 January 1970 on Windows, so
/// [`AutoApproval::AfterDays`] approves it at once everywhere. [`AutoApproval::Until`] passes it on
/// Windows only; elsewhere nothing shows that it is old enough. APT has no dates: there `AfterDays`,
/// which [`PatchBaseline::check`] refuses, is taken as at once.
#[derive(Clone, Debug)]
pub struct CompiledBaseline {
    baseline: PatchBaseline,
    boundary: ApprovalBoundary,
    family: PackageFamily,
    global: Vec<CompiledFilter>,
    rules: Vec<CompiledRule>,
    approved: CompiledList,
    rejected: CompiledList,
}

/// When in the last day of its delay a patch is approved.
///
/// AWS's own sources disagree. The API page of PatchRule counts from the instant: a patch released
/// on 9 November at 18:00 UTC with 7 days is approved after 16 November, 18:00 UTC. The service
/// model that the SDKs are made from counts days: all patches released on the day that is 7 days
/// back, from 00:00:00 to 23:59:59 UTC, are approved.
///
/// The default is the later of the two: a wrong guess then patches some hours late, and never
/// installs what the delay was meant to hold back.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApprovalBoundary {
    /// The release instant plus so many times 24 hours.
    #[default]
    Instant,
    /// 00:00 UTC of the release day plus so many days.
    UtcDay,
}

/// What a baseline says of a patch at a time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Decision {
    /// The answer.
    pub approval: Approval,
    /// How much it matters that the patch is missing: the highest level of those that approve it
    /// or, while it is pending, will.
    pub level: ComplianceLevel,
    /// What decided.
    pub by: DecidedBy,
    /// From when rules approve the patch, once their delay is over; `None` where time has no say.
    pub approved_from: Option<Timestamp>,
}

impl Decision {
    /// Whether the patch is to be installed.
    pub fn is_approved(&self) -> bool {
        matches!(self.approval, Approval::Approved | Approval::ExplicitApproved)
    }
}

/// The answer on a patch (`PatchDeploymentStatus`, and [`NotSelected`](Self::NotSelected)).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum Approval {
    /// A rule approves it.
    Approved,
    /// A rule will approve it once its delay is over.
    PendingApproval,
    /// It is on the approved list.
    ExplicitApproved,
    /// It is on the rejected list.
    ExplicitRejected,
    /// Nothing speaks of it.
    NotSelected,
}

impl Approval {
    /// The API's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "APPROVED",
            Self::PendingApproval => "PENDING_APPROVAL",
            Self::ExplicitApproved => "EXPLICIT_APPROVED",
            Self::ExplicitRejected => "EXPLICIT_REJECTED",
            Self::NotSelected => "NOT_SELECTED",
        }
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What in a baseline decided; places count from 0.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DecidedBy {
    /// The first global filter that the patch fails.
    GlobalFilter(usize),
    /// The first entry of the rejected list that matches.
    RejectedPatch(usize),
    /// The first entry of the approved list that matches.
    ApprovedPatch(usize),
    /// The rule with the highest level of those that approve; while the patch is pending, the one
    /// that will first. The first of equals.
    Rule(usize),
    /// No rule passes the patch, and no list has it.
    Nothing,
}

impl fmt::Display for DecidedBy {
    /// The field's path, as [`Violation`](super::Violation) has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GlobalFilter(index) => write!(f, "global_filters[{index}]"),
            Self::RejectedPatch(index) => write!(f, "rejected_patches[{index}]"),
            Self::ApprovedPatch(index) => write!(f, "approved_patches[{index}]"),
            Self::Rule(index) => write!(f, "approval_rules[{index}]"),
            Self::Nothing => f.pad("nothing"),
        }
    }
}

/// What one rule says of a patch at a time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RuleOutcome {
    /// It fails a filter of the rule.
    Filtered,
    /// It is from a source that the rule does not take.
    NotSecurity,
    /// It was released after the rule's date.
    AfterCutoff,
    /// The rule has a date, and when the patch was released is not known.
    Undated,
    /// Approved from then on.
    Waits(Timestamp),
    /// Approved since then; `None` where there was nothing to wait for.
    Approves(Option<Timestamp>),
}

#[derive(Clone, Debug)]
pub(super) struct CompiledRule {
    pub(super) filters: Vec<CompiledFilter>,
    pub(super) level: ComplianceLevel,
    approval: AutoApproval,
    scope: UpdateScope,
}

impl CompiledBaseline {
    /// Reads a baseline once.
    pub fn new(baseline: &PatchBaseline) -> Self {
        let os = &baseline.operating_system;
        let family = os.family();
        let filters = |filters: &[super::PatchFilter]| {
            filters.iter().map(|filter| CompiledFilter::new(filter, os)).collect()
        };
        let rule = |rule: &ApprovalRule| CompiledRule {
            filters: filters(&rule.filters),
            level: rule.compliance_level,
            approval: rule.approval,
            scope: rule.scope,
        };
        Self {
            boundary: ApprovalBoundary::default(),
            family,
            global: filters(&baseline.global_filters),
            rules: baseline.approval_rules.iter().map(rule).collect(),
            approved: CompiledList::new(&baseline.approved_patches, ListKind::Approved, family),
            rejected: CompiledList::new(&baseline.rejected_patches, ListKind::Rejected, family),
            baseline: baseline.clone(),
        }
    }

    /// Sets when in the last day of its delay a patch is approved.
    #[must_use]
    pub fn with_boundary(mut self, boundary: ApprovalBoundary) -> Self {
        self.boundary = boundary;
        self
    }

    /// The baseline it was made from.
    pub fn baseline(&self) -> &PatchBaseline {
        &self.baseline
    }

    /// When in the last day of its delay a patch is approved.
    pub fn boundary(&self) -> ApprovalBoundary {
        self.boundary
    }

    /// Decides on one patch at a time.
    ///
    /// # Behavior
    /// - A patch that is approved stays so as `when` grows.
    /// - The order of rules has no say in the approval and its level.
    /// - Another rule never takes an approval away.
    pub fn decide(&self, patch: &Patch, when: Timestamp) -> Decision {
        self.decide_named(patch, &self.names(patch), when)
    }

    /// As [`decide`](Self::decide), of a patch whose names are at hand.
    pub(crate) fn decide_named(
        &self,
        patch: &Patch,
        names: &Names<'_>,
        when: Timestamp,
    ) -> Decision {
        let unapproved = |approval, by| Decision {
            approval,
            level: ComplianceLevel::Unspecified,
            by,
            approved_from: None,
        };
        if let Some(index) = self.global.iter().position(|filter| !filter.passes(patch)) {
            return unapproved(Approval::NotSelected, DecidedBy::GlobalFilter(index));
        }
        let subject = Subject::new(patch, names);
        if let Some(index) = self.rejected.first_match(&subject) {
            return unapproved(Approval::ExplicitRejected, DecidedBy::RejectedPatch(index));
        }
        let mut tally = Tally::default();
        for (index, rule) in self.rules.iter().enumerate() {
            tally.add(index, rule.level, self.outcome(rule, patch, when));
        }
        if let Some(index) = self.approved.first_match(&subject)
            && self.takes_source(patch, self.baseline.approved_patches_scope)
        {
            let listed = self.baseline.approved_patches_level;
            return Decision {
                approval: Approval::ExplicitApproved,
                level: tally.approved.map_or(listed, |(level, _)| level.max(listed)),
                by: DecidedBy::ApprovedPatch(index),
                approved_from: None,
            };
        }
        tally.decision().unwrap_or_else(|| unapproved(Approval::NotSelected, DecidedBy::Nothing))
    }

    /// Whether the baseline forbids the patch even where another one needs it.
    ///
    /// Global filters have no say here: packages that need a blocked one are not installed "under
    /// any circumstances" (API reference, `RejectedPatchesAction`).
    pub fn blocks(&self, patch: &Patch) -> bool {
        self.baseline.rejected_action == RejectedAction::Block
            && self.rejected.first_match(&Subject::new(patch, &self.names(patch))).is_some()
    }

    /// The fields of list entries that match no patch at all, for their format is not one of
    /// their list's.
    pub fn unusable_entries(&self) -> Vec<DecidedBy> {
        let approved = self.approved.unusable().map(DecidedBy::ApprovedPatch);
        approved.chain(self.rejected.unusable().map(DecidedBy::RejectedPatch)).collect()
    }

    pub(super) fn global(&self) -> &[CompiledFilter] {
        &self.global
    }

    pub(super) fn rules(&self) -> &[CompiledRule] {
        &self.rules
    }

    /// The matching entries of the rejected list.
    pub(super) fn rejecting(&self, patch: &Patch) -> Vec<usize> {
        self.rejected.matches(&Subject::new(patch, &self.names(patch))).collect()
    }

    /// The matching entries of the approved list, whether its scope lets them count or not.
    pub(super) fn approving(&self, patch: &Patch) -> Vec<usize> {
        self.approved.matches(&Subject::new(patch, &self.names(patch))).collect()
    }

    pub(super) fn takes_source(&self, patch: &Patch, scope: UpdateScope) -> bool {
        let gated =
            matches!(self.family, PackageFamily::Rpm | PackageFamily::Apt | PackageFamily::Other);
        !gated || scope == UpdateScope::All || patch.source == PatchSource::Security
    }

    pub(super) fn outcome(
        &self,
        rule: &CompiledRule,
        patch: &Patch,
        when: Timestamp,
    ) -> RuleOutcome {
        if !rule.filters.iter().all(|filter| filter.passes(patch)) {
            return RuleOutcome::Filtered;
        }
        if !self.takes_source(patch, rule.scope) {
            return RuleOutcome::NotSecurity;
        }
        let windows = self.family == PackageFamily::Windows;
        let released = patch.released_at.or(windows.then_some(Timestamp::UNIX_EPOCH));
        match (rule.approval, released) {
            (AutoApproval::Immediately, _) | (AutoApproval::AfterDays(_), None) => {
                RuleOutcome::Approves(None)
            }
            (AutoApproval::AfterDays(_), _) if self.family == PackageFamily::Apt => {
                RuleOutcome::Approves(None)
            }
            (AutoApproval::AfterDays(days), Some(released)) => {
                let from = self.boundary.after(released, days);
                if from <= when {
                    RuleOutcome::Approves(Some(from))
                } else {
                    RuleOutcome::Waits(from)
                }
            }
            (AutoApproval::Until(_), None) => RuleOutcome::Undated,
            // "Any patches released on or before this date", the date being one of UTC.
            (AutoApproval::Until(last), Some(released)) => {
                if TimeZone::UTC.to_datetime(released).date() <= last {
                    RuleOutcome::Approves(None)
                } else {
                    RuleOutcome::AfterCutoff
                }
            }
        }
    }

    /// What the lists compare, where there are any.
    fn names<'a>(&self, patch: &'a Patch) -> Names<'a> {
        let listed = !self.approved.is_empty() || !self.rejected.is_empty();
        if listed { Names::of(patch, self.family) } else { Names::default() }
    }
}

impl ApprovalBoundary {
    /// When a patch released at `released` is approved after `days` days; the end of time where
    /// that is later than time goes.
    fn after(self, released: Timestamp, days: u16) -> Timestamp {
        let start = match self {
            Self::Instant => released,
            Self::UtcDay => {
                let second = released.as_second();
                // The first day of time begins before time does.
                Timestamp::from_second(second - second.rem_euclid(SECONDS_A_DAY))
                    .unwrap_or(Timestamp::MIN)
            }
        };
        start
            .checked_add(SignedDuration::from_hours(24 * i64::from(days)))
            .unwrap_or(Timestamp::MAX)
    }
}

/// What the rules together say.
#[derive(Default)]
struct Tally {
    /// The highest level among the rules that approve, and the first rule that has it.
    approved: Option<(ComplianceLevel, usize)>,
    /// The highest level among those that wait.
    waiting: Option<ComplianceLevel>,
    /// The first to approve of those that wait.
    next: Option<(Timestamp, usize)>,
    since: Since,
}

/// Since when the rules approve.
#[derive(Default)]
enum Since {
    #[default]
    Never,
    At(Timestamp),
    Always,
}

impl Tally {
    fn add(&mut self, index: usize, level: ComplianceLevel, outcome: RuleOutcome) {
        match outcome {
            RuleOutcome::Approves(since) => {
                if self.approved.is_none_or(|(highest, _)| highest < level) {
                    self.approved = Some((level, index));
                }
                self.since = match (&self.since, since) {
                    (Since::Always, _) | (_, None) => Since::Always,
                    (Since::At(earlier), Some(from)) => Since::At(from.min(*earlier)),
                    (Since::Never, Some(from)) => Since::At(from),
                };
            }
            RuleOutcome::Waits(from) => {
                self.waiting = self.waiting.max(Some(level));
                if self.next.is_none_or(|(first, _)| from < first) {
                    self.next = Some((from, index));
                }
            }
            RuleOutcome::Filtered
            | RuleOutcome::NotSecurity
            | RuleOutcome::AfterCutoff
            | RuleOutcome::Undated => {}
        }
    }

    fn decision(&self) -> Option<Decision> {
        if let Some((level, index)) = self.approved {
            let approved_from = match self.since {
                Since::At(from) => Some(from),
                Since::Always | Since::Never => None,
            };
            return Some(Decision {
                approval: Approval::Approved,
                level,
                by: DecidedBy::Rule(index),
                approved_from,
            });
        }
        self.next.map(|(from, index)| Decision {
            approval: Approval::PendingApproval,
            level: self.waiting.unwrap_or_default(),
            by: DecidedBy::Rule(index),
            approved_from: Some(from),
        })
    }
}

const SECONDS_A_DAY: i64 = 86_400;

#[cfg(test)]
mod tests;
