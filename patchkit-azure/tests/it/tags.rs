//! Tags by the Tags API.

use patchkit_core::{ErrorKind, Fleet, Tags};

use crate::cloud::{Cloud, arc, vm};

fn tags<const N: usize>(pairs: [(&str, &str); N]) -> Tags {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

#[tokio::test]
async fn tags_are_merged_and_the_machine_itself_is_left() {
    let cloud = Cloud::empty().await;
    for spec in [vm(), arc()] {
        let node = cloud.add(&spec.with_tag("Owner", "alice"));
        let wanted = tags([("OWNER", "bob"), ("Cost", "42")]);
        let change = cloud.azure.merge_tags(&node, &wanted).await.unwrap();
        let keys: Vec<&str> = change.set.iter().map(|edit| edit.key.as_str()).collect();
        assert_eq!(keys, ["Cost", "Owner"], "the spelling that is there stays");
        assert!(cloud.azure.merge_tags(&node, &wanted).await.unwrap().is_empty());
        cloud.azure.revert_tags(&change).await.unwrap();
        assert!(
            !cloud.azure.merge_tags(&node, &tags([("Owner", "bob")])).await.unwrap().is_empty()
        );
    }
    assert!(
        cloud
            .world
            .calls()
            .iter()
            .all(|it| it.operation.starts_with("Tags_") || it.operation == "Token")
    );
}

#[tokio::test]
async fn a_tag_that_someone_else_has_changed_stays() {
    let cloud = Cloud::empty().await;
    let node = cloud.add(&vm().with_tag("Stage", "test"));
    let change = cloud.azure.merge_tags(&node, &tags([("Stage", "prod")])).await.unwrap();
    cloud.azure.merge_tags(&node, &tags([("Stage", "canary")])).await.unwrap();
    cloud.azure.revert_tags(&change).await.unwrap();
    let again = cloud.azure.merge_tags(&node, &tags([("Stage", "canary")])).await.unwrap();
    assert!(again.is_empty(), "{again:?}");
}

#[tokio::test]
async fn more_than_fifty_are_refused_before_they_are_sent() {
    let cloud = Cloud::empty().await;
    let mut spec = vm();
    for number in 0..49 {
        spec = spec.with_tag(format!("t{number}"), "x");
    }
    let node = cloud.add(&spec);
    let error = cloud.azure.merge_tags(&node, &tags([("a", "1"), ("b", "2")])).await.unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::InvalidInput, Some(&node)));
    assert_eq!(cloud.count("Tags_UpdateAtScope"), 0);
    assert!(cloud.azure.merge_tags(&node, &tags([("a", "1"), ("t0", "2")])).await.is_ok());
}
