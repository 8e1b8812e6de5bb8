//! Whom maintenance configurations are for, and when they patch by themselves.

use futures::StreamExt;
use patchkit_azure::{Reach, Timing};
use patchkit_core::{
    Baseline, ErrorKind, FleetExt, ManagedNode, OperatingSystem, PatchBaseline, PatchGroup,
    PatchGroupName,
};
use patchkit_testkit::cloud::{Denial, NodeSpec};
use serde_json::{Value, json};

use crate::{
    arm,
    cloud::{Cloud, SUBSCRIPTION, arc, builder, provider, vm},
};

const OTHER: &str = "5b1c0ffe-0000-4000-8000-000000000002";

fn weekly() -> Value {
    json!({
        "location": "westeurope",
        "properties": {
            "maintenanceScope": "InGuestPatch",
            "extensionProperties": {"InGuestPatchMode": "User"},
            "maintenanceWindow": {
                "startDateTime": "2030-01-05 22:00", "duration": "03:00",
                "timeZone": "W. Europe Standard Time", "recurEvery": "Week Saturday",
            },
            "installPatches": {"rebootSetting": "Always", "linuxParameters":
                {"classificationsToInclude": ["Critical", "Security"]}},
        },
    })
}

async fn assign(cloud: &Cloud, scope: &str, name: &str, filter: Value) {
    let body = json!({"properties": {
        "maintenanceConfigurationId": arm::configuration("weekly"), "filter": filter,
    }});
    arm::put(&cloud.world, &arm::assignment(scope, name), &body).await;
}

