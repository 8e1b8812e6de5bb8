//! What is known of the nodes' patches.

use std::collections::BTreeSet;

use patchkit_core::{
    ComplianceStatus, ErrorKind, NodeCompliance, NodeId, NodeSelector, PatchCounts, PatchGroupName,
    PatchState,
};

use super::support::{
    bad, each_once, first_os, good, list, list_until_error, patch, patiently, three_pages,
};
use crate::{Harness, NodeSeed, Trouble};

async fn summary(h: &dyn Harness, node: &NodeId) -> NodeCompliance {
    let report = h.compliance();
    good(patiently(h, async || report.summary(node).await).await, "a summary")
}

async fn summaries(h: &dyn Harness, selector: &NodeSelector) -> Vec<NodeCompliance> {
    let report = h.compliance();
    good(list(h, || report.summaries(selector)).await, "listing summaries")
}

/// `summaries`: every node comes once; one of which nothing is known comes as `Unknown`.
pub async fn every_node_comes_once_with_or_without_data(h: &dyn Harness) {
    let mut nodes = three_pages(h).await;
    let scanned = h.add_node(NodeSeed::new(first_os(h)).scanned()).await;
    nodes.insert(scanned.clone());
    let listed = summaries(h, &NodeSelector::all()).await;
    assert_eq!(each_once(listed.iter().map(|known| known.node.clone())), nodes);
    for known in listed {
        if known.node == scanned {
            assert_eq!(known.status, ComplianceStatus::Compliant);
            assert!(known.observed_at.is_some());
        } else {
            assert_eq!(known.status, ComplianceStatus::Unknown);
            assert_eq!(known.observed_at, None);
            assert_eq!(known.counts, PatchCounts::default());
        }
    }
}

/// `summaries`: a selector never widens, and takes the nodes that `Fleet::nodes` takes.
pub async fn a_selector_never_widens(h: &dyn Harness) {
    let group = good(PatchGroupName::new("web"), "a group's name");
    let os = first_os(h);
    let web = h.add_node(NodeSeed::new(os.clone()).with_group(&group).scanned()).await;
    let db = h.add_node(NodeSeed::new(os).with_tag("Role", "db")).await;
    for (selector, expected) in [
        (NodeSelector::all(), vec![&web, &db]),
        (NodeSelector::ids([db.clone()]), vec![&db]),
        (NodeSelector::all().with_groups([group]), vec![&web]),
        (NodeSelector::all().with_tag("Role", ["db"]), vec![&db]),
        (NodeSelector::ids([]), vec![]),
        (NodeSelector::all().with_groups([]), vec![]),
        (NodeSelector::all().with_tag("Role", [""; 0]), vec![]),
    ] {
        let listed = summaries(h, &selector).await;
        let expected: BTreeSet<_> = expected.into_iter().cloned().collect();
        assert_eq!(each_once(listed.into_iter().map(|known| known.node)), expected, "{selector}");
    }
}

/// `summaries`: no data is never `Compliant`.
pub async fn no_data_is_never_compliant(h: &dyn Harness) {
    let lacking = NodeSeed::new(first_os(h)).with_patches([patch("bash", PatchState::Missing)]);
    for seed in [NodeSeed::new(first_os(h)), lacking, NodeSeed::new(first_os(h)).hybrid()] {
        let node = h.add_node(seed).await;
        assert_eq!(summary(h, &node).await.status, ComplianceStatus::Unknown);
        let listed = summaries(h, &NodeSelector::ids([node])).await;
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].status, ComplianceStatus::Unknown);
    }
}

