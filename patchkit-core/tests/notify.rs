//! Notifications through the outbox: at least once, with the same id, to each receiver.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
};

use async_trait::async_trait;
use common::{error, id, node, options, world};
use futures::{FutureExt, StreamExt, executor::block_on};
use patchkit_core::{
    Book, ErrorKind, Ledger, Result, VirtualClock,
    memory::MemoryJournal,
    notify::{Notification, Notifier, Outbox},
};

/// A receiver that keeps what it is brought.
#[derive(Clone, Debug, Default)]
struct Inbox {
    name: &'static str,
    ids: Arc<Mutex<Vec<String>>>,
    mood: Arc<AtomicU8>,
}

const TAKES: u8 = 0;
const REFUSES: u8 = 1;
/// Takes it, and answers nothing any more.
const HANGS: u8 = 2;

impl Inbox {
    fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    fn is(&self, mood: u8) {
        self.mood.store(mood, Ordering::Relaxed);
    }

    fn ids(&self) -> Vec<String> {
        self.ids.lock().unwrap().clone()
    }
}

#[async_trait]
impl Notifier for Inbox {
    fn name(&self) -> &str {
        self.name
    }

    async fn deliver(&self, notification: &Notification) -> Result<()> {
        match self.mood.load(Ordering::Relaxed) {
            REFUSES => return Err(error(ErrorKind::PermissionDenied)),
            mood => {
                self.ids.lock().unwrap().push(notification.id.clone());
                if mood == HANGS {
                    futures::future::pending::<()>().await;
                }
            }
        }
        Ok(())
    }
}

fn ledger() -> MemoryJournal {
    MemoryJournal::new(VirtualClock::manual("2026-11-24T02:00:00Z".parse().unwrap()))
}

/// What is told of a run over one node.
fn told(name: &str) -> Notification {
    let world = world([node(id(name))]);
    Notification::run_ended(&block_on(world.patch(&options())))
}

fn outbox(ledger: &MemoryJournal, inboxes: &[&Inbox]) -> Outbox {
    let outbox = Outbox::new(ledger.clone());
    inboxes.iter().fold(outbox, |outbox, inbox| outbox.with_notifier((*inbox).clone()))
}

async fn written(ledger: &MemoryJournal) -> Vec<String> {
    let entries = ledger.entries(Book::Notifications, None);
    entries.map(|it| it.unwrap().value["outbox"].as_str().unwrap().to_owned()).collect().await
}

#[test]
fn what_is_to_be_told_is_written_down_before_it_is_and_when_it_was() {
    let (ledger, inbox) = (ledger(), Inbox::new("inbox"));
    let outbox = outbox(&ledger, &[&inbox]);
    let notification = told("i-01");
    block_on(async {
        inbox.is(HANGS);
        {
            let mut sending = pin!(outbox.send(&notification));
            while inbox.ids().is_empty() {
                assert!((&mut sending).now_or_never().is_none());
            }
            assert_eq!(written(&ledger).await, ["queued"]);
        }
        // The process is gone. The next one delivers it again, under the same id.
        inbox.is(TAKES);
        let again = self::outbox(&ledger, &[&inbox]);
        let posted = again.flush().await.unwrap();
        assert!(posted.is_clean() && posted.deliveries.len() == 1, "{posted:?}");
        assert_eq!(inbox.ids(), [&*notification.id, &*notification.id]);
        assert_eq!(written(&ledger).await, ["queued", "delivered"]);
        // Neither it nor its sender tells it once more.
        for outbox in [&again, &outbox] {
            assert!(outbox.flush().await.unwrap().deliveries.is_empty());
            assert!(outbox.send(&notification).await.unwrap().deliveries.is_empty());
        }
        assert_eq!(inbox.ids().len(), 2);
    });
}

