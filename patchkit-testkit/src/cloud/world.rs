//! The state machine behind every endpoint: one world, seen by two clouds.
//!
//! All of it follows from the seed, the options and the virtual time: nothing here asks the
//! system's clock or its random numbers.

pub(crate) mod address;
pub(crate) mod agenda;
pub(crate) mod catalogue;
pub(crate) mod clock;
pub(crate) mod findings;
pub(crate) mod gathering;
pub(crate) mod identity;
mod index;
pub(crate) mod inventory;
pub(crate) mod judge;
pub(crate) mod machine;
pub(crate) mod machines;
pub(crate) mod patching;
mod permission;
pub(crate) mod populate;
pub(crate) mod power;
pub(crate) mod shelf;
pub(crate) mod software;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use patchkit_core::OperationKind;
use uuid::Uuid;

use self::{
    agenda::Agenda,
    catalogue::{Catalogue, System},
    clock::later,
    identity::Identity,
    judge::{BaselineRef, Judgement, Judgements, PatchScan},
    machine::{AwsSide, Machine, MachineIx, Power, ScopeIx, SubIx},
    machines::Machines,
    shelf::Shelf,
};
use super::{
    lake::{Backlog, Complaints, Part, Target},
    sink::{ObjectSink, ObjectSource},
};
use crate::{
    cloud::aws::{config, ec2, resource_groups, sns, ssm},
    rng::mix,
};

/// Everything that is true in the world at `now`.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) now: Timestamp,
    pub(crate) seed: u64,
    /// Grows with what happens: what was read at the same time and version is still true.
    pub(crate) version: u64,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) machines: Machines,
    pub(crate) accounts: Vec<Account>,
    pub(crate) scopes: Vec<RegionScope>,
    pub(crate) subscriptions: Arc<Vec<Subscription>>,
    /// Where services write objects: S3.
    pub(crate) objects: Option<Arc<dyn ObjectSink>>,
    /// The folder that holds the lake of all accounts.
    pub(crate) lake: Option<Target>,
    pub(crate) complaints: Complaints,
    pub(crate) backlog: VecDeque<Backlog>,
    pub(crate) azure: crate::cloud::azure::Store,
    by_id: HashMap<(ScopeIx, Box<str>), MachineIx>,
    pub(crate) consistency: Consistency,
    /// Where nodes read what they are told to patch by: S3.
    pub(crate) files: Option<Arc<dyn ObjectSource>>,
    /// Behind a lock that is never taken: what is to come is not for two threads at once.
    agenda: Mutex<Agenda>,
    judgements: Judgements,
    numbers: u64,
}

/// How late reads see what was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consistency {
    /// Run Command's invocations: each by this long, give or take a half.
    pub(crate) invocations: Duration,
}

impl Default for Consistency {
    fn default() -> Self {
        Self { invocations: Duration::from_secs(2) }
    }
}

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) identity: Identity,
}

/// One account in one Region.
#[derive(Debug)]
pub(crate) struct RegionScope {
    /// The place of its account.
    pub(crate) account: usize,
    pub(crate) region: Arc<str>,
    /// By id.
    pub(crate) machines: Vec<MachineIx>,
    pub(crate) shelf: Shelf,
    /// Default Host Management: the name of the role of instances without a profile
    /// (`/ssm/managed-instance/…` setting).
    pub(crate) default_host_role: Option<Box<str>>,
    pub(crate) config: config::Store,
    pub(crate) groups: resource_groups::Store,
    pub(crate) network: ec2::Network,
    pub(crate) sns: sns::Store,
    pub(crate) ssm: ssm::Store,
}

#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) id: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) tags: machine::Tags,
    pub(crate) groups: Vec<ResourceGroup>,
    /// In the order of their ids, and behind those of its resource group what is no resource of its own.
    pub(crate) machines: Vec<MachineIx>,
}

#[derive(Clone, Debug)]
pub(crate) struct ResourceGroup {
    pub(crate) name: Arc<str>,
    pub(crate) location: Arc<str>,
    pub(crate) tags: machine::Tags,
}

