//! The least that a custom role must allow for the features in use.

use std::collections::BTreeSet;

use patchkit_core::AccountId;
use serde_json::{Value, json};

/// What a caller does with this crate, as far as Azure's role-based access control minds.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Feature {
    /// Lists machines and reads their states. Every feature that is about machines needs it.
    ///
    /// Which schedules patch a machine is [`Schedules`](Self::Schedules)'s to see: without that, each says
    /// that they are unknown, and plans refuse it unless
    /// [`OtherPatchers::Allow`](patchkit_core::workflow::OtherPatchers::Allow) says otherwise.
    Nodes,
    /// Reads what is known of machines' patches.
    Compliance,
    /// Assesses and installs, follows that, and finds it again.
    Patch,
    /// Starts, stops and deallocates virtual machines.
    Power,
    /// Sets tags, and takes them back.
    Tags,
    /// Looks at what would keep machines from being patched.
    Preflight,
    /// Changes virtual machines' patch settings, and takes that back. It takes the right to write to a
    /// virtual machine, which is that to change anything of it: Azure has no smaller one.
    PreflightFix,
    /// Reads maintenance configurations and whom they are assigned to: baselines, patch groups, which are
    /// [registered](crate::Baselines::Registered), and by which schedules Azure patches a machine.
    Schedules,
    /// Makes, changes and deletes maintenance configurations, and assigns them. It needs
    /// [`Schedules`](Self::Schedules).
    SchedulesWrite,
    /// Opens subscriptions as an estate.
    Subscriptions,
    /// Tells the addresses of virtual machines in listings; those of Arc machines
    /// [`Nodes`](Self::Nodes) sees.
    Addresses,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Nodes,
        Self::Compliance,
        Self::Patch,
        Self::Power,
        Self::Tags,
        Self::Preflight,
        Self::PreflightFix,
        Self::Schedules,
        Self::SchedulesWrite,
        Self::Subscriptions,
        Self::Addresses,
    ];

    /// The actions that it takes, as "Azure permissions" lists them. Those of Compute's assessments are
    /// a wildcard, because Resource Graph asks for `patchAssessmentResults/read`, which Compute does
    /// not list, so that no role can name it ("Roles and permissions in Azure Update Manager").
    pub fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Nodes => &[
                "Microsoft.Compute/virtualMachineScaleSets/read",
                "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/instanceView/read",
                "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read",
                "Microsoft.Compute/virtualMachines/instanceView/read",
                "Microsoft.Compute/virtualMachines/read",
                "Microsoft.HybridCompute/machines/read",
                "Microsoft.Resources/subscriptions/resourceGroups/read",
            ],
            Self::Compliance => &[
                "Microsoft.Compute/virtualMachines/patchAssessmentResults/*",
                "Microsoft.Compute/virtualMachines/patchInstallationResults/read",
                "Microsoft.Compute/virtualMachines/patchInstallationResults/softwarePatches/read",
                "Microsoft.HybridCompute/machines/patchAssessmentResults/read",
                "Microsoft.HybridCompute/machines/patchAssessmentResults/softwarePatches/read",
                "Microsoft.HybridCompute/machines/patchInstallationResults/read",
                "Microsoft.HybridCompute/machines/patchInstallationResults/softwarePatches/read",
            ],
            Self::Patch => &[
                "Microsoft.Compute/locations/operations/read",
                "Microsoft.Compute/virtualMachines/assessPatches/action",
                "Microsoft.Compute/virtualMachines/installPatches/action",
                "Microsoft.Compute/virtualMachines/patchInstallationResults/read",
                "Microsoft.Compute/virtualMachines/patchInstallationResults/softwarePatches/read",
                "Microsoft.HybridCompute/locations/operationresults/read",
                "Microsoft.HybridCompute/locations/operationstatus/read",
                "Microsoft.HybridCompute/locations/updateCenterOperationResults/read",
                "Microsoft.HybridCompute/machines/assessPatches/action",
                "Microsoft.HybridCompute/machines/installPatches/action",
                // Arc machines do not tell of their acts themselves.
                "Microsoft.HybridCompute/machines/patchAssessmentResults/read",
                "Microsoft.HybridCompute/machines/patchInstallationResults/read",
                "Microsoft.HybridCompute/machines/patchInstallationResults/softwarePatches/read",
            ],
            Self::Power => &[
                "Microsoft.Compute/virtualMachines/deallocate/action",
                "Microsoft.Compute/virtualMachines/powerOff/action",
                "Microsoft.Compute/virtualMachines/start/action",
            ],
            Self::Tags => &["Microsoft.Resources/tags/read", "Microsoft.Resources/tags/write"],
            Self::Preflight => &[
                "Microsoft.Compute/virtualMachines/extensions/read",
                "Microsoft.HybridCompute/machines/extensions/read",
                "Microsoft.Maintenance/configurationAssignments/maintenanceScope/InGuestPatch/read",
                "Microsoft.Maintenance/configurationAssignments/read",
                "Microsoft.Maintenance/maintenanceConfigurations/maintenanceScope/InGuestPatch/read",
                "Microsoft.Maintenance/maintenanceConfigurations/read",
            ],
            Self::PreflightFix => &["Microsoft.Compute/virtualMachines/write"],
            Self::Schedules => &[
                "Microsoft.Maintenance/configurationAssignments/maintenanceScope/InGuestPatch/read",
                "Microsoft.Maintenance/configurationAssignments/read",
                "Microsoft.Maintenance/maintenanceConfigurations/maintenanceScope/InGuestPatch/read",
                "Microsoft.Maintenance/maintenanceConfigurations/read",
            ],
            Self::SchedulesWrite => &[
                "Microsoft.Maintenance/configurationAssignments/delete",
                "Microsoft.Maintenance/configurationAssignments/maintenanceScope/InGuestPatch/delete",
                "Microsoft.Maintenance/configurationAssignments/maintenanceScope/InGuestPatch/write",
                "Microsoft.Maintenance/configurationAssignments/write",
                "Microsoft.Maintenance/maintenanceConfigurations/delete",
                "Microsoft.Maintenance/maintenanceConfigurations/maintenanceScope/InGuestPatch/delete",
                "Microsoft.Maintenance/maintenanceConfigurations/maintenanceScope/InGuestPatch/write",
                "Microsoft.Maintenance/maintenanceConfigurations/write",
            ],
            Self::Subscriptions => &["Microsoft.Resources/subscriptions/read"],
            Self::Addresses => &["Microsoft.Network/networkInterfaces/read"],
        }
    }
}

