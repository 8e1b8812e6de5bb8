//! What a patch run is going to do, as data that can be printed, saved and held against the fleet.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fmt::Write as _,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Freezes, NodeTimes, Outcome, Runner, ScopeFailure, pace::Pace};
use crate::{
    AssignedWave, BaselineId, ComplianceStatus, HostLink, MachineLink, MaintenanceWindow,
    ManagedNode, NodeCompliance, NodeId, NodeKey, NodeOrigin, NodeSelector, OperatingSystem,
    PatchGroupName, PowerState, Reachability, RebootPolicy, ResourceGroupName, Result, Rollout,
    WaveMembers,
    link::{listed, other_ids},
};

/// What to patch, and how.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchOptions {
    /// The nodes.
    pub selector: NodeSelector,
    /// Which of them are started when they are off, and stopped again afterwards; none by default.
    pub start: Option<NodeSelector>,
    /// The order, and the budgets.
    pub rollout: Rollout,
    /// Whether nodes reboot.
    pub reboot: RebootPolicy,
    /// When work may begin; at any time by default.
    pub window: Option<MaintenanceWindow>,
    /// A node that a scan no older than this found compliant is left alone. Where a provider installs
    /// what the last scan found, an older one is made anew before the install.
    pub fresh: Duration,
    /// What becomes of machines that another control plane may patch as well.
    // Left out where it is not set: plans have the hashes that they had.
    #[serde(default, skip_serializing_if = "OtherPatchers::is_refuse")]
    pub other_patchers: OtherPatchers,
    /// How long nodes take: nothing begins that would not be over in time. Not minded by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<NodeTimes>,
    /// When nothing is begun, whatever the window says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freezes: Option<Freezes>,
}

/// What a run does with a machine that another control plane may patch as well: one that its host's
/// service patches by a schedule, or of which it cannot be told whether it is one with another node.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OtherPatchers {
    /// Skips it, and says so.
    #[default]
    Refuse,
    /// Patches it all the same; the plan says so.
    Allow,
}

impl OtherPatchers {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it by reference")]
    fn is_refuse(&self) -> bool {
        *self == Self::Refuse
    }
}

impl PatchOptions {
    /// Patches the running nodes of `selector` in one wave.
    pub fn new(selector: NodeSelector) -> Self {
        Self {
            selector,
            start: None,
            rollout: Rollout::default(),
            reboot: RebootPolicy::default(),
            window: None,
            fresh: Duration::from_hours(24),
            other_patchers: OtherPatchers::default(),
            times: None,
            freezes: None,
        }
    }

    /// Also starts the stopped nodes that `selector` takes, and stops them again afterwards.
    #[must_use]
    pub fn with_start(mut self, selector: NodeSelector) -> Self {
        self.start = Some(selector);
        self
    }

    /// Sets the order and the budgets.
    #[must_use]
    pub fn with_rollout(mut self, rollout: Rollout) -> Self {
        self.rollout = rollout;
        self
    }

    /// Sets whether nodes reboot.
    #[must_use]
    pub fn with_reboot(mut self, reboot: RebootPolicy) -> Self {
        self.reboot = reboot;
        self
    }

    /// Begins work in this window only.
    #[must_use]
    pub fn with_window(mut self, window: MaintenanceWindow) -> Self {
        self.window = Some(window);
        self
    }

    /// Sets what becomes of machines that another control plane may patch as well.
    #[must_use]
    pub fn with_other_patchers(mut self, choice: OtherPatchers) -> Self {
        self.other_patchers = choice;
        self
    }

    /// Sets how old a scan may be that lets a compliant node alone; zero patches every node.
    #[must_use]
    pub fn with_fresh(mut self, fresh: Duration) -> Self {
        self.fresh = fresh;
        self
    }
}

