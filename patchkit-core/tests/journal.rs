//! What runs and operators make of a journal that holds more than this version knows, or less than
//! was written.

mod common;

use std::time::Duration;

use common::{id, node, off, options, outcome, run_id, says, world, wrap::Faulty};
use futures::{TryStreamExt, executor::block_on};
use patchkit_core::{
    Change, ErrorKind, Event, Journal, PowerState, Record, RunState, Runs,
    memory::{Fault, MemoryJournal},
    workflow::{Outcome, Runner},
};

const TERM: Duration = Duration::from_mins(5);

/// A journal in which a run of a newer version has died, with a node that it started.
async fn newer(world: &common::World) -> MemoryJournal {
    let journal = world.journal.clone();
    let lease = journal
        .begin(&run_id("run"), "newer", TERM)
        .await
        .expect("the memory journal does not fail");
    let started = id("i-01");
    let start = Change::Start { node: started.clone(), before: PowerState::Stopped };
    let plan = serde_json::json!({ "nodes": [started, id("i-02")] });
    let events = [
        Event::RunStarted { workflow: "patch".into(), plan_hash: String::new(), plan },
        Event::ChangeIntent { change: start.clone() },
        Event::ChangeDone { change: start },
        Event::Other(serde_json::json!({ "event": "quarantined", "node": id("i-02") })),
    ];
    journal.append(&lease, &events).await.expect("the memory journal does not fail");
    for (_, claim) in journal.claim(&lease, &[started, id("i-02")]).await {
        claim.expect("nobody else claims");
    }
    world.clock.advance(2 * TERM);
    journal
}

#[test]
fn a_run_with_a_record_of_a_newer_version_is_put_back_and_stays_claimed() {
    let world = world([node(id("i-01")), node(id("i-02"))]);
    block_on(async {
        let journal = newer(&world).await;
        let error = world.runner.resume(&run_id("run")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("quarantined"), "{error}");

        let recovery = world.runner.recover(&run_id("run")).await.unwrap();
        assert_eq!(recovery.restored, [id("i-01")]);
        assert!(recovery.problems.iter().any(|it| it.contains("record 3")), "{recovery:?}");
        assert_eq!(world.cloud.power(&id("i-01")), Some(PowerState::Stopped));
        let other = journal.begin(&run_id("other"), "other", TERM).await.unwrap();
        for (node, claim) in journal.claim(&other, &[id("i-01"), id("i-02")]).await {
            assert_eq!(claim.unwrap_err().kind(), ErrorKind::Conflict, "{node}");
        }
        let runs = Runs::new(journal.clone(), world.clock.clone());
        assert_eq!(runs.line(&run_id("run")).await.unwrap().state, RunState::Dead);
        let told = runs.story(&run_id("run")).await.unwrap().to_string();
        assert!(told.contains("does not know"), "{told}");

        // An operator who has looked at the nodes gives them free.
        world.runner.abandon(&run_id("run"), "kim", "looked at both").await.unwrap();
        for (_, claim) in journal.claim(&other, &[id("i-01"), id("i-02")]).await {
            claim.unwrap();
        }
        assert_eq!(runs.line(&run_id("run")).await.unwrap().state, RunState::Abandoned);
    });
}

#[test]
fn a_run_whose_orders_cannot_be_read_begins_nothing_and_puts_back_what_it_started() {
    let started = id("i-01");
    let world = world([off(started.clone(), PowerState::Stopped)]);
    let cloud = world.cloud.clone();
    let calls = cloud.clone();
    // From the first start on.
    let journal = Faulty::new(world.journal.clone(), move |operation, _| {
        if operation == "orders" && calls.calls().iter().any(|call| call.target.is_some()) {
            Fault::Refuse(common::error(ErrorKind::Unexpected))
        } else {
            Fault::Pass
        }
    });
    let runner = Runner::new(cloud.clone(), cloud, journal, world.clock.clone());
    let ended = block_on(async {
        let plan = runner.plan_patch(&options()).await.unwrap();
        runner.patch(&run_id("run"), &plan).await.unwrap()
    });
    assert_eq!(outcome(&ended, &started), Outcome::Skipped);
    assert!(says(&ended, &started, "the journal cannot be"), "{ended}");
    assert!(world.installs().is_empty());
    assert!(ended.undo_failed.is_empty(), "{ended}");
    assert_eq!(world.cloud.power(&started), Some(PowerState::Stopped));
}

#[test]
fn a_story_is_told_in_order_of_time_and_holds_no_text_that_moves_the_cursor() {
    let world = world([off(id("i-01"), PowerState::Stopped)]);
    let runs = Runs::new(world.journal.clone(), world.clock.clone());
    block_on(async {
        let plan = world.runner.plan_patch(&options()).await.unwrap();
        world.runner.patch(&run_id("run"), &plan).await.unwrap();
        runs.pause(&run_id("run"), "kim\u{1b}[2J", "too late\nrun over").await.unwrap();
        let story = runs.story(&run_id("run")).await.unwrap();
        let told = story.to_string();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 1 + story.records.len() + 1, "{told}");
        assert!(lines[0].starts_with("finished   run  begun"), "{told}");
        assert!(!told.contains('\u{1b}'), "{told:?}");
        assert!(lines[lines.len() - 1].contains("ORDER pause run, by kim"), "{told}");
        for word in ["the run began: patch, 1 nodes", "about to start", "is op-", "ended: patched"]
        {
            assert!(told.contains(word), "{word}: {told}");
        }
        let listed: Vec<_> = runs.list().try_collect().await.unwrap();
        assert_eq!(listed, [story.line]);
        let records: Vec<Record> =
            world.journal.events(&run_id("run")).try_collect().await.unwrap();
        assert_eq!(records, story.records);
    });
}
