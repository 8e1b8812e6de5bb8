//! What Azure keeps beside the machines: where they are by id, operations, scale sets, schedules.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    census::Census, maintenance::Schedules, operation::Operations, rows::Others,
    template::Templates,
};
use crate::cloud::{
    seed::ExtensionSpec,
    world::{
        State,
        machine::{AzureKind, MachineIx, SubIx},
    },
};

#[derive(Debug, Default)]
pub(crate) struct Store {
    /// By resource id in lower case.
    pub(super) by_id: Arc<HashMap<Box<str>, MachineIx>>,
    /// By resource id in lower case.
    pub(super) sets: Arc<BTreeMap<Box<str>, ScaleSet>>,
    pub(super) operations: Operations,
    pub(super) schedules: Arc<Schedules>,
    /// What Resource Graph has of which machine.
    pub(super) census: Census,
    /// The machines whose model is being changed.
    pub(super) updating: Arc<HashSet<MachineIx>>,
    /// Of the machines that have any.
    pub(super) extensions: Arc<BTreeMap<MachineIx, Vec<ExtensionSpec>>>,
    /// What the properties of machines have in common, and those of assessments.
    pub(super) templates: Arc<Templates>,
    /// Resources that are no machines, as Resource Graph has them.
    pub(super) others: Arc<Others>,
}

#[derive(Clone, Debug)]
pub(super) struct ScaleSet {
    pub(super) subscription: SubIx,
    pub(super) group: u16,
    pub(super) name: Box<str>,
    pub(super) mode: Mode,
    /// By name, or by number.
    pub(super) members: Vec<MachineIx>,
    pub(super) tags: crate::cloud::world::machine::Tags,
}

/// How a scale set holds its machines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    Uniform,
    Flexible,
}

impl Mode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "Uniform",
            Self::Flexible => "Flexible",
        }
    }
}

impl Store {
    /// What reads of Resource Graph need, as it is now.
    pub(crate) fn picture(&self) -> Self {
        Self {
            by_id: Arc::clone(&self.by_id),
            sets: Arc::clone(&self.sets),
            schedules: Arc::clone(&self.schedules),
            census: self.census.clone(),
            updating: Arc::clone(&self.updating),
            extensions: Arc::clone(&self.extensions),
            templates: Arc::clone(&self.templates),
            others: Arc::clone(&self.others),
            operations: Operations::default(),
        }
    }
}

impl State {
    /// Enters every machine of Azure under its id, and those of scale sets in their set.
    pub(crate) fn index_azure(&mut self) {
        let (mut by_id, mut sets) = (HashMap::new(), BTreeMap::new());
        for subscription in self.subscriptions.iter() {
            for at in &subscription.machines {
                let Some(azure) = &self.machine(*at).azure else { continue };
                by_id.insert(self.vm_resource_id(azure).to_lowercase().into(), *at);
                let (name, mode) = match &azure.kind {
                    AzureKind::Flexible { set } => (set, Mode::Flexible),
                    AzureKind::Uniform { set, .. } => (set, Mode::Uniform),
                    AzureKind::Vm | AzureKind::Arc => continue,
                };
                let id = self.set_id(azure.subscription, azure.group, name).to_lowercase();
                let set = sets.entry(id.into()).or_insert_with(|| ScaleSet {
                    subscription: azure.subscription,
                    group: azure.group,
                    name: (**name).into(),
                    mode,
                    members: Vec::new(),
                    tags: Vec::new(),
                });
                set.members.push(*at);
            }
        }
        let instance = |at: &MachineIx| match self.machine(*at).azure.as_ref().map(|it| &it.kind) {
            Some(AzureKind::Uniform { instance, .. }) => *instance,
            _ => 0,
        };
        for set in sets.values_mut().filter(|it: &&mut ScaleSet| it.mode == Mode::Uniform) {
            set.members.sort_by_key(instance);
        }
        let census = Census::new(self);
        let (by_id, sets) = (Arc::new(by_id), Arc::new(sets));
        self.azure = Store { by_id, sets, census, ..Store::default() };
    }

    /// Enters a new VM or Arc machine under its id; it may be assessed each day from now on.
    pub(crate) fn enter_azure(&mut self, at: MachineIx) {
        let Some(azure) = &self.machine(at).azure else { return };
        let id = self.vm_resource_id(azure).to_lowercase();
        Arc::make_mut(&mut self.azure.by_id).insert(id.into(), at);
        self.azure.census = Census::new(self);
        self.after(Duration::from_hours(24), move |state| state.assess_daily(at));
    }

    /// Puts extensions on a machine.
    pub(crate) fn put_extensions(&mut self, at: MachineIx, extensions: Vec<ExtensionSpec>) {
        if !extensions.is_empty() {
            Arc::make_mut(&mut self.azure.extensions).insert(at, extensions);
        }
    }

    pub(super) fn schedules_mut(&mut self) -> &mut Schedules {
        Arc::make_mut(&mut self.azure.schedules)
    }

    /// The id of a resource group.
    pub(super) fn group_id(&self, subscription: SubIx, group: u16) -> String {
        let subscription = self.subscription(subscription);
        let group = subscription.groups.get(usize::from(group)).map_or("", |it| &it.name);
        format!("/subscriptions/{}/resourceGroups/{group}", subscription.id)
    }

    /// The id of a scale set.
    pub(super) fn set_id(&self, subscription: SubIx, group: u16, set: &str) -> String {
        let group = self.group_id(subscription, group);
        format!("{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{set}")
    }
}
