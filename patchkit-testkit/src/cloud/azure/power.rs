//! Machines are started, stopped, deallocated and restarted.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;

use super::{
    Call,
    error::ArmError,
    operation::{self, End},
    reply::Reply,
    scale_set, vm,
};
use crate::cloud::world::{
    State,
    machine::{MachineIx, Power},
    power::Off,
};

/// How often it is looked whether a machine has arrived.
const LOOK: Duration = Duration::from_secs(5);

pub(super) fn start(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let at = target(call)?;
    if let Power::Stopping | Power::Deallocating = call.state.machine(at).power {
        return Err(concurrent());
    }
    let ready = call.state.power_on(at);
    finish(call, at, ready, Power::Running)
}

pub(super) fn deallocate(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let at = target(call)?;
    if call.ask.parameter("hibernate").is_some_and(|it| it.eq_ignore_ascii_case("true")) {
        return Err(ArmError::conflict(
            "OperationNotAllowed",
            "The Hibernate-Deallocate operation cannot be performed on a VM that has hibernation \
             disabled.",
        ));
    }
    turn_off(call, at, Off::Deallocate, Power::Deallocated)
}

pub(super) fn power_off(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let at = target(call)?;
    // A machine without resources has nothing that could be stopped.
    match call.state.machine(at).power {
        Power::Deallocating => Err(concurrent()),
        Power::Deallocated => {
            let now = call.state.now;
            finish(call, at, now, Power::Deallocated)
        }
        _ => turn_off(call, at, Off::Stop, Power::Stopped),
    }
}

pub(super) fn restart(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let at = target(call)?;
    must_run(call, at)?;
    let ready = call.state.boot_again(at);
    finish(call, at, ready, Power::Running)
}

/// Refuses what needs a machine that runs, in the words of Microsoft's list of VM error codes.
pub(super) fn must_run(call: &Call<'_>, at: MachineIx) -> Result<(), ArmError> {
    if call.state.machine(at).power == Power::Running {
        return Ok(());
    }
    Err(ArmError::conflict(
        "OperationNotAllowed",
        "The operation requires the VM to be running (or set to run).",
    ))
}

/// Two operations that exclude each other, in the service's words.
pub(super) fn concurrent() -> ArmError {
    ArmError::conflict(
        "Conflict",
        "The request failed due to conflict with a concurrent request. To resolve it, please \
         refer to https://aka.ms/activitylog to get more details on the conflicting requests.",
    )
}

/// The VM, or the instance of a uniform scale set, that the path names.
fn target(call: &Call<'_>) -> Result<MachineIx, ArmError> {
    if call.name(0).eq_ignore_ascii_case("virtualMachines") {
        vm::find(call, call.name(1))
    } else {
        scale_set::find_member(call)
    }
}

fn turn_off(call: &mut Call<'_>, at: MachineIx, how: Off, goal: Power) -> Result<Reply, ArmError> {
    let ready = call.state.power_off(at, how);
    finish(call, at, ready, goal)
}

/// Accepts the operation; it ends when the machine is where it was to go. One that is there already
/// has nothing to be accepted for: the Compute API has 200 beside 202 for each of them.
fn finish(
    call: &mut Call<'_>,
    at: MachineIx,
    ready: Timestamp,
    goal: Power,
) -> Result<Reply, ArmError> {
    let now = call.state.now;
    if ready <= now && call.state.machine(at).power == goal {
        return Ok(Reply::empty(StatusCode::OK));
    }
    let id = call.state.new_uuid();
    call.state.begin_operation(&id, at);
    let reply = operation::accepted(call, &id, at)?;
    if ready <= now {
        // Someone else has it on its way there.
        await_power(call.state, id, at, goal);
        return Ok(reply);
    }
    call.state.at(ready, move |state| {
        let there = state.machine(at).power == goal;
        let end = if there { End::Succeeded(None) } else { End::Preempted };
        state.end_operation(&id, end);
    });
    Ok(reply)
}

/// Ends an operation as soon as the machine is where another one brings it.
fn await_power(state: &mut State, id: String, at: MachineIx, goal: Power) {
    let power = state.machine(at).power;
    if power == goal {
        return state.end_operation(&id, End::Succeeded(None));
    }
    if !matches!(power, Power::Starting | Power::Stopping | Power::Deallocating) {
        return state.end_operation(&id, End::Preempted);
    }
    state.after(LOOK, move |state| await_power(state, id, at, goal));
}
