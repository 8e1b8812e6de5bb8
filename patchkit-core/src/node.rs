//! Managed nodes, their state as it was seen, and how to select them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, HostLink, MachineIdentity, MachineLink, NodeId, OperatingSystem, PatchGroupName,
    Region, ResourceGroupName, UnmanagedReason,
};

/// Tag names and values of a node, as the provider returns them.
pub type Tags = BTreeMap<String, String>;

/// The two tag names that put a node in a patch group; the spaced one is refused by AWS where tags
/// are allowed in instance metadata (facts: "Patch Group" and "PatchGroup", case-sensitive).
pub const PATCH_GROUP_TAGS: [&str; 2] = ["Patch Group", "PatchGroup"];

/// A server under patch management, as it was at [`observed_at`](Self::observed_at).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ManagedNode {
    /// Its scope and id.
    pub id: NodeId,
    /// A name for people: the `Name` tag, the VM's or the computer's name.
    pub name: Option<String>,
    /// Where it comes from.
    pub origin: NodeOrigin,
    /// Its operating system, as patch baselines name it.
    pub operating_system: OperatingSystem,
    /// The vendor's version of it: `9.4`, `22.04`, `10.0.20348`.
    pub platform_version: Option<String>,
    /// On, off, or on the way.
    pub power: PowerState,
    /// Whether its agent answers.
    pub reachability: Reachability,
    /// Why its management service cannot act on it; none where its agent answers.
    pub unmanaged: Option<UnmanagedReason>,
    /// Why its provider patches it in no state that it may be in; none where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpatchable: Option<String>,
    /// The version of its agent, where one is known.
    pub agent_version: Option<String>,
    /// The zone of its Region that it is in, where its provider tells: `eu-west-1a`, `westeurope-1`.
    /// One name may be another place in each account or subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// Those of the resource groups that it is in which the listing was asked for by name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub resource_groups: BTreeSet<ResourceGroupName>,
    /// What tells the machine from others.
    #[serde(default, skip_serializing_if = "MachineIdentity::is_empty")]
    pub identity: MachineIdentity,
    /// By what its control plane patches it of itself, as far as that is told: the names or ids of
    /// maintenance configurations, untrusted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub schedules: BTreeSet<String>,
    /// Its part in another control plane, where a [`LinkedFleet`](crate::LinkedFleet) lists it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<MachineLink>,
    /// When all this was seen.
    pub observed_at: Timestamp,
}

impl ManagedNode {
    /// A node of which only the id and the operating system are known.
    pub fn new(id: NodeId, operating_system: OperatingSystem, observed_at: Timestamp) -> Self {
        Self {
            id,
            name: None,
            origin: NodeOrigin::Cloud,
            operating_system,
            platform_version: None,
            power: PowerState::Unknown,
            reachability: Reachability::Unknown,
            unmanaged: Some(UnmanagedReason::Unknown),
            unpatchable: None,
            agent_version: None,
            zone: None,
            tags: Tags::new(),
            resource_groups: BTreeSet::new(),
            identity: MachineIdentity::default(),
            schedules: BTreeSet::new(),
            link: None,
            observed_at,
        }
    }

    /// The machine of another control plane that it is, where it is one.
    pub fn host(&self) -> Option<&HostLink> {
        match &self.link {
            Some(MachineLink::Host(link)) => Some(link),
            _ => None,
        }
    }

    /// The patch group its tags name.
    ///
    /// Which tag wins when a node carries both with different values is not documented by AWS, so
    /// such a node is in no group that can be known: see [`GroupTag::Ambiguous`].
    pub fn group_tag(&self) -> GroupTag {
        group_tag(&self.tags)
    }

    /// The patch group, where exactly one is named.
    pub fn patch_group(&self) -> Option<PatchGroupName> {
        match self.group_tag() {
            GroupTag::One(group) => Some(group),
            GroupTag::None | GroupTag::Ambiguous(_) => None,
        }
    }
}

/// What a node's tags say of its patch group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GroupTag {
    /// No patch group tag with a value.
    None,
    /// One group, by one or both tags.
    One(PatchGroupName),
    /// Both tags with different values, in the order of [`PATCH_GROUP_TAGS`].
    Ambiguous([PatchGroupName; 2]),
}