#[test]
fn a_receiver_that_refuses_keeps_nothing_from_the_others_and_gets_it_later() {
    let (ledger, good, bad) = (ledger(), Inbox::new("good"), Inbox::new("bad"));
    let outbox = outbox(&ledger, &[&good, &bad]);
    bad.is(REFUSES);
    let notification = told("i-01");
    block_on(async {
        let posted = outbox.send(&notification).await.unwrap();
        assert!(!posted.is_clean());
        assert_eq!((good.ids().len(), bad.ids().len()), (1, 0));
        assert!(!outbox.flush().await.unwrap().is_clean());
        let open = outbox.undelivered().await.unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].to.as_str(), open[0].failures), ("bad", 2));
        assert!(open[0].last_error.as_ref().unwrap().contains("as the test wants it"));
        bad.is(TAKES);
        assert!(outbox.flush().await.unwrap().is_clean());
        assert_eq!((good.ids(), bad.ids().len()), (bad.ids(), 1));
        assert!(outbox.undelivered().await.unwrap().is_empty());
    });
}

#[test]
fn what_someone_discards_is_not_delivered_any_more() {
    let (ledger, inbox) = (ledger(), Inbox::new("inbox"));
    let outbox = outbox(&ledger, &[&inbox]);
    inbox.is(REFUSES);
    let notification = told("i-01");
    block_on(async {
        outbox.send(&notification).await.unwrap();
        outbox.discard(&notification.id, "kim", "the topic is gone").await.unwrap();
        inbox.is(TAKES);
        assert!(outbox.flush().await.unwrap().deliveries.is_empty());
        let error = outbox.discard(&notification.id, "kim", "").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn what_another_process_queued_is_delivered_by_whoever_has_the_receiver() {
    let (ledger, inbox, elsewhere) = (ledger(), Inbox::new("inbox"), Inbox::new("elsewhere"));
    let notification = told("i-01");
    block_on(async {
        outbox(&ledger, &[&inbox, &elsewhere]).queue(&notification).await.unwrap();
        let here = outbox(&ledger, &[&inbox]);
        assert_eq!(here.flush().await.unwrap().deliveries.len(), 1);
        assert_eq!((inbox.ids().len(), elsewhere.ids().len()), (1, 0));
        assert_eq!(here.undelivered().await.unwrap()[0].to, "elsewhere");
    });
}

#[test]
fn an_entry_of_a_newer_version_is_named_and_stops_nothing() {
    let (ledger, inbox) = (ledger(), Inbox::new("inbox"));
    let notification = told("i-01");
    block_on(async {
        let newer = serde_json::json!({ "outbox": "postponed", "id": "x" });
        ledger.enter(Book::Notifications, &[newer]).await.unwrap();
        let posted = outbox(&ledger, &[&inbox]).send(&notification).await.unwrap();
        assert_eq!((posted.deliveries.len(), posted.problems.len()), (1, 1));
        assert!(posted.deliveries[0].error.is_none());
    });
}

#[test]
fn a_run_that_dies_before_it_has_told_of_its_end_tells_it_when_the_process_is_back() {
    let (world, inbox) = (world([node(id("i-01"))]), Inbox::new("inbox"));
    let outbox = Arc::new(outbox(&world.journal, &[&inbox]));
    let runner = world.runner.clone().with_outbox(Arc::clone(&outbox));
    inbox.is(HANGS);
    block_on(async {
        let plan = runner.plan_patch(&options()).await.unwrap();
        {
            let run = common::run_id("run");
            let mut patching = pin!(runner.patch(&run, &plan));
            while inbox.ids().is_empty() {
                assert!((&mut patching).now_or_never().is_none());
            }
        }
        inbox.is(TAKES);
        let again = self::outbox(&world.journal, &[&inbox]);
        assert_eq!(again.flush().await.unwrap().deliveries.len(), 1);
        assert!(again.undelivered().await.unwrap().is_empty());
        let ids = inbox.ids();
        assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
    });
}

#[test]
fn a_receiver_that_refuses_is_a_problem_of_the_run_and_no_more() {
    let (world, inbox) = (world([node(id("i-01"))]), Inbox::new("inbox"));
    inbox.is(REFUSES);
    let outbox = Arc::new(outbox(&world.journal, &[&inbox]));
    let runner = world.runner.clone().with_outbox(outbox);
    block_on(async {
        let plan = runner.plan_patch(&options()).await.unwrap();
        let ended = runner.patch(&common::run_id("run"), &plan).await.unwrap();
        assert!(ended.nodes[0].outcome.outcome.is_good());
        assert!(ended.problems.iter().any(|it| it.starts_with("not delivered to inbox")));
    });
}
