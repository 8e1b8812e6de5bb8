"""What the tests of patching share: parameters, whole runs, counts against states."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from itertools import islice
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute.models import (
    LinuxParameters,
    VirtualMachineInstallPatchesParameters,
    VirtualMachineInstallPatchesResult,
    WindowsParameters,
)

from azure_sim import Machines, Vm

ALL_CLASSES = {
    "Linux": ["Critical", "Security", "Other"],
    "Windows": [
        "Critical",
        "Security",
        "UpdateRollUp",
        "FeaturePack",
        "ServicePack",
        "Definition",
        "Tools",
        "Updates",
    ],
}
# Some machines fail, hang or die by nature; this many are tried before a success is missed.
TRIES = 8
# A machine that hangs costs this much simulated time.
MAXIMUM = dt.timedelta(hours=1, minutes=30)
COUNTS = {
    "installed_patch_count": "Installed",
    "failed_patch_count": "Failed",
    "pending_patch_count": "Pending",
    "excluded_patch_count": "Excluded",
    "not_selected_patch_count": "NotSelected",
}


def wanted(
    os: str, *, reboot: str = "IfRequired", classes: list[str] | None = None, **more: Any
) -> VirtualMachineInstallPatchesParameters:
    """Returns the parameters of an installation; all classes unless some are named."""
    classes = ALL_CLASSES[os] if classes is None else classes
    if os == "Windows":
        parameters = {
            "windows_parameters": WindowsParameters(classifications_to_include=classes, **more)
        }
    else:
        parameters = {
            "linux_parameters": LinuxParameters(classifications_to_include=classes, **more)
        }
    return VirtualMachineInstallPatchesParameters(
        maximum_duration=MAXIMUM, reboot_setting=reboot, **parameters
    )


def install(
    vm: Vm, parameters: VirtualMachineInstallPatchesParameters
) -> VirtualMachineInstallPatchesResult:
    """Installs and waits for the result."""
    operations = vm.clients.compute.virtual_machines
    result = operations.begin_install_patches(vm.group, vm.name, parameters).result()
    counts_match(result)
    return result


def installed_well(
    machines: Machines,
    os: str,
    parameters: VirtualMachineInstallPatchesParameters | None = None,
    *,
    at_least: int = 1,
) -> tuple[Vm, VirtualMachineInstallPatchesResult]:
    """Installs on one machine after the other until one takes patches without a failure."""
    ended: list[str] = []
    for vm in islice(machines.vms(os=os), TRIES):
        try:
            result = install(vm, parameters or wanted(os))
        except HttpResponseError as error:
            ended.append(f"{vm.name}: {error.error.code if error.error else error}")
            continue
        if result.status == "Succeeded" and result.installed_patch_count >= at_least:
            return vm, result
        ended.append(f"{vm.name}: {result.status}, {result.installed_patch_count} installed")
    raise AssertionError(f"no {os} machine installed {at_least} patches well: {ended}")


def counts_match(result: VirtualMachineInstallPatchesResult) -> None:
    """Holds the counts of a result against the states of its patches."""
    states = Counter(patch.installation_state for patch in result.patches or [])
    for attribute, state in COUNTS.items():
        assert getattr(result, attribute) == states[state], (attribute, states)


def has_no_error(result: Any) -> bool:
    """Tells whether the result's error is none: absent, null, or the code `0` of a success."""
    return result.error is None or result.error.code == "0"