/// Reads the patch group tags out of `tags`.
pub fn group_tag(tags: &Tags) -> GroupTag {
    let [spaced, joined] = PATCH_GROUP_TAGS
        .map(|name| tags.get(name).and_then(|value| PatchGroupName::new(value).ok()));
    match (spaced, joined) {
        (None, None) => GroupTag::None,
        (Some(group), None) | (None, Some(group)) => GroupTag::One(group),
        (Some(a), Some(b)) if a == b => GroupTag::One(a),
        (Some(a), Some(b)) => GroupTag::Ambiguous([a, b]),
    }
}

/// Where a managed node comes from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NodeOrigin {
    /// The provider's own virtual machine; it can start and stop it.
    Cloud,
    /// Registered from elsewhere (`mi-…`, Arc): patched, but started and stopped by its host alone, if
    /// that is [known](ManagedNode::link).
    Hybrid,
}

/// Whether a node's agent answers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reachability {
    /// It answered lately.
    Online,
    /// It answered once, and does no more.
    Lost,
    /// It has not answered for long, or the node is off.
    Inactive,
    /// Nothing is known: no agent, or nobody asked.
    Unknown,
}

/// The power of a node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PowerState {
    /// On.
    Running,
    /// Off. On Azure the hardware is still reserved and paid for.
    Stopped,
    /// Off, with the hardware given back (Azure).
    Deallocated,
    /// On the way up.
    Starting,
    /// On the way down.
    Stopping,
    /// Gone for ever.
    Terminated,
    /// Not known, or not the provider's to know (hybrid).
    Unknown,
}

impl PowerState {
    /// The target that brings a node back to this state, for the states in which a node can rest.
    ///
    /// A VM that was found stopped goes back to stopped, not to deallocated.
    pub fn as_target(self) -> Option<PowerTarget> {
        match self {
            Self::Running => Some(PowerTarget::Running),
            Self::Stopped => Some(PowerTarget::Stopped),
            Self::Deallocated => Some(PowerTarget::Deallocated),
            Self::Starting | Self::Stopping | Self::Terminated | Self::Unknown => None,
        }
    }

    /// Whether the node is off and can be started.
    pub fn is_off(self) -> bool {
        matches!(self, Self::Stopped | Self::Deallocated)
    }
}

/// The power that a caller can ask for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerTarget {
    /// On.
    Running,
    /// Off.
    Stopped,
    /// Off, with the hardware given back. A provider without the notion takes it as `Stopped`.
    Deallocated,
}

impl PowerTarget {
    /// The state that a node has when the target is reached.
    pub fn state(self) -> PowerState {
        match self {
            Self::Running => PowerState::Running,
            Self::Stopped => PowerState::Stopped,
            Self::Deallocated => PowerState::Deallocated,
        }
    }
}

