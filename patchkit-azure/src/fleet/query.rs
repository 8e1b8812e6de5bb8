//! What of a selector Resource Graph is asked for.

use std::collections::BTreeSet;

use patchkit_core::{
    AccountId, NodeSelector, OperatingSystem, PATCH_GROUP_TAGS, PatchGroupName, PowerState, Region,
    ResourceGroupName,
};

use crate::{
    MachineKind,
    client::Client,
    graph::{Literal, literals},
    ids::MachineId,
};

const VM: &str = "microsoft.compute/virtualmachines";
const ARC: &str = "microsoft.hybridcompute/machines";
pub(super) const SET: &str = "microsoft.compute/virtualmachinescalesets";

/// The columns of a machine, by names that no two kinds share.
const COLUMNS: &str = "project id, name, type, location, tags, zone = zones[0], \
    vmId = properties.vmId, vmUuid = properties.vmUuid, priority = properties.priority, \
    scaleSet = properties.virtualMachineScaleSet.id, \
    osType = properties.storageProfile.osDisk.osType, \
    image = properties.storageProfile.imageReference, \
    windows = properties.osProfile.windowsConfiguration.patchSettings, \
    linux = properties.osProfile.linuxConfiguration.patchSettings, \
    view = properties.extended.instanceView, computerName = properties.osProfile.computerName, \
    displayName = properties.displayName, arcStatus = properties.status, \
    agentVersion = properties.agentVersion, since = properties.lastStatusChange, \
    arcOsType = properties.osType, arcOsName = properties.osName, \
    arcOsVersion = properties.osVersion";

/// What was found when a machine was looked at last, put to it where there is such a thing.
///
/// A query may join the tables of patches with that of machines once ("Understanding the Azure Resource
/// Graph query language": of three joins one may be cross-table). Ids come in any case, and `split` tells
/// case apart.
const ASSESSMENT: &str = "extend key = tolower(id)\n\
    | join kind=leftouter (patchassessmentresources\n  \
    | where type in~ ('microsoft.compute/virtualmachines/patchassessmentresults', \
    'microsoft.hybridcompute/machines/patchassessmentresults')\n  \
    | project key = tostring(split(tolower(id), '/patchassessmentresults/')[0]), \
    assessedAt = properties.lastModifiedDateTime, assessment = properties.status, \
    rebootPending = properties.rebootPending, \
    available = properties.availablePatchCountByClassification) on key\n\
    | project-away key, key1";

/// As many ids are asked for in one query: a query is a text with a limit.
pub(crate) const MOST_IDS: usize = 200;

/// As many values of a criterion are sent along; more are left to the comparison at the end.
const MOST_VALUES: usize = 100;

/// What is asked of each machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Columns {
    /// What it is.
    Machine,
    /// That, and what its last assessment found.
    Assessment,
}

/// A listing as it is asked for: in which subscriptions, by which queries.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) subscriptions: Vec<AccountId>,
    pub(super) groups: Option<BTreeSet<ResourceGroupName>>,
    pub(super) queries: Vec<String>,
    /// Whether all of a subscription is asked for: then one that shows nothing is told of.
    pub(super) whole: Whole,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Whole {
    Subscriptions,
    Nodes,
}

impl Ask {
    /// What is asked for a selector; none where it can take nothing.
    pub(super) fn of(client: &Client, selector: &NodeSelector, columns: Columns) -> Option<Self> {
        let nothing = selector.tags.values().any(BTreeSet::is_empty)
            || is_empty(selector.groups.as_ref())
            || is_empty(selector.resource_groups.as_ref())
            || is_empty(selector.operating_systems.as_ref())
            || is_empty(selector.power.as_ref())
            || is_empty(selector.accounts.as_ref())
            || is_empty(selector.regions.as_ref())
            || is_empty(selector.ids.as_ref());
        if nothing {
            return None;
        }
        let ids: Option<Vec<MachineId>> = selector
            .ids
            .as_ref()
            .map(|ids| ids.iter().filter_map(|node| client.machine("nodes", node).ok()).collect());
        let wanted = |id: &&AccountId| {
            let named = selector.accounts.as_ref().is_none_or(|accounts| accounts.contains(*id));
            let held = |it: &MachineId| it.subscription.eq_ignore_ascii_case(id.as_str());
            // A group that is not there is told, whichever nodes are asked for.
            let with = selector.resource_groups.is_some();
            named && (with || ids.as_ref().is_none_or(|ids| ids.iter().any(held)))
        };
        let subscriptions: Vec<AccountId> =
            client.subscriptions().filter(wanted).cloned().collect();
        if subscriptions.is_empty() {
            return None;
        }
        let queries = match &ids {
            None => vec![query(selector, None, columns)],
            Some(ids) => {
                ids.chunks(MOST_IDS).map(|ids| query(selector, Some(ids), columns)).collect()
            }
        };
        let whole = if ids.is_some() { Whole::Nodes } else { Whole::Subscriptions };
        Some(Self { subscriptions, groups: selector.resource_groups.clone(), queries, whole })
    }
}

fn is_empty<T>(set: Option<&BTreeSet<T>>) -> bool {
    set.is_some_and(BTreeSet::is_empty)
}

