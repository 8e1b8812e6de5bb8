//! Azure's resource groups as selectors.

use patchkit_core::{ErrorKind, Fleet, NodeSelector, OperatingSystem, ResourceGroupName};
use patchkit_testkit::cloud::NodeSpec;

use crate::cloud::{Cloud, SUBSCRIPTION, all};

fn of(groups: &[&str]) -> NodeSelector {
    let names = groups.iter().map(|name| ResourceGroupName::new(name).unwrap());
    NodeSelector::all().with_resource_groups(names)
}

async fn world() -> Cloud {
    let cloud = Cloud::empty().await;
    for group in ["web", "web", "db"] {
        cloud.add(&NodeSpec::vm(OperatingSystem::Ubuntu, SUBSCRIPTION, group));
    }
    cloud
}

#[tokio::test]
async fn a_group_takes_its_members_and_is_told_by_the_name_asked_for() {
    let cloud = world().await;
    for (groups, nodes) in [(&["web"][..], 2), (&["WEB", "db"], 3), (&[], 0)] {
        let selector = of(groups);
        let listed = all(cloud.azure.nodes(&selector)).await.unwrap();
        assert_eq!(listed.len(), nodes, "{groups:?}");
        assert!(listed.iter().all(|node| selector.matches(node)), "{listed:?}");
    }
}

#[tokio::test]
async fn a_group_that_is_not_there_is_an_error_whichever_nodes_are_asked_for() {
    let cloud = world().await;
    let node = all(cloud.azure.nodes(&of(&["db"]))).await.unwrap().remove(0).id;
    for selector in [of(&["none"]), of(&["web", "none"]), of(&["none"]).with_ids([node])] {
        let error = all(cloud.azure.nodes(&selector)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{selector}");
        assert!(error.message().contains("none"), "{error}");
    }
}
