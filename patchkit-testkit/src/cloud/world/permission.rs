//! Whether a node's role lets its agent speak to the service.

use super::{
    super::lake::Part,
    State, judge,
    machine::{Agent, AwsKind, MachineIx, Power},
};

impl State {
    /// Whether an instance's role, or the Region's default one, lets it be managed.
    pub(crate) fn is_permitted(&self, at: MachineIx) -> bool {
        let Some(aws) = &self.machine(at).aws else { return false };
        let identity = &self.account_of(aws.scope).identity;
        match &aws.side {
            AwsKind::Hybrid(hybrid) => identity.manages(&hybrid.role),
            AwsKind::Ec2(ec2) => {
                if let Some(association) = &ec2.profile {
                    return identity.profile_manages(&association.profile);
                }
                // An agent before 3.2.582.0 does not know of it (user guide, "Managing EC2
                // instances automatically with Default Host Management Configuration").
                let role = self.scope(aws.scope).default_host_role.as_deref();
                aws.agent != Agent::OldVersion && role.is_some_and(|it| identity.manages(it))
            }
        }
    }

    /// Looks again at a machine's agent, after a change of roles. One that is shut out is no longer
    /// heard from now on; one that is let in tries again every few minutes, and is heard within
    /// five here.
    pub(crate) fn review_agent(&mut self, at: MachineIx) {
        if !self.is_permitted(at) {
            return self.shut_out(at);
        }
        let Some(aws) = &self.machine(at).aws else { return };
        if aws.shut_out || aws.registered.is_none() {
            let wait = judge::between(self.draw(at, 11), 30, 300);
            self.after(wait, move |state| state.let_in(at));
        }
    }

    /// No longer hears an agent whose role does not let it speak.
    pub(crate) fn shut_out(&mut self, at: MachineIx) {
        if self.is_permitted(at) {
            return;
        }
        let (now, heard) = (self.now, self.answers(at));
        let Some(aws) = &mut self.machine_mut(at).aws else { return };
        if aws.shut_out || aws.registered.is_none() {
            return;
        }
        if heard {
            aws.last_heard = now;
        }
        aws.shut_out = true;
        self.sync_node(at, Part::Node);
    }

    /// Hears an agent again whose role lets it speak; one that was never heard registers.
    pub(crate) fn let_in(&mut self, at: MachineIx) {
        if !self.is_permitted(at) {
            return;
        }
        let now = self.now;
        let runs = self.machine(at).power == Power::Running;
        let Some(aws) = &mut self.machine_mut(at).aws else { return };
        if aws.registered.is_some() {
            if std::mem::take(&mut aws.shut_out) {
                self.sync_node(at, Part::Node);
                self.associate(at);
            }
        } else if runs && aws.agent.answers_after().is_some() {
            aws.registered = Some(now);
            aws.answers_from = now;
            self.sync_node(at, Part::All);
            self.associate(at);
        }
    }
}