macro_rules! snake_display {
    ($($name:ident { $($variant:ident => $text:literal),+ $(,)? })+) => {$(
        impl $name {
            /// The word used in reports and in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )+};
}
pub(crate) use snake_display;

snake_display! {
    NodeOrigin { Cloud => "cloud", Hybrid => "hybrid" }
    Reachability { Online => "online", Lost => "lost", Inactive => "inactive", Unknown => "unknown" }
    PowerState {
        Running => "running",
        Stopped => "stopped",
        Deallocated => "deallocated",
        Starting => "starting",
        Stopping => "stopping",
        Terminated => "terminated",
        Unknown => "unknown",
    }
    PowerTarget { Running => "running", Stopped => "stopped", Deallocated => "deallocated" }
}

/// The part of a node that changes while it is patched; cheap to ask for, again and again.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeStatus {
    /// On, off, or on the way.
    pub power: PowerState,
    /// Whether its agent answers.
    pub reachability: Reachability,
    /// The version of its agent, where one is known.
    pub agent_version: Option<String>,
    /// When it booted last, where the provider tells.
    pub booted_at: Option<Timestamp>,
    /// When this was seen.
    pub observed_at: Timestamp,
    /// What of it could not be found out, and why. Holds providers' words: escape before showing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl NodeStatus {
    /// What was seen of a node's power and agent.
    pub fn new(power: PowerState, reachability: Reachability, observed_at: Timestamp) -> Self {
        Self {
            power,
            reachability,
            agent_version: None,
            booted_at: None,
            observed_at,
            problem: None,
        }
    }
}

/// Which nodes to take: every criterion given must hold; within one, any of its values.
///
/// An empty list of values selects nothing: a selector built from an empty query never widens to
/// the whole fleet. [`NodeSelector::all`] is the only one that takes every node.
///
/// ```
/// use patchkit_core::{NodeSelector, PowerState};
///
/// let selector = NodeSelector::all().with_tag("Environment", ["prod"]).with_power([PowerState::Stopped]);
/// assert_eq!(selector.to_string(), "tag Environment=prod, power stopped");
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(default)]
pub struct NodeSelector {
    /// These nodes only.
    pub ids: Option<BTreeSet<NodeId>>,
    /// Nodes that carry each of these tags with one of its values.
    pub tags: BTreeMap<String, BTreeSet<String>>,
    /// Nodes in one of these patch groups.
    pub groups: Option<BTreeSet<PatchGroupName>>,
    /// Nodes in one of these resource groups, as they are when a provider is asked.
    // Left out where none is named: plans have the hashes that they had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_groups: Option<BTreeSet<ResourceGroupName>>,
    /// Nodes with one of these operating systems.
    pub operating_systems: Option<BTreeSet<OperatingSystem>>,
    /// Nodes in one of these power states.
    pub power: Option<BTreeSet<PowerState>>,
    /// Nodes in one of these accounts or subscriptions.
    pub accounts: Option<BTreeSet<AccountId>>,
    /// Nodes in one of these Regions.
    pub regions: Option<BTreeSet<Region>>,
}

impl NodeSelector {
    /// Every node.
    pub fn all() -> Self {
        Self::default()
    }

    /// These nodes and no others.
    pub fn ids(ids: impl IntoIterator<Item = NodeId>) -> Self {
        Self::default().with_ids(ids)
    }

    /// Only these nodes.
    #[must_use]
    pub fn with_ids(mut self, ids: impl IntoIterator<Item = NodeId>) -> Self {
        self.ids = Some(ids.into_iter().collect());
        self
    }

    /// Only nodes whose tag `key` has one of `values`; several keys must all hold.
    #[must_use]
    pub fn with_tag<V: Into<String>>(
        mut self,
        key: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.tags.insert(key.into(), values.into_iter().map(Into::into).collect());
        self
    }

    /// Only nodes in one of these patch groups.
    #[must_use]
    pub fn with_groups(mut self, groups: impl IntoIterator<Item = PatchGroupName>) -> Self {
        self.groups = Some(groups.into_iter().collect());
        self
    }

    /// Only nodes in one of these resource groups.
    ///
    /// Who is in them is the provider's to say: see [`Fleet::nodes`](crate::Fleet::nodes).
    #[must_use]
    pub fn with_resource_groups(
        mut self,
        groups: impl IntoIterator<Item = ResourceGroupName>,
    ) -> Self {
        self.resource_groups = Some(groups.into_iter().collect());
        self
    }

    /// Only nodes with one of these operating systems.
    #[must_use]
    pub fn with_operating_systems(
        mut self,
        systems: impl IntoIterator<Item = OperatingSystem>,
    ) -> Self {
        self.operating_systems = Some(systems.into_iter().collect());
        self
    }

    /// Only nodes in one of these power states.
    #[must_use]
    pub fn with_power(mut self, states: impl IntoIterator<Item = PowerState>) -> Self {
        self.power = Some(states.into_iter().collect());
        self
    }

    /// Only nodes in one of these accounts.
    #[must_use]
    pub fn with_accounts(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        self.accounts = Some(accounts.into_iter().collect());
        self
    }

    /// Only nodes in one of these Regions.
    #[must_use]
    pub fn with_regions(mut self, regions: impl IntoIterator<Item = Region>) -> Self {
        self.regions = Some(regions.into_iter().collect());
        self
    }

    /// Whether the selector takes `node`.
    ///
    /// A machine of two control planes is taken by either of its ids and of the scopes that these are
    /// in.
    ///
    /// A resource group is matched by the node's
    /// [`resource_groups`](ManagedNode::resource_groups): one that its listing was not asked for
    /// does not match.
    pub fn matches(&self, node: &ManagedNode) -> bool {
        fn any<T: Ord>(wanted: Option<&BTreeSet<T>>, value: &T) -> bool {
            wanted.is_none_or(|set| set.contains(value))
        }
        let host = node.host().map(|link| &link.host);
        let mut both = std::iter::once(&node.id).chain(host);
        any(self.operating_systems.as_ref(), &node.operating_system)
            && any(self.power.as_ref(), &node.power)
            && both.clone().any(|id| any(self.ids.as_ref(), id))
            && both.any(|id| {
                any(self.accounts.as_ref(), id.scope().account())
                    && any(self.regions.as_ref(), id.scope().region())
            })
            && self
                .tags
                .iter()
                .all(|(key, values)| node.tags.get(key).is_some_and(|value| values.contains(value)))
            && self.groups.as_ref().is_none_or(|groups| {
                node.patch_group().is_some_and(|group| groups.contains(&group))
            })
            && self
                .resource_groups
                .as_ref()
                .is_none_or(|groups| !groups.is_disjoint(&node.resource_groups))
    }

    /// Whether no criterion is set.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for NodeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: fmt::Display>(items: &BTreeSet<T>) -> String {
            if items.is_empty() {
                return "nothing".to_owned();
            }
            items.iter().map(ToString::to_string).collect::<Vec<_>>().join("|")
        }
        if self.is_all() {
            return f.write_str("every node");
        }
        let mut parts = Vec::new();
        if let Some(ids) = &self.ids {
            parts.push(match ids.len() {
                0..=3 => format!("ids {}", list(ids)),
                n => format!("{n} ids"),
            });
        }
        parts.extend(self.tags.iter().map(|(key, values)| format!("tag {key}={}", list(values))));
        parts.extend(self.groups.as_ref().map(|set| format!("group {}", list(set))));
        parts.extend(
            self.resource_groups.as_ref().map(|set| format!("resource group {}", list(set))),
        );
        parts.extend(self.operating_systems.as_ref().map(|set| format!("os {}", list(set))));
        parts.extend(self.power.as_ref().map(|set| format!("power {}", list(set))));
        parts.extend(self.accounts.as_ref().map(|set| format!("account {}", list(set))));
        parts.extend(self.regions.as_ref().map(|set| format!("region {}", list(set))));
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(tags: &[(&str, &str)]) -> ManagedNode {
        let id = "aws/111122223333/eu-west-1/i-01".parse().unwrap();
        let mut node = ManagedNode::new(id, OperatingSystem::Ubuntu, Timestamp::UNIX_EPOCH);
        node.tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        node
    }

    #[test]
    fn an_empty_list_selects_nothing() {
        let node = node(&[("Patch Group", "web")]);
        assert!(NodeSelector::all().matches(&node));
        assert!(!NodeSelector::ids([]).matches(&node));
        assert!(!NodeSelector::all().with_groups([]).matches(&node));
        assert!(!NodeSelector::all().with_tag("Patch Group", [""; 0]).matches(&node));
    }

    #[test]
    fn a_resource_group_is_matched_by_what_the_provider_told() {
        let web: ResourceGroupName = "web".parse().unwrap();
        let selector = NodeSelector::all().with_resource_groups([web.clone()]);
        let mut node = node(&[]);
        assert!(!selector.matches(&node) && !selector.is_all());
        assert!(!NodeSelector::all().with_resource_groups([]).matches(&node));
        node.resource_groups.insert(web);
        assert!(selector.matches(&node));
        assert_eq!(selector.to_string(), "resource group web");
    }

    #[test]
    fn a_selector_without_resource_groups_is_written_as_it_was_before_there_were_any() {
        let written = serde_json::to_string(&NodeSelector::all()).unwrap();
        assert!(!written.contains("resource_groups"), "{written}");
    }

    #[test]
    fn a_node_of_unknown_identity_is_written_as_it_was_before_there_was_any() {
        let written = serde_json::to_string(&node(&[])).unwrap();
        assert!(!written.contains("identity") && !written.contains("schedules"), "{written}");
        assert_eq!(serde_json::from_str::<ManagedNode>(&written).unwrap(), node(&[]));
    }

    #[test]
    fn both_group_tags_with_different_values_are_ambiguous() {
        assert_eq!(
            node(&[("PatchGroup", "web")]).patch_group(),
            Some(PatchGroupName::new("web").unwrap())
        );
        assert!(node(&[("PatchGroup", "web"), ("Patch Group", "web")]).patch_group().is_some());
        let both = node(&[("PatchGroup", "web"), ("Patch Group", "db")]);
        assert!(matches!(both.group_tag(), GroupTag::Ambiguous(_)));
        assert_eq!(both.patch_group(), None);
        assert_eq!(node(&[("patch group", "web")]).group_tag(), GroupTag::None);
    }

    #[test]
    fn tag_values_are_alternatives_and_keys_are_not() {
        let node = node(&[("env", "prod"), ("app", "a")]);
        assert!(NodeSelector::all().with_tag("env", ["dev", "prod"]).matches(&node));
        assert!(
            !NodeSelector::all().with_tag("env", ["prod"]).with_tag("app", ["b"]).matches(&node)
        );
    }
}
