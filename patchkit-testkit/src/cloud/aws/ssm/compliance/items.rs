//! ListComplianceItems.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::super::{AwsError, Call, input, page::Page, seconds},
    Filter, MANAGED_INSTANCE, check, no_such_resource, no_such_type,
};
use crate::cloud::world::{
    State,
    inventory::{compliance::patch_details, stamp},
    machine::MachineIx,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    resource_ids: Vec<String>,
    #[serde(default)]
    resource_types: Vec<String>,
}

/// Members of an item, of its execution and of its details.
const KEYS: [&str; 14] = [
    "Classification",
    "ComplianceType",
    "DocumentName",
    "ExecutionId",
    "ExecutionTime",
    "ExecutionType",
    "Id",
    "PatchBaselineId",
    "PatchGroup",
    "PatchSeverity",
    "PatchState",
    "Severity",
    "Status",
    "Title",
];

pub(super) fn list(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, 50)?;
    let Input { filters, resource_ids, resource_types } = input(value)?;
    check(&filters, &KEYS)?;
    if let Some(other) = resource_types.iter().find(|it| *it != MANAGED_INSTANCE) {
        return Err(no_such_type(other));
    }
    // botocore ssm model: "Currently, you can only specify one resource ID".
    let [id] = &resource_ids[..] else {
        return Err(AwsError::validation("Exactly one resource ID must be specified."));
    };
    let state = &*call.state;
    let at = state.managed(call, id).ok_or_else(|| no_such_resource(id))?;
    let puts = call.here().ssm.puts_of(id);
    let custom = puts.iter().flat_map(|put| put.items_of(id));
    let all = patch_items(state, at, id).chain(custom);
    let passing = all.filter(|item| filters.iter().all(|it| it.lets(&attribute(item, it.key()))));
    let (mut items, next) = page.cut(passing);
    for item in &mut items {
        // Only the filters need it as a text.
        if let Some(item) = item.as_object_mut() {
            item.remove(TIME);
        }
    }
    Ok(json!({"ComplianceItems": items, "NextToken": next}))
}

/// The time of the execution as a text, for filters.
pub(super) const TIME: &str = "ExecutionTime";

fn attribute<'a>(item: &'a Value, key: &str) -> std::borrow::Cow<'a, str> {
    let places = [&item[key], &item["ExecutionSummary"][key], &item["Details"][key]];
    places.into_iter().find_map(Value::as_str).unwrap_or_default().into()
}

fn patch_items<'a>(
    state: &'a State,
    at: MachineIx,
    id: &'a str,
) -> impl Iterator<Item = Value> + 'a {
    let scan = state.machine(at).aws.as_ref().and_then(|aws| aws.scan.as_deref());
    scan.into_iter().flat_map(move |scan| {
        let time = stamp(scan.started);
        state.findings(at).map(move |finding| {
            json!({
                "ComplianceType": "Patch",
                "ResourceType": MANAGED_INSTANCE,
                "ResourceId": id,
                "Id": finding.patch.id.as_str(),
                "Title": finding.title(),
                "Status": finding.status(),
                "Severity": finding.level.as_str(),
                "ExecutionSummary": {
                    "ExecutionTime": seconds(scan.started),
                    "ExecutionId": &*scan.execution,
                    "ExecutionType": scan.execution_type,
                },
                "Details": patch_details(scan, &finding),
                TIME: time,
            })
        })
    })
}
