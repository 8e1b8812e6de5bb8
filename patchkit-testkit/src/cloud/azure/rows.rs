//! The rows of Resource Graph, made from the world one by one as they are asked for.
//!
//! A row has the columns that its table fills; a column that it lacks is empty. Types and names of
//! resource groups are in lower case, as the service writes them.

use std::time::Duration;

use fixedbitset::FixedBitSet;
use serde_json::{Value, json};

use super::{
    hybrid, patch_result, patch_result::Named, reply::stamp_z, scale_set, side, tags, tenant, vm,
    vm_view,
};
use crate::cloud::world::{
    State,
    clock::earlier,
    machine::{Assessment, AzureKind, AzureSide, Installation, MachineIx, SubIx},
};

/// A table that the world fills.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    Resources,
    Containers,
    Assessments,
    Installations,
    Maintenance,
}

/// How long assessments and installations are kept ("Query logs" of Azure Update Manager).
const ASSESSMENTS: Duration = Duration::from_hours(7 * 24);
const INSTALLATIONS: Duration = Duration::from_hours(30 * 24);

const VM: &str = "microsoft.compute/virtualmachines";
const ARC: &str = "microsoft.hybridcompute/machines";
const SET: &str = "microsoft.compute/virtualmachinescalesets";

/// Iterators of rows are boxed: their kind depends on the table.
type Rows<'a> = Box<dyn Iterator<Item = Value> + 'a>;

/// The rows of a table in the order in which they are answered. Those of a type that is not
/// `wanted` are not made.
pub(crate) fn rows<'a>(
    state: &'a State,
    source: Source,
    over: Over<'a>,
    wanted: impl Fn(&str) -> bool + Copy + 'a,
) -> Rows<'a> {
    let made = Made { state, tenant: tenant(state.seed), over };
    match source {
        Source::Resources => Box::new(resources(made, wanted)),
        Source::Containers => Box::new(containers(made, wanted)),
        Source::Assessments => Box::new(assessments(made, wanted)),
        Source::Installations => Box::new(installations(made, wanted)),
        Source::Maintenance => Box::new(maintenance(made, wanted)),
    }
}

/// What a table is read over.
#[derive(Clone, Debug)]
pub(crate) struct Over<'a> {
    pub(crate) subscriptions: Vec<SubIx>,
    /// The only ids that are asked for, in lower case; rows beyond them may be made.
    pub(crate) ids: Option<&'a [String]>,
}

/// What every row needs.
#[derive(Clone, Debug)]
struct Made<'a> {
    state: &'a State,
    tenant: String,
    over: Over<'a>,
}

impl<'a> Made<'a> {
    /// Every machine that is a resource of its own, with its type.
    fn machines(&self) -> impl Iterator<Item = (MachineIx, &'a AzureSide, &'static str)> + use<'a> {
        let state = self.state;
        let subscriptions = self.over.subscriptions.clone().into_iter();
        let all = subscriptions.flat_map(|it| state.subscription(it).machines.iter().copied());
        all.filter_map(|at| kind_of(state, at))
    }

    /// Those of the ids that are asked for, where some are.
    fn named(&self) -> Box<dyn Iterator<Item = (MachineIx, &'a AzureSide, &'static str)> + 'a> {
        let Some(ids) = self.over.ids else { return Box::new(self.machines()) };
        let (state, subscriptions) = (self.state, self.over.subscriptions.clone());
        let found = ids.iter().filter_map(|id| state.azure.by_id.get(id.as_str()));
        let found = found.filter_map(|at| kind_of(state, *at));
        Box::new(found.filter(move |(_, azure, _)| subscriptions.contains(&azure.subscription)))
    }

    fn holds(&self, subscription: &str) -> bool {
        let mut all = self.over.subscriptions.iter();
        all.any(|at| self.state.subscription(*at).id.eq_ignore_ascii_case(subscription))
    }

    fn row(&self, id: &str, name: &str, kind: &str, properties: Value) -> Value {
        let mut parts = id.split('/');
        let subscription = parts.nth(2).unwrap_or_default();
        let group = parts.nth(1).unwrap_or_default().to_lowercase();
        let mut row = json!({
            "id": id,
            "name": name,
            "type": kind,
            "tenantId": self.tenant,
            "kind": "",
            "resourceGroup": group,
            "subscriptionId": subscription,
            "managedBy": "",
        });
        row["properties"] = properties;
        row
    }

    fn of_machine(
        &self,
        azure: &AzureSide,
        tail: &str,
        name: &str,
        kind: &str,
        properties: Value,
    ) -> Value {
        let id = format!("{}{tail}", self.state.vm_resource_id(azure));
        let mut row = self.row(&id, name, kind, properties);
        row["location"] = json!(vm::location_of(self.state, azure));
        row
    }
}

