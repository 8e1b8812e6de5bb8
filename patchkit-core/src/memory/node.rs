//! A node in memory: what it is, how it behaves, and how it is doing.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use jiff::Timestamp;

use super::cloud::MemoryCloud;
use crate::{
    AccessStatus, ComplianceStatus, MachineIdentity, MachineUuid, ManagedNode, NodeId, NodeOrigin,
    NodePatch, NodeVerdict, OperatingSystem, OperationId, PatchCompliance, PowerState,
    Reachability,
};

/// The agent version that an agent update brings.
pub(super) const NEWEST_AGENT: &str = "3.3.3050.0";
/// The agent version of a node that was never updated.
const OLD_AGENT: &str = "3.2.582.0";
/// The policy that grants access to the management service, where nothing else is named.
pub(super) const CORE_POLICY: &str = "AmazonSSMManagedInstanceCore";

/// A node to put into a [`MemoryCloud`](super::MemoryCloud).
#[derive(Clone, Debug)]
pub struct MemoryNode {
    pub(super) node: ManagedNode,
    pub(super) behavior: Behavior,
    pub(super) identity: Option<String>,
    pub(super) policies: BTreeSet<String>,
    pub(super) associations: Option<ComplianceStatus>,
    pub(super) patches: Vec<NodePatch>,
    pub(super) reported: Vec<PatchCompliance>,
    pub(super) scan: Option<Scan>,
    /// The state in which the scan made on insertion finds it.
    pub(super) scanned: Option<Timestamp>,
    pub(super) life: Life,
}

/// How a node takes what is done to it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Behavior {
    /// Everything works.
    #[default]
    Healthy,
    /// Its agent answers only so long after it runs.
    LateAgent(Duration),
    /// It runs only so long after the order to start.
    LateStart(Duration),
    /// Its agent never answers after a start.
    DeadAgent,
    /// One of its patches always fails.
    PatchFails,
    /// Installs take half of what is missing at a time.
    TwoRounds,
    /// Installs never end.
    InstallHangs,
    /// It cannot be started.
    RefusesStart,
    /// It cannot be stopped.
    RefusesStop,
}

/// What the last scan or install found.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    pub(super) at: Timestamp,
    pub(super) baseline: Option<crate::BaselineId>,
    pub(super) verdict: NodeVerdict,
    pub(super) patches: Vec<PatchCompliance>,
}

/// How a node is doing, as of the last time it was looked at.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) power: PowerState,
    /// The power to come, and when.
    pub(super) change: Option<(Timestamp, PowerState)>,
    pub(super) booted_at: Option<Timestamp>,
    /// From when its agent answers, while it is on.
    pub(super) agent_from: Timestamp,
    /// When the act before ended: one act at a time.
    pub(super) free_from: Timestamp,
    /// The acts that wait for it, the one under way in front.
    pub(super) acts: VecDeque<OperationId>,
    /// The machine that it runs on, where that is another cloud's.
    pub(super) machine: Option<Machine>,
}

/// A machine of another cloud, and how it was when it was looked at last.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) cloud: MemoryCloud,
    pub(super) node: NodeId,
    pub(super) seen: Option<(PowerState, Option<Timestamp>)>,
}

impl MemoryNode {
    /// A running node in the cloud, with an agent that answers, access, and no patches.
    pub fn new(id: NodeId, operating_system: OperatingSystem) -> Self {
        let mut node = ManagedNode::new(id, operating_system, Timestamp::UNIX_EPOCH);
        node.power = PowerState::Running;
        node.reachability = Reachability::Online;
        node.agent_version = Some(OLD_AGENT.to_owned());
        Self {
            node,
            behavior: Behavior::default(),
            identity: Some("PatchKitNode".to_owned()),
            policies: BTreeSet::from([CORE_POLICY.to_owned()]),
            associations: None,
            patches: Vec::new(),
            reported: Vec::new(),
            scan: None,
            scanned: None,
            life: Life {
                power: PowerState::Running,
                change: None,
                booted_at: None,
                agent_from: Timestamp::MIN,
                free_from: Timestamp::MIN,
                acts: VecDeque::new(),
                machine: None,
            },
        }
    }

