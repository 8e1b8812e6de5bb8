//! `--format json`: one object.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use patchkit_core::{Classification, ComplianceLevel};
use patchkit_examples::write_json;
use patchkit_inventory::{NotLive, PatchGap, StatusCounts};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    answer::{Answer, Rows},
    apps::Package,
    row::{NodeRow, PackageRow},
};

/// Writes the object.
pub(crate) fn write(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    write_json(out, &Document::new(answer))
}

#[derive(Serialize)]
struct Document<'a> {
    lake: &'a str,
    totals: Totals,
    groups: Groups<'a>,
    worst_nodes: Vec<NodeRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    most_missing: Option<Vec<Gap<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packages: Option<Packages<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<RowList<'a>>,
    skipped: Vec<Finding<'a>>,
    repaired: Vec<Finding<'a>>,
    read: BTreeMap<&'a str, Read>,
}

#[derive(Serialize)]
struct Totals {
    #[serde(flatten)]
    counts: Counts,
    not_live_by: NotLiveBy,
    contradictions: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_patches: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<usize>,
    skipped: u64,
    repaired: u64,
}

#[derive(Serialize)]
struct NotLiveBy {
    stopped: u64,
    terminated: u64,
}

#[derive(Serialize)]
struct Counts {
    compliant: u64,
    non_compliant: u64,
    unknown: u64,
    nodes: u64,
    not_live: u64,
}

impl From<StatusCounts> for Counts {
    fn from(counts: StatusCounts) -> Self {
        Self {
            compliant: counts.compliant,
            non_compliant: counts.non_compliant,
            unknown: counts.unknown,
            nodes: counts.nodes(),
            not_live: counts.not_live.total(),
        }
    }
}

impl From<NotLive> for NotLiveBy {
    fn from(not_live: NotLive) -> Self {
        Self { stopped: not_live.stopped, terminated: not_live.terminated }
    }
}

/// The groups, each a flat object with the dimensions' names in front.
struct Groups<'a>(&'a Answer);

impl Serialize for Groups<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let by = &self.0.by;
        serializer.collect_seq(self.0.report.groups(by).iter().map(|group| Flat {
            names: by.iter().map(|dimension| dimension.as_str()).zip(&group.values).collect(),
            counts: group.counts.into(),
        }))
    }
}

struct Flat<'a> {
    names: Vec<(&'static str, &'a Option<String>)>,
    counts: Counts,
}

impl Serialize for Flat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.names {
            map.serialize_entry(name, value)?;
        }
        let Counts { compliant, non_compliant, unknown, nodes, not_live } = self.counts;
        map.serialize_entry("compliant", &compliant)?;
        map.serialize_entry("non_compliant", &non_compliant)?;
        map.serialize_entry("unknown", &unknown)?;
        map.serialize_entry("nodes", &nodes)?;
        map.serialize_entry("not_live", &not_live)?;
        map.end()
    }
}

#[derive(Serialize)]
struct Gap<'a> {
    patch: &'a str,
    title: Option<&'a str>,
    level: ComplianceLevel,
    classification: Option<&'a Classification>,
    missing: u64,
    failed: u64,
}

impl<'a> From<&'a PatchGap> for Gap<'a> {
    fn from(gap: &'a PatchGap) -> Self {
        Self {
            patch: gap.patch.as_str(),
            title: gap.title.as_deref(),
            level: gap.level,
            classification: gap.classification.as_ref(),
            missing: gap.missing,
            failed: gap.failed,
        }
    }
}

/// The question for packages, and what has no place in its rows.
#[derive(Serialize)]
struct Packages<'a> {
    pattern: &'a str,
    below: Option<&'a str>,
    matched: u64,
    nodes: usize,
    not_comparable: Vec<PackageRow<'a>>,
}

enum RowList<'a> {
    Nodes(&'a Answer),
    Packages(&'a Answer, &'a [Package]),
}

impl Serialize for RowList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nodes(answer) => {
                serializer.collect_seq(answer.non_compliant().into_iter().map(NodeRow::new))
            }
            Self::Packages(answer, packages) => serializer.collect_seq(
                packages.iter().map(|package| PackageRow::new(&answer.report, package)),
            ),
        }
    }
}

/// Data that was lost, or read in spite of dirt.
#[derive(Serialize)]
struct Finding<'a> {
    key: &'a str,
    line: Option<u64>,
    reason: String,
}

/// What was read of one inventory type.
#[derive(Serialize)]
struct Read {
    objects: u64,
    rows: u64,
    passed_over: u64,
    bytes: u64,
}

impl<'a> Document<'a> {
    fn new(answer: &'a Answer) -> Self {
        let totals = answer.report.totals();
        let (packages, rows, count) = match &answer.rows {
            Rows::None => (None, None, None),
            Rows::NonCompliant => {
                let count = usize::try_from(totals.non_compliant).ok();
                (None, Some(RowList::Nodes(answer)), count)
            }
            Rows::Packages(question, found) => {
                let row = |package| PackageRow::new(&answer.report, package);
                let packages = Packages {
                    pattern: &question.pattern,
                    below: question.below.as_deref(),
                    matched: found.matched,
                    nodes: found.nodes(),
                    not_comparable: found.not_comparable.iter().map(row).collect(),
                };
                let rows = RowList::Packages(answer, &found.rows);
                (Some(packages), Some(rows), Some(found.rows.len()))
            }
        };
        let lost = answer.lost_entries().into_iter().map(|lost| Finding {
            key: &lost.key,
            line: lost.line,
            reason: lost.reason.to_string(),
        });
        let repaired = answer.repaired_entries().into_iter().map(|repaired| Finding {
            key: &repaired.key,
            line: repaired.line,
            reason: repaired.reason.to_string(),
        });
        let types = answer.readings().flat_map(|reading| &reading.types);
        Self {
            lake: &answer.lake,
            totals: Totals {
                counts: totals.into(),
                not_live_by: totals.not_live.into(),
                contradictions: answer.report.disagreements().count(),
                missing_patches: answer.gaps.as_ref().map(Vec::len),
                rows: count,
                skipped: answer.lost(),
                repaired: answer.repaired(),
            },
            groups: Groups(answer),
            worst_nodes: answer.report.worst(answer.top).into_iter().map(NodeRow::new).collect(),
            most_missing: answer
                .gaps
                .as_ref()
                .map(|gaps| gaps.iter().take(answer.top).map(Gap::from).collect()),
            packages,
            rows,
            skipped: lost.collect(),
            repaired: repaired.collect(),
            read: types
                .map(|(name, ty)| {
                    let read = Read {
                        objects: ty.objects,
                        rows: ty.rows,
                        passed_over: ty.passed_over,
                        bytes: ty.bytes,
                    };
                    (&**name, read)
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_flat() {
        let flat = Flat { names: vec![("account", &None)], counts: StatusCounts::default().into() };
        let text = serde_json::to_string(&flat).unwrap();
        assert!(text.starts_with(r#"{"account":null,"compliant":0,"#), "{text}");
    }
}
