//! What is really so of a machine: for tests to hold against what a provider says.

use jiff::Timestamp;
use patchkit_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{
    seed::PROVIDER,
    world::{
        State,
        machine::{Agent, Behavior, Machine, MachineIx, Power},
    },
};

/// What is really so of a machine, whoever knows it by whatever id.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeTruth {
    /// Its host name.
    pub name: String,
    /// `i-…` or `mi-…`, where Systems Manager can know it.
    pub aws_id: Option<String>,
    /// The account and Region of that id.
    pub aws_scope: Option<String>,
    /// Its resource id, where it is in Azure.
    pub azure_id: Option<String>,
    /// Its private address.
    pub address: String,
    /// Whether it runs.
    pub power: Power,
    /// What its agent does: Systems Manager's, or where that cannot know it, Azure's guest agent or
    /// Arc's.
    pub agent: Option<Agent>,
    /// Whether that agent answers now.
    pub answers: bool,
    /// What it does when it is patched.
    pub behavior: Behavior,
    /// Its operating system, as baselines name it.
    pub operating_system: String,
    /// The ids of the patches that are on it.
    pub installed: Vec<String>,
    /// Those of them that take effect after a boot.
    pub pending_reboot: Vec<String>,
    /// The ids of the patches that it could have and has not.
    pub absent: Vec<String>,
    /// When it last booted.
    pub booted: Timestamp,
    /// Whether a patch operation is under way.
    pub busy: bool,
}

/// A change of a machine from outside of both clouds: someone pulled a cable.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NodeChange {
    /// What its agents do from now on, of both clouds.
    pub agent: Option<Agent>,
    /// What it does when it is patched.
    pub behavior: Option<Behavior>,
    /// Its power, at once. A machine of Azure cannot be terminated: no operation that is served deletes
    /// one.
    pub power: Option<Power>,
}

impl NodeChange {
    /// Nothing, to be added to.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes what its agent does.
    #[must_use]
    pub fn with_agent(mut self, agent: Agent) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Changes what it does when it is patched.
    #[must_use]
    pub fn with_behavior(mut self, behavior: Behavior) -> Self {
        self.behavior = Some(behavior);
        self
    }

    /// Changes its power at once; a machine of Azure cannot be terminated.
    #[must_use]
    pub fn with_power(mut self, power: Power) -> Self {
        self.power = Some(power);
        self
    }
}

impl State {
    /// The machine with an id of either cloud, or a host name.
    pub(crate) fn find_anywhere(&self, id: &str) -> Option<MachineIx> {
        let known = |machine: &Machine| {
            let aws = machine.aws.as_ref().is_some_and(|it| *it.id == *id);
            let azure = || {
                machine
                    .azure
                    .as_ref()
                    .is_some_and(|it| self.vm_resource_id(it).eq_ignore_ascii_case(id))
            };
            aws || *machine.name == *id || id.starts_with('/') && azure()
        };
        let place = self.machines.iter().position(known)?;
        u32::try_from(place).ok().map(MachineIx)
    }

    /// Every machine, by what it is known by first.
    pub(crate) fn all_ids(&self) -> Vec<String> {
        let id = |machine: &Machine| match (&machine.aws, &machine.azure) {
            (Some(aws), _) => aws.id.to_string(),
            (None, Some(azure)) => self.vm_resource_id(azure),
            (None, None) => machine.name.to_string(),
        };
        self.machines.iter().map(id).collect()
    }

    pub(crate) fn truth(&self, at: MachineIx) -> NodeTruth {
        let machine = self.machine(at);
        let system = self.system_of(at);
        let ids = |bits: &fixedbitset::FixedBitSet| -> Vec<String> {
            bits.ones().map(|place| system.patches[place].id.to_string()).collect()
        };
        let mut absent = machine.patches.relevant.clone();
        absent.difference_with(&machine.patches.installed);
        let scope = |aws: &super::world::machine::AwsSide| {
            format!("{}/{}", self.account_of(aws.scope).id, self.scope(aws.scope).region)
        };
        let (agent, answers) = match (&machine.aws, &machine.azure) {
            (None, Some(azure)) => (Some(azure.agent), self.answers_azure(at)),
            (aws, _) => (aws.as_ref().map(|it| it.agent), self.answers(at)),
        };
        NodeTruth {
            name: machine.name.to_string(),
            aws_id: machine.aws.as_ref().map(|it| it.id.to_string()),
            aws_scope: machine.aws.as_ref().map(scope),
            azure_id: machine.azure.as_ref().map(|it| self.vm_resource_id(it)),
            address: machine.address(),
            power: machine.power,
            agent,
            answers,
            behavior: machine.behavior,
            operating_system: system.os.to_string(),
            installed: ids(&machine.patches.installed),
            pending_reboot: ids(&machine.patches.pending),
            absent: ids(&absent),
            booted: machine.booted,
            busy: machine.job.is_some(),
        }
    }

    /// Changes a machine.
    ///
    /// # Errors
    /// `InvalidInput` where a machine of Azure is to be terminated, or one that was terminated is to have
    /// another power; nothing is changed then.
    pub(crate) fn change(&mut self, at: MachineIx, change: &NodeChange) -> Result<()> {
        let NodeChange { agent, behavior, power } = change;
        let refuse = |what: &'static str| Err(Error::invalid(PROVIDER, "change_node", what));
        if *power == Some(Power::Terminated) && self.machine(at).azure.is_some() {
            return refuse(
                "a machine of Azure cannot be terminated; it can be stopped or deallocated",
            );
        }
        let gone = self.machine(at).power == Power::Terminated;
        if gone && power.is_some_and(|it| it != Power::Terminated) {
            return refuse("a machine that was terminated gets no other power");
        }
        self.version += 1;
        if let Some(behavior) = behavior {
            self.machine_mut(at).behavior = *behavior;
        }
        if let Some(agent) = agent {
            self.set_agent(at, *agent);
        }
        if let Some(power) = power.filter(|_| !gone) {
            self.force_power(at, power);
        }
        Ok(())
    }
}
