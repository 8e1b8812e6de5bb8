//! How long patches have been lacking, against what was promised.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Observation, Timeline};
use crate::{ComplianceStatus, NodeId, Severity};

/// How long a patch of a severity may be lacking.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Sla {
    /// The time for each severity.
    pub limits: BTreeMap<Severity, Duration>,
    /// The time for those that are not in it; without one they may be lacking for ever.
    pub otherwise: Option<Duration>,
}

impl Sla {
    /// Promises nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time for a severity.
    #[must_use]
    pub fn with_limit(mut self, severity: Severity, limit: Duration) -> Self {
        self.limits.insert(severity, limit);
        self
    }

    /// Sets the time for all other severities.
    #[must_use]
    pub fn with_otherwise(mut self, limit: Duration) -> Self {
        self.otherwise = Some(limit);
        self
    }

    fn state(&self, severity: Option<&Severity>, age: SignedDuration) -> SlaState {
        let is_over = |limit: &Duration| age.unsigned_abs() > *limit && age.is_positive();
        let limit = |severity| self.limits.get(severity).or(self.otherwise.as_ref());
        if let Some(severity) = severity {
            return match limit(severity) {
                None => SlaState::NoLimit,
                Some(limit) if is_over(limit) => SlaState::Overdue,
                Some(_) => SlaState::Within,
            };
        }
        // It may be any severity: only what is so for each of them is known.
        let limits = || self.limits.values().chain(&self.otherwise);
        match limits().filter(|it| is_over(it)).count() {
            _ if limits().next().is_none() => SlaState::NoLimit,
            0 => SlaState::Within,
            over if over == limits().count() && self.otherwise.is_some() => SlaState::Overdue,
            _ => SlaState::Unknown,
        }
    }
}

/// Where something lacking stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SlaState {
    /// It has been lacking for longer than promised.
    Overdue,
    /// How severe it is was not seen, and by that it may be overdue or not.
    Unknown,
    /// It has time left.
    Within,
    /// Nothing was promised for it.
    NoLimit,
}

/// What a node lacks of one severity, and for how long.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Overdue {
    /// The node.
    pub node: NodeId,
    /// The severity; `None` where the patches were not read.
    pub severity: Option<Severity>,
    /// How many patches, where that was seen.
    pub patches: Option<u32>,
    /// Since when patches of the severity have been seen to be lacking without a break.
    pub since: Timestamp,
    /// How long that is.
    pub age: SignedDuration,
    /// What that is against what was promised.
    pub state: SlaState,
}

/// Ages against what was promised.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SlaReport {
    /// What nodes lack, the worst and oldest first.
    pub lacking: Vec<Overdue>,
    /// Nodes of which nothing is known, and since when.
    pub unknown: BTreeMap<NodeId, Timestamp>,
}

impl Timeline {
    /// For how long nodes have lacked patches at `now`, against `sla`.
    ///
    /// # Behavior
    /// - Time runs from when patches of a severity were first seen to be lacking, not from their
    ///   release, and goes on when one takes the other's place.
    /// - A finding of which nothing is known, or without severities, ends nothing.
    /// - A node that was seen without severities has one row, whose state is known only where all
    ///   limits agree.
    pub fn against(&self, sla: &Sla, now: Timestamp) -> SlaReport {
        let mut report = SlaReport::default();
        for (node, seen) in &self.nodes {
            let seen = &seen[..seen.partition_point(|it| it.at <= now)];
            let Some(last) = seen.last() else { continue };
            match last.status {
                ComplianceStatus::Compliant => {}
                ComplianceStatus::Unknown => {
                    let unknown = |it: &&Observation| it.status == ComplianceStatus::Unknown;
                    let since = seen.iter().rev().take_while(unknown).last().unwrap_or(last).at;
                    report.unknown.insert(node.clone(), since);
                }
                ComplianceStatus::NonCompliant => {
                    let row = |severity: Option<&Severity>, patches| {
                        let since = lacking_since(seen, severity).unwrap_or(last.at);
                        let age = now.duration_since(since);
                        let state = sla.state(severity, age);
                        let severity = severity.cloned();
                        Overdue { node: node.clone(), severity, patches, since, age, state }
                    };
                    match &last.lacking {
                        None => report.lacking.push(row(None, None)),
                        Some(lacking) => report.lacking.extend(
                            lacking
                                .iter()
                                .filter(|(_, patches)| **patches > 0)
                                .map(|(severity, patches)| row(Some(severity), Some(*patches))),
                        ),
                    }
                }
            }
        }
        report.lacking.sort_by(|a, b| {
            (a.state, a.since, &a.node, &a.severity).cmp(&(b.state, b.since, &b.node, &b.severity))
        });
        report
    }
}

