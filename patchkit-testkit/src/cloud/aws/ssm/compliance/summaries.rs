//! ListComplianceSummaries and ListResourceComplianceSummaries.

use std::{borrow::Cow, collections::BTreeMap};

use patchkit_core::{ComplianceLevel, ComplianceStatus};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    super::super::{AwsError, Call, input, page::Page, seconds},
    Filter, MANAGED_INSTANCE, check,
    puts::Put,
};
use crate::cloud::world::{
    State,
    inventory::{
        compliance::{LevelCounts, in_names, status_text},
        stamp,
    },
    judge::PatchScan,
    machine::MachineIx,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(default)]
    filters: Vec<Filter>,
}

const KEYS: [&str; 9] = [
    "ComplianceType",
    "ExecutionId",
    "ExecutionTime",
    "ExecutionType",
    "OverallSeverity",
    "PatchBaselineId",
    "PatchGroup",
    "ResourceId",
    "Status",
];

/// One node's compliance of one type.
struct OfResource<'a> {
    state: &'a State,
    at: MachineIx,
    id: &'a str,
    source: Source<'a>,
}

enum Source<'a> {
    Patches(&'a PatchScan),
    Put(Cow<'a, Put>),
}

impl OfResource<'_> {
    fn kind(&self) -> &str {
        match &self.source {
            Source::Patches(_) => "Patch",
            Source::Put(put) => &put.kind,
        }
    }

    fn verdict(&self) -> (ComplianceStatus, ComplianceLevel) {
        match &self.source {
            Source::Patches(scan) => {
                let verdict = &scan.verdict;
                (verdict.status, verdict.level.unwrap_or(ComplianceLevel::Unspecified))
            }
            Source::Put(put) => put.levels().verdict(),
        }
    }

    fn levels(&self) -> LevelCounts {
        match &self.source {
            Source::Patches(_) => self.state.patch_levels(self.at),
            Source::Put(put) => put.levels(),
        }
    }

    fn execution(&self) -> Value {
        match &self.source {
            Source::Patches(scan) => json!({
                "ExecutionTime": seconds(scan.started),
                "ExecutionId": &*scan.execution,
                "ExecutionType": scan.execution_type,
            }),
            Source::Put(put) => put.summary(),
        }
    }

    fn passes(&self, filters: &[Filter]) -> bool {
        filters.iter().all(|filter| {
            let patches = match &self.source {
                Source::Patches(scan) => Some(*scan),
                Source::Put(_) => None,
            };
            let execution = |member: &str| -> String {
                self.execution()[member].as_str().unwrap_or_default().to_owned()
            };
            match filter.key() {
                "ComplianceType" => filter.lets(self.kind()),
                "ResourceId" => filter.lets(self.id),
                "Status" => filter.lets(status_text(self.verdict().0)),
                "OverallSeverity" => filter.lets(self.verdict().1.as_str()),
                "PatchGroup" => {
                    filter.lets(patches.and_then(|it| it.group.as_deref()).unwrap_or_default())
                }
                "PatchBaselineId" => filter.lets(patches.map_or("", PatchScan::baseline_id)),
                "ExecutionTime" => filter.lets(&stamp(match &self.source {
                    Source::Patches(scan) => scan.started,
                    Source::Put(put) => put.executed,
                })),
                member => filter.lets(&execution(member)),
            }
        })
    }

    fn shown(&self) -> Value {
        let (status, level) = self.verdict();
        let counts = self.levels();
        json!({
            "ComplianceType": self.kind(),
            "ResourceType": MANAGED_INSTANCE,
            "ResourceId": self.id,
            "Status": status_text(status),
            "OverallSeverity": level.as_str(),
            "ExecutionSummary": self.execution(),
            "CompliantSummary": counted(&counts, ComplianceStatus::Compliant),
            "NonCompliantSummary": counted(&counts, ComplianceStatus::NonCompliant),
        })
    }
}

/// All that have compliance, by node and type.
fn all<'a>(call: &'a Call<'_>) -> impl Iterator<Item = OfResource<'a>> {
    let state = &*call.state;
    let here = call.here();
    here.machines.iter().filter_map(|at| Some((*at, state.machine(*at).aws.as_ref()?))).flat_map(
        move |(at, aws)| {
            let id = &*aws.id;
            let patches = aws.scan.as_deref().map(Source::Patches);
            // `Association` and `Custom:…` are both before and after `Patch`; what was put there
            // is sorted by itself.
            let puts = here.ssm.puts_of(id).into_iter().map(Source::Put);
            patches.into_iter().chain(puts).map(move |source| OfResource { state, at, id, source })
        },
    )
}

pub(super) fn list_by_resource(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, 50)?;
    let Input { filters } = input(value)?;
    check(&filters, &KEYS)?;
    let (found, next) = page.cut(all(call).filter(|it| it.passes(&filters)));
    let items: Vec<Value> = found.iter().map(OfResource::shown).collect();
    Ok(json!({"ResourceComplianceSummaryItems": items, "NextToken": next}))
}

/// Counts the nodes of each type by their verdict and its severity.
pub(super) fn list(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, 50)?;
    let Input { filters } = input(value)?;
    check(&filters, &KEYS)?;
    let mut by_type: BTreeMap<&str, LevelCounts> = BTreeMap::new();
    let found: Vec<OfResource<'_>> = all(call).filter(|it| it.passes(&filters)).collect();
    for it in &found {
        let (status, level) = it.verdict();
        by_type.entry(it.kind()).or_default().add(status, level);
    }
    let (items, next) = page.cut(by_type.into_iter().map(|(kind, counts)| {
        json!({
            "ComplianceType": kind,
            "CompliantSummary": counted(&counts, ComplianceStatus::Compliant),
            "NonCompliantSummary": counted(&counts, ComplianceStatus::NonCompliant),
        })
    }));
    Ok(json!({"ComplianceSummaryItems": items, "NextToken": next}))
}

fn counted(counts: &LevelCounts, status: ComplianceStatus) -> Value {
    let total = match status {
        ComplianceStatus::Compliant => "CompliantCount",
        _ => "NonCompliantCount",
    };
    let severities = ComplianceLevel::ALL
        .into_iter()
        .map(|level| (format!("{}Count", in_names(level)), json!(counts.of(status, level))));
    let severities: Map<String, Value> = severities.collect();
    json!({total: counts.total(status), "SeveritySummary": severities})
}