/// A machine with its type; none where it is no resource of its own.
fn kind_of(state: &State, at: MachineIx) -> Option<(MachineIx, &AzureSide, &'static str)> {
    let azure = side(state, at).ok()?;
    match azure.kind {
        AzureKind::Vm | AzureKind::Flexible { .. } => Some((at, azure, VM)),
        AzureKind::Arc => Some((at, azure, ARC)),
        AzureKind::Uniform { .. } => None,
    }
}

fn resources<'a>(
    made: Made<'a>,
    wanted: impl Fn(&str) -> bool + Copy + 'a,
) -> impl Iterator<Item = Value> + 'a {
    let state = made.state;
    let others = made.clone();
    let machines = made.named().filter(move |(_, _, kind)| wanted(kind));
    let machines = machines.filter_map(move |(at, azure, kind)| {
        let mut document = match kind {
            ARC => hybrid::document(state, at).ok()?,
            _ => vm::document(state, at, vm::Detail::Model).ok()?,
        };
        let mut properties = document["properties"].take();
        if kind == VM {
            properties["extended"] = json!({"instanceView": extended(state, at)});
        }
        let mut row = made.of_machine(azure, "", &azure.name, kind, properties);
        row["tags"] = tags::document(&azure.tags);
        Some(row)
    });
    let sets: Vec<Value> = if wanted(SET) { scale_set::documents(state) } else { Vec::new() };
    let configuration = "microsoft.maintenance/maintenanceconfigurations";
    let configurations =
        if wanted(configuration) { state.azure.schedules.documents(state) } else { Vec::new() };
    let documents = sets.into_iter().map(|it| (it, SET));
    let documents = documents.chain(configurations.into_iter().map(move |it| (it, configuration)));
    machines.chain(documents.filter_map(move |(mut document, kind)| {
        let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
        let (id, name) = (text("id"), text("name"));
        if !others.holds(id.split('/').nth(2).unwrap_or_default()) {
            return None;
        }
        let mut row = others.row(&id, &name, kind, document["properties"].take());
        for key in ["location", "tags", "sku"] {
            row[key] = document[key].take();
        }
        Some(row)
    }))
}

fn extended(state: &State, at: MachineIx) -> Value {
    let machine = state.machine(at);
    let [word, words] = vm_view::power(machine.power);
    let code = format!("PowerState/{word}");
    let mut view = json!({
        "powerState": {"code": code, "level": "Info", "displayStatus": words},
        "hyperVGeneration": "V2",
    });
    if state.answers_azure(at) {
        let system = state.system_of(at);
        view["computerName"] = json!(&*machine.name);
        view["osName"] = json!(vm_view::os_name(system.name));
        view["osVersion"] = json!(system.version);
    }
    view
}

