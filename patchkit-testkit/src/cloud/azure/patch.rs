//! Assessments and installations that a person asks for.

use super::{
    Call,
    error::ArmError,
    hybrid, operation,
    patch_choice::{NeedsDuration, Order},
    power,
    reply::Reply,
    vm,
};
use crate::cloud::world::machine::{AzureKind, MachineIx};

pub(super) fn assess(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let at = target(call)?;
    ready(call, at)?;
    let id = call.state.new_uuid();
    call.state.begin_assessment(at, &id);
    operation::accepted(call, &id, at)
}

pub(super) fn install(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let at = target(call)?;
    let needs_duration = match call.azure(at)?.kind {
        AzureKind::Arc => NeedsDuration::Yes,
        _ => NeedsDuration::No,
    };
    let order = Order::of_request(call.ask.object()?, needs_duration)?;
    ready(call, at)?;
    let id = call.state.new_uuid();
    call.state.begin_installation(at, &id, &order);
    operation::accepted(call, &id, at)
}

fn target(call: &Call<'_>) -> Result<MachineIx, ArmError> {
    let kind = if call.name(0).eq_ignore_ascii_case("machines") { hybrid::KIND } else { vm::KIND };
    vm::find_kind(call, kind, call.name(1))
}

/// Refuses a machine that does not run, an Arc machine that is not connected, and a second
/// operation at once.
fn ready(call: &Call<'_>, at: MachineIx) -> Result<(), ArmError> {
    if call.azure(at)?.kind != AzureKind::Arc {
        power::must_run(call, at)?;
    } else if !call.state.answers_azure(at) {
        // Its code is not documented.
        return Err(ArmError::conflict(
            "OperationNotAllowed",
            "The machine is not connected to Azure Arc.",
        ));
    }
    if call.state.is_busy(at) {
        return Err(power::concurrent());
    }
    Ok(())
}
