//! The compliance of the nodes of one account and Region.

mod kind;
mod put;
mod resource;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use aws_sdk_ssm::types::{
    InstancePatchState, InventoryFilter, InventoryQueryOperatorType, ResultAttribute,
};
use futures::{
    StreamExt, TryStreamExt, future,
    stream::{self, BoxStream},
};
use patchkit_core::{
    ComplianceReport, Error, Fleet, NodeCompliance, NodeId, NodeSelector, PatchCompliance, Result,
    listing::{sound, until_error},
    paginate,
};

pub use self::{
    kind::ComplianceKind,
    put::{ComplianceUpload, Upload},
    resource::{ComplianceEntry, LevelCounts, ResourceCompliance},
};
use crate::{
    Ssm,
    client::Client,
    convert,
    error::{PROVIDER, invalid},
};

const STATES: &str = "DescribeInstancePatchStates";

/// Most ids in a call (botocore ssm model), and most items on a page: the model says 100, and the
/// service refuses more than 50 (flanksource/config-db issue 35, on the sister operation).
const AT_MOST: i32 = 50;

/// How many calls of one listing are under way at once.
const AT_ONCE: usize = 4;

/// What Systems Manager knows of its nodes' patches.
///
/// # Behavior
/// - The whole fleet is read from the inventory, fifty nodes in a call, stopped ones included; some
///   nodes by their patch states, fifty in a call too.
/// - `level` is known where the inventory is read: for the whole fleet.
#[async_trait]
impl ComplianceReport for Ssm {
    fn summaries(&self, selector: &NodeSelector) -> BoxStream<'static, Result<NodeCompliance>> {
        let Some(mut others) = self.within(selector) else {
            return stream::empty().boxed();
        };
        if others.is_all() {
            return self.all_summaries();
        }
        let ids = others.ids.take();
        match ids {
            Some(ids) if others.is_all() => {
                self.summaries_by_id(stream::iter(ids).map(Ok).boxed(), Existence::Asked)
            }
            _ => {
                let nodes = self.nodes(selector).map_ok(|node| node.id).boxed();
                self.summaries_by_id(nodes, Existence::Known)
            }
        }
    }

    async fn summary(&self, node: &NodeId) -> Result<NodeCompliance> {
        let selector = NodeSelector::ids([node.clone()]);
        let mut found = self.summaries(&selector);
        match found.next().await {
            Some(known) => known,
            None => Err(not_found(node)),
        }
    }

    fn patches(&self, node: &NodeId) -> BoxStream<'static, Result<PatchCompliance>> {
        if node.scope() != self.scope() {
            let missing = not_found(node);
            return stream::once(async { Err(missing) }).boxed();
        }
        let client = Arc::clone(&self.client);
        let id = node.resource().to_owned();
        let named = node.clone();
        let pages = paginate(PROVIDER, "DescribeInstancePatches", move |token| {
            let (client, id) = (Arc::clone(&client), id.clone());
            async move {
                let request = client
                    .ssm()
                    .describe_instance_patches()
                    .instance_id(id)
                    .max_results(client.page.within(10, AT_MOST))
                    .set_next_token(token);
                let page = client.read("DescribeInstancePatches", request.send()).await?;
                let rows = page.patches.unwrap_or_default();
                Ok((rows.iter().map(convert::compliance::patch).collect(), page.next_token))
            }
        });
        sound(PROVIDER, "DescribeInstancePatches", pages)
            .map_err(move |error| error.with_node(named.clone()))
            .boxed()
    }
}

/// Whether nodes of which nothing is known are there at all.
#[derive(Clone, Copy)]
enum Existence {
    /// A listing told of them.
    Known,
    /// A caller named them.
    Asked,
}

impl Ssm {
    /// What a selector asks for besides this account and Region; `None` where it asks for others.
    fn within(&self, selector: &NodeSelector) -> Option<NodeSelector> {
        let mut others = selector.clone();
        let ours = others.accounts.take().is_none_or(|it| it.contains(self.scope().account()))
            && others.regions.take().is_none_or(|it| it.contains(self.scope().region()));
        ours.then_some(others)
    }

    pub(crate) fn takes_all(&self, selector: &NodeSelector) -> bool {
        self.within(selector).is_some_and(|others| others.is_all())
    }

    pub(crate) fn states_per_call(&self) -> usize {
        usize::try_from(self.client.page.within(10, AT_MOST)).unwrap_or(1)
    }

