//! A subscription in which something goes wrong, beside one in which nothing does.

use patchkit_core::OperatingSystem;
use patchkit_testkit::cloud::{Denial, Fault, FaultKind, NodeSpec, RateLimit, Throttles, World};
use serde_json::{Value, json};

use super::ask;

const LOST: &str = "11111111-2222-3333-4444-555555555555";
const LEFT: &str = "66666666-7777-8888-9999-000000000000";

/// A VM in each of two subscriptions.
async fn two() -> World {
    let builder = World::builder().azure_subscription(LOST).azure_subscription(LEFT);
    let world = builder.nodes(0).throttles(Throttles::Off).start().await.unwrap();
    for subscription in [LOST, LEFT] {
        let vm = NodeSpec::vm(OperatingSystem::Ubuntu, subscription, "web");
        world.add_node(&vm).unwrap();
    }
    world
}

/// What Azure answers; none where the connection was cut.
fn arm(world: &World, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
    let head = [("authorization", "Bearer any"), ("content-type", "application/json")];
    let path = format!("{path}?api-version=2024-07-01");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, body) = ask(&world.endpoints().azure_endpoint, &head, method, &path, &body)?;
    Some((status, serde_json::from_str(&body).unwrap()))
}

/// The status of a list of VMs and of a VM's view in a subscription.
fn statuses(world: &World, subscription: &str) -> [Option<u16>; 2] {
    let list = format!("/subscriptions/{subscription}/providers/Microsoft.Compute/virtualMachines");
    let mut ids = world.node_ids().into_iter().filter_map(|it| world.node(&it)?.azure_id);
    let vm = ids.find(|it| it.contains(subscription)).unwrap();
    let status = |path: &str| Some(arm(world, "GET", path, &Value::Null)?.0);
    [status(&list), status(&format!("{vm}/instanceView"))]
}

/// The subscriptions of the rows that a query over these shows, or the code of its refusal.
fn seen(world: &World, subscriptions: &[&str]) -> Option<Result<Vec<String>, String>> {
    let query = "resources | where type =~ 'microsoft.compute/virtualmachines' \
                 | project subscriptionId | order by subscriptionId asc";
    let body = json!({"query": query, "subscriptions": subscriptions});
    let path = "/providers/Microsoft.ResourceGraph/resources";
    let (status, body) = arm(world, "POST", path, &body)?;
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    if status != 200 {
        return Some(Err(text(&body["error"]["code"])));
    }
    let rows = body["data"].as_array().unwrap();
    Some(Ok(rows.iter().map(|it| text(&it["subscriptionId"])).collect()))
}

fn set(world: &World, kind: FaultKind) {
    world.clear_faults();
    world.add_fault(Fault::new(kind).in_scope(LOST)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_one_subscription_leaves_the_other_alone() {
    let world = two().await;
    for (kind, status) in [
        (FaultKind::Away, None),
        (FaultKind::Throttle, Some(429)),
        (FaultKind::Deny, Some(403)),
        (FaultKind::Fail { status: 503 }, Some(503)),
    ] {
        set(&world, kind);
        assert_eq!(statuses(&world, LOST), [status; 2], "{kind:?}");
        assert_eq!(statuses(&world, LEFT), [Some(200); 2], "{kind:?}");
        assert_eq!(world.faults()[0].met, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_away_is_missing_from_queries_and_nothing_says_so() {
    let world = two().await;
    let both = Some(Ok(vec![LOST.to_owned(), LEFT.to_owned()]));
    assert_eq!(seen(&world, &[]), both);
    set(&world, FaultKind::Away);
    let rest = Some(Ok(vec![LEFT.to_owned()]));
    assert_eq!(seen(&world, &[LOST]), Some(Err("AccessDenied".to_owned())));
    assert_eq!(seen(&world, &[LEFT]), rest);
    assert_eq!(seen(&world, &[LOST, LEFT]), rest);
    assert_eq!(seen(&world, &[]), rest);
    assert_eq!(world.faults()[0].met, 3);
    let queries = world.calls().of("Resources");
    let faults: Vec<_> = queries.iter().map(|it| it.fault).collect();
    let away = Some(FaultKind::Away);
    assert_eq!(faults, [None, away, None, away, away]);
    world.clear_faults();
    assert_eq!(seen(&world, &[LOST, LEFT]), both);
    // Where everything is away, there is no one to answer.
    world.add_fault(Fault::new(FaultKind::Away)).unwrap();
    assert_eq!(seen(&world, &[LEFT]), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_in_the_scope_of_each_subscription_that_it_is_about() {
    let world = two().await;
    set(&world, FaultKind::Throttle);
    let refused = Some(Err("RateLimiting".to_owned()));
    assert_eq!(seen(&world, &[LOST]), refused);
    assert_eq!(seen(&world, &[LEFT, LOST]), refused);
    assert_eq!(seen(&world, &[]), refused);
    assert_eq!(seen(&world, &[LEFT]), Some(Ok(vec![LEFT.to_owned()])));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_denied_one_subscription_queries_the_other() {
    let world = two().await;
    world.deny(Denial::of("arm:Resources").in_scope("1111*")).unwrap();
    let rest = Some(Ok(vec![LEFT.to_owned()]));
    assert_eq!(seen(&world, &[LOST]).unwrap().unwrap_err(), "AuthorizationFailed");
    for asked in [&[LEFT][..], &[LOST, LEFT], &[LEFT, LOST], &[]] {
        assert_eq!(seen(&world, asked), rest, "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_over_several_subscriptions_is_a_call_in_each_of_them() {
    let world = two().await;
    world.limit(RateLimit::of("Resources", 0.001, 1)).unwrap();
    assert!(seen(&world, &[LOST]).unwrap().is_ok());
    let refused = Some(Err("RateLimiting".to_owned()));
    for asked in [&[LOST, LEFT][..], &[LEFT, LOST], &[]] {
        assert_eq!(seen(&world, asked), refused, "{asked:?}");
    }
}
