//! Two workers that keep one budget through their journal alone, each with a connection of its own.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::future::join;
use jiff::Timestamp;
use patchkit_core::{
    Amount, Budget, Clock, Journal, NodeId, NodeSelector, Rollout, RunId,
    memory::MemoryCloud,
    observe::{RunEvent, RunEventKind, WaitCause},
    workflow::{PatchOptions, Runner},
};
use patchkit_journal::{ObjectJournal, SqliteJournal};

use crate::{bucket, client};

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_with_a_file_keep_one_budget() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    keep_one_budget(|clock| SqliteJournal::open(&file, clock).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_with_a_bucket_keep_one_budget() {
    let world = bucket().await;
    keep_one_budget(|clock| ObjectJournal::new(Arc::new(client(&world)), "runs", clock).unwrap())
        .await;
}

/// Two runs of six nodes each, of which three may be out of work at once.
async fn keep_one_budget<J: Journal>(open: impl Fn(Hurried) -> J) {
    let clock = Hurried(Instant::now());
    let cloud = MemoryCloud::builder().seed(7).nodes(12).clock(clock.clone()).build();
    let nodes: Vec<NodeId> = cloud.node_ids();
    let seen = Seen::default();
    let work = |run: &'static str, nodes: &[NodeId]| {
        let journal = open(clock.clone());
        let runner = Runner::new(cloud.clone(), cloud.clone(), journal, clock.clone());
        let runner = runner.with_holder(run).with_observer(seen.observer());
        let budget = Budget::whole(Amount::Fixed(3)).with_shared("night");
        let rollout = Rollout::new()
            .with_disruption(Amount::Percent(100))
            .with_errors(Amount::Percent(100))
            .with_budget(budget);
        let options = PatchOptions::new(NodeSelector::ids(nodes.iter().cloned()))
            .with_fresh(Duration::ZERO)
            .with_rollout(rollout);
        async move {
            let plan = runner.plan_patch(&options).await.unwrap();
            runner.patch(&RunId::new(run).unwrap(), &plan).await.unwrap()
        }
    };
    let (one, two) = nodes.split_at(6);
    let (one, two) = join(work("one", one), work("two", two)).await;
    assert!(one.started_at < two.ended_at && two.started_at < one.ended_at, "{one}{two}");
    let seen = seen.0.lock().unwrap();
    assert_eq!((seen.most, seen.out.len()), (3, 0), "{one}{two}");
    assert!(seen.waits > 0, "nobody waited");
}

/// How many nodes were out of work at once, over all runs.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    out: BTreeSet<NodeId>,
    most: usize,
    waits: usize,
}

impl Seen {
    fn observer(&self) -> impl Fn(&RunEvent) + Send + Sync + 'static {
        let counts = Arc::clone(&self.0);
        move |event| {
            let mut counts = counts.lock().unwrap();
            match &event.kind {
                RunEventKind::NodeStep { node, .. } => {
                    counts.out.insert(node.clone());
                    counts.most = counts.most.max(counts.out.len());
                }
                RunEventKind::NodeFinished { report } => {
                    counts.out.remove(&report.node);
                }
                RunEventKind::Waiting { cause: WaitCause::Slot, .. } => counts.waits += 1,
                _ => {}
            }
        }
    }
}

/// Real time, two hundred times as fast: a virtual clock would run ahead of the journal.
#[derive(Clone, Debug)]
struct Hurried(Instant);

const TIMES: u32 = 200;

#[async_trait::async_trait]
impl Clock for Hurried {
    fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-11-24T02:00:00Z".parse().unwrap();
        start + self.0.elapsed() * TIMES
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration / TIMES).await;
    }
}
