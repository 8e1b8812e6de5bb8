//! What the cases share: a caller who is patient, as every caller of a cloud has to be.

use std::{collections::BTreeSet, fmt, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use patchkit_core::{
    Error, ErrorKind, NodeId, NodeStatus, OperatingSystem, OperationId, PatchBaseline, PatchId,
    PatchOperation, PatchState, PerNode, PowerState, Result, SubmitToken,
};

use crate::{Harness, NodeSeed, PatchSeed};

/// How often a call that may be made again is made again.
const TRIES: u32 = 20;
/// How often an act or a power change is looked at before it counts as never ending.
const LOOKS: u32 = 600;

/// Makes a call, again and again while its error says that it may be.
pub(crate) async fn patiently<T>(
    h: &dyn Harness,
    mut call: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let mut tries = 1;
    loop {
        match call().await {
            Err(error) if error.is_retryable() && tries < TRIES => {
                tries += 1;
                h.clock().sleep(Duration::from_secs(1)).await;
            }
            answer => return answer,
        }
    }
}

/// As [`patiently`], for an answer that must be good.
#[track_caller]
pub(crate) fn good<T>(answer: Result<T>, what: &str) -> T {
    match answer {
        Ok(value) => value,
        Err(error) => panic!("{what}: {}", error.report()),
    }
}

/// The answer must be an error of this kind.
#[track_caller]
pub(crate) fn bad<T: fmt::Debug>(answer: Result<T>, kind: ErrorKind, what: &str) -> Error {
    match answer {
        Err(error) if error.kind() == kind => error,
        Err(error) => {
            panic!("{what}: {kind:?} was due, not {:?}: {}", error.kind(), error.report())
        }
        Ok(value) => panic!("{what}: {kind:?} was due, not {value:?}"),
    }
}

/// Makes a call about several nodes, until no answer says that it may be made again.
pub(crate) async fn patiently_each<T>(
    h: &dyn Harness,
    mut call: impl AsyncFnMut() -> PerNode<T>,
) -> PerNode<T> {
    let mut tries = 1;
    loop {
        let answers = call().await;
        let again = |(_, answer): &(NodeId, Result<T>)| {
            answer.as_ref().err().is_some_and(Error::is_retryable)
        };
        if tries == TRIES || !answers.iter().any(again) {
            return answers;
        }
        tries += 1;
        h.clock().sleep(Duration::from_secs(1)).await;
    }
}

/// Reads a listing whole, from its beginning again when it breaks in a way that allows it.
pub(crate) async fn list<T>(
    h: &dyn Harness,
    mut listing: impl FnMut() -> BoxStream<'static, Result<T>>,
) -> Result<Vec<T>> {
    let (items, error) = list_until_error(h, &mut listing).await;
    error.map_or(Ok(items), Err)
}

/// Reads a listing to its end; from its beginning again where its error allows that.
///
/// An error that names a scope may be followed by what else there is; any other is the last.
pub(crate) async fn list_until_error<T>(
    h: &dyn Harness,
    mut listing: impl FnMut() -> BoxStream<'static, Result<T>>,
) -> (Vec<T>, Option<Error>) {
    let mut tries = 1;
    loop {
        let (mut stream, mut items, mut broken) = (listing(), Vec::new(), None::<Error>);
        while let Some(item) = stream.next().await {
            let over = broken.as_ref().is_some_and(|error| error.scope().is_none());
            assert!(!over, "something came after an error of the whole listing");
            match item {
                Ok(item) => items.push(item),
                Err(error) => broken = Some(error),
            }
        }
        match broken {
            Some(error) if error.is_retryable() && tries < TRIES => {
                tries += 1;
                h.clock().sleep(Duration::from_secs(1)).await;
            }
            broken => return (items, broken),
        }
    }
}

/// The items as a set; none may come twice.
#[track_caller]
pub(crate) fn each_once<T: Ord + Clone + fmt::Debug>(
    items: impl IntoIterator<Item = T>,
) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    for item in items {
        assert!(set.insert(item.clone()), "{item:?} came twice");
    }
    set
}

/// The answer about one node.
#[track_caller]
pub(crate) fn answer_of<T>(answers: PerNode<T>, node: &NodeId) -> Result<T> {
    let found = answers.into_iter().find(|(id, _)| id == node);
    assert!(found.is_some(), "no answer about {node}");
    found.map_or_else(|| Err(Error::not_found("testkit", "answer", node)), |(_, answer)| answer)
}

/// A node's power and reachability.
pub(crate) async fn status(h: &dyn Harness, node: &NodeId) -> NodeStatus {
    let fleet = h.fleet();
    let answers =
        patiently_each(h, async || fleet.statuses(std::slice::from_ref(node)).await).await;
    good(answer_of(answers, node), "the status of a node")
}

/// Waits until a node rests in this power.
pub(crate) async fn wait_power(h: &dyn Harness, node: &NodeId, power: PowerState) {
    for _ in 0..LOOKS {
        if status(h, node).await.power == power {
            return;
        }
        h.clock().sleep(Duration::from_secs(5)).await;
    }
    panic!("{node} never became {power}: it is {}", status(h, node).await.power);
}

/// Follows an act to its end.
pub(crate) async fn wait_end(h: &dyn Harness, id: &OperationId) -> PatchOperation {
    let fleet = h.fleet();
    for _ in 0..LOOKS {
        let seen = patiently(h, async || fleet.operation(id).await).await;
        match seen {
            Ok(operation) if operation.status.is_final() => return operation,
            // Services tell late of what they have accepted.
            Err(error) if error.kind() != ErrorKind::NotFound => {
                panic!("reading act {id}: {}", error.report())
            }
            Ok(_) | Err(_) => h.clock().sleep(Duration::from_secs(5)).await,
        }
    }
    panic!("act {id} never ended");
}

/// The first of the harness's operating systems.
pub(crate) fn first_os(h: &dyn Harness) -> OperatingSystem {
    let [os, _] = h.systems();
    os
}

/// Enough nodes for three pages and a rest.
pub(crate) async fn three_pages(h: &dyn Harness) -> BTreeSet<NodeId> {
    let mut nodes = BTreeSet::new();
    for _ in 0..=3 * h.page_size() {
        nodes.insert(h.add_node(NodeSeed::new(first_os(h))).await);
    }
    assert_eq!(nodes.len(), 3 * h.page_size() + 1, "the harness gave an id twice");
    nodes
}

pub(crate) fn token(text: &str) -> SubmitToken {
    good(SubmitToken::new(text), "a token")
}

pub(crate) fn patch(name: &str, state: PatchState) -> PatchSeed {
    PatchSeed::new(good(PatchId::new(name), "a patch id"), state)
}

/// A custom baseline of the first operating system that approves what its own defaults would.
pub(crate) fn custom(h: &dyn Harness, name: &str) -> PatchBaseline {
    PatchBaseline::new(name, first_os(h))
}

/// Every answer must say that the provider cannot do it.
#[track_caller]
pub(crate) fn all_unsupported<T: fmt::Debug>(answers: PerNode<T>, what: &str) {
    for (_, answer) in answers {
        bad(answer, ErrorKind::Unsupported, what);
    }
}