/// A step of a node's part in a run.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlanStep {
    /// It is started.
    Start,
    /// Its agent is waited for.
    WaitReachable,
    /// Its agent is updated.
    UpdateAgent,
    /// Its associations are applied again.
    RefreshAssociations,
    /// It is scanned, because its provider installs what the last scan found and that one is too old.
    Scan,
    /// Patches are installed, and it reboots.
    Install,
    /// It is scanned again.
    Rescan,
    /// It is put back to the power it had.
    RestorePower,
}

impl fmt::Display for PlanStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Start => "start",
            Self::WaitReachable => "wait reachable",
            Self::UpdateAgent => "update agent",
            Self::RefreshAssociations => "refresh associations",
            Self::Scan => "scan",
            Self::Install => "install",
            Self::Rescan => "rescan",
            Self::RestorePower => "restore power",
        })
    }
}

/// A node that a run will patch, with the evidence for it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlannedNode {
    /// The node.
    pub id: NodeId,
    /// A name for people; untrusted: escape before showing.
    pub name: Option<String>,
    /// Its patch group.
    pub group: Option<PatchGroupName>,
    /// Its operating system.
    pub operating_system: OperatingSystem,
    /// Its power when the plan was made.
    pub power: PowerState,
    /// Whether its agent answered.
    pub reachability: Reachability,
    /// Its compliance as far as known.
    pub status: ComplianceStatus,
    /// How many patches it lacked or failed.
    pub missing: u32,
    /// The baseline it was held against.
    pub baseline: Option<BaselineId>,
    /// When its compliance was found out.
    pub scanned_at: Option<Timestamp>,
    /// What will be done, in order.
    pub steps: Vec<PlanStep>,
    /// Its part in another control plane.
    // Left out where there is none: plans have the hashes that they had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<MachineLink>,
    /// The ids that its machine has in other control planes: claimed with it, so that no other run
    /// works on the machine.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub also: BTreeSet<NodeId>,
    /// What the plan's budgets count it under.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<NodeKey, String>,
}

impl PlannedNode {
    /// The machine of another control plane that it is.
    pub(super) fn host(&self) -> Option<&HostLink> {
        match &self.link {
            Some(MachineLink::Host(link)) => Some(link),
            _ => None,
        }
    }

    /// Every id of its machine, its own first.
    pub(super) fn ids(&self) -> impl Iterator<Item = &NodeId> {
        std::iter::once(&self.id).chain(&self.also)
    }
}

/// A node that a run will leave alone, and why.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SkippedNode {
    /// The node as it is.
    #[serde(flatten)]
    pub node: PlannedNode,
    /// Its outcome.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
}

/// What a patch run is going to do.
///
/// # Guarantees
/// - Plain data: the same fleet, compliance and options make the same plan, but for `created_at`.
/// - The hash covers all of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchPlan {
    /// The workflow: `patch` or `remediate`.
    pub workflow: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What was asked for.
    pub options: PatchOptions,
    /// The nodes to patch, by id.
    pub nodes: Vec<PlannedNode>,
    /// Their order.
    pub waves: Vec<AssignedWave>,
    /// The nodes to leave alone, by id.
    pub skipped: Vec<SkippedNode>,
    /// The scopes that could not be listed: the plan says nothing of their nodes.
    // Left out where empty: plans have the hashes that they had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlisted: Vec<ScopeFailure>,
}

