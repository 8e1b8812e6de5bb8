//! What was recorded of nodes' patch compliance: an item for each scan and install that reported.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    super::{
        AwsError, Call, Operations,
        resource::{Kind, Resource},
        seconds,
    },
    evaluate, named_page,
    rules::Managed,
};
use crate::cloud::world::{State, clock::earlier, inventory::compliance, judge::PatchScan};

pub(super) const OPERATIONS: Operations =
    &[("GetResourceConfigHistory", get_resource_config_history)];

pub(super) const PATCHES: &str = "AWS::SSM::PatchCompliance";

/// Items on a page, where no number is asked for (API reference).
const PAGE: usize = 10;
/// How long a time one call looks at (API reference: "limited to span a duration of seven days").
const SPAN: Duration = Duration::from_hours(7 * 24);

/// What was reported before the last operation, by the ids of nodes, oldest first.
#[derive(Debug, Default)]
pub(super) struct Past(BTreeMap<Box<str>, Vec<Arc<PatchScan>>>);

impl Past {
    pub(super) fn remember(&mut self, node: &str, scan: Arc<PatchScan>) {
        self.0.entry(node.into()).or_default().push(scan);
    }

    fn of(&self, node: &str) -> &[Arc<PatchScan>] {
        self.0.get(node).map(Vec::as_slice).unwrap_or_default()
    }
}

fn get_resource_config_history(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let validation = |message: String| AwsError::new("ValidationException", message);
    let kind = input["resourceType"].as_str().unwrap_or_default();
    if kind != PATCHES {
        return Err(validation(format!("the simulator keeps no history of {kind}")));
    }
    let id = input["resourceId"].as_str().unwrap_or_default();
    let until = time(&input["laterTime"]).unwrap_or(call.state.now);
    let since = time(&input["earlierTime"]);
    if since.is_some_and(|since| since > until) {
        let message = "The earlier time must be before the later time.";
        return Err(AwsError::new("InvalidTimeRangeException", message));
    }
    let resource = named(call, id).ok_or_else(|| {
        let message =
            format!("Resource {id} of resourceType:{kind} is unknown or has not been discovered");
        AwsError::new("ResourceNotDiscoveredException", message)
    })?;
    let past = call.here().config.past.of(&resource.aws.id);
    let scans = past.iter().chain(&resource.aws.scan);
    let scans: Vec<&PatchScan> = scans
        .map(|it| &**it)
        .filter(|it| evaluate::of_status(it.verdict.status).is_some())
        .collect();
    let (first, forward) =
        (scans.first().map(|it| it.ended), input["chronologicalOrder"] == "Forward");
    let asked: Vec<&PatchScan> = scans
        .into_iter()
        .filter(|it| {
            // The service's times have milliseconds.
            let at = it.ended.as_millisecond();
            at <= until.as_millisecond() && since.is_none_or(|it| at >= it.as_millisecond())
        })
        .collect();
    let size = match input["limit"].as_u64() {
        None | Some(0) => PAGE,
        Some(limit) => usize::try_from(limit).unwrap_or(PAGE),
    };
    let mut windows = windows(&asked, until, size);
    if forward {
        windows.reverse();
        for window in &mut windows {
            window.reverse();
        }
    }
    // A page is a part of a window, and its token the number of such parts before it.
    let (mut page, next) = named_page(call, &input, 1, ["nextToken", "MaxResults"])?.cut(windows);
    let items = page.pop().unwrap_or_default();
    let items: Vec<Value> =
        items.into_iter().map(|scan| item(call.state, resource, scan, first)).collect();
    Ok(json!({"configurationItems": items, "nextToken": next}))
}

/// Parts of at most seven days and so many items, from the newest; a part may be empty.
fn windows<'s>(scans: &[&'s PatchScan], until: Timestamp, size: usize) -> Vec<Vec<&'s PatchScan>> {
    let mut left: Vec<&PatchScan> = scans.to_vec();
    let (mut parts, mut end) = (Vec::new(), until);
    while !left.is_empty() {
        let start = earlier(end, SPAN);
        let inside = left.iter().rev().take_while(|it| it.ended > start).count();
        let mut within = left.split_off(left.len() - inside);
        within.reverse();
        if within.is_empty() {
            parts.push(Vec::new());
        }
        parts.extend(within.chunks(size).map(<[_]>::to_vec));
        end = start;
    }
    parts
}

/// The node of a resource's id, where one of it was ever recorded.
fn named<'c>(call: &'c Call<'_>, id: &str) -> Option<Resource<'c>> {
    let (_, node) = id.rsplit_once('/')?;
    let resource = Resource::of(call.state, call.state.find(call.scope, node)?)?;
    (Managed::Patch.resource_id(node) == id && resource.aws.scan.is_some()).then_some(resource)
}

fn item(
    state: &State,
    resource: Resource<'_>,
    scan: &PatchScan,
    first: Option<Timestamp>,
) -> Value {
    let aws = resource.aws;
    let related = match resource.kind {
        Kind::Instance => "AWS::EC2::Instance",
        Kind::ManagedNode => "AWS::SSM::ManagedInstanceInventory",
    };
    let status = if first == Some(scan.ended) { "ResourceDiscovered" } else { "OK" };
    json!({
        "version": "1.3",
        "accountId": &*state.account_of(aws.scope).id,
        "awsRegion": &*state.scope(aws.scope).region,
        "configurationItemCaptureTime": seconds(scan.ended),
        "configurationItemStatus": status,
        "configurationStateId": scan.ended.as_millisecond().to_string(),
        "configurationItemMD5Hash": "",
        "resourceType": PATCHES,
        "resourceId": Managed::Patch.resource_id(&aws.id),
        "tags": {},
        "relatedEvents": [],
        "relationships": [{
            "resourceType": related,
            "resourceId": &*aws.id,
            "relationshipName": "Is associated with ",
        }],
        "configuration": configuration(state, resource, scan).to_string(),
        "supplementaryConfiguration": {},
    })
}

/// What is recorded of a scan: the verdict, and each patch by its id (aws-samples,
/// cloud-trail-lake-query-samples, reads `AWS:ComplianceItem.Content.Patch` as a map).
fn configuration(state: &State, resource: Resource<'_>, scan: &PatchScan) -> Value {
    let patches: Map<String, Value> = state
        .findings_of(resource.at, scan)
        .map(|it| (it.patch.id.as_str().to_owned(), compliance::patch_item(scan, &it).into()))
        .collect();
    json!({
        "AWS:ComplianceItem": {"SchemaVersion": "1.0", "Content": {"Patch": patches}},
        "AWS:ComplianceSummary": summary(scan),
    })
}

/// The verdict as it is recorded; none where there is none.
pub(super) fn summary(scan: &PatchScan) -> Option<Value> {
    let status = evaluate::of_status(scan.verdict.status)?;
    let summary = json!({
        "Status": status.word(),
        "PatchBaselineId": &*scan.judgement.baseline.id,
        "PatchGroup": scan.group.as_deref().unwrap_or_default(),
        "ExecutionId": &*scan.execution,
        "ExecutionType": scan.execution_type,
        "ExecutionTime": scan.ended.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    Some(json!({"SchemaVersion": "1.0", "Content": {"Patch": summary}}))
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds of this age fit")]
fn time(value: &Value) -> Option<Timestamp> {
    Timestamp::from_millisecond((value.as_f64()? * 1_000.0).round() as i64).ok()
}
