//! `--format json`: one object.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use jiff::Timestamp;
use patchkit_core::{
    NodeId,
    whatif::{ChangeCounts, Doubt, ForecastDay, NodeChange, NodeExplanation, OnsetShift},
};
use patchkit_examples::write_json;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::answer::Answer;

/// Writes the object.
pub(crate) fn write(out: &mut impl Write, answer: &Answer<'_>) -> io::Result<()> {
    write_json(out, &Document::new(answer))
}

#[derive(Serialize)]
struct Document<'a> {
    fleet: &'a str,
    question: &'a [String],
    at: Timestamp,
    until: Timestamp,
    totals: Totals,
    groups: Vec<Group>,
    changes: &'a [NodeChange],
    later: &'a [OnsetShift],
    forecast: &'a [ForecastDay],
    contradictions: &'a [NodeId],
    #[serde(skip_serializing_if = "Option::is_none")]
    explained: Option<Explained<'a>>,
    problems: &'a [String],
}

#[derive(Serialize)]
struct Totals {
    #[serde(flatten)]
    counts: ChangeCounts,
    unknown_by: BTreeMap<Doubt, usize>,
    stopped: u64,
    terminated: u64,
    uncatalogued_patches: usize,
    undated_patches: usize,
}

#[derive(Serialize)]
struct Explained<'a> {
    before: &'a NodeExplanation,
    after: &'a NodeExplanation,
}

/// A group as a flat object with the dimensions' names in front.
struct Group {
    values: Vec<(&'static str, Option<String>)>,
    counts: ChangeCounts,
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.values {
            map.serialize_entry(name, value)?;
        }
        let counts = &self.counts;
        map.serialize_entry("nodes", &counts.nodes)?;
        map.serialize_entry("non_compliant_before", &counts.non_compliant_before)?;
        map.serialize_entry("non_compliant_after", &counts.non_compliant_after)?;
        map.serialize_entry("fall_out", &counts.fall_out)?;
        map.serialize_entry("come_in", &counts.come_in)?;
        map.serialize_entry("become_unknown", &counts.become_unknown)?;
        map.serialize_entry("unknown_after", &counts.unknown_after)?;
        map.end()
    }
}

impl<'a> Document<'a> {
    fn new(answer: &'a Answer<'_>) -> Self {
        let names = || answer.by.iter().map(|by| by.as_str());
        let groups = answer.what_if.groups(&answer.by).into_iter().map(|group| Group {
            values: names().zip(group.values).collect(),
            counts: group.counts,
        });
        let fleet = answer.fleet;
        Self {
            fleet: &fleet.name,
            question: &answer.question.words,
            at: fleet.when,
            until: answer.until,
            totals: Totals {
                counts: answer.what_if.counts(),
                unknown_by: answer.doubts.clone(),
                stopped: fleet.not_live.stopped,
                terminated: fleet.not_live.terminated,
                uncatalogued_patches: fleet.matrix.uncatalogued().count(),
                undated_patches: fleet.matrix.undated().count(),
            },
            groups: groups.collect(),
            changes: &answer.changes,
            later: &answer.shifts,
            forecast: &answer.forecast.days,
            contradictions: &answer.contradictions,
            explained: answer.explained.as_ref().map(|[before, after]| Explained { before, after }),
            problems: &fleet.problems,
        }
    }
}
