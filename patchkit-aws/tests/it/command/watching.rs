//! What is told of an act, from its beginning to its end.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use patchkit_aws::CommandOptions;
use patchkit_core::{
    ErrorKind, Fleet, NodeId, OperationId, OperationStatus, PatchAction, PatchRequest, RebootPolicy,
};
use patchkit_testkit::cloud::{Agent, Behavior, Fault, FaultKind, NodeChange, Power};

use super::{INSTALL, count, ended, online, scan, token};
use crate::support::{builder, one_scope, ssm};

#[tokio::test]
async fn an_install_ends_on_each_node_with_its_times_and_touches_no_other() {
    let world = Arc::new(one_scope(40).start().await.unwrap());
    let nodes = online(&world);
    let lacking = |id: &str| world.node(id).unwrap().absent.len();
    let before: usize = nodes.iter().map(|it| lacking(it.resource())).sum();
    let ssm = ssm(&world).await;
    let begun = world.now();
    let request = PatchRequest::new(token("install"), nodes[..4].to_vec(), INSTALL);
    let id = ssm.submit(request).await.unwrap();
    let end = ended(&world, &ssm, &id).await;
    assert_eq!((end.status, &end.id), (OperationStatus::Succeeded, &id));
    let told: BTreeSet<_> = end.nodes.iter().map(|it| it.node.clone()).collect();
    assert_eq!(told, nodes[..4].iter().cloned().collect());
    for node in &end.nodes {
        assert_eq!((node.status, &node.detail), (OperationStatus::Succeeded, &None));
        let (from, to) = (node.started_at.unwrap(), node.ended_at.unwrap());
        assert!(begun <= from && from < to && to <= world.now());
    }
    let others: usize = nodes[4..].iter().map(|it| lacking(it.resource())).sum();
    let all: usize = nodes.iter().map(|it| lacking(it.resource())).sum();
    assert!(all < before && others <= all);
    assert!(nodes[4..].iter().all(|it| !world.node(it.resource()).unwrap().busy));
    let sent = world.calls().of("SendCommand");
    let sent: BTreeSet<&str> = sent.ids().into_iter().collect();
    assert_eq!(sent, nodes[..4].iter().map(NodeId::resource).collect());
}

#[tokio::test]
async fn an_install_that_may_not_boot_boots_nothing() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let booted = || -> Vec<_> {
        nodes[..5].iter().map(|it| world.node(it.resource()).unwrap().booted).collect()
    };
    let ssm = ssm(&world).await;
    let before = booted();
    let quiet = PatchAction::Install(RebootPolicy::Never);
    let id =
        ssm.submit(PatchRequest::new(token("quiet"), nodes[..5].to_vec(), quiet)).await.unwrap();
    ended(&world, &ssm, &id).await;
    assert_eq!(booted(), before);
}

#[tokio::test]
async fn an_act_is_not_over_while_an_invocation_is_missing() {
    let late = Duration::from_mins(5);
    let world = one_scope(20).invocations_appear_after(late).start().await.unwrap();
    let world = Arc::new(world);
    let nodes = online(&world);
    let ssm = ssm(&world).await;
    let id = ssm.submit(scan("late", &nodes[..6])).await.unwrap();
    let act = ssm.operation(&id).await.unwrap();
    assert_eq!((act.status, act.nodes.len()), (OperationStatus::Pending, 0));
    let mut partly = false;
    for _ in 0..100 {
        world.advance(Duration::from_secs(5));
        let act = ssm.operation(&id).await.unwrap();
        partly |= act.nodes.len() < 6 && act.nodes.iter().any(|it| it.status.is_final());
        assert!(act.nodes.len() == 6 || !act.status.is_final(), "{act:?}");
    }
    assert!(partly, "some were over before all were told of");
    assert_eq!(ended(&world, &ssm, &id).await.status, OperationStatus::Succeeded);
}

#[tokio::test]
async fn following_an_act_costs_one_call_while_a_node_works() {
    let world = Arc::new(one_scope(160).start().await.unwrap());
    let nodes = online(&world);
    let ssm = ssm(&world).await;
    let request = PatchRequest::new(token("poll"), nodes[..50].to_vec(), INSTALL);
    let id = ssm.submit(request).await.unwrap();
    world.advance(Duration::from_secs(20));
    world.forget_calls();
    let act = ssm.operation(&id).await.unwrap();
    assert!(!act.status.is_final());
    assert_eq!(world.calls().len(), 1, "{:?}", world.calls());
    ended(&world, &ssm, &id).await;
    world.forget_calls();
    let act = ssm.operation(&id).await.unwrap();
    assert_eq!((act.nodes.len(), world.calls().len()), (50, 3));
}

#[tokio::test]
async fn every_node_is_told_once_over_several_pages() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let ssm = builder(&world).with_page_size(2).build().await.unwrap();
    let id = ssm.submit(scan("pages", &nodes[..7])).await.unwrap();
    let end = ended(&world, &ssm, &id).await;
    let told: Vec<_> = end.nodes.iter().map(|it| it.node.clone()).collect();
    assert_eq!(told, nodes[..7]);
    let duplicate = Fault::new(FaultKind::DuplicateItem).on("ListCommandInvocations");
    world.add_fault(duplicate).unwrap();
    assert_eq!(ssm.operation(&id).await.unwrap().nodes.len(), 7);
    world.clear_faults();
    let repeated = Fault::new(FaultKind::RepeatToken).on("ListCommandInvocations");
    world.add_fault(repeated).unwrap();
    assert_eq!(ssm.operation(&id).await.unwrap_err().kind(), ErrorKind::Malformed);
}

