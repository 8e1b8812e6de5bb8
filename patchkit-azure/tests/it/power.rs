//! Starts and stops.

use std::time::Duration;

use patchkit_core::{ErrorKind, Fleet, PowerState, PowerTarget};
use patchkit_testkit::cloud::Power;

use crate::cloud::{Cloud, arc, vm};

#[tokio::test]
async fn each_target_is_one_operation_and_what_is_there_is_none() {
    for (from, target, operation, to) in [
        (Power::Deallocated, PowerTarget::Running, "VirtualMachines_Start", Power::Running),
        (Power::Stopped, PowerTarget::Running, "VirtualMachines_Start", Power::Running),
        (Power::Running, PowerTarget::Stopped, "VirtualMachines_PowerOff", Power::Stopped),
        (
            Power::Running,
            PowerTarget::Deallocated,
            "VirtualMachines_Deallocate",
            Power::Deallocated,
        ),
        (
            Power::Stopped,
            PowerTarget::Deallocated,
            "VirtualMachines_Deallocate",
            Power::Deallocated,
        ),
    ] {
        let cloud = Cloud::empty().await;
        let (node, other) = (cloud.add(&vm().with_power(from)), cloud.add(&vm().with_power(from)));
        // Named twice, it is switched once; on the way, it is left alone.
        let them = [node.clone(), node.clone()];
        for _ in 0..2 {
            let answers = cloud.azure.set_power(&them, target).await;
            assert_eq!(answers.len(), 2);
            assert!(answers.iter().all(|(_, it)| it.is_ok()), "{from:?}: {answers:?}");
        }
        cloud.world.advance(Duration::from_mins(10));
        assert!(cloud.azure.set_power(&them, target).await.iter().all(|(_, it)| it.is_ok()));
        assert_eq!(cloud.count(operation), 1, "{from:?} to {target:?}");
        assert_eq!(cloud.world.node(node.resource()).unwrap().power, to);
        assert_eq!(cloud.world.node(other.resource()).unwrap().power, from);
        let status = cloud.azure.statuses(&[node]).await.remove(0).1.unwrap();
        assert_eq!(status.power, target.state());
    }
}

#[tokio::test]
async fn what_cannot_be_switched_says_why_and_nothing_is_sent() {
    let cloud = Cloud::empty().await;
    let hybrid = cloud.add(&arc());
    let gone = cloud.add(&vm().with_power(Power::Deallocated));
    let busy = cloud.vm();
    assert!(
        cloud.azure.set_power(std::slice::from_ref(&busy), PowerTarget::Deallocated).await[0]
            .1
            .is_ok()
    );
    cloud.world.forget_calls();
    for (node, target, kind, word) in [
        (&hybrid, PowerTarget::Running, ErrorKind::Unsupported, "Arc"),
        (&gone, PowerTarget::Stopped, ErrorKind::Conflict, "off already"),
        (&busy, PowerTarget::Running, ErrorKind::Conflict, "deallocating"),
    ] {
        let answers = cloud.azure.set_power(std::slice::from_ref(node), target).await;
        let error = answers[0].1.as_ref().unwrap_err();
        assert_eq!((error.kind(), error.node()), (kind, Some(node)), "{error}");
        assert!(error.message().contains(word), "{error}");
    }
    assert!(cloud.world.calls().iter().all(|call| call.operation == "VirtualMachines_Get"));
}

#[tokio::test]
async fn power_is_of_the_moment_while_it_changes() {
    let cloud = Cloud::empty().await;
    let node = cloud.add(&vm().with_power(Power::Deallocated));
    let them = std::slice::from_ref(&node);
    assert!(cloud.azure.set_power(them, PowerTarget::Running).await[0].1.is_ok());
    let status = cloud.azure.statuses(them).await.remove(0).1.unwrap();
    assert_eq!(status.power, PowerState::Starting);
}
