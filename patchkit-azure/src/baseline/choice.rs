//! Which baselines decide what a machine lacks, and what an install brings to it.

use std::sync::Arc;

use patchkit_core::{CompiledBaseline, ManagedNode, PatchBaseline, Result};

use crate::{
    UpdateManager,
    group::{Kept, Registrations},
    maintenance::Part,
};

/// Which baselines decide what a machine lacks, and what an install brings to it.
///
/// Azure has no baselines that it keeps to: one is evaluated by PatchKit against what the last
/// assessment found, and an install names the patches.
///
/// # Example
/// ```
/// use patchkit_azure::Baselines;
/// use patchkit_core::{ApprovalRule, AutoApproval, OperatingSystem, PatchBaseline};
///
/// let week = ApprovalRule::new(AutoApproval::AfterDays(7));
/// let windows = PatchBaseline::new("web", OperatingSystem::Windows).with_rule(week);
/// let baselines = Baselines::These(vec![windows]);
/// # assert_ne!(baselines, Baselines::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Baselines {
    /// None: what is critical or for security is missing, and an install brings what
    /// [`InstallOptions`](crate::InstallOptions) say.
    #[default]
    Azure,
    /// These, each on the machines of its operating system; one for the operating system `Linux` on
    /// every Linux without one of its own. Of two for the same system the first counts. A machine
    /// without one is `Unknown`, and not patched.
    These(Vec<PatchBaseline>),
    /// The one that is registered for the machine's patch group and operating system, else the default
    /// baseline, as [`baseline_for`](patchkit_core::PatchGroup::baseline_for) answers.
    ///
    /// What is registered is read with two lists of each subscription, and believed for five minutes.
    /// Where two subscriptions have registered different ones, a machine has its own subscription's.
    /// What cannot be read decides nothing: a machine that it may be about is an error, and so is one
    /// whose tags name two groups.
    Registered,
}

/// A choice, with what was read for it.
#[derive(Clone, Debug, Default)]
pub(crate) enum Choice {
    #[default]
    Azure,
    These(Arc<[Arc<CompiledBaseline>]>),
    Registered(Kept),
}

impl From<&Baselines> for Choice {
    fn from(baselines: &Baselines) -> Self {
        match baselines {
            Baselines::Azure => Self::Azure,
            Baselines::These(all) => Self::These(
                all.iter().map(|baseline| Arc::new(CompiledBaseline::new(baseline))).collect(),
            ),
            Baselines::Registered => Self::Registered(Kept::default()),
        }
    }
}

/// The baselines that decide at a moment.
#[derive(Clone, Debug)]
pub(crate) enum Deciding {
    These(Arc<[Arc<CompiledBaseline>]>),
    Registered(Arc<Registrations>),
}

impl Deciding {
    /// The baseline of a machine; none where nobody has one for its operating system.
    ///
    /// # Errors
    /// What kept from being read whatever may be registered for the machine.
    pub(crate) fn on(&self, node: &ManagedNode) -> Result<Option<Arc<CompiledBaseline>>> {
        match self {
            Self::These(all) => Ok(of_system(all.iter(), node)),
            Self::Registered(registered) => registered.on(node),
        }
    }
}

/// The first baseline for a machine's operating system, else for all that Azure takes for the same.
pub(crate) fn of_system<'b>(
    all: impl Iterator<Item = &'b Arc<CompiledBaseline>>,
    node: &ManagedNode,
) -> Option<Arc<CompiledBaseline>> {
    let all: Vec<_> = all.collect();
    let part = Part::of(&node.operating_system)?;
    [node.operating_system.clone(), part.system()].iter().find_map(|os| {
        all.iter()
            .find(|baseline| baseline.baseline().operating_system == *os)
            .map(|it| Arc::clone(it))
    })
}

impl UpdateManager {
    /// The same subscriptions with other baselines that decide.
    #[must_use]
    pub fn with_baselines(&self, baselines: &Baselines) -> Self {
        let mut other = self.clone();
        other.choice = Choice::from(baselines);
        other
    }

    /// The baselines that decide now; none where Azure does.
    ///
    /// # Errors
    /// Those of the lists that are about the whole of them.
    pub(crate) async fn deciding(&self) -> Result<Option<Deciding>> {
        Ok(match &self.choice {
            Choice::Azure => None,
            Choice::These(all) => Some(Deciding::These(Arc::clone(all))),
            Choice::Registered(kept) => Some(Deciding::Registered(self.registered(kept).await?)),
        })
    }
}
