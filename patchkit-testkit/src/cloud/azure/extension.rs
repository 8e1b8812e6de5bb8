//! Extensions of machines: as the graph has them, and in instance views.

use serde_json::{Value, json};

use super::{hybrid, side, vm};
use crate::cloud::{
    seed::ExtensionSpec,
    world::{
        State,
        machine::{AzureKind, MachineIx},
    },
};

/// As an instance view shows those of a VM.
pub(super) fn views(state: &State, at: MachineIx) -> Vec<Value> {
    let extensions = state.azure.extensions.get(&at).map(Vec::as_slice).unwrap_or_default();
    extensions.iter().map(view).collect()
}

fn view(it: &ExtensionSpec) -> Value {
    json!({
        "name": it.name,
        "type": format!("{}.{}", it.publisher, it.name),
        "typeHandlerVersion": "1.6.52",
        "statuses": [status(it)],
    })
}

fn status(it: &ExtensionSpec) -> Value {
    match &it.failure {
        None => json!({
            "code": "ProvisioningState/succeeded",
            "level": "Info",
            "displayStatus": "Provisioning succeeded",
        }),
        Some(message) => json!({
            "code": "ProvisioningState/failed/1",
            "level": "Error",
            "displayStatus": "Provisioning failed",
            "message": message,
        }),
    }
}

/// Each as a resource of its own, which is below its machine's. What the handler said is told of Arc's
/// alone; that of a VM is in its instance view.
pub(super) fn documents(state: &State) -> Vec<Value> {
    let mut all = Vec::new();
    for (at, extensions) in state.azure.extensions.iter() {
        let Ok(azure) = side(state, *at) else { continue };
        let (id, location) = (state.vm_resource_id(azure), vm::location_of(state, azure));
        let arc = azure.kind == AzureKind::Arc;
        let kind = if arc { hybrid::KIND } else { vm::KIND };
        for it in extensions {
            let mut properties = json!({
                "publisher": it.publisher,
                "type": it.name,
                "typeHandlerVersion": "1.6",
                "autoUpgradeMinorVersion": true,
                "provisioningState": it.state(),
            });
            if arc {
                properties["instanceView"] = json!({"name": it.name, "status": status(it)});
            }
            all.push(json!({
                "id": format!("{id}/extensions/{}", it.name),
                "name": it.name,
                "type": format!("{kind}/extensions").to_lowercase(),
                "location": location,
                "tags": Value::Null,
                "properties": properties,
            }));
        }
    }
    all
}
