//! Patch groups: which baseline is theirs, and how their nodes stand.

use std::sync::Arc;

use patchkit_core::NodeVerdict;
use serde_json::{Value, json};

use super::{
    super::{AwsError, Call, Operations, page::Page},
    baselines::{check_id, identity, named, os_of, unknown},
    filter::Filters,
};
use crate::cloud::world::{machine::MachineIx, shelf::group_of};

pub(super) const OPERATIONS: Operations = &[
    ("DeregisterPatchBaselineForPatchGroup", deregister),
    ("DescribePatchGroupState", describe_state),
    ("DescribePatchGroups", describe),
    ("GetPatchBaselineForPatchGroup", get_baseline),
    ("RegisterPatchBaselineForPatchGroup", register),
];

/// "Patch groups per patch baseline: 25" (General Reference, Systems Manager quotas).
const MOST: usize = 25;

fn register(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let group = group(&input);
    let shelf = &call.here().shelf;
    let found = named(shelf, &input)?;
    let os = found.baseline.operating_system.as_str();
    let (id, key) = (Arc::clone(&found.id), (Arc::from(group), Box::from(os)));
    match shelf.registrations.get(&key) {
        Some(registered) if *registered == id => {}
        Some(_) => {
            return Err(AwsError::new(
                "AlreadyExistsException",
                format!(
                    "Patch Group {group} already has a baseline registered for \
                     OperatingSystem {os}."
                ),
            ));
        }
        None => {
            let groups = shelf.registrations.values().filter(|registered| **registered == id);
            if groups.count() >= MOST {
                return Err(AwsError::new(
                    "ResourceLimitExceededException",
                    format!("{id} is registered for {MOST} patch groups, its limit."),
                ));
            }
            call.here_mut().shelf.registrations.insert(key, Arc::clone(&id));
        }
    }
    Ok(json!({"BaselineId": &*id, "PatchGroup": group}))
}

/// Taking away what is not registered is no error: the model knows none for it.
fn deregister(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let group = group(&input);
    let given = input["BaselineId"].as_str().unwrap_or_default();
    check_id(given)?;
    let shelf = &mut call.here_mut().shelf;
    if let Some(id) = shelf.get(given).map(|it| Arc::clone(&it.id)) {
        shelf.registrations.retain(|(of, _), registered| **of != *group || *registered != id);
    }
    Ok(json!({"BaselineId": given, "PatchGroup": group}))
}

fn get_baseline(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (group, os) = (group(&input), os_of(&input)?);
    let shelf = &call.here().shelf;
    let registered = shelf.of_group(group, &os).or_else(|| shelf.default_of(&os));
    let found = registered.ok_or_else(unknown)?;
    Ok(json!({"BaselineId": &*found.id, "PatchGroup": group, "OperatingSystem": os.as_str()}))
}

fn describe(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let filters = Filters::read(&input, &["NAME_PREFIX", "OPERATING_SYSTEM"])?;
    let page = Page::of(call, &input, 50)?;
    let shelf = &call.here().shelf;
    let wanted = shelf.registrations.iter().filter(|((group, os), _)| {
        filters.pass(|key, value| match key {
            "NAME_PREFIX" => group.starts_with(value),
            _ => **os == *value,
        })
    });
    let mappings = wanted.filter_map(|((group, _), id)| {
        let baseline = shelf.get(id)?;
        Some(json!({"PatchGroup": &**group, "BaselineIdentity": identity(shelf, baseline)}))
    });
    let (mappings, next) = page.cut(mappings);
    Ok(json!({"Mappings": mappings, "NextToken": next}))
}

/// Counts nodes as they were last scanned. One without a scan is of the group, and in no count.
fn describe_state(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let group = group(&input);
    let mut instances = 0_u32;
    let mut counts = [0_u32; COUNTS.len()];
    for at in &call.here().machines {
        let Some((of, verdict)) = last(call, *at) else { continue };
        if *of != *group {
            continue;
        }
        instances += 1;
        let Some(verdict) = verdict else { continue };
        for (count, (_, has)) in counts.iter_mut().zip(COUNTS) {
            *count += u32::from(has(verdict));
        }
    }
    let mut answer = json!({"Instances": instances});
    for ((name, _), count) in COUNTS.iter().zip(counts) {
        answer[*name] = json!(count);
    }
    Ok(answer)
}

type Has = fn(&NodeVerdict) -> bool;

/// The members of DescribePatchGroupState, and which nodes each of them counts.
const COUNTS: [(&str, Has); 12] = [
    ("InstancesWithInstalledPatches", |it| it.counts.installed > 0),
    ("InstancesWithInstalledOtherPatches", |it| it.counts.installed_other > 0),
    ("InstancesWithInstalledPendingRebootPatches", |it| it.counts.installed_pending_reboot > 0),
    ("InstancesWithInstalledRejectedPatches", |it| it.counts.installed_rejected > 0),
    ("InstancesWithMissingPatches", |it| it.counts.missing > 0),
    ("InstancesWithFailedPatches", |it| it.counts.failed > 0),
    ("InstancesWithNotApplicablePatches", |it| it.counts.not_applicable > 0),
    // "Beyond the supported limit" of a report; these machines report all of them.
    ("InstancesWithUnreportedNotApplicablePatches", |_| false),
    ("InstancesWithCriticalNonCompliantPatches", |it| it.counts.critical_non_compliant > 0),
    ("InstancesWithSecurityNonCompliantPatches", |it| it.counts.security_non_compliant > 0),
    ("InstancesWithOtherNonCompliantPatches", |it| it.counts.other_non_compliant > 0),
    ("InstancesWithAvailableSecurityUpdates", |it| it.counts.available_security_update > 0),
];

