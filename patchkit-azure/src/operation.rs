//! Assessments and installs: an act is sent once, found again by its time, and followed to its end.

mod act;
mod choose;
mod ledger;
mod machine;
mod nothing;
mod options;
mod progress;
mod result;
mod status;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use azure_core::http::{Method, Request};
use jiff::{SignedDuration, Timestamp};
use patchkit_core::{
    Error, ErrorKind, NodeId, NodeOperation, OperationId, OperationStatus, PatchAction,
    PatchRequest, RebootPolicy, Result, Retry, SubmitToken,
};
use serde_json::Value;

use self::{
    act::{ActId, Kind, activity_in},
    choose::Chosen,
    ledger::{Begun, Ledger, Sent},
    machine::{Seen, SeenAct},
    nothing::Nothing,
    progress::nameless,
};
pub use self::{
    options::{InstallOptions, LinuxPatches, RebootingPatches, WindowsPatches},
    result::{InstallCounts, InstallResult, InstallStatus, PatchResult, RebootStatus, WindowUse},
};
use crate::{
    MachineKind, UpdateManager,
    bridge::reply,
    client::{Client, Reply},
    error::{Call, PROVIDER, invalid},
    fleet::ARC_VERSION,
    ids::MachineId,
    limit::{Charge, Quota},
    lro::{Accepted, Followed},
};

const SUBMIT: &str = "submit";

/// The version of Compute's API that the generated client speaks, too.
const VM_VERSION: &str = "2024-07-01";

/// How much earlier than its intent an act may seem to have begun and still be the one that was meant:
/// what is left of the difference of two clocks when the service's `Date` has been taken off.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(10);

/// How acts are sent, and what is known of those that were; clones share what is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations {
    options: Arc<InstallOptions>,
    ledger: Arc<Ledger>,
}

/// What is to be done on a machine.
struct Order<'r> {
    token: &'r SubmitToken,
    node: &'r NodeId,
    machine: MachineId,
    what: What,
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Assess,
    Install(RebootPolicy),
}

impl What {
    fn kind(self) -> Kind {
        match self {
            Self::Assess => Kind::Scan,
            Self::Install(_) => Kind::Install,
        }
    }
}

impl UpdateManager {
    /// The same subscriptions with other options for installs.
    #[must_use]
    pub fn with_install_options(&self, options: InstallOptions) -> Self {
        let mut other = self.clone();
        other.operations.options = Arc::new(options);
        other
    }

    /// `Fleet::submit`.
    ///
    /// # Behavior
    /// - Azure keeps no token. The machine is read first: what began there since the token's time is
    ///   the token's act, and is not sent again; where something else goes on, the machine is refused.
    /// - Where that reading fails, nothing is sent: `Throttled`, to be tried again.
    /// - A token whose answer was lost is never sent again by this process.
    /// - Where baselines decide and the machine's approves nothing of what the last assessment found,
    ///   nothing is sent, and the act is over at once.
    pub(crate) async fn submit_act(&self, request: &PatchRequest) -> Result<OperationId> {
        let order = self.order(request)?;
        let named = |error: Error| error.with_node(order.node.clone());
        let (ledger, token) = (&self.operations.ledger, order.token);
        let known = ledger.find(token);
        if let Some(Sent::Accepted { id, .. }) = known {
            return Ok(id);
        }
        let seen = self.client.seen(SUBMIT, order.node).await.map_err(not_looked).map_err(named)?;
        let since = since(token, known.as_ref());
        if let Some(since) = since
            && let Some(id) =
                self.adopt(token, order.node, &seen, since, Some(order.what.kind()))?
        {
            return Ok(id);
        }
        if known.is_some() {
            return Err(named(not_again()));
        }
        self.free(order.node, &seen).map_err(named)?;
        let (body, remark) = match order.what {
            What::Assess => (None, None),
            What::Install(reboot) => {
                match self.choose(&order, reboot, &seen).await.map_err(named)? {
                    Chosen::Ask { body, remark } => (Some(body), remark),
                    Chosen::Nothing(nothing) => return self.end_at_once(token, &nothing),
                }
            }
        };
        if ledger.begin(token, order.what.kind(), self.client.now()) == Begun::Again {
            return Err(named(not_again()));
        }
        match self.post(&order, body).await {
            Ok(id) => {
                if let Some(remark) = remark {
                    ledger.remark(&id, remark);
                }
                Ok(id)
            }
            Err(error) => match not_begun(error) {
                Ok(refusal) => {
                    ledger.refused(token);
                    Err(named(refusal))
                }
                Err(unclear) => Err(named(unclear)),
            },
        }
    }

