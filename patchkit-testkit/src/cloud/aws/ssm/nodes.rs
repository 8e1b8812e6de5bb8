//! Managed nodes: DescribeInstanceInformation, and which nodes there are.

mod filters;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use self::filters::Filters;
use super::{
    super::{
        AwsError, Call, Operations,
        page::{Page, answer},
        seconds,
    },
    associations::Standing,
};
use crate::cloud::world::{
    State,
    machine::{AwsKind, MachineIx, Power},
    populate::CURRENT_AGENT,
};

pub(super) const OPERATIONS: Operations =
    &[("DescribeInstanceInformation", describe_instance_information)];

fn describe_instance_information(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    // botocore ssm model: "The default value is 10 items".
    let page = Page::of(call, &input, 10)?;
    let filters = Filters::read(call, &input)?;
    let state = &*call.state;
    let passing = |at: &MachineIx| state.is_listed(*at) && filters.let_pass(state, *at);
    let (nodes, next) = match filters.named(state, call.scope) {
        Some(named) => page.cut(named.into_iter().filter(passing)),
        None => page.cut(call.here().machines.iter().copied().filter(passing)),
    };
    let list: Vec<Value> = nodes.into_iter().filter_map(|at| information(state, at)).collect();
    Ok(answer("InstanceInformationList", list, next))
}

impl State {
    /// What DescribeInstanceInformation lists: managed nodes, but for stopped and terminated
    /// instances (API reference, DescribeInstanceInformation). Of a hybrid node nobody tells the
    /// service that it is off: its connection is lost.
    pub(crate) fn is_listed(&self, at: MachineIx) -> bool {
        self.is_managed(at) && !self.known_power(at).is_some_and(Power::is_off)
    }

    /// The power of a node, as far as the service knows: EC2 tells it of instances, and of hybrid nodes
    /// nobody does.
    pub(super) fn known_power(&self, at: MachineIx) -> Option<Power> {
        let machine = self.machine(at);
        let aws = machine.aws.as_ref()?;
        matches!(aws.side, AwsKind::Ec2(_)).then_some(machine.power)
    }

    /// Whether a machine has ever been a managed node here: what the inventory knows of.
    pub(crate) fn is_managed(&self, at: MachineIx) -> bool {
        self.machine(at).aws.as_ref().is_some_and(|aws| aws.registered.is_some())
    }

    /// The managed node with an id of the caller's Region.
    pub(super) fn managed(&self, call: &Call<'_>, id: &str) -> Option<MachineIx> {
        self.find(call.scope, id).filter(|at| self.is_managed(*at))
    }

    pub(super) fn ping_status(&self, at: MachineIx) -> &'static str {
        if self.answers(at) { "Online" } else { "ConnectionLost" }
    }
}

/// What DescribeInstanceInformation and DescribeInstanceProperties both say of a node.
pub(super) fn information(state: &State, at: MachineIx) -> Option<Value> {
    let machine = state.machine(at);
    let aws = machine.aws.as_ref()?;
    let system = state.system_of(at);
    let heard = if state.answers(at) { state.now } else { aws.last_heard };
    let mut value = json!({
        "InstanceId": aws.id,
        "PingStatus": state.ping_status(at),
        "LastPingDateTime": seconds(heard),
        "AgentVersion": &*aws.agent_version,
        "IsLatestVersion": *aws.agent_version == *CURRENT_AGENT,
        "PlatformType": system.platform_type(),
        "PlatformName": system.name,
        "PlatformVersion": system.version,
        "IPAddress": machine.address(),
        "ComputerName": state.computer_name(at),
        "SourceId": aws.id,
        "ResourceType": aws.side.resource_type(),
        "SourceType": source_type(&aws.side),
    });
    if let AwsKind::Hybrid(hybrid) = &aws.side {
        value["Name"] = json!(&*hybrid.given_name);
        value["IamRole"] = json!(&*hybrid.role);
        value["ActivationId"] = json!(&*hybrid.activation);
        value["RegistrationDate"] = aws.registered.map_or(Value::Null, seconds);
    }
    if let Some(standing) = Standing::of(state, aws.scope, &aws.id) {
        standing.describe(&mut value);
    }
    Some(value)
}

fn source_type(side: &AwsKind) -> &'static str {
    match side {
        AwsKind::Ec2(_) => "AWS::EC2::Instance",
        AwsKind::Hybrid(_) => "AWS::SSM::ManagedInstance",
    }
}
