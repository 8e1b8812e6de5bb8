//! What the platform says of patches: results, summaries, counts.

use fixedbitset::FixedBitSet;
use jiff::Timestamp;
use patchkit_core::{Package, Patch};
use serde_json::{Map, Value, json};

use super::{
    patch_choice::Class,
    reply::{stamp, stamp_z},
    vm,
};
use crate::{
    cloud::world::{
        State,
        catalogue::System,
        machine::{Assessment, Attempt, AzureSide, Failure, Installation, MachineIx},
        uuid,
    },
    rng::mix,
};

/// A package's version as the platform writes it: without its epoch.
pub(super) fn version(package: &Package) -> String {
    format!("{}-{}", package.version, package.release)
}

/// What identifies a patch in every answer.
pub(super) struct Named {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) kb: Option<String>,
    pub(super) class: &'static str,
}

impl Named {
    pub(super) fn of(patch: &Patch, system: &System) -> Self {
        let class = Class::of(patch, system).shown(system);
        if let Some(package) = &patch.package {
            let version = version(package);
            let os = system.name.replace(' ', "_");
            let id = format!("{}_{version}_{os}_{}", package.name, system.version);
            return Self {
                id,
                name: package.name.clone(),
                version: Some(version),
                kb: None,
                class,
            };
        }
        let kb = patch.id.as_str();
        let bits = kb.bytes().fold(0, |sum, byte| mix(sum ^ u64::from(byte)));
        Self {
            id: uuid(bits, mix(bits)),
            name: patch.title.clone().unwrap_or_else(|| kb.to_owned()),
            version: None,
            kb: Some(kb.trim_start_matches("KB").to_owned()),
            class,
        }
    }

    fn row(self) -> Value {
        let mut row = json!({
            "patchId": self.id,
            "name": self.name,
            // Windows has none, and says so with an empty text.
            "version": self.version.unwrap_or_default(),
            "classifications": [self.class],
        });
        if let Some(kb) = self.kb {
            row["kbId"] = json!(kb);
        }
        row
    }
}

/// The error object of a result, which a success has too (azure-cli, test_vm_install_patches).
pub(super) fn errors(failed: &[Failure]) -> Value {
    let details: Vec<_> =
        failed.iter().take(5).map(|it| json!({"code": it.code, "message": it.message})).collect();
    let code = if failed.is_empty() { "0" } else { "1" };
    json!({
        "details": details,
        "code": code,
        "message": format!("{} error/s reported.", failed.len()),
    })
}

/// The state of a patch that is not there, where no one named another.
pub(super) const AVAILABLE: &str = "Available";

/// The state of a patch that is not there.
pub(super) fn assessment_state(state: &State, at: MachineIx, place: usize) -> &str {
    state.machine(at).patches.strange(place).unwrap_or(AVAILABLE)
}

/// The available patches that are counted: no count is of a state that no model knows.
fn counted<'s>(
    state: &'s State,
    at: MachineIx,
    available: &'s FixedBitSet,
) -> impl Iterator<Item = &'s Patch> {
    let (system, patches) = (state.system_of(at), &state.machine(at).patches);
    let known = available.ones().filter(|it| patches.strange(*it).is_none());
    known.filter_map(|place| system.patches.get(place))
}

/// Of the available patches, how many are urgent and how many are not.
fn split(state: &State, at: MachineIx, available: &FixedBitSet) -> [usize; 2] {
    let system = state.system_of(at);
    counted(state, at, available).fold([0, 0], |[urgent, other], patch| {
        if Class::of(patch, system).is_urgent() { [urgent + 1, other] } else { [urgent, other + 1] }
    })
}

/// Whether a patch reboots the machine.
pub(super) fn reboot_behavior(place: usize) -> &'static str {
    if State::needs_boot(place) { "AlwaysRequiresReboot" } else { "NeverReboots" }
}

