//! Makes the world of a seed: accounts, subscriptions and the machines in them.

#![expect(
    clippy::cast_possible_truncation,
    reason = "places and draws of a world: all below what their types hold, or cut on purpose"
)]

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use fixedbitset::FixedBitSet;
use jiff::Timestamp;
use patchkit_core::OperationKind;

use super::{
    Account, Consistency, Execution, RegionScope, ResourceGroup, State, Subscription,
    address::{RESERVED, ZONES, address},
    catalogue::{Catalogue, System, SystemIx},
    clock::{earlier, later},
    hex17,
    identity::Identity,
    judge::Judgements,
    machine::{
        Agent, AwsKind, AwsSide, AzureKind, AzureSide, Behavior, Ec2, GuestPatching, Hybrid,
        Machine, MachineIx, NodePatches, Power, ProfileAssociation, ScopeIx, SubIx, Tags,
    },
    machines::Machines,
    shelf::Shelf,
    uuid,
};
use crate::{
    cloud::{
        aws::{config, ec2, resource_groups, sns, ssm},
        lake::Complaints,
    },
    rng::{Rng, mix},
};

const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);

/// What a world is made of.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) now: Timestamp,
    /// Id and name.
    pub(crate) accounts: Vec<(Arc<str>, Arc<str>)>,
    pub(crate) regions: Vec<Arc<str>>,
    pub(crate) subscriptions: Vec<(Arc<str>, Arc<str>)>,
    pub(crate) nodes: usize,
    pub(crate) patches: usize,
    /// Every machine behaves like this; none for a mixture.
    pub(crate) behavior: Option<Behavior>,
    pub(crate) consistency: Consistency,
}

impl State {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut state = Self::empty(plan);
        let mut made = Population::new(plan, &state);
        for n in 0..plan.nodes {
            let machine = made.machine(&state, n);
            state.machines.push(machine);
        }
        state.lose_some_arc();
        state.index();
        state.first_activations();
        state.first_scans();
        state.first_assessments();
        state
    }

    fn empty(plan: &Plan) -> Self {
        let Plan { seed, now, .. } = *plan;
        let accounts = plan.accounts.iter().map(|(id, name)| Account {
            id: Arc::clone(id),
            name: Arc::clone(name),
            identity: Identity::made(seed, id, now),
        });
        let accounts: Vec<_> = accounts.collect();
        let mut scopes = Vec::new();
        for account in 0..accounts.len() {
            for region in &plan.regions {
                let shelf_seed = mix(region.bytes().fold(0, |sum, b| mix(sum ^ u64::from(b))));
                scopes.push(RegionScope {
                    account,
                    region: Arc::clone(region),
                    machines: Vec::new(),
                    // AWS's own baselines are the same for all accounts of a Region.
                    shelf: Shelf::new(region, |n| hex17(mix(shelf_seed ^ n), n)),
                    default_host_role: None,
                    config: config::Store::new(mix(seed ^ mix(scopes.len() as u64))),
                    groups: resource_groups::Store::default(),
                    network: ec2::Network::default(),
                    sns: sns::Store::default(),
                    ssm: ssm::Store::default(),
                });
            }
        }
        let subscriptions = plan.subscriptions.iter().map(|(id, name)| Subscription {
            id: Arc::clone(id),
            name: Arc::clone(name),
            tags: Vec::new(),
            groups: GROUPS
                .iter()
                .map(|(group, location)| ResourceGroup {
                    name: format!("rg-{name}-{group}").into(),
                    location: (*location).into(),
                    tags: Vec::new(),
                })
                .collect(),
            machines: Vec::new(),
        });
        Self {
            now,
            seed,
            version: 0,
            catalogue: Arc::new(Catalogue::new(seed, plan.patches, now)),
            machines: Machines::default(),
            subscriptions: Arc::new(subscriptions.collect()),
            accounts,
            scopes,
            objects: None,
            lake: None,
            complaints: Complaints::default(),
            backlog: VecDeque::new(),
            azure: crate::cloud::azure::Store::default(),
            by_id: HashMap::with_capacity(plan.nodes),
            consistency: plan.consistency,
            files: None,
            agenda: Mutex::default(),
            judgements: Judgements::default(),
            numbers: 0,
        }
    }

    /// Of the Arc machines of a subscription, where there are several, one at least is out of reach:
    /// who works with them meets such ones.
    fn lose_some_arc(&mut self) {
        let is_out = |it: &AzureSide| matches!(it.agent, Agent::Absent | Agent::ConnectionLost);
        for subscription in (0u16..).map(SubIx).take(self.subscriptions.len()) {
            let sides = self.machines.iter().map(|it| it.azure.as_ref()).enumerate();
            let arc: Vec<(usize, &AzureSide)> = sides
                .filter_map(|(at, it)| Some((at, it?)))
                .filter(|(_, it)| it.subscription == subscription && it.kind == AzureKind::Arc)
                .collect();
            let all_answer = arc.len() > 1 && !arc.iter().any(|(_, it)| is_out(it));
            if let Some(at) = arc.last().map(|(at, _)| *at).filter(|_| all_answer)
                && let Some(last) = self.machines[at].azure.as_mut()
            {
                last.agent = Agent::ConnectionLost;
            }
        }
    }

    /// Most managed nodes were scanned in the last days; a few never were.
    fn first_scans(&mut self) {
        let now = self.now;
        let count = u32::try_from(self.machines.len()).unwrap_or(u32::MAX);
        for at in (0..count).map(MachineIx) {
            let draw = self.draw(at, 21);
            let managed = self.machine(at).aws.as_ref().is_some_and(|aws| aws.registered.is_some());
            if !managed || draw.is_multiple_of(17) {
                continue;
            }
            let ended = earlier(now, HOUR * (1 + (draw % 160) as u32));
            let Some(judgement) = self.judgement_for(at) else { continue };
            let command = uuid(mix(self.seed ^ (draw % 160)), 7);
            let execution = Execution {
                id: command.into(),
                kind: "Command",
                snapshot: uuid(mix(self.seed ^ (draw % 160)), 8).into(),
                reboot_option: "NoReboot",
                install_override: None,
                started: earlier(ended, Duration::from_secs(40)),
            };
            self.now = ended;
            self.upload_scan(at, judgement, OperationKind::Scan, execution);
            self.now = now;
        }
    }
}

