//! Starting and stopping.

use std::{sync::Arc, time::Duration};

use patchkit_core::{
    ErrorKind, Fleet, FleetExt, NodeId, NodeOrigin, NodeSelector, PowerState, PowerTarget,
};
use patchkit_testkit::cloud::{Fault, FaultKind, World};

use crate::support::{node, one_scope, ssm};

async fn of_power(world: &Arc<World>, power: PowerState) -> Vec<NodeId> {
    let selector = NodeSelector::all().with_power([power]);
    let nodes = ssm(world).await.collect_nodes(&selector).await.unwrap();
    nodes.into_iter().filter(|it| it.origin == NodeOrigin::Cloud).map(|it| it.id).collect()
}

#[tokio::test]
async fn only_the_nodes_named_are_started_and_by_one_call() {
    let world = Arc::new(one_scope(200).start().await.unwrap());
    let stopped = of_power(&world, PowerState::Stopped).await;
    let (named, others) = stopped.split_at(3);
    world.forget_calls();
    for (node, answer) in ssm(&world).await.set_power(named, PowerTarget::Running).await {
        answer.unwrap_or_else(|error| panic!("{node}: {}", error.report()));
    }
    let starts = world.calls().of("StartInstances");
    assert_eq!(starts.len(), 1);
    world.advance(Duration::from_mins(10));
    let running = of_power(&world, PowerState::Running).await;
    assert!(named.iter().all(|it| running.contains(it)));
    assert!(others.iter().all(|it| !running.contains(it)));
}

#[tokio::test]
async fn a_node_that_is_not_there_leaves_the_others_switched() {
    let world = Arc::new(one_scope(200).start().await.unwrap());
    let mut nodes = of_power(&world, PowerState::Running).await;
    nodes.truncate(2);
    nodes.push(node("i-0123456789abcdef0"));
    nodes.push(node("mi-0123456789abcdef0"));
    let answers = ssm(&world).await.set_power(&nodes, PowerTarget::Stopped).await;
    let kinds: Vec<_> =
        answers.iter().map(|(_, it)| it.as_ref().err().map(patchkit_core::Error::kind)).collect();
    assert_eq!(
        kinds,
        [None, None, Some(ErrorKind::NotFound), Some(ErrorKind::Unsupported)],
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_stop_whose_answer_is_lost_is_not_sent_again() {
    let world = Arc::new(one_scope(200).start().await.unwrap());
    let nodes = of_power(&world, PowerState::Running).await;
    world.add_fault(Fault::new(FaultKind::CutAfter).on("StopInstances")).unwrap();
    let answers = ssm(&world).await.set_power(&nodes[..1], PowerTarget::Stopped).await;
    let error = answers[0].1.as_ref().unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, false), "{error}");
    assert_eq!(world.calls().of("StopInstances").len(), 1);
}
