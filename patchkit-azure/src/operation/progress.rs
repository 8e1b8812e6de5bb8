//! How far an act has come: followed at its signed address while this process knows it, and read from
//! its machine afterwards.

use std::time::Duration;

use jiff::Timestamp;
use patchkit_core::{
    Error, ErrorKind, NodeOperation, OperationId, OperationStatus, PatchOperation, Result, Retry,
};
use serde_json::Value;

use super::{
    act::{ActId, Kind},
    ledger::Turn,
    nothing::Nothing,
    result::InstallResult,
    status::{self, Over},
};
use crate::{
    UpdateManager,
    error::{PROVIDER, invalid, malformed},
    ids::MachineId,
    lro::{FLOOR, Followed, Progress},
};

const OPERATION: &str = "operation";

impl UpdateManager {
    /// `Fleet::operation`.
    ///
    /// # Behavior
    /// - An act is looked at every fifteen seconds at most, or as seldom as Azure asks for. In between,
    ///   and after its end, what is known is told without a call.
    /// - Where this process did not send the act, its machine is read, and for an older install
    ///   Resource Graph.
    pub(crate) async fn act(&self, id: &OperationId) -> Result<PatchOperation> {
        if let Some(nothing) = Nothing::read(&self.client, OPERATION, id)? {
            return Ok(nothing.operation(id));
        }
        let act = ActId::read(&self.client, OPERATION, id)?;
        let node = self.follow(id, &act).await.map_err(|it| it.with_node(act.node.clone()))?;
        Ok(PatchOperation::new(id.clone(), node.status, vec![node]))
    }

    /// Reads what an install did: patch by patch, as far as Azure tells.
    ///
    /// # Behavior
    /// - Of an install that this process has followed to its end, what Azure answered then.
    /// - Of any other, and of every one on an Arc machine, Resource Graph's rows: it keeps them for
    ///   thirty days, and has them some minutes late.
    /// - A patch whose row cannot be read is counted in `unreadable`, and the others are there.
    ///
    /// # Errors
    /// `NotFound` (no such install, or not told of yet), `InvalidInput` (a scan), `PermissionDenied`,
    /// `Throttled`.
    pub async fn install_result(&self, id: &OperationId) -> Result<InstallResult> {
        if let Some(nothing) = Nothing::read(&self.client, "install_result", id)? {
            return Ok(nothing.result());
        }
        let act = ActId::read(&self.client, "install_result", id)?;
        let named = |error: Error| error.with_node(act.node.clone());
        if act.kind != Kind::Install {
            return Err(named(invalid("install_result", "a scan installs nothing")));
        }
        // Without an answer now, what Resource Graph has may do.
        let _ = self.follow(id, &act).await;
        let known = self.operations.ledger.result(id);
        if let Some(result) = known.filter(|result| !result.patches.is_empty()) {
            return Ok((*result).clone());
        }
        self.told_result(id, &act).await.map_err(named)
    }

    async fn told_result(&self, id: &OperationId, act: &ActId) -> Result<InstallResult> {
        let client = &self.client;
        let machine = client.machine("install_result", &act.node)?;
        let acts = client.told_acts(&machine, &act.node, Some(&act.activity)).await?;
        let told = acts.into_iter().find(|it| it.kind == act.kind && it.activity == act.activity);
        let Some(told) = told else {
            // Of a machine that lacked nothing the answer itself lists nothing.
            let known = self.operations.ledger.result(id);
            return known.map(|result| (*result).clone()).ok_or_else(|| unknown(act));
        };
        let mut result = InstallResult::read(&act.node, &act.activity, &told.told);
        result.add(&client.told_patches(&machine, &act.node, &act.activity).await?);
        Ok(result)
    }

