//! Machines are started, stopped and booted.

use jiff::Timestamp;

use super::super::lake::Part;
use super::{
    State,
    clock::later,
    judge::between,
    machine::{Agent, AwsKind, AwsSide, MachineIx, Power},
    populate::{CURRENT_AGENT, OLD_AGENT},
};

/// How a machine is turned off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Off {
    Stop,
    Deallocate,
}

impl State {
    /// Turns a machine on; says when it runs. A machine that is on, or coming up, stays as it is.
    pub(crate) fn power_on(&mut self, at: MachineIx) -> Timestamp {
        let now = self.now;
        let power = self.machine(at).power;
        if !matches!(power, Power::Stopped | Power::Deallocated) {
            return now;
        }
        let ready = later(now, between(self.draw(at, 1), 15, 45));
        let change = self.change_power(at, Power::Starting);
        self.at(ready, move |state| {
            if state.machine(at).power_changes == change {
                state.change_power(at, Power::Running);
                state.booted(at);
            }
        });
        ready
    }

    /// Turns a machine off; says when it is off.
    pub(crate) fn power_off(&mut self, at: MachineIx, how: Off) -> Timestamp {
        let now = self.now;
        let (going, gone) = match how {
            Off::Stop => (Power::Stopping, Power::Stopped),
            Off::Deallocate => (Power::Deallocating, Power::Deallocated),
        };
        let power = self.machine(at).power;
        // A stopped VM can still be deallocated.
        if power == gone || power.is_off() && how == Off::Stop {
            return now;
        }
        let ready = later(now, between(self.draw(at, 2), 20, 60));
        self.fall_silent(at);
        let change = self.change_power(at, going);
        self.at(ready, move |state| {
            if state.machine(at).power_changes == change {
                state.change_power(at, gone);
            }
        });
        ready
    }

    /// Boots a running machine anew; says when it runs again.
    pub(crate) fn boot_again(&mut self, at: MachineIx) -> Timestamp {
        let ready = later(self.now, between(self.draw(at, 3), 40, 120));
        self.fall_silent(at);
        // Its power stays as it is: neither cloud shows a reboot as another state.
        let change = self.change_power(at, Power::Running);
        if let Some(aws) = &mut self.machine_mut(at).aws {
            aws.answers_from = Timestamp::MAX;
        }
        if let Some(azure) = &mut self.machine_mut(at).azure {
            azure.answers_from = Timestamp::MAX;
        }
        self.at(ready, move |state| {
            if state.machine(at).power_changes == change {
                state.booted(at);
            }
        });
        ready
    }

    /// What a boot does: pending installs take effect, the agent will answer after a while.
    pub(crate) fn booted(&mut self, at: MachineIx) {
        let now = self.now;
        let machine = self.machine_mut(at);
        machine.booted = now;
        machine.patches.take_effect();
        if let Some(azure) = &mut machine.azure
            && let Some(wait) = azure.agent.answers_after()
        {
            azure.answers_from = later(now, wait);
        }
        if let Some(aws) = &mut machine.aws
            && let Some(wait) = aws.agent.answers_after()
        {
            let from = later(now, wait);
            aws.answers_from = from;
            self.at(from, move |state| {
                if state.answers(at) {
                    state.sync_node(at, Part::Node);
                    state.associate(at);
                }
            });
            // It may have been off when it was let in.
            self.review_agent(at);
        }
    }

    /// Changes power at once, as no control plane can.
    pub(crate) fn force_power(&mut self, at: MachineIx, to: Power) {
        self.fall_silent(at);
        self.change_power(at, to);
        if to == Power::Running {
            self.booted(at);
        }
    }

    /// Changes what the agents do. One that comes back answers at once.
    pub(crate) fn set_agent(&mut self, at: MachineIx, agent: Agent) {
        let now = self.now;
        let (heard, heard_by_azure) = (self.answers(at), self.answers_azure(at));
        let machine = self.machine_mut(at);
        if let Some(azure) = &mut machine.azure {
            if heard_by_azure {
                azure.last_heard = now;
            }
            azure.agent = agent;
            azure.answers_from = now;
        }
        if let Some(aws) = &mut machine.aws {
            if heard {
                aws.last_heard = now;
            }
            let version = version_of(agent, aws);
            aws.agent = agent;
            aws.answers_from = now;
            if let Some(version) = version {
                self.keep_gathered(at);
                if let Some(aws) = &mut self.machine_mut(at).aws {
                    aws.agent_version = version.into();
                }
            }
            self.sync_node(at, Part::Node);
            self.associate(at);
            // The default role of a Region is nothing to an old agent.
            self.review_agent(at);
        }
    }

    fn change_power(&mut self, at: MachineIx, to: Power) -> u32 {
        let (now, machine) = (self.now, self.machine_mut(at));
        machine.power = to;
        machine.power_changes += 1;
        let change = machine.power_changes;
        if let Some(aws) = &mut machine.aws
            && let AwsKind::Ec2(ec2) = &mut aws.side
            && let Power::Stopping | Power::Stopped = to
        {
            let when = now.strftime("%Y-%m-%d %H:%M:%S GMT");
            ec2.reason = format!("User initiated ({when})").into();
        }
        if let Some(aws) = &mut machine.aws
            && let AwsKind::Ec2(ec2) = &mut aws.side
        {
            match to {
                Power::Starting => ec2.launched = now,
                Power::Terminated => ec2.terminated = Some(now),
                _ => {}
            }
        }
        self.sync_node(at, Part::Node);
        change
    }

    /// The agent is cut off; what it was doing is lost.
    fn fall_silent(&mut self, at: MachineIx) {
        let now = self.now;
        if self.answers(at)
            && let Some(aws) = &mut self.machine_mut(at).aws
        {
            aws.last_heard = now;
        }
        if self.answers_azure(at)
            && let Some(azure) = &mut self.machine_mut(at).azure
        {
            azure.last_heard = now;
        }
        self.machine_mut(at).job = None;
    }
}

/// The version by which a node's agent becomes another, where it is not the one that it has.
fn version_of(agent: Agent, aws: &AwsSide) -> Option<&'static str> {
    let is_current = *aws.agent_version == *CURRENT_AGENT;
    match agent {
        Agent::OldVersion if is_current => Some(OLD_AGENT),
        Agent::Online | Agent::LateAfterBoot if !is_current => Some(CURRENT_AGENT),
        _ => None,
    }
}
