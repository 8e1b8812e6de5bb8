use std::sync::Arc;

use patchkit_core::{ComplianceStatus, ErrorKind, PatchState};
use serde_json::json;

use super::*;
use crate::testing::{Canned, Tokens};

const GROUP: &str = "/subscriptions/s-1/resourceGroups/g/providers/Microsoft.Compute";

fn page(rows: &[Value]) -> Value {
    json!({"count": rows.len(), "data": rows, "resultTruncated": "false"})
}

/// A machine that was found to lack nothing, in the hour when the clock of tests begins.
fn vm(name: &str) -> Value {
    json!({
        "id": format!("{GROUP}/virtualMachines/{name}"), "name": name,
        "type": "microsoft.compute/virtualmachines", "location": "we",
        "view": {"powerState": {"code": "PowerState/running"}, "osName": "ubuntu"},
        "assessedAt": "1970-01-01T00:00:00Z", "assessment": "Succeeded", "rebootPending": false,
        "available": {"critical": 0, "security": 0, "other": 0},
    })
}

fn with(mut row: Value, name: &str, value: Value) -> Value {
    row[name] = value;
    row
}

fn installation(name: &str) -> Value {
    let machine = format!("{GROUP}/virtualMachines/{name}");
    json!({
        "id": format!("{machine}/patchInstallationResults/5b8f"),
        "machine": machine.to_ascii_lowercase(), "began": "1969-12-31T23:00:00Z",
        "changed": "1970-01-01T00:00:00Z", "status": "Succeeded", "reboot": "NotNeeded",
        "installed": 4, "failed": 0, "pending": 0, "excluded": null, "notSelected": 0,
    })
}

async fn summaries(installations: &[Value], rows: &[Value]) -> Vec<Result<NodeCompliance>> {
    let service = Canned::new().then(200, &[], &page(installations)).then(200, &[], &page(rows));
    service.provider(Tokens::Same).summaries(&NodeSelector::all()).collect().await
}

#[tokio::test]
async fn a_bad_row_spoils_only_itself_and_names_its_node() {
    let nowhere = with(vm("nowhere"), "location", Value::Null);
    let counts = with(vm("counts"), "available", json!({"security": []}));
    let time = with(vm("time"), "assessedAt", json!("soon"));
    let broken = with(installation("broken"), "failed", json!("many"));
    let rows = [vm("a"), nowhere, counts, time, vm("broken"), vm("b")];
    let told = summaries(&[broken, installation("b")], &rows).await;
    let good: Vec<_> = told.iter().flatten().map(|it| (it.node.name(), it.status)).collect();
    let well = ComplianceStatus::Compliant;
    assert_eq!(good, [("a", well), ("b", well)]);
    let bad: Vec<_> = told.iter().filter_map(|it| it.as_ref().err()).collect();
    let names: Vec<_> = bad.iter().map(|it| it.node().unwrap().name()).collect();
    assert_eq!(names, ["nowhere", "counts", "time", "broken"]);
    assert!(bad.iter().all(|it| it.kind() == ErrorKind::Malformed && it.scope().is_some()));
}

#[tokio::test]
async fn words_that_no_version_knows_and_lists_that_are_null_are_no_good_news() {
    let rows = [
        with(vm("word"), "assessment", json!("LearnedLater")),
        with(vm("null"), "available", Value::Null),
        with(vm("never"), "assessedAt", Value::Null),
    ];
    let odd = [with(installation("word"), "status", json!("LearnedLater"))];
    for known in summaries(&odd, &rows).await {
        let known = known.unwrap();
        assert_eq!(known.status, ComplianceStatus::Unknown, "{}", known.node);
    }
}

#[tokio::test]
async fn a_patch_that_cannot_be_read_leaves_the_others() {
    let patch = |id: &str, properties: Value| {
        let id =
            format!("{GROUP}/virtualMachines/a/patchAssessmentResults/latest/softwarePatches/{id}");
        json!({"id": id, "properties": properties})
    };
    let rows = [
        patch("1", json!({"patchName": "a", "version": "1", "classifications": null})),
        patch("2", json!({"patchName": "b", "version": "1", "classifications": "Security"})),
        patch(
            "3",
            json!({
                "patchName": "c", "version": "1", "classifications": ["Security"],
                "assessmentState": "LearnedLater",
            }),
        ),
    ];
    let service = Canned::new().then(200, &[], &page(&[vm("a")])).then(200, &[], &page(&[])).then(
        200,
        &[],
        &page(&rows),
    );
    let azure: UpdateManager = service.provider(Tokens::Same);
    let node = format!("azure/s-1/we/{GROUP}/virtualMachines/a").parse().unwrap();
    let told: Vec<_> = azure.patches(&node).collect().await;
    let states: Vec<_> = told.iter().flatten().map(|it| it.state.clone()).collect();
    assert_eq!(states, [PatchState::Available, PatchState::Other("LearnedLater".into())]);
    let error = told[1].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::Malformed, Some(&node)));
    // Ids stand in the query as texts.
    let asked: Vec<_> = Arc::clone(&service).asked();
    let query = asked[2].body["query"].as_str().unwrap().to_owned();
    assert!(
        query.contains(&format!("startswith '{GROUP}/virtualMachines/a/patchAssess")),
        "{query}"
    );
}