/// The result of an assessment of a VM.
pub(super) fn assessment(state: &State, at: MachineIx, it: &Assessment) -> Value {
    let system = state.system_of(at);
    let [urgent, other] = split(state, at, &it.available);
    let patches = it.available.ones().filter_map(|place| {
        let patch = system.patches.get(place)?;
        let mut row = Named::of(patch, system).row();
        row["rebootBehavior"] = json!(reboot_behavior(place));
        row["activityId"] = json!(it.activity);
        // Package managers do not tell it.
        if system.is_windows() {
            row["publishedDate"] = patch.released_at.map_or(Value::Null, |at| json!(stamp(at)));
        }
        row["lastModifiedDateTime"] = json!(stamp(it.ended));
        row["assessmentState"] = json!(assessment_state(state, at, place));
        Some(row)
    });
    json!({
        "status": "Succeeded",
        "assessmentActivityId": it.activity,
        "rebootPending": it.reboot_pending,
        "criticalAndSecurityPatchCount": urgent,
        "otherPatchCount": other,
        "startDateTime": stamp(it.started),
        "availablePatches": patches.collect::<Vec<_>>(),
        "error": errors(&[]),
    })
}

/// How many patches of each class are available, by the name of the count. None for a class that
/// the system's answers do not have.
pub(super) fn count(
    state: &State,
    at: MachineIx,
    available: &FixedBitSet,
) -> impl Iterator<Item = (&'static str, Option<usize>)> {
    let system = state.system_of(at);
    let mut found: Vec<(Class, usize)> = Vec::new();
    for class in counted(state, at, available).map(|it| Class::of(it, system)) {
        match found.iter_mut().find(|(known, _)| *known == class) {
            Some((_, count)) => *count += 1,
            None => found.push((class, 1)),
        }
    }
    Class::every().map(move |(class, _, _, key)| {
        let count = found.iter().find(|(known, _)| known == class).map_or(0, |(_, it)| *it);
        // The published example of Windows has no `other`.
        (*key, (*class != Class::Other || !system.is_windows()).then_some(count))
    })
}

/// The counts of an assessment by class.
fn counts(state: &State, at: MachineIx, available: &FixedBitSet) -> Value {
    let counts = count(state, at, available);
    let told = counts.filter_map(|(key, count)| Some((key.to_owned(), json!(count?))));
    told.collect::<Map<_, _>>().into()
}

/// Who brings the patches.
pub(super) fn service(state: &State, at: MachineIx, separator: char) -> String {
    use patchkit_core::PackageFamily;
    let system = state.system_of(at);
    match (system.is_windows(), system.os.family()) {
        (true, _) => format!("WU{separator}WSUS"),
        (_, PackageFamily::Apt) => "APT".to_owned(),
        (_, PackageFamily::Zypper) => "Zypper".to_owned(),
        _ => "YUM".to_owned(),
    }
}

/// The result of an assessment of an Arc machine: counts only.
pub(super) fn arc_assessment(state: &State, at: MachineIx, it: &Assessment) -> Value {
    json!({
        "status": "Succeeded",
        "assessmentActivityId": it.activity,
        "rebootPending": it.reboot_pending,
        "startDateTime": stamp_z(it.started),
        "lastModifiedDateTime": stamp_z(it.ended),
        "availablePatchCountByClassification": counts(state, at, &it.available),
        "startedBy": it.started_by,
        "patchServiceUsed": service(state, at, '_'),
        "osType": vm::os_type(state, at),
        "errorDetails": null,
    })
}

/// The states of an installation's patches.
pub(super) const WORDS: [&str; 5] = ["Installed", "Failed", "Pending", "Excluded", "NotSelected"];

