//! Nodes that associations come to mean after they were made.

use std::{sync::Arc, time::Duration};

use super::{Association, State, TargetResult, run};
use crate::cloud::{
    aws::ssm::commands::{Target, reaches},
    lake::Part,
    world::machine::{MachineIx, ScopeIx},
};

/// How long it takes until the service has seen a change here.
const NOTICE: Duration = Duration::from_secs(30);

impl State {
    /// Tells of a node's new tags: to the lake, and to the associations that may mean it by them.
    pub(crate) fn tags_changed(&mut self, at: MachineIx) {
        self.sync_node(at, Part::Tags);
        self.associate(at);
    }

    /// Runs on a node, soon, the associations that mean it and never ran there: "For dynamic targets
    /// … applies the configuration when new managed nodes are added" (API reference,
    /// CreateAssociation). One that runs by its schedule alone waits for that.
    ///
    /// To be called when a node is new, when its tags are, and when its agent answers again.
    pub(crate) fn associate(&mut self, at: MachineIx) {
        let Some(aws) = &self.machine(at).aws else { return };
        let (scope, node) = (aws.scope, aws.id.clone());
        let new = self.new_to(scope, at, &node);
        if new.is_empty() {
            return;
        }
        let now = self.now;
        for id in &new {
            if let Some(association) = self.association_mut(scope, id) {
                let pending = || TargetResult::pending(node.clone(), now);
                association.results.entry(node.clone()).or_insert_with(pending);
            }
        }
        self.after(NOTICE, move |state| state.apply_new(scope, at, &node));
    }

    /// The associations that mean a node and have not run there.
    fn new_to(&self, scope: ScopeIx, at: MachineIx, node: &str) -> Vec<Arc<str>> {
        let associations = self.associations(scope).by_id.values();
        let new = associations.filter(|it| {
            it.results.get(node).is_none_or(TargetResult::is_pending)
                && reaches(self, scope, &it.targets(), at)
        });
        new.map(|it| Arc::clone(&it.id)).collect()
    }

    fn apply_new(&mut self, scope: ScopeIx, at: MachineIx, node: &str) {
        // One that is off is looked at again when it answers.
        if !self.answers(at) {
            return;
        }
        for id in self.new_to(scope, at, node) {
            let waits = |it: &Association| it.waits_for_schedule() || self.is_running_on(it, at);
            if self.association(scope, &id).is_none_or(waits) {
                continue;
            }
            let target = Target { key: "InstanceIds".to_owned(), values: vec![node.to_owned()] };
            // A document that is gone is seen at the next change: there is no one to tell here.
            let _ = run::run_on(self, scope, &id, vec![target]);
        }
    }

    /// Whether a run of an association that reaches a node is not over.
    fn is_running_on(&self, association: &Association, at: MachineIx) -> bool {
        let Some(aws) = &self.machine(at).aws else { return false };
        let commands = self.commands(aws.scope);
        let runs = association.executions.iter().filter(|it| it.ended.is_none());
        runs.filter_map(|it| commands.get(&it.command))
            .any(|command| command.invocations.iter().any(|it| it.machine == at))
    }
}
