//! What two control planes tell of one machine, as one.

use super::{HostLink, Link, MachineLink};
use crate::{
    ManagedNode, NodeStatus, PATCH_GROUP_TAGS, PowerState, Reachability, Tags, UnmanagedReason,
};

/// The patched node with what its host knows of it.
pub(super) fn nodes(mut patched: ManagedNode, host: ManagedNode, link: &Link) -> ManagedNode {
    let mut conflicts = Tags::new();
    for (name, value) in host.tags {
        // The patching service reads the groups off its own tags alone.
        if PATCH_GROUP_TAGS.contains(&name.as_str()) {
            continue;
        }
        match patched.tags.get(&name) {
            None => {
                patched.tags.insert(name, value);
            }
            Some(own) if *own != value => {
                conflicts.insert(name, value);
            }
            Some(_) => {}
        }
    }
    patched.power = host.power;
    patched.reachability = reachability(patched.reachability, host.power);
    patched.unmanaged = match patched.unmanaged {
        _ if host.power.is_off() => UnmanagedReason::of(host.power, patched.reachability),
        told => told,
    };
    patched.name = patched.name.or(host.name);
    patched.zone = patched.zone.or(host.zone);
    patched.resource_groups.extend(host.resource_groups);
    patched.observed_at = patched.observed_at.min(host.observed_at);
    let told = host.identity;
    patched.identity.vm_id = told.vm_id.or(patched.identity.vm_id);
    patched.identity.smbios_uuid = told.smbios_uuid.or(patched.identity.smbios_uuid);
    patched.identity.resource_id = told.resource_id.or(patched.identity.resource_id);
    patched.identity.computer_name = patched.identity.computer_name.or(told.computer_name);
    patched.identity.ip_addresses.extend(told.ip_addresses);
    patched.link = Some(MachineLink::Host(HostLink {
        host: host.id,
        vm_id: link.vm_id,
        evidence: link.evidence.clone(),
        conflicts,
        schedules: host.schedules,
    }));
    patched
}

/// The status of a machine: power from its host, the rest from its agent.
pub(super) fn statuses(mut patched: NodeStatus, host: NodeStatus) -> NodeStatus {
    patched.reachability = reachability(patched.reachability, host.power);
    patched.power = host.power;
    patched.booted_at = patched.booted_at.max(host.booted_at);
    patched.observed_at = patched.observed_at.min(host.observed_at);
    patched.problem = patched.problem.or(host.problem);
    patched
}

/// Systems Manager calls an agent online for minutes after its machine has gone off.
fn reachability(told: Reachability, power: PowerState) -> Reachability {
    if power.is_off() || power == PowerState::Terminated { Reachability::Inactive } else { told }
}