/// The group that a managed node is in, and what its last scan found.
fn last<'s>(call: &'s Call<'_>, at: MachineIx) -> Option<(&'s str, Option<&'s NodeVerdict>)> {
    let aws = call.state.machine(at).aws.as_ref()?;
    aws.registered?;
    let group = group_of(&aws.tags)?;
    Some((group, aws.scan.as_ref().map(|scan| &scan.verdict)))
}

/// The group that an input names; the model requires it.
fn group(input: &Value) -> &str {
    input["PatchGroup"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::aws::ssm::testing::Desk;

    fn made(desk: &Desk, name: &str) -> String {
        let answer = desk.good("CreatePatchBaseline", &json!({"Name": name}));
        answer["BaselineId"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_group_has_one_baseline_for_each_operating_system() {
        let desk = Desk::new();
        let (first, second) = (made(&desk, "first"), made(&desk, "second"));
        let register = |id: &str| json!({"BaselineId": id, "PatchGroup": "web"});
        for _ in 0..2 {
            desk.good("RegisterPatchBaselineForPatchGroup", &register(&first));
        }
        let refused = desk.ask("RegisterPatchBaselineForPatchGroup", &register(&second));
        let (name, message) = refused.unwrap_err();
        assert_eq!(name, "AlreadyExistsException");
        assert!(message.ends_with("for OperatingSystem WINDOWS."), "{message}");
        let linux = json!({"Name": "linux", "OperatingSystem": "AMAZON_LINUX_2"});
        let linux = desk.good("CreatePatchBaseline", &linux)["BaselineId"].clone();
        desk.good("RegisterPatchBaselineForPatchGroup", &register(linux.as_str().unwrap()));
        let mappings = desk.all("DescribePatchGroups", &json!({"MaxResults": 1}), "Mappings");
        assert_eq!(mappings.len(), 2);
        assert!(mappings.iter().all(|it| it["PatchGroup"] == "web"));
        let read = desk.good("GetPatchBaseline", &json!({"BaselineId": first}));
        assert_eq!(read["PatchGroups"], json!(["web"]));
        let error = desk.bad("DeletePatchBaseline", &json!({"BaselineId": first}));
        assert_eq!(error, "ResourceInUseException");
    }

    #[test]
    fn a_group_without_a_baseline_has_the_default() {
        let desk = Desk::new();
        let id = made(&desk, "mine");
        let ask = json!({"PatchGroup": "web"});
        let default = desk.good("GetDefaultPatchBaseline", &json!({}))["BaselineId"].clone();
        let of_group = || desk.good("GetPatchBaselineForPatchGroup", &ask)["BaselineId"].clone();
        assert_eq!(of_group(), default);
        let pair = json!({"BaselineId": id, "PatchGroup": "web"});
        desk.good("RegisterPatchBaselineForPatchGroup", &pair);
        assert_eq!(of_group(), id);
        for _ in 0..2 {
            desk.good("DeregisterPatchBaselineForPatchGroup", &pair);
            assert_eq!(of_group(), default);
        }
    }

    #[test]
    fn the_twenty_sixth_group_of_a_baseline_is_refused() {
        let desk = Desk::new();
        let id = made(&desk, "mine");
        let pair = |n: usize| json!({"BaselineId": id, "PatchGroup": format!("group-{n}")});
        for n in 0..MOST {
            desk.good("RegisterPatchBaselineForPatchGroup", &pair(n));
        }
        let error = desk.bad("RegisterPatchBaselineForPatchGroup", &pair(MOST));
        assert_eq!(error, "ResourceLimitExceededException");
    }

    #[test]
    fn the_state_of_a_group_counts_its_nodes() {
        let desk = Desk::new();
        let (group, nodes) = desk.with(|state| {
            let here = state.scopes[0].machines.clone();
            let of = |at: &MachineIx| {
                let aws = state.machine(*at).aws.as_ref()?;
                aws.registered?;
                group_of(&aws.tags).cloned()
            };
            let groups: Vec<_> = here.iter().filter_map(of).collect();
            (groups[0].to_string(), groups.iter().filter(|it| **it == groups[0]).count())
        });
        let answer = desk.good("DescribePatchGroupState", &json!({"PatchGroup": group}));
        assert_eq!(answer["Instances"], nodes);
        let installed = answer["InstancesWithInstalledPatches"].as_u64().unwrap();
        assert!(installed > 0 && installed <= nodes as u64, "{answer}");
        let nobody = desk.good("DescribePatchGroupState", &json!({"PatchGroup": "nobody"}));
        assert_eq!(nobody["Instances"], 0);
        assert_eq!(nobody["InstancesWithMissingPatches"], 0);
    }
}
