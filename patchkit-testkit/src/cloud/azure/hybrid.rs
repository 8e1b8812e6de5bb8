//! Machines of Azure Arc.

use serde_json::{Value, json};

use super::{
    Call,
    error::ArmError,
    reply::{Reply, stamp_z},
    side, tags, vm, vm_view,
};
use crate::{
    cloud::world::{
        State,
        machine::{Agent, AzureKind, MachineIx},
        uuid,
    },
    rng::mix,
};

pub(super) const KIND: &str = "Microsoft.HybridCompute/machines";

pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let page = vm::Page::of(call)?;
    let state = &*call.state;
    let machines = vm::from_place(state, &call.scope, page.start)
        .filter(|(_, at)| side(state, *at).is_ok_and(|it| it.kind == AzureKind::Arc));
    let (machines, next) = page.cut(call, machines);
    let items = machines.into_iter().map(|at| document(state, at));
    Ok(Reply::list(items.collect::<Result<_, _>>()?, next))
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let at = vm::find_kind(call, KIND, call.name(1))?;
    Ok(Reply::ok(&document(call.state, at)?))
}

/// An Arc machine as it is read.
pub(super) fn document(state: &State, at: MachineIx) -> Result<Value, ArmError> {
    let (azure, machine, system) = (side(state, at)?, state.machine(at), state.system_of(at));
    let windows = system.is_windows();
    let connected = state.answers_azure(at);
    let draw = state.draw(at, 44);
    let key = if windows { "windowsConfiguration" } else { "linuxConfiguration" };
    let mut profile = json!({"computerName": machine.name});
    // What Arc writes has no platform settings: nothing must be set up before a schedule.
    profile[key] = json!({"patchSettings": {
        "assessmentMode": &*azure.patching.assessment_mode,
        "patchMode": &*azure.patching.patch_mode,
    }});
    Ok(json!({
        "id": state.vm_resource_id(azure),
        "name": azure.name,
        "type": KIND,
        "location": vm::location_of(state, azure),
        "tags": tags::document(&azure.tags),
        "properties": {
            "provisioningState": "Succeeded",
            "status": if connected { "Connected" } else { "Disconnected" },
            "lastStatusChange": stamp_z(if connected { machine.booted } else { azure.last_heard }),
            "agentVersion": if azure.agent == Agent::OldVersion { "1.18.02139.990" } else { "1.47.02963.2110" },
            // The id of the registration; the other one is that of the machine itself.
            "vmId": uuid(draw, mix(draw)),
            "vmUuid": azure.vm_id,
            "displayName": azure.name,
            "machineFqdn": format!("{}.corp.example.com", machine.name.to_lowercase()),
            "domainName": "corp.example.com",
            "osType": if windows { "windows" } else { "linux" },
            "osName": vm_view::os_name(system.name),
            "osSku": format!("{} {}", system.name, system.version),
            "osVersion": system.version,
            "osProfile": profile,
            "detectedProperties": {"cloudprovider": "N/A", "manufacturer": "VMware, Inc."},
        },
    }))
}