    /// An install for which there is nothing to ask of Azure.
    fn end_at_once(&self, token: &SubmitToken, nothing: &Nothing) -> Result<OperationId> {
        let id = nothing.to_id()?;
        self.operations.ledger.accepted(token, &id, None, Some(nothing.end()), self.client.now());
        Ok(id)
    }

    /// `Fleet::find_operation`.
    ///
    /// # Behavior
    /// - The act of a token is the first on its machine that began at or after the time of the token,
    ///   by the service's clock, give or take ten seconds, and that this process knows of no other
    ///   token; of the token's own kind, where this process sent it.
    ///
    /// # Errors
    /// `Unsupported` for a token that this process did not send and that tells no time.
    pub(crate) async fn find_act(
        &self,
        token: &SubmitToken,
        nodes: &[NodeId],
    ) -> Result<Option<OperationId>> {
        const OPERATION: &str = "find_operation";
        let known = self.operations.ledger.find(token);
        if let Some(Sent::Accepted { id, .. }) = known {
            return Ok(Some(id));
        }
        let Some(since) = since(token, known.as_ref()) else {
            let message = "the token tells no time, and Azure keeps no tokens";
            return Err(Error::new(ErrorKind::Unsupported, PROVIDER, OPERATION, message));
        };
        let kind = match known {
            Some(Sent::Open { kind, .. }) => Some(kind),
            Some(Sent::Accepted { .. }) | None => None,
        };
        if nodes.is_empty() {
            return Err(invalid(OPERATION, "no node says where to look"));
        }
        for node in nodes {
            let seen = self.client.seen(OPERATION, node).await?;
            if let Some(id) = self.adopt(token, node, &seen, since, kind)? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// The act that began first on a machine since a token's time, as the token's from now on.
    fn adopt(
        &self,
        token: &SubmitToken,
        node: &NodeId,
        seen: &Seen,
        since: Timestamp,
        kind: Option<Kind>,
    ) -> Result<Option<OperationId>> {
        let ledger = &self.operations.ledger;
        let from = since.checked_add(seen.ahead).and_then(|at| at.checked_sub(TOLERANCE));
        let from = from.unwrap_or(since);
        let fits = seen.acts.iter().filter(|act| kind.is_none_or(|kind| act.kind == kind));
        let mut first: Option<(Timestamp, OperationId)> = None;
        for act in fits {
            let Some(started) = act.started.filter(|at| *at >= from) else { continue };
            let id = ActId::new(act.kind, &act.activity, node).to_id()?;
            let earlier = first.as_ref().is_none_or(|(at, _)| started < *at);
            if earlier && !ledger.is_of_another(&id, token) {
                first = Some((started, id));
            }
        }
        let Some((_, id)) = first else { return Ok(None) };
        ledger.accepted(token, &id, None, None, self.client.now());
        Ok(Some(id))
    }

    /// Refuses a machine on which something goes on. What this process knows to be over may still be
    /// told of as if it were not: Resource Graph is some minutes late.
    fn free(&self, node: &NodeId, seen: &Seen) -> Result<()> {
        let now = self.client.now();
        let at = now.checked_add(seen.ahead).unwrap_or(now);
        let over = |act: &SeenAct| {
            let id = ActId::new(act.kind, &act.activity, node).to_id();
            id.is_ok_and(|id| self.operations.ledger.is_over(&id))
        };
        match seen.acts.iter().find(|act| act.runs(at) && !over(act)) {
            None => Ok(()),
            Some(act) => {
                let since = act.started.map(|at| format!(" since {at}")).unwrap_or_default();
                let message = format!("{} {} runs on it{since}", act.kind.word(), act.activity);
                Err(Error::new(ErrorKind::Conflict, PROVIDER, SUBMIT, message))
            }
        }
    }

    /// All that can be known to be wrong with a request is said here, before any call.
    fn order<'r>(&self, request: &'r PatchRequest) -> Result<Order<'r>> {
        let [node] = request.nodes.as_slice() else {
            let count = request.nodes.len();
            return Err(invalid(SUBMIT, format!("an act of Azure is on one machine, not {count}")));
        };
        let what = match request.action {
            PatchAction::Scan => What::Assess,
            PatchAction::Install(reboot) => What::Install(reboot),
            _ => return Err(Error::unsupported(PROVIDER, SUBMIT).with_node(node.clone())),
        };
        let machine = self.client.machine(SUBMIT, node)?;
        if machine.kind == MachineKind::ScaleSetInstance {
            return Err(machine::not_patched(SUBMIT, &machine).with_node(node.clone()));
        }
        Ok(Order { token: &request.token, node, machine, what, timeout: request.timeout })
    }