    /// Names it.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.node.name = Some(name.into());
        self
    }

    /// Sets its power.
    #[must_use]
    pub fn with_power(mut self, power: PowerState) -> Self {
        self.life.power = power;
        self
    }

    /// Says where it comes from; the power of a hybrid node is not the cloud's to know.
    #[must_use]
    pub fn with_origin(mut self, origin: NodeOrigin) -> Self {
        self.node.origin = origin;
        if origin == NodeOrigin::Hybrid {
            self.life.power = PowerState::Unknown;
        }
        self
    }

    /// Says whether its agent answers while it is on.
    #[must_use]
    pub fn with_reachability(mut self, reachability: Reachability) -> Self {
        self.node.reachability = reachability;
        self
    }

    /// Sets the vendor's version of its operating system.
    #[must_use]
    pub fn with_platform_version(mut self, version: impl Into<String>) -> Self {
        self.node.platform_version = Some(version.into());
        self
    }

    /// Sets the zone that it is in.
    #[must_use]
    pub fn with_zone(mut self, zone: impl Into<String>) -> Self {
        self.node.zone = Some(zone.into());
        self
    }

    /// Sets a tag.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.node.tags.insert(key.into(), value.into());
        self
    }

    /// Sets the unique id of its machine, as its host knows it.
    #[must_use]
    pub fn with_vm_id(mut self, id: MachineUuid) -> Self {
        self.node.identity.vm_id = Some(id);
        self
    }

    /// Sets what is known of its machine.
    #[must_use]
    pub fn with_identity(mut self, identity: MachineIdentity) -> Self {
        self.node.identity = identity;
        self
    }

    /// Has its cloud patch it of itself, by a schedule of this name.
    #[must_use]
    pub fn with_schedule(mut self, name: impl Into<String>) -> Self {
        self.node.schedules.insert(name.into());
        self
    }

    /// Puts its agent on a machine of another cloud: it answers while that one runs.
    #[must_use]
    pub fn on_machine(mut self, cloud: &MemoryCloud, machine: NodeId) -> Self {
        self.life.machine = Some(Machine { cloud: cloud.clone(), node: machine, seen: None });
        self.with_origin(NodeOrigin::Hybrid)
    }

    /// Sets how it takes what is done to it.
    #[must_use]
    pub fn with_behavior(mut self, behavior: Behavior) -> Self {
        self.behavior = behavior;
        self
    }

    /// Takes its access to the management service away.
    ///
    /// A node without access has no agent that answers, until access is granted.
    #[must_use]
    pub fn with_access(mut self, access: AccessStatus) -> Self {
        if access != AccessStatus::Granted {
            self.policies.clear();
        }
        if access == AccessStatus::NoIdentity {
            self.identity = None;
        }
        self
    }

    /// Adds a patch, there or not.
    #[must_use]
    pub fn with_patch(mut self, patch: NodePatch) -> Self {
        self.patches.push(patch);
        self
    }

    /// Has every scan report a patch just so, as an agent does that knows more states than PatchKit.
    #[must_use]
    pub fn with_reported(mut self, patch: PatchCompliance) -> Self {
        self.reported.push(patch);
        self
    }

    /// Has it scanned at `at`, before everything else.
    #[must_use]
    pub fn with_scan(mut self, at: Timestamp) -> Self {
        self.scanned = Some(at);
        self
    }

    /// Sets the verdict on its associations.
    #[must_use]
    pub fn with_associations(mut self, status: ComplianceStatus) -> Self {
        self.associations = Some(status);
        self
    }

    /// Its id.
    pub fn id(&self) -> &NodeId {
        &self.node.id
    }

    pub(super) fn access(&self) -> AccessStatus {
        match &self.identity {
            None => AccessStatus::NoIdentity,
            Some(_) if self.policies.is_empty() => AccessStatus::MissingPermissions,
            Some(_) => AccessStatus::Granted,
        }
    }
}
