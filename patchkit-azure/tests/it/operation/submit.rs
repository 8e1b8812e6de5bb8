//! What is sent, and what is not.

use std::time::Duration;

use patchkit_azure::{InstallOptions, LinuxPatches, WindowsPatches};
use patchkit_core::{
    Classification, ErrorKind, Fleet, OperatingSystem, OperationStatus, PatchAction, PatchId,
    PatchRequest, PatchState, SubmitToken,
};
use patchkit_testkit::cloud::{NodeSpec, PatchSpec};

use super::{INSTALL, cloud, end, lacking, posts, request, token, web};
use crate::cloud::{GROUP, SUBSCRIPTION, arc, node, provider, vm};

#[tokio::test]
async fn an_act_is_sent_once_and_followed_to_its_end() {
    for (spec, action, operation) in [
        (web(), PatchAction::Scan, "VirtualMachines_AssessPatches"),
        (web(), INSTALL, "VirtualMachines_InstallPatches"),
        (lacking(arc(), &["curl"]), PatchAction::Scan, "Machines_AssessPatches"),
        (lacking(arc(), &["curl"]), INSTALL, "Machines_InstallPatches"),
    ] {
        let cloud = cloud().await;
        let node = cloud.add(&spec);
        let token = token(&cloud, "t");
        let began = cloud.world.now();
        let id = cloud.azure.submit(request(&token, &node, action)).await.unwrap();
        let end = end(&cloud, &cloud.azure, &id).await;
        assert_eq!(end.status, OperationStatus::Succeeded, "{operation}: {end:?}");
        assert_eq!(end.node, node);
        assert!(end.started_at.is_some_and(|at| at >= began), "{operation}: {end:?}");
        assert!(end.ended_at.is_some_and(|at| at > began), "{operation}: {end:?}");
        assert_eq!((cloud.count(operation), posts(&cloud.world)), (1, 1), "{operation}");
        let installed = cloud.world.node(node.resource()).unwrap().installed;
        assert_eq!(installed.is_empty(), action == PatchAction::Scan, "{operation}");
    }
}

#[tokio::test]
async fn an_id_says_what_is_done_where_and_opens_nothing() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let token = token(&cloud, "t");
    let id = cloud.azure.submit(request(&token, &node, INSTALL)).await.unwrap();
    let parts: Vec<&str> = id.as_str().splitn(3, '/').collect();
    assert_eq!((parts[0], parts[2]), ("install", node.to_string().as_str()));
    assert!(!id.as_str().contains(['?', '&', '=']), "{id}");
}

#[tokio::test]
async fn the_same_token_twice_is_one_act_and_one_call() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let first = token(&cloud, "t");
    let submit = async |token: &SubmitToken| {
        cloud.azure.submit(request(token, &node, PatchAction::Scan)).await.unwrap()
    };
    let id = submit(&first).await;
    assert_eq!(submit(&first).await, id);
    end(&cloud, &cloud.azure, &id).await;
    assert_eq!(submit(&first).await, id, "also when it is over");
    assert_eq!(cloud.azure.find_operation(&first, &[]).await.unwrap(), Some(id.clone()));
    assert_eq!(cloud.count("VirtualMachines_Get"), 1);
    assert_eq!(posts(&cloud.world), 1);
    let other = submit(&token(&cloud, "u")).await;
    assert_ne!(other, id, "another token is another act");
    assert_eq!(posts(&cloud.world), 2);
}

#[tokio::test]
async fn a_token_of_another_process_is_the_act_that_began_there_since() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let mark = token(&cloud, "t");
    let id = cloud.azure.submit(request(&mark, &node, INSTALL)).await.unwrap();
    let other = provider(&cloud.world).build().unwrap();
    assert_eq!(other.submit(request(&mark, &node, INSTALL)).await.unwrap(), id);
    end(&cloud, &other, &id).await;
    let third = provider(&cloud.world).build().unwrap();
    assert_eq!(third.submit(request(&mark, &node, INSTALL)).await.unwrap(), id);
    assert_eq!(posts(&cloud.world), 1);
}

#[tokio::test]
async fn a_machine_on_which_something_goes_on_is_refused_and_that_is_named() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    for (running, word) in [(INSTALL, "install"), (PatchAction::Scan, "scan")] {
        let id = cloud.azure.submit(request(&token(&cloud, word), &node, running)).await.unwrap();
        let activity = id.as_str().split('/').nth(1).unwrap();
        // Long enough for the clocks to tell the two apart, and shorter than a scan.
        cloud.world.advance(Duration::from_secs(12));
        let sent = posts(&cloud.world);
        let other = provider(&cloud.world).build().unwrap();
        for azure in [&cloud.azure, &other] {
            for action in [PatchAction::Scan, INSTALL] {
                let late = token(&cloud, &format!("{word}-late"));
                let error = azure.submit(request(&late, &node, action)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                assert_eq!(error.node(), Some(&node));
                assert!(error.message().starts_with(&format!("{word} {activity} runs on it")));
            }
        }
        assert_eq!(posts(&cloud.world), sent, "nothing was sent");
        end(&cloud, &cloud.azure, &id).await;
    }
}

