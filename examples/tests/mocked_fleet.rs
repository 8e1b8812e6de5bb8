//! How a platform team tests its own code against mocked providers.
//!
//! The code under test opens a ticket for nodes that nobody has looked at for too long. It needs no
//! cloud, no clock and no network to be tested: the traits are mocked, the time is an argument.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use patchkit_core::{
    ComplianceReport, ComplianceStatus, Error, ErrorKind, Fleet, ManagedNode, NodeCompliance,
    NodeId, NodeSelector, OperatingSystem, Result, Retry,
    mock::{MockComplianceReport, MockFleet},
};

/// The nodes that were not scanned for `limit`, by owner.
async fn overdue(
    fleet: &dyn Fleet,
    compliance: &dyn ComplianceReport,
    now: Timestamp,
    limit: SignedDuration,
) -> Result<BTreeMap<String, Vec<NodeId>>> {
    let everyone = NodeSelector::all();
    let known: BTreeMap<NodeId, NodeCompliance> = compliance
        .summaries(&everyone)
        .map_ok(|summary| (summary.node.clone(), summary))
        .try_collect()
        .await?;
    let nodes: Vec<ManagedNode> = fleet.nodes(&everyone).try_collect().await?;
    let mut overdue: BTreeMap<String, Vec<NodeId>> = BTreeMap::new();
    for node in nodes {
        let age = known.get(&node.id).and_then(|known| known.age(now));
        if age.is_none_or(|age| age > limit) {
            let owner = node.tags.get("Owner").cloned().unwrap_or_else(|| "nobody".to_owned());
            overdue.entry(owner).or_default().push(node.id);
        }
    }
    Ok(overdue)
}

fn node(id: &str, owner: &str) -> ManagedNode {
    let id = format!("aws/111122223333/eu-west-1/{id}").parse().unwrap();
    let mut node = ManagedNode::new(id, OperatingSystem::Ubuntu, Timestamp::UNIX_EPOCH);
    node.tags.insert("Owner".to_owned(), owner.to_owned());
    node
}

fn scanned(node: &ManagedNode, at: &str) -> NodeCompliance {
    let mut known = NodeCompliance::unknown(node.id.clone());
    known.status = ComplianceStatus::Compliant;
    known.observed_at = Some(at.parse().unwrap());
    known
}

#[tokio::test]
async fn a_node_that_was_never_scanned_is_overdue() {
    let (old, fresh, never) = (node("i-01", "data"), node("i-02", "data"), node("i-03", "web"));
    let known = [scanned(&old, "2026-11-01T00:00:00Z"), scanned(&fresh, "2026-11-23T00:00:00Z")];

    let mut compliance = MockComplianceReport::new();
    compliance
        .expect_summaries()
        .times(1)
        .returning(move |_| stream::iter(known.clone().map(Ok)).boxed());
    let nodes = [old.clone(), fresh, never.clone()];
    let mut fleet = MockFleet::new();
    fleet.expect_nodes().times(1).returning(move |_| stream::iter(nodes.clone().map(Ok)).boxed());

    let now = "2026-11-24T00:00:00Z".parse().unwrap();
    let found =
        overdue(&fleet, &compliance, now, SignedDuration::from_hours(7 * 24)).await.unwrap();

    let expected = [("data".to_owned(), vec![old.id]), ("web".to_owned(), vec![never.id])];
    assert_eq!(found, BTreeMap::from(expected));
}

#[tokio::test]
async fn half_a_listing_is_an_error_and_not_a_short_list() {
    let mut compliance = MockComplianceReport::new();
    compliance.expect_summaries().returning(|_| stream::iter([]).boxed());
    let mut fleet = MockFleet::new();
    fleet.expect_nodes().returning(|_| {
        let lost = Error::new(ErrorKind::Throttled, "aws", "nodes", "rate exceeded")
            .with_retry(Retry::Backoff);
        stream::iter([Ok(node("i-01", "data")), Err(lost)]).boxed()
    });

    let limit = SignedDuration::from_hours(1);
    let error = overdue(&fleet, &compliance, Timestamp::UNIX_EPOCH, limit).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
}
