//! One machine under two control planes: which nodes are one, and how they are worked on as one.

mod claim;
mod compliance;
mod delegate;
mod evidence;
mod fleet;
mod listing;
mod merge;
mod propose;
mod table;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex},
};

use self::table::Table;
pub(crate) use self::{claim::other_ids, evidence::listed};
pub use self::{
    evidence::{HostLink, Link, LinkEvidence, MachineLink},
    propose::{AmbiguousLink, CandidateLink, Links, StaleLink, propose_links},
    table::LinkSurvey,
    write::{LinkPlan, LinkReport},
};
use crate::{Estate, MachineIdentity, NodeId, Provider, Scope};

/// The tag of a patched node that holds the unique id of the machine: an Azure `vmId`.
pub const VM_ID_TAG: &str = "patchkit:azure-vm-id";

/// The tag of a patched node that holds the machine's ARM id.
pub const RESOURCE_ID_TAG: &str = "patchkit:azure-resource-id";

/// The tag of a machine at its host that holds the whole id of the node as which it is patched.
pub const NODE_ID_TAG: &str = "patchkit:ssm-node-id";

/// Nodes of two control planes as one fleet, in which a machine of both is one node: it is patched
/// by the one that runs its agent, and powered by the one that hosts it.
///
/// An Azure VM that is a hybrid node (`mi-…`) of Systems Manager as well is the case it is made for.
///
/// # Behavior
/// - A machine of both is listed once, under its patched id, with the host's power and
///   [both ids](crate::ManagedNode::link). Nodes of one side alone are listed as they are.
/// - Only strong evidence makes one node of two: a tag or custom inventory of the patched node with
///   the machine's unique or ARM id, or a link that was [confirmed](Self::with_confirmed). Names
///   and addresses [propose](Self::links) a link, and never make one; until a person has
///   confirmed it, or [told the two apart](Self::with_separate), plans leave the host's node alone.
/// - What is ambiguous, or was once linked and has been created anew, is listed as two nodes that
///   say so ([`MachineLink::Unresolved`]); plans leave both alone.
/// - Power goes to the host, and not before both sides have been read again: a link that has broken
///   is a `Conflict`, and no machine is touched. Acts, access and tags go to the side of the id that
///   is given.
/// - A machine that is patched by its agent is not patched by its host: an act on its id there is a
///   `Conflict`.
/// - Selectors take a machine by either of its ids, accounts and Regions, by the power that its host
///   tells, and by the tags of both sides. Where both have a tag the patched side's counts; the
///   host's is in [`HostLink::conflicts`]. Patch groups are the patched side's alone, for its
///   service looks nowhere else.
/// - A host that does not answer makes a power `Unknown`, and says so in
///   [`NodeStatus::problem`](crate::NodeStatus::problem); the node stays.
/// - Links are looked for in every listing that is not by ids, and kept until the next one.
/// - Scopes fail one by one, as in an [`Estate`].
/// - Baselines and patch groups are those of the patching side, where that is one provider.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use patchkit_core::{
///     Estate, FleetExt, LinkedFleet, NodeId, NodeOrigin, NodeSelector, OperatingSystem, PowerState,
///     memory::{MemoryCloud, MemoryNode},
/// };
///
/// # futures::executor::block_on(async {
/// let vm: NodeId = "azure/sub/westeurope//subscriptions/sub/resourceGroups/rg/vm-7".parse()?;
/// let node: NodeId = "aws/111122223333/eu-west-1/mi-0abc".parse()?;
/// let azure = MemoryCloud::builder().build();
/// azure.insert(
///     MemoryNode::new(vm.clone(), OperatingSystem::Ubuntu)
///         .with_vm_id("5c3e1f60-9a2b-4d47-8f10-2b6f0c9d1e7a".parse()?)
///         .with_power(PowerState::Deallocated),
/// );
/// let ssm = MemoryCloud::builder().build();
/// ssm.insert(
///     MemoryNode::new(node.clone(), OperatingSystem::Ubuntu)
///         .with_origin(NodeOrigin::Hybrid)
///         .with_tag("patchkit:azure-vm-id", "5c3e1f60-9a2b-4d47-8f10-2b6f0c9d1e7a"),
/// );
///
/// let patched = Estate::new().with([node.scope().clone()], Arc::new(ssm));
/// let hosts = Estate::new().with([vm.scope().clone()], Arc::new(azure));
/// let fleet = LinkedFleet::new(patched, hosts);
/// let nodes = fleet.collect_nodes(&NodeSelector::all()).await?;
/// assert_eq!(nodes.len(), 1);
/// assert_eq!((&nodes[0].id, nodes[0].power), (&node, PowerState::Deallocated));
/// assert_eq!(nodes[0].host().map(|link| &link.host), Some(&vm));
/// # Ok::<(), patchkit_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct LinkedFleet {
    patchers: Estate,
    hosts: Estate,
    /// Both: what is about one node goes to the provider of its scope.
    all: Estate,
    confirmed: Arc<BTreeMap<NodeId, Link>>,
    identities: Arc<BTreeMap<NodeId, MachineIdentity>>,
    separate: Arc<BTreeMap<NodeId, BTreeSet<NodeId>>>,
    /// The links that the last listing found: power is asked for again and again, by ids alone.
    known: Arc<Mutex<Option<Arc<Table>>>>,
}

