//! Subscriptions of several tenants as one estate.

use std::sync::Arc;

use futures::TryStreamExt;
use patchkit_azure::{OpenedEstate, Subscriptions, UpdateManager, UpdateManagerBuilder};
use patchkit_core::{AccountId, ErrorKind, Fleet, NodeId, NodeSelector, OperatingSystem};
use patchkit_testkit::cloud::{
    Denial, Fault, FaultKind, NodePlace, NodeSpec, Throttles, World, WorldBuilder,
    s3::SignatureChecks,
};

use crate::{cloud::provider, credential::Application};

const ONE: &str = "5b1c0ffe-0000-4000-8000-000000000001";
const TWO: &str = "5b1c0ffe-0000-4000-8000-000000000002";
const THREE: &str = "5b1c0ffe-0000-4000-8000-000000000003";
/// The applications of two tenants.
const APPLICATIONS: [&str; 2] =
    ["00000000-0000-4000-8000-0000000000f1", "00000000-0000-4000-8000-0000000000f2"];

fn id(id: &str) -> AccountId {
    id.parse().unwrap()
}

fn three() -> WorldBuilder {
    let world = World::builder()
        .seed(7)
        .nodes(0)
        .throttles(Throttles::Off)
        .signature_checks(SignatureChecks::On);
    [ONE, TWO, THREE].into_iter().fold(world, WorldBuilder::azure_subscription)
}

/// A world with a VM in westeurope and one in uksouth in each subscription.
async fn peopled() -> World {
    let world = three().start().await.unwrap();
    for subscription in [ONE, TWO, THREE] {
        for location in ["westeurope", "uksouth"] {
            let place = NodePlace::Vm {
                subscription: subscription.to_owned(),
                resource_group: format!("web-{location}"),
                location: Some(location.to_owned()),
            };
            world.add_node(&NodeSpec::new(OperatingSystem::Ubuntu, place)).unwrap();
        }
    }
    world
}

fn tenant(world: &World, application: &str) -> UpdateManagerBuilder {
    UpdateManager::builder(Application::new(world, application))
        .with_endpoint(world.endpoints().azure_endpoint.parse().unwrap())
        .with_clock(world.clock())
        .with_budget(patchkit_azure::CallBudget::unlimited())
}

async fn ids(opened: &OpenedEstate) -> Vec<NodeId> {
    let nodes = opened.estate.nodes(&NodeSelector::all());
    nodes.map_ok(|node| node.id).try_collect().await.unwrap()
}

fn scopes(opened: &OpenedEstate) -> Vec<String> {
    opened.estate.scopes().map(ToString::to_string).collect()
}

#[tokio::test]
async fn what_a_credential_may_read_is_found_and_listed_once() {
    let world = peopled().await;
    let contoso = tenant(&world, APPLICATIONS[0]);
    let opened = Subscriptions::new().with_tenant("contoso", contoso).open().await.unwrap();
    assert!(opened.failures.is_empty(), "{:?}", opened.failures);
    assert_eq!(opened.tenants.len(), 1);
    assert_eq!(world.calls().of("Subscriptions_List").len(), 1);
    assert_eq!(world.calls().of("Subscriptions_Get").len(), 0, "the listing proves them");
    assert_eq!(world.calls().of("Resources").len(), 2);
    assert_eq!(scopes(&opened).len(), 9, "two locations and the whole: {:?}", scopes(&opened));
    let mut listed = ids(&opened).await;
    assert_eq!(listed.len(), 6);
    listed.sort();
    listed.dedup();
    assert_eq!(listed.len(), 6);
}

#[tokio::test]
async fn each_tenant_is_reached_by_its_own_credential() {
    let world = peopled().await;
    // The second tenant's application sees the third subscription alone.
    for (application, hidden) in [(0, THREE), (1, ONE), (1, TWO)] {
        let denial = Denial::of("*").to(APPLICATIONS[application]).in_scope(hidden);
        world.deny(denial).unwrap();
    }
    let [first, second] = APPLICATIONS.map(|it| tenant(&world, it));
    let opened = Subscriptions::new()
        .with_tenant("contoso", first)
        .with_tenant("fabrikam", second.with_subscriptions([id(THREE)]))
        .open()
        .await
        .unwrap();
    assert!(opened.failures.is_empty(), "{:?}", opened.failures);
    assert_eq!(opened.tenants[0].subscriptions(), [id(ONE), id(TWO)]);
    assert_eq!(opened.tenants[1].subscriptions(), [id(THREE)]);
    assert_eq!(ids(&opened).await.len(), 6);
    let node = ids(&opened).await.into_iter().find(|it| it.scope().account() == &id(THREE));
    world.forget_calls();
    opened.estate.statuses(&[node.unwrap()]).await.remove(0).1.unwrap();
    assert_eq!(world.calls().of_caller(APPLICATIONS[1]).len(), 1);
}

#[tokio::test]
async fn one_that_two_tenants_see_is_the_firsts() {
    let world = peopled().await;
    let [first, second] = APPLICATIONS.map(|it| tenant(&world, it));
    let opened = Subscriptions::new()
        .with_tenant("contoso", first.with_subscriptions([id(&TWO.to_uppercase())]))
        .with_tenant("lighthouse", second)
        .open()
        .await
        .unwrap();
    assert_eq!(opened.tenants[0].subscriptions(), [id(&TWO.to_uppercase())]);
    assert_eq!(opened.tenants[1].subscriptions(), [id(ONE), id(THREE)]);
    assert_eq!(ids(&opened).await.len(), 6);
}

