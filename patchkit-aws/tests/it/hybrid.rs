//! Activations and hybrid nodes that have fallen silent.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_sdk_ssm::types::InventoryItem;
use futures::TryStreamExt;
use patchkit_aws::{ActivationRequest, ListedActivation, StaleNode};
use patchkit_core::{ErrorKind, NodeId, OperatingSystem};
use patchkit_testkit::cloud::{Agent, Fault, FaultKind, NodeChange, NodeSpec, World};

use crate::{
    log::Log,
    support::{ACCOUNT, REGION, node, one_scope, sdk, ssm},
};

const CREATE: &str = "CreateActivation";
const DEREGISTER: &str = "DeregisterManagedInstance";
const DAY: Duration = Duration::from_hours(24);

fn request() -> ActivationRequest {
    ActivationRequest::new("patchkit-hybrid-node")
        .with_name("azure-web")
        .with_limit(25)
        .with_lifetime(3 * DAY)
        .with_tag("AzureVmId", "0f8fad5b-d9cb-469f-a165-70867728950e")
}

async fn empty() -> Arc<World> {
    Arc::new(one_scope(0).start().await.unwrap())
}

fn add(world: &World) -> NodeId {
    let spec = NodeSpec::hybrid(OperatingSystem::Ubuntu, ACCOUNT, REGION);
    node(&world.add_node(&spec).unwrap())
}

fn silence(world: &World, node: &NodeId) {
    let change = NodeChange::new().with_agent(Agent::ConnectionLost);
    assert!(world.change_node(node.resource(), &change));
}

fn wake(world: &World, node: &NodeId) {
    assert!(world.change_node(node.resource(), &NodeChange::new().with_agent(Agent::Online)));
}

#[tokio::test]
async fn an_activation_is_made_with_its_tags_listed_and_deleted() {
    let world = empty().await;
    let ssm = ssm(&world).await;
    let made = ssm.create_activation(&request()).await.unwrap();
    assert_eq!(made.code.expose().len(), 20);
    let all: Vec<ListedActivation> = ssm.activations().try_collect().await.unwrap();
    let [listed] = &all[..] else { panic!("{all:?}") };
    assert_eq!((&listed.id, listed.limit, listed.registrations), (&made.id, 25, 0));
    assert_eq!(listed.tags, request().tags);
    assert_eq!(listed.expires_at.unwrap().as_second(), made.expires_at.as_second());
    ssm.delete_activation(&made.id).await.unwrap();
    let error = ssm.delete_activation(&made.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn an_activation_whose_answer_is_lost_is_not_made_twice() {
    for kind in [FaultKind::CutAfter, FaultKind::CutBefore, FaultKind::FailAfter] {
        let world = empty().await;
        world.add_fault(Fault::new(kind).on(CREATE).times(1)).unwrap();
        let error = ssm(&world).await.create_activation(&request()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, false), "{error}");
        assert_eq!(world.calls().of(CREATE).len(), 1);
    }
}

#[tokio::test]
async fn a_request_that_the_service_would_refuse_is_not_sent() {
    let world = empty().await;
    let ssm = ssm(&world).await;
    for bad in [request().with_limit(0), request().with_lifetime(31 * DAY)] {
        let error = ssm.create_activation(&bad).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    assert!(world.calls().of(CREATE).is_empty());
    ssm.create_activation(&request().with_limit(1_000).with_lifetime(30 * DAY)).await.unwrap();
}

#[tokio::test]
async fn a_role_that_systems_manager_cannot_take_is_told() {
    let world = empty().await;
    let bad = ActivationRequest::new("patchkit-managed-node");
    let error = ssm(&world).await.create_activation(&bad).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("trust policy"), "{error}");
}

/// The SDK logs whole answers at the level `TRACE`.
#[tokio::test]
async fn the_code_of_an_activation_is_in_no_log_and_no_debug() {
    let world = empty().await;
    let ssm = ssm(&world).await;
    let log = Log::default();
    let made = {
        let _guard = tracing::subscriber::set_default(log.clone());
        let made = ssm.create_activation(&request()).await.unwrap();
        let all: Vec<ListedActivation> = ssm.activations().try_collect().await.unwrap();
        assert!(!format!("{all:?}").contains(made.code.expose()));
        made
    };
    let logged = log.text();
    assert!(logged.contains(&made.id), "the listing is logged");
    let told = logged.lines().find(|line| line.contains(made.code.expose()));
    assert_eq!(told, None);
    let debugged = format!("{made:?} {made:#?}");
    assert!(debugged.contains("Secret(…)") && !debugged.contains(made.code.expose()));
}

#[tokio::test]
async fn an_answer_that_is_spoiled_shows_no_code_in_its_error() {
    let world = empty().await;
    let ssm = ssm(&world).await;
    world.add_fault(Fault::new(FaultKind::Truncate).on(CREATE).times(1)).unwrap();
    let error = ssm.create_activation(&request()).await.unwrap_err();
    let text = format!("{error} {error:?} {}", error.report());
    assert!(!text.contains("ActivationCode"), "{text}");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, false), "{text}");
}

