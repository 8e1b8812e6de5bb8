//! Claims: a node is worked on by one run.

use patchkit_core::{ErrorKind, NodeId};

use super::{
    JournalHarness,
    support::{PAST_THE_TERM, TERM, begun, node},
};
use crate::cases::support::{answer_of, bad, good};

/// A node is held by one run; a claim of several nodes fails only for those that another holds.
pub async fn a_node_is_held_by_one_run(h: &dyn JournalHarness) {
    let (one, other) = (h.open().await, h.open().await);
    let (first, second) = (begun(&*one, "r1").await, begun(&*other, "r2").await);
    let [a, b, c] = ["i-a", "i-b", "i-c"].map(node);
    for _ in 0..2 {
        for (node, claim) in one.claim(&first, &[a.clone(), b.clone()]).await {
            let claim = good(claim, "a claim");
            assert_eq!((&claim.node, &claim.run), (&node, &first.run));
        }
    }
    let claims = other.claim(&second, &[a.clone(), c.clone(), b.clone()]).await;
    let asked: Vec<&NodeId> = claims.iter().map(|(node, _)| node).collect();
    assert_eq!(asked, [&a, &c, &b], "one answer for each node, in the order asked");
    for (node, claim) in claims {
        if node == c {
            good(claim, "a claim on a free node");
        } else {
            let error = bad(claim, ErrorKind::Conflict, "a claim on a node of another run");
            assert!(error.message().contains("r1"), "it names the run: {error}");
            assert_eq!(error.node(), Some(&node));
        }
    }
    // What another run holds is not given back.
    good(other.unclaim(&second, &[a.clone(), c.clone()]).await, "giving back");
    let claims = other.claim(&second, std::slice::from_ref(&a)).await;
    bad(answer_of(claims, &a), ErrorKind::Conflict, "a claim on a node of another run");
    good(one.unclaim(&first, std::slice::from_ref(&a)).await, "giving back");
    let claims = other.claim(&second, std::slice::from_ref(&a)).await;
    good(answer_of(claims, &a), "a claim on a node that was given back");
}

/// A dead run keeps its nodes until someone who has taken it over gives them back.
pub async fn a_claim_outlives_the_lease(h: &dyn JournalHarness) {
    let (one, other) = (h.open().await, h.open().await);
    let (dead, held) = (begun(&*one, "dead").await, node("i-1"));
    let claims = one.claim(&dead, std::slice::from_ref(&held)).await;
    good(answer_of(claims, &held), "a claim");
    good(one.release(&dead).await, "a release");
    h.clock().advance(PAST_THE_TERM);
    let living = begun(&*other, "living").await;
    let claims = other.claim(&living, std::slice::from_ref(&held)).await;
    bad(answer_of(claims, &held), ErrorKind::Conflict, "a claim on a dead run's node");

    let medic = good(one.take_over(&dead.run, "medic", TERM).await, "taking over");
    let claims = one.claim(&medic, std::slice::from_ref(&held)).await;
    good(answer_of(claims, &held), "the run's own node, by its new holder");
    good(one.unclaim(&medic, std::slice::from_ref(&held)).await, "giving back");
    let claims = other.claim(&living, std::slice::from_ref(&held)).await;
    good(answer_of(claims, &held), "a claim on a node that was given back");
}

/// Giving back twice, or what was never claimed, is no error.
pub async fn giving_back_twice_is_as_good_as_once(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let lease = begun(&*journal, "r").await;
    let nodes = ["i-a", "i-b"].map(node);
    for (_, claim) in journal.claim(&lease, &nodes).await {
        good(claim, "a claim");
    }
    for _ in 0..2 {
        good(journal.unclaim(&lease, &nodes).await, "giving back");
    }
    good(journal.unclaim(&lease, &[node("i-never")]).await, "giving back what was not claimed");
    good(journal.unclaim(&lease, &[]).await, "giving nothing back");
    assert!(journal.claim(&lease, &[]).await.is_empty());
}

/// Azure returns one id in several spellings: they are one node.
pub async fn two_spellings_of_a_node_are_one_node(h: &dyn JournalHarness) {
    let (one, other) = (h.open().await, h.open().await);
    let (first, second) = (begun(&*one, "r1").await, begun(&*other, "r2").await);
    let spelt = |text: &str| good(text.parse::<NodeId>(), "a node's id");
    let lower = spelt("azure/s/westeurope//subscriptions/s/resourcegroups/rg/virtualmachines/web");
    let upper = spelt("azure/s/WestEurope//subscriptions/S/resourceGroups/RG/virtualMachines/Web");
    let claims = one.claim(&first, std::slice::from_ref(&lower)).await;
    good(answer_of(claims, &lower), "a claim");
    let claims = other.claim(&second, std::slice::from_ref(&upper)).await;
    bad(answer_of(claims, &upper), ErrorKind::Conflict, "a claim in another spelling");
    good(one.unclaim(&first, std::slice::from_ref(&upper)).await, "giving back");
    let claims = other.claim(&second, std::slice::from_ref(&lower)).await;
    good(answer_of(claims, &lower), "a claim on a node that was given back");
    // Ids of AWS are told apart by their Region, and by case.
    let ids = ["aws/1/eu-west-1/mi-1", "aws/1/us-east-1/mi-1", "aws/1/eu-west-1/MI-1"].map(spelt);
    for (at, id) in ids.iter().enumerate() {
        let (journal, lease) = if at == 1 { (&other, &second) } else { (&one, &first) };
        let claims = journal.claim(lease, std::slice::from_ref(id)).await;
        good(answer_of(claims, id), "a claim");
    }
}

/// A claim's token is greater than those of every earlier claim on the node.
pub async fn a_claims_fence_grows(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let held = node("i-1");
    let mut last = 0;
    for at in 0..4 {
        let lease = begun(&*journal, &format!("r{at}")).await;
        let claims = journal.claim(&lease, std::slice::from_ref(&held)).await;
        let claim = good(answer_of(claims, &held), "a claim");
        assert!(claim.fence > last, "{} after {last}", claim.fence);
        last = claim.fence;
        good(journal.unclaim(&lease, std::slice::from_ref(&held)).await, "giving back");
    }
}
