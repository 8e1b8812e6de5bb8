//! The life of a node: power and agents take time, on whatever clock is handed in.

use std::time::Duration;

use jiff::Timestamp;

use super::node::{Behavior, MemoryNode};
use crate::{
    AccessStatus, Error, ErrorKind, ManagedNode, NodeOrigin, NodeStatus, PowerState, PowerTarget,
    Reachability, Result, Retry, UnmanagedReason, clock::later,
};

/// From the order to start to a running system.
pub(super) const START: Duration = Duration::from_mins(1);
/// From the order to stop to the rest.
pub(super) const STOP: Duration = Duration::from_secs(45);
/// From a running system to an agent that answers.
const AGENT: Duration = Duration::from_secs(30);
/// From a restart of the agent to its next answer.
pub(super) const AGENT_RESTART: Duration = Duration::from_secs(15);

/// Whether a node's system is there to answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum System {
    Up,
    Rebooting,
}

impl MemoryNode {
    /// Whether time alone can do something to it: it has acts, its power changes, or it follows a
    /// machine.
    pub(super) fn is_busy(&self) -> bool {
        let life = &self.life;
        !life.acts.is_empty() || life.change.is_some() || life.machine.is_some()
    }

    /// Whether the agent answers at `now`; `None` when it will not without another event.
    pub(super) fn answers_from(&self) -> Option<Timestamp> {
        let on = match &self.life.machine {
            Some(machine) => matches!(machine.seen, Some((PowerState::Running, _))),
            None => matches!(self.life.power, PowerState::Running | PowerState::Unknown),
        };
        let able = self.node.reachability == Reachability::Online
            && self.access() == AccessStatus::Granted;
        (on && able).then_some(self.life.agent_from)
    }

    fn reachability(&self, now: Timestamp, system: System) -> Reachability {
        if self.access() != AccessStatus::Granted {
            return Reachability::Unknown;
        }
        match self.answers_from() {
            Some(from) if from <= now && system == System::Up => Reachability::Online,
            Some(_) => Reachability::Lost,
            None if self.node.reachability == Reachability::Online => Reachability::Inactive,
            None => self.node.reachability,
        }
    }

    fn unmanaged(&self, reachability: Reachability) -> Option<UnmanagedReason> {
        let told = UnmanagedReason::of(self.life.power, reachability)?;
        Some(match (told, self.access()) {
            (UnmanagedReason::Unknown, AccessStatus::NoIdentity) => UnmanagedReason::NoIdentity,
            (UnmanagedReason::Unknown, AccessStatus::MissingPermissions) => {
                UnmanagedReason::NotRegistered { running_since: self.life.booted_at }
            }
            _ => told,
        })
    }

    pub(super) fn status(&self, now: Timestamp, system: System) -> NodeStatus {
        let mut status = NodeStatus::new(self.life.power, self.reachability(now, system), now);
        status.agent_version.clone_from(&self.node.agent_version);
        status.booted_at = self.life.booted_at;
        status
    }

    pub(super) fn seen(&self, now: Timestamp, system: System) -> ManagedNode {
        let mut node = self.node.clone();
        node.power = self.life.power;
        node.reachability = self.reachability(now, system);
        node.unmanaged = self.unmanaged(node.reachability);
        node.observed_at = now;
        node
    }

    /// The power change that has come to pass by `now` gets its effect.
    pub(super) fn change_power(&mut self, at: Timestamp, power: PowerState) {
        self.life.power = power;
        self.life.change = None;
        if power == PowerState::Running {
            self.boot(at);
        }
    }

    /// Its system comes up, and its agent some time after.
    pub(super) fn boot(&mut self, at: Timestamp) {
        self.life.booted_at = Some(at);
        self.life.agent_from = match self.behavior {
            Behavior::LateAgent(delay) => later(at, delay),
            Behavior::DeadAgent => Timestamp::MAX,
            _ => later(at, AGENT),
        };
    }

    /// Takes an order to start or stop.
    pub(super) fn order(
        &mut self,
        provider: &'static str,
        now: Timestamp,
        target: PowerTarget,
    ) -> Result<()> {
        let refuse = |kind, message: String| {
            Err(Error::new(kind, provider, "set_power", message).with_node(self.node.id.clone()))
        };
        if self.node.origin == NodeOrigin::Hybrid {
            return refuse(
                ErrorKind::Unsupported,
                "a hybrid node's power is not the provider's".to_owned(),
            );
        }
        // AWS-like nodes do not give their hardware back.
        let rest = match target {
            PowerTarget::Deallocated if self.node.id.scope().provider() == "aws" => {
                PowerState::Stopped
            }
            other => other.state(),
        };
        let coming = self.life.change.map(|(_, power)| power);
        if self.life.power == rest || coming == Some(rest) {
            return Ok(());
        }
        if self.life.power == PowerState::Terminated {
            return refuse(ErrorKind::Conflict, "the node is terminated".to_owned());
        }
        if coming.is_some() {
            return match refuse(ErrorKind::Conflict, format!("the node is {}", self.life.power)) {
                Err(error) => Err(error.with_retry(Retry::Backoff)),
                ok => ok,
            };
        }
        match (target, self.behavior) {
            (PowerTarget::Running, Behavior::RefusesStart) => {
                return refuse(ErrorKind::Conflict, "insufficient capacity".to_owned());
            }
            (PowerTarget::Stopped | PowerTarget::Deallocated, Behavior::RefusesStop) => {
                return refuse(ErrorKind::Conflict, "stop protection is on".to_owned());
            }
            _ => {}
        }
        match target {
            PowerTarget::Running => {
                self.life.power = PowerState::Starting;
                let start = match self.behavior {
                    Behavior::LateStart(delay) => delay,
                    _ => START,
                };
                self.life.change = Some((later(now, start), PowerState::Running));
            }
            PowerTarget::Stopped | PowerTarget::Deallocated => {
                self.life.power = PowerState::Stopping;
                self.life.change = Some((later(now, STOP), rest));
            }
        }
        Ok(())
    }
}
