//! Resource data syncs: which there are, and how they fare.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use patchkit_core::{ErrorKind, Result as Written};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{AwsError, Call, Operations, input, page::Page, seconds};
use crate::cloud::places::is_region;

pub(super) const OPERATIONS: Operations = &[
    ("CreateResourceDataSync", create),
    ("DeleteResourceDataSync", delete),
    ("ListResourceDataSync", list),
];

/// So many has an account in a Region at most (general reference, Systems Manager quotas).
const LIMIT: usize = 5;
const TO_DESTINATION: &str = "SyncToDestination";
const FROM_SOURCE: &str = "SyncFromSource";

/// By name.
#[derive(Debug, Default)]
pub(crate) struct Syncs(BTreeMap<Box<str>, Sync>);

#[derive(Debug)]
struct Sync {
    destination: Destination,
    created: Timestamp,
    last: Option<Timestamp>,
    last_good: Option<Timestamp>,
    failed: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    bucket_name: Box<str>,
    prefix: Option<Box<str>>,
    sync_format: Box<str>,
    region: Box<str>,
    #[serde(rename = "AWSKMSKeyARN")]
    key_arn: Option<Box<str>>,
    #[serde(rename = "DestinationDataSharing")]
    sharing: Option<Value>,
}

impl Syncs {
    pub(crate) fn names(&self) -> Vec<Box<str>> {
        self.0.keys().cloned().collect()
    }

    /// The bucket and the prefix of its keys.
    pub(crate) fn place(&self, name: &str) -> Option<(Box<str>, Box<str>)> {
        let destination = &self.0.get(name)?.destination;
        let prefix = destination.prefix.as_deref().unwrap_or_default().trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Some((destination.bucket_name.clone(), prefix.into()))
    }

    /// Notes how a node's objects were written.
    pub(crate) fn ended(&mut self, name: &str, at: Timestamp, result: Written<()>) {
        let Some(sync) = self.0.get_mut(name) else { return };
        sync.last = Some(at);
        match result {
            // The first sync is not successful before its last node.
            Ok(()) => sync.last_good = sync.last_good.map(|_| at),
            Err(error) => sync.failed = Some(error.to_string()),
        }
        if sync.last_good == Some(at) {
            sync.failed = None;
        }
    }

    /// Notes that the first sync is through.
    pub(crate) fn completed(&mut self, name: &str, at: Timestamp) {
        let Some(sync) = self.0.get_mut(name) else { return };
        sync.last = Some(at);
        if sync.failed.is_none() {
            sync.last_good = Some(at);
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    sync_name: Box<str>,
    s3_destination: Option<Destination>,
    sync_type: Option<String>,
    sync_source: Option<Value>,
}

fn create(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let Create { sync_name: name, s3_destination, sync_type, sync_source } = input(value)?;
    if sync_type.as_deref().is_some_and(|it| it != TO_DESTINATION) || sync_source.is_some() {
        return Err(invalid("Only syncs of the type SyncToDestination are simulated."));
    }
    let Some(destination) = s3_destination else {
        return Err(invalid("S3Destination is required where SyncType is SyncToDestination."));
    };
    let sharing = destination.sharing.as_ref();
    if sharing.is_some_and(|it| it["DestinationDataSharingType"] != "Organization") {
        return Err(invalid("DestinationDataSharingType must be Organization."));
    }
    if !is_region(&destination.region) {
        return Err(invalid(format!("{:?} is no Region.", destination.region)));
    }
    let now = call.state.now;
    let syncs = &mut call.here_mut().ssm.syncs.0;
    if syncs.contains_key(&name) {
        let error = "ResourceDataSyncAlreadyExistsException";
        let message = format!("Sync configuration with name {name} already exists.");
        return Err(AwsError::new(error, message).with_member("SyncName", &*name));
    }
    if syncs.len() >= LIMIT {
        let message = format!("You have exceeded the allowed maximum of {LIMIT} syncs.");
        return Err(AwsError::new("ResourceDataSyncCountExceededException", message));
    }
    let bucket = destination.bucket_name.clone();
    let sync = Sync { destination, created: now, last: None, last_good: None, failed: None };
    syncs.insert(name.clone(), sync);
    let scope = call.scope;
    let target = call.state.target_of(scope, &name);
    let tested = target.map(|target| call.state.write_test(scope, &target));
    if let Some(Err(error)) = tested {
        call.here_mut().ssm.syncs.0.remove(&name);
        return Err(invalid(match error.kind() {
            ErrorKind::NotFound => format!("The bucket {bucket} does not exist."),
            _ => format!("The bucket {bucket} cannot be written to: {}", error.message()),
        }));
    }
    call.state.write_all(scope, Some(name));
    Ok(json!({}))
}

fn list(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, 50)?;
    let wanted = match value["SyncType"].as_str() {
        None | Some(TO_DESTINATION) => true,
        Some(FROM_SOURCE) => false,
        Some(_) => return Err(invalid("SyncType must be SyncToDestination or SyncFromSource.")),
    };
    let (found, next) = page.cut(call.here().ssm.syncs.0.iter().filter(|_| wanted));
    let items = found.into_iter().map(|(name, sync)| {
        let Destination { bucket_name, prefix, sync_format, region, key_arn, sharing } =
            &sync.destination;
        json!({
            "SyncName": name,
            "SyncType": TO_DESTINATION,
            "S3Destination": {
                "BucketName": bucket_name,
                "Prefix": prefix,
                "SyncFormat": sync_format,
                "Region": region,
                "AWSKMSKeyARN": key_arn,
                "DestinationDataSharing": sharing,
            },
            "LastSyncTime": sync.last.map(seconds),
            "LastSuccessfulSyncTime": sync.last_good.map(seconds),
            "SyncLastModifiedTime": seconds(sync.created),
            "LastStatus": match (&sync.failed, sync.last_good) {
                (Some(_), _) => "Failed",
                (None, Some(_)) => "Successful",
                (None, None) => "InProgress",
            },
            "SyncCreatedTime": seconds(sync.created),
            "LastSyncStatusMessage": sync.failed,
        })
    });
    Ok(json!({"ResourceDataSyncItems": items.collect::<Vec<_>>(), "NextToken": next}))
}

fn delete(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let name = value["SyncName"].as_str().unwrap_or_default();
    if call.here_mut().ssm.syncs.0.remove(name).is_none() {
        let error = "ResourceDataSyncNotFoundException";
        let message = format!("Sync name {name} not found.");
        return Err(AwsError::new(error, message).with_member("SyncName", name));
    }
    // What it wrote stays (user guide, "Working with resource data sync").
    Ok(json!({}))
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("ResourceDataSyncInvalidConfigurationException", message)
}