    /// The inventory tells of every node that was ever registered; EC2 of those that never were.
    fn all_summaries(&self) -> BoxStream<'static, Result<NodeCompliance>> {
        let seen: Arc<std::sync::Mutex<HashSet<NodeId>>> = Arc::default();
        let note = Arc::clone(&seen);
        // An item may come at the end of one page and at the beginning of the next.
        let told = self.client.patch_summaries().try_filter(move |known| {
            let mut seen = note.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            future::ready(seen.insert(known.node.clone()))
        });
        let rest = self.unregistered().try_filter_map(move |id| {
            let seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            future::ok((!seen.contains(&id)).then(|| NodeCompliance::unknown(id)))
        });
        until_error(told.chain(rest)).boxed()
    }

    /// The instances that are there, registered or not.
    #[cfg(feature = "ec2")]
    fn unregistered(&self) -> BoxStream<'static, Result<NodeId>> {
        self.client.instance_ids()
    }

    #[cfg(not(feature = "ec2"))]
    #[expect(clippy::unused_self, reason = "as with EC2")]
    fn unregistered(&self) -> BoxStream<'static, Result<NodeId>> {
        stream::empty().boxed()
    }

    fn summaries_by_id(
        &self,
        ids: BoxStream<'static, Result<NodeId>>,
        existence: Existence,
    ) -> BoxStream<'static, Result<NodeCompliance>> {
        let ssm = self.clone();
        let size = self.states_per_call();
        let ours = self.scope().clone();
        let chunks = ids.try_filter(move |id| future::ready(*id.scope() == ours)).chunks(size).map(
            move |chunk| {
                let ssm = ssm.clone();
                async move {
                    // What was listed before an error comes before it.
                    let mut ids = Vec::with_capacity(chunk.len());
                    let mut broken = None;
                    for id in chunk {
                        match id {
                            Ok(id) => ids.push(id),
                            Err(error) => broken = Some(error),
                        }
                    }
                    let mut rows: Vec<Result<NodeCompliance>> =
                        match ssm.states(&ids, existence).await {
                            Ok(found) => found.into_iter().map(Ok).collect(),
                            Err(error) => vec![Err(error)],
                        };
                    rows.extend(broken.map(Err));
                    rows
                }
            },
        );
        until_error(chunks.buffered(AT_ONCE).flat_map(stream::iter)).boxed()
    }

    /// What is known of some nodes, in the order asked; a node that is not there is left out.
    async fn states(&self, nodes: &[NodeId], existence: Existence) -> Result<Vec<NodeCompliance>> {
        if nodes.is_empty() {
            return Ok(Vec::new());
        }
        let mut known = self.client.patch_states(nodes).await?;
        let unknown: Vec<NodeId> = match existence {
            Existence::Known => Vec::new(),
            Existence::Asked => {
                nodes.iter().filter(|id| !known.contains_key(id.resource())).cloned().collect()
            }
        };
        let mut missing = HashSet::new();
        if !unknown.is_empty() {
            for (id, status) in self.statuses(&unknown).await {
                match status {
                    Ok(_) => {}
                    Err(error) if error.kind() == patchkit_core::ErrorKind::NotFound => {
                        missing.insert(id);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(nodes
            .iter()
            .filter(|id| !missing.contains(id))
            .map(|id| {
                known.remove(id.resource()).unwrap_or_else(|| NodeCompliance::unknown(id.clone()))
            })
            .collect())
    }
}

impl Client {
    pub(crate) fn patch_summaries(self: &Arc<Self>) -> BoxStream<'static, Result<NodeCompliance>> {
        let client = Arc::clone(self);
        let pages = paginate(PROVIDER, "GetInventory", move |token| {
            let client = Arc::clone(&client);
            async move {
                // Thirty days long the inventory keeps what it knew of nodes that are gone.
                let there = InventoryFilter::builder()
                    .key("AWS:InstanceInformation.InstanceStatus")
                    .values("Terminated")
                    .r#type(InventoryQueryOperatorType::NotEqual)
                    .build();
                let kind = ResultAttribute::builder().type_name("AWS:PatchSummary").build();
                let wrong = |error: aws_smithy_types::error::operation::BuildError| {
                    invalid("GetInventory", error.to_string())
                };
                let request = client
                    .ssm()
                    .get_inventory()
                    .filters(there.map_err(wrong)?)
                    .result_attributes(kind.map_err(wrong)?)
                    .max_results(client.page.within(1, AT_MOST))
                    .set_next_token(token);
                let page = client.read("GetInventory", request.send()).await?;
                let entities = page.entities.unwrap_or_default();
                let rows = entities.iter().map(|entity| {
                    let node = client.node("GetInventory", entity.id())?;
                    let row = entity
                        .data()
                        .and_then(|data| data.get("AWS:PatchSummary"))
                        .and_then(|item| item.content().first());
                    Ok(match row {
                        Some(row) => convert::compliance::patch_summary(node, row),
                        None => NodeCompliance::unknown(node),
                    })
                });
                Ok((rows.collect::<Vec<Result<NodeCompliance>>>(), page.next_token))
            }
        });
        sound(PROVIDER, "GetInventory", pages)
    }

    pub(crate) async fn patch_states(
        self: &Arc<Self>,
        nodes: &[NodeId],
    ) -> Result<BTreeMap<String, NodeCompliance>> {
        let ids: Vec<String> = nodes.iter().map(|node| node.resource().to_owned()).collect();
        let count = i32::try_from(nodes.len()).unwrap_or(AT_MOST).clamp(10, AT_MOST);
        let client = Arc::clone(self);
        let states: Vec<InstancePatchState> = paginate(PROVIDER, STATES, move |token| {
            let (client, ids) = (Arc::clone(&client), ids.clone());
            async move {
                let request = client
                    .ssm()
                    .describe_instance_patch_states()
                    .set_instance_ids(Some(ids))
                    .max_results(count)
                    .set_next_token(token);
                let page = client.read(STATES, request.send()).await?;
                Ok((page.instance_patch_states.unwrap_or_default(), page.next_token))
            }
        })
        .try_collect()
        .await?;
        states
            .iter()
            .map(|state| {
                let node = self.node(STATES, Some(state.instance_id()))?;
                Ok((state.instance_id().to_owned(), convert::compliance::patch_state(node, state)))
            })
            .collect()
    }
}

fn not_found(node: &NodeId) -> Error {
    Error::not_found(PROVIDER, "compliance", "the node").with_node(node.clone())
}
