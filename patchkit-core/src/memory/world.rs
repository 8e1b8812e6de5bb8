//! Sets a cloud up, with nodes made from a seed where asked for.

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    catalogue,
    cloud::{Kept, MemoryCloud, State},
    node::{Behavior, MemoryNode},
};
use crate::{
    AccessStatus, ApprovalRule, AutoApproval, BaselineId, BaselineOwner, Capabilities, Clock,
    ComplianceLevel, NodeId, NodeOrigin, NodePatch, OperatingSystem, PatchBaseline, PatchFilter,
    PatchFilterKey, PatchGroupName, PowerState, Presence, Reachability, UpdateScope, VirtualClock,
    predefined,
};

/// The time at which a cloud without a clock of its own begins: 2026-11-24T02:00:00Z.
const BEGINNING: i64 = 1_795_485_600;

/// The accounts, Regions and machines of the made nodes: three AWS accounts (security, shared
/// services, application) in two Regions, and an Azure subscription.
const AWS_ACCOUNTS: [&str; 3] = ["012345678901", "111122223333", "444455556666"];
const AWS_REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];
const SUBSCRIPTION: &str = "8f3c2a10-7d5e-4b61-9a04-2f6e1c0d9b57";
const AZURE_LOCATION: &str = "westeurope";

/// Sets a [`MemoryCloud`] up.
///
/// Without [`nodes`](Self::nodes) the cloud is empty but for AWS's predefined baselines, each the
/// default of its operating system.
#[derive(Clone)]
pub struct MemoryCloudBuilder {
    seed: u64,
    nodes: usize,
    clock: Option<Arc<dyn Clock>>,
    capabilities: Capabilities,
    page_size: usize,
}

impl fmt::Debug for MemoryCloudBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCloudBuilder")
            .field("seed", &self.seed)
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

impl MemoryCloudBuilder {
    pub(super) fn new() -> Self {
        Self { seed: 0, nodes: 0, clock: None, capabilities: Capabilities::full(), page_size: 50 }
    }

    /// Sets what the nodes are made from.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Makes so many nodes: AWS-like and Azure-like ones in several accounts and Regions, some off,
    /// some hybrid, in the patch groups `Linux`, `Windows` and `AppA`, most lacking patches.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Sets the clock; an automatic virtual one otherwise.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Sets what the cloud can do; everything otherwise.
    #[must_use]
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Sets how many items a page of a listing holds; 50 otherwise.
    #[must_use]
    pub fn page_size(mut self, items: usize) -> Self {
        self.page_size = items.max(1);
        self
    }

    /// Sets how many nodes an act and a call take; 50 otherwise.
    #[must_use]
    pub fn nodes_per_operation(mut self, nodes: NonZeroUsize) -> Self {
        self.capabilities.max_nodes_per_operation = nodes;
        self.capabilities.max_nodes_per_call = nodes;
        self
    }

    /// The cloud.
    pub fn build(self) -> MemoryCloud {
        let beginning = Timestamp::from_second(BEGINNING).unwrap_or_default();
        let clock = self.clock.unwrap_or_else(|| Arc::new(VirtualClock::automatic(beginning)));
        let now = clock.now();
        let cloud = MemoryCloud {
            clock,
            capabilities: self.capabilities,
            page_size: self.page_size,
            state: Arc::default(),
        };
        cloud.state().add_predefined();
        if self.nodes > 0 {
            cloud.state().add_groups();
            for os in catalogue::SYSTEMS {
                cloud.add_to_catalogue(&os, catalogue::patches(&os, now));
            }
        }
        let mut random = Random(self.seed);
        for at in 0..self.nodes {
            if let Some(node) = make(&mut random, at, now) {
                cloud.insert(node);
            }
        }
        cloud
    }
}

impl State {
    fn keep(&mut self, baseline: PatchBaseline, owner: BaselineOwner) -> Option<BaselineId> {
        let id: BaselineId = format!("pb-{:017x}", self.next_number()).parse().ok()?;
        let baseline = baseline.with_id(id.clone());
        self.baselines.insert(id.clone(), Kept::new(baseline, owner));
        Some(id)
    }