fn containers<'a>(
    made: Made<'a>,
    wanted: impl Fn(&str) -> bool + Copy + 'a,
) -> impl Iterator<Item = Value> + 'a {
    let state = made.state;
    let [of_subscription, of_group] =
        ["microsoft.resources/subscriptions", "microsoft.resources/subscriptions/resourcegroups"];
    made.over.subscriptions.clone().into_iter().flat_map(move |at| {
        let subscription = state.subscription(at);
        let mut rows = Vec::new();
        if wanted(of_subscription) {
            let properties = json!({"state": "Enabled", "managedByTenants": []});
            let id = format!("/subscriptions/{}", subscription.id);
            let mut row = made.row(&id, &subscription.name, of_subscription, properties);
            row["tags"] = tags::document(&subscription.tags);
            rows.push(row);
        }
        if wanted(of_group) {
            for (n, group) in (0u16..).zip(&subscription.groups) {
                let properties = json!({"provisioningState": "Succeeded"});
                let id = state.group_id(at, n);
                let mut row = made.row(&id, &group.name, of_group, properties);
                row["tags"] = tags::document(&group.tags);
                row["location"] = json!(&*group.location);
                rows.push(row);
            }
        }
        rows
    })
}

fn assessments<'a>(
    made: Made<'a>,
    wanted: impl Fn(&str) -> bool + Copy + 'a,
) -> impl Iterator<Item = Value> + 'a {
    let oldest = earlier(made.state.now, ASSESSMENTS);
    made.machines().flat_map(move |(at, azure, kind)| {
        let mut rows = Vec::new();
        let Some(it) = azure.assessment.as_ref().filter(|it| it.ended >= oldest) else {
            return rows;
        };
        let own = format!("{kind}/patchassessmentresults");
        if wanted(&own) {
            let properties = assessment(made.state, at, it);
            let tail = "/patchAssessmentResults/latest";
            rows.push(made.of_machine(azure, tail, &it.activity, &own, properties));
        }
        let own = format!("{own}/softwarepatches");
        if wanted(&own) {
            let patch = |place| missing_patch(&made, (at, azure), it, place, &own);
            rows.extend(it.available.ones().filter_map(patch));
        }
        rows
    })
}

fn assessment(state: &State, at: MachineIx, it: &Assessment) -> Value {
    let mut counts = patch_result::counts(state, at, &it.available);
    // Rows have every class, whatever the system.
    if counts["other"].is_null() {
        counts["other"] = json!(0);
    }
    json!({
        "assessmentActivityId": it.activity,
        "rebootPending": it.reboot_pending,
        "patchServiceUsed": patch_result::service(state, at, '-'),
        "osType": vm::os_type(state, at),
        "startDateTime": stamp_z(it.started),
        "lastModifiedDateTime": stamp_z(it.ended),
        "startedBy": it.started_by,
        "errorDetails": null,
        "status": "Succeeded",
        "availablePatchCountByClassification": counts,
    })
}

fn missing_patch(
    made: &Made<'_>,
    (at, azure): (MachineIx, &AzureSide),
    it: &Assessment,
    place: usize,
    kind: &str,
) -> Option<Value> {
    let system = made.state.system_of(at);
    let patch = system.patches.get(place)?;
    let named = Named::of(patch, system);
    let tail = format!("/patchAssessmentResults/latest/softwarePatches/{}", named.id);
    let mut properties = software(&named);
    properties["rebootRequired"] = json!(State::needs_boot(place));
    properties["rebootBehavior"] = json!(patch_result::reboot_behavior(place));
    properties["assessmentState"] = json!(patch_result::assessment_state(made.state, at, place));
    properties["lastModifiedDateTime"] = json!(stamp_z(it.ended));
    // No package manager tells it.
    properties["publishedDateTime"] = match patch.released_at {
        Some(at) if system.is_windows() => json!(stamp_z(at)),
        _ => Value::Null,
    };
    Some(made.of_machine(azure, &tail, &named.id, kind, properties))
}

fn software(named: &Named) -> Value {
    let mut properties = json!({
        "patchId": named.id,
        "patchName": named.name,
        "classifications": [named.class],
    });
    if let Some(kb) = &named.kb {
        properties["kbId"] = json!(kb);
    }
    if let Some(version) = &named.version {
        properties["version"] = json!(version);
    }
    properties
}