impl LinkedFleet {
    /// The nodes of `patchers`, each of which may be a machine of `hosts`.
    ///
    /// Of a scope that both name, the host's provider counts.
    pub fn new(patchers: Estate, hosts: Estate) -> Self {
        Self {
            all: patchers.clone().and(hosts.clone()),
            patchers,
            hosts,
            confirmed: Arc::default(),
            identities: Arc::default(),
            separate: Arc::default(),
            known: Arc::default(),
        }
    }

    /// Adds links that a person has confirmed.
    ///
    /// They hold as long as the host's machine has the unique id that it had when they were.
    #[must_use]
    pub fn with_confirmed(mut self, links: impl IntoIterator<Item = Link>) -> Self {
        let mut confirmed = (*self.confirmed).clone();
        confirmed.extend(links.into_iter().map(|link| (link.patched.clone(), link)));
        self.confirmed = Arc::new(confirmed);
        self.known = Arc::default();
        self
    }

    /// Adds what custom inventory tells of the machines behind patched nodes: evidence as strong as
    /// their tags.
    ///
    /// Systems Manager tells neither an Azure id nor an SMBIOS uuid by itself; an inventory type of
    /// one's own, written on the node out of Azure's instance metadata, does.
    #[must_use]
    pub fn with_inventory(
        mut self,
        identities: impl IntoIterator<Item = (NodeId, MachineIdentity)>,
    ) -> Self {
        let mut known = (*self.identities).clone();
        known.extend(identities);
        self.identities = Arc::new(known);
        self.known = Arc::default();
        self
    }

    /// Says of pairs of a patched node and a host's that they are two machines, whatever weak evidence
    /// there is.
    #[must_use]
    pub fn with_separate(mut self, pairs: impl IntoIterator<Item = (NodeId, NodeId)>) -> Self {
        let mut separate = (*self.separate).clone();
        for (patched, host) in pairs {
            separate.entry(patched).or_default().insert(host);
        }
        self.separate = Arc::new(separate);
        self.known = Arc::default();
        self
    }

    /// The scopes of both sides, the patching side's first.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.patchers.scopes().chain(self.hosts.scopes())
    }

    fn is_host(&self, node: &NodeId) -> bool {
        self.hosts.has(node.scope())
    }
}

impl Provider for LinkedFleet {}

const _: fn(LinkedFleet) -> Arc<dyn Provider> = |fleet| Arc::new(fleet);

impl fmt::Debug for LinkedFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkedFleet")
            .field("patchers", &self.patchers)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}
