//! In which order nodes are patched, how many at once, and when to stop.

mod amount;
mod budget;
mod key;
mod ramp;
#[cfg(test)]
mod tests;
mod wave;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::{
    amount::Amount,
    budget::{Budget, SharedBudget},
    key::NodeKey,
    ramp::Ramp,
    wave::{AssignedWave, Wave, WaveMembers},
};
use crate::{Error, ManagedNode, Result};

/// How many nodes may be out of work at once, from their start to the end of their reboot.
///
/// A node that failed stays counted: it may be out of work still.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct DisruptionBudget(pub Amount);

/// How many failures are borne: the one after that stops the rollout. A node that cannot be put
/// back to the power it had is a failure.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ErrorBudget(pub Amount);

/// The order of a patch run.
///
/// # Behavior
/// - Waves run one after the other; a node is in the first wave that takes it.
/// - Nodes that no wave takes form a last wave of their own.
/// - A node begins when every budget has room for it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(default)]
pub struct Rollout {
    /// The waves, in order.
    pub waves: Vec<Wave>,
    /// How many nodes of a wave may be out of work at once.
    pub disruption: DisruptionBudget,
    /// How many failures the whole run bears.
    pub errors: ErrorBudget,
    /// Further bounds on how many nodes are out of work at once.
    // Left out where there are none, like the ramp: plans have the hashes that they had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// How fast nodes that are off are started; all of a round at once by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramp>,
}

impl Default for Rollout {
    /// One wave of all nodes, a tenth at once, stopping at the first failure.
    fn default() -> Self {
        Self {
            waves: Vec::new(),
            disruption: DisruptionBudget(Amount::Percent(10)),
            errors: ErrorBudget(Amount::Fixed(0)),
            budgets: Vec::new(),
            ramp: None,
        }
    }
}

impl Rollout {
    /// One wave of all nodes, a tenth at once, stopping at the first failure.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a wave.
    #[must_use]
    pub fn with_wave(mut self, wave: Wave) -> Self {
        self.waves.push(wave);
        self
    }

    /// Sets how many nodes of a wave may be out of work at once.
    #[must_use]
    pub fn with_disruption(mut self, budget: Amount) -> Self {
        self.disruption = DisruptionBudget(budget);
        self
    }

    /// Sets how many failures the run bears.
    #[must_use]
    pub fn with_errors(mut self, budget: Amount) -> Self {
        self.errors = ErrorBudget(budget);
        self
    }

    /// Also bounds how many nodes are out of work at once by `budget`.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budgets.push(budget);
        self
    }

    /// Sets how fast nodes that are off are started.
    #[must_use]
    pub fn with_ramp(mut self, ramp: Ramp) -> Self {
        self.ramp = Some(ramp);
        self
    }

    /// What the budgets count a node under, for those that count it under something.
    pub(crate) fn keys(&self, node: &ManagedNode) -> BTreeMap<NodeKey, String> {
        let keys = self.budgets.iter().filter_map(|budget| budget.per.as_ref());
        keys.filter_map(|key| Some((key.clone(), key.of(node)?))).collect()
    }

    /// Refuses what cannot be kept to.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::invalid("core", "plan", what));
        for Budget { at_once, shared, .. } in &self.budgets {
            let Some(SharedBudget { name, .. }) = shared else { continue };
            match at_once {
                Amount::Fixed(slots) if *slots <= SharedBudget::MOST => {}
                Amount::Fixed(slots) => {
                    let most = SharedBudget::MOST;
                    return wrong(format!("shared budget {name:?}: {slots} is more than {most}"));
                }
                // Of whose nodes? Each run knows its own alone.
                Amount::Percent(_) => {
                    return wrong(format!("shared budget {name:?}: {at_once} is no number"));
                }
            }
        }
        match self.ramp {
            Some(Ramp { starts: 0, .. }) => wrong("a ramp of 0 starts never starts".to_owned()),
            _ => Ok(()),
        }
    }
}
