//! A process that dies, and another that goes on with nothing but an id.

use std::time::Duration;

use patchkit_core::{ErrorKind, Fleet, OperationStatus, PatchAction};

use super::{INSTALL, cloud, end, lacking, posts, request, token, web};
use crate::cloud::{arc, provider};

#[tokio::test]
async fn an_act_is_followed_by_its_id_alone() {
    for (spec, action, early) in [
        (web(), PatchAction::Scan, true),
        (web(), INSTALL, true),
        // Of an Arc machine Resource Graph tells of an assessment when it is over.
        (lacking(arc(), &["curl"]), PatchAction::Scan, false),
        (lacking(arc(), &["curl"]), INSTALL, true),
    ] {
        let cloud = cloud().await;
        let node = cloud.add(&spec);
        let id = cloud.azure.submit(request(&token(&cloud, "t"), &node, action)).await.unwrap();
        let other = provider(&cloud.world).build().unwrap();
        let seen = other.operation(&id).await;
        if early {
            assert_eq!(seen.unwrap().status, OperationStatus::InProgress, "{id}");
        } else {
            assert_eq!(seen.unwrap_err().kind(), ErrorKind::NotFound, "{id}");
        }
        cloud.world.advance(Duration::from_hours(1));
        let end = end(&cloud, &other, &id).await;
        assert_eq!(end.status, OperationStatus::Succeeded, "{id}: {end:?}");
        assert!(end.started_at.is_some() && end.ended_at.is_some(), "{id}: {end:?}");
        assert_eq!((cloud.count("Operations_Get"), posts(&cloud.world)), (0, 1));
    }
}

#[tokio::test]
async fn between_two_looks_at_a_machine_nobody_is_asked() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let id = cloud.azure.submit(request(&token(&cloud, "t"), &node, INSTALL)).await.unwrap();
    let other = provider(&cloud.world).build().unwrap();
    other.operation(&id).await.unwrap();
    let before = cloud.world.calls().len();
    for _ in 0..14 {
        cloud.world.advance(Duration::from_secs(1));
        other.operation(&id).await.unwrap();
    }
    assert_eq!(cloud.world.calls().len(), before);
    cloud.world.advance(Duration::from_secs(1));
    other.operation(&id).await.unwrap();
    assert_eq!(cloud.world.calls().len(), before + 1);
}

#[tokio::test]
async fn an_older_install_is_read_from_resource_graph() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let first = cloud.azure.submit(request(&token(&cloud, "t"), &node, INSTALL)).await.unwrap();
    end(&cloud, &cloud.azure, &first).await;
    cloud.world.advance(Duration::from_hours(1));
    let second = cloud.azure.submit(request(&token(&cloud, "u"), &node, INSTALL)).await.unwrap();
    end(&cloud, &cloud.azure, &second).await;
    let other = provider(&cloud.world).build().unwrap();
    assert_eq!(end(&cloud, &other, &first).await.status, OperationStatus::Succeeded);
    let result = other.install_result(&first).await.unwrap();
    assert_eq!((result.counts.installed, result.patches.len()), (3, 3));
    assert_eq!(other.install_result(&second).await.unwrap().counts.installed, 0);
}

#[tokio::test]
async fn an_id_that_names_no_act_is_not_found() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let elsewhere = "azure/other/westeurope//subscriptions/other/resourceGroups/g/providers\
                     /Microsoft.Compute/virtualMachines/vm";
    let activity = "ffffffff-ffff-4fff-8fff-ffffffffffff";
    for id in [
        activity.to_owned(),
        format!("install/{activity}/{elsewhere}"),
        format!("install/{activity}/{node}"),
        format!("scan/{activity}/{node}"),
    ] {
        let error = cloud.azure.operation(&id.parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{id}: {error}");
    }
}
