//! Scan, access check and tag check on a fleet in memory.

mod common;

use common::{azure, error, id, node, off, run_id, world};
use futures::{
    StreamExt,
    executor::block_on,
    stream::{self, BoxStream},
};
use jiff::{SignedDuration, Timestamp};
use patchkit_core::{
    AccessGrant, AccessStatus, Clock, ComplianceReport, ComplianceStatus, ErrorKind,
    NodeCompliance, NodeId, NodeOrigin, NodeSelector, PatchCompliance, PowerState, Reachability,
    Result, Tags, VirtualClock,
    memory::{Fault, MemoryCloud},
    workflow::{AccessMode, AccessOutcome, RequiredTags, Runner, ScanOutcome, TagMode, TagOutcome},
};

#[test]
fn a_scan_reaches_the_running_and_says_why_not_the_others() {
    let at = "2026-11-20T02:00:00Z".parse().unwrap();
    let world = world([
        node(id("i-01")),
        off(id("i-02"), PowerState::Stopped).with_scan(at),
        node(id("i-03")).with_reachability(Reachability::Lost),
        node(id("mi-04")).with_origin(NodeOrigin::Hybrid),
    ]);
    let report = block_on(world.runner.scan(&run_id("scan"), &NodeSelector::all())).unwrap();
    let outcomes: Vec<_> = report.nodes.iter().map(|node| node.outcome).collect();
    assert_eq!(
        outcomes,
        [ScanOutcome::Scanned, ScanOutcome::Off, ScanOutcome::Unreachable, ScanOutcome::Scanned]
    );
    let [scanned, off, lost, _] = &report.nodes[..] else { panic!("four nodes") };
    assert_eq!(scanned.compliance.status, ComplianceStatus::NonCompliant);
    assert_eq!(scanned.compliance.counts.missing, 2);
    assert_eq!(off.compliance.observed_at, Some(at), "what is known keeps its age");
    assert_eq!(lost.compliance.status, ComplianceStatus::Unknown);
    assert_eq!(lost.reason.as_deref(), Some("its agent is lost"));
}

#[test]
fn a_scan_waits_for_a_result_that_is_told_late() {
    let at = "2026-11-20T02:00:00Z".parse().unwrap();
    let world = world([node(id("i-01")).with_scan(at)]);
    let before = block_on(world.cloud.summary(&id("i-01"))).unwrap();
    let late =
        Late { cloud: world.cloud.clone(), before, clock: world.clock.clone(), since: world.now() };
    let (cloud, journal) = (world.cloud.clone(), world.journal.clone());
    let runner = Runner::new(cloud, late, journal, world.clock.clone());
    let report = block_on(runner.scan(&run_id("scan"), &NodeSelector::all())).unwrap();
    assert_eq!(report.nodes[0].outcome, ScanOutcome::Scanned);
    assert_eq!(report.nodes[0].reason, None);
    assert!(report.nodes[0].compliance.observed_at > Some(at));
}

/// Shows what was known before, until two minutes are over.
#[derive(Debug)]
struct Late {
    cloud: MemoryCloud,
    before: NodeCompliance,
    clock: VirtualClock,
    since: Timestamp,
}

#[async_trait::async_trait]
impl ComplianceReport for Late {
    fn summaries(&self, selector: &NodeSelector) -> BoxStream<'static, Result<NodeCompliance>> {
        if self.clock.now() < self.since + SignedDuration::from_mins(2) {
            return stream::iter([Ok(self.before.clone())]).boxed();
        }
        self.cloud.summaries(selector)
    }

    async fn summary(&self, node: &NodeId) -> Result<NodeCompliance> {
        self.cloud.summary(node).await
    }

    fn patches(&self, node: &NodeId) -> BoxStream<'static, Result<PatchCompliance>> {
        self.cloud.patches(node)
    }
}

