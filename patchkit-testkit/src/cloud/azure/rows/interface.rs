//! The network interfaces of virtual machines.

use serde_json::{Value, json};

use crate::cloud::{
    azure::{side, vm},
    world::{
        State,
        machine::{AzureKind, AzureSide, MachineIx, SubIx},
    },
};

pub(super) const KIND: &str = "microsoft.network/networkinterfaces";

/// Each as a resource of its own, in its machine's group. Those of uniform scale sets are in no table.
pub(super) fn documents(state: &State) -> Vec<Value> {
    let of = |at: SubIx| &state.subscription(at).machines;
    let subscriptions = (0u16..).map(SubIx).zip(&*state.subscriptions);
    let machines = subscriptions.flat_map(|(at, _)| of(at).iter().copied());
    machines.filter_map(|at| Some(document(state, at, side(state, at).ok()?))).flatten().collect()
}

fn document(state: &State, at: MachineIx, azure: &AzureSide) -> Option<Value> {
    if !matches!(azure.kind, AzureKind::Vm | AzureKind::Flexible { .. }) {
        return None;
    }
    let id = vm::interface_id(state, azure);
    Some(json!({
        "id": id,
        "name": format!("{}-nic", azure.name),
        "location": vm::location_of(state, azure),
        "tags": Value::Null,
        "properties": {
            "provisioningState": "Succeeded",
            "primary": true,
            "virtualMachine": {"id": state.vm_resource_id(azure)},
            "ipConfigurations": [{
                "id": format!("{id}/ipConfigurations/ipconfig1"),
                "name": "ipconfig1",
                "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
                "properties": {
                    "provisioningState": "Succeeded",
                    "primary": true,
                    "privateIPAddress": state.machine(at).address(),
                    "privateIPAllocationMethod": "Dynamic",
                    "privateIPAddressVersion": "IPv4",
                },
            }],
        },
    }))
}
