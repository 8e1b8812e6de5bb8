//! Acts: what is submitted to the fleet, and how it ends.

use patchkit_core::{
    ComplianceStatus, ErrorKind, FleetExt, OperationStatus, PatchAction, PatchRequest, PatchState,
    Reachability, RebootPolicy, SubmitToken,
};

use super::support::{bad, each_once, first_os, good, list, patch, patiently, token, wait_end};
use crate::{Harness, NodeSeed, Trouble};

/// `submit`: the same token twice is one act: the second call returns the first one's id.
pub async fn the_same_token_is_one_act(h: &dyn Harness) {
    let node = h.add_node(NodeSeed::new(first_os(h))).await;
    let fleet = h.fleet();
    let submit = async |mark: &str| {
        let request = PatchRequest::new(token(mark), vec![node.clone()], PatchAction::Scan);
        good(patiently(h, async || fleet.submit(request.clone()).await).await, "a submission")
    };
    let first = submit("conformance-1").await;
    assert_eq!(submit("conformance-1").await, first);
    wait_end(h, &first).await;
    assert_eq!(submit("conformance-1").await, first, "also when it is over");
    assert_ne!(submit("conformance-2").await, first, "another token is another act");
}

/// `submit`: more nodes than the provider takes, none, or nodes of more than one scope are
/// `InvalidInput`.
pub async fn too_many_nodes_none_or_two_scopes_are_invalid(h: &dyn Harness) {
    let fleet = h.fleet();
    let most = fleet.capabilities().max_nodes_per_operation.get();
    let mut nodes = Vec::with_capacity(most + 1);
    for _ in 0..=most {
        nodes.push(h.add_node(NodeSeed::new(first_os(h))).await);
    }
    // Where an act takes one node these are too many, too.
    let apart = vec![nodes[0].clone(), h.node_elsewhere()];
    for (mark, nodes) in [
        ("conformance-none", Vec::new()),
        ("conformance-many", nodes.clone()),
        ("conformance-apart", apart),
    ] {
        let request = PatchRequest::new(token(mark), nodes, PatchAction::Scan);
        let answer = patiently(h, async || fleet.submit(request.clone()).await).await;
        let error = bad(answer, ErrorKind::InvalidInput, mark);
        assert!(!error.is_retryable(), "the same request fails again");
    }
    nodes.pop();
    let request = PatchRequest::new(token("conformance-most"), nodes, PatchAction::Scan);
    let answer = patiently(h, async || fleet.submit(request.clone()).await).await;
    good(answer, "as many nodes as the provider takes");
}

/// `submit`: an unknown node is `NotFound`, and nothing is started on the others.
pub async fn an_unknown_node_starts_nothing(h: &dyn Harness) {
    let seed = NodeSeed::new(first_os(h)).with_patches([patch("openssl", PatchState::Missing)]);
    let node = h.add_node(seed).await;
    let unknown = h.unknown_node();
    let fleet = h.fleet();
    // Where an act takes one node there is no other to be left alone.
    let mut nodes = vec![node.clone(), unknown.clone()];
    let most = fleet.capabilities().max_nodes_per_operation.get();
    nodes.drain(..nodes.len().saturating_sub(most));
    let request = PatchRequest::new(token("conformance-unknown"), nodes, PatchAction::Scan);
    let answer = patiently(h, async || fleet.submit(request.clone()).await).await;
    let error = bad(answer, ErrorKind::NotFound, "an act on an unknown node");
    assert_eq!(error.node(), Some(&unknown), "the error names the node");
    h.clock().sleep(std::time::Duration::from_hours(1)).await;
    let compliance = h.compliance();
    let known = good(patiently(h, async || compliance.summary(&node).await).await, "a summary");
    assert_eq!(known.observed_at, None, "the other node was scanned");
}

/// `submit`: a call whose answer is lost is `Timeout`, never retryable, and `find_operation` tells.
pub async fn a_lost_answer_is_a_timeout_and_never_retryable(h: &dyn Harness) {
    let node = h.add_node(NodeSeed::new(first_os(h))).await;
    let fleet = h.fleet();
    let mark = token("conformance-lost");
    h.make_trouble(Trouble::answer_lost()).await;
    let nodes = [node.clone()];
    let request = PatchRequest::new(mark.clone(), nodes.to_vec(), PatchAction::Scan);
    let answer = patiently(h, async || fleet.submit(request.clone()).await).await;
    let error = bad(answer, ErrorKind::Timeout, "a submission whose answer is lost");
    assert!(!error.is_retryable(), "it may have started");
    let found = patiently(h, async || fleet.find_operation(&mark, &nodes).await).await;
    if !fleet.capabilities().find_operation {
        bad(found, ErrorKind::Unsupported, "finding an act");
        return;
    }
    let mut found = good(found, "finding an act");
    for _ in 0..60 {
        if found.is_some() {
            break;
        }
        // Services tell late.
        h.clock().sleep(std::time::Duration::from_secs(5)).await;
        found = good(
            patiently(h, async || fleet.find_operation(&mark, &nodes).await).await,
            "finding an act",
        );
    }
    let Some(id) = found else { panic!("the act was accepted and is never found") };
    let end = wait_end(h, &id).await;
    assert_eq!(end.node(&node).map(|end| end.status), Some(OperationStatus::Succeeded));
}

