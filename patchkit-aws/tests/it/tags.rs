//! Merging tags and taking them back.

use std::sync::Arc;

use patchkit_core::{Fleet, FleetExt, NodeOrigin, NodeSelector, Tags};

use crate::support::{one_scope, ssm};

fn tags<const N: usize>(pairs: [(&str, &str); N]) -> Tags {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

#[tokio::test]
async fn tags_of_instances_and_of_hybrid_nodes_are_merged_and_restored() {
    let world = Arc::new(one_scope(200).start().await.unwrap());
    let ssm = ssm(&world).await;
    let nodes = ssm.collect_nodes(&NodeSelector::all()).await.unwrap();
    for origin in [NodeOrigin::Cloud, NodeOrigin::Hybrid] {
        let node = nodes.iter().find(|it| it.origin == origin && !it.tags.is_empty()).unwrap();
        let (key, value) = node.tags.iter().find(|(key, _)| !key.starts_with("aws:")).unwrap();
        let mut wanted = tags([("CostCenter", "42")]);
        wanted.insert(key.clone(), format!("{value}-new"));
        let change = ssm.merge_tags(&node.id, &wanted).await.unwrap();
        assert_eq!(change.set.len(), 2, "{change:?}");
        let seen = ssm.node(&node.id).await.unwrap();
        assert!(wanted.iter().all(|(key, value)| seen.tags.get(key) == Some(value)));
        for _ in 0..2 {
            ssm.revert_tags(&change).await.unwrap();
            assert_eq!(ssm.node(&node.id).await.unwrap().tags, node.tags, "{origin}");
        }
    }
}

#[tokio::test]
async fn a_tag_that_someone_changed_since_is_left_to_him() {
    let world = Arc::new(one_scope(100).start().await.unwrap());
    let ssm = ssm(&world).await;
    let nodes = ssm.collect_nodes(&NodeSelector::all()).await.unwrap();
    let node = &nodes[0].id;
    let change = ssm.merge_tags(node, &tags([("Stage", "patched")])).await.unwrap();
    ssm.merge_tags(node, &tags([("Stage", "broken")])).await.unwrap();
    ssm.revert_tags(&change).await.unwrap();
    assert_eq!(ssm.node(node).await.unwrap().tags["Stage"], "broken");
}