const GROUPS: [(&str, &str); 3] =
    [("web", "westeurope"), ("data", "westeurope"), ("ops", "eastus")];

const KINDS: [&str; 5] = ["t3.medium", "m6i.large", "m6i.xlarge", "c7g.large", "r6i.large"];
const APPS: [&str; 5] = ["AppA", "AppB", "Billing", "Search", "Intranet"];
const ENVIRONMENTS: [&str; 3] = ["production", "staging", "test"];
pub(crate) const CURRENT_AGENT: &str = "3.3.2299.0";
pub(crate) const OLD_AGENT: &str = "3.1.1260.0";

/// Names shared by many machines: one copy of each.
struct Population<'a> {
    plan: &'a Plan,
    words: HashMap<String, Arc<str>>,
    on_azure: Vec<SystemIx>,
    systems: u64,
}

impl<'a> Population<'a> {
    fn new(plan: &'a Plan, state: &State) -> Self {
        let on_azure = state.catalogue.on_azure();
        let systems = state.catalogue.systems().count() as u64;
        Self { plan, words: HashMap::new(), on_azure, systems }
    }

    fn word(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.words.get(word) {
            return Arc::clone(known);
        }
        let new: Arc<str> = word.into();
        self.words.insert(word.to_owned(), Arc::clone(&new));
        new
    }

