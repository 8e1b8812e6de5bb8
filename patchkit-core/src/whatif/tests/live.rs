//! A matrix of live reports.

use std::num::NonZeroUsize;

use futures::executor::block_on;

use crate::{
    Baseline, BaselineSelector, Clock, ComplianceReport, ComplianceStatus, NodeSelector,
    PatchBaseline, PatchState, Presence, Provider, VirtualClock,
    memory::MemoryCloud,
    whatif::{Catalogue, PatchMatrix, Scenario, presence_of, read_baselines, read_matrix},
};

fn four() -> NonZeroUsize {
    NonZeroUsize::new(4).unwrap()
}

fn scanned_cloud() -> (MemoryCloud, VirtualClock) {
    use crate::{RunId, memory::MemoryJournal, workflow::Runner};
    let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
    let cloud = MemoryCloud::builder().seed(7).nodes(60).clock(clock.clone()).build();
    let journal = MemoryJournal::new(clock.clone());
    let runner = Runner::new(cloud.clone(), cloud.clone(), journal, clock.clone());
    block_on(runner.scan(&RunId::new("scan").unwrap(), &NodeSelector::all())).unwrap();
    (cloud, clock)
}

#[test]
fn under_the_baselines_of_the_scan_every_node_has_the_verdict_of_its_scan() {
    use futures::TryStreamExt;
    let (cloud, clock) = scanned_cloud();
    let mut catalogue = Catalogue::new();
    let baselines = cloud.baselines(&BaselineSelector::default());
    let baselines: Vec<PatchBaseline> = block_on(baselines.try_collect()).unwrap();
    let systems: Vec<_> = baselines.iter().map(|it| it.operating_system.clone()).collect();
    for baseline in &baselines {
        let approved = cloud.approved_patches(baseline.id.as_ref().unwrap());
        let approved: Vec<_> = block_on(approved.try_collect()).unwrap();
        catalogue.add(baseline.operating_system.clone(), approved);
    }
    let set = block_on(read_baselines(&cloud, systems)).unwrap();
    let mut builder = PatchMatrix::builder();
    catalogue.offer_to(&mut builder);
    let all = NodeSelector::all();
    let read = read_matrix(&cloud, &all, builder, four());
    let read = block_on(read).unwrap();
    assert!(read.problems.is_empty(), "{:?}", read.problems);
    assert_eq!(read.matrix.len(), 60);
    let scenario = Scenario::new(set, clock.now());
    let verdicts = read.matrix.judge(&scenario);
    let summaries: Vec<_> = block_on(cloud.summaries(&NodeSelector::all()).try_collect()).unwrap();
    let mut wrong = 0;
    for summary in summaries {
        assert_eq!(verdicts.status(&summary.node), Some(summary.status), "{}", summary.node);
        wrong += usize::from(summary.status == ComplianceStatus::NonCompliant);
    }
    assert!(wrong > 5, "{wrong}");
    assert_eq!(verdicts.contradictions().count(), 0);
}

/// Answers for one node with a row of a state that nobody knows, and with an error for another.
#[test]
fn a_bad_row_and_a_bad_node_spoil_only_themselves_and_are_named() {
    use crate::whatif::{Doubt, NodeFacts};
    use crate::{ManagedNode, NodeCompliance, OperatingSystem, PatchCompliance, PatchId};
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let node = |name: &str| {
        let id = format!("aws/1/r/{name}").parse().unwrap();
        ManagedNode::new(id, OperatingSystem::Suse, at)
    };
    let known = |node: &ManagedNode| {
        let mut known = NodeCompliance::unknown(node.id.clone());
        (known.status, known.observed_at) = (ComplianceStatus::Compliant, Some(at));
        known
    };
    let row = |state: &str| {
        let (id, state) = (PatchId::new("bash").unwrap(), state.parse().unwrap());
        Ok(PatchCompliance::new(id, state, ComplianceStatus::Unknown))
    };
    let lost = || Err(crate::Error::new(crate::ErrorKind::Malformed, "aws", "patches", "line 3"));
    let (mut builder, mut problems) = (PatchMatrix::builder(), Vec::new());
    for (name, rows) in [
        ("i-fine", vec![row("INSTALLED")]),
        ("i-odd", vec![row("QUANTUM"), row("INSTALLED")]),
        ("i-lost", vec![lost(), row("INSTALLED")]),
        ("i-wrong", vec![lost(), row("MISSING")]),
    ] {
        let node = node(name);
        let known = known(&node);
        let facts: NodeFacts =
            crate::whatif::read::facts(&mut builder, node, known, rows, &mut problems);
        builder.node(facts).unwrap();
    }
    let matrix = builder.build();
    let named: Vec<_> = problems.iter().map(|it| it.node().unwrap().name().to_owned()).collect();
    assert_eq!(named, ["i-odd", "i-lost", "i-wrong"]);
    let rule = crate::ApprovalRule::new(crate::AutoApproval::AfterDays(0));
    let baseline = crate::PatchBaseline::new("web", OperatingSystem::Suse).with_rule(rule);
    let scenario = Scenario::new(baseline, at);
    let verdicts = matrix.judge(&scenario);
    let of = |name: &str| {
        let id = node(name).id;
        (verdicts.status(&id).unwrap(), verdicts.doubt(&id))
    };
    assert_eq!(of("i-fine"), (ComplianceStatus::Compliant, None));
    assert_eq!(of("i-odd"), (ComplianceStatus::Unknown, Some(Doubt::ReportInPart)));
    assert_eq!(of("i-lost"), (ComplianceStatus::Unknown, Some(Doubt::ReportInPart)));
    assert_eq!(of("i-wrong"), (ComplianceStatus::NonCompliant, None));
}

#[test]
fn a_state_is_what_is_on_the_node_without_what_a_baseline_made_of_it() {
    for (state, presence) in [
        ("InstalledRejected", Some(Presence::Installed)),
        ("INSTALLED_OTHER", Some(Presence::Installed)),
        ("InstalledPendingReboot", Some(Presence::InstalledPendingReboot)),
        ("AvailableSecurityUpdates", Some(Presence::Absent)),
        ("Failed", Some(Presence::InstallFailed)),
        ("NotApplicable", Some(Presence::NotApplicable)),
        ("Quantum", None),
    ] {
        let state: PatchState = state.parse().unwrap();
        assert_eq!(presence_of(&state), presence, "{state}");
    }
}

const _: fn(&MemoryCloud) -> &dyn Provider = |cloud| cloud;