/// The first of the newest findings that show the severity lacking without one in between that shows
/// it is not.
fn lacking_since(seen: &[Observation], severity: Option<&Severity>) -> Option<Timestamp> {
    let mut since = None;
    for it in seen.iter().rev() {
        let lacks = match (it.status, severity, &it.lacking) {
            (ComplianceStatus::Compliant, ..) => Some(false),
            (ComplianceStatus::Unknown, ..) | (_, Some(_), None) => None,
            (_, None, _) => Some(true),
            (_, Some(severity), Some(lacking)) => {
                Some(lacking.get(severity).is_some_and(|n| *n > 0))
            }
        };
        match lacks {
            Some(true) => since = Some(it.at),
            Some(false) => break,
            None => {}
        }
    }
    since
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeCompliance;

    const DAY: Duration = Duration::from_hours(24);

    fn on(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).unwrap()
    }

    fn seen(name: &str, day: i64, lacking: &[(Severity, u32)]) -> Observation {
        let id = format!("aws/111122223333/eu-west-1/{name}").parse().unwrap();
        let mut known = NodeCompliance::unknown(id);
        known.observed_at = Some(on(day));
        known.status = if lacking.is_empty() {
            ComplianceStatus::Compliant
        } else {
            ComplianceStatus::NonCompliant
        };
        Observation::of(&known, on(day)).with_lacking(lacking.iter().cloned().collect())
    }

    fn sla() -> Sla {
        Sla::new().with_limit(Severity::Critical, 7 * DAY).with_otherwise(30 * DAY)
    }

    #[test]
    fn each_severity_has_its_own_age() {
        let (critical, low) = (Severity::Critical, Severity::Low);
        let timeline = Timeline::new([
            seen("a", 0, &[(critical.clone(), 1)]),
            seen("a", 2, &[]),
            seen("a", 4, &[(low.clone(), 2)]),
            seen("a", 8, &[(low.clone(), 2), (critical.clone(), 0)]),
            seen("a", 10, &[(low.clone(), 1), (critical.clone(), 3)]),
            Observation { lacking: None, ..seen("a", 12, &[(critical.clone(), 9)]) },
            seen("a", 14, &[(low.clone(), 1), (critical.clone(), 2)]),
        ]);
        let told = |now| -> Vec<_> {
            let rows = timeline.against(&sla(), on(now)).lacking.into_iter();
            rows.map(|it| (it.severity.unwrap(), it.patches.unwrap(), it.since, it.state)).collect()
        };
        assert_eq!(
            told(18),
            [
                (critical.clone(), 2, on(10), SlaState::Overdue),
                (low.clone(), 1, on(4), SlaState::Within),
            ]
        );
        assert_eq!(told(17)[0].3, SlaState::Within, "seven days are within seven days");
        assert_eq!(told(2), []);
        // What was found later is not known yet.
        assert_eq!(told(1), [(critical, 1, on(0), SlaState::Within)]);
    }

    #[test]
    fn a_node_without_severities_is_judged_where_all_limits_agree() {
        let blind = |day| Observation { lacking: None, ..seen("a", day, &[(Severity::Low, 1)]) };
        let timeline = Timeline::new([blind(0), blind(10)]);
        let state = |sla: &Sla, now| timeline.against(sla, on(now)).lacking[0].state;
        assert_eq!(state(&sla(), 7), SlaState::Within);
        assert_eq!(state(&sla(), 8), SlaState::Unknown);
        assert_eq!(state(&sla(), 31), SlaState::Overdue);
        assert_eq!(state(&Sla::new(), 31), SlaState::NoLimit);
        let critical = Sla::new().with_limit(Severity::Critical, DAY);
        assert_eq!(state(&critical, 31), SlaState::Unknown, "it may be low, which has no limit");
    }

    #[test]
    fn a_node_of_which_nothing_is_known_is_not_within_its_time() {
        let mut unknown = seen("a", 5, &[]);
        unknown.status = ComplianceStatus::Unknown;
        let later = Observation { at: on(9), ..unknown.clone() };
        let timeline = Timeline::new([seen("a", 0, &[(Severity::Low, 1)]), unknown, later]);
        let report = timeline.against(&sla(), on(20));
        assert!(report.lacking.is_empty());
        assert!(report.unknown.into_values().eq([on(5)]));
    }
}