#[tokio::test]
async fn what_azure_cannot_do_is_unsupported_and_asks_nobody() {
    let cloud = cloud().await;
    let vm = cloud.add(&web());
    let instance = node(&format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute\
         /virtualMachineScaleSets/pool/virtualMachines/3"
    ));
    let can = cloud.azure.capabilities();
    assert!(!can.update_agent && !can.refresh_associations && !can.cancel && can.find_operation);
    let mark = token(&cloud, "t");
    for request in [
        request(&mark, &vm, PatchAction::UpdateAgent),
        request(&mark, &vm, PatchAction::RefreshAssociations),
        request(&mark, &instance, PatchAction::Scan),
        request(&mark, &instance, INSTALL),
    ] {
        let error = cloud.azure.submit(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
    let error = cloud.azure.submit(request(&mark, &instance, INSTALL)).await.unwrap_err();
    assert!(error.message().contains("uniform scale set pool"), "{error}");
    assert_eq!(cloud.world.calls().len(), 0);

    let id = cloud.azure.submit(request(&mark, &vm, PatchAction::Scan)).await.unwrap();
    let error = cloud.azure.cancel(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(end(&cloud, &cloud.azure, &id).await.status, OperationStatus::Succeeded);
}

#[tokio::test]
async fn an_act_is_on_one_machine_that_is_there() {
    let cloud = cloud().await;
    let (vm, other) = (cloud.add(&web()), cloud.add(&web()));
    let mark = token(&cloud, "t");
    for nodes in [vec![], vec![vm, other]] {
        let request = PatchRequest::new(mark.clone(), nodes, INSTALL);
        let error = cloud.azure.submit(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    let nobody = node(&format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute\
         /virtualMachines/nobody"
    ));
    let error = cloud.azure.submit(request(&mark, &nobody, INSTALL)).await.unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::NotFound, Some(&nobody)));
    assert_eq!(posts(&cloud.world), 0);
}

#[tokio::test]
async fn an_install_brings_what_its_options_choose() {
    let cloud = cloud().await;
    let patch = |id: &str, class: Classification| {
        PatchSpec::new(PatchId::new(id).unwrap(), PatchState::Missing).with_classification(class)
    };
    let windows = NodeSpec::vm(OperatingSystem::Windows, SUBSCRIPTION, GROUP).with_patches([
        patch("KB5000001", Classification::SecurityUpdates),
        patch("KB5000002", Classification::SecurityUpdates),
        patch("KB5000003", Classification::UpdateRollups),
        patch("KB5000004", Classification::DefinitionUpdates),
    ]);
    let linux = vm().with_patches([
        patch("curl", Classification::Security),
        patch("kernel-core", Classification::Security),
        patch("vim", Classification::Other("Other".into())),
        patch("zsh", Classification::Other("Other".into())),
    ]);
    let chosen = InstallOptions::default()
        .with_windows(
            WindowsPatches::none()
                .with_classifications([Classification::SecurityUpdates])
                .with_kbs(["5000003"])
                .without_kbs(["KB5000002"]),
        )
        .with_linux(LinuxPatches::default().with_packages(["vi*"]).without_packages(["kernel*"]));
    for (spec, options, expected) in [
        (&windows, InstallOptions::default(), &["KB5000001", "KB5000002"][..]),
        (&windows, chosen.clone(), &["KB5000001", "KB5000003"]),
        (&linux, InstallOptions::default(), &["curl", "kernel-core"]),
        (&linux, chosen, &["curl", "vim"]),
    ] {
        let node = cloud.add(spec);
        let azure = cloud.azure.with_install_options(options);
        let mark = token(&cloud, &node.to_string());
        let id = azure.submit(request(&mark, &node, INSTALL)).await.unwrap();
        // Whoever shares what is known need not have the same options.
        assert_eq!(end(&cloud, &cloud.azure, &id).await.status, OperationStatus::Succeeded);
        let mut installed = cloud.world.node(node.resource()).unwrap().installed;
        installed.sort();
        assert_eq!(installed, expected);
    }
}

#[tokio::test]
async fn an_install_of_nothing_is_refused_and_not_sent() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let azure = cloud
        .azure
        .with_install_options(InstallOptions::default().with_linux(LinuxPatches::none()));
    let mark = token(&cloud, "t");
    let error = azure.submit(request(&mark, &node, INSTALL)).await.unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::InvalidInput, Some(&node)));
    assert_eq!(posts(&cloud.world), 0);
    // The token is as good as new.
    cloud.azure.submit(request(&mark, &node, INSTALL)).await.unwrap();
}