/// The names of the assignments that are for a node.
async fn names(cloud: &Cloud, node: &ManagedNode) -> Vec<String> {
    let found = cloud.azure.schedules_of(node).await.unwrap();
    let mut names: Vec<_> =
        found.iter().map(|it| it.id.rsplit('/').next().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_node_has_the_schedules_that_are_its_own_and_those_that_find_it() {
    let cloud = Cloud::empty().await;
    arm::put(&cloud.world, &arm::configuration("weekly"), &weekly()).await;
    let web = cloud.add(&vm().with_tag("Env", "prod"));
    let arc = cloud.add(&arc().with_tag("env", "test"));
    let windows = cloud.add(&NodeSpec::vm(OperatingSystem::Windows, SUBSCRIPTION, "data"));
    let everywhere = arm::subscription();
    assign(&cloud, web.resource(), "own", Value::Null).await;
    let tags = |operator: &str| {
        json!({"tagSettings": {"filterOperator": operator, "tags":
            {"env": ["prod", "test"], "owner": ["alice"]}}})
    };
    assign(&cloud, &everywhere, "any-tag", tags("Any")).await;
    assign(&cloud, &everywhere, "all-tags", tags("All")).await;
    assign(&cloud, &everywhere, "windows", json!({"osTypes": ["windows"]})).await;
    assign(
        &cloud,
        &everywhere,
        "arc",
        json!({"resourceTypes": ["microsoft.hybridcompute/machines"]}),
    )
    .await;
    assign(&cloud, &everywhere, "place", json!({"locations": ["West Europe"]})).await;
    assign(&cloud, &everywhere, "elsewhere", json!({"locations": ["eastus"]})).await;
    assign(&cloud, &format!("{everywhere}/resourceGroups/DATA"), "of-group", json!({})).await;
    let node = async |id| cloud.azure.node(id).await.unwrap();
    assert_eq!(names(&cloud, &node(&web).await).await, ["any-tag", "own", "place"]);
    assert_eq!(names(&cloud, &node(&arc).await).await, ["any-tag", "arc", "place"]);
    assert_eq!(names(&cloud, &node(&windows).await).await, ["of-group", "place", "windows"]);
    let of_web = cloud.azure.schedules_of(&node(&web).await).await.unwrap();
    let own = of_web.iter().find(|it| matches!(it.reach, Reach::Machine(_))).unwrap();
    let Timing::Window(window) = &own.timing else { panic!("{own:?}") };
    assert_eq!(window.zone.iana(), Some("Europe/Berlin"));
    assert_eq!(window.schedule().unwrap().to_string(), "cron(0 22 ? * SAT *)");
}

#[tokio::test]
async fn only_what_may_patch_one_day_is_live() {
    let cloud = Cloud::empty().await;
    let id = cloud.add(&vm().with_tag("PatchGroup", "web"));
    let dormant = PatchBaseline::new("web", OperatingSystem::Ubuntu);
    let dormant = cloud.azure.create_baseline(&dormant).await.unwrap();
    cloud.azure.register(&PatchGroupName::new("web").unwrap(), &dormant).await.unwrap();
    let node = cloud.azure.node(&id).await.unwrap();
    let known = cloud.azure.assignments().await.unwrap();
    assert_eq!((known.of(&node).unwrap().len(), known.live(&node).unwrap().len()), (1, 0));
    arm::put(&cloud.world, &arm::configuration("weekly"), &weekly()).await;
    assign(&cloud, id.resource(), "own", Value::Null).await;
    let live = cloud.azure.assignments().await.unwrap().live(&node).unwrap();
    assert_eq!(live.into_iter().collect::<Vec<_>>(), [arm::configuration("weekly")]);
    // Of a configuration that is gone nothing is known, and that is not nothing.
    let gone = arm::configuration("weekly");
    arm::send(&cloud.world, azure_core::http::Method::Delete, &gone, &Value::Null).await;
    assert_eq!(cloud.azure.assignments().await.unwrap().live(&node).unwrap().len(), 1);
}

#[tokio::test]
async fn what_patches_no_guest_is_no_schedule_of_one() {
    let cloud = Cloud::empty().await;
    let id = cloud.vm();
    let mut host = weekly();
    host["properties"]["maintenanceScope"] = json!("Host");
    arm::put(&cloud.world, &arm::configuration("weekly"), &host).await;
    assign(&cloud, id.resource(), "own", Value::Null).await;
    let node = cloud.azure.node(&id).await.unwrap();
    assert!(node.schedules.is_empty(), "{:?}", node.schedules);
    assert!(cloud.azure.assignments().await.unwrap().all().is_empty());
}

#[tokio::test]
async fn a_subscription_that_cannot_be_read_leaves_the_others() {
    let world = builder().nodes(0).azure_subscription(OTHER).start().await.unwrap();
    let both = [SUBSCRIPTION, OTHER].map(|id| id.parse().unwrap());
    let azure = provider(&world).with_subscriptions(both).build().unwrap();
    let cloud = Cloud { world, azure };
    arm::put(&cloud.world, &arm::configuration("weekly"), &weekly()).await;
    let here = cloud.add(&vm());
    let there = cloud.world.add_node(&NodeSpec::vm(OperatingSystem::Ubuntu, OTHER, "web")).unwrap();
    let there = format!("azure/{OTHER}/westeurope/{there}").parse().unwrap();
    assign(&cloud, here.resource(), "own", Value::Null).await;
    let nodes = [cloud.azure.node(&here).await.unwrap(), cloud.azure.node(&there).await.unwrap()];
    cloud.world.deny(Denial::of("*:ConfigurationAssignments_List").in_scope(OTHER)).unwrap();
    let known = cloud.azure.assignments().await.unwrap();
    assert_eq!(known.of(&nodes[0]).unwrap().len(), 1);
    assert_eq!(known.of(&nodes[1]).unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(known.problems().len(), 1);
    assert_eq!(known.problems()[0].scope().unwrap().to_string(), format!("azure/{OTHER}/global"));
    let rows: Vec<_> = cloud.azure.groups().collect().await;
    assert_eq!(rows.iter().filter(|it| it.is_err()).count(), 1);
}