    fn add_predefined(&mut self) {
        for baseline in predefined() {
            let os = baseline.operating_system.clone();
            if let Some(id) = self.keep(baseline, BaselineOwner::Predefined) {
                self.defaults.entry(os).or_insert(id);
            }
        }
    }

    /// The patch groups of the made nodes, each with its baseline for each operating system.
    fn add_groups(&mut self) {
        for os in catalogue::SYSTEMS {
            for (group, days) in [("Linux", 7), ("Windows", 7), ("AppA", 14)] {
                let windows = os == OperatingSystem::Windows;
                if (group == "Linux" && windows) || (group == "Windows" && !windows) {
                    continue;
                }
                let name = format!("{group}-{}", os.as_str().to_ascii_lowercase());
                let id = self.keep(security(name, os.clone(), days), BaselineOwner::Custom);
                if let (Some(id), Ok(group)) = (id, PatchGroupName::new(group)) {
                    self.registrations.insert((group, os.clone()), id);
                }
            }
        }
    }
}

fn security(name: String, os: OperatingSystem, days: u16) -> PatchBaseline {
    let windows = os == OperatingSystem::Windows;
    let apt = matches!(os, OperatingSystem::Ubuntu | OperatingSystem::Debian);
    let mut rule = if apt {
        let priorities = ["Required", "Important", "Standard"];
        ApprovalRule::new(AutoApproval::Immediately)
            .with_filter(PatchFilter::new(PatchFilterKey::Priority, priorities))
    } else if windows {
        let kinds = ["CriticalUpdates", "SecurityUpdates"];
        ApprovalRule::new(AutoApproval::AfterDays(days))
            .with_filter(PatchFilter::new(PatchFilterKey::Classification, kinds))
    } else {
        ApprovalRule::new(AutoApproval::AfterDays(days))
            .with_filter(PatchFilter::new(PatchFilterKey::Classification, ["Security", "Bugfix"]))
    };
    rule = rule.with_level(ComplianceLevel::High);
    if !windows {
        rule = rule.with_scope(UpdateScope::All);
    }
    PatchBaseline::new(name, os).with_rule(rule)
}

/// SplitMix64: the same numbers on every machine and in every release.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap_or(0)
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// The first nodes are of one kind each, so that a small fleet shows them all.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Aws,
    AwsHybrid,
    Azure,
}

fn make(random: &mut Random, at: usize, now: Timestamp) -> Option<MemoryNode> {
    let kind = match at % 10 {
        7 | 8 => Kind::Azure,
        9 => Kind::AwsHybrid,
        _ => Kind::Aws,
    };
    let os = match random.below(10) {
        0..=2 => OperatingSystem::AmazonLinux2023,
        3 | 4 => OperatingSystem::Ubuntu,
        5 => OperatingSystem::RedHatEnterpriseLinux,
        _ => OperatingSystem::Windows,
    };
    let group = match random.below(10) {
        0 | 1 => Some("AppA"),
        2 => None,
        _ if os == OperatingSystem::Windows => Some("Windows"),
        _ => Some("Linux"),
    };
    let id = node_id(kind, random, at)?;
    let mut node = MemoryNode::new(id, os.clone())
        .with_name(format!("{}-{at:04}", group.unwrap_or("node").to_ascii_lowercase()))
        .with_platform_version(catalogue::version(&os))
        .with_tag("Owner", *random.pick(&["platform", "payments", "data"]))
        .with_scan(before(now, Duration::from_hours(24 * 3)));
    if let Some(group) = group {
        node =
            node.with_tag(if at.is_multiple_of(2) { "Patch Group" } else { "PatchGroup" }, group);
    }
    if random.percent(70) {
        node = node.with_tag("Environment", *random.pick(&["prod", "test"]));
    }
    node = power(node, kind, at, random);
    node = behave(node, kind, at, random);
    // What stays off was patched before it was put away.
    let put_away = node.life.power.is_off() && !node.node.tags.contains_key("PatchStart");
    for patch in catalogue::patches(&os, now) {
        let installed = random.percent(60) || put_away;
        let presence = if installed { Presence::Installed } else { Presence::Absent };
        node = node.with_patch(NodePatch::new(patch, presence));
    }
    Some(node)
}