#[tokio::test]
async fn a_denied_and_a_missing_subscription_are_rows_and_the_others_are_opened() {
    let world = peopled().await;
    world.deny(Denial::of("*").in_scope(TWO)).unwrap();
    let missing = "5b1c0ffe-0000-4000-8000-00000000dead";
    let contoso = tenant(&world, APPLICATIONS[0]).with_subscriptions([ONE, TWO, missing].map(id));
    let opened = Subscriptions::new().with_tenant("contoso", contoso).open().await.unwrap();
    assert_eq!(ids(&opened).await.len(), 2);
    let told: Vec<_> =
        opened.failures.iter().map(|it| (it.subscription.clone(), it.kind)).collect();
    let told_of = |id: &str, kind| (Some(self::id(id)), kind);
    assert_eq!(
        told,
        [told_of(TWO, ErrorKind::PermissionDenied), told_of(missing, ErrorKind::NotFound)]
    );
    let text = opened.failures[0].to_string();
    assert!(text.starts_with(&format!("not opened: azure/{TWO} of contoso: ")), "{text}");
}

#[tokio::test]
async fn one_that_can_be_read_and_of_which_the_graph_shows_nothing_is_a_row() {
    let world = peopled().await;
    // Its own read is allowed, and that of everything in it is not.
    for action in ["Microsoft.Compute/*", "Microsoft.HybridCompute/*", "microsoft.resources/*/r*"] {
        world.deny(Denial::of(action).in_scope(TWO)).unwrap();
    }
    world.deny(Denial::of("microsoft.maintenance/*").in_scope(TWO)).unwrap();
    let azure = provider(&world).with_subscriptions([id(TWO)]);
    let opened = Subscriptions::new().with_tenant("contoso", azure).open().await.unwrap();
    assert_eq!(ids(&opened).await.len(), 2);
    let [failure] = &opened.failures[..] else { panic!("{:?}", opened.failures) };
    assert_eq!(
        (&failure.subscription, failure.kind),
        (&Some(id(TWO)), ErrorKind::PermissionDenied)
    );
}

#[tokio::test]
async fn one_that_is_denied_later_is_an_error_of_its_scope() {
    let world = peopled().await;
    let contoso = tenant(&world, APPLICATIONS[0]);
    let opened = Subscriptions::new().with_tenant("contoso", contoso).open().await.unwrap();
    world.deny(Denial::of("*").in_scope(TWO)).unwrap();
    let rows: Vec<_> = {
        use futures::StreamExt;
        opened.estate.nodes(&NodeSelector::all()).collect().await
    };
    let errors: Vec<_> = rows.iter().filter_map(|row| row.as_ref().err()).collect();
    assert_eq!((rows.len(), errors.len()), (5, 1), "{errors:?}");
    assert_eq!(errors[0].scope().unwrap().to_string(), format!("azure/{TWO}/global"));
}

#[tokio::test]
async fn a_tenant_that_cannot_be_listed_is_a_row_and_the_others_are_opened() {
    let world = peopled().await;
    let fault = Fault::new(FaultKind::Deny).on("Subscriptions_List").of_caller(APPLICATIONS[1]);
    world.add_fault(fault).unwrap();
    let [first, second] = APPLICATIONS.map(|it| tenant(&world, it));
    let first = first.with_subscriptions([id(ONE)]);
    let both = Subscriptions::new().with_tenant("contoso", first).with_tenant("fabrikam", second);
    let opened = both.open().await.unwrap();
    assert_eq!(opened.tenants.len(), 1);
    let [failure] = &opened.failures[..] else { panic!("{:?}", opened.failures) };
    assert_eq!((&*failure.tenant, &failure.subscription), ("fabrikam", &None));
    assert!(failure.to_string().starts_with("not opened: azure/* of fabrikam: "), "{failure}");
}

#[tokio::test]
async fn locations_that_are_named_are_those_of_every_subscription() {
    let world = peopled().await;
    let contoso = tenant(&world, APPLICATIONS[0]).with_subscriptions([id(ONE)]);
    let opened = Subscriptions::new()
        .with_tenant("contoso", contoso)
        .with_locations(["uksouth".parse().unwrap()])
        .open()
        .await
        .unwrap();
    assert_eq!(scopes(&opened), [format!("azure/{ONE}/global"), format!("azure/{ONE}/uksouth")]);
    assert_eq!(ids(&opened).await.len(), 1);
}

#[tokio::test]
async fn an_estate_of_nothing_is_an_error() {
    let world = Arc::new(three().start().await.unwrap());
    let contoso = || tenant(&world, APPLICATIONS[0]);
    let none = Subscriptions::new().open().await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::InvalidInput);
    let all = [ONE, TWO, THREE].map(id);
    let none = Subscriptions::new().with_tenant("contoso", contoso()).without_subscriptions(all);
    assert_eq!(none.open().await.unwrap_err().kind(), ErrorKind::InvalidInput);
    world.deny(Denial::of("Microsoft.Resources/subscriptions/read")).unwrap();
    let named = contoso().with_subscriptions([id(ONE)]);
    let none = Subscriptions::new().with_tenant("contoso", named).open().await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::PermissionDenied);
}