#[tokio::test]
async fn a_status_learned_later_is_unknown_and_not_the_end() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let ssm = ssm(&world).await;
    let id = ssm.submit(scan("new-word", &nodes[..2])).await.unwrap();
    ended(&world, &ssm, &id).await;
    world.add_fault(Fault::new(FaultKind::UnknownEnum).on("ListCommandInvocations")).unwrap();
    let act = ssm.operation(&id).await.unwrap();
    let odd = act.nodes.iter().any(|it| it.status == OperationStatus::Unknown);
    assert!(!odd || !act.status.is_final(), "{act:?}");
}

#[tokio::test]
async fn a_node_that_does_not_take_the_command_is_undeliverable_with_the_services_word() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let change = NodeChange::new().with_agent(Agent::ConnectionLost);
    world.change_node(nodes[0].resource(), &change);
    let options = CommandOptions::default().with_delivery_timeout(Duration::from_mins(2));
    let ssm = ssm(&world).await.with_command_options(options);
    let id = ssm.submit(scan("lost-node", &nodes[..2])).await.unwrap();
    let end = ended(&world, &ssm, &id).await;
    let told = |at: usize| end.node(&nodes[at]).map(|it| (it.status, it.detail.as_deref()));
    assert_eq!(told(0), Some((OperationStatus::Undeliverable, Some("DeliveryTimedOut"))));
    assert_eq!(told(1), Some((OperationStatus::Succeeded, None)));
    assert_eq!(end.status, OperationStatus::Failed, "not all went well");
}

#[tokio::test]
async fn a_node_that_is_turned_off_meanwhile_is_undeliverable() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let options = CommandOptions::default().with_delivery_timeout(Duration::from_mins(2));
    let ssm = ssm(&world).await.with_command_options(options);
    let id = ssm.submit(scan("off", &nodes[..1])).await.unwrap();
    world.change_node(nodes[0].resource(), &NodeChange::new().with_power(Power::Stopped));
    let end = ended(&world, &ssm, &id).await;
    assert_eq!(end.status, OperationStatus::Undeliverable, "{end:?}");
}

#[tokio::test]
async fn an_install_that_hangs_times_out() {
    let world = Arc::new(one_scope(20).behavior(Behavior::Hangs).start().await.unwrap());
    let nodes = online(&world);
    let ssm = ssm(&world).await;
    let request = PatchRequest::new(token("hang"), nodes[..3].to_vec(), INSTALL)
        .with_timeout(Duration::from_mins(10));
    let id = ssm.submit(request).await.unwrap();
    let end = ended(&world, &ssm, &id).await;
    let hung = end.nodes.iter().find(|it| it.status == OperationStatus::TimedOut).unwrap();
    let took = hung.ended_at.unwrap().duration_since(hung.started_at.unwrap()).as_secs();
    assert!((600..700).contains(&took), "{took}");
    assert!(hung.detail.as_deref().unwrap().starts_with("ExecutionTimedOut"), "{hung:?}");
}

#[tokio::test]
async fn what_failed_says_why_in_its_own_words() {
    let world = Arc::new(one_scope(20).behavior(Behavior::OneFails).start().await.unwrap());
    let nodes = online(&world);
    let ssm = ssm(&world).await;
    let request = PatchRequest::new(token("fails"), nodes[..5].to_vec(), INSTALL);
    let id = ssm.submit(request).await.unwrap();
    let end = ended(&world, &ssm, &id).await;
    let failed: Vec<_> =
        end.nodes.iter().filter(|it| it.status == OperationStatus::Failed).collect();
    assert!(!failed.is_empty(), "{end:?}");
    for node in failed {
        let detail = node.detail.as_deref().unwrap_or_default();
        assert!(detail.contains("failed to install"), "{node:?}");
    }
}

#[tokio::test]
async fn an_act_that_is_cancelled_ends_and_one_that_is_over_stays_as_it_is() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let ssm = ssm(&world).await;
    let request = PatchRequest::new(token("cancel"), nodes[..4].to_vec(), INSTALL);
    let id = ssm.submit(request).await.unwrap();
    world.advance(Duration::from_secs(15));
    ssm.cancel(&id).await.unwrap();
    let act = ssm.operation(&id).await.unwrap();
    assert!(matches!(act.status, OperationStatus::Cancelling | OperationStatus::Cancelled));
    let end = ended(&world, &ssm, &id).await;
    assert_eq!(end.status, OperationStatus::Cancelled, "{end:?}");
    ssm.cancel(&id).await.unwrap();
    assert_eq!(ssm.operation(&id).await.unwrap(), end);
    let id = ssm.submit(scan("over", &nodes[..2])).await.unwrap();
    let end = ended(&world, &ssm, &id).await;
    ssm.cancel(&id).await.unwrap();
    assert_eq!(ssm.operation(&id).await.unwrap(), end);
}

#[tokio::test]
async fn an_unknown_act_is_not_found() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let ssm = ssm(&world).await;
    for id in ["0831e1a8-a1ac-4257-a1fd-c831b48c4107", "no-command"] {
        let id: OperationId = id.parse().unwrap();
        assert_eq!(ssm.operation(&id).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(ssm.cancel(&id).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(count(&world, "CancelCommand"), 1);
}
