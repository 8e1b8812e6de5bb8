//! Instances of EC2 and nodes of Systems Manager as managed nodes.

use aws_sdk_ssm::types::{InstanceInformation, PingStatus, ResourceType};
use jiff::Timestamp;
use patchkit_core::{
    ManagedNode, NodeId, NodeOrigin, NodeStatus, OperatingSystem, PowerState, Reachability, Tags,
    UnmanagedReason,
};

use super::timestamp;

pub(crate) fn reachability(ping: Option<&PingStatus>) -> Reachability {
    match ping {
        Some(PingStatus::Online) => Reachability::Online,
        Some(PingStatus::ConnectionLost) => Reachability::Lost,
        Some(PingStatus::Inactive) => Reachability::Inactive,
        _ => Reachability::Unknown,
    }
}

pub(crate) fn operating_system(info: &InstanceInformation) -> Option<OperatingSystem> {
    let version = info.platform_version().unwrap_or_default();
    let name = info.platform_name().filter(|name| !name.is_empty())?;
    Some(OperatingSystem::from_platform(name, version))
}

/// What Systems Manager tells of a node; its tags, and the power of an instance, are told elsewhere.
pub(crate) fn managed(id: NodeId, info: &InstanceInformation, at: Timestamp) -> ManagedNode {
    let mut node = ManagedNode::new(id, OperatingSystem::Other("unknown".into()), at);
    if info.resource_type() == Some(&ResourceType::ManagedInstance) {
        node.origin = NodeOrigin::Hybrid;
    }
    add_information(&mut node, info);
    node
}

/// Adds what a node's agent told.
pub(crate) fn add_information(node: &mut ManagedNode, info: &InstanceInformation) {
    // The name of a hybrid node is its activation's, the same for all of them; the computer's own
    // tells them apart.
    if name_tag(&node.tags).is_none() {
        node.name = info.computer_name().or(info.name()).map(str::to_owned);
    }
    if let Some(system) = operating_system(info) {
        node.operating_system = system;
    }
    node.platform_version = info.platform_version().map(str::to_owned);
    if !node.power.is_off() && node.power != PowerState::Terminated {
        node.reachability = reachability(info.ping_status());
    }
    node.unmanaged = unmanaged(info, node.power);
    node.agent_version = info.agent_version().map(str::to_owned);
    node.identity.computer_name = info.computer_name().map(str::to_owned);
    node.identity.ip_addresses =
        info.ip_address().and_then(|at| at.parse().ok()).into_iter().collect();
}

/// Why a registered agent does not answer: its last ping is when it was heard.
fn unmanaged(info: &InstanceInformation, power: PowerState) -> Option<UnmanagedReason> {
    let told = UnmanagedReason::of(power, reachability(info.ping_status()))?;
    Some(match told {
        UnmanagedReason::Silent { .. } => {
            UnmanagedReason::Silent { since: info.last_ping_date_time().and_then(timestamp) }
        }
        other => other,
    })
}

/// The power of a node of which Systems Manager alone was asked. A hybrid one's is not AWS's to
/// know, and an instance's is EC2's.
pub(crate) fn status(info: &InstanceInformation, power: PowerState, at: Timestamp) -> NodeStatus {
    let mut status = NodeStatus::new(power, reachability(info.ping_status()), at);
    status.agent_version = info.agent_version().map(str::to_owned);
    status
}

/// Adds a node's tags; its `Name` is its name.
pub(crate) fn set_tags(node: &mut ManagedNode, tags: Tags) {
    if let Some(name) = name_tag(&tags) {
        node.name = Some(name.clone());
    }
    node.tags = tags;
}

fn name_tag(tags: &Tags) -> Option<&String> {
    tags.get("Name").filter(|name| !name.is_empty())
}

#[cfg(feature = "ec2")]
mod instance {
    use aws_sdk_ec2::types::{Instance, InstanceStateName};

    use super::{
        ManagedNode, NodeId, OperatingSystem, PowerState, Reachability, Tags, Timestamp,
        UnmanagedReason, set_tags, timestamp,
    };

    pub(crate) fn power(instance: &Instance) -> PowerState {
        match instance.state().and_then(|state| state.name()) {
            Some(InstanceStateName::Pending) => PowerState::Starting,
            Some(InstanceStateName::Running) => PowerState::Running,
            Some(InstanceStateName::Stopping) => PowerState::Stopping,
            Some(InstanceStateName::Stopped) => PowerState::Stopped,
            Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated) => {
                PowerState::Terminated
            }
            _ => PowerState::Unknown,
        }
    }

    pub(crate) fn tags(instance: &Instance) -> Tags {
        let pair = |tag: &aws_sdk_ec2::types::Tag| {
            Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()))
        };
        instance.tags().iter().filter_map(pair).collect()
    }

    /// What EC2 bills an instance as: the best that it knows of an instance whose agent has said
    /// nothing.
    fn billed_as(instance: &Instance) -> OperatingSystem {
        match instance.platform_details() {
            Some(details) if details.starts_with("Windows") => OperatingSystem::Windows,
            Some(details) if details.starts_with("Red Hat") => {
                OperatingSystem::RedHatEnterpriseLinux
            }
            Some(details) if details.starts_with("SUSE") => OperatingSystem::Suse,
            Some(details) if details.starts_with("Ubuntu") => OperatingSystem::Ubuntu,
            Some(details) if !details.is_empty() => OperatingSystem::Other(details.into()),
            _ => OperatingSystem::Other("unknown".into()),
        }
    }

    /// Why Systems Manager does not know an instance.
    fn unregistered(instance: &Instance, power: PowerState) -> Option<UnmanagedReason> {
        Some(match UnmanagedReason::of(power, Reachability::Unknown)? {
            UnmanagedReason::Unknown if power == PowerState::Running => {
                match instance.iam_instance_profile() {
                    None => UnmanagedReason::NoIdentity,
                    // It is set anew with each start (EC2 API reference, Instance).
                    Some(_) => UnmanagedReason::NotRegistered {
                        running_since: instance.launch_time().and_then(timestamp),
                    },
                }
            }
            other => other,
        })
    }

    /// What EC2 tells of an instance. [`add_information`](super::add_information) adds what its
    /// agent told.
    pub(crate) fn instance(id: NodeId, instance: &Instance, at: Timestamp) -> ManagedNode {
        let mut node = ManagedNode::new(id, billed_as(instance), at);
        node.power = power(instance);
        if node.power.is_off() || node.power == PowerState::Terminated {
            node.reachability = Reachability::Inactive;
        }
        node.unmanaged = unregistered(instance, node.power);
        let zone = instance.placement().and_then(|place| place.availability_zone());
        node.zone = zone.map(str::to_owned);
        set_tags(&mut node, tags(instance));
        node
    }
}
#[cfg(feature = "ec2")]
pub(crate) use instance::{instance, power, tags};
