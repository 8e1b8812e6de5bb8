use futures::StreamExt;
use patchkit_core::{ErrorKind, Fleet, NodeSelector, Result};
use serde_json::{Value, json};

use super::*;
use crate::{
    listing::NEXT,
    testing::{Canned, Tokens},
};

const GROUP: &str = "/subscriptions/s-1/resourceGroups/g/providers/Microsoft.Compute";

fn page(rows: &[Value]) -> Value {
    json!({"count": rows.len(), "data": rows, "resultTruncated": "false"})
}

fn vm(name: &str) -> Value {
    json!({
        "id": format!("{GROUP}/virtualMachines/{name}"), "name": name,
        "type": "microsoft.compute/virtualmachines", "location": "we",
        "view": {"powerState": {"code": "PowerState/running"}, "osName": "ubuntu"},
    })
}

async fn listed(service: &std::sync::Arc<Canned>) -> Vec<Result<ManagedNode>> {
    service.provider(Tokens::Same).nodes(&NodeSelector::all()).collect().await
}

#[tokio::test]
async fn a_bad_row_names_its_node_and_the_others_come() {
    let mut bad = vm("bad");
    bad["location"] = Value::Null;
    let mut odd = vm("odd");
    odd["tags"] = json!(["x"]);
    let nameless = json!({"type": "microsoft.compute/virtualmachines"});
    let rows = [vm("a"), bad, nameless, odd, vm("b")];
    let service = Canned::new().then(200, &[], &page(&rows));
    let mut rows = listed(&service).await;
    let good = rows.iter().flatten().map(|node| node.id.name()).collect::<Vec<_>>();
    assert_eq!(good, ["a", "b"]);
    let last = rows.pop().unwrap().unwrap_err();
    assert!(last.scope().is_none() && last.message().starts_with("1 rows"), "{last}");
    let errors: Vec<_> = rows.into_iter().filter_map(Result::err).collect();
    let told = |error: &Error| {
        assert_eq!(error.kind(), ErrorKind::Malformed);
        let scope = error.scope().map(ToString::to_string);
        (error.node().unwrap().name().to_owned(), scope.unwrap())
    };
    let told: Vec<_> = errors.iter().map(told).collect();
    assert_eq!(
        told,
        [
            ("bad".to_owned(), "azure/s-1/global".to_owned()),
            ("odd".to_owned(), "azure/s-1/we".to_owned()),
        ]
    );
}

#[tokio::test]
async fn a_next_page_on_another_host_gets_no_token() {
    let set = json!({
        "id": format!("{GROUP}/virtualMachineScaleSets/web"),
        "type": "microsoft.compute/virtualmachinescalesets", "location": "we",
    });
    let item = json!({
        "id": format!("{GROUP}/virtualMachineScaleSets/web/virtualMachines/0"), "name": "web_0",
        "location": "we", "properties": {"instanceView": {"statuses": []}},
    });
    let link = "https://evil.example/subscriptions?$skiptoken=2";
    let service = Canned::new().then(200, &[], &page(&[set, vm("a")])).then(
        200,
        &[],
        &json!({"value": [item], NEXT: link}),
    );
    let rows = listed(&service).await;
    assert_eq!(rows.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    let error = rows[1].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert_eq!(error.scope().unwrap().to_string(), "azure/s-1/we");
    let asked = service.asked();
    // The query, the set's machines, and the two lists of schedules.
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|it| it.url.starts_with("https://management.azure.com/")));
}

#[tokio::test]
async fn an_agent_that_cannot_be_asked_is_not_known() {
    let mut row = vm("a");
    row["view"]["osName"] = Value::Null;
    let denied = json!({"error": {"code": "AuthorizationFailed", "message": "no"}});
    let service = Canned::new().then(200, &[], &page(&[row])).then(403, &[], &denied);
    let node = listed(&service).await.remove(0).unwrap();
    assert_eq!(node.reachability, patchkit_core::Reachability::Unknown);
    assert_eq!(node.unmanaged, Some(patchkit_core::UnmanagedReason::Unknown));
}
