//! What differs between machines, and between their assessments, in the properties that Resource Graph
//! shows of them. All else is in the forms that they share.

use super::template::Own;

/// Of virtual machines.
pub(super) const VM: [Own; 25] = [
    &["vmId"],
    &["timeCreated"],
    &["provisioningState"],
    &["hardwareProfile", "vmSize"],
    &["virtualMachineScaleSet", "id"],
    &["extended", "instanceView", "computerName"],
    &["extended", "instanceView", "osName"],
    &["extended", "instanceView", "osVersion"],
    &["extended", "instanceView", "powerState", "code"],
    &["extended", "instanceView", "powerState", "displayStatus"],
    &["osProfile", "computerName"],
    &["osProfile", "windowsConfiguration", "enableAutomaticUpdates"],
    &["osProfile", "windowsConfiguration", "patchSettings", "patchMode"],
    &["osProfile", "windowsConfiguration", "patchSettings", "assessmentMode"],
    &["osProfile", "windowsConfiguration", "patchSettings", BY_PLATFORM, BYPASS],
    &["osProfile", "windowsConfiguration", "patchSettings", BY_PLATFORM, "rebootSetting"],
    &["osProfile", "linuxConfiguration", "patchSettings", "patchMode"],
    &["osProfile", "linuxConfiguration", "patchSettings", "assessmentMode"],
    &["osProfile", "linuxConfiguration", "patchSettings", BY_PLATFORM, BYPASS],
    &["osProfile", "linuxConfiguration", "patchSettings", BY_PLATFORM, "rebootSetting"],
    &["storageProfile", "imageReference", "publisher"],
    &["storageProfile", "imageReference", "offer"],
    &["storageProfile", "imageReference", "sku"],
    &["storageProfile", "osDisk", "osType"],
    &["storageProfile", "osDisk", "diskSizeGB"],
];

/// What is named after its machine.
pub(super) const NAMED: [Own; 3] = [
    &["networkProfile", "networkInterfaces", "", "id"],
    &["storageProfile", "osDisk", "managedDisk", "id"],
    &["storageProfile", "osDisk", "name"],
];

const BY_PLATFORM: &str = "automaticByPlatformSettings";
const BYPASS: &str = "bypassPlatformSafetyChecksOnUserSchedule";

/// Of machines of Arc.
pub(super) const ARC: [Own; 17] = [
    &["status"],
    &["lastStatusChange"],
    &["agentVersion"],
    &["vmId"],
    &["vmUuid"],
    &["displayName"],
    &["machineFqdn"],
    &["osType"],
    &["osName"],
    &["osSku"],
    &["osVersion"],
    &["osProfile", "computerName"],
    &["osProfile", "windowsConfiguration", "patchSettings", "assessmentMode"],
    &["osProfile", "windowsConfiguration", "patchSettings", "patchMode"],
    &["osProfile", "linuxConfiguration", "patchSettings", "assessmentMode"],
    &["osProfile", "linuxConfiguration", "patchSettings", "patchMode"],
    &["networkProfile", "networkInterfaces", "", "ipAddresses", "", "address"],
];

/// Of assessments.
pub(super) const ASSESSMENT: [Own; 13] = [
    &["assessmentActivityId"],
    &["startDateTime"],
    &["lastModifiedDateTime"],
    &["startedBy"],
    &[COUNTS, "critical"],
    &[COUNTS, "definition"],
    &[COUNTS, "featurePack"],
    &[COUNTS, "other"],
    &[COUNTS, "security"],
    &[COUNTS, "servicePack"],
    &[COUNTS, "tools"],
    &[COUNTS, "updateRollup"],
    &[COUNTS, "updates"],
];

const COUNTS: &str = "availablePatchCountByClassification";