#[tokio::test]
async fn nodes_that_have_been_silent_for_long_are_listed_and_nothing_is_changed() {
    let world = empty().await;
    let (old, young, awake) = (add(&world), add(&world), add(&world));
    silence(&world, &old);
    world.advance(10 * DAY);
    silence(&world, &young);
    world.advance(DAY);
    world.forget_calls();
    let ssm = ssm(&world).await;
    let stale: Vec<StaleNode> = ssm.stale_nodes(7 * DAY).try_collect().await.unwrap();
    let ids: Vec<&NodeId> = stale.iter().map(|it| &it.node).collect();
    assert_eq!(ids, [&old]);
    assert!(stale[0].silent_for.as_hours() >= 11 * 24 && stale[0].computer_name.is_some());
    assert_eq!(world.calls().of("DescribeInstanceInformation").len(), 1);
    assert!(world.calls().of(DEREGISTER).is_empty());
    let all: Vec<StaleNode> = ssm.stale_nodes(Duration::ZERO).try_collect().await.unwrap();
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|it| it.node != awake));
}

#[tokio::test]
async fn a_node_that_has_answered_since_is_not_given_up() {
    let world = empty().await;
    let (gone, back, lately) = (add(&world), add(&world), add(&world));
    silence(&world, &gone);
    silence(&world, &back);
    world.advance(10 * DAY);
    let ssm = ssm(&world).await;
    let listed: Vec<StaleNode> = ssm.stale_nodes(7 * DAY).try_collect().await.unwrap();
    assert_eq!(listed.len(), 2);
    // Between the listing and the request one machine is switched on, and another one off.
    wake(&world, &back);
    silence(&world, &lately);
    world.advance(Duration::from_hours(1));
    let instance = node("i-0123456789abcdef0");
    let unknown = node("mi-0123456789abcdef0");
    let elsewhere: NodeId = format!("aws/{ACCOUNT}/us-east-1/{}", gone.resource()).parse().unwrap();
    let named =
        [gone.clone(), back.clone(), lately.clone(), instance, unknown, elsewhere, gone.clone()];
    let answers = ssm.deregister_stale(&named, 7 * DAY).await;
    let kinds: Vec<_> =
        answers.iter().map(|(_, it)| it.as_ref().err().map(patchkit_core::Error::kind)).collect();
    assert_eq!(
        kinds,
        [
            None,
            Some(ErrorKind::Conflict),
            Some(ErrorKind::Conflict),
            Some(ErrorKind::Unsupported),
            Some(ErrorKind::NotFound),
            Some(ErrorKind::NotFound),
        ],
        "{answers:?}"
    );
    assert_eq!(world.calls().of(DEREGISTER).len(), 1);
    assert!(world.node(gone.resource()).is_none());
    for kept in [&back, &lately] {
        assert!(world.node(kept.resource()).is_some());
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_deregistration_is_resolved_by_reading() {
    let world = empty().await;
    let (one, two) = (add(&world), add(&world));
    silence(&world, &one);
    silence(&world, &two);
    world.advance(10 * DAY);
    let ssm = ssm(&world).await;
    world.add_fault(Fault::new(FaultKind::CutAfter).on(DEREGISTER).times(1)).unwrap();
    let done = ssm.deregister_stale(std::slice::from_ref(&one), 7 * DAY).await;
    assert!(done[0].1.is_ok(), "{done:?}");
    world.add_fault(Fault::new(FaultKind::CutBefore).on(DEREGISTER).times(1)).unwrap();
    let done = ssm.deregister_stale(std::slice::from_ref(&two), 7 * DAY).await;
    let error = done[0].1.as_ref().unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::Timeout, Some(&two)), "{error}");
    assert_eq!(world.calls().of(DEREGISTER).len(), 2);
    assert!(world.node(two.resource()).is_some());
}