/// What the service is told of the run that a scan belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(crate) id: Arc<str>,
    /// `Command`, `PatchPolicy`
    pub(crate) kind: &'static str,
    pub(crate) snapshot: Arc<str>,
    pub(crate) reboot_option: &'static str,
    pub(crate) install_override: Option<Arc<str>>,
    pub(crate) started: Timestamp,
}

impl State {
    pub(crate) fn machine(&self, at: MachineIx) -> &Machine {
        &self.machines[at.0 as usize]
    }

    pub(crate) fn machine_mut(&mut self, at: MachineIx) -> &mut Machine {
        &mut self.machines[at.0 as usize]
    }

    pub(crate) fn scope(&self, at: ScopeIx) -> &RegionScope {
        &self.scopes[usize::from(at.0)]
    }

    pub(crate) fn scope_mut(&mut self, at: ScopeIx) -> &mut RegionScope {
        &mut self.scopes[usize::from(at.0)]
    }

    pub(crate) fn account_of(&self, at: ScopeIx) -> &Account {
        &self.accounts[self.scope(at).account]
    }

    pub(crate) fn subscription(&self, at: SubIx) -> &Subscription {
        &self.subscriptions[usize::from(at.0)]
    }

    pub(crate) fn system_of(&self, at: MachineIx) -> &System {
        self.catalogue.system(self.machine(at).system)
    }

    /// The name that the agent reports: that of the host, which Windows cuts.
    pub(crate) fn computer_name(&self, at: MachineIx) -> &str {
        let machine = self.machine(at);
        if self.system_of(at).is_windows() { machine.short_name() } else { &machine.name }
    }

    /// The machine of an account's Region with this id.
    pub(crate) fn find(&self, scope: ScopeIx, id: &str) -> Option<MachineIx> {
        // The key owns its text; a look-up costs one small copy.
        self.by_id.get(&(scope, Box::from(id))).copied()
    }

    /// Forgets a hybrid node: its id is never used again.
    pub(crate) fn deregister(&mut self, scope: ScopeIx, id: &str) -> Option<MachineIx> {
        let at = self.by_id.remove(&(scope, Box::from(id)))?;
        self.scope_mut(scope).machines.retain(|it| *it != at);
        self.machine_mut(at).aws = None;
        Some(at)
    }

    /// The world as Azure's reads see it, as it is now: what happens later does not show in it.
    /// It costs a copy of no machine, until that machine changes.
    pub(crate) fn picture(&self) -> Self {
        Self {
            now: self.now,
            seed: self.seed,
            version: self.version,
            catalogue: Arc::clone(&self.catalogue),
            machines: self.machines.picture(),
            accounts: Vec::new(),
            scopes: Vec::new(),
            subscriptions: Arc::clone(&self.subscriptions),
            objects: None,
            lake: None,
            complaints: Complaints::default(),
            backlog: VecDeque::new(),
            azure: self.azure.picture(),
            by_id: HashMap::new(),
            consistency: self.consistency,
            files: None,
            agenda: Mutex::default(),
            judgements: Judgements::default(),
            numbers: self.numbers,
        }
    }

    /// A number that no one has had before.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A machine's own number for one purpose: the same in each world of this seed.
    pub(crate) fn draw(&self, at: MachineIx, purpose: u64) -> u64 {
        mix(self.seed ^ mix(u64::from(at.0) ^ mix(purpose)))
    }

    /// A new UUID of this world.
    pub(crate) fn new_uuid(&mut self) -> String {
        let number = self.next_number();
        let high = mix(self.seed ^ mix(number));
        let low = mix(high ^ number);
        uuid(high, low)
    }

    /// Seventeen new hexadecimal digits, as in AWS's ids.
    pub(crate) fn new_hex(&mut self) -> String {
        let number = self.next_number();
        hex17(mix(self.seed ^ mix(number ^ 0x1D)), number)
    }

    /// Enters what happens at `when`.
    pub(crate) fn at(&mut self, when: Timestamp, act: impl FnOnce(&mut Self) + Send + 'static) {
        exclusive(&mut self.agenda).enter(when.max(self.now), Box::new(act));
    }

