//! Patch runs under baselines: planned, carried out, killed and recovered.

use std::{sync::Arc, time::Duration};

use futures::TryStreamExt;
use patchkit_azure::{Baselines, UpdateManager};
use patchkit_core::{
    Event, Fleet, Journal, NodeId, NodeSelector, OperatingSystem, OperationStatus, PatchBaseline,
    PowerState, RunId,
    memory::MemoryJournal,
    workflow::{Outcome, PatchOptions, PlanStep, RunReport, Runner},
};
use patchkit_testkit::cloud::{NodeSpec, Power};

use super::{careful, cloud, installed, installs, linux, odd, these, windows};
use crate::cloud::{Cloud, all, provider, vm};

fn runner(cloud: &Cloud, azure: &UpdateManager, journal: &MemoryJournal) -> Runner {
    Runner::new(azure.clone(), azure.clone(), journal.clone(), Arc::new(cloud.world.clock()))
}

fn journal(cloud: &Cloud) -> MemoryJournal {
    MemoryJournal::new(Arc::new(cloud.world.clock()))
}

fn options() -> PatchOptions {
    PatchOptions::new(NodeSelector::all())
        .with_start(NodeSelector::all().with_tag("Start", ["yes"]))
}

fn stopped(spec: NodeSpec) -> NodeSpec {
    spec.with_power(Power::Deallocated).with_tag("Start", "yes")
}

async fn patched(cloud: &Cloud, azure: &UpdateManager, options: &PatchOptions) -> RunReport {
    let runner = runner(cloud, azure, &journal(cloud));
    let plan = runner.plan_patch(options).await.unwrap();
    runner.patch(&RunId::new("run").unwrap(), &plan).await.unwrap()
}

#[tokio::test]
async fn a_run_brings_what_is_approved_and_its_rescan_is_judged_by_the_same() {
    let cloud = cloud().await;
    let azure = these(&cloud, [careful(), odd()]);
    let running = cloud.add(&windows().scanned());
    // Of one that was off for weeks nothing is known, and of a new one neither.
    let off = cloud.add(&stopped(windows()));
    let new = cloud.add(&linux(vm()));
    let runner = runner(&cloud, &azure, &journal(&cloud));
    let plan = runner.plan_patch(&options()).await.unwrap();
    let scans = |node: &NodeId| {
        let planned = plan.nodes.iter().find(|it| it.id == *node).unwrap();
        planned.steps.contains(&PlanStep::Scan)
    };
    assert_eq!([&running, &off, &new].map(scans), [false, true, true]);
    let report = runner.patch(&RunId::new("run").unwrap(), &plan).await.unwrap();
    assert!(report.is_clean(), "{report}{:?}", report.nodes);
    for node in [&running, &off] {
        assert_eq!(installed(&cloud, node), ["KB5000001"]);
    }
    assert_eq!(installed(&cloud, &new), ["curl", "vim"]);
    assert_eq!(installs(&cloud), 3);
    assert!(report.nodes.iter().all(|it| it.outcome.outcome == Outcome::Patched));
    let statuses = azure.statuses(std::slice::from_ref(&off)).await;
    assert_eq!(statuses[0].1.as_ref().unwrap().power, PowerState::Deallocated);
    // Azure's own counts would call it behind.
    let known = all(patchkit_core::ComplianceReport::summaries(&cloud.azure, &NodeSelector::all()));
    assert!(known.await.unwrap().iter().all(|it| it.counts.missing > 0));
}

#[tokio::test]
async fn a_run_in_which_nothing_is_approved_sends_nothing_and_fails_nothing() {
    let cloud = cloud().await;
    let azure = these(&cloud, [PatchBaseline::new("none", OperatingSystem::Ubuntu)]);
    let node = cloud.add(&linux(vm()));
    let report = patched(&cloud, &azure, &options()).await;
    assert!(report.is_clean(), "{report}{:?}", report.nodes);
    assert_eq!(installs(&cloud), 0);
    assert!(installed(&cloud, &node).is_empty());
}

#[tokio::test]
async fn a_run_that_died_over_an_install_is_recovered_and_installs_nothing_again() {
    let none = || PatchBaseline::new("none", OperatingSystem::Ubuntu);
    for (baseline, sent) in [(odd(), "install/"), (none(), "nothing/")] {
        let cloud = cloud().await;
        let azure = these(&cloud, [baseline.clone()]);
        let node = cloud.add(&stopped(linux(vm())));
        let (journal, run) = (journal(&cloud), RunId::new("run").unwrap());
        let first = runner(&cloud, &azure, &journal);
        let plan = first.plan_patch(&options()).await.unwrap();
        let submitted = async || {
            // There is no such run until it has begun.
            let records = journal.events(&run).try_collect::<Vec<_>>().await.unwrap_or_default();
            records.into_iter().find_map(|record| match record.event {
                Event::Submitted { operation, .. } if operation.as_str().starts_with(sent) => {
                    Some(operation)
                }
                _ => None,
            })
        };
        let dies = async {
            loop {
                match submitted().await {
                    Some(operation) => break operation,
                    None => tokio::task::yield_now().await,
                }
            }
        };
        let operation = tokio::select! {
            operation = dies => operation,
            _ = first.patch(&run, &plan) => panic!("it was to die"),
        };
        cloud.world.advance(Duration::from_mins(10));
        let anew = provider(&cloud.world).with_baselines(Baselines::These(vec![baseline]));
        let anew = anew.build().unwrap();
        let recovery = runner(&cloud, &anew, &journal).recover(&run).await.unwrap();
        assert_eq!(recovery.restored, std::slice::from_ref(&node), "{recovery:?}");
        let end = anew.operation(&operation).await.unwrap();
        assert_eq!(end.status, OperationStatus::Succeeded);
        let is_install = sent == "install/";
        assert_eq!(installs(&cloud), usize::from(is_install));
        assert_eq!(installed(&cloud, &node).is_empty(), !is_install);
        let told = |(_, word): &(_, String)| word.contains("succeeded, not verified by a scan");
        assert!(recovery.unknown.iter().any(told), "{recovery:?}");
    }
}
