//! What must not be shown, and where tokens must not go.

use patchkit_azure::UpdateManager;
use patchkit_core::{ErrorKind, Fleet, FleetExt, PowerTarget};
use patchkit_testkit::cloud::{Fault, FaultKind};

use crate::{
    cloud::{APPLICATION, Cloud, SUBSCRIPTION, provider},
    credential::{Application, SECRET},
    log::Log,
};

/// Reads, switches, and meets what goes wrong on each of these ways; everything that could show a secret
/// is kept as text.
#[tokio::test]
async fn neither_secret_nor_token_nor_signature_is_in_a_debug_an_error_or_a_log() {
    let log = Log::default();
    let logging = tracing::subscriber::set_default(log.clone());
    let cloud = Cloud::empty().await;
    let node = cloud.vm();
    cloud.azure.status(&node).await.unwrap();
    let mut shown =
        vec![format!("{:?} {:#?} {:?}", cloud.azure, cloud.azure, provider(&cloud.world))];
    // Its answer has two signed addresses.
    cloud.azure.power(&node, PowerTarget::Stopped).await.unwrap();
    for kind in [
        FaultKind::CutAfter,
        FaultKind::Deny,
        FaultKind::Fail { status: 500 },
        FaultKind::Truncate,
        FaultKind::Throttle,
    ] {
        let fault = Fault::new(kind).on("VirtualMachines_*").times(1);
        cloud.world.add_fault(fault).unwrap();
        let error = cloud.azure.status(&node).await.unwrap_err();
        shown.push(format!("{error:?} {error:#?} {}", error.report()));
    }
    drop(logging);
    let logged = log.text();
    assert!(logged.contains("virtualMachines"), "requests are logged");
    shown.push(logged);
    for word in [SECRET, "eyJ", "&s=", "&h="] {
        let told = shown.iter().find(|text| text.contains(word));
        assert!(told.is_none(), "{word} in {told:?}");
    }
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