    /// Enters what happens after a while.
    pub(crate) fn after(&mut self, wait: Duration, act: impl FnOnce(&mut Self) + Send + 'static) {
        self.at(later(self.now, wait), act);
    }

    /// Lets everything happen that is due by `now`.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        while let Some((when, act)) = exclusive(&mut self.agenda).due(now) {
            self.now = self.now.max(when);
            self.version += 1;
            act(self);
        }
        self.now = self.now.max(now);
    }

    /// Whether the agent on a machine answers.
    pub(crate) fn answers(&self, at: MachineIx) -> bool {
        let machine = self.machine(at);
        machine.power == Power::Running
            && machine.aws.as_ref().is_some_and(|aws| {
                aws.registered.is_some()
                    && !aws.shut_out
                    && aws.agent.answers_after().is_some()
                    && aws.answers_from <= self.now
            })
    }

    /// Whether the guest agent of a VM, or Arc's on another machine, answers.
    pub(crate) fn answers_azure(&self, at: MachineIx) -> bool {
        let machine = self.machine(at);
        machine.power == Power::Running
            && machine.azure.as_ref().is_some_and(|azure| {
                azure.agent.answers_after().is_some() && azure.answers_from <= self.now
            })
    }

    /// The baseline that a machine is patched by, judged for its system now.
    pub(crate) fn judgement_for(&mut self, at: MachineIx) -> Option<Arc<Judgement>> {
        let machine = &self.machines[at.0 as usize];
        let AwsSide { scope, tags, .. } = machine.aws.as_ref()?;
        let os = &self.catalogue.system(machine.system).os;
        let baseline = Arc::clone(self.scope(*scope).shelf.of_machine(tags, os)?);
        Some(self.judge(&baseline, at))
    }

    /// What a baseline says of every patch of a machine's system now.
    pub(crate) fn judge(&mut self, baseline: &Arc<BaselineRef>, at: MachineIx) -> Arc<Judgement> {
        let system = self.machine(at).system;
        self.judgements.get(baseline, &self.catalogue, system, self.now)
    }

    /// Uploads what a patch operation found: the service knows it from here on.
    pub(crate) fn upload_scan(
        &mut self,
        at: MachineIx,
        judgement: Arc<Judgement>,
        operation: OperationKind,
        execution: Execution,
    ) {
        let now = self.now;
        let machine = &self.machines[at.0 as usize];
        let (system, patches) = (machine.system, machine.patches.clone());
        let verdict = judgement.verdict(&self.catalogue, system, &patches, operation);
        let told = judgement.told(&patches);
        let Some(aws) = &mut self.machines[at.0 as usize].aws else { return };
        let before = aws.scan.as_ref().and_then(|scan| scan.last_no_reboot_install);
        let no_reboot =
            operation == OperationKind::Install && execution.reboot_option == "NoReboot";
        let (scope, id) = (aws.scope, aws.id.clone());
        let last = aws.scan.replace(Arc::new(PatchScan {
            judgement,
            patches,
            told,
            operation,
            verdict,
            group: shelf::group_of(&aws.tags).map(Arc::clone),
            snapshot: execution.snapshot,
            execution: execution.id,
            execution_type: execution.kind,
            started: execution.started,
            ended: now,
            reboot_option: execution.reboot_option,
            install_override: execution.install_override,
            last_no_reboot_install: if no_reboot { Some(now) } else { before },
        }));
        if let Some(last) = last {
            self.scope_mut(scope).config.remember(&id, last);
        }
        self.sync_node(at, Part::Scan);
    }
}

fn exclusive<T>(mutex: &mut Mutex<T>) -> &mut T {
    mutex.get_mut().unwrap_or_else(PoisonError::into_inner)
}

/// Seventeen hexadecimal digits.
pub(crate) fn hex17(bits: u64, more: u64) -> String {
    format!("{bits:016x}{:x}", more & 0xF)
}

/// A random UUID (version 4) that follows from these bits.
pub(crate) fn uuid(high: u64, low: u64) -> String {
    let (high, low) = (mix(high ^ 0x5EED), mix(low ^ high.rotate_left(17) ^ 0x1D5));
    let bytes = Uuid::from_u64_pair(high, low).into_bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
