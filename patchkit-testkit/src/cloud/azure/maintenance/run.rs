//! A schedule runs: what it is assigned to is patched, where the platform may do so.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::{
    Call,
    error::ArmError,
    patch_choice::Order,
    reply::{Reply, stamp_z},
    side,
};
use super::recurrence::Window;
use crate::cloud::world::{
    State,
    clock::earlier,
    machine::{AzureKind, AzureSide, Installation, MachineIx, Power},
};

/// As long as Resource Graph keeps them.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// The run of a schedule on one machine.
#[derive(Clone, Debug)]
pub(crate) struct ApplyUpdate {
    pub(crate) name: String,
    pub(crate) machine: MachineIx,
    /// The installation that it started.
    pub(crate) activity: String,
    pub(crate) configuration: String,
    /// The same for all machines of a run.
    pub(crate) correlation: String,
    pub(crate) started: Timestamp,
}

impl ApplyUpdate {
    pub(crate) fn installation<'s>(&self, state: &'s State) -> Option<&'s Installation> {
        let installations = &side(state, self.machine).ok()?.installations;
        installations.iter().find(|it| *it.activity == *self.activity)
    }

    /// As the API and Resource Graph write it.
    pub(crate) fn document(&self, state: &State) -> Value {
        let installation = self.installation(state);
        let status = match installation.map(|it| it.status) {
            Some("InProgress") => "InProgress",
            Some("Succeeded") => "Completed",
            Some(other) => other,
            None => "Unknown",
        };
        let machine = side(state, self.machine).map(|it| state.vm_resource_id(it));
        let machine = machine.unwrap_or_default();
        json!({
            "id": format!("{machine}/providers/Microsoft.Maintenance/applyUpdates/{}", self.name),
            "name": self.name,
            "type": "Microsoft.Maintenance/applyUpdates",
            "properties": {
                "status": status,
                "resourceId": machine,
                "lastUpdateTime":
                    stamp_z(installation.and_then(|it| it.ended).unwrap_or(self.started)),
                "maintenanceConfigurationId": self.configuration,
                "maintenanceScope": "InGuestPatch",
                "correlationId": self.correlation,
                "startDateTime": stamp_z(self.started),
                "endDateTime": installation.and_then(|it| it.ended).map(stamp_z),
            },
        })
    }
}

/// Enters the next run of a configuration.
pub(super) fn plan(state: &mut State, key: &str, revision: u64) {
    let configuration = state.azure.schedules.configurations.get(key);
    let next = configuration.and_then(|it| it.next(state.now));
    if let Some(next) = next {
        let key = key.to_owned();
        state.at(next, move |state| run(state, &key, revision));
    }
}

/// Runs a configuration that has not changed since the run was planned.
fn run(state: &mut State, key: &str, revision: u64) {
    let Some(configuration) = state.azure.schedules.configurations.get(key) else { return };
    if configuration.revision != revision {
        return;
    }
    let guest = configuration.properties.get("maintenanceScope");
    let guest =
        guest.and_then(Value::as_str).is_some_and(|it| it.eq_ignore_ascii_case("InGuestPatch"));
    let window = configuration.properties.get("maintenanceWindow").map(Window::read);
    if let (true, Some(Ok(window))) = (guest, window) {
        let (id, install) =
            (configuration.id(state), configuration.properties.get("installPatches"));
        let install = install.cloned().unwrap_or_default();
        let correlation = state.new_uuid();
        let run = format!("{}/applyUpdates/{correlation}", id.to_lowercase());
        if let Ok(order) = Order::of_schedule(&install, window.duration, &run) {
            let machines = assigned(state, key);
            for at in machines {
                patch(state, at, &order, &id, &correlation);
            }
        }
    }
    plan(state, key, revision);
}

/// The machines of all assignments, each once.
fn assigned(state: &State, key: &str) -> Vec<MachineIx> {
    let all = state.azure.schedules.assignments.values();
    let ours = all.filter(|it| it.configuration.eq_ignore_ascii_case(key));
    let mut machines: Vec<_> = ours.flat_map(|it| it.machines(state)).collect();
    machines.sort_unstable();
    machines.dedup();
    machines
}

/// Patches one machine. Where the platform may not, or the machine does not run, nothing happens,
/// and nothing says so ("Scheduled patching": the prerequisite).
fn patch(state: &mut State, at: MachineIx, order: &Order, configuration: &str, correlation: &str) {
    let may = side(state, at).is_ok_and(may_patch) && state.machine(at).power == Power::Running;
    let connected =
        side(state, at).is_ok_and(|it| it.kind != AzureKind::Arc) || state.answers_azure(at);
    if !may || !connected || state.is_busy(at) {
        return;
    }
    let (name, activity, started) = (state.new_uuid(), state.new_uuid(), state.now);
    let kept = earlier(started, KEPT);
    let runs = &mut state.schedules_mut().runs;
    if runs.first().is_some_and(|it| it.started < kept) {
        runs.retain(|it| it.started >= kept);
    }
    runs.push(ApplyUpdate {
        name,
        machine: at,
        activity: activity.clone(),
        configuration: configuration.to_owned(),
        correlation: correlation.to_owned(),
        started,
    });
    state.begin_installation(at, &activity, order);
}

/// Whether schedules may patch a machine: an Arc machine always, a VM where its owner manages the
/// schedules ("Customer Managed Schedules").
fn may_patch(azure: &AzureSide) -> bool {
    match azure.kind {
        AzureKind::Arc => true,
        AzureKind::Uniform { .. } => false,
        AzureKind::Vm | AzureKind::Flexible { .. } => {
            *azure.patching.patch_mode == *"AutomaticByPlatform"
                && azure.patching.bypass == Some(true)
        }
    }
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let state = &*call.state;
    let here = |it: &&ApplyUpdate| side(state, it.machine).is_ok_and(|it| call.scope.holds(it));
    let found = state.azure.schedules.runs.iter().filter(here).map(|it| {
        let mut document = it.document(state);
        // The list of the API has fewer properties than Resource Graph's rows.
        if let Value::Object(properties) = &mut document["properties"] {
            properties
                .retain(|key, _| ["status", "resourceId", "lastUpdateTime"].contains(&&**key));
        }
        document
    });
    Ok(Reply::list(found.collect(), None))
}
