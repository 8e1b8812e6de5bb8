//! A start and a stop.

use std::{sync::Arc, time::Duration};

use patchkit_core::{ErrorKind, Fleet, NodeId, OperatingSystem, PowerTarget};
use patchkit_testkit::cloud::{Fault, FaultKind, NodeSpec, Power, World};

use super::{patient, provider, under, word};
use crate::support::{ACCOUNT, REGION, node, one_scope};

const SWITCHES: [(PowerTarget, &str, Power); 2] = [
    (PowerTarget::Running, "StartInstances", Power::Running),
    (PowerTarget::Stopped, "StopInstances", Power::Stopped),
];

/// A machine that is to be switched to `target`.
async fn world(target: PowerTarget) -> (Arc<World>, NodeId) {
    let world = Arc::new(one_scope(0).start().await.unwrap());
    let power = if target == PowerTarget::Running { Power::Stopped } else { Power::Running };
    let spec = NodeSpec::ec2(OperatingSystem::Ubuntu, ACCOUNT, REGION).with_power(power);
    let id = world.add_node(&spec).unwrap();
    (world, node(&id))
}

fn power(world: &World, node: &NodeId) -> Power {
    world.advance(Duration::from_mins(10));
    world.node(node.resource()).unwrap().power
}

#[tokio::test]
async fn a_switch_that_goes_wrong_is_sent_once_and_says_whether_it_may_have_been_done() {
    for (kind, outcome, acts) in [
        (FaultKind::Throttle, "throttle: Throttled, again", false),
        (FaultKind::Deny, "deny: PermissionDenied, never", false),
        (FaultKind::Fail { status: 500 }, "fail: Timeout, never", false),
        (FaultKind::Fail { status: 503 }, "fail: Timeout, never", false),
        (FaultKind::FailAfter, "fail_after: Timeout, never", true),
        (FaultKind::CutBefore, "cut_before: Timeout, never", false),
        (FaultKind::CutAfter, "cut_after: Timeout, never", true),
        (FaultKind::Truncate, "truncate: Timeout, never", true),
        (FaultKind::Away, "away: Timeout, never", false),
    ] {
        for (target, operation, switched) in SWITCHES {
            let (world, node) = world(target).await;
            let ssm = provider(&world, &patient(&world)).await;
            let them = std::slice::from_ref(&node);
            let answers =
                under(&world, Fault::new(kind).on(operation), ssm.set_power(them, target)).await;
            let error = answers[0].1.as_ref().unwrap_err();
            assert_eq!(word(kind, error), outcome, "{operation}: {}", error.report());
            assert_eq!(error.node(), Some(&node));
            assert_eq!(world.calls().of(operation).len(), 1, "{kind:?}");
            assert_eq!(power(&world, &node) == switched, acts, "{kind:?} on {operation}");
        }
    }
}

/// A signature of another time is refused at the door: the SDK sets its clock, and the one call that
/// is looked at is the second.
#[tokio::test]
async fn a_switch_by_a_clock_that_is_wrong_is_done_once() {
    for (target, operation, switched) in SWITCHES {
        let (world, node) = world(target).await;
        let ssm = provider(&world, &patient(&world)).await;
        let skew = Fault::new(FaultKind::ClockSkew { seconds: 3_600 }).on(operation);
        let them = std::slice::from_ref(&node);
        let answers = under(&world, skew, ssm.set_power(them, target)).await;
        assert!(answers[0].1.is_ok(), "{answers:?}");
        let calls = world.calls().of(operation);
        assert_eq!((calls.len(), calls.acted().len()), (2, 1), "{calls:?}");
        assert_eq!(power(&world, &node), switched);
    }
}

#[tokio::test]
async fn a_slow_answer_to_a_switch_is_waited_for() {
    for (target, operation, switched) in SWITCHES {
        let (world, node) = world(target).await;
        let ssm = provider(&world, &patient(&world)).await;
        let slow = Fault::new(FaultKind::Slow { seconds: 1 }).on(operation);
        let them = std::slice::from_ref(&node);
        let answers = under(&world, slow, ssm.set_power(them, target)).await;
        assert!(answers[0].1.is_ok(), "{answers:?}");
        assert_eq!(world.calls().of(operation).len(), 1);
        assert_eq!(power(&world, &node), switched);
    }
}

#[tokio::test]
async fn nothing_is_switched_whose_power_could_not_be_read() {
    for (kind, found) in [
        (FaultKind::Deny, ErrorKind::PermissionDenied),
        (FaultKind::Away, ErrorKind::Unexpected),
        (FaultKind::Throttle, ErrorKind::Throttled),
        (FaultKind::NullArray, ErrorKind::NotFound),
    ] {
        for (target, operation, switched) in SWITCHES {
            let (world, node) = world(target).await;
            let ssm = provider(&world, &patient(&world)).await;
            let fault = Fault::new(kind).on("DescribeInstances");
            let them = std::slice::from_ref(&node);
            let answers = under(&world, fault, ssm.set_power(them, target)).await;
            assert_eq!(answers[0].1.as_ref().unwrap_err().kind(), found, "{kind:?}");
            assert!(world.calls().of(operation).is_empty(), "{kind:?}");
            assert_ne!(power(&world, &node), switched);
        }
    }
}