    fn machine(&mut self, state: &State, n: usize) -> Machine {
        let mut rng = Rng::stream(self.plan.seed, 0x000A_0DE5, n as u64);
        let place = Place::of(self.plan, state, n, &mut rng);
        let system = match place {
            Place::Ec2(_) | Place::OnPremises(_) => SystemIx(rng.below(self.systems) as u32),
            Place::Vm(..) | Place::Arc(..) => *rng.pick(&self.on_azure),
        };
        let app = APPS[rng.index(APPS.len())];
        let name = host_name(app, state.catalogue.system(system), n);
        let created = earlier(self.plan.now, DAY * (3 + rng.below(900) as u32));
        let power = match place {
            Place::Ec2(_) if n < state.scopes.len() => Power::Stopped,
            // The second of each account and Region works.
            Place::Ec2(_) if n < state.scopes.len() * 2 => Power::Running,
            Place::Ec2(_) if rng.percent(8) => Power::Stopped,
            Place::Vm(_, None) if rng.percent(10) => {
                if rng.percent(30) {
                    Power::Stopped
                } else {
                    Power::Deallocated
                }
            }
            _ => Power::Running,
        };
        let drawn = behavior(&mut rng);
        let drawn = if n < state.scopes.len() * 2 { Behavior::Well } else { drawn };
        let behavior = self.plan.behavior.unwrap_or(drawn);
        let patches = installed(state, system, &mut rng);
        let tags = self.tags(state, system, app, &name, &mut rng);
        let booted = earlier(self.plan.now, HOUR * (2 + rng.below(700) as u32));
        let mut machine = Machine {
            name: name.into(),
            system,
            power,
            power_changes: 0,
            booted: booted.max(created),
            first_booted: booted.max(created),
            created,
            address: address(n as u32, None),
            behavior,
            patches,
            job: None,
            aws: None,
            azure: None,
        };
        match place {
            Place::Ec2(scope) => {
                machine.aws = Some(self.instance(state, scope, &mut machine, tags, n, &mut rng));
            }
            Place::OnPremises(scope) => {
                machine.aws = Some(self.hybrid(scope, &machine, tags, n, &mut rng));
            }
            Place::Vm(subscription, managed) => {
                let kind = self.vm_kind(n, &mut rng);
                let azure = self.vm(state, subscription, &machine, kind, tags.clone(), &mut rng);
                if let Some(scope) = managed {
                    let link = self.link(state, &azure, tags, &mut rng);
                    machine.aws = Some(self.hybrid(scope, &machine, link, n, &mut rng));
                }
                machine.azure = Some(azure);
            }
            Place::Arc(subscription) => {
                let kind = AzureKind::Arc;
                machine.azure = Some(self.vm(state, subscription, &machine, kind, tags, &mut rng));
            }
        }
        machine
    }

    fn tags(
        &mut self,
        state: &State,
        system: SystemIx,
        app: &str,
        name: &str,
        rng: &mut Rng,
    ) -> Tags {
        let windows = state.catalogue.system(system).is_windows();
        let mut tags: Tags = vec![
            (self.word("Name"), name.into()),
            (self.word("Application"), self.word(app)),
            (self.word("Environment"), self.word(ENVIRONMENTS[rng.index(ENVIRONMENTS.len())])),
        ];
        if rng.percent(80) {
            let group = match (rng.percent(20), windows) {
                (true, _) => "AppA",
                (false, true) => "Windows",
                (false, false) => "Linux",
            };
            let key = if rng.percent(85) { "Patch Group" } else { "PatchGroup" };
            tags.push((self.word(key), self.word(group)));
        }
        if rng.percent(70) {
            tags.push((self.word("Owner"), self.word("platform-team")));
        }
        tags
    }

    fn instance(
        &mut self,
        state: &State,
        scope: ScopeIx,
        machine: &mut Machine,
        tags: Tags,
        n: usize,
        rng: &mut Rng,
    ) -> AwsSide {
        // The first of each account and Region is stopped, the second one works.
        let first = n < state.scopes.len() * 2;
        let profile = match rng.below(100) {
            _ if first => Some("patchkit-managed-node"),
            0..=4 => None,
            5..=8 => Some("patchkit-no-systems-manager"),
            _ => Some("patchkit-managed-node"),
        };
        let account = &state.accounts[state.scope(scope).account];
        let permitted = profile.is_some_and(|it| account.identity.profile_manages(it));
        let agent = if first { Agent::Online } else { agent(rng) };
        let association = profile.map(|profile| ProfileAssociation {
            id: format!("iip-assoc-{}", hex17(rng.next(), 3)).into(),
            profile: self.word(profile),
            since: machine.created,
        });
        let kind = KINDS[rng.index(KINDS.len())];
        let zone = *rng.pick(&ZONES);
        machine.address = address(n as u32, Some(zone));
        let side = AwsKind::Ec2(Ec2 {
            profile: association,
            kind,
            zone,
            launched: machine.booted,
            terminated: None,
            reason: "".into(),
        });
        let id = format!("i-{}", hex17(mix(self.plan.seed ^ mix(n as u64)), n as u64));
        let registered =
            (permitted && agent != Agent::Absent).then(|| later(machine.created, HOUR));
        self.side(scope, id, tags, agent, registered, side, rng)
    }

