//! Service settings, with the one by which instances need no profile.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::{AwsError, Call, Operations, seconds};
use crate::cloud::world::machine::MachineIx;

pub(super) const OPERATIONS: Operations =
    &[("GetServiceSetting", get), ("ResetServiceSetting", reset), ("UpdateServiceSetting", update)];

/// Default Host Management Configuration: the role of instances that have no profile.
const HOST_ROLE: &str = "/ssm/managed-instance/default-ec2-instance-management-role";
/// What the service says where there is no value.
const NONE: &str = "$None";

/// The settings with their defaults and, where there are few, their values (botocore ssm model,
/// `UpdateServiceSetting`).
const KNOWN: [(&str, &str, &[&str]); 10] = [
    ("/ssm/appmanager/appmanager-enabled", "False", &["True", "False"]),
    ("/ssm/automation/customer-script-log-destination", NONE, &["CloudWatch"]),
    ("/ssm/automation/customer-script-log-group-name", NONE, &[]),
    ("/ssm/automation/enable-adaptive-concurrency", "False", &["True", "False"]),
    ("/ssm/documents/console/public-sharing-permission", "Enable", &["Enable", "Disable"]),
    ("/ssm/managed-instance/activation-tier", "standard", &["standard", "advanced"]),
    (HOST_ROLE, NONE, &[]),
    ("/ssm/opsinsights/opscenter", "Disabled", &["Enabled", "Disabled"]),
    (
        "/ssm/parameter-store/default-parameter-tier",
        "Standard",
        &["Standard", "Advanced", "Intelligent-Tiering"],
    ),
    ("/ssm/parameter-store/high-throughput-enabled", "false", &["true", "false"]),
];

/// What was set, by the setting's id.
#[derive(Debug, Default)]
pub(crate) struct Settings(BTreeMap<&'static str, Set>);

#[derive(Debug)]
struct Set {
    value: String,
    at: Timestamp,
    /// An ARN.
    by: String,
}

type Known = (&'static str, &'static str, &'static [&'static str]);

/// The setting of an input, which may be named by its ARN.
fn setting(value: &Value) -> Result<Known, AwsError> {
    let id = value["SettingId"].as_str().unwrap_or_default();
    let path = id.split_once(":servicesetting").map_or(id, |(_, path)| path);
    KNOWN.into_iter().find(|(known, ..)| *known == path).ok_or_else(|| {
        AwsError::new("ServiceSettingNotFound", format!("Service setting {id} does not exist."))
    })
}

fn get(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    Ok(json!({"ServiceSetting": shown(call, setting(&value)?)}))
}

fn shown(call: &Call<'_>, (id, default, _): Known) -> Value {
    let arn = format!("arn:aws:ssm:{}:{}:servicesetting{id}", call.region(), call.account_id());
    let set = call.here().ssm.settings.0.get(id);
    json!({
        "SettingId": id,
        "SettingValue": set.map_or(default, |it| &it.value),
        "LastModifiedDate": set.map(|it| seconds(it.at)),
        "LastModifiedUser": set.map(|it| &it.by),
        "ARN": arn,
        "Status": if set.is_some() { "Customized" } else { "Default" },
    })
}

fn update(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let (id, _, values) = setting(&value)?;
    let new = value["SettingValue"].as_str().unwrap_or_default();
    if !values.is_empty() && !values.contains(&new) {
        let message = format!("{new} is not a value of {id}. Use one of: {}", values.join(", "));
        return Err(AwsError::validation(message));
    }
    let set = Set { value: new.to_owned(), at: call.state.now, by: call.caller.arn.clone() };
    let here = call.here_mut();
    here.ssm.settings.0.insert(id, set);
    if id == HOST_ROLE {
        // A role that is not there lets no one in: the setting takes any (its path goes before the
        // name: user guide, "Managing EC2 instances automatically with Default Host Management
        // Configuration").
        let name = new.rsplit('/').next().filter(|_| new != NONE);
        here.default_host_role = name.map(Into::into);
        review(call);
    }
    Ok(json!({}))
}

fn reset(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let known = setting(&value)?;
    let here = call.here_mut();
    here.ssm.settings.0.remove(known.0);
    if known.0 == HOST_ROLE {
        here.default_host_role = None;
        review(call);
    }
    Ok(json!({"ServiceSetting": shown(call, known)}))
}

/// Looks again at the Region's agents: the role of those without a profile is another.
fn review(call: &mut Call<'_>) {
    let all: Vec<MachineIx> = call.here().machines.clone();
    for at in all {
        call.state.review_agent(at);
    }
}