impl PatchPlan {
    /// The SHA-256 of the plan's JSON, in hex: names this plan and no other.
    pub fn hash(&self) -> String {
        // Every field is plain data with string keys, which JSON always takes.
        let json = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(json).iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// How many nodes may be out of work at once in a wave of `nodes`.
    pub fn disruption(&self, nodes: usize) -> usize {
        self.options.rollout.disruption.0.of(nodes)
    }

    pub(super) fn node(&self, id: &NodeId) -> Option<&PlannedNode> {
        match self.nodes.binary_search_by(|node| node.id.cmp(id)) {
            Ok(at) => self.nodes.get(at),
            // A plan that someone has edited need not be in order.
            Err(_) => self.nodes.iter().find(|node| node.id == *id),
        }
    }
}

impl Runner {
    /// Plans to patch what `options` select.
    ///
    /// # Guarantees
    /// - Reads only.
    /// - A node is skipped, with the reason, when its provider never patches it, when it is off and not
    ///   to be started, gone, hybrid and unreachable, or compliant by a fresh scan.
    /// - Resource groups that the nodes to start or the waves are named by are looked up now: the
    ///   plan holds the nodes, not the groups.
    /// - A scope that could not be listed is in [`PatchPlan::unlisted`], and none of its nodes in the
    ///   plan; where its compliance could not be read, its nodes are `Unknown`.
    ///
    /// # Assumptions
    /// - What is known of the nodes' compliance is as old as it says: a plan does not scan.
    ///
    /// # Errors
    /// The first error of a listing that is not about one scope alone: a plan over half a fleet would
    /// look like a whole one. `InvalidInput`: budgets or a ramp that cannot be kept to.
    pub async fn plan_patch(&self, options: &PatchOptions) -> Result<PatchPlan> {
        self.plan("patch", options, |options, known, now| {
            if known.status != ComplianceStatus::Compliant || !is_fresh(known, options.fresh, now) {
                return None;
            }
            let reason = format!("compliant by a scan {} ago", age(known, now));
            Some((Outcome::AlreadyCompliant, reason))
        })
        .await
    }

    pub(super) async fn plan(
        &self,
        workflow: &str,
        options: &PatchOptions,
        leave: impl Fn(&PatchOptions, &NodeCompliance, Timestamp) -> Option<(Outcome, String)>,
    ) -> Result<PatchPlan> {
        options.rollout.check()?;
        let now = self.clock.now();
        let (mut found, mut unlisted) = self.list(&options.selector).await?;
        unlisted.extend(self.learn_groups(&mut found, options).await?);
        let (known, unread) = self.known(found.iter().map(|node| node.id.clone())).await?;
        unlisted.extend(unread);
        let (mut nodes, mut skipped, mut chosen) = (Vec::new(), Vec::new(), Vec::new());
        for node in found {
            let none = NodeCompliance::unknown(node.id.clone());
            let compliance = known.get(&node.id).unwrap_or(&none);
            let mut planned = planned(&node, compliance);
            planned.keys = options.rollout.keys(&node);
            if self.scans_first(&node, compliance, options, now) {
                let install = planned.steps.iter().position(|step| *step == PlanStep::Install);
                planned.steps.insert(install.unwrap_or_default(), PlanStep::Scan);
            }
            let reason = cannot(options, &node)
                .or_else(|| others_patch(options, &node))
                .or_else(|| self.cannot_start(&node))
                .or_else(|| leave(options, compliance, now));
            if let Some((outcome, reason)) = reason {
                skipped.push(SkippedNode { node: planned, outcome, reason });
            } else {
                nodes.push(planned);
                chosen.push(node);
            }
        }
        let waves = options.rollout.assign(&chosen);
        Ok(PatchPlan {
            workflow: workflow.to_owned(),
            created_at: now,
            options: options.clone(),
            nodes,
            waves,
            skipped,
            unlisted,
        })
    }

    /// Learns which nodes are in the resource groups that the choice of nodes to start and the waves
    /// name: the listing was asked for those of its own selector alone. A scope that cannot tell
    /// leaves the plan: its nodes would be in the wrong wave, or stay off.
    async fn learn_groups(
        &self,
        found: &mut Vec<ManagedNode>,
        options: &PatchOptions,
    ) -> Result<Vec<ScopeFailure>> {
        let waves = options.rollout.waves.iter().filter_map(|wave| match &wave.members {
            WaveMembers::Selector(selector) => Some(selector),
            _ => None,
        });
        let named = options.start.iter().chain(waves).filter_map(|it| it.resource_groups.as_ref());
        let named: BTreeSet<ResourceGroupName> = named.flatten().cloned().collect();
        if named.is_empty() || found.is_empty() {
            return Ok(Vec::new());
        }
        let asked = NodeSelector::ids(found.iter().map(|node| node.id.clone()));
        let (members, failures) = self.list(&asked.with_resource_groups(named)).await?;
        let mut groups: BTreeMap<NodeId, _> =
            members.into_iter().map(|node| (node.id, node.resource_groups)).collect();
        found.retain(|node| !failures.iter().any(|it| it.scope.is(node.id.scope())));
        for node in found {
            node.resource_groups.extend(groups.remove(&node.id).unwrap_or_default());
        }
        Ok(failures)
    }