/// The patches of an installation in each of these states.
pub(super) fn states(it: &Installation) -> [(&'static str, &FixedBitSet); 5] {
    let places = [&it.installed, &it.failed, &it.pending, &it.excluded, &it.not_selected];
    std::array::from_fn(|state| (WORDS[state], places[state]))
}

/// The counts of an installation.
pub(super) fn installation_counts(it: &Installation) -> Value {
    let mut counts = Map::new();
    for (state, places) in states(it) {
        let first = state[..1].to_lowercase();
        counts.insert(format!("{first}{}PatchCount", &state[1..]), json!(places.count_ones(..)));
    }
    counts.into()
}

/// What failed: the whole, and each patch.
pub(super) fn failures(state: &State, at: MachineIx, it: &Installation) -> Vec<Failure> {
    let system = state.system_of(at);
    let named = it.failed.ones().filter_map(|place| system.patches.get(place));
    let patches = named.map(|patch| Failure {
        code: "PACKAGE_MANAGER_FAILURE".into(),
        message: format!("Failed to install {}.", Named::of(patch, system).name).into(),
    });
    it.failure.clone().into_iter().chain(patches).collect()
}

fn with(mut body: Value, more: Value) -> Value {
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

/// The result of an installation on a VM.
pub(super) fn installation(state: &State, at: MachineIx, it: &Installation) -> Value {
    let system = state.system_of(at);
    let patches = states(it).into_iter().flat_map(|(word, places)| {
        places.ones().filter_map(move |place| {
            let mut row = Named::of(system.patches.get(place)?, system).row();
            row["installationState"] = json!(word);
            Some(row)
        })
    });
    let body = json!({
        "status": it.status,
        "installationActivityId": it.activity,
        "rebootStatus": it.reboot_status,
        "maintenanceWindowExceeded": it.window_exceeded,
        "patches": patches.collect::<Vec<_>>(),
        "startDateTime": stamp(it.started),
        "maintenanceRunId": it.maintenance_run,
        "error": errors(&failures(state, at, it)),
    });
    with(body, installation_counts(it))
}

/// The result of an installation on an Arc machine.
pub(super) fn arc_installation(state: &State, at: MachineIx, it: &Installation) -> Value {
    let failures = failures(state, at, it);
    let body = json!({
        "status": it.status,
        "installationActivityId": it.activity,
        "rebootStatus": it.reboot_status,
        "maintenanceWindowExceeded": it.window_exceeded,
        "startDateTime": stamp_z(it.started),
        "lastModifiedDateTime": stamp_z(it.ended.unwrap_or(it.started)),
        "startedBy": it.started_by,
        "osType": vm::os_type(state, at),
        "errorDetails": if failures.is_empty() { Value::Null } else { errors(&failures) },
    });
    with(body, installation_counts(it))
}

/// An assessment that found nothing yet, or never will: "It remains 'InProgress' until the operation
/// completes" (Compute API, `AvailablePatchSummary`).
fn attempt(it: &Attempt, now: Timestamp) -> Value {
    let failed = it.failed.as_ref();
    json!({
        "status": if failed.is_some() { "Failed" } else { "InProgress" },
        "assessmentActivityId": it.activity,
        "rebootPending": false,
        "criticalAndSecurityPatchCount": 0,
        "otherPatchCount": 0,
        "startTime": stamp(it.started),
        "lastModifiedTime": stamp(failed.map_or(now, |(at, _)| *at)),
        "error": failed.map(|(_, failure)| errors(std::slice::from_ref(failure))),
    })
}

/// What an instance view says of patches; empty where there is nothing to say.
pub(super) fn status(state: &State, at: MachineIx, azure: &AzureSide) -> Value {
    let mut status = json!({});
    if let Some(it) = &azure.attempt {
        status["availablePatchSummary"] = attempt(it, state.now);
    } else if let Some(it) = &azure.assessment {
        let [urgent, other] = split(state, at, &it.available);
        status["availablePatchSummary"] = json!({
            "status": "Succeeded",
            "assessmentActivityId": it.activity,
            "rebootPending": it.reboot_pending,
            "criticalAndSecurityPatchCount": urgent,
            "otherPatchCount": other,
            "startTime": stamp(it.started),
            "lastModifiedTime": stamp(it.ended),
            "error": errors(&[]),
        });
    }
    if let Some(it) = azure.installations.last() {
        let summary = json!({
            "status": it.status,
            "installationActivityId": it.activity,
            "maintenanceWindowExceeded": it.window_exceeded,
            "startTime": stamp(it.started),
            "lastModifiedTime": stamp(it.ended.unwrap_or(state.now)),
            "error": errors(&failures(state, at, it)),
        });
        status["lastPatchInstallationSummary"] = with(summary, installation_counts(it));
    }
    let configured = |name: &str, mode: &str, since: Timestamp| {
        (mode == "AutomaticByPlatform").then(|| {
            json!({
                "code": format!("{name}ConfigurationState/Ready"),
                "level": "Info",
                "displayStatus": format!("Status_{name}ConfigurationState_Ready"),
                "time": stamp(since),
            })
        })
    };
    let since = state.machine(at).booted;
    let configured: Vec<_> = configured("PatchMode", &azure.patching.patch_mode, since)
        .into_iter()
        .chain(configured("AssessmentMode", &azure.patching.assessment_mode, since))
        .collect();
    if !configured.is_empty() {
        status["configurationStatuses"] = json!(configured);
    }
    status
}
