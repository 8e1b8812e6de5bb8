//! What is kept beside runs in a durable journal: history and notifications outlive the process.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use object_store::memory::InMemory;
use patchkit_core::{
    ComplianceStatus, Error, ErrorKind, Journal, Ledger, NodeSelector, Result, RunId, VirtualClock,
    history::History,
    memory::MemoryCloud,
    notify::{Notification, Notifier, Outbox},
    workflow::{PatchOptions, Runner},
};
use patchkit_journal::{ObjectJournal, SqliteJournal};

/// A receiver that is down until it is not.
#[derive(Clone, Debug, Default)]
struct Inbox(Arc<Mutex<(bool, Vec<String>)>>);

#[async_trait]
impl Notifier for Inbox {
    fn name(&self) -> &'static str {
        "inbox"
    }

    async fn deliver(&self, notification: &Notification) -> Result<()> {
        let mut state = self.0.lock().unwrap();
        if !state.0 {
            return Err(Error::new(ErrorKind::Timeout, "inbox", "deliver", "it is down"));
        }
        state.1.push(notification.id.clone());
        Ok(())
    }
}

/// Runs in one process, and asks in the next one. `open` opens the same store anew each time.
async fn history_and_notifications_outlive_the_process<J>(
    clock: &VirtualClock,
    open: impl Fn() -> J,
) where
    J: Clone + Journal + Ledger,
{
    let cloud = MemoryCloud::builder().seed(7).nodes(40).clock(clock.clone()).build();
    let inbox = Inbox::default();
    let (ended, scanned) = {
        let journal = open();
        let outbox = Arc::new(Outbox::new(journal.clone()).with_notifier(inbox.clone()));
        let runner = Runner::new(cloud.clone(), cloud, journal.clone(), clock.clone())
            .with_history(History::new(journal))
            .with_outbox(outbox);
        let scan = runner.scan(&RunId::new("scan").unwrap(), &NodeSelector::all()).await.unwrap();
        let plan = runner.plan_patch(&PatchOptions::new(NodeSelector::all())).await.unwrap();
        let ended = runner.patch(&RunId::new("run").unwrap(), &plan).await.unwrap();
        assert!(ended.problems.iter().any(|it| it.contains("it is down")), "{ended}");
        (ended, scan)
    };

    let journal = open();
    let timeline = History::new(journal.clone()).timeline().await.unwrap();
    assert!(timeline.unread.is_empty());
    for node in scanned.nodes {
        let Some(seen) = timeline.nodes.get(&node.node) else { continue };
        assert_eq!(seen[0].status, node.compliance.status, "{}", node.node);
        assert_eq!(seen[0].run, Some(scanned.run.clone()));
    }
    let patched = ended.nodes.iter().filter(|node| {
        node.status_before == ComplianceStatus::NonCompliant
            && node.status_after == ComplianceStatus::Compliant
    });
    let drift = timeline.drift_since(ended.started_at);
    assert_eq!(drift.len(), patched.count());
    assert!(!drift.is_empty(), "the run patched nothing");

    inbox.0.lock().unwrap().0 = true;
    let outbox = Outbox::new(journal).with_notifier(inbox.clone());
    assert!(outbox.flush().await.unwrap().is_clean());
    assert_eq!(inbox.0.lock().unwrap().1, [Notification::run_ended(&ended).id]);
    assert!(outbox.flush().await.unwrap().deliveries.is_empty());
}

fn clock() -> VirtualClock {
    VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap())
}

#[tokio::test]
async fn in_a_file() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), clock());
    let path = directory.path().join("runs.db");
    let open = || SqliteJournal::open(&path, clock.clone()).unwrap();
    history_and_notifications_outlive_the_process(&clock, open).await;
}

#[tokio::test]
async fn in_a_bucket() {
    let (bucket, clock) = (Arc::new(InMemory::new()), clock());
    let open =
        || ObjectJournal::new(Arc::<InMemory>::clone(&bucket), "patchkit", clock.clone()).unwrap();
    history_and_notifications_outlive_the_process(&clock, open).await;
}
