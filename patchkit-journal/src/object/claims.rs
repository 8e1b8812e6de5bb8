//! Claims on nodes: each object holds all of them, as they are since then.
//!
//! One put claims ten thousand nodes, and whoever makes the next object has read the one before.

use std::{collections::BTreeMap, sync::Arc};

use futures::lock::Mutex as Turn;
use patchkit_core::{Error, ErrorKind, NodeId, NodeLease, PerNode, Result, RunId, RunLease};
use serde::{Deserialize, Serialize};

use super::{
    Shelf,
    error::{OBJECTS, malformed},
    leaf,
    sequence::{Put, Sequence},
};

pub(super) struct Claims {
    sequence: Sequence,
    known: Turn<Known>,
}

/// The newest object that was read, and how many there were.
#[derive(Clone, Default)]
struct Known {
    count: u64,
    held: Arc<BTreeMap<String, Held>>,
}

#[derive(Deserialize, Serialize)]
struct Header {
    mark: String,
}

/// A claim, as it is written: one line for each.
#[derive(Clone, Deserialize, Serialize)]
struct Held {
    /// The node in its canonical spelling.
    node: String,
    run: RunId,
    /// The claim's own token.
    fence: u64,
    /// That of the run's lease when it was claimed last: an older holder cannot give it back.
    holder: u64,
}

impl Claims {
    pub(super) fn new(sequence: Sequence) -> Self {
        Self { sequence, known: Turn::default() }
    }

    pub(super) async fn claim(
        &self,
        shelf: &Shelf,
        lease: &RunLease,
        nodes: &[NodeId],
    ) -> Result<PerNode<NodeLease>> {
        self.change("claim", shelf, lease, |held, number| {
            let mut answers = Vec::with_capacity(nodes.len());
            let mut change = Change::None;
            for node in nodes {
                let key = node.canonical();
                let claim = match held.get_mut(&key) {
                    Some(claim) if claim.run == lease.run => {
                        if claim.holder < lease.fence {
                            claim.holder = lease.fence;
                            change = Change::Some;
                        }
                        Ok(claim.fence)
                    }
                    Some(claim) => {
                        let message = format!("run {} holds it", claim.run);
                        Err(Error::new(ErrorKind::Conflict, OBJECTS, "claim", message)
                            .with_node(node.clone()))
                    }
                    None => {
                        let (run, fence) = (lease.run.clone(), number + 1);
                        let claim = Held { node: key.clone(), run, fence, holder: lease.fence };
                        held.insert(key, claim);
                        change = Change::Some;
                        Ok(fence)
                    }
                };
                let claim =
                    claim.map(|fence| NodeLease::new(node.clone(), lease.run.clone(), fence));
                answers.push((node.clone(), claim));
            }
            (change, answers)
        })
        .await
    }

    pub(super) async fn unclaim(
        &self,
        shelf: &Shelf,
        lease: &RunLease,
        nodes: &[NodeId],
    ) -> Result<()> {
        self.change("unclaim", shelf, lease, |held, _| {
            let before = held.len();
            for node in nodes {
                let key = node.canonical();
                let is_ours = |claim: &Held| claim.run == lease.run && claim.holder <= lease.fence;
                if held.get(&key).is_some_and(is_ours) {
                    held.remove(&key);
                }
            }
            (if held.len() == before { Change::None } else { Change::Some }, ())
        })
        .await
    }

    /// Makes the next object from the newest one, if the lease is good and anything is otherwise.
    async fn change<T>(
        &self,
        operation: &'static str,
        shelf: &Shelf,
        lease: &RunLease,
        make: impl Fn(&mut BTreeMap<String, Held>, u64) -> (Change, T) + Send + Sync,
    ) -> Result<T> {
        let pen = shelf.pen(&lease.run);
        let mut known = self.known.lock().await;
        let mark = shelf.mark();
        loop {
            *known = self.newest(operation, &known).await?;
            // After the claims were read: who takes the run over later finds what is written now.
            pen.is_owned(operation, lease).await?;
            let number = known.count;
            let mut held = BTreeMap::clone(&known.held);
            let (change, answer) = make(&mut held, number);
            if change == Change::None {
                return Ok(answer);
            }
            let bytes = sealed(operation, &mark, &held)?;
            let is_ours =
                |found: &[u8]| leaf::open::<Header>(found).is_ok_and(|(it, _)| it.mark == mark);
            if self.sequence.put(operation, number, bytes, is_ours).await? == Put::Done {
                *known = Known { count: number + 1, held: Arc::new(held) };
                return Ok(answer);
            }
        }
    }

    async fn newest(&self, operation: &'static str, known: &Known) -> Result<Known> {
        let count = self.sequence.count(operation, known.count.checked_sub(1)).await?;
        for number in (known.count..count).rev() {
            let gone = || malformed(operation, format!("{} is gone", self.sequence.place(number)));
            let bytes = self.sequence.read(operation, number).await?.ok_or_else(gone)?;
            let lines = match leaf::open::<Header>(&bytes) {
                Ok((_, lines)) => lines,
                Err(broken) => {
                    // It was never acknowledged: nobody holds what it claims.
                    self.sequence.torn(operation, number, broken)?;
                    continue;
                }
            };
            let unreadable = |error| {
                malformed(operation, format!("a claim in {}", self.sequence.place(number)))
                    .with_source(error)
            };
            let read = |line: &&[u8]| {
                let held: Held = serde_json::from_slice(line).map_err(unreadable)?;
                Ok((held.node.clone(), held))
            };
            let held: Result<BTreeMap<String, Held>> = lines.iter().map(read).collect();
            return Ok(Known { count, held: Arc::new(held?) });
        }
        Ok(Known { count, held: Arc::clone(&known.held) })
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Change {
    None,
    Some,
}

fn sealed(operation: &'static str, mark: &str, held: &BTreeMap<String, Held>) -> Result<Vec<u8>> {
    let lines: Result<Vec<String>, _> = held.values().map(serde_json::to_string).collect();
    lines
        .and_then(|lines| leaf::seal(&Header { mark: mark.to_owned() }, lines))
        .map_err(|error| malformed(operation, "claims are not JSON".to_owned()).with_source(error))
}