#[test]
fn an_access_check_reads_only_and_a_fix_can_be_taken_back() {
    let (bare, weak, fine) = (id("i-01"), id("i-02"), id("i-03"));
    let world = world([
        node(bare.clone()).with_access(AccessStatus::NoIdentity),
        node(weak.clone()).with_access(AccessStatus::MissingPermissions),
        node(fine.clone()),
    ]);
    let all = NodeSelector::all();
    block_on(async {
        let report =
            world.runner.check_access(&run_id("check"), &all, &AccessMode::Check).await.unwrap();
        let outcomes: Vec<_> = report.nodes.iter().map(|node| node.outcome).collect();
        let wanted = [AccessOutcome::Missing, AccessOutcome::Missing, AccessOutcome::Granted];
        assert_eq!(outcomes, wanted);
        assert!(world.cloud.calls().iter().all(|call| call.operation != "grant_access"));

        let grant = AccessGrant::new("Profile").with_policy("Core");
        let report =
            world.runner.check_access(&run_id("fix"), &all, &AccessMode::Fix(grant)).await.unwrap();
        let outcomes: Vec<_> = report.nodes.iter().map(|node| node.outcome).collect();
        assert_eq!(outcomes, [AccessOutcome::Fixed, AccessOutcome::Fixed, AccessOutcome::Granted]);
        assert!(report.nodes[2].change.is_none(), "what has access is left alone");

        assert!(world.runner.revert_access(&report).await.is_empty());
        let report =
            world.runner.check_access(&run_id("again"), &all, &AccessMode::Check).await.unwrap();
        let outcomes: Vec<_> = report.nodes.iter().map(|node| node.outcome).collect();
        assert_eq!(outcomes, wanted);
    });
}

#[test]
fn one_denied_node_does_not_stop_the_access_check_of_the_others() {
    let world = world([node(id("i-01")), node(id("i-02"))]);
    world.cloud.on_call(|call| {
        if call.operation == "access" && call.nodes == [id("i-01")] {
            Fault::Refuse(error(ErrorKind::PermissionDenied))
        } else {
            Fault::Pass
        }
    });
    let all = NodeSelector::all();
    let report =
        block_on(world.runner.check_access(&run_id("r"), &all, &AccessMode::Check)).unwrap();
    let outcomes: Vec<_> = report.nodes.iter().map(|node| node.outcome).collect();
    assert_eq!(outcomes, [AccessOutcome::Failed, AccessOutcome::Granted]);
}

#[test]
fn missing_tags_are_merged_in_and_no_other_is_touched() {
    let (tagged, bare) = (azure("vm-1"), azure("vm-2"));
    let world = world([
        node(tagged.clone()).with_tag("Owner", "data").with_tag("Environment", "prod"),
        node(bare.clone()).with_tag("Cost", "42"),
    ]);
    let required = RequiredTags::new().with_default("Environment", "unassigned").with_name("Owner");
    let all = NodeSelector::all();
    block_on(async {
        let checked = world
            .runner
            .check_tags(&run_id("check"), &all, &required, TagMode::Check)
            .await
            .unwrap();
        assert_eq!(checked.nodes[0].outcome, TagOutcome::Complete);
        assert_eq!(checked.nodes[1].missing, ["Environment", "Owner"]);
        assert!(world.cloud.calls().iter().all(|call| call.operation != "merge_tags"));

        let merged = world
            .runner
            .check_tags(&run_id("merge"), &all, &required, TagMode::Merge)
            .await
            .unwrap();
        assert_eq!(merged.nodes[1].outcome, TagOutcome::Missing, "nobody said who owns it");
        let tags = world.cloud.peek(&bare).unwrap().tags;
        let wanted = [("Cost", "42"), ("Environment", "unassigned")];
        assert_eq!(tags, Tags::from(wanted.map(|(k, v)| (k.to_owned(), v.to_owned()))));
        assert_eq!(merged.rows().count(), 4, "all tags of all nodes are exported");

        assert!(world.runner.revert_tags(&merged).await.is_empty());
        assert_eq!(world.cloud.peek(&bare).unwrap().tags.len(), 1);
    });
}

#[test]
fn a_node_with_too_many_tags_is_named_and_left_as_it_is() {
    let full = (0..50).fold(node(id("i-01")), |node, at| node.with_tag(format!("t{at}"), "x"));
    let world = world([full]);
    let required = RequiredTags::new().with_default("Environment", "unassigned");
    let merged = block_on(world.runner.check_tags(
        &run_id("merge"),
        &NodeSelector::all(),
        &required,
        TagMode::Merge,
    ))
    .unwrap();
    assert_eq!(merged.nodes[0].outcome, TagOutcome::Failed);
    assert!(merged.nodes[0].error.as_ref().unwrap().contains("51 tags are more than 50"));
    assert_eq!(merged.nodes[0].tags.len(), 50);
}
