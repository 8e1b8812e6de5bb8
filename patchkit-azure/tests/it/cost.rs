//! How many calls it takes to know ten thousand machines.

use std::collections::BTreeMap;

use patchkit_azure::UpdateManager;
use patchkit_core::{
    ComplianceReport, ComplianceStatus, NodeSelector, OperatingSystem, PatchBaseline,
};
use patchkit_testkit::cloud::World;

use crate::cloud::{all, builder, provider};

fn calls(world: &World) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for call in world.calls().iter().filter(|call| call.operation != "Token") {
        *calls.entry(call.operation.clone()).or_default() += 1;
    }
    calls
}

/// A world of some machines more than ten thousand, and its provider with pages as large as they are.
async fn ten_thousand() -> (World, UpdateManager) {
    let world = builder().nodes(25_000).start().await.unwrap();
    let azure = provider(&world).with_page_size(u16::MAX).build().unwrap();
    (world, azure)
}

#[tokio::test]
async fn the_compliance_of_ten_thousand_machines_takes_a_call_for_each_thousand() {
    let (world, azure) = ten_thousand().await;
    let known = all(azure.summaries(&NodeSelector::all())).await.unwrap();
    assert!(known.len() > 9_000, "{}", known.len());
    let calls = calls(&world);
    // The last installations are one more, for there are none.
    assert!(calls["Resources"] <= known.len().div_ceil(1_000) + 1, "{calls:?}");
    let missing: u32 = known.iter().map(|it| it.counts.missing + it.counts.other).sum();
    let missing = usize::try_from(missing).unwrap();
    assert!(missing > 1_000 && calls["Resources"] <= 10 + missing.div_ceil(1_000), "{calls:?}");
    let others = ["Resources", "VirtualMachineScaleSetVMs_List"];
    assert!(calls.keys().all(|it| others.contains(&it.as_str())), "no machine is asked: {calls:?}");
    assert!(known.iter().any(|it| it.status == ComplianceStatus::Compliant));

    world.forget_calls();
    let pairs = all(azure.machines_with_compliance(&NodeSelector::all())).await.unwrap();
    assert_eq!(pairs.len(), known.len());
    assert_eq!(self::calls(&world), calls, "the machines cost nothing more");
}

#[tokio::test]
async fn a_baseline_costs_a_call_for_each_thousand_missing_patches() {
    let (world, azure) = ten_thousand().await;
    let known = all(azure.summaries(&NodeSelector::all())).await.unwrap();
    let missing: u32 = known.iter().map(|it| it.counts.missing + it.counts.other).sum();
    let alone = calls(&world)["Resources"];
    world.forget_calls();
    let baseline = PatchBaseline::new("none", OperatingSystem::Ubuntu);
    let judged = all(azure.summaries_under([baseline], &NodeSelector::all())).await.unwrap();
    assert_eq!(judged.len(), known.len());
    let pages = usize::try_from(missing).unwrap().div_ceil(1_000);
    assert_eq!(calls(&world)["Resources"], alone + pages);
}

#[tokio::test]
async fn one_machine_costs_no_more_than_it_is() {
    let world = builder().nodes(300).start().await.unwrap();
    let azure = provider(&world).with_page_size(u16::MAX).build().unwrap();
    let known = all(azure.summaries(&NodeSelector::all())).await.unwrap();
    let behind = known.iter().find(|it| it.counts.missing > 0).unwrap();
    world.forget_calls();
    assert_eq!(azure.summary(&behind.node).await.unwrap(), *behind);
    assert_eq!(calls(&world)["Resources"], 2);
    world.forget_calls();
    let patches = all(azure.patches(&behind.node)).await.unwrap();
    assert_eq!(
        patches.len(),
        usize::try_from(behind.counts.missing + behind.counts.other).unwrap()
    );
    assert_eq!(calls(&world)["Resources"], 3);
}