/// `summaries`: the counts equal the listing of `patches`, over however many pages; the verdict is
/// what they say.
pub async fn counts_equal_the_listing_of_patches(h: &dyn Harness) {
    let states = [PatchState::Installed, PatchState::Missing, PatchState::InstalledPendingReboot];
    let many = |states: &[PatchState]| -> Vec<_> {
        let each = states.iter().cycle().take(3 * h.page_size() + 1).enumerate();
        each.map(|(at, state)| patch(&format!("package-{at:03}"), state.clone())).collect()
    };
    for (patches, status) in [
        (many(&states), ComplianceStatus::NonCompliant),
        (many(&states[..1]), ComplianceStatus::Compliant),
        (many(&states[1..2]), ComplianceStatus::NonCompliant),
    ] {
        let node = h.add_node(NodeSeed::new(first_os(h))).await;
        h.set_patches(&node, patches.clone()).await;
        let report = h.compliance();
        let listed = good(list(h, || report.patches(&node)).await, "listing patches");
        let names = each_once(listed.iter().map(|patch| patch.patch.clone()));
        assert_eq!(names, patches.into_iter().map(|seed| seed.patch).collect());
        let mut counted = PatchCounts::default();
        for patch in &listed {
            counted.count(&patch.state);
        }
        let known = summary(h, &node).await;
        let listed = summaries(h, &NodeSelector::ids([node])).await;
        assert_eq!(listed, std::slice::from_ref(&known), "one node and the listing agree");
        // How many of them are critical or for security is the service's own count.
        let mut told = known.counts;
        told.critical_non_compliant = 0;
        told.security_non_compliant = 0;
        told.other_non_compliant = 0;
        assert_eq!(told, counted);
        assert_eq!(known.status, status);
    }
}

/// `summary`: a node that exists and was never scanned is `Unknown`, not an error.
pub async fn a_node_never_scanned_is_unknown(h: &dyn Harness) {
    let node = h.add_node(NodeSeed::new(first_os(h))).await;
    let known = summary(h, &node).await;
    assert_eq!(known.node, node);
    assert_eq!(known.status, ComplianceStatus::Unknown);
    assert_eq!(known.observed_at, None);
}

/// `patches`: a node that was never scanned is an empty stream.
pub async fn a_node_never_scanned_has_no_patches(h: &dyn Harness) {
    let seed = NodeSeed::new(first_os(h)).with_patches([patch("bash", PatchState::Missing)]);
    let node = h.add_node(seed).await;
    let report = h.compliance();
    let listed = good(list(h, || report.patches(&node)).await, "listing patches");
    assert!(listed.is_empty(), "{listed:?}");
}

/// `patches`: a state that PatchKit does not know is kept as `Other`, and is no good news.
pub async fn an_unknown_state_is_kept(h: &dyn Harness) {
    let node = h.add_node(NodeSeed::new(first_os(h))).await;
    let strange = PatchState::Other("QUARANTINED".into());
    let patches = vec![patch("bash", PatchState::Installed), patch("glibc", strange.clone())];
    h.set_patches(&node, patches).await;
    let report = h.compliance();
    let listed = good(list(h, || report.patches(&node)).await, "listing patches");
    let found = listed.iter().find(|patch| patch.patch.as_str() == "glibc");
    let Some(found) = found else { panic!("the patch is gone: {listed:?}") };
    assert_eq!(found.state, strange);
    assert_eq!(found.state.as_str(), "QUARANTINED", "as it was spelled");
    assert_eq!(found.status, ComplianceStatus::Unknown);
    assert_eq!(listed.len(), 2, "the other one is there as well");
}

/// Errors: an unknown node is `NotFound`.
pub async fn an_unknown_node_is_not_found(h: &dyn Harness) {
    let (report, node) = (h.compliance(), h.unknown_node());
    let answer = patiently(h, async || report.summary(&node).await).await;
    bad(answer, ErrorKind::NotFound, "the summary of an unknown node");
    let answer = list(h, || report.patches(&node)).await;
    bad(answer, ErrorKind::NotFound, "the patches of an unknown node");
}

/// Errors: an error on a later page comes after the nodes of the earlier ones.
pub async fn an_error_on_a_later_page_comes_after_the_earlier_nodes(h: &dyn Harness) {
    let seeded = three_pages(h).await;
    h.make_trouble(Trouble::denied().on_page(2)).await;
    let report = h.compliance();
    let (known, error) = list_until_error(h, || report.summaries(&NodeSelector::all())).await;
    let error = error.map_or(Ok(()), Err);
    bad(error, ErrorKind::PermissionDenied, "the second page");
    let nodes = each_once(known.into_iter().map(|known| known.node));
    assert_eq!(nodes.len(), h.page_size(), "the first page comes whole");
    assert!(nodes.is_subset(&seeded));
}
