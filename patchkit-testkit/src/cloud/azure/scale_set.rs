//! Scale sets: uniform ones hold machines of their own, flexible ones are a bond of VMs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Call,
    error::ArmError,
    reply::{Reply, stamp},
    router::Scope,
    side,
    store::{Mode, ScaleSet},
    tags, vm, vm_view,
};
use crate::cloud::world::{
    State,
    machine::{AzureKind, MachineIx},
};

const KIND: &str = "Microsoft.Compute/virtualMachineScaleSets";

pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let here = |set: &&ScaleSet| match call.scope {
        Scope::Subscription(at) => set.subscription == at,
        Scope::Group(at, group) => set.subscription == at && set.group == group,
        _ => false,
    };
    let sets = call.state.azure.sets.values().filter(here);
    Ok(Reply::list(sets.map(|set| document(call.state, set)).collect(), None))
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::ok(&document(call.state, find(call)?)))
}

/// Every scale set as it is read.
pub(super) fn documents(state: &State) -> Vec<Value> {
    state.azure.sets.values().map(|set| document(state, set)).collect()
}

/// The scale set that the path names.
fn find<'c>(call: &'c Call<'_>) -> Result<&'c ScaleSet, ArmError> {
    let name = call.name(1);
    let Scope::Group(subscription, group) = call.scope else {
        return Err(ArmError::resource(KIND, name, ""));
    };
    let id = call.state.set_id(subscription, group, name).to_lowercase();
    call.state.azure.sets.get(id.as_str()).ok_or_else(|| {
        let group = call.state.group_id(subscription, group);
        ArmError::resource(KIND, name, group.rsplit('/').next().unwrap_or_default())
    })
}

/// The instance of a uniform set, or the VM of a flexible one, that the path names.
pub(super) fn find_member(call: &Call<'_>) -> Result<MachineIx, ArmError> {
    let set = find(call)?;
    let wanted = call.name(3);
    let is_it = |at: &&MachineIx| {
        side(call.state, **at).is_ok_and(|azure| match &azure.kind {
            AzureKind::Uniform { instance, .. } => wanted == instance.to_string(),
            _ => azure.name.eq_ignore_ascii_case(wanted),
        })
    };
    set.members.iter().find(is_it).copied().ok_or_else(|| {
        ArmError::not_found(
            "NotFound",
            format!(
                "The entity was not found in this Azure location: instance '{wanted}' of '{}'.",
                set.name,
            ),
        )
    })
}

fn document(state: &State, set: &ScaleSet) -> Value {
    let size = set.members.first().map(|at| vm::size(state, *at));
    let id = state.set_id(set.subscription, set.group, &set.name);
    let seed = id.bytes().fold(state.seed, |sum, byte| crate::rng::mix(sum ^ u64::from(byte)));
    let created = set.members.iter().map(|at| state.machine(*at).created).min();
    let mut properties = json!({
        "orchestrationMode": set.mode.name(),
        "provisioningState": "Succeeded",
        "uniqueId": crate::cloud::world::uuid(seed, 9),
        "singlePlacementGroup": false,
        "platformFaultDomainCount": 1,
        "timeCreated": created.map(stamp),
    });
    if set.mode == Mode::Uniform {
        properties["overprovision"] = json!(false);
        properties["upgradePolicy"] = json!({"mode": "Manual"});
    }
    let group = state.subscription(set.subscription).groups.get(usize::from(set.group));
    json!({
        "name": set.name,
        "id": id,
        "type": KIND,
        "location": group.map(|it| &*it.location),
        "tags": tags::document(&set.tags),
        "sku": {"name": size, "tier": "Standard", "capacity": set.members.len()},
        "properties": properties,
    })
}

pub(super) fn view(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let set = find(call)?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for at in &set.members {
        let [word, _] = vm_view::power(call.state.machine(*at).power);
        *counts.entry("ProvisioningState/succeeded".to_owned()).or_default() += 1;
        *counts.entry(format!("PowerState/{word}")).or_default() += 1;
    }
    let summary: Vec<_> =
        counts.iter().map(|(code, count)| json!({"code": code, "count": count})).collect();
    Ok(Reply::ok(&json!({
        "virtualMachine": {"statusesSummary": summary},
        "statuses": [{
            "code": "ProvisioningState/succeeded",
            "level": "Info",
            "displayStatus": "Provisioning succeeded",
        }],
    })))
}

pub(super) fn members(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    if call.ask.parameter("$filter").is_some_and(|it| !it.is_empty()) {
        return Err(ArmError::parameter("$filter", "The simulator does not model this filter."));
    }
    let detail = vm::Detail::of(call);
    let set = find(call)?;
    let page = vm::Page::of(call)?;
    let places = (page.start..).zip(set.members.iter().skip(page.start).copied());
    let (machines, next) = page.cut(call, places);
    let items = machines.into_iter().map(|at| member_of(call.state, set, at, detail));
    Ok(Reply::list(items.collect::<Result<_, _>>()?, next))
}

pub(super) fn member(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let at = find_member(call)?;
    let detail = vm::Detail::of(call);
    Ok(Reply::ok(&member_of(call.state, find(call)?, at, detail)?))
}

pub(super) fn member_view(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let at = find_member(call)?;
    Ok(Reply::ok(&view_of(call.state, at)?))
}

fn view_of(state: &State, at: MachineIx) -> Result<Value, ArmError> {
    let mut view = vm_view::common(state, at)?;
    if state.answers_azure(at) {
        let system = state.system_of(at);
        view["computerName"] = json!(&*state.machine(at).name);
        view["osName"] = json!(vm_view::os_name(system.name));
        view["osVersion"] = json!(system.version);
    }
    Ok(view)
}

fn member_of(
    state: &State,
    set: &ScaleSet,
    at: MachineIx,
    detail: vm::Detail,
) -> Result<Value, ArmError> {
    let azure = side(state, at)?;
    // Seen through its flexible set, a VM's instance id is its name.
    let (instance, name) = match &azure.kind {
        AzureKind::Uniform { instance, .. } => {
            (instance.to_string(), format!("{}_{instance}", set.name))
        }
        _ => (azure.name.to_string(), azure.name.to_string()),
    };
    let mut properties = vm::properties(state, at)?;
    properties["latestModelApplied"] = json!(true);
    if detail == vm::Detail::InstanceView {
        properties["instanceView"] = view_of(state, at)?;
    }
    let id = state.set_id(set.subscription, set.group, &set.name);
    Ok(json!({
        "name": name,
        "id": format!("{id}/virtualMachines/{instance}"),
        "type": format!("{KIND}/virtualMachines"),
        "location": vm::location_of(state, azure),
        "tags": tags::document(&azure.tags),
        "instanceId": instance,
        "sku": {"name": properties["hardwareProfile"]["vmSize"], "tier": "Standard"},
        "properties": properties,
    }))
}
