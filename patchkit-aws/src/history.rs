//! What AWS Config recorded of a node's patch compliance over time.

use std::{convert::Infallible, str::FromStr, sync::Arc};

use aws_sdk_config::types::{ConfigurationItem, ConfigurationItemStatus, ResourceType};
use aws_smithy_types::DateTime;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use patchkit_core::{
    BaselineId, Classification, ComplianceLevel, ComplianceStatus, Error, NodeCompliance, NodeId,
    PatchCounts, PatchGroupName, PatchState, Result, listing::sound, paginate,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Ssm,
    convert::timestamp,
    error::{PROVIDER, malformed},
};

const HISTORY: &str = "GetResourceConfigHistory";

/// The largest page (service model, `Limit`).
const PAGE: i32 = 100;

const TYPE: &str = "AWS::SSM::PatchCompliance";

/// What the ids of resources of this type begin with: a node's is behind it (aws-samples,
/// cloud-trail-lake-query-samples, over Config's items).
const PREFIX: &str = "AWS::SSM::ManagedInstanceInventory/";

/// A node's patch compliance as AWS Config recorded it at one moment.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecordedCompliance {
    /// When it was recorded.
    pub at: Timestamp,
    /// What was recorded.
    pub event: RecordedEvent,
    /// The node's compliance from then on; `Unknown` where the record tells of none.
    pub compliance: NodeCompliance,
}

/// What AWS Config recorded.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordedEvent {
    /// The node's compliance for the first time, or a change of it.
    Reported,
    /// The end of the recording: what came after is not known.
    NotRecorded,
    /// The end of the node's compliance, as with the end of the node.
    Deleted,
    /// An event that was learned later.
    Other(String),
}

impl Ssm {
    /// Lists what AWS Config recorded of a node's patch compliance since a moment, taken to the second
    /// and included, newest first.
    ///
    /// # Behavior
    /// - Each scan and install that reports is a record. What was so at `since` is told by the last
    ///   record before it, which does not come.
    /// - Config looks at seven days in a call, and keeps what it recorded for as long as it is told to:
    ///   a year is 53 calls at least.
    /// - A record without a verdict is `Unknown`, never compliant.
    ///
    /// # Errors
    /// `NotFound` where Config never recorded the node; `InvalidInput` where nothing records, or
    /// `since` is in the future; `PermissionDenied`, `Throttled`. A record that cannot be read costs
    /// no other: it is an error at the end.
    ///
    /// # Example
    /// ```no_run
    /// # async fn show(ssm: patchkit_aws::Ssm, node: patchkit_core::NodeId) -> patchkit_core::Result<()> {
    /// use futures::TryStreamExt;
    ///
    /// let mut records = ssm.compliance_history(&node, "2026-11-01T00:00:00Z".parse().unwrap());
    /// while let Some(record) = records.try_next().await? {
    ///     println!("{}: {}", record.at, record.compliance.status);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn compliance_history(
        &self,
        node: &NodeId,
        since: Timestamp,
    ) -> BoxStream<'static, Result<RecordedCompliance>> {
        if node.scope() != self.scope() {
            let missing = Error::not_found(PROVIDER, HISTORY, "the node").with_node(node.clone());
            return stream::once(async { Err(missing) }).boxed();
        }
        let (client, of) = (Arc::clone(&self.client), node.clone());
        let pages = paginate(PROVIDER, HISTORY, move |token| {
            let (client, of) = (Arc::clone(&client), of.clone());
            async move {
                let request = client
                    .config()
                    .get_resource_config_history()
                    .resource_type(ResourceType::from(TYPE))
                    .resource_id(format!("{PREFIX}{}", of.resource()))
                    .earlier_time(DateTime::from_secs(since.as_second()))
                    .limit(client.page.within(1, PAGE))
                    .set_next_token(token);
                let page = client.read(HISTORY, request.send()).await?;
                let items = page.configuration_items.unwrap_or_default();
                Ok((items.iter().map(|it| record(&of, it)).collect(), page.next_token))
            }
        });
        let node = node.clone();
        sound(PROVIDER, HISTORY, pages).map_err(move |error| error.with_node(node.clone())).boxed()
    }
}

fn record(node: &NodeId, item: &ConfigurationItem) -> Result<RecordedCompliance> {
    let at = item.configuration_item_capture_time().and_then(timestamp);
    let at = at.ok_or_else(|| malformed(HISTORY, "a record has no time"))?;
    let event = match item.configuration_item_status() {
        None | Some(ConfigurationItemStatus::Ok | ConfigurationItemStatus::ResourceDiscovered) => {
            RecordedEvent::Reported
        }
        Some(ConfigurationItemStatus::ResourceNotRecorded) => RecordedEvent::NotRecorded,
        Some(
            ConfigurationItemStatus::ResourceDeleted
            | ConfigurationItemStatus::ResourceDeletedNotRecorded,
        ) => RecordedEvent::Deleted,
        Some(other) => RecordedEvent::Other(other.as_str().to_owned()),
    };
    let compliance = match (&event, item.configuration()) {
        (RecordedEvent::Reported, Some(text)) => read(node.clone(), text)?,
        _ => NodeCompliance::unknown(node.clone()),
    };
    Ok(RecordedCompliance { at, event, compliance })
}

