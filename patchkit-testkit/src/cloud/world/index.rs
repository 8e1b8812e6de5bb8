//! Where machines are looked for: by id, by account and Region, by subscription; and by what id.

use std::sync::Arc;

use super::{
    State,
    machine::{AzureKind, AzureSide, MachineIx},
};

impl State {
    /// Enters all machines, in the order in which they are listed.
    pub(super) fn index(&mut self) {
        let subscriptions = Arc::make_mut(&mut self.subscriptions);
        for (at, machine) in (0u32..).map(MachineIx).zip(self.machines.iter()) {
            if let Some(aws) = &machine.aws {
                self.scopes[usize::from(aws.scope.0)].machines.push(at);
                self.by_id.insert((aws.scope, aws.id.clone()), at);
            }
            if let Some(azure) = &machine.azure {
                subscriptions[usize::from(azure.subscription.0)].machines.push(at);
            }
        }
        let machines = &self.machines;
        let id = |at: &MachineIx| machines[at.0 as usize].aws.as_ref().map(|aws| &aws.id);
        for scope in &mut self.scopes {
            scope.machines.sort_by(|a, b| id(a).cmp(&id(b)));
        }
        let place = |at: &MachineIx| {
            machines[at.0 as usize].azure.as_ref().map(|azure| (azure.group, &azure.name))
        };
        for subscription in subscriptions.iter_mut() {
            subscription.machines.sort_by(|a, b| place(a).cmp(&place(b)));
        }
        self.index_azure();
    }

    /// Enters a new machine where machines are looked for, in the order in which they are listed.
    pub(crate) fn enter(&mut self, at: MachineIx) {
        let machines = &self.machines;
        if let Some(aws) = &machines[at.0 as usize].aws {
            let id = |at: &MachineIx| machines[at.0 as usize].aws.as_ref().map(|aws| &aws.id);
            let listed = &mut self.scopes[usize::from(aws.scope.0)].machines;
            let place = listed.partition_point(|it| id(it) < id(&at));
            listed.insert(place, at);
            self.by_id.insert((aws.scope, aws.id.clone()), at);
        }
        if let Some(azure) = &machines[at.0 as usize].azure {
            let key = |at: &MachineIx| {
                machines[at.0 as usize].azure.as_ref().map(|azure| (azure.group, &azure.name))
            };
            let subscription = usize::from(azure.subscription.0);
            let listed = &mut Arc::make_mut(&mut self.subscriptions)[subscription].machines;
            let place = listed.partition_point(|it| key(it) < key(&at));
            listed.insert(place, at);
        }
    }

    /// The resource id of a machine of Azure.
    pub(crate) fn vm_resource_id(&self, azure: &AzureSide) -> String {
        let subscription = self.subscription(azure.subscription);
        let group = &subscription.groups[usize::from(azure.group)].name;
        let name = &azure.name;
        let mut id = String::with_capacity(160 + group.len() + name.len());
        let mut add = |parts: &[&str]| parts.iter().for_each(|part| id.push_str(part));
        add(&["/subscriptions/", &subscription.id, "/resourceGroups/", group, "/providers/"]);
        match &azure.kind {
            AzureKind::Vm | AzureKind::Flexible { .. } => {
                add(&["Microsoft.Compute/virtualMachines/", name]);
            }
            AzureKind::Uniform { set, instance } => {
                add(&["Microsoft.Compute/virtualMachineScaleSets/", set, "/virtualMachines/"]);
                add(&[&instance.to_string()]);
            }
            AzureKind::Arc => add(&["Microsoft.HybridCompute/machines/", name]),
        }
        id
    }
}
