//! The recorder: each account has one in each Region, which records everything.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{AwsError, Call, Operations, seconds, texts};
use crate::{cloud::world::clock::earlier, rng::mix};

pub(super) const OPERATIONS: Operations = &[
    ("DescribeConfigurationRecorderStatus", describe_configuration_recorder_status),
    ("DescribeConfigurationRecorders", describe_configuration_recorders),
];

const NAME: &str = "default";

fn describe_configuration_recorders(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let account = call.account_id();
    let role = format!(
        "arn:aws:iam::{account}:role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig"
    );
    let recorder = json!({
        "arn": arn(call),
        "name": NAME,
        "roleARN": role,
        "recordingGroup": {
            "allSupported": true,
            "includeGlobalResourceTypes": true,
            "resourceTypes": [],
            "exclusionByResourceTypes": {"resourceTypes": []},
            "recordingStrategy": {"useOnly": "ALL_SUPPORTED_RESOURCE_TYPES"},
        },
        "recordingMode": {"recordingFrequency": "CONTINUOUS", "recordingModeOverrides": []},
        "recordingScope": "PAID",
    });
    let found = is_asked(call, &input)?.then_some(recorder);
    Ok(json!({"ConfigurationRecorders": Vec::from_iter(found)}))
}

fn describe_configuration_recorder_status(
    call: &mut Call<'_>,
    input: Value,
) -> Result<Value, AwsError> {
    let status = json!({
        "arn": arn(call),
        "name": NAME,
        "recording": true,
        "lastStatus": "Success",
        "lastStartTime": seconds(earlier(call.state.now, Duration::from_hours(400 * 24))),
        "lastStatusChangeTime": seconds(earlier(call.state.now, Duration::from_mins(10))),
    });
    let found = is_asked(call, &input)?.then_some(status);
    Ok(json!({"ConfigurationRecordersStatus": Vec::from_iter(found)}))
}

fn arn(call: &Call<'_>) -> String {
    let (region, account) = (call.region(), call.account_id());
    let id = mix(call.state.seed ^ mix(u64::from(call.scope.0))) & 0xFFFF_FFFF;
    format!("arn:aws:config:{region}:{account}:configuration-recorder/{NAME}/{id:016x}")
}

/// Whether the one recorder is among those that are asked for.
fn is_asked(call: &Call<'_>, input: &Value) -> Result<bool, AwsError> {
    let missing = |name: &str| {
        let message =
            format!("Cannot find configuration recorder with the specified name '{name}'.");
        AwsError::new("NoSuchConfigurationRecorderException", message)
    };
    let names = texts(&input["ConfigurationRecorderNames"]);
    if let Some(other) = names.iter().find(|name| *name != NAME) {
        return Err(missing(other));
    }
    if let Some(other) = input["Arn"].as_str().filter(|it| *it != arn(call)) {
        return Err(missing(other));
    }
    // The recorder is the customer's own, and of no service.
    Ok(input["ServicePrincipal"].is_null())
}