    /// Whether a node is scanned before the install, for what is installed is what the scan finds.
    fn scans_first(
        &self,
        node: &ManagedNode,
        known: &NodeCompliance,
        options: &PatchOptions,
        now: Timestamp,
    ) -> bool {
        self.fleet.capabilities_for(node.id.scope()).scan_before_install
            && (known.status == ComplianceStatus::Unknown || !is_fresh(known, options.fresh, now))
    }

    fn cannot_start(&self, node: &ManagedNode) -> Option<(Outcome, String)> {
        (node.power.is_off() && !self.fleet.capabilities_for(node.id.scope()).power)
            .then(|| (Outcome::Skipped, "off, and its provider cannot start it".to_owned()))
    }
}

/// Why a node cannot be patched now, whatever its compliance.
fn cannot(options: &PatchOptions, node: &ManagedNode) -> Option<(Outcome, String)> {
    let starts = options.start.as_ref().is_some_and(|selector| selector.matches(node));
    let skipped = |reason: &str| Some((Outcome::Skipped, reason.to_owned()));
    if let Some(reason) = &node.unpatchable {
        return skipped(reason);
    }
    match node.power {
        PowerState::Terminated => skipped("terminated"),
        PowerState::Stopping | PowerState::Starting => {
            skipped("its power is changing: someone else is at work on it")
        }
        PowerState::Stopped | PowerState::Deallocated if !starts => {
            skipped("off, and not among the nodes to start")
        }
        PowerState::Stopped | PowerState::Deallocated | PowerState::Running => None,
        PowerState::Unknown if node.reachability == Reachability::Online => None,
        PowerState::Unknown => Some((
            Outcome::Unreachable,
            match node.origin {
                NodeOrigin::Hybrid => {
                    "its agent does not answer, and its power is not ours".to_owned()
                }
                NodeOrigin::Cloud => {
                    "its power is unknown and its agent does not answer".to_owned()
                }
            },
        )),
    }
}

/// Why a node is left to others, which may patch its machine as well.
fn others_patch(options: &PatchOptions, node: &ManagedNode) -> Option<(Outcome, String)> {
    if options.other_patchers == OtherPatchers::Allow {
        return None;
    }
    let reason = match node.link.as_ref()? {
        MachineLink::Unresolved { reason } => {
            format!("it may be patched as another node too: {reason}")
        }
        MachineLink::Host(link) if !link.schedules.is_empty() => {
            format!("{} patches it too, by {}", link.host, schedules(link))
        }
        MachineLink::Host(_) => return None,
    };
    Some((Outcome::Skipped, reason))
}

fn schedules(link: &HostLink) -> String {
    link.schedules.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

fn planned(node: &ManagedNode, known: &NodeCompliance) -> PlannedNode {
    let mut steps = Vec::with_capacity(6);
    if node.power.is_off() {
        steps.extend([PlanStep::Start, PlanStep::WaitReachable, PlanStep::UpdateAgent]);
    } else if node.reachability != Reachability::Online {
        steps.push(PlanStep::WaitReachable);
    }
    steps.extend([PlanStep::Install, PlanStep::Rescan]);
    if node.power.is_off() {
        steps.push(PlanStep::RestorePower);
    }
    PlannedNode {
        id: node.id.clone(),
        name: node.name.clone(),
        group: node.patch_group(),
        operating_system: node.operating_system.clone(),
        power: node.power,
        reachability: node.reachability,
        status: known.status,
        missing: known.counts.missing.saturating_add(known.counts.failed),
        baseline: known.baseline.clone(),
        scanned_at: known.observed_at,
        steps,
        link: node.link.clone(),
        also: other_ids(node),
        keys: BTreeMap::new(),
    }
}

pub(super) fn is_fresh(known: &NodeCompliance, fresh: Duration, now: Timestamp) -> bool {
    // Clocks differ; a scan that is further in the future than it may be old is no evidence.
    known.age(now).is_some_and(|age| age.unsigned_abs() < fresh)
}

pub(super) fn age(known: &NodeCompliance, now: Timestamp) -> String {
    known.age(now).map_or_else(
        || "never".to_owned(),
        |age| format!("{:#}", SignedDuration::from_mins(age.as_mins())),
    )
}

/// A link as a plan prints it.
struct LinkLine<'a>(&'a MachineLink);

impl fmt::Display for LinkLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            MachineLink::Host(link) => {
                let (name, scope) = (link.host.name(), link.host.scope());
                write!(f, "= {name} in {scope}, linked by {}", listed(&link.evidence))?;
                if !link.schedules.is_empty() {
                    write!(f, "; patched there too, by {}", schedules(link))?;
                }
                Ok(())
            }
            MachineLink::Unresolved { reason } => {
                write!(f, "? may be patched as another node too: {reason}")
            }
        }
    }
}