/// `submit`: an action that the capabilities exclude is `Unsupported`; every other one is taken.
pub async fn an_act_the_provider_lacks_is_unsupported(h: &dyn Harness) {
    let node = h.add_node(NodeSeed::new(first_os(h))).await;
    let fleet = h.fleet();
    let can = fleet.capabilities();
    for (mark, action, able) in [
        ("conformance-scan", PatchAction::Scan, true),
        ("conformance-install", PatchAction::Install(RebootPolicy::IfRequired), true),
        ("conformance-agent", PatchAction::UpdateAgent, can.update_agent),
        ("conformance-refresh", PatchAction::RefreshAssociations, can.refresh_associations),
    ] {
        let request = PatchRequest::new(token(mark), vec![node.clone()], action);
        let answer = patiently(h, async || fleet.submit(request.clone()).await).await;
        if able {
            let end = wait_end(h, &good(answer, mark)).await;
            assert_eq!(end.status, OperationStatus::Succeeded, "{mark}");
        } else {
            bad(answer, ErrorKind::Unsupported, mark);
        }
    }
}

/// `find_operation`: `None` when the provider knows of none.
pub async fn an_unknown_token_finds_nothing(h: &dyn Harness) {
    let nodes = [h.add_node(NodeSeed::new(first_os(h))).await];
    let fleet = h.fleet();
    // A service that keeps no tokens needs the time.
    let mark = SubmitToken::stamped("conformance-never-submitted", h.clock().now());
    let mark = good(mark, "a token");
    let found = patiently(h, async || fleet.find_operation(&mark, &nodes).await).await;
    if fleet.capabilities().find_operation {
        assert_eq!(good(found, "finding no act"), None);
    } else {
        bad(found, ErrorKind::Unsupported, "finding an act");
    }
}

/// `operation`: a submitted act reaches a final status, on each of its nodes.
pub async fn a_submitted_act_reaches_a_final_status(h: &dyn Harness) {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(h.add_node(NodeSeed::new(first_os(h))).await);
    }
    let fleet = h.fleet();
    for (at, chunk) in fleet.chunks(&nodes).into_iter().enumerate() {
        let mark = token(&format!("conformance-end-{at}"));
        let request = PatchRequest::new(mark, chunk.clone(), PatchAction::Scan);
        let id = good(patiently(h, async || fleet.submit(request.clone()).await).await, "a scan");
        let end = wait_end(h, &id).await;
        assert_eq!(end.id, id);
        assert_eq!(end.status, OperationStatus::Succeeded);
        let told = each_once(end.nodes.iter().map(|node| node.node.clone()));
        assert_eq!(told, chunk.into_iter().collect());
        for node in &end.nodes {
            assert_eq!(node.status, OperationStatus::Succeeded, "{}", node.node);
        }
    }
    let compliance = h.compliance();
    for node in &nodes {
        let known = good(patiently(h, async || compliance.summary(node).await).await, "a summary");
        assert!(known.observed_at.is_some(), "{node} was scanned");
    }
}

/// `operation`: an act on a node whose agent does not answer ends, and not well.
pub async fn an_act_on_a_lost_node_does_not_succeed(h: &dyn Harness) {
    let well = h.add_node(NodeSeed::new(first_os(h))).await;
    let lost = h.add_node(NodeSeed::new(first_os(h)).with_agent(Reachability::Lost)).await;
    let fleet = h.fleet();
    let mut nodes = vec![well.clone(), lost.clone()];
    let most = fleet.capabilities().max_nodes_per_operation.get();
    nodes.drain(..nodes.len().saturating_sub(most));
    let together = nodes.contains(&well);
    let request = PatchRequest::new(token("conformance-lost-node"), nodes, PatchAction::Scan);
    let answer = patiently(h, async || fleet.submit(request.clone()).await).await;
    let id = match answer {
        Ok(id) => id,
        // A service that looks before it accepts may refuse the node.
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NodeUnreachable, "{}", error.report());
            assert_eq!(error.node(), Some(&lost));
            return;
        }
    };
    let end = wait_end(h, &id).await;
    assert_ne!(end.status, OperationStatus::Succeeded, "not all went well");
    let of_well = end.node(&well).map(|end| end.status);
    assert_eq!(of_well, together.then_some(OperationStatus::Succeeded));
    let lost = end.node(&lost).map(|end| end.status);
    assert!(
        matches!(lost, Some(OperationStatus::Undeliverable | OperationStatus::TimedOut)),
        "{lost:?}"
    );
}

