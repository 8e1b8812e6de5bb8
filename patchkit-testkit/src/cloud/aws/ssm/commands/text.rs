//! What patch operations print, and where output is stored.

use std::fmt::Write as _;

use jiff::Timestamp;
use patchkit_core::{OperationKind, PatchCounts};

use super::{At, Command, Invocation, Plugin, State, patch::reboot_option, stamp};
use crate::cloud::world::{
    judge::Judgement,
    machine::MachineIx,
    patching::{JobEnd, Reboot},
    shelf::group_of,
};

/// The report at the end of a patch operation, in the manner of the agent's own.
pub(super) fn report(
    state: &State,
    at: MachineIx,
    (operation, reboot): (OperationKind, Reboot),
    (judgement, snapshot): (&Judgement, &str),
    end: &JobEnd,
) -> String {
    let machine = state.machine(at);
    let (id, group) = match &machine.aws {
        Some(aws) => (&*aws.id, group_of(&aws.tags).map(|it| &**it).unwrap_or_default()),
        None => ("", ""),
    };
    let verdict = judgement.verdict(&state.catalogue, machine.system, &machine.patches, operation);
    let name = match operation {
        OperationKind::Scan => "Scan",
        OperationKind::Install => "Install",
    };
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = head(&mut text, id, state.now);
    let _ = write!(
        text,
        "Patch Summary for {id}\n\n\
         PatchGroup                      : {group}\n\
         BaselineId                      : {}\n\
         SnapshotId                      : {snapshot}\n\
         OwnerInformation                : \n\
         OperationType                   : {name}\n\
         OperationStartTime              : {}\n\
         OperationEndTime                : {}\n",
        judgement.baseline.id,
        stamp(end.started),
        stamp(state.now)
    );
    let _ = counts(&mut text, &verdict.counts);
    let _ = writeln!(text, "RebootOption                    : {}\n", reboot_option(reboot));
    for (place, word) in [(&end.installed, "Installed"), (&end.failed, "Failed")] {
        for patch in
            place.ones().filter_map(|at| state.catalogue.system(machine.system).patches.get(at))
        {
            let title = patch.title.as_deref().unwrap_or_default();
            let _ = writeln!(text, "{word}: {} {title}", patch.id);
        }
    }
    text
}

fn head(text: &mut String, id: &str, now: Timestamp) -> std::fmt::Result {
    let now = stamp(now);
    writeln!(text, "{id} - PatchBaselineOperations Assessment Results - {now}\n")
}

fn counts(text: &mut String, counts: &PatchCounts) -> std::fmt::Result {
    for (name, count) in [
        ("InstalledCount", counts.installed),
        ("InstalledOtherCount", counts.installed_other),
        ("InstalledPendingRebootCount", counts.installed_pending_reboot),
        ("InstalledRejectedCount", counts.installed_rejected),
        ("FailedCount", counts.failed),
        ("MissingCount", counts.missing),
        ("NotApplicableCount", counts.not_applicable),
        ("CriticalNonCompliantCount", counts.critical_non_compliant),
        ("SecurityNonCompliantCount", counts.security_non_compliant),
        ("OtherNonCompliantCount", counts.other_non_compliant),
    ] {
        writeln!(text, "{name:<32}: {count}")?;
    }
    Ok(())
}

/// Writes an invocation's output to the bucket that its command names, and to the lake's folder.
pub(super) fn store(state: &State, at: &At) {
    let Some(command) = state.command_at(at) else { return };
    let Some(bucket) = &command.request.bucket else { return };
    let invocation = &command.invocations[at.n];
    for plugin in &invocation.plugins {
        for (name, text) in [("stdout", &plugin.stdout), ("stderr", &plugin.stderr)] {
            if !text.is_empty() {
                let key = key(command, invocation, plugin, name);
                if let Some(objects) = &state.objects {
                    // An upload that fails does not fail the command: the agent notes it in its own
                    // log.
                    let _ = objects.put(bucket, &key, text.clone().into_bytes());
                }
                if let Some(lake) = &state.lake {
                    state.complaints.tell(&lake.sink.put(bucket, &key, text.clone().into_bytes()));
                }
            }
        }
    }
}

/// `<prefix>/<command>/<node>/<plugin>/<step>/stdout`
pub(super) fn key(
    command: &Command,
    invocation: &Invocation,
    plugin: &Plugin,
    name: &str,
) -> String {
    let prefix = command.request.prefix.as_deref().unwrap_or_default().trim_matches('/');
    let slash = if prefix.is_empty() { "" } else { "/" };
    format!("{prefix}{slash}{}/{}/{}/{name}", command.id, invocation.node, plugin.folder)
}
