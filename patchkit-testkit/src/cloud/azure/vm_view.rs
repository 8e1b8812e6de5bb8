//! What a machine does at the moment: its instance view.

use serde_json::{Value, json};

use super::{Call, error::ArmError, extension, patch_result, reply::Reply, reply::stamp, side, vm};
use crate::cloud::world::{
    State,
    catalogue::System,
    machine::{Agent, MachineIx, Power},
};

pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let at = vm::find(call, call.name(1))?;
    Ok(Reply::ok(&view(call.state, at)?))
}

/// The word and the words of a power state.
pub(super) fn power(power: Power) -> [&'static str; 2] {
    match power {
        Power::Starting => ["starting", "VM starting"],
        Power::Running => ["running", "VM running"],
        Power::Stopping => ["stopping", "VM stopping"],
        Power::Stopped => ["stopped", "VM stopped"],
        Power::Deallocating => ["deallocating", "VM deallocating"],
        Power::Deallocated => ["deallocated", "VM deallocated"],
        Power::Terminated => ["unknown", "VM state unknown"],
    }
}

/// The statuses of a machine: of its model, and of its power.
pub(super) fn statuses(state: &State, at: MachineIx) -> Value {
    let machine = state.machine(at);
    let [word, words] = power(machine.power);
    let updating = state.azure.updating.contains(&at);
    let (code, shown) = if updating {
        ("ProvisioningState/updating", "Updating")
    } else {
        ("ProvisioningState/succeeded", "Provisioning succeeded")
    };
    json!([
        {"code": code, "level": "Info", "displayStatus": shown, "time": stamp(machine.booted)},
        {"code": format!("PowerState/{word}"), "level": "Info", "displayStatus": words},
    ])
}

/// What is the same for a VM and for an instance of a uniform scale set.
pub(super) fn common(state: &State, at: MachineIx) -> Result<Value, ArmError> {
    let (azure, machine) = (side(state, at)?, state.machine(at));
    let mut view = json!({
        "disks": [{
            "name": format!("{}_OsDisk_1", azure.name),
            "statuses": [{
                "code": "ProvisioningState/succeeded",
                "level": "Info",
                "displayStatus": "Provisioning succeeded",
                "time": stamp(machine.created),
            }],
        }],
        "statuses": statuses(state, at),
    });
    // A machine that does not run has no agent to tell of.
    if machine.power == Power::Running {
        view["vmAgent"] = agent(state, at, azure.agent);
    }
    Ok(view)
}

pub(super) fn view(state: &State, at: MachineIx) -> Result<Value, ArmError> {
    let azure = side(state, at)?;
    let mut view = common(state, at)?;
    view["hyperVGeneration"] = json!("V2");
    view["isVMInStandbyPool"] = json!(false);
    if state.answers_azure(at) {
        let system = state.system_of(at);
        let machine = state.machine(at);
        let windows = system.is_windows();
        view["computerName"] = json!(if windows { machine.short_name() } else { &*machine.name });
        view["osName"] = json!(os_name(system.name));
        view["osVersion"] = if windows {
            json!(format!("Microsoft Windows NT {}.0", system.version))
        } else {
            json!(system.version)
        };
    }
    let extensions = extension::views(state, at);
    if !extensions.is_empty() {
        view["extensions"] = json!(extensions);
    }
    let status = patch_result::status(state, at, azure);
    if status != json!({}) {
        view["patchStatus"] = status;
    }
    Ok(view)
}

/// Compute leaves the maker's name out: `Windows Server 2019 Datacenter`.
pub(super) fn os_name(name: &str) -> &str {
    name.strip_prefix("Microsoft ").unwrap_or(name)
}

/// The version of the guest agent; Windows has another one than Linux.
pub(super) fn agent_version(system: &System, agent: Agent) -> &'static str {
    match (system.is_windows(), agent) {
        (true, Agent::OldVersion) => "2.7.32211.3",
        (true, _) => "2.7.41491.1176",
        (false, Agent::OldVersion) => "2.2.47",
        (false, _) => "2.11.1.12",
    }
}

fn agent(state: &State, at: MachineIx, agent: Agent) -> Value {
    let mut status = json!({
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Ready",
        "message": "GuestAgent is running and accepting new configurations.",
        "time": stamp(state.now),
    });
    let mut version = agent_version(state.system_of(at), agent);
    if !state.answers_azure(at) {
        version = "Unknown";
        status["code"] = json!("ProvisioningState/Unavailable");
        status["level"] = json!("Warning");
        status["displayStatus"] = json!("Not Ready");
        status["message"] = json!("VM status blob is found but not yet populated.");
    }
    json!({"vmAgentVersion": version, "statuses": [status], "extensionHandlers": []})
}
