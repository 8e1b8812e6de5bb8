//! How a machine that someone names comes into the world.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use patchkit_core::{
    AccessStatus, ComplianceLevel, Error, OperatingSystem, OperationKind, PatchState, Result, Tags,
};

use super::{NodePlace, NodeSpec, PROVIDER, PatchSpec, invalid};
use crate::{
    Scanned,
    cloud::{
        lake::Part,
        world::{
            Execution, ResourceGroup, State, Subscription,
            address::{ZONES, address},
            catalogue::SystemIx,
            clock::earlier,
            hex17,
            machine::{
                self, Agent, AwsKind, AwsSide, AzureKind, AzureSide, Ec2, GuestPatching, Hybrid,
                Installation, Machine, MachineIx, NodePatches, Power, ProfileAssociation, ScopeIx,
                SubIx, Told,
            },
            populate::{CURRENT_AGENT, OLD_AGENT},
            uuid,
        },
    },
    rng::mix,
};

const DAY: Duration = Duration::from_hours(24);
/// How long the operation took that has just found a machine's patches.
const SCAN: Duration = Duration::from_secs(40);
/// The patches of a machine are counted in sixteen bits.
const MOST_PATCHES: usize = 65_535;

/// Tags as machines have them.
fn tags(tags: &Tags) -> machine::Tags {
    tags.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
}

impl State {
    /// Adds a machine; its id.
    pub(crate) fn add_node(&mut self, spec: &NodeSpec) -> Result<String> {
        check(spec)?;
        let at = u32::try_from(self.machines.len()).map(MachineIx);
        let at = at.map_err(|_| invalid("add_node", "the world is full"))?;
        let (system, patches) = self.told("add_node", &spec.operating_system, &spec.patches)?;
        let name = spec.name.clone().unwrap_or_else(|| format!("node-{:06}", at.0));
        let (aws, azure) = match &spec.place {
            NodePlace::Ec2 { account, region } | NodePlace::Hybrid { account, region } => {
                let scope = self.scope_named(account, region)?;
                (Some(self.aws_side(at, spec, scope)), None)
            }
            NodePlace::Vm { subscription, resource_group, location }
            | NodePlace::Arc { subscription, resource_group, location } => {
                let group = [resource_group.as_str(), location.as_deref().unwrap_or_default()];
                (None, Some(self.azure_side(at, spec, subscription, group, &name)?))
            }
        };
        let booted = earlier(self.now, DAY);
        self.machines.push(Machine {
            name: name.into(),
            system,
            power: spec.power,
            power_changes: 0,
            booted,
            first_booted: booted,
            created: earlier(booted, DAY),
            address: address(at.0, None),
            behavior: spec.behavior,
            patches,
            job: None,
            aws,
            azure,
        });
        self.version += 1;
        self.register(at);
        self.put_extensions(at, spec.extensions.clone());
        if spec.scanned == Scanned::Now {
            self.report(at);
        }
        self.sync_node(at, Part::All);
        self.associate(at);
        let machine = self.machine(at);
        let azure = machine.azure.as_ref().map(|it| self.vm_resource_id(it));
        let aws = machine.aws.as_ref().map(|it| it.id.to_string());
        Ok(aws.or(azure).unwrap_or_default())
    }

    /// Replaces what is on the machine with this id, and has it reported.
    pub(crate) fn set_patches(&mut self, id: &str, patches: &[PatchSpec]) -> Result<()> {
        let at = self.find_anywhere(id);
        let at = at.ok_or_else(|| Error::not_found(PROVIDER, "set_patches", id))?;
        self.replace_patches(at, patches)
    }

    pub(crate) fn replace_patches(&mut self, at: MachineIx, patches: &[PatchSpec]) -> Result<()> {
        let os = self.system_of(at).os.clone();
        let (system, patches) = self.told("set_patches", &os, patches)?;
        self.version += 1;
        let machine = self.machine_mut(at);
        (machine.system, machine.patches) = (system, patches);
        if let Some(azure) = &mut machine.azure {
            // They name patches by their places, which are others now.
            azure.installations.clear();
        }
        if self.machine(at).aws.as_ref().is_some_and(|aws| aws.registered.is_some()) {
            self.gather(at);
        }
        self.report(at);
        Ok(())
    }

    /// A system with these patches, and their states.
    fn told(
        &mut self,
        operation: &'static str,
        os: &OperatingSystem,
        patches: &[PatchSpec],
    ) -> Result<(SystemIx, NodePatches)> {
        let ids: BTreeSet<&str> = patches.iter().map(|it| it.id.as_str()).collect();
        if ids.len() < patches.len() {
            return Err(invalid(operation, "a patch comes twice"));
        }
        if patches.len() > MOST_PATCHES {
            return Err(invalid(
                operation,
                format!("a machine has {MOST_PATCHES} patches at most"),
            ));
        }
        // The same for all machines, so that those with the same patches share a system.
        let released = Timestamp::from_second(1_780_272_000).unwrap_or_default();
        let published = patches.iter().map(|it| it.published(os, released.min(self.now)));
        let published = published.collect();
        let system =
            Arc::make_mut(&mut self.catalogue).with_patches(os, published).ok_or_else(|| {
                invalid(operation, format!("the world has no machine of the operating system {os}"))
            })?;
        let told = patches.iter().map(|it| Told {
            state: it.state.clone(),
            level: it.level.unwrap_or(ComplianceLevel::Unspecified),
        });
        Ok((system, NodePatches::told(told.collect())))
    }