    fn hybrid(
        &mut self,
        scope: ScopeIx,
        machine: &Machine,
        tags: Tags,
        n: usize,
        rng: &mut Rng,
    ) -> AwsSide {
        // An activation is good for a thousand machines.
        let (site, wave) = (n % 4, n / 4_000);
        let activation = (site | wave << 2) as u64;
        let activation = uuid(mix(self.plan.seed ^ activation), u64::from(scope.0));
        let side = AwsKind::Hybrid(Hybrid {
            activation: self.word(&activation),
            given_name: self.word(&format!("datacenter-{site}")),
            role: self.word("patchkit-hybrid-node"),
        });
        let agent = match agent(rng) {
            // What never had an agent never became a node.
            Agent::Absent => Agent::Online,
            other => other,
        };
        let id = format!("mi-{}", hex17(mix(self.plan.seed ^ mix(n as u64 ^ 0xA11)), n as u64));
        self.side(scope, id, tags, agent, Some(later(machine.created, HOUR)), side, rng)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one struct")]
    fn side(
        &mut self,
        scope: ScopeIx,
        id: String,
        tags: Tags,
        agent: Agent,
        registered: Option<Timestamp>,
        side: AwsKind,
        rng: &mut Rng,
    ) -> AwsSide {
        let version = if agent == Agent::OldVersion { OLD_AGENT } else { CURRENT_AGENT };
        let silent = Duration::from_secs(3_600 * (1 + rng.below(300)));
        AwsSide {
            scope,
            id: id.into(),
            tags,
            agent,
            agent_version: self.word(version),
            answers_from: self.plan.now,
            registered,
            shut_out: false,
            last_heard: earlier(self.plan.now, silent),
            side,
            scan: None,
            gathered: None,
        }
    }

    fn vm_kind(&mut self, n: usize, rng: &mut Rng) -> AzureKind {
        match rng.below(100) {
            // A scale set has a thousand machines at most.
            0..=4 => AzureKind::Flexible { set: self.word(&format!("vmss-flex-{}", n / 10_000)) },
            5..=8 => AzureKind::Uniform {
                set: self.word(&format!("vmss-uniform-{}", n / 10_000)),
                instance: n as u32,
            },
            _ => AzureKind::Vm,
        }
    }

    fn vm(
        &mut self,
        state: &State,
        subscription: SubIx,
        machine: &Machine,
        kind: AzureKind,
        tags: Tags,
        rng: &mut Rng,
    ) -> AzureSide {
        let windows = state.catalogue.system(machine.system).is_windows();
        let scheduled = rng.percent(60);
        let platform = self.word("AutomaticByPlatform");
        let patching = GuestPatching {
            patch_mode: match (scheduled, windows) {
                (true, _) => Arc::clone(&platform),
                (false, true) => self.word("AutomaticByOS"),
                (false, false) => self.word("ImageDefault"),
            },
            assessment_mode: if rng.percent(70) { platform } else { self.word("ImageDefault") },
            bypass: scheduled.then(|| rng.percent(80)),
            reboot: None,
        };
        let name = match &kind {
            AzureKind::Flexible { set } => {
                format!("{set}_{:08x}", rng.next() as u32)
            }
            _ => machine.name.to_string(),
        };
        let group = rng.below(GROUPS.len() as u64) as u16;
        // All machines of a scale set are in its group.
        let group = if matches!(kind, AzureKind::Vm | AzureKind::Arc) { group } else { 0 };
        let vm_id = uuid(rng.next(), rng.next());
        // Of their own stream, so that the draws of the other clouds stay as they are.
        let number = u64::from(u32::from_be_bytes(machine.address)) - u64::from(RESERVED);
        let mut rng = Rng::stream(self.plan.seed, 0x0A9E_0717, number);
        let silent = Duration::from_secs(3_600 * (1 + rng.below(300)));
        AzureSide {
            subscription,
            group,
            name: name.into(),
            kind,
            vm_id: vm_id.into(),
            tags,
            patching,
            agent: agent(&mut rng),
            answers_from: self.plan.now,
            last_heard: earlier(self.plan.now, silent),
            busy: None,
            assessment: None,
            attempt: None,
            installations: Vec::new(),
        }
    }

    /// The tags of the `mi-` node of a VM: two in three carry the id that links them.
    fn link(&mut self, state: &State, azure: &AzureSide, mut tags: Tags, rng: &mut Rng) -> Tags {
        if rng.percent(66) {
            let id = state.vm_resource_id(azure);
            tags.push((self.word("patchkit:azure-resource-id"), id.into()));
            tags.push((self.word("patchkit:azure-vm-id"), azure.vm_id.to_string().into()));
        }
        tags
    }
}

/// Where a machine is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Ec2(ScopeIx),
    OnPremises(ScopeIx),
    /// A VM of Azure; some are nodes of Systems Manager too.
    Vm(SubIx, Option<ScopeIx>),
    Arc(SubIx),
}

