//! What a timeline answers.

use std::{collections::BTreeMap, ops::Range};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Observation, Timeline};
use crate::{ComplianceStatus, NodeId};

/// A node whose verdict is not what it was.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Drift {
    /// The node.
    pub node: NodeId,
    /// The verdict then; `Unknown` for a node that nobody had seen.
    pub before: ComplianceStatus,
    /// The newest verdict.
    pub after: ComplianceStatus,
    /// When it was first seen to be so, after it was last seen otherwise.
    pub since: Timestamp,
}

/// How long nodes took to become compliant again.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Remediation {
    /// The mean time; `None` where nothing was remediated.
    pub mean: Option<SignedDuration>,
    /// How often a node became compliant again.
    pub remediated: usize,
    /// The nodes that were not compliant and have not been seen compliant since, with the moment when
    /// that was seen first.
    pub open: BTreeMap<NodeId, Timestamp>,
}

impl Timeline {
    /// What was known of each node at `then`: its newest finding up to that moment.
    ///
    /// # Behavior
    /// - A node that had not been seen by then is not in it: nothing was known.
    /// - A finding that is old by then is there with its age; how old is too old is the caller's word.
    pub fn compliance_at(&self, then: Timestamp) -> BTreeMap<&NodeId, &Observation> {
        let newest = |seen: &'_ [Observation]| seen.partition_point(|it| it.at <= then);
        self.nodes
            .iter()
            .filter_map(|(node, seen)| Some((node, &seen[newest(seen).checked_sub(1)?])))
            .collect()
    }

    /// The nodes whose newest verdict is not the one that was known at `then`, by id.
    ///
    /// # Behavior
    /// - A node that was not known then has drifted from `Unknown`, and one of which nothing is known
    ///   any more to it.
    pub fn drift_since(&self, then: Timestamp) -> Vec<Drift> {
        let drift = |(node, seen): (&NodeId, &Vec<Observation>)| {
            let (old, new) = seen.split_at(seen.partition_point(|it| it.at <= then));
            let before = old.last().map_or(ComplianceStatus::Unknown, |it| it.status);
            let after = new.last()?.status;
            let since = new.iter().rev().take_while(|it| it.status == after).last()?.at;
            (before != after).then(|| Drift { node: node.clone(), before, after, since })
        };
        self.nodes.iter().filter_map(drift).collect()
    }

    /// How long nodes took to become compliant again that did within `period`.
    ///
    /// # Behavior
    /// - Time runs from when a node was first seen not compliant, also before the period, to when it
    ///   was first seen compliant.
    /// - A finding of which nothing is known ends nothing.
    /// - Open is what was not compliant at the period's end.
    pub fn mean_time_to_remediate(&self, period: Range<Timestamp>) -> Remediation {
        let (mut total, mut remediation) = (SignedDuration::ZERO, Remediation::default());
        for (node, seen) in &self.nodes {
            let mut since = None;
            for it in seen.iter().take_while(|it| it.at < period.end) {
                match it.status {
                    ComplianceStatus::NonCompliant => since = since.or(Some(it.at)),
                    ComplianceStatus::Compliant => {
                        if let Some(since) = since.take().filter(|_| it.at >= period.start) {
                            total = total.saturating_add(it.at.duration_since(since));
                            remediation.remediated += 1;
                        }
                    }
                    ComplianceStatus::Unknown => {}
                }
            }
            if let Some(since) = since {
                remediation.open.insert(node.clone(), since);
            }
        }
        remediation.mean =
            i32::try_from(remediation.remediated).ok().and_then(|count| total.checked_div(count));
        remediation
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::NodeCompliance;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3_600).unwrap()
    }

    fn id(name: &str) -> NodeId {
        format!("aws/111122223333/eu-west-1/{name}").parse().unwrap()
    }

    fn seen(name: &str, hour: i64, status: ComplianceStatus) -> Observation {
        let mut known = NodeCompliance::unknown(id(name));
        (known.status, known.observed_at) = (status, Some(at(hour)));
        Observation::of(&known, at(hour))
    }

    use ComplianceStatus::{Compliant, NonCompliant, Unknown};

    fn timeline() -> Timeline {
        Timeline::new([
            seen("b", 20, NonCompliant),
            seen("a", 1, Compliant),
            seen("a", 10, NonCompliant),
            seen("a", 12, Unknown),
            seen("a", 16, Compliant),
            seen("b", 5, NonCompliant),
            seen("b", 9, Compliant),
            seen("c", 30, Unknown),
            seen("c", 2, Compliant),
            seen("a", 16, Compliant),
        ])
    }

    #[test]
    fn a_past_moment_is_told_by_the_newest_finding_up_to_it() {
        let timeline = timeline();
        let then = |hour| {
            let known = timeline.compliance_at(at(hour));
            ["a", "b", "c"].map(|name| known.get(&id(name)).map(|it| it.status))
        };
        assert_eq!(then(0), [None, None, None]);
        assert_eq!(then(1), [Some(Compliant), None, None]);
        assert_eq!(then(12), [Some(Unknown), Some(Compliant), Some(Compliant)]);
        assert_eq!(then(99), [Some(Compliant), Some(NonCompliant), Some(Unknown)]);
    }

    #[test]
    fn drift_is_told_with_the_moment_since_when() {
        let told = |hour| -> Vec<_> {
            let drift = timeline().drift_since(at(hour)).into_iter();
            drift.map(|it| (it.node.name().to_owned(), it.before, it.after, it.since)).collect()
        };
        assert_eq!(
            told(12),
            [
                ("a".to_owned(), Unknown, Compliant, at(16)),
                ("b".to_owned(), Compliant, NonCompliant, at(20)),
                ("c".to_owned(), Compliant, Unknown, at(30)),
            ]
        );
        assert_eq!(told(19)[0], ("b".to_owned(), Compliant, NonCompliant, at(20)));
        assert_eq!(told(99), []);
    }

    #[test]
    fn the_time_to_remediate_runs_from_first_seen_wrong_to_first_seen_right() {
        let told = timeline().mean_time_to_remediate(at(0)..at(99));
        // a: 10 to 16, b: 5 to 9; b is wrong again since 20.
        assert_eq!((told.remediated, told.mean), (2, Some(SignedDuration::from_hours(5))));
        assert_eq!(told.open, BTreeMap::from([(id("b"), at(20))]));
        let told = timeline().mean_time_to_remediate(at(10)..at(16));
        assert_eq!((told.remediated, told.mean), (0, None));
        assert_eq!(told.open, BTreeMap::from([(id("a"), at(10))]));
    }

    proptest! {
        #[test]
        fn a_timeline_does_not_depend_on_the_order_in_which_it_was_written(
            times in proptest::collection::btree_map(0_i64..50, 0_u8..3, 0..20),
            seed in any::<prop::sample::Index>(),
        ) {
            let status = |code| [Compliant, NonCompliant, Unknown][usize::from(code)];
            let all: Vec<Observation> =
                times.iter().map(|(hour, code)| seen("a", *hour, status(*code))).collect();
            let mut turned = all.clone();
            if !turned.is_empty() {
                let by = seed.index(turned.len());
                turned.rotate_left(by);
            }
            prop_assert_eq!(Timeline::new(all.clone()), Timeline::new(turned));
            // Drift since the beginning of time ends where the newest finding is.
            let timeline = Timeline::new(all);
            for drift in timeline.drift_since(Timestamp::MIN) {
                prop_assert_eq!(drift.after, timeline.compliance_at(Timestamp::MAX)[&drift.node].status);
            }
        }
    }
}
