//! What must not be shown, and where tokens must not go.

use patchkit_azure::UpdateManager;
use patchkit_core::{ErrorKind, Fleet, FleetExt};
use patchkit_testkit::cloud::{Fault, FaultKind};

use crate::{
    cloud::{APPLICATION, Cloud, SUBSCRIPTION, provider},
    credential::{Application, SECRET},
};

#[tokio::test]
async fn neither_secret_nor_token_is_in_a_debug_or_an_error() {
    let cloud = Cloud::empty().await;
    let node = cloud.vm();
    cloud.azure.status(&node).await.unwrap();
    let mut shown = format!("{:?} {:#?} {:?}", cloud.azure, cloud.azure, provider(&cloud.world));
    for kind in [FaultKind::CutAfter, FaultKind::Deny, FaultKind::Fail { status: 500 }] {
        let fault = Fault::new(kind).on("VirtualMachines_InstanceView").times(1);
        cloud.world.add_fault(fault).unwrap();
        let error = cloud.azure.status(&node).await.unwrap_err();
        shown.push_str(&format!("{error:?} {}", error.report()));
    }
    assert!(!shown.contains(SECRET) && !shown.contains("eyJ"), "{shown}");
}

#[tokio::test]
async fn a_builder_that_would_send_tokens_in_the_clear_is_refused() {
    let cloud = Cloud::empty().await;
    let builder = || UpdateManager::builder(Application::new(&cloud.world, APPLICATION));
    let named = || builder().with_subscriptions([SUBSCRIPTION.parse().unwrap()]);
    for (builder, word) in [
        (builder(), "no subscription"),
        (named().with_endpoint("http://management.azure.com".parse().unwrap()), "plain HTTP"),
        (named().with_endpoint("https://x.example/arm".parse().unwrap()), "host"),
        (named().with_endpoint("https://me:pw@x.example".parse().unwrap()), "host"),
        (builder().with_subscriptions(["a%2fb".parse().unwrap()]), "no id"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains(word), "{error}");
    }
}

#[tokio::test]
async fn a_node_of_another_subscription_is_not_found_and_nobody_is_asked() {
    let cloud = Cloud::empty().await;
    let elsewhere = "azure/other/westeurope//subscriptions/other/resourceGroups/g/providers\
                     /Microsoft.Compute/virtualMachines/vm";
    let answers = cloud.azure.statuses(&[elsewhere.parse().unwrap()]).await;
    assert_eq!(answers[0].1.as_ref().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(cloud.world.calls().is_empty());
}
