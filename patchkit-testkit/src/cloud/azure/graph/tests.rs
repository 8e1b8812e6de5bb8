//! Rules of the query engine, as tests.

mod forms;
mod hostile;
mod join;
mod pages;
mod refusals;
mod rules;
mod tables;

use serde_json::{Value, json};

use super::{Answer, Query, QueryError, RowSet, Table};

/// Tuesday, 2026-11-24 12:00 UTC.
fn now() -> jiff::Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

const SUBSCRIPTION: &str = "11111111-1111-1111-1111-111111111111";

fn machine_id(name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/RG1/providers/Microsoft.Compute/virtualMachines/{name}"
    )
}

/// Three machines of Azure and one of Arc, their subscription, an assessment with two patches,
/// an installation run with one, and a schedule's assignment.
fn world() -> RowSet {
    let mut rows = RowSet::new();
    for (name, os, power, tags) in [
        ("web-1", "Linux", "running", json!({"Patch Group": "web", "env": "prod"})),
        ("web-2", "Linux", "deallocated", json!({"Patch Group": "web"})),
        ("Db-1", "Windows", "running", Value::Null),
    ] {
        let row = json!({
            "id": machine_id(name), "name": name, "type": "microsoft.compute/virtualmachines",
            "location": "westeurope", "resourceGroup": "rg1", "subscriptionId": SUBSCRIPTION,
            "tags": tags, "zones": ["1", "2"],
            "properties": {
                "vmId": format!("vm-{name}"),
                "storageProfile": {"osDisk": {"osType": os, "diskSizeGB": 30}},
                "extended": {"instanceView": {"powerState": {"code": format!("PowerState/{power}")}}},
            },
        });
        rows.push(Table::Resources, row);
    }
    rows.push(Table::Resources, json!({
        "id": format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg2/providers/Microsoft.HybridCompute/machines/arc-1"),
        "name": "arc-1", "type": "microsoft.hybridcompute/machines", "location": "northeurope",
        "resourceGroup": "rg2", "subscriptionId": SUBSCRIPTION, "kind": "",
        "properties": {"status": "Connected", "osType": "windows"},
    }));
    rows.push(
        Table::ResourceContainers,
        json!({
            "id": format!("/subscriptions/{SUBSCRIPTION}"), "name": "Production",
            "type": "microsoft.resources/subscriptions", "subscriptionId": SUBSCRIPTION,
        }),
    );
    let assessment = format!("{}/patchAssessmentResults/latest", machine_id("web-1"));
    rows.push(Table::PatchAssessmentResources, json!({
        "id": assessment, "name": "0b1c", "subscriptionId": SUBSCRIPTION, "resourceGroup": "rg1",
        "type": "microsoft.compute/virtualmachines/patchassessmentresults",
        "properties": {
            "rebootPending": true, "osType": "Linux", "status": "Succeeded", "startedBy": "Platform",
            "startDateTime": "2026-11-23T10:00:00Z",
            "lastModifiedDateTime": "2026-11-23T10:05:00.1234567Z",
            "availablePatchCountByClassification": {"critical": 0, "security": 2, "other": 5},
        },
    }));
    for (patch, class, version) in [("openssl", "Security", "3.0.2"), ("vim", "Other", "9.1")] {
        rows.push(
            Table::PatchAssessmentResources,
            json!({
                "id": format!("{assessment}/softwarePatches/{patch}"), "name": patch,
                "type": "microsoft.compute/virtualmachines/patchassessmentresults/softwarepatches",
                "subscriptionId": SUBSCRIPTION, "resourceGroup": "rg1",
                "properties": {
                    "patchName": patch, "version": version, "classifications": [class],
                    "publishedDateTime": Value::Null,
                },
            }),
        );
    }
    let run = format!("{}/patchInstallationResults/7a7a", machine_id("web-1"));
    rows.push(Table::PatchInstallationResources, json!({
        "id": run, "name": "7a7a", "subscriptionId": SUBSCRIPTION, "resourceGroup": "rg1",
        "type": "microsoft.compute/virtualmachines/patchinstallationresults",
        "properties": {
            "status": "Succeeded", "installedPatchCount": 3, "failedPatchCount": 0, "osType": "Linux",
            "lastModifiedDateTime": "2026-11-20T01:00:00Z", "startDateTime": "2026-11-20T00:30:00Z",
        },
    }));
    rows.push(Table::PatchInstallationResources, json!({
        "id": format!("{run}/softwarePatches/vim"), "name": "vim", "subscriptionId": SUBSCRIPTION,
        "type": "microsoft.compute/virtualmachines/patchinstallationresults/softwarepatches",
        "resourceGroup": "rg1",
        "properties": {
            "patchName": "vim", "version": "9.1", "installationState": "Installed",
            "classifications": ["Other"], "lastModifiedDateTime": "2026-11-20T01:00:00Z",
        },
    }));
    rows.push(Table::MaintenanceResources, json!({
        "id": format!("{}/providers/Microsoft.Maintenance/configurationAssignments/a1", machine_id("web-1")),
        "name": "a1", "type": "microsoft.maintenance/configurationassignments",
        "subscriptionId": SUBSCRIPTION, "resourceGroup": "rg1",
        "properties": {
            "maintenanceConfigurationId": format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/rg1/providers/microsoft.maintenance/maintenanceconfigurations/weekly"),
            "resourceId": machine_id("web-1").to_lowercase(),
        },
    }));
    rows
}

fn ask(query: &str) -> Result<Answer, QueryError> {
    Query::parse(query)?.run(&world(), now())
}

#[track_caller]
fn answer(query: &str) -> Answer {
    ask(query).unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// The first column of an answer.
#[track_caller]
fn column(query: &str) -> Vec<Value> {
    answer(query).rows.into_iter().map(|mut row| row.swap_remove(0)).collect()
}

#[track_caller]
fn names(query: &str) -> Vec<String> {
    answer(query).columns.into_iter().map(|(name, _)| name).collect()
}

/// What an expression is, computed for one row.
#[track_caller]
fn value(expr: &str) -> Value {
    let mut values = column(&format!("resources | where name == 'web-1' | project x = {expr}"));
    values.remove(0)
}

/// The names of the machines a condition keeps.
#[track_caller]
fn kept(condition: &str) -> Vec<Value> {
    column(&format!("resources | where {condition} | project name"))
}