/// The query for the machines of a selector. Its criteria narrow the answer where Azure means by them
/// what PatchKit does, and every row is compared with the selector at the end in any case.
fn query(selector: &NodeSelector, ids: Option<&[MachineId]>, columns: Columns) -> String {
    let mut lines = vec!["resources".to_owned()];
    // The instances of a uniform scale set are in no table: the set stands for them.
    // Those that were made before there was a choice have no mode, and are uniform.
    let set = format!("type =~ '{SET}' and tostring(properties.orchestrationMode) !~ 'Flexible'");
    lines.push(format!("where type =~ '{VM}' or type =~ '{ARC}' or ({set})"));
    if let Some(ids) = ids {
        let ids: BTreeSet<String> = ids.iter().map(resource).collect();
        lines.push(format!("where id in~ {}", literals(ids.iter().map(String::as_str))));
    }
    if let Some(groups) = &selector.resource_groups {
        let names = literals(groups.iter().map(ResourceGroupName::as_str));
        lines.push(format!("where resourceGroup in~ {names}"));
    }
    if let Some(regions) = some(selector.regions.as_ref()) {
        let names = literals(regions.iter().map(Region::as_str));
        lines.push(format!("where location in~ {names}"));
    }
    for (key, values) in &selector.tags {
        if values.len() <= MOST_VALUES {
            let values = literals(values.iter().map(String::as_str));
            lines.push(of_machines(&format!("tostring(tags[{}]) in {values}", Literal(key))));
        }
    }
    if let Some(groups) = some(selector.groups.as_ref()) {
        let names = literals(groups.iter().map(PatchGroupName::as_str));
        let [a, b] = PATCH_GROUP_TAGS.map(|tag| format!("tostring(tags['{tag}']) in {names}"));
        lines.push(of_machines(&format!("({a} or {b})")));
    }
    if let Some(states) = &selector.power {
        lines.push(of_machines(&of_power(states)));
    }
    if let Some(systems) = &selector.operating_systems {
        lines.extend(of_systems(systems).map(|of| of_machines(&of)));
    }
    lines.push(COLUMNS.to_owned());
    if columns == Columns::Assessment {
        lines.push(ASSESSMENT.to_owned());
    }
    // Pages of what is in no order may overlap.
    lines.push("order by id asc".to_owned());
    lines.join("\n| ")
}

fn some<T>(set: Option<&BTreeSet<T>>) -> Option<&BTreeSet<T>> {
    set.filter(|set| set.len() <= MOST_VALUES)
}

/// A condition on machines, which says nothing of scale sets: what holds for these need not hold for
/// their instances.
fn of_machines(condition: &str) -> String {
    format!("where type =~ '{SET}' or {condition}")
}

/// The resource that stands for a machine in the graph.
fn resource(id: &MachineId) -> String {
    let text = id.to_string();
    match id.kind {
        MachineKind::ScaleSetInstance => text.rsplitn(3, '/').last().unwrap_or_default().to_owned(),
        _ => text,
    }
}

const CODE: &str = "tostring(properties.extended.instanceView.powerState.code)";

const CODES: [(&str, PowerState); 6] = [
    ("PowerState/running", PowerState::Running),
    ("PowerState/stopped", PowerState::Stopped),
    ("PowerState/deallocated", PowerState::Deallocated),
    ("PowerState/starting", PowerState::Starting),
    ("PowerState/stopping", PowerState::Stopping),
    ("PowerState/deallocating", PowerState::Stopping),
];

fn of_power(states: &BTreeSet<PowerState>) -> String {
    let wanted = CODES.iter().filter(|(_, state)| states.contains(state)).map(|(code, _)| *code);
    let known = format!("{CODE} in~ {}", literals(wanted.chain(["PowerState/none"])));
    if !states.contains(&PowerState::Unknown) {
        return known;
    }
    // Arc machines have none, and a word that PatchKit does not know is one too.
    format!("({known} or {CODE} !in~ {})", literals(CODES.iter().map(|(code, _)| *code)))
}

/// Windows is told from all else by the disk alone; Linuxes are told apart by text that only PatchKit
/// reads as it does.
fn of_systems(systems: &BTreeSet<OperatingSystem>) -> Option<String> {
    let of = "tostring(properties.storageProfile.osDisk.osType) =~ 'Windows' \
              or tostring(properties.osType) =~ 'Windows'";
    match (systems.contains(&OperatingSystem::Windows), systems.len()) {
        (true, 1) => Some(format!(
            "({of} or isempty(tostring(properties.storageProfile.osDisk.osType)) \
             and isempty(tostring(properties.osType)))"
        )),
        (true, _) => None,
        (false, _) => Some(format!("not({of})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_from_outside_stays_a_text_in_the_query() {
        let selector = NodeSelector::all().with_tag("it's", ["' or true //"]);
        let query = query(&selector, None, Columns::Machine);
        assert!(query.contains(r"tostring(tags['it\'s']) in ('\' or true //')"), "{query}");
    }

    #[test]
    fn an_instance_is_asked_for_by_its_scale_set() {
        let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute\
                  /virtualMachineScaleSets/web/virtualMachines/3";
        let id = MachineId::parse("test", id).unwrap();
        assert!(resource(&id).ends_with("/virtualMachineScaleSets/web"), "{}", resource(&id));
    }

    #[test]
    fn power_that_nobody_knows_is_asked_for_as_what_is_none_of_the_known() {
        let of = of_power(&BTreeSet::from([PowerState::Unknown]));
        assert!(of.contains("!in~ ('PowerState/running'"), "{of}");
        let of = of_power(&BTreeSet::from([PowerState::Stopping]));
        assert!(of.contains("PowerState/deallocating") && !of.contains("!in~"), "{of}");
    }
}
