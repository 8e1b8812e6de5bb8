//! Where new maintenance configurations are made.

use patchkit_core::{AccountId, Region, ResourceGroupName};
use serde::{Deserialize, Serialize};

/// The place of the baselines that are made: Azure keeps them as resources of a resource group.
///
/// Who names none writes no baselines and no registrations.
///
/// ```
/// use patchkit_azure::BaselineHome;
///
/// let home = BaselineHome::new(
///     "5b4b650e-28b9-4790-b3ab-ddbd88d727c4".parse()?,
///     "patching".parse()?,
///     "westeurope".parse()?,
/// );
/// assert_eq!(home.resource_group.as_str(), "patching");
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BaselineHome {
    /// The subscription; one of the provider's.
    pub subscription: AccountId,
    /// The resource group, which is there.
    pub resource_group: ResourceGroupName,
    /// The location of the configurations; the machines may be anywhere.
    pub location: Region,
}

impl BaselineHome {
    /// A resource group, and the location of what is made in it.
    pub fn new(
        subscription: AccountId,
        resource_group: ResourceGroupName,
        location: Region,
    ) -> Self {
        Self { subscription, resource_group, location }
    }
}