/// Writes the rows of an inventory type, as a script on the node does.
async fn report(world: &World, node: &NodeId, rows: &[&[(&str, &str)]]) {
    let row = |row: &&[(&str, &str)]| -> HashMap<String, String> {
        row.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let item = InventoryItem::builder()
        .type_name(TYPE)
        .schema_version("1.0")
        .capture_time("2026-11-24T02:00:00Z")
        .set_content(Some(rows.iter().map(row).collect()))
        .build()
        .unwrap();
    let client = aws_sdk_ssm::Client::new(&sdk(world, REGION));
    client.put_inventory().instance_id(node.resource()).items(item).send().await.unwrap();
}

const TYPE: &str = "Custom:AzureInstance";

#[tokio::test]
async fn inventory_of_ones_own_tells_which_machine_a_hybrid_node_is() {
    let world = empty().await;
    let [linked, silent, torn, wrong] = [(); 4].map(|()| add(&world));
    let id = "5c3e1f60-9a2b-4d47-8f10-2b6f0c9d1e7a";
    let arm = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/web";
    report(&world, &linked, &[&[("vmId", id), ("resourceId", arm), ("offer", "x")]]).await;
    let other = "6c3e1f60-9a2b-4d47-8f10-2b6f0c9d1e7a";
    report(&world, &torn, &[&[("vmId", id)], &[("vmId", other)]]).await;
    report(&world, &wrong, &[&[("vmId", "web-1")]]).await;
    let ssm = ssm(&world).await;
    let elsewhere: NodeId = "aws/999999999999/eu-west-1/mi-1".parse().unwrap();
    let nodes = [linked, silent, torn, wrong, elsewhere];
    let answers = ssm.identities(&nodes, TYPE).await;
    assert!(answers.iter().map(|(node, _)| node).eq(&nodes));
    let [linked, silent, torn, wrong, elsewhere] = <[_; 5]>::try_from(answers).unwrap();
    let identity = linked.1.unwrap();
    assert_eq!(identity.vm_id, Some(id.parse().unwrap()));
    assert_eq!(identity.resource_id.as_deref(), Some(arm));
    assert!(silent.1.unwrap().is_empty());
    for (bad, why) in [(torn, "another row"), (wrong, "cannot be read")] {
        let error = bad.1.unwrap_err();
        assert_eq!((error.kind(), error.node()), (ErrorKind::Malformed, Some(&bad.0)), "{error}");
        assert!(error.message().contains(why), "{error}");
    }
    assert_eq!(elsewhere.1.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_type_that_no_node_reports_tells_nothing() {
    let world = empty().await;
    let node = add(&world);
    let answers = ssm(&world).await.identities(std::slice::from_ref(&node), TYPE).await;
    assert!(answers[0].1.as_ref().unwrap().is_empty());
}