/// `operation`: an unknown id is `NotFound`.
pub async fn an_unknown_operation_is_not_found(h: &dyn Harness) {
    let fleet = h.fleet();
    let id = h.unknown_operation();
    let seen = patiently(h, async || fleet.operation(&id).await).await;
    bad(seen, ErrorKind::NotFound, "reading an unknown act");
    let cancelled = patiently(h, async || fleet.cancel(&id).await).await;
    if fleet.capabilities().cancel {
        bad(cancelled, ErrorKind::NotFound, "cancelling an unknown act");
    } else {
        bad(cancelled, ErrorKind::Unsupported, "cancelling an act");
    }
}

/// `cancel`: a finished act is not an error, and stays as it ended.
pub async fn cancelling_a_finished_act_changes_nothing(h: &dyn Harness) {
    let node = h.add_node(NodeSeed::new(first_os(h))).await;
    let fleet = h.fleet();
    let request = PatchRequest::new(token("conformance-over"), vec![node], PatchAction::Scan);
    let id = good(patiently(h, async || fleet.submit(request.clone()).await).await, "a scan");
    let end = wait_end(h, &id).await;
    let cancelled = patiently(h, async || fleet.cancel(&id).await).await;
    if fleet.capabilities().cancel {
        good(cancelled, "cancelling a finished act");
    } else {
        bad(cancelled, ErrorKind::Unsupported, "cancelling an act");
    }
    let after = good(patiently(h, async || fleet.operation(&id).await).await, "reading the act");
    assert_eq!(after, end);
}

/// `cancel`: an act that is under way ends; on a provider that cannot, it goes on.
pub async fn a_cancelled_act_ends(h: &dyn Harness) {
    let node = h.add_node(NodeSeed::new(first_os(h))).await;
    let fleet = h.fleet();
    let request =
        PatchRequest::new(token("conformance-cancel"), vec![node.clone()], PatchAction::Scan);
    let id = good(patiently(h, async || fleet.submit(request.clone()).await).await, "a scan");
    let cancelled = patiently(h, async || fleet.cancel(&id).await).await;
    if fleet.capabilities().cancel {
        good(cancelled, "cancelling an act");
        let end = wait_end(h, &id).await;
        // It may have been quicker than we.
        assert!(
            matches!(end.status, OperationStatus::Cancelled | OperationStatus::Succeeded),
            "{}",
            end.status
        );
    } else {
        bad(cancelled, ErrorKind::Unsupported, "cancelling an act");
        assert_eq!(wait_end(h, &id).await.status, OperationStatus::Succeeded);
    }
}

/// `submit`: an install brings what is missing, and the node's compliance tells after a scan.
pub async fn an_install_brings_what_is_missing(h: &dyn Harness) {
    let seed = NodeSeed::new(first_os(h))
        .with_patches([patch("curl", PatchState::Installed), patch("openssl", PatchState::Missing)])
        .scanned();
    let node = h.add_node(seed).await;
    let (fleet, compliance) = (h.fleet(), h.compliance());
    let known =
        async || good(patiently(h, async || compliance.summary(&node).await).await, "a summary");
    assert_eq!(known().await.status, ComplianceStatus::NonCompliant);
    let install = PatchAction::Install(RebootPolicy::IfRequired);
    for (mark, action) in [("conformance-i", install), ("conformance-s", PatchAction::Scan)] {
        let request = PatchRequest::new(token(mark), vec![node.clone()], action);
        let id = good(patiently(h, async || fleet.submit(request.clone()).await).await, mark);
        let end = wait_end(h, &id).await;
        assert_eq!(end.node(&node).map(|end| end.status), Some(OperationStatus::Succeeded));
    }
    assert_eq!(known().await.status, ComplianceStatus::Compliant);
    let patches = good(list(h, || compliance.patches(&node)).await, "listing patches");
    assert!(patches.iter().all(|patch| patch.state == PatchState::Installed), "{patches:?}");
}