/// The custom role that allows some features, and no more, as `az role definition create` and
/// PowerShell's `New-AzRoleDefinition` take it.
///
/// # Behavior
/// - It can be assigned in the subscriptions named, and below them. A role needs one at least.
/// - The caller may give it another name: no two roles of a tenant share one.
///
/// # Example
/// ```
/// use patchkit_azure::{Feature, role};
///
/// let subscription = "5b1c0ffe-0000-4000-8000-000000000001".parse()?;
/// let definition = role([Feature::Tags], [subscription]);
/// assert_eq!(definition["Actions"][1], "Microsoft.Resources/tags/write");
/// # Ok::<(), patchkit_core::Error>(())
/// ```
pub fn role(
    features: impl IntoIterator<Item = Feature>,
    subscriptions: impl IntoIterator<Item = AccountId>,
) -> Value {
    let features: BTreeSet<Feature> = features.into_iter().collect();
    let actions: BTreeSet<&str> =
        features.iter().flat_map(|it| it.actions().iter().copied()).collect();
    let names: Vec<String> = features.iter().map(|it| format!("{it:?}")).collect();
    let scopes: BTreeSet<String> =
        subscriptions.into_iter().map(|id| format!("/subscriptions/{id}")).collect();
    json!({
        "Name": "PatchKit",
        "IsCustom": true,
        "Description": format!("What PatchKit needs for {}.", names.join(", ")),
        "Actions": actions,
        "NotActions": [],
        "DataActions": [],
        "NotDataActions": [],
        "AssignableScopes": scopes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_sorted_and_come_once() {
        for feature in Feature::ALL {
            let sorted: BTreeSet<_> = feature.actions().iter().copied().collect();
            assert!(sorted.iter().eq(feature.actions()), "{feature:?}");
        }
        let both = role([Feature::Schedules, Feature::Preflight, Feature::Schedules], []);
        let actions = both["Actions"].as_array().unwrap();
        let read = |it: &&Value| **it == "Microsoft.Maintenance/configurationAssignments/read";
        assert_eq!(actions.iter().filter(read).count(), 1);
    }
}
