//! Where machines are looked for: by id, by account and Region, by subscription; and by what id.

use std::sync::Arc;

use super::{
    ResourceGroup, State,
    machine::{AzureKind, AzureSide, MachineIx},
};

/// Of each resource group where it is in the order of the ids of what is in it.
fn turns(groups: &[ResourceGroup]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..groups.len()).collect();
    // What is in `web-a` is before what is in `web`, though `web` itself is before it.
    order.sort_by_cached_key(|at| format!("{}/", groups[*at].name));
    let mut turns = vec![0; order.len()];
    for (turn, at) in order.into_iter().enumerate() {
        turns[at] = turn;
    }
    turns
}

impl AzureSide {
    /// Where it is among the machines of its subscription, of whose groups the turns are known: in the
    /// order of their ids, behind which is what is no resource of its own.
    fn place(&self, turns: &[usize]) -> (usize, usize, &str) {
        (turns[usize::from(self.group)], self.kind.turn(), &self.name)
    }
}

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
        for subscription in subscriptions.iter_mut() {
            let turns = turns(&subscription.groups);
            let place =
                |at: &MachineIx| machines[at.0 as usize].azure.as_ref().map(|it| it.place(&turns));
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
            let subscriptions = Arc::make_mut(&mut self.subscriptions);
            let subscription = &mut subscriptions[usize::from(azure.subscription.0)];
            let turns = turns(&subscription.groups);
            let place =
                |at: &MachineIx| machines[at.0 as usize].azure.as_ref().map(|it| it.place(&turns));
            let listed = &mut subscription.machines;
            let first = listed.partition_point(|it| place(it) < place(&at));
            listed.insert(first, at);
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