impl fmt::Display for PatchPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rollout = &self.options.rollout;
        writeln!(f, "{} plan {}", self.workflow, &self.hash()[..12])?;
        writeln!(f, "  made      {}", self.created_at)?;
        writeln!(f, "  nodes     {} ({} skipped)", self.nodes.len(), self.skipped.len())?;
        for failure in &self.unlisted {
            writeln!(f, "  {failure}")?;
        }
        writeln!(f, "  selector  {}", self.options.selector)?;
        match &self.options.start {
            Some(start) => writeln!(f, "  starts    off nodes of: {start}")?,
            None => writeln!(f, "  starts    nothing")?,
        }
        writeln!(f, "  reboot    {}", self.options.reboot)?;
        writeln!(
            f,
            "  budgets   {} of a wave out of work at once, {} failures",
            rollout.disruption.0, rollout.errors.0
        )?;
        if let Some(window) = &self.options.window {
            writeln!(f, "  window    {} to {}", window.opens, window.closes())?;
        }
        write!(f, "{}", Pace(self))?;
        for (at, wave) in self.waves.iter().enumerate() {
            write!(f, "wave {} {:?}: {} nodes", at + 1, wave.name, wave.nodes.len())?;
            write!(f, ", {} at once", self.disruption(wave.nodes.len()))?;
            if wave.bake > Duration::ZERO {
                write!(f, ", then {} s of watching", wave.bake.as_secs())?;
            }
            writeln!(f)?;
            let mut scope = None;
            for id in &wave.nodes {
                let Some(node) = self.node(id) else { continue };
                if scope != Some(id.scope()) {
                    writeln!(f, "  {}", id.scope())?;
                    scope = Some(id.scope());
                }
                let steps: Vec<String> = node.steps.iter().map(ToString::to_string).collect();
                writeln!(
                    f,
                    "    {:20} {:11} {:13} {:>3} missing  {}",
                    id.name(),
                    node.power,
                    node.status,
                    node.missing,
                    steps.join(" → ")
                )?;
                if let Some(link) = &node.link {
                    writeln!(f, "      {}", LinkLine(link))?;
                }
            }
        }
        if !self.skipped.is_empty() {
            writeln!(f, "skipped:")?;
        }
        for skipped in &self.skipped {
            let id = &skipped.node.id;
            let place = format!("{} {}", id.scope(), id.name());
            writeln!(f, "  {place}  {}: {}", skipped.outcome, skipped.reason)?;
        }
        Ok(())
    }
}
