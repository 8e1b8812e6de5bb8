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
        machine::{Agent, AzureKind, AzureSide, MachineIx},
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
    let azure = side(state, at)?;
    Ok(json!({
        "id": state.vm_resource_id(azure),
        "name": azure.name,
        "type": KIND,
        "location": vm::location_of(state, azure),
        "tags": tags::document(&azure.tags),
        "properties": shown(state, at, azure),
    }))
}

pub(super) const PROPERTIES: [&str; 16] = [
    "provisioningState",
    "status",
    "lastStatusChange",
    "agentVersion",
    "vmId",
    "vmUuid",
    "displayName",
    "machineFqdn",
    "domainName",
    "osType",
    "osName",
    "osSku",
    "osVersion",
    "osProfile",
    "detectedProperties",
    "networkProfile",
];

/// The properties of an Arc machine.
pub(super) fn shown(state: &State, at: MachineIx, azure: &AzureSide) -> Value {
    let one = |name: &str| Some((name.to_owned(), property(state, at, azure, name)?));
    Value::Object(PROPERTIES.into_iter().filter_map(one).collect())
}

/// One property of an Arc machine; none where it has none of this name.
fn property(state: &State, at: MachineIx, azure: &AzureSide, name: &str) -> Option<Value> {
    let (machine, system) = (state.machine(at), state.system_of(at));
    let (windows, connected) = (system.is_windows(), || state.answers_azure(at));
    Some(match name {
        "provisioningState" => json!("Succeeded"),
        "status" => json!(if connected() { "Connected" } else { "Disconnected" }),
        "lastStatusChange" => {
            json!(stamp_z(if connected() { machine.booted } else { azure.last_heard }))
        }
        "agentVersion" => json!(if azure.agent == Agent::OldVersion {
            "1.18.02139.990"
        } else {
            "1.47.02963.2110"
        }),
        // The id of the registration; the other one is that of the machine itself.
        "vmId" => {
            let draw = state.draw(at, 44);
            json!(uuid(draw, mix(draw)))
        }
        "vmUuid" => json!(azure.vm_id),
        "displayName" => json!(azure.name),
        "machineFqdn" => json!(format!("{}.corp.example.com", machine.name.to_lowercase())),
        "domainName" => json!("corp.example.com"),
        "osType" => json!(if windows { "windows" } else { "linux" }),
        "osName" => json!(vm_view::os_name(system.name)),
        "osSku" => json!(format!("{} {}", system.name, system.version)),
        "osVersion" => json!(system.version),
        "osProfile" => {
            let key = if windows { "windowsConfiguration" } else { "linuxConfiguration" };
            let mut profile = json!({"computerName": machine.name});
            // What Arc writes has no platform settings: nothing must be set up before a schedule.
            profile[key] = json!({"patchSettings": {
                "assessmentMode": &*azure.patching.assessment_mode,
                "patchMode": &*azure.patching.patch_mode,
            }});
            profile
        }
        "detectedProperties" => json!({"cloudprovider": "N/A", "manufacturer": "VMware, Inc."}),
        "networkProfile" => json!({"networkInterfaces": [{"ipAddresses": [{
            "address": machine.address(),
            "ipAddressVersion": "IPv4",
            "subnet": {"addressPrefix": "10.0.0.0/8"},
        }]}]}),
        _ => return None,
    })
}
