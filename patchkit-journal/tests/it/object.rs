//! The journal of objects, by the suite, over every store at hand.

mod harness;

use std::{sync::atomic::Ordering, time::Duration};

use futures::{FutureExt, TryStreamExt, future::join_all};
use object_store::{ObjectStoreExt, local::LocalFileSystem, memory::InMemory, path::Path};
use patchkit_core::{Event, Journal, NodeId, Record, RunId, RunLease};

pub(crate) use self::harness::ObjectHarness;
use self::harness::{ANSWERS, LOSES, NEVER_ANSWERS, SAYS_TAKEN};

mod in_memory {
    patchkit_testkit::journal_conformance!(crate::object::in_memory());
}

mod in_a_directory {
    patchkit_testkit::journal_conformance!(crate::object::in_a_directory());
}

fn in_memory() -> ObjectHarness {
    ObjectHarness::over(InMemory::new(), ())
}

fn in_a_directory() -> ObjectHarness {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalFileSystem::new_with_prefix(directory.path()).unwrap();
    ObjectHarness::over(store, directory)
}

const TERM: Duration = Duration::from_mins(5);

fn event(name: &str) -> Event {
    Event::Torn { detail: name.to_owned() }
}

async fn begun(journal: &dyn Journal) -> RunLease {
    journal.begin(&RunId::new("run").unwrap(), "worker-1", TERM).await.unwrap()
}

async fn names(journal: &dyn Journal) -> Vec<String> {
    let run = RunId::new("run").unwrap();
    let records: Vec<Record> = journal.events(&run).try_collect().await.unwrap();
    let name = |record: Record| match record.event {
        Event::Torn { detail } => detail,
        other => panic!("{other:?}"),
    };
    records.into_iter().map(name).collect()
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_was_made_once() {
    for answer in [LOSES, SAYS_TAKEN] {
        let harness = in_memory();
        let journal = harness.journal();
        harness.store.answer.store(answer, Ordering::Release);
        let lease = begun(&journal).await;
        journal.append(&lease, &[event("a")]).await.unwrap();
        let lease = journal.renew(&lease).await.unwrap();
        let nodes: [NodeId; 2] = ["aws/1/r/i-1", "aws/1/r/i-2"].map(|id| id.parse().unwrap());
        for (_, claim) in journal.claim(&lease, &nodes).await {
            claim.unwrap();
        }
        journal.append(&lease, &[event("b")]).await.unwrap();
        journal.order(&patchkit_core::Order::Halt, "kim", "").await.unwrap();
        journal.unclaim(&lease, &nodes).await.unwrap();
        journal.release(&lease).await.unwrap();
        harness.store.answer.store(ANSWERS, Ordering::Release);
        assert_eq!(names(&harness.journal()).await, ["a", "b"]);
        assert_eq!(harness.journal().orders(&lease.run).await.unwrap().len(), 1);
        let taken = harness.journal().take_over(&lease.run, "worker-2", TERM).await.unwrap();
        assert_eq!(taken.fence, lease.fence + 1);
    }
}

#[tokio::test]
async fn an_append_that_is_dropped_before_its_answer_is_written_once() {
    let harness = in_memory();
    let journal = harness.journal();
    let lease = begun(&journal).await;
    journal.append(&lease, &[event("a")]).await.unwrap();
    harness.store.answer.store(NEVER_ANSWERS, Ordering::Release);
    let broken_off = [event("b")];
    {
        let mut appending = Box::pin(journal.append(&lease, &broken_off));
        // The second poll writes it.
        assert!((&mut appending).now_or_never().is_none());
        assert!(appending.now_or_never().is_none());
    }
    harness.store.answer.store(ANSWERS, Ordering::Release);
    // Others read past it, and write after it, before its own journal writes again.
    let other = harness.journal();
    other.append(&lease, &[event("c")]).await.unwrap();
    journal.head(&lease.run).await.unwrap();
    journal.append(&lease, &[event("d")]).await.unwrap();
    assert_eq!(names(&journal).await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn appends_that_wait_share_a_put() {
    let harness = in_memory();
    let journal = harness.journal();
    let lease = begun(&journal).await;
    let before = harness.store.puts.load(Ordering::Relaxed);
    let texts: Vec<String> = (0..40).map(|at| at.to_string()).collect();
    let events: Vec<[Event; 1]> = texts.iter().map(|text| [event(text)]).collect();
    for written in join_all(events.iter().map(|event| journal.append(&lease, event))).await {
        written.unwrap();
    }
    let puts = harness.store.puts.load(Ordering::Relaxed) - before;
    assert!(puts <= 2, "{puts} puts");
    assert_eq!(names(&journal).await, texts);
}

#[tokio::test]
async fn ten_thousand_nodes_are_claimed_by_one_put() {
    let harness = in_memory();
    let journal = harness.journal();
    let lease = begun(&journal).await;
    let before = harness.store.puts.load(Ordering::Relaxed);
    let nodes: Vec<NodeId> =
        (0..10_000).map(|at| format!("aws/1/r/i-{at}").parse().unwrap()).collect();
    assert!(journal.claim(&lease, &nodes).await.iter().all(|(_, claim)| claim.is_ok()));
    assert_eq!(harness.store.puts.load(Ordering::Relaxed) - before, 1);
}

#[tokio::test]
async fn an_object_of_a_newer_version_is_not_passed_over() {
    let harness = in_memory();
    let journal = harness.journal();
    let lease = begun(&journal).await;
    let next = Path::from(format!("some/where/runs/run/{:020}.json", 1));
    harness.store.put(&next, "{\"journal\":2}\n".into()).await.unwrap();
    let error = journal.append(&lease, &[event("a")]).await.unwrap_err();
    assert_eq!(error.kind(), patchkit_core::ErrorKind::Unsupported);
    assert!(error.message().contains("newer version"), "{error}");
    let read: patchkit_core::Result<Vec<Record>> =
        harness.journal().events(&lease.run).try_collect().await;
    assert_eq!(read.unwrap_err().kind(), patchkit_core::ErrorKind::Unsupported);
}

#[tokio::test]
async fn nothing_is_overwritten_and_objects_are_readable_by_people() {
    let harness = in_memory();
    let journal = harness.journal();
    let lease = begun(&journal).await;
    journal.append(&lease, &[event("a")]).await.unwrap();
    let keys = harness.objects(&lease.run).await;
    let names: Vec<&str> = keys.iter().filter_map(|key| key.filename()).collect();
    assert_eq!(names, ["00000000000000000000.json", "00000000000000000001.json"]);
    let text = String::from_utf8(harness.bytes(&keys[1]).await).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["journal"], 1);
    assert_eq!(lines[1]["lease"]["holder"], "worker-1");
    assert_eq!(lines[2]["event"]["detail"], "a");
}
