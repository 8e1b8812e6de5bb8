//! Carries a fault out on one call.

use std::{future::poll_fn, task::Poll};

use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use patchkit_core::{NodeId, PerNode, Result};

use super::{Call, Fault, Faults};

/// Which answer of a call that was made twice the caller gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// The call may not be made twice.
    Once,
    /// The first one, which tells what was changed.
    First,
    /// The second one.
    Second,
}

/// Gives the executor, and whoever may drop the future, a turn.
pub(crate) async fn turn() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Faults {
    /// Makes a call with one answer.
    pub(super) async fn call<'a, T: Send>(
        &self,
        call: Call,
        answer: Answer,
        make: impl Fn() -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Result<T> {
        let operation = call.operation;
        let fault = self.enter(call);
        turn().await;
        let result = match fault {
            Some(Fault::Refuse(failure) | Fault::FailNode(_, failure)) => {
                Err(failure.error(operation))
            }
            Some(Fault::LoseAnswer(failure)) => match make().await {
                // What is refused has no effect, so there is no answer that could be lost.
                Err(error) => Err(error),
                Ok(_) => Err(failure.error(operation)),
            },
            Some(Fault::Repeat) if answer != Answer::Once => {
                let first = make().await;
                if first.is_err() {
                    first
                } else {
                    turn().await;
                    let second = make().await;
                    if answer == Answer::First { second.and(first) } else { second }
                }
            }
            Some(Fault::Delay(delay)) => {
                self.clock.sleep(delay).await;
                make().await
            }
            Some(Fault::Repeat | Fault::Break(..)) | None => make().await,
        };
        turn().await;
        result
    }

    /// Makes a call about several nodes.
    pub(super) async fn per_node<'a, T: Send>(
        &self,
        call: Call,
        make: impl Fn(Vec<NodeId>) -> BoxFuture<'a, PerNode<T>> + Send + Sync,
    ) -> PerNode<T> {
        let operation = call.operation;
        let nodes = call.nodes.clone();
        let failed = |node: &NodeId, failure: super::Failure| {
            (node.clone(), Err(failure.error(operation).with_node(node.clone())))
        };
        let fault = self.enter(call);
        turn().await;
        let answers = match fault {
            Some(Fault::Refuse(failure)) => {
                nodes.iter().map(|node| failed(node, failure)).collect()
            }
            Some(Fault::LoseAnswer(failure)) => make(nodes)
                .await
                .into_iter()
                .map(|(node, answer)| match answer {
                    Ok(_) => failed(&node, failure),
                    Err(error) => (node, Err(error)),
                })
                .collect(),
            Some(Fault::FailNode(place, failure)) if place < nodes.len() => {
                let (before, rest) = nodes.split_at(place);
                let others = [before, &rest[1..]].concat();
                let mut answers = make(others).await;
                answers.insert(place.min(answers.len()), failed(&rest[0], failure));
                answers
            }
            Some(Fault::Repeat) => {
                drop(make(nodes.clone()).await);
                turn().await;
                make(nodes).await
            }
            Some(Fault::Delay(delay)) => {
                self.clock.sleep(delay).await;
                make(nodes).await
            }
            Some(Fault::FailNode(..) | Fault::Break(..)) | None => make(nodes).await,
        };
        turn().await;
        answers
    }

    /// Makes a listing.
    pub(super) fn listing<T: Send + 'static>(
        &self,
        call: Call,
        make: impl Fn() -> BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let operation = call.operation;
        let fault = self.enter(call);
        let broken = |after: usize, failure: super::Failure| {
            make().take(after).chain(stream::once(async move { Err(failure.error(operation)) }))
        };
        let listing = match fault {
            Some(Fault::Refuse(failure) | Fault::FailNode(_, failure)) => {
                stream::once(async move { Err(failure.error(operation)) }).boxed()
            }
            Some(Fault::LoseAnswer(failure)) => broken(1, failure).boxed(),
            Some(Fault::Break(after, failure)) => broken(after, failure).boxed(),
            Some(Fault::Repeat) => {
                let (mut first, second) = (make(), make());
                async move {
                    let _ = first.next().await;
                    drop(first);
                    second
                }
                .flatten_stream()
                .boxed()
            }
            Some(Fault::Delay(delay)) => {
                let (clock, listing) = (std::sync::Arc::clone(&self.clock), make());
                async move {
                    clock.sleep(delay).await;
                    listing
                }
                .flatten_stream()
                .boxed()
            }
            None => make(),
        };
        turn().map(move |()| listing).flatten_stream().boxed()
    }
}