/// What a record says: a verdict, and the patches by their ids.
fn read(node: NodeId, text: &str) -> Result<NodeCompliance> {
    let configuration: Value = serde_json::from_str(text)
        .map_err(|error| malformed(HISTORY, format!("a record is not JSON: {error}")))?;
    let summary = &configuration["AWS:ComplianceSummary"]["Content"]["Patch"];
    let patches: Vec<&Value> = match &configuration["AWS:ComplianceItem"]["Content"]["Patch"] {
        Value::Object(patches) => patches.values().collect(),
        Value::Array(patches) => patches.iter().collect(),
        _ => Vec::new(),
    };
    let status = |value: &Value| ComplianceStatus::from_wire(text_of(value, "Status"));
    let level = |value: &Value, name| ComplianceLevel::from_wire(text_of(value, name));
    let wrong = || patches.iter().filter(|it| status(it) == ComplianceStatus::NonCompliant);
    // A patch that is not for the node has no status; any other without one may be missing.
    let told = |it: &&Value| {
        status(it) == ComplianceStatus::Compliant
            || word::<PatchState>(text_of(it, "PatchState")) == PatchState::NotApplicable
    };
    let mut known = NodeCompliance::unknown(node);
    known.status = match status(summary) {
        ComplianceStatus::Unknown if wrong().next().is_some() => ComplianceStatus::NonCompliant,
        ComplianceStatus::Unknown
            if patches.iter().all(told)
                && patches.iter().any(|it| status(it) == ComplianceStatus::Compliant) =>
        {
            ComplianceStatus::Compliant
        }
        told => told,
    };
    known.level = level(summary, "OverallSeverity")
        .filter(|_| known.status == ComplianceStatus::NonCompliant)
        .or_else(|| wrong().filter_map(|it| level(it, "Severity")).max());
    for patch in &patches {
        count(&mut known.counts, patch);
    }
    let first = |name| {
        let texts = std::iter::once(summary).chain(patches.iter().copied());
        texts.map(|it| text_of(it, name)).find(|text| !text.is_empty())
    };
    known.baseline = first("PatchBaselineId").and_then(|id| BaselineId::new(id).ok());
    known.group = first("PatchGroup").and_then(|group| PatchGroupName::new(group).ok());
    known.observed_at = first("ExecutionTime").and_then(|at| at.parse().ok());
    Ok(known)
}

/// Counts a patch by its state; and where it is not as it should be, as the service counts these
/// (Systems Manager user guide, "Patch compliance state values").
fn count(counts: &mut PatchCounts, patch: &Value) {
    counts.count(&word(text_of(patch, "PatchState")));
    if ComplianceStatus::from_wire(text_of(patch, "Status")) != ComplianceStatus::NonCompliant {
        return;
    }
    let critical =
        ComplianceLevel::from_wire(text_of(patch, "Severity")) == Some(ComplianceLevel::Critical);
    let security = matches!(
        word(text_of(patch, "Classification")),
        Classification::Security | Classification::SecurityUpdates
    );
    counts.critical_non_compliant += u32::from(critical);
    counts.security_non_compliant += u32::from(security);
    counts.other_non_compliant += u32::from(!critical && !security);
}

fn text_of<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn word<T: FromStr<Err = Infallible>>(text: &str) -> T {
    text.parse().unwrap_or_else(|never: Infallible| match never {})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(configuration: &Value) -> NodeCompliance {
        read("aws/111122223333/eu-west-1/i-01".parse().unwrap(), &configuration.to_string())
            .unwrap()
    }

    fn patches(patches: &Value) -> Value {
        json!({"AWS:ComplianceItem": {"Content": {"Patch": patches}}})
    }

    #[test]
    fn a_record_without_a_verdict_is_unknown() {
        for nothing in
            [json!({}), json!(null), json!([7]), patches(&json!({})), patches(&json!("x"))]
        {
            assert_eq!(of(&nothing).status, ComplianceStatus::Unknown, "{nothing}");
        }
        let neither = patches(&json!({"a": {"PatchState": "NotApplicable", "Status": ""}}));
        assert_eq!(of(&neither).status, ComplianceStatus::Unknown);
        assert_eq!(of(&neither).counts.not_applicable, 1);
    }

    #[test]
    fn one_patch_of_which_nothing_is_known_keeps_the_others_from_a_verdict() {
        let good = json!({"PatchState": "Installed", "Status": "COMPLIANT"});
        let not_for_it = json!({"PatchState": "NotApplicable", "Status": ""});
        let unknown = json!({"PatchState": "Missing", "Status": ""});
        let status = |all: Value| of(&patches(&all)).status;
        assert_eq!(status(json!([good, not_for_it])), ComplianceStatus::Compliant);
        assert_eq!(status(json!([good, unknown])), ComplianceStatus::Unknown);
    }

    #[test]
    fn one_patch_that_is_wrong_makes_the_verdict_where_no_summary_is() {
        let good = json!({"PatchState": "Installed", "Status": "COMPLIANT"});
        let bad = json!({"PatchState": "Missing", "Status": "NON_COMPLIANT", "Severity": "HIGH",
            "Classification": "Security", "PatchBaselineId": "pb-1", "PatchGroup": "",
            "ExecutionTime": "2026-11-24T02:00:00Z"});
        assert_eq!(of(&patches(&json!({"a": good}))).status, ComplianceStatus::Compliant);
        let known = of(&patches(&json!([good, bad])));
        assert_eq!(known.status, ComplianceStatus::NonCompliant);
        assert_eq!(known.level, Some(ComplianceLevel::High));
        assert_eq!((known.counts.installed, known.counts.missing), (1, 1));
        assert_eq!((known.counts.security_non_compliant, known.counts.other_non_compliant), (1, 0));
        assert_eq!(known.baseline, Some("pb-1".parse().unwrap()));
        assert_eq!(known.group, None);
        assert_eq!(known.observed_at, Some("2026-11-24T02:00:00Z".parse().unwrap()));
    }

    #[test]
    fn text_that_is_no_record_is_an_error() {
        let node = "aws/111122223333/eu-west-1/i-01".parse().unwrap();
        assert!(read(node, "{").is_err());
    }
}