    async fn post(&self, order: &Order<'_>, body: Option<Value>) -> Result<OperationId> {
        let (answer, operation) = self.client.post(order, body).await?;
        let now = self.client.now();
        // An answer that was accepted and says nothing of where is a lost one.
        let accepted = Accepted::read(operation, &answer).map_err(|_| nameless())?;
        let (activity, followed, told) = match accepted {
            Accepted::Following(followed) => (activity_at(&followed)?, Some(followed), None),
            Accepted::Done(told) => (activity_of(told.as_ref())?, None, told),
        };
        let kind = order.what.kind();
        let act = ActId::new(kind, &activity, order.node);
        let id = act.to_id().map_err(|_| nameless())?;
        let known = NodeOperation::new(order.node.clone(), OperationStatus::Pending);
        let known = Some(known).filter(|_| told.is_none());
        self.operations.ledger.accepted(order.token, &id, followed, known, now);
        Ok(id)
    }
}

impl Client {
    /// Sends an act, once.
    async fn post(
        self: &Arc<Self>,
        order: &Order<'_>,
        body: Option<Value>,
    ) -> Result<(Reply, &'static str)> {
        let is_arc = order.machine.kind == MachineKind::Arc;
        let (operation, what) = match (order.what, is_arc) {
            (What::Assess, false) => ("VirtualMachines_AssessPatches", "/assessPatches"),
            (What::Assess, true) => ("Machines_AssessPatches", "/assessPatches"),
            (What::Install(_), false) => ("VirtualMachines_InstallPatches", "/installPatches"),
            (What::Install(_), true) => ("Machines_InstallPatches", "/installPatches"),
        };
        let call = Call::Write(operation);
        let MachineId { group, name, subscription, .. } = order.machine.clone();
        // HybridCompute's rates are not documented: the front door's count.
        let (charge, version) = if is_arc {
            (Charge::door(&subscription), ARC_VERSION)
        } else {
            (Charge::on(Quota::GuestPatch, order.node), VM_VERSION)
        };
        let url = self.url(&format!("{}{what}", order.machine), version);
        let answer = match body {
            // The generated client would say `null` of what is not asked for.
            Some(body) => self.send_json(call, charge, Method::Post, url, &body).await?,
            None if is_arc => {
                let mut request = Request::new(url, Method::Post);
                request.insert_header("accept", "application/json");
                request.insert_header("content-length", "0");
                self.send(call, charge, request).await?
            }
            None => {
                let vms = self.compute(call, charge)?.virtual_machines_client();
                reply(call, vms.assess_patches(group, name, subscription).send()).await?
            }
        };
        Ok((answer, operation))
    }
}

/// The activity that is followed: the operation has its id.
fn activity_at(followed: &Followed) -> Result<String> {
    let activity = activity_in(followed.operation().ok_or_else(nameless)?);
    if activity.is_empty() { Err(nameless()) } else { Ok(activity.to_owned()) }
}

fn activity_of(told: Option<&Value>) -> Result<String> {
    let key = |key: &str| told?[key].as_str().map(activity_in).filter(|id| !id.is_empty());
    let id = key("installationActivityId").or(key("assessmentActivityId"));
    id.map(str::to_owned).ok_or_else(nameless)
}

/// From when on an act may be a token's: from when this process sent it, else from when it was meant.
fn since(token: &SubmitToken, known: Option<&Sent>) -> Option<Timestamp> {
    match known {
        Some(Sent::Open { since, .. }) => Some(*since),
        Some(Sent::Accepted { .. }) | None => token.stamp(),
    }
}

fn not_again() -> Error {
    let message =
        "an act with this token is under way, or its answer was lost; it is not sent again";
    Error::new(ErrorKind::Timeout, PROVIDER, SUBMIT, message)
}

/// The error of a submission after which nothing was begun; the other way round where that is not said.
fn not_begun(error: Error) -> Result<Error, Error> {
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::Unauthenticated
        | ErrorKind::Throttled
        | ErrorKind::Conflict
        | ErrorKind::InvalidInput
        | ErrorKind::Unsupported
        | ErrorKind::NodeUnreachable => Ok(error),
        // Of a write, only what was never sent may be tried again.
        ErrorKind::Unexpected if error.is_retryable() => Ok(later("nothing was sent", error)),
        _ => Err(error),
    }
}

/// What looking at a machine ends with where it fails: nothing was sent, so it may be tried again.
fn not_looked(error: Error) -> Error {
    match error.kind() {
        // The service may be asked again, whatever has become of this question.
        ErrorKind::Timeout | ErrorKind::Unexpected | ErrorKind::Malformed => {
            later("what goes on on the machine could not be read, and nothing was sent", error)
        }
        _ => error,
    }
}

fn later(message: &'static str, error: Error) -> Error {
    Error::new(ErrorKind::Throttled, PROVIDER, SUBMIT, message)
        .with_retry(Retry::Backoff)
        .with_source(error)
}
