//! DescribeInstanceProperties: what the console shows of managed nodes.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{AwsError, Call, Operations, input, page::Page, seconds},
    filter::Test,
    nodes::information,
};
use crate::cloud::world::{
    State,
    machine::{AwsKind, MachineIx, Power},
};

pub(super) const OPERATIONS: Operations =
    &[("DescribeInstanceProperties", describe_instance_properties)];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(default)]
    filters_with_operator: Vec<Filter>,
    #[serde(default)]
    instance_property_filter_list: Vec<Filter>,
}

#[derive(Deserialize)]
struct Filter {
    #[serde(alias = "Key")]
    key: String,
    #[serde(alias = "Values", alias = "valueSet")]
    values: Vec<String>,
    #[serde(alias = "Operator")]
    operator: Option<String>,
}

/// What the filters know, by the member of the answer that holds it.
const KEYS: [(&str, &str); 14] = [
    ("ActivationIds", "ActivationId"),
    ("AgentVersion", "AgentVersion"),
    ("AssociationStatus", "AssociationStatus"),
    ("AvailabilityZone", "AvailabilityZone"),
    ("ComputerName", "ComputerName"),
    ("IamRole", "IamRole"),
    ("InstanceIds", "InstanceId"),
    ("InstanceState", "InstanceState"),
    ("InstanceType", "InstanceType"),
    ("Name", "Name"),
    ("PingStatus", "PingStatus"),
    ("PlatformName", "PlatformName"),
    ("PlatformTypes", "PlatformType"),
    ("ResourceType", "ResourceType"),
];

fn describe_instance_properties(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, 50)?;
    let Input { filters_with_operator, instance_property_filter_list } = input(value)?;
    let mut filters = Vec::new();
    for Filter { key, values, operator } in
        filters_with_operator.into_iter().chain(instance_property_filter_list)
    {
        let Some((name, member)) = KEYS.into_iter().find(|(name, _)| *name == key) else {
            let message = format!("{key} is not a valid filter key.");
            return Err(AwsError::new("InvalidFilterKey", message));
        };
        let unknown = |id: &&String| call.state.find(call.scope, id).is_none();
        if name == "InstanceIds"
            && let Some(id) = values.iter().find(unknown)
        {
            let message = format!("The instance ID '{id}' is not valid or not yours.");
            return Err(AwsError::new("InvalidInstanceId", message));
        }
        filters.push((member, Test::read(operator.as_deref()), values));
    }
    let state = &*call.state;
    let region = call.region();
    let shown = call.here().machines.iter().filter_map(|at| {
        // Stopped instances are shown: that is what InstanceState is for. Of a hybrid node nobody tells
        // the service that it is gone.
        let machine = state.machine(*at);
        let instance = machine.aws.as_ref().is_some_and(|it| matches!(it.side, AwsKind::Ec2(_)));
        let gone = instance && machine.power == Power::Terminated || !state.is_managed(*at);
        if gone { None } else { properties(state, *at, region) }
    });
    let passing = shown.filter(|node| {
        filters.iter().all(|(member, test, values)| {
            test.lets(node[*member].as_str().unwrap_or_default(), values)
        })
    });
    let (list, next) = page.cut(passing);
    Ok(json!({"InstanceProperties": list, "NextToken": next}))
}

fn properties(state: &State, at: MachineIx, region: &str) -> Option<Value> {
    let mut value = information(state, at)?;
    let machine = state.machine(at);
    let aws = machine.aws.as_ref()?;
    if let Some(members) = value.as_object_mut() {
        members.remove("IsLatestVersion");
    }
    value["Architecture"] = json!("x86_64");
    if let AwsKind::Ec2(ec2) = &aws.side {
        let name = aws.tags.iter().find(|(key, _)| **key == *"Name").map(|(_, name)| &**name);
        value["Name"] = json!(name);
        value["InstanceType"] = json!(ec2.kind);
        value["InstanceState"] = json!(instance_state(machine.power));
        value["AvailabilityZone"] = json!(format!("{region}{}", ec2.zone));
        value["InstanceRole"] = json!(ec2.profile.as_ref().map(|it| &*it.profile));
        value["LaunchTime"] = seconds(ec2.launched);
    }
    Some(value)
}

fn instance_state(power: Power) -> &'static str {
    match power {
        Power::Starting => "pending",
        Power::Running => "running",
        Power::Stopping | Power::Deallocating => "stopping",
        Power::Stopped | Power::Deallocated => "stopped",
        Power::Terminated => "terminated",
    }
}