fn installations<'a>(
    made: Made<'a>,
    wanted: impl Fn(&str) -> bool + Copy + 'a,
) -> impl Iterator<Item = Value> + 'a {
    let oldest = earlier(made.state.now, INSTALLATIONS);
    let every = made.machines().flat_map(|(at, azure, kind)| {
        azure.installations.iter().map(move |it| (at, azure, kind, it))
    });
    every.filter(move |(_, _, _, it)| it.started >= oldest).flat_map(
        move |(at, azure, kind, it)| {
            let mut rows = Vec::new();
            let own = format!("{kind}/patchinstallationresults");
            if wanted(&own) {
                let tail = format!("/patchInstallationResults/{}", it.activity);
                let properties = installation(made.state, at, it);
                rows.push(made.of_machine(azure, &tail, &it.activity, &own, properties));
            }
            let own = format!("{own}/softwarepatches");
            if wanted(&own) {
                for (word, places) in patch_result::states(it) {
                    rows.extend(treated(&made, (at, azure), it, (word, places), &own));
                }
            }
            rows
        },
    )
}

fn installation(state: &State, at: MachineIx, it: &Installation) -> Value {
    let failures = patch_result::failures(state, at, it);
    let mut properties = json!({
        "installationActivityId": it.activity,
        "status": it.status,
        "maintenanceWindowExceeded": it.window_exceeded,
        "rebootStatus": it.reboot_status,
        "startDateTime": stamp_z(it.started),
        "lastModifiedDateTime": stamp_z(it.ended.unwrap_or(state.now)),
        "startedBy": it.started_by,
        "osType": vm::os_type(state, at),
        "maintenanceRunId": it.maintenance_run,
        "errorDetails":
            if failures.is_empty() { Value::Null } else { patch_result::errors(&failures) },
    });
    if let (Value::Object(properties), Value::Object(counts)) =
        (&mut properties, patch_result::installation_counts(it))
    {
        properties.extend(counts);
    }
    properties
}

/// The patches of an installation that are in one state.
fn treated<'r>(
    made: &'r Made<'_>,
    (at, azure): (MachineIx, &'r AzureSide),
    it: &'r Installation,
    (word, places): (&'static str, &'r FixedBitSet),
    kind: &'r str,
) -> impl Iterator<Item = Value> + 'r {
    let system = made.state.system_of(at);
    places.ones().filter_map(move |place| {
        let named = Named::of(system.patches.get(place)?, system);
        let mut properties = software(&named);
        properties["installationState"] = json!(word);
        properties["rebootBehavior"] = json!(patch_result::reboot_behavior(place));
        properties["lastModifiedDateTime"] = json!(stamp_z(it.ended.unwrap_or(made.state.now)));
        let tail =
            format!("/patchInstallationResults/{}/softwarePatches/{}", it.activity, named.id);
        Some(made.of_machine(azure, &tail, &named.id, kind, properties))
    })
}

fn maintenance<'a>(
    made: Made<'a>,
    wanted: impl Fn(&str) -> bool + Copy + 'a,
) -> impl Iterator<Item = Value> + 'a {
    let state = made.state;
    let oldest = earlier(state.now, INSTALLATIONS);
    let schedules = &state.azure.schedules;
    let assignments = schedules.assignments.values().filter_map(move |it| {
        let kind = "microsoft.maintenance/configurationassignments";
        wanted(kind).then(|| {
            let mut document = it.document();
            (document["id"].take(), document["name"].take(), kind, document["properties"].take())
        })
    });
    let runs = schedules.runs.iter().filter(move |it| it.started >= oldest);
    let runs = runs.filter_map(move |it| {
        let kind = "microsoft.maintenance/applyupdates";
        wanted(kind).then(|| {
            let mut document = it.document(state);
            (document["id"].take(), document["name"].take(), kind, document["properties"].take())
        })
    });
    assignments.chain(runs).filter_map(move |(id, name, kind, properties)| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (id, name) = (text(&id), text(&name));
        let here = made.holds(id.split('/').nth(2).unwrap_or_default());
        here.then(|| made.row(&id, &name, kind, properties))
    })
}
