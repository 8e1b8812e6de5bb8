//! Managed nodes: DescribeInstanceInformation and its kin.

use serde_json::{Value, json};

use super::super::{AwsError, Call, Operations, page::Page, seconds};
use crate::cloud::world::{
    State,
    machine::{AwsKind, MachineIx},
};

pub(super) const OPERATIONS: Operations =
    &[("DescribeInstanceInformation", describe_instance_information)];

fn describe_instance_information(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    // The service's own default.
    let page = Page::of(call, &input, 10)?;
    let state = &*call.state;
    // Stopped and terminated nodes are not listed (API reference, DescribeInstanceInformation).
    let managed = call.here().machines.iter().copied().filter(|at| state.is_listed(*at));
    let (nodes, next) = page.cut(managed);
    let list: Vec<Value> = nodes.into_iter().filter_map(|at| information(state, at)).collect();
    Ok(json!({"InstanceInformationList": list, "NextToken": next}))
}

impl State {
    /// Whether a node is managed and running: what DescribeInstanceInformation lists.
    fn is_listed(&self, at: MachineIx) -> bool {
        let machine = self.machine(at);
        !machine.power.is_off() && machine.aws.as_ref().is_some_and(|aws| aws.registered.is_some())
    }
}

fn information(state: &State, at: MachineIx) -> Option<Value> {
    let machine = state.machine(at);
    let aws = machine.aws.as_ref()?;
    let system = state.system_of(at);
    let online = state.answers(at);
    let heard = if online { state.now } else { aws.last_heard };
    let mut value = json!({
        "InstanceId": aws.id,
        "PingStatus": if online { "Online" } else { "ConnectionLost" },
        "LastPingDateTime": seconds(heard),
        "AgentVersion": &*aws.agent_version,
        "PlatformType": if system.is_windows() { "Windows" } else { "Linux" },
        "PlatformName": system.name,
        "PlatformVersion": system.version,
        "IPAddress": machine.address(),
        "ComputerName": machine.name,
        "SourceId": aws.id,
    });
    match &aws.side {
        AwsKind::Ec2(_) => {
            value["ResourceType"] = json!("EC2Instance");
            value["SourceType"] = json!("AWS::EC2::Instance");
        }
        AwsKind::Hybrid(hybrid) => {
            value["ResourceType"] = json!("ManagedInstance");
            value["SourceType"] = json!("AWS::SSM::ManagedInstance");
            value["Name"] = json!(&*hybrid.given_name);
            value["IamRole"] = json!(&*hybrid.role);
            value["ActivationId"] = json!(&*hybrid.activation);
            value["RegistrationDate"] = aws.registered.map_or(Value::Null, seconds);
        }
    }
    Some(value)
}
