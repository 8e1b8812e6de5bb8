//! Bounds on how many nodes are out of work at once, beside that of a wave.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Amount, NodeKey};

/// A bound on how many nodes are out of work at once, in the whole run or in each of its groups.
///
/// # Behavior
/// - A node counts from its start to the end of its reboot and of the scan after it. One that failed
///   stays counted, over all waves: it may be out of work still.
/// - A share is one of the run's nodes, or of those of the group, rounded up.
/// - Nodes that a key groups under nothing are a group of their own.
/// - Where failed nodes fill a group's budget, the group's other nodes are skipped, and those of
///   other groups go on. Where they fill one of the whole run, the run begins nothing more.
/// - A [shared](SharedBudget) one is kept by all runs of a journal together.
///
/// ```
/// use patchkit_core::{Amount, Budget, NodeKey, Rollout};
///
/// let rollout = Rollout::new()
///     .with_budget(Budget::whole(Amount::Percent(5)))
///     .with_budget(Budget::per(NodeKey::Zone, Amount::Fixed(2)))
///     .with_budget(Budget::per(NodeKey::Tag("App".to_owned()), Amount::Percent(25)))
///     .with_budget(Budget::whole(Amount::Fixed(20)).with_shared("night"));
/// # assert_eq!(rollout.budgets.len(), 4);
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Budget {
    /// What is counted apart; all nodes of the run together where it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<NodeKey>,
    /// How many at once.
    pub at_once: Amount,
    /// Whether other runs count too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedBudget>,
}

/// A budget that all runs of one journal keep together, on whatever machine and over whatever
/// provider.
///
/// It has as many slots in the journal as its number says, and a run holds one for each of its nodes
/// that is out of work.
///
/// # Behavior
/// - Runs that name a budget should give it the same number: each keeps to its own.
/// - A run that finds no slot free waits for one, for its patience at most; then it begins nothing
///   more. Runs whose failed nodes hold all slots do not wait for each other for ever.
/// - The slots of a run that died stay taken until it is resumed, recovered or abandoned: what its
///   nodes do is not known.
/// - A run that is over gives its slots back, but for those of nodes on which an install may be going
///   on: these stay taken until the run is recovered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SharedBudget {
    /// Its name in the journal.
    pub name: String,
    /// How long a run waits for a slot.
    pub patience: Duration,
}

impl SharedBudget {
    /// The most slots that a budget may have: each is a claim in the journal.
    pub(super) const MOST: u32 = 10_000;

    /// How long a run waits for a slot, where nobody says it.
    const PATIENCE: Duration = Duration::from_hours(1);
}

impl Budget {
    /// At most so many of the run's nodes.
    pub fn whole(at_once: Amount) -> Self {
        Self { per: None, at_once, shared: None }
    }

    /// At most so many nodes in each group that `key` makes.
    pub fn per(key: NodeKey, at_once: Amount) -> Self {
        Self { per: Some(key), at_once, shared: None }
    }

    /// Has all runs of the journal that name it so keep the budget together. It is a number then: a
    /// plan refuses a share.
    #[must_use]
    pub fn with_shared(mut self, name: impl Into<String>) -> Self {
        let patience = SharedBudget::PATIENCE;
        self.shared = Some(SharedBudget { name: name.into(), patience });
        self
    }

    /// Sets how long a run waits for a slot of a shared budget.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        if let Some(shared) = &mut self.shared {
            shared.patience = patience;
        }
        self
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.per {
            Some(key) => write!(f, "{} in each {key}", self.at_once)?,
            None => write!(f, "{} of the run", self.at_once)?,
        }
        f.write_str(" out of work at once")?;
        match &self.shared {
            Some(shared) => write!(f, ", shared as {:?}", shared.name),
            None => Ok(()),
        }
    }
}