    fn scope_named(&self, account: &str, region: &str) -> Result<ScopeIx> {
        let named = (0u16..)
            .map(ScopeIx)
            .zip(&self.scopes)
            .find(|(at, it)| *self.account_of(*at).id == *account && *it.region == *region);
        named.map(|(at, _)| at).ok_or_else(|| {
            invalid("add_node", format!("the world has no account {account} in {region}"))
        })
    }

    fn aws_side(&mut self, at: MachineIx, spec: &NodeSpec, scope: ScopeIx) -> AwsSide {
        let (number, now) = (self.new_hex(), self.now);
        let (id, side) = if let NodePlace::Hybrid { .. } = spec.place {
            let hybrid = Hybrid {
                activation: uuid(mix(self.seed ^ 0x5EED), u64::from(scope.0)).into(),
                given_name: "added".into(),
                role: "patchkit-hybrid-node".into(),
            };
            (format!("mi-{number}"), AwsKind::Hybrid(hybrid))
        } else {
            let profile = match spec.access {
                AccessStatus::NoIdentity => None,
                AccessStatus::MissingPermissions => Some("patchkit-no-systems-manager"),
                _ => Some("patchkit-managed-node"),
            };
            let profile = profile.map(|profile| ProfileAssociation {
                id: format!("iip-assoc-{}", hex17(self.draw(at, 31), 3)).into(),
                profile: profile.into(),
                since: now,
            });
            let (kind, zone, reason) = ("t3.medium", ZONES[0], "".into());
            let launched = earlier(now, DAY);
            let ec2 = Ec2 { profile, kind, zone, launched, terminated: None, reason };
            (format!("i-{number}"), AwsKind::Ec2(ec2))
        };
        let version = if spec.agent == Agent::OldVersion { OLD_AGENT } else { CURRENT_AGENT };
        AwsSide {
            scope,
            id: id.into(),
            tags: tags(&spec.tags),
            agent: spec.agent,
            agent_version: version.into(),
            answers_from: now,
            registered: None,
            shut_out: false,
            last_heard: earlier(now, Duration::from_hours(1)),
            side,
            scan: None,
            gathered: None,
        }
    }

    fn azure_side(
        &mut self,
        at: MachineIx,
        spec: &NodeSpec,
        subscription: &str,
        group: [&str; 2],
        name: &str,
    ) -> Result<AzureSide> {
        let named = |it: &Subscription| it.id.eq_ignore_ascii_case(subscription);
        let subscription = self.subscriptions.iter().position(named).ok_or_else(|| {
            invalid("add_node", format!("the world has no subscription {subscription}"))
        })?;
        let kind = match spec.place {
            NodePlace::Arc { .. } => AzureKind::Arc,
            _ => AzureKind::Vm,
        };
        let windows = spec.operating_system == OperatingSystem::Windows;
        let group = self.group_named(subscription, group)?;
        let side = AzureSide {
            subscription: SubIx(u16::try_from(subscription).unwrap_or(u16::MAX)),
            group,
            name: name.into(),
            kind,
            vm_id: uuid(self.draw(at, 32), self.draw(at, 33)).into(),
            tags: tags(&spec.tags),
            patching: GuestPatching {
                patch_mode: if windows { "AutomaticByOS" } else { "ImageDefault" }.into(),
                assessment_mode: "ImageDefault".into(),
                bypass: None,
                reboot: None,
            },
            agent: spec.agent,
            answers_from: self.now,
            last_heard: earlier(self.now, Duration::from_hours(1)),
            busy: None,
            assessment: None,
            attempt: None,
            installations: Vec::new(),
        };
        let id = self.vm_resource_id(&side);
        if self.find_anywhere(&id).is_some() {
            return Err(invalid("add_node", format!("there is already a machine {id}")));
        }
        Ok(side)
    }

    /// The place of a resource group, which is made unless it is there.
    fn group_named(&mut self, subscription: usize, [name, location]: [&str; 2]) -> Result<u16> {
        let groups = &mut Arc::make_mut(&mut self.subscriptions)[subscription].groups;
        if let Some(place) = groups.iter().position(|it| it.name.eq_ignore_ascii_case(name)) {
            let known = &groups[place].location;
            if !location.is_empty() && !known.eq_ignore_ascii_case(location) {
                let message = format!("the resource group {name} is in {known}");
                return Err(invalid("add_node", message));
            }
            return Ok(u16::try_from(place).unwrap_or(u16::MAX));
        }
        let place = u16::try_from(groups.len());
        let place = place.map_err(|_| invalid("add_node", "the subscription is full"))?;
        let location = if location.is_empty() { "westeurope" } else { location };
        groups.push(ResourceGroup {
            name: name.into(),
            location: location.into(),
            tags: machine::Tags::new(),
        });
        Ok(place)
    }