    async fn follow(&self, id: &OperationId, act: &ActId) -> Result<NodeOperation> {
        let ledger = &self.operations.ledger;
        match ledger.turn(id, self.client.now()) {
            Turn::Known(known) => Ok(*known),
            Turn::Read => self.read(id, act).await,
            Turn::Look(followed) => match self.look(id, act, &followed).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    // The service forgets an operation a day after its end.
                    ledger.unfollow(id);
                    self.read(id, act).await
                }
                Err(error) => {
                    if let Retry::After(pause) = error.retry() {
                        ledger.put_off(id, self.client.now(), pause);
                    }
                    Err(error)
                }
                told => told,
            },
        }
    }

    async fn look(
        &self,
        id: &OperationId,
        act: &ActId,
        followed: &Followed,
    ) -> Result<NodeOperation> {
        let node = &act.node;
        let known = match self.client.look(followed, node).await? {
            Progress::Running(pause) => {
                let known = NodeOperation::new(node.clone(), OperationStatus::InProgress);
                return Ok(self.keep(id, known, None, pause));
            }
            Progress::Failed { status, message } => {
                status::of_failure(node, act.kind, &status, message.as_deref())
            }
            Progress::Succeeded { result: Some(told), ended } => {
                return Ok(self.keep_told(id, act, &told, Over::Yes, ended));
            }
            // It left no result: its machine tells.
            Progress::Succeeded { result: None, .. } => return self.read(id, act).await,
        };
        Ok(self.keep(id, known, None, FLOOR))
    }

    /// Reads an act from its machine, or from Resource Graph where the machine tells of a later one.
    async fn read(&self, id: &OperationId, act: &ActId) -> Result<NodeOperation> {
        let client = &self.client;
        let ours = |kind: Kind, activity: &str| kind == act.kind && activity == act.activity;
        let seen = client.seen(OPERATION, &act.node).await?;
        if let Some(told) = seen.acts.iter().find(|it| ours(it.kind, &it.activity)) {
            return Ok(self.keep_told(id, act, &told.told, Over::NotSaid, None));
        }
        let machine: MachineId = client.machine(OPERATION, &act.node)?;
        let acts = client.told_acts(&machine, &act.node, Some(&act.activity)).await?;
        match acts.iter().find(|it| ours(it.kind, &it.activity)) {
            Some(told) => Ok(self.keep_told(id, act, &told.told, Over::NotSaid, None)),
            None => Err(unknown(act)),
        }
    }

    fn keep_told(
        &self,
        id: &OperationId,
        act: &ActId,
        told: &Value,
        over: Over,
        ended: Option<Timestamp>,
    ) -> NodeOperation {
        match act.kind {
            Kind::Scan => {
                let mut known = status::of_scan(&act.node, told, over);
                known.ended_at = known.ended_at.or(ended);
                self.keep(id, known, None, FLOOR)
            }
            Kind::Install => {
                let mut result = InstallResult::read(&act.node, &act.activity, told);
                result.ended_at = result.ended_at.or(ended);
                let known = status::of_install(&result, over);
                let result = known.status.is_final().then_some(result);
                self.keep(id, known, result, FLOOR)
            }
        }
    }

    fn keep(
        &self,
        id: &OperationId,
        mut known: NodeOperation,
        result: Option<InstallResult>,
        pause: Duration,
    ) -> NodeOperation {
        let remark = self.operations.ledger.remark_on(id);
        if let Some(remark) = remark.filter(|_| known.status.is_final()) {
            known.detail = Some(match known.detail {
                Some(detail) => format!("{detail}; {remark}"),
                None => remark,
            });
        }
        let now = self.client.now();
        self.operations.ledger.note(id, known.clone(), result, now, pause);
        known
    }
}

fn unknown(act: &ActId) -> Error {
    Error::not_found(PROVIDER, OPERATION, format_args!("{} {}", act.kind.word(), act.activity))
}

/// An act that was accepted, and of which nobody says what it is called.
pub(super) fn nameless() -> Error {
    // It was accepted: what cannot be read of the answer is lost.
    let error = malformed("submit", "the answer names no act");
    Error::new(ErrorKind::Timeout, PROVIDER, "submit", error.message().to_owned())
}
