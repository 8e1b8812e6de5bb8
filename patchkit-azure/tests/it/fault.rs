//! Calls that go wrong.

use std::time::Duration;

use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions};
use patchkit_core::{Error, ErrorKind, Fleet, FleetExt, NodeSelector, PowerTarget, Retry};
use patchkit_testkit::cloud::{Fault, FaultKind, Power};

use crate::cloud::{Cloud, all, provider, vm};

/// Retries of reads, in a hurry.
fn patient() -> ClientOptions {
    let hurry = ExponentialRetryOptions {
        initial_delay: azure_core::time::Duration::milliseconds(1),
        max_retries: 3,
        ..ExponentialRetryOptions::default()
    };
    ClientOptions { retry: RetryOptions::exponential(hurry), ..ClientOptions::default() }
}

fn word(kind: FaultKind, error: &Error) -> String {
    let again = match error.retry() {
        Retry::Never => "never",
        _ => "again",
    };
    format!("{}: {:?}, {again}", kind.as_str(), error.kind())
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
    ] {
        for (from, target, operation, to) in [
            (Power::Deallocated, PowerTarget::Running, "VirtualMachines_Start", Power::Running),
            (Power::Running, PowerTarget::Stopped, "VirtualMachines_PowerOff", Power::Stopped),
        ] {
            let cloud = Cloud::empty().await;
            // Reads are retried, and a write is not for that.
            let azure = provider(&cloud.world).with_client_options(patient()).build().unwrap();
            let node = cloud.add(&vm().with_power(from));
            cloud.world.add_fault(Fault::new(kind).on(operation)).unwrap();
            let error = azure.power(&node, target).await.unwrap_err();
            assert_eq!(word(kind, &error), outcome, "{operation}: {}", error.report());
            assert_eq!(error.node(), Some(&node));
            assert_eq!(cloud.count(operation), 1, "{kind:?}");
            cloud.world.advance(Duration::from_mins(10));
            let power = cloud.world.node(node.resource()).unwrap().power;
            assert_eq!(power == to, acts, "{kind:?} on {operation}");
        }
    }
}

#[tokio::test]
async fn a_read_that_goes_wrong_for_a_while_is_read_again() {
    for kind in [
        FaultKind::Fail { status: 503 },
        FaultKind::CutBefore,
        FaultKind::CutAfter,
        FaultKind::Truncate,
    ] {
        let cloud = Cloud::empty().await;
        cloud.vm();
        let azure = provider(&cloud.world).with_client_options(patient()).build().unwrap();
        cloud.world.add_fault(Fault::new(kind).on("Resources").times(2)).unwrap();
        let nodes = all(azure.nodes(&NodeSelector::all())).await;
        assert_eq!(nodes.unwrap().len(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_read_that_stays_wrong_may_be_tried_later() {
    for (kind, outcome) in [
        (FaultKind::Fail { status: 500 }, "fail: Unexpected, again"),
        (FaultKind::CutAfter, "cut_after: Unexpected, again"),
        (FaultKind::Throttle, "throttle: Throttled, again"),
        (FaultKind::Deny, "deny: PermissionDenied, never"),
    ] {
        let cloud = Cloud::empty().await;
        let node = cloud.vm();
        cloud.world.add_fault(Fault::new(kind).on("VirtualMachines_InstanceView")).unwrap();
        let error = cloud.azure.status(&node).await.unwrap_err();
        assert_eq!(word(kind, &error), outcome, "{}", error.report());
        let told = cloud.world.calls().iter().last().map(|call| call.request_id.clone());
        if kind != FaultKind::CutAfter {
            assert_eq!(error.request_id().map(str::to_owned), told, "{error}");
        }
    }
}

#[tokio::test]
async fn a_throttle_says_when_to_come_back() {
    let cloud = Cloud::empty().await;
    let node = cloud.vm();
    cloud
        .world
        .add_fault(Fault::new(FaultKind::Throttle).on("VirtualMachines_InstanceView"))
        .unwrap();
    let error = cloud.azure.status(&node).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(1)));
}

#[tokio::test]
async fn a_token_that_has_ended_is_renewed_and_even_a_write_goes_on() {
    let cloud = Cloud::empty().await;
    let node = cloud.vm();
    assert!(cloud.azure.status(&node).await.is_ok());
    cloud.world.advance(Duration::from_hours(2));
    assert!(cloud.azure.power(&node, PowerTarget::Stopped).await.is_ok());
    let calls = cloud.world.calls();
    assert_eq!(calls.of("VirtualMachines_PowerOff").acted().len(), 1);
    assert_eq!(calls.of("Token").len(), 2);
}

#[tokio::test]
async fn documented_rates_are_kept_without_a_single_refusal() {
    let world = crate::cloud::builder()
        .throttles(patchkit_testkit::cloud::Throttles::Documented)
        .nodes(0)
        .start()
        .await
        .unwrap();
    let azure =
        provider(&world).with_budget(patchkit_azure::CallBudget::share(1.0)).build().unwrap();
    let node = crate::cloud::node(&world.add_node(&vm()).unwrap());
    let from = world.now();
    for _ in 0..50 {
        azure.status(&node).await.unwrap();
    }
    // Thirty-six at once, and twelve in a minute then.
    let took = world.now().duration_since(from).as_secs();
    assert!((60..100).contains(&took), "{took}");
    assert!(world.calls().iter().all(|call| call.status == Some(200)), "{:?}", world.calls());
}
