//! Two thousand machines in virtual time, as often as Azure lets itself be asked.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use patchkit_azure::{CallBudget, UpdateManager};
use patchkit_core::{Clock, Fleet, NodeId, OperationId, OperationStatus, PatchAction, SubmitToken};
use patchkit_testkit::cloud::{Throttles, World};

use super::{INSTALL, lacking, posts, request};
use crate::cloud::{builder, node, provider, vm};

const MACHINES: usize = 2_000;

/// The world's time, which jumps as soon as someone waits: one at a time does.
#[derive(Clone, Debug)]
struct Jump(Arc<World>);

#[async_trait]
impl Clock for Jump {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.advance(duration);
    }
}

/// Carries an act out on every machine, and looks at those under way in between; how long that took.
async fn round(clock: &Jump, azure: &UpdateManager, nodes: &[NodeId], action: PatchAction) -> i64 {
    let began = clock.now();
    let mut open: BTreeSet<OperationId> = BTreeSet::new();
    for (at, node) in nodes.iter().enumerate() {
        let token = SubmitToken::stamped(&format!("{action}-{node}"), clock.now()).unwrap();
        assert!(open.insert(azure.submit(request(&token, node, action)).await.unwrap()));
        if at % 100 == 0 {
            look(azure, &mut open).await;
        }
    }
    while !open.is_empty() {
        look(azure, &mut open).await;
        clock.sleep(Duration::from_secs(5)).await;
    }
    clock.now().duration_since(began).as_secs()
}

async fn look(azure: &UpdateManager, open: &mut BTreeSet<OperationId>) {
    for id in open.clone() {
        let seen = azure.operation(&id).await.unwrap();
        if seen.status.is_final() {
            assert_eq!(seen.status, OperationStatus::Succeeded, "{seen:?}");
            open.remove(&id);
        }
    }
}

#[tokio::test]
async fn two_thousand_machines_are_scanned_and_installed_without_a_throttle() {
    let begin = "2026-11-24T02:00:00Z".parse().unwrap();
    let builder = builder().nodes(0).start_at(begin).throttles(Throttles::Documented);
    let world = Arc::new(builder.start().await.unwrap());
    let spec = lacking(vm(), &["curl"]);
    let nodes: Vec<NodeId> = (0..MACHINES).map(|_| node(&world.add_node(&spec).unwrap())).collect();
    let clock = Jump(Arc::clone(&world));
    let azure = provider(&world)
        .with_clock(clock.clone())
        .with_budget(CallBudget::default())
        .build()
        .unwrap();
    for action in [PatchAction::Scan, INSTALL] {
        world.forget_calls();
        let seconds = round(&clock, &azure, &nodes, action).await;
        let calls = world.calls();
        let throttled = calls.iter().filter(|call| call.status == Some(429)).count();
        assert_eq!(throttled, 0, "{action}");
        assert_eq!(posts(&world), MACHINES, "{action}");
        // Half of 200 a minute, after a first 300 at once; the act itself takes some minutes.
        let least = i64::try_from((MACHINES - 600) * 60 / 200).unwrap();
        let most = i64::try_from((MACHINES - 300) * 60 / 100 + 1_200).unwrap();
        assert!((least..most).contains(&seconds), "{action}: {seconds} s");
        // An act takes some minutes, and is looked at once in each.
        let looks = calls.of("Operations_Get").len();
        assert!((MACHINES..MACHINES * 20).contains(&looks), "{action}: {looks} looks");
    }
}
