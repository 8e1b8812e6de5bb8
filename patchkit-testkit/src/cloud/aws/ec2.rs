//! Amazon EC2: instances, their power, tags and instance profiles, and the network they are in.

mod filter;
mod instances;
mod network;
mod power;
mod profiles;
mod tags;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

pub(crate) use self::network::Network;
use super::{AwsError, Call, Operations};
use crate::cloud::world::{
    State,
    clock::later,
    machine::{AwsKind, AwsSide, Ec2, Machine, MachineIx},
};

pub(super) const OPERATIONS: &[Operations] = &[
    instances::OPERATIONS,
    network::VPC_OPERATIONS,
    network::endpoints::OPERATIONS,
    network::groups::OPERATIONS,
    network::routes::OPERATIONS,
    power::OPERATIONS,
    profiles::OPERATIONS,
    tags::OPERATIONS,
];

/// An instance: a machine with what EC2 knows of it.
#[derive(Clone, Copy)]
struct Instance<'a> {
    at: MachineIx,
    machine: &'a Machine,
    aws: &'a AwsSide,
    ec2: &'a Ec2,
}

impl<'a> Instance<'a> {
    /// The machine at a place, where it is an instance.
    fn of(state: &'a State, at: MachineIx) -> Option<Self> {
        let machine = state.machine(at);
        let aws = machine.aws.as_ref()?;
        match &aws.side {
            AwsKind::Ec2(ec2) if is_forgotten(ec2, state.now) => None,
            AwsKind::Ec2(ec2) => Some(Self { at, machine, aws, ec2 }),
            AwsKind::Hybrid(_) => None,
        }
    }
}

/// "Terminated instances remain visible after termination (for approximately one hour)" (EC2 API
/// reference, TerminateInstances).
fn is_forgotten(ec2: &Ec2, now: Timestamp) -> bool {
    ec2.terminated.is_some_and(|at| later(at, Duration::from_hours(1)) <= now)
}

/// The instances of the caller's account and Region, by id.
fn all<'a>(call: &'a Call<'_>) -> impl Iterator<Item = Instance<'a>> {
    call.here().machines.iter().filter_map(|at| Instance::of(call.state, *at))
}

/// The instances with these ids, in their order.
///
/// # Errors
/// `InvalidInstanceID.Malformed` and `InvalidInstanceID.NotFound`, for the whole call: EC2 does
/// nothing where one of the ids is wrong (EC2 API reference, "Client error codes").
fn named(call: &Call<'_>, ids: &[String]) -> Result<Vec<MachineIx>, AwsError> {
    if let Some(id) = ids.iter().find(|id| !is_instance_id(id)) {
        let message = format!("Invalid id: \"{id}\"");
        return Err(AwsError::new("InvalidInstanceID.Malformed", message));
    }
    let found = |id: &String| {
        let at = call.state.find(call.scope, id)?;
        Instance::of(call.state, at).map(|it| it.at)
    };
    let unknown: Vec<&str> =
        ids.iter().filter(|id| found(id).is_none()).map(String::as_str).collect();
    match unknown[..] {
        [] => Ok(ids.iter().filter_map(found).collect()),
        [id] => Err(AwsError::new(
            "InvalidInstanceID.NotFound",
            format!("The instance ID '{id}' does not exist"),
        )),
        _ => Err(AwsError::new(
            "InvalidInstanceID.NotFound",
            format!("The instance IDs '{}' do not exist", unknown.join(", ")),
        )),
    }
}

fn is_instance_id(id: &str) -> bool {
    id.strip_prefix("i-").is_some_and(|hex| {
        matches!(hex.len(), 8 | 17) && hex.bytes().all(|it| it.is_ascii_hexdigit())
    })
}

/// Ends a dry run: EC2 answers it with an error that says that it would have been done.
fn dry_run(input: &Value) -> Result<(), AwsError> {
    if input["DryRun"] == true {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(AwsError::new("DryRunOperation", message).with_status(412));
    }
    Ok(())
}
