//! The actions of Azure's role-based access control that requests need.

/// The action of a resource type by which Resource Graph lets its rows be seen: the type's own read.
///
/// Of assessments that is one that Compute does not list among its actions, so that a role can name
/// it by a wildcard alone: Compute has `patchAssessmentResults/latest/read`, while Update Manager's
/// "Roles and permissions" asks for `patchAssessmentResults/read`.
pub(super) fn of_rows(kind: &str) -> String {
    format!("{kind}/read")
}

/// The actions that an operation needs, as "Azure permissions" lists them for Compute, for hybrid and
/// for management, and as "Roles and permissions in Azure Update Manager" asks for them; none for an
/// operation of which neither says anything.
///
/// What that page asks for beside an action of the same name is needed too: those of the scope
/// `InGuestPatch`, and of Arc's operations the read of their status by each of its names.
pub(super) fn of_operation(operation: &str) -> Option<&'static [&'static str]> {
    Some(match operation {
        // They show what their caller may read, and nothing of the rest.
        "Subscriptions_List" | "Resources" => &[],
        // Whoever asks for a token has none.
        "Token" | "IdentityToken" | "OpenIdConfiguration" | "InstanceDiscovery" | "SigningKeys" => {
            &[]
        }
        "Subscriptions_Get" => &["Microsoft.Resources/subscriptions/read"],
        "Providers_List" => &["Microsoft.Resources/subscriptions/providers/read"],
        "ResourceGroups_List" | "ResourceGroups_Get" => {
            &["Microsoft.Resources/subscriptions/resourceGroups/read"]
        }
        "Tags_GetAtScope" => &["Microsoft.Resources/tags/read"],
        "Tags_CreateOrUpdateAtScope" | "Tags_UpdateAtScope" => &["Microsoft.Resources/tags/write"],
        "Tags_DeleteAtScope" => &["Microsoft.Resources/tags/delete"],
        "VirtualMachines_ListAll"
        | "VirtualMachines_ListByLocation"
        | "VirtualMachines_List"
        | "VirtualMachines_Get" => &["Microsoft.Compute/virtualMachines/read"],
        "VirtualMachines_InstanceView" => &["Microsoft.Compute/virtualMachines/instanceView/read"],
        "VirtualMachines_Update" => &["Microsoft.Compute/virtualMachines/write"],
        "VirtualMachines_Start" => &["Microsoft.Compute/virtualMachines/start/action"],
        "VirtualMachines_Deallocate" => &["Microsoft.Compute/virtualMachines/deallocate/action"],
        "VirtualMachines_PowerOff" => &["Microsoft.Compute/virtualMachines/powerOff/action"],
        "VirtualMachines_Restart" => &["Microsoft.Compute/virtualMachines/restart/action"],
        "VirtualMachines_AssessPatches" => {
            &["Microsoft.Compute/virtualMachines/assessPatches/action"]
        }
        "VirtualMachines_InstallPatches" => {
            &["Microsoft.Compute/virtualMachines/installPatches/action"]
        }
        "Operations_Get" => &["Microsoft.Compute/locations/operations/read"],
        "VirtualMachineScaleSets_ListAll"
        | "VirtualMachineScaleSets_List"
        | "VirtualMachineScaleSets_Get" => &["Microsoft.Compute/virtualMachineScaleSets/read"],
        "VirtualMachineScaleSets_GetInstanceView" => {
            &["Microsoft.Compute/virtualMachineScaleSets/instanceView/read"]
        }
        "VirtualMachineScaleSetVMs_List" | "VirtualMachineScaleSetVMs_Get" => {
            &["Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read"]
        }
        "VirtualMachineScaleSetVMs_GetInstanceView" => {
            &["Microsoft.Compute/virtualMachineScaleSets/virtualMachines/instanceView/read"]
        }
        "VirtualMachineScaleSetVMs_Start" => {
            &["Microsoft.Compute/virtualMachineScaleSets/virtualMachines/start/action"]
        }
        "VirtualMachineScaleSetVMs_Deallocate" => {
            &["Microsoft.Compute/virtualMachineScaleSets/virtualMachines/deallocate/action"]
        }
        "VirtualMachineScaleSetVMs_PowerOff" => {
            &["Microsoft.Compute/virtualMachineScaleSets/virtualMachines/powerOff/action"]
        }
        "VirtualMachineScaleSetVMs_Restart" => {
            &["Microsoft.Compute/virtualMachineScaleSets/virtualMachines/restart/action"]
        }
        "Machines_ListBySubscription" | "Machines_ListByResourceGroup" | "Machines_Get" => {
            &["Microsoft.HybridCompute/machines/read"]
        }
        "Machines_AssessPatches" => &["Microsoft.HybridCompute/machines/assessPatches/action"],
        "Machines_InstallPatches" => &["Microsoft.HybridCompute/machines/installPatches/action"],
        "HybridOperations_Get" => &[
            "Microsoft.HybridCompute/locations/operationresults/read",
            "Microsoft.HybridCompute/locations/operationstatus/read",
            "Microsoft.HybridCompute/locations/updateCenterOperationResults/read",
        ],
        "PublicMaintenanceConfigurations_List" => {
            &["Microsoft.Maintenance/publicMaintenanceConfigurations/read"]
        }
        "MaintenanceConfigurations_List" | "MaintenanceConfigurations_Get" => &[
            "Microsoft.Maintenance/maintenanceConfigurations/maintenanceScope/InGuestPatch/read",
            "Microsoft.Maintenance/maintenanceConfigurations/read",
        ],
        "MaintenanceConfigurations_CreateOrUpdate" | "MaintenanceConfigurations_Update" => &[
            "Microsoft.Maintenance/maintenanceConfigurations/maintenanceScope/InGuestPatch/write",
            "Microsoft.Maintenance/maintenanceConfigurations/write",
        ],
        "MaintenanceConfigurations_Delete" => &[
            "Microsoft.Maintenance/maintenanceConfigurations/delete",
            "Microsoft.Maintenance/maintenanceConfigurations/maintenanceScope/InGuestPatch/delete",
        ],
        "ConfigurationAssignments_List" | "ConfigurationAssignments_Get" => &[
            "Microsoft.Maintenance/configurationAssignments/maintenanceScope/InGuestPatch/read",
            "Microsoft.Maintenance/configurationAssignments/read",
        ],
        "ConfigurationAssignments_CreateOrUpdate" | "ConfigurationAssignments_Update" => &[
            "Microsoft.Maintenance/configurationAssignments/maintenanceScope/InGuestPatch/write",
            "Microsoft.Maintenance/configurationAssignments/write",
        ],
        "ConfigurationAssignments_Delete" => &[
            "Microsoft.Maintenance/configurationAssignments/delete",
            "Microsoft.Maintenance/configurationAssignments/maintenanceScope/InGuestPatch/delete",
        ],
        "ApplyUpdates_List" => &["Microsoft.Maintenance/applyUpdates/read"],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_that_is_routed_has_its_actions() {
        let sources =
            [include_str!("../azure/router.rs"), include_str!("../azure/maintenance.rs")].concat();
        let name = regex::Regex::new(r#""([A-Z][A-Za-z]+_[A-Z][A-Za-z]+)""#).unwrap();
        let names: BTreeSet<&str> =
            name.captures_iter(&sources).map(|it| it.extract::<1>().1[0]).collect();
        assert!(names.len() > 45, "{names:?}");
        let unknown: Vec<_> = names.iter().filter(|it| of_operation(it).is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