impl Place {
    fn of(plan: &Plan, state: &State, n: usize, rng: &mut Rng) -> Self {
        let scopes = state.scopes.len();
        let aws = |n: usize| ScopeIx(n as u16);
        // A stopped instance and a managed one in each account and Region come first.
        if n < scopes * 2 {
            return Self::Ec2(aws(n % scopes));
        }
        let scope = (scopes > 0).then(|| aws(rng.index(scopes)));
        let subscriptions = plan.subscriptions.len();
        let subscription = (subscriptions > 0).then(|| SubIx(rng.index(subscriptions) as u16));
        match (rng.below(100), scope, subscription) {
            (0..50, Some(scope), _) | (50.., Some(scope), None) => {
                if rng.percent(75) {
                    Self::Ec2(scope)
                } else {
                    Self::OnPremises(scope)
                }
            }
            (_, scope, Some(subscription)) => match rng.below(100) {
                0..65 => Self::Vm(subscription, None),
                65..85 => Self::Vm(subscription, scope),
                _ => Self::Arc(subscription),
            },
            // The builder sees to it that there is an account or a subscription.
            (_, None, None) => Self::Ec2(aws(0)),
        }
    }
}

fn host_name(app: &str, system: &System, n: usize) -> String {
    let app = app.to_lowercase();
    if system.is_windows() {
        format!("WIN-{}{n:05}", app.to_uppercase())
    } else {
        format!("ip-{app}-{n:06}")
    }
}

fn behavior(rng: &mut Rng) -> Behavior {
    match rng.below(100) {
        0..=2 => Behavior::OneFails,
        3 => Behavior::RebootsForever,
        4 => Behavior::Hangs,
        5 => Behavior::DiesInTheMiddle,
        6..=8 => Behavior::TwoRounds,
        _ => Behavior::Well,
    }
}

fn agent(rng: &mut Rng) -> Agent {
    match rng.below(100) {
        0..=4 => Agent::OldVersion,
        5..=6 => Agent::ConnectionLost,
        7 => Agent::Absent,
        8..=10 => Agent::LateAfterBoot,
        _ => Agent::Online,
    }
}

fn installed(state: &State, system: SystemIx, rng: &mut Rng) -> NodePatches {
    let patches = &state.catalogue.system(system).patches;
    let none = FixedBitSet::with_capacity(patches.len());
    let (mut relevant, mut installed, mut pending) = (none.clone(), none.clone(), none.clone());
    // A third of the machines is up to date, the others lack what came out lately.
    let (behind, waits) = (rng.below(3), rng.percent(4));
    let age = Duration::from_secs(86_400 * (20 * behind + rng.below(12)));
    let fresh = earlier(state.now, age);
    for (place, patch) in patches.iter().enumerate() {
        if !rng.percent(60) {
            continue;
        }
        relevant.insert(place);
        let old = patch.released_at.is_none_or(|at| at < fresh);
        if rng.percent(if behind == 0 {
            100
        } else if old {
            97
        } else {
            15
        }) {
            installed.insert(place);
            if waits && rng.percent(5) {
                pending.insert(place);
            }
        }
    }
    NodePatches {
        relevant,
        installed,
        pending,
        failed: none,
        installed_at: Vec::new(),
        rounds: 0,
        told: None,
    }
}