fn node_id(kind: Kind, random: &mut Random, at: usize) -> Option<NodeId> {
    let hex = format!("{:017x}", random.next() >> 4);
    let (account, region) = (AWS_ACCOUNTS[at % 3], AWS_REGIONS[at / 3 % 2]);
    let text = match kind {
        Kind::Aws => format!("aws/{account}/{region}/i-{hex}"),
        Kind::AwsHybrid => format!("aws/{account}/{region}/mi-{hex}"),
        Kind::Azure => format!(
            "azure/{SUBSCRIPTION}/{AZURE_LOCATION}//subscriptions/{SUBSCRIPTION}/resourceGroups/\
             rg-{}/providers/Microsoft.Compute/virtualMachines/vm-{at:04}",
            random.pick(&["web", "data"])
        ),
    };
    text.parse().ok()
}

/// A third of the fleet is off; most of that is tagged to be started for patching, the rest was put
/// away.
fn power(node: MemoryNode, kind: Kind, at: usize, random: &mut Random) -> MemoryNode {
    match kind {
        Kind::AwsHybrid => node.with_origin(NodeOrigin::Hybrid),
        _ if at % 10 == 3 || at % 10 == 7 || random.percent(15) => {
            let state = match kind {
                Kind::Azure if random.percent(60) => PowerState::Deallocated,
                _ => PowerState::Stopped,
            };
            let node = node.with_power(state);
            if random.percent(80) { node.with_tag("PatchStart", "yes") } else { node }
        }
        _ => node,
    }
}

fn behave(node: MemoryNode, kind: Kind, at: usize, random: &mut Random) -> MemoryNode {
    match random.below(100) {
        0..=1 => node.with_behavior(Behavior::PatchFails),
        2..=6 => node.with_behavior(Behavior::LateAgent(Duration::from_mins(8))),
        7 => node.with_behavior(Behavior::TwoRounds),
        8 if at > 10 => node.with_reachability(Reachability::Lost),
        _ if kind == Kind::Aws && at % 10 == 5 => {
            let missing = [AccessStatus::NoIdentity, AccessStatus::MissingPermissions];
            node.with_access(*random.pick(&missing))
        }
        _ => node,
    }
}

fn before(now: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| now.checked_sub(by).ok()).unwrap_or(now)
}

/// So many days before `now`.
pub(super) fn days_before(now: Timestamp, days: u64) -> Timestamp {
    before(now, Duration::from_hours(24 * days))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_fleet() {
        let fleet = |seed| {
            let cloud = MemoryCloud::builder().seed(seed).nodes(40).build();
            let ids = cloud.node_ids();
            ids.iter().map(|id| cloud.peek(id).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(fleet(7), fleet(7));
        assert_ne!(fleet(7), fleet(8));
    }

    #[test]
    fn a_made_fleet_shows_every_kind_of_node() {
        let cloud = MemoryCloud::builder().seed(1).nodes(30).build();
        let nodes: Vec<_> = cloud.node_ids().iter().map(|id| cloud.peek(id).unwrap()).collect();
        let mut scopes = BTreeMap::new();
        for node in &nodes {
            *scopes.entry(node.id.scope().to_string()).or_insert(0) += 1;
        }
        assert_eq!(scopes.len(), 7, "three accounts in two Regions, and a subscription");
        assert!(nodes.iter().any(|node| node.origin == NodeOrigin::Hybrid));
        assert!(nodes.iter().any(|node| node.power == PowerState::Stopped));
        assert!(nodes.iter().any(|node| node.power == PowerState::Deallocated));
    }
}
