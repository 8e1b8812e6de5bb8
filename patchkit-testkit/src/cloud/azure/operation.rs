//! Long-running operations: accepted with 202, and followed at two addresses.
//!
//! `Azure-AsyncOperation` tells the status, `Location` has nothing to say until there is a result.
//! The addresses are signed and followed as they stand; they end a day after the operation.

use std::{collections::HashMap, fmt::Write as _, time::Duration};

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Call,
    error::ArmError,
    reply::{Reply, stamp},
    side,
};
use crate::{
    cloud::world::{
        State,
        machine::{AzureKind, MachineIx},
    },
    rng::mix,
};

const KEPT: Duration = Duration::from_hours(24);

/// Operations by id.
#[derive(Debug, Default)]
pub(crate) struct Operations(HashMap<Box<str>, Operation>);

#[derive(Debug)]
struct Operation {
    machine: MachineIx,
    started: Timestamp,
    /// When and how it ended.
    end: Option<(Timestamp, End)>,
}

/// How an operation ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// With a result, or without one.
    Succeeded(Option<Value>),
    Failed(ArmError),
    /// Another operation took its place.
    Preempted,
}

impl Operations {
    /// The machine that an operation is on.
    pub(super) fn machine(&self, id: Option<&String>) -> Option<MachineIx> {
        self.0.get(id?.as_str()).map(|it| it.machine)
    }
}

impl State {
    /// Enters an operation that begins now.
    pub(super) fn begin_operation(&mut self, id: &str, machine: MachineIx) {
        let operation = Operation { machine, started: self.now, end: None };
        self.azure.operations.0.insert(id.into(), operation);
    }

    /// Ends an operation; the first end counts.
    pub(super) fn end_operation(&mut self, id: &str, end: End) {
        let now = self.now;
        let Some(operation) = self.azure.operations.0.get_mut(id) else { return };
        if operation.end.is_some() {
            return;
        }
        operation.end = Some((now, end));
        let id: Box<str> = id.into();
        self.after(KEPT, move |state| {
            state.azure.operations.0.remove(&id);
        });
    }
}

/// The answer that accepts an operation.
pub(super) fn accepted(call: &Call<'_>, id: &str, machine: MachineIx) -> Result<Reply, ArmError> {
    let [status, location] = addresses(call, id, machine)?;
    Ok(Reply::empty(StatusCode::ACCEPTED)
        .with("location", location)
        .with("azure-asyncoperation", status)
        .with("azure-asyncnotification", "Enabled"))
}

/// The two addresses of an operation: its status, and its result.
pub(super) fn addresses(
    call: &Call<'_>,
    id: &str,
    machine: MachineIx,
) -> Result<[String; 2], ArmError> {
    let azure = side(call.state, machine)?;
    let subscription = call.state.subscription(azure.subscription);
    let group = subscription.groups.get(usize::from(azure.group));
    let location = group.map_or("global", |it| &it.location);
    let version = call.ask.version()?;
    let start = format!("{}/subscriptions/{}/providers", call.ask.base, subscription.id);
    let signed = signature(call.state, id);
    Ok(if azure.kind == AzureKind::Arc {
        let start = format!("{start}/Microsoft.HybridCompute/locations/{location}");
        let end = format!("{id}?api-version={version}&{signed}");
        [format!("{start}/operationStatus/{end}"), format!("{start}/operationResults/{end}")]
    } else {
        let place = format!("{start}/Microsoft.Compute/locations/{location}/operations/{id}");
        let p = crate::cloud::world::uuid(mix(call.state.seed ^ 0xA0), 3);
        [
            format!("{place}?p={p}&api-version={version}&{signed}"),
            format!("{place}?p={p}&monitor=true&api-version={version}&{signed}"),
        ]
    })
}

/// As long as the service's own: a certificate and two signatures, of letters that say nothing.
fn signature(state: &State, id: &str) -> String {
    let seed = id.bytes().fold(mix(state.seed), |sum, byte| mix(sum ^ u64::from(byte)));
    let letters = |purpose: u64, count: u64| {
        let mut text = String::new();
        for n in 0..count {
            let _ = write!(text, "{:016x}", mix(seed ^ mix(purpose ^ n)));
        }
        text
    };
    let ticks = state.now.as_microsecond() * 10;
    format!("t={ticks}&c={}&s={}&h={}", letters(1, 160), letters(2, 21), letters(3, 3))
}

/// Answers at both addresses.
pub(super) fn poll(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let (kind, id) = (call.name(2).to_lowercase(), call.name(3).to_lowercase());
    let unknown =
        || ArmError::not_found("NotFound", format!("The operation '{id}' could not be found."));
    let operation = call.state.azure.operations.0.get(id.as_str()).ok_or_else(unknown)?;
    if side(call.state, operation.machine)?.subscription != call.subscription() {
        return Err(unknown());
    }
    let result = kind == "operationresults"
        || call.ask.parameter("monitor").is_some_and(|it| it.eq_ignore_ascii_case("true"));
    let reply = if result { operation.result() } else { Reply::ok(&operation.status(&id)) };
    // Recorded on the answers of compute's operations (azure-cli, test_vm_install_patches).
    Ok(reply.with("x-ms-need-to-refresh-epl-cache", "False"))
}

impl Operation {
    fn status(&self, id: &str) -> Value {
        let mut body = json!({"startTime": stamp(self.started), "status": "InProgress"});
        if let Some((ended, end)) = &self.end {
            body["endTime"] = json!(stamp(*ended));
            match end {
                End::Succeeded(output) => {
                    body["status"] = json!("Succeeded");
                    if let Some(output) = output {
                        body["properties"] = json!({"output": output});
                    }
                }
                End::Failed(error) => {
                    body["status"] = json!("Failed");
                    body["error"] = error.object();
                }
                End::Preempted => {
                    body["status"] = json!("Canceled");
                    body["error"] = preempted().object();
                }
            }
        }
        body["name"] = json!(id);
        body
    }

    fn result(&self) -> Reply {
        match &self.end {
            None => Reply::empty(StatusCode::ACCEPTED),
            Some((_, End::Succeeded(Some(output)))) => Reply::ok(output),
            Some((_, End::Succeeded(None))) => Reply::empty(StatusCode::OK),
            Some((_, End::Failed(error))) => error.clone().into(),
            Some((_, End::Preempted)) => preempted().into(),
        }
    }
}

fn preempted() -> ArmError {
    ArmError::conflict(
        "OperationPreempted",
        "This operation has been preempted by another operation on the same resource.",
    )
}
