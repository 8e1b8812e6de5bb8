//! Acts that are found by their tokens' times.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use patchkit_core::{Clock, ErrorKind, Fleet, PatchAction, SubmitToken};
use patchkit_testkit::cloud::{Fault, FaultKind, SimClock};

use super::{INSTALL, cloud, end, lacking, posts, request, token, web};
use crate::cloud::{arc, provider};

/// A clock that is wrong by so much.
#[derive(Debug)]
struct Wrong(SimClock, SignedDuration);

#[async_trait]
impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        self.0.now().checked_add(self.1).unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }
}

#[tokio::test]
async fn another_process_finds_a_lost_act_by_the_time_of_its_token() {
    for (spec, action) in
        [(web(), PatchAction::Scan), (web(), INSTALL), (lacking(arc(), &["curl"]), INSTALL)]
    {
        let cloud = cloud().await;
        let node = cloud.add(&spec);
        // What is older is nobody's.
        let old = cloud.azure.submit(request(&token(&cloud, "old"), &node, action)).await.unwrap();
        end(&cloud, &cloud.azure, &old).await;
        cloud.world.advance(Duration::from_mins(5));
        let mark = token(&cloud, "t");
        let other = provider(&cloud.world).build().unwrap();
        let nodes = [node.clone()];
        assert_eq!(other.find_operation(&mark, &nodes).await.unwrap(), None);
        cloud.world.add_fault(Fault::new(FaultKind::CutAfter).on("*Patches").times(1)).unwrap();
        let lost = cloud.azure.submit(request(&mark, &node, action)).await.unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::Timeout);
        let found = other.find_operation(&mark, &nodes).await.unwrap().unwrap();
        assert_ne!(found, old);
        assert_eq!(cloud.azure.find_operation(&mark, &nodes).await.unwrap(), Some(found.clone()));
        end(&cloud, &other, &found).await;
        assert_eq!(posts(&cloud.world), 2);
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_finds_the_same_act() {
    for hours in [-1, 1] {
        let cloud = cloud().await;
        let node = cloud.add(&web());
        let wrong = || Wrong(cloud.world.clock(), SignedDuration::from_hours(hours));
        let azure = provider(&cloud.world).with_clock(wrong()).build().unwrap();
        let old =
            azure.submit(request(&SubmitToken::new("old").unwrap(), &node, INSTALL)).await.unwrap();
        end(&cloud, &azure, &old).await;
        cloud.world.advance(Duration::from_mins(5));
        let mark = SubmitToken::stamped("t", wrong().now()).unwrap();
        let other = || provider(&cloud.world).with_clock(wrong()).build().unwrap();
        let nodes = [node.clone()];
        assert_eq!(other().find_operation(&mark, &nodes).await.unwrap(), None, "{hours}");
        let id = azure.submit(request(&mark, &node, INSTALL)).await.unwrap();
        assert_eq!(other().find_operation(&mark, &nodes).await.unwrap(), Some(id), "{hours}");
    }
}

#[tokio::test]
async fn a_token_without_a_time_is_found_by_who_sent_it_alone() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let mark = SubmitToken::new("no-time").unwrap();
    cloud.world.add_fault(Fault::new(FaultKind::CutAfter).on("*Patches").times(1)).unwrap();
    cloud.azure.submit(request(&mark, &node, INSTALL)).await.unwrap_err();
    let nodes = [node];
    let other = provider(&cloud.world).build().unwrap();
    let error = other.find_operation(&mark, &nodes).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "never guessed: {error}");
    assert!(cloud.azure.find_operation(&mark, &nodes).await.unwrap().is_some());
}

#[tokio::test]
async fn an_act_of_another_token_is_not_taken() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let meant = token(&cloud, "meant-before");
    let sent = cloud.azure.submit(request(&token(&cloud, "t"), &node, INSTALL)).await.unwrap();
    let nodes = [node.clone()];
    assert_eq!(cloud.azure.find_operation(&meant, &nodes).await.unwrap(), None);
    let error = cloud.azure.submit(request(&meant, &node, INSTALL)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    end(&cloud, &cloud.azure, &sent).await;
    let id = cloud.azure.submit(request(&meant, &node, INSTALL)).await.unwrap();
    assert_ne!(id, sent);
}

#[tokio::test]
async fn of_the_two_kinds_the_one_that_was_sent_is_found() {
    let cloud = cloud().await;
    let node = cloud.add(&web());
    let mark = token(&cloud, "t");
    cloud.world.add_fault(Fault::new(FaultKind::CutBefore).on("*AssessPatches")).unwrap();
    cloud.azure.submit(request(&mark, &node, PatchAction::Scan)).await.unwrap_err();
    let other = provider(&cloud.world).build().unwrap();
    other.submit(request(&token(&cloud, "u"), &node, INSTALL)).await.unwrap();
    let nodes = [node];
    assert_eq!(cloud.azure.find_operation(&mark, &nodes).await.unwrap(), None, "it is no scan");
}