    /// Enters a new machine where it is looked for, and makes it a managed node where it may be one.
    fn register(&mut self, at: MachineIx) {
        let (permitted, since) = (self.is_permitted(at), earlier(self.now, DAY));
        if let Some(aws) = &mut self.machine_mut(at).aws
            && permitted
            && aws.agent != Agent::Absent
        {
            aws.registered = Some(since);
        }
        self.enter(at);
        self.enter_azure(at);
        self.list_activation(at);
    }

    /// Tells both clouds what is on a machine, as an operation that ends now.
    fn report(&mut self, at: MachineIx) {
        let started = earlier(self.now, SCAN);
        let managed = self.machine(at).aws.as_ref().is_some_and(|it| it.registered.is_some());
        if managed && let Some(judgement) = self.judgement_for(at) {
            let execution = Execution {
                id: self.new_uuid().into(),
                kind: "Command",
                snapshot: self.new_uuid().into(),
                reboot_option: "NoReboot",
                install_override: None,
                started,
            };
            self.upload_scan(at, judgement, OperationKind::Scan, execution);
        }
        if self.machine(at).azure.is_some() {
            let activity = self.new_uuid();
            self.assess(at, &activity, started, "User");
            self.report_installation(at, started);
        }
    }

    /// The install of which some of a machine's patches are the result.
    fn report_installation(&mut self, at: MachineIx, started: Timestamp) {
        let (activity, now) = (self.new_uuid(), self.now);
        let machine = self.machine_mut(at);
        let those = |state: &PatchState| {
            let mut bits = machine.patches.relevant.clone();
            bits.clear();
            let told = machine.patches.told.as_deref().unwrap_or_default();
            let such = told.iter().enumerate().filter(|(_, it)| it.state == *state);
            bits.extend(such.map(|(place, _)| place));
            bits
        };
        let pending_reboot = machine.reboot_pending();
        let (installed, failed) = (machine.patches.installed.clone(), those(&PatchState::Failed));
        let (pending, excluded) = (those(&PatchState::Pending), those(&PatchState::Excluded));
        let not_selected = those(&PatchState::NotSelected);
        let all = [&installed, &failed, &pending, &excluded, &not_selected];
        if all.iter().all(|it| it.is_clear()) {
            return;
        }
        let installation = Installation {
            activity: activity.into(),
            started,
            ended: Some(now),
            status: match (failed.is_clear(), installed.is_clear()) {
                (true, _) => "Succeeded",
                (false, true) => "Failed",
                (false, false) => "CompletedWithWarnings",
            },
            reboot_status: if pending_reboot { "Required" } else { "NotNeeded" },
            window_exceeded: !pending.is_clear(),
            failure: None,
            started_by: "User",
            maintenance_run: Box::default(),
            installed,
            failed,
            pending,
            excluded,
            not_selected,
        };
        if let Some(azure) = &mut machine.azure {
            azure.installations.push(installation);
        }
    }
}

/// What does not fit together, whatever the world has.
fn check(spec: &NodeSpec) -> Result<()> {
    let wrong = |what: &str| Err(invalid("add_node", what));
    let aws = matches!(spec.place, NodePlace::Ec2 { .. } | NodePlace::Hybrid { .. });
    let vm = matches!(spec.place, NodePlace::Vm { .. });
    match spec.power {
        Power::Running | Power::Stopped => {}
        Power::Deallocated if vm => {}
        _ => return wrong("a machine is added running, stopped or, a VM, deallocated"),
    }
    match spec.access {
        AccessStatus::Granted => {}
        AccessStatus::NoIdentity | AccessStatus::MissingPermissions
            if matches!(spec.place, NodePlace::Ec2 { .. }) => {}
        _ => return wrong("only an instance of EC2 has no access, or too little of it"),
    }
    if spec.agent == Agent::Absent && matches!(spec.place, NodePlace::Hybrid { .. }) {
        return wrong("a machine that has never had an agent is no hybrid node");
    }
    if let Some(name) = &spec.name
        && (name.is_empty() || name.len() > 63 || name.contains(['/', ' ']))
    {
        return wrong("a host name has 1 to 63 characters, none of them a slash or a space");
    }
    if aws && !spec.extensions.is_empty() {
        return wrong("only a machine of Azure has extensions");
    }
    if aws {
        return Ok(());
    }
    let (NodePlace::Vm { resource_group, .. } | NodePlace::Arc { resource_group, .. }) =
        &spec.place
    else {
        return Ok(());
    };
    if resource_group.is_empty() || resource_group.len() > 90 || resource_group.contains('/') {
        return wrong("a resource group's name has 1 to 90 characters, none of them a slash");
    }
    Ok(())
}
