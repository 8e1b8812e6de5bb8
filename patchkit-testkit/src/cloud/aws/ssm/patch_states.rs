//! What patch operations left on nodes: counts by node and by patch group, and the patches
//! themselves.

#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        AwsError, Call, Operations, input,
        page::{Page, answer},
        seconds,
    },
    filter::Test,
};
use crate::cloud::world::{
    State,
    judge::PatchScan,
    machine::{AwsSide, MachineIx},
};
use patchkit_core::{OperationKind, PatchState};

pub(super) const OPERATIONS: Operations = &[
    ("DescribeInstancePatchStates", states),
    ("DescribeInstancePatchStatesForPatchGroup", states_for_patch_group),
    ("DescribeInstancePatches", patches),
];

fn states(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, 50)?;
    let state = &*call.state;
    let ids = value["InstanceIds"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut seen = Vec::new();
    // A node that was never scanned has no row, and neither has one that is not the caller's: the
    // operation declares no error for ids (botocore ssm model).
    let rows = ids.filter_map(|id| {
        let at = state.find(call.scope, id).filter(|at| !seen.contains(at))?;
        seen.push(at);
        let (aws, scan) = scanned(state, at)?;
        Some(row(state, at, aws, scan))
    });
    let (rows, next) = page.cut(rows);
    Ok(answer("InstancePatchStates", rows, next))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ForPatchGroup {
    patch_group: String,
    #[serde(default)]
    filters: Vec<CountFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CountFilter {
    key: String,
    values: Vec<String>,
    r#type: String,
}

/// What the filters of a group's states know (botocore ssm model, `InstancePatchStateFilter`).
const COUNTS: [&str; 8] = [
    "InstalledCount",
    "InstalledOtherCount",
    "InstalledPendingRebootCount",
    "InstalledRejectedCount",
    "MissingCount",
    "FailedCount",
    "UnreportedNotApplicableCount",
    "NotApplicableCount",
];

fn states_for_patch_group(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, 50)?;
    let ForPatchGroup { patch_group, filters } = input(value)?;
    for filter in &filters {
        let number = filter.values.iter().all(|it| it.parse::<u32>().is_ok());
        if !COUNTS.contains(&filter.key.as_str()) || !number {
            let message = format!("{} is not a count that is compared with a number.", filter.key);
            return Err(AwsError::new("InvalidFilter", message));
        }
    }
    let state = &*call.state;
    // The group is the one of the last operation: a tag that was changed since shows later.
    let of_group = call.here().machines.iter().filter_map(|at| {
        let (aws, scan) = scanned(state, *at)?;
        (scan.group.as_deref() == Some(&*patch_group)).then_some((*at, aws, scan))
    });
    let passing = of_group.filter(|(_, _, scan)| {
        filters.iter().all(|filter| {
            let count = count(scan, &filter.key).to_string();
            Test::read(Some(&filter.r#type)).lets(&count, &filter.values)
        })
    });
    let (found, next) = page.cut(passing);
    let rows = found.into_iter().map(|(at, aws, scan)| row(state, at, aws, scan));
    Ok(answer("InstancePatchStates", rows.collect(), next))
}

fn scanned(state: &State, at: MachineIx) -> Option<(&AwsSide, &PatchScan)> {
    let aws = state.machine(at).aws.as_ref()?;
    Some((aws, aws.scan.as_deref()?))
}

fn count(scan: &PatchScan, name: &str) -> u32 {
    let counts = &scan.verdict.counts;
    match name {
        "InstalledCount" => counts.installed,
        "InstalledOtherCount" => counts.installed_other,
        "InstalledPendingRebootCount" => counts.installed_pending_reboot,
        "InstalledRejectedCount" => counts.installed_rejected,
        "MissingCount" => counts.missing,
        "FailedCount" => counts.failed,
        "NotApplicableCount" => counts.not_applicable,
        // Everything that was found is listed.
        _ => 0,
    }
}

fn row(state: &State, at: MachineIx, aws: &AwsSide, scan: &PatchScan) -> Value {
    let counts = &scan.verdict.counts;
    let windows = state.system_of(at).is_windows();
    let mut row = json!({
        "InstanceId": aws.id,
        // Empty for a node without a group, although the model asks for a letter at least.
        "PatchGroup": scan.group.as_deref().unwrap_or_default(),
        "BaselineId": scan.baseline_id(),
        "SnapshotId": &*scan.snapshot,
        "InstallOverrideList": scan.install_override.as_deref(),
        "CriticalNonCompliantCount": counts.critical_non_compliant,
        "SecurityNonCompliantCount": counts.security_non_compliant,
        "OtherNonCompliantCount": counts.other_non_compliant,
        "AvailableSecurityUpdateCount": windows.then_some(counts.available_security_update),
        "OperationStartTime": seconds(scan.started),
        "OperationEndTime": seconds(scan.ended),
        "Operation": match scan.operation {
            OperationKind::Scan => "Scan",
            OperationKind::Install => "Install",
        },
        "LastNoRebootInstallOperationTime": scan.last_no_reboot_install.map(seconds),
        "RebootOption": scan.reboot_option,
    });
    for name in COUNTS {
        row[name] = json!(count(scan, name));
    }
    row
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Patches {
    instance_id: String,
    #[serde(default)]
    filters: Vec<PatchFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PatchFilter {
    key: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

enum By {
    Classification,
    Id,
    Severity,
    State,
}

fn patches(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    // The model allows 100, the service does not (flanksource/config-db pull request 35 shows its
    // words).
    if let Some(size) = value["MaxResults"].as_u64().filter(|size| *size > 50) {
        return Err(AwsError::validation(format!(
            "1 validation error detected: Value '{size}' at 'maxResults' failed to satisfy \
             constraint: Member must have value less than or equal to 50"
        )));
    }
    let page = Page::of(call, &value, 50)?;
    let Patches { instance_id, filters } = input(value)?;
    let filters = filters.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let state = &*call.state;
    let Some(at) = state.managed(call, &instance_id) else {
        let message = format!("Instance {instance_id} is not a managed node of this account.");
        return Err(AwsError::new("InvalidInstanceId", message));
    };
    let passing = state.findings(at).filter(|finding| {
        filters.iter().all(|(by, values)| {
            let actual = match by {
                By::Classification => finding.classification(),
                By::Id => finding.patch.id.as_str(),
                By::Severity => finding.severity(),
                By::State => finding.state,
            };
            values.iter().any(|it| it == actual)
        })
    });
    let (found, next) = page.cut(passing);
    let rows = found.into_iter().map(|finding| {
        json!({
            "Title": finding.title(),
            "KBId": finding.patch.id.as_str(),
            "Classification": finding.classification(),
            "Severity": finding.severity(),
            "State": finding.state,
            // What is not there was installed in 1970 (AWS CLI examples).
            "InstalledTime": finding.installed.map_or(json!(0), seconds),
            "CVEIds": finding.cves(),
        })
    });
    Ok(answer("Patches", rows.collect(), next))
}

fn read(filter: PatchFilter) -> Result<(By, Vec<String>), AwsError> {
    let PatchFilter { key, mut values } = filter;
    let by = match key.as_deref() {
        Some("Classification") => By::Classification,
        Some("KBId") => By::Id,
        Some("Severity") => By::Severity,
        Some("State") => By::State,
        other => {
            let message = format!("{} is not a valid filter key.", other.unwrap_or_default());
            return Err(AwsError::new("InvalidFilter", message));
        }
    };
    if matches!(by, By::State) {
        for value in &mut values {
            // Both spellings are known; parsing cannot fail.
            let state: PatchState = value.parse().unwrap_or_else(|never| match never {});
            if matches!(state, PatchState::Other(_)) {
                let message = format!("{value} is not a state of a patch.");
                return Err(AwsError::new("InvalidFilter", message));
            }
            crate::cloud::world::findings::spelled(&state).clone_into(value);
        }
    }
    Ok((by, values))
}
