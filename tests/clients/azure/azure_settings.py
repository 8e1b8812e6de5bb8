"""The patch settings of a machine, as updates of the compute client."""

from __future__ import annotations

from azure.mgmt.compute.models import (
    LinuxConfiguration,
    LinuxPatchSettings,
    LinuxVMGuestPatchAutomaticByPlatformSettings,
    OSProfile,
    PatchSettings,
    VirtualMachineProperties,
    VirtualMachineUpdate,
    WindowsConfiguration,
    WindowsVMGuestPatchAutomaticByPlatformSettings,
)

from azure_sim import Vm


def update(**os_profile) -> VirtualMachineUpdate:
    """Returns an update of the operating system's settings."""
    return VirtualMachineUpdate(
        properties=VirtualMachineProperties(os_profile=OSProfile(**os_profile))
    )


def customer_managed(vm: Vm) -> VirtualMachineUpdate:
    """Returns the settings that the portal calls Customer Managed Schedules."""
    if vm.os == "Windows":
        by_platform = WindowsVMGuestPatchAutomaticByPlatformSettings(
            bypass_platform_safety_checks_on_user_schedule=True, reboot_setting="IfRequired"
        )
        settings = PatchSettings(
            patch_mode="AutomaticByPlatform",
            assessment_mode="AutomaticByPlatform",
            automatic_by_platform_settings=by_platform,
        )
        return update(windows_configuration=WindowsConfiguration(patch_settings=settings))
    linux_by_platform = LinuxVMGuestPatchAutomaticByPlatformSettings(
        bypass_platform_safety_checks_on_user_schedule=True, reboot_setting="IfRequired"
    )
    linux_settings = LinuxPatchSettings(
        patch_mode="AutomaticByPlatform",
        assessment_mode="AutomaticByPlatform",
        automatic_by_platform_settings=linux_by_platform,
    )
    return update(linux_configuration=LinuxConfiguration(patch_settings=linux_settings))
