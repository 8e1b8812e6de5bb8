//! Instances of uniform scale sets.

use futures::StreamExt;
use patchkit_azure::{Machine, MachineKind};
use patchkit_core::{
    ComplianceStatus, ErrorKind, Fleet, NodeSelector, PowerTarget, Reachability, RunId,
    memory::MemoryJournal,
    workflow::{Outcome, PatchOptions, Runner, ScanOutcome},
};
use patchkit_testkit::cloud::{Fault, FaultKind};

use crate::cloud::{Cloud, all, builder};

async fn instances(cloud: &Cloud) -> Vec<Machine> {
    let machines = all(cloud.azure.machines(&NodeSelector::all())).await.unwrap();
    machines.into_iter().filter(|it| it.kind == MachineKind::ScaleSetInstance).collect()
}

#[tokio::test]
async fn an_instance_is_found_by_its_own_id_and_asked_for_its_status() {
    let cloud = Cloud::of(builder().nodes(120)).await;
    let instance = instances(&cloud).await.remove(0);
    assert!(instance.scale_set.is_some());
    let id = instance.node.id.clone();
    let found = all(cloud.azure.nodes(&NodeSelector::ids([id.clone()]))).await.unwrap();
    assert_eq!(found.len(), 1);
    let status = cloud.azure.statuses(&[id]).await.remove(0).1.unwrap();
    assert_eq!(status.power, instance.node.power);
    let online = instance.node.reachability == Reachability::Online;
    assert_eq!(status.reachability == Reachability::Online, online);
}

#[tokio::test]
async fn its_power_is_left_to_its_scale_set() {
    let cloud = Cloud::of(builder().nodes(120)).await;
    let id = instances(&cloud).await.remove(0).node.id;
    cloud.world.forget_calls();
    for target in [PowerTarget::Running, PowerTarget::Stopped, PowerTarget::Deallocated] {
        let error =
            cloud.azure.set_power(std::slice::from_ref(&id), target).await.remove(0).1.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.message().contains("scale set"), "{error}");
    }
    assert!(cloud.world.calls().is_empty());
}

#[tokio::test]
async fn a_set_that_cannot_be_read_is_an_error_of_its_scope_and_the_rest_is_listed() {
    let cloud = Cloud::of(builder().nodes(120)).await;
    let whole = all(cloud.azure.machines(&NodeSelector::all())).await.unwrap().len();
    let deny = Fault::new(FaultKind::Deny).on("VirtualMachineScaleSetVMs_List");
    cloud.world.add_fault(deny).unwrap();
    let rows: Vec<_> = cloud.azure.machines(&NodeSelector::all()).collect().await;
    let (machines, errors): (Vec<_>, Vec<_>) = rows.into_iter().partition(Result::is_ok);
    assert!(!errors.is_empty() && machines.len() < whole);
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.scope().is_some() && error.request_id().is_some(), "{error}");
    }
    let others = machines.into_iter().map(Result::unwrap);
    assert!(others.into_iter().all(|it| it.kind != MachineKind::ScaleSetInstance));
}

#[tokio::test]
async fn a_plan_and_a_scan_leave_it_out_and_say_why() {
    let cloud = Cloud::of(builder().nodes(120)).await;
    let id = instances(&cloud).await.remove(0).node.id;
    let clock = cloud.world.clock();
    let journal = MemoryJournal::new(clock.clone());
    let runner = Runner::new(cloud.azure.clone(), cloud.azure.clone(), journal, clock);
    let one = NodeSelector::ids([id]);
    cloud.world.forget_calls();
    let plan = runner.plan_patch(&PatchOptions::new(one.clone())).await.unwrap();
    assert!(plan.nodes.is_empty());
    assert_eq!(plan.skipped[0].outcome, Outcome::Skipped);
    assert!(plan.skipped[0].reason.contains("uniform scale set"), "{}", plan.skipped[0].reason);
    let scan = runner.scan(&RunId::new("scan").unwrap(), &one).await.unwrap();
    assert_eq!(scan.nodes[0].outcome, ScanOutcome::Unpatchable);
    assert_eq!(scan.nodes[0].compliance.status, ComplianceStatus::Unknown);
    assert!(cloud.world.calls().iter().all(|call| !call.operation.contains("AssessPatches")));
}
