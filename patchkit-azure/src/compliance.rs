//! The compliance of the nodes of some subscriptions, out of Resource Graph.

mod baseline;
mod installation;
mod patch;
mod refresh;

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use futures::{
    FutureExt, StreamExt, TryFutureExt, TryStreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{
    AccountId, ComplianceReport, Error, NodeCompliance, NodeId, NodeSelector, PatchCompliance,
    Result,
    listing::{sound, until_error},
};
use serde_json::Value;

use self::patch::By;
pub use self::refresh::Refresh;
use crate::{
    Machine, UpdateManager,
    client::Client,
    convert::compliance::{Assessment, Findings, Installation, Say},
    error::PROVIDER,
    fleet::query::{Columns, MOST_IDS},
};

const OPERATION: &str = "Resources";

/// How many chunks of one listing are under way at once.
const AT_ONCE: usize = 2;

/// What Azure knows of its machines' patches.
///
/// # Behavior
/// - Nothing is assessed: what the last assessment found is told, with its age. Azure keeps it for seven
///   days; a machine without one is `Unknown`. [`refresh`](UpdateManager::refresh) assesses.
/// - A node is `NonCompliant` where it lacks a patch that is critical or for security, or waits for a
///   reboot; it is `Compliant` where a whole assessment found neither. Other patches that are to be had
///   are counted in `other` and have no say.
/// - Where [baselines](crate::Baselines) decide, a node is held against its own, as
///   [`summaries_under`](UpdateManager::summaries_under) does, for a query more for each thousand missing
///   patches. A node whose baseline cannot be told is an error of its scope that names it.
/// - An installation ends with an assessment. Until there is one, a node on which patches were installed
///   is `NonCompliant` where some failed, are pending or wait for a reboot, and else `Unknown`.
/// - The whole selection is read by a query for each thousand machines, and one for each thousand of them
///   on which something was installed in the last thirty days; a part of it by a query for each two
///   hundred.
/// - The patches of a node are those that its assessment found, `Missing` where they are critical or for
///   security and `Available` where not, and those that its last installation brought.
/// - A node's row that cannot be read is an error of its scope that names the node.
#[async_trait]
impl ComplianceReport for UpdateManager {
    fn summaries(&self, selector: &NodeSelector) -> BoxStream<'static, Result<NodeCompliance>> {
        self.machines_with_compliance(selector).map_ok(|(_, known)| known).boxed()
    }

    async fn summary(&self, node: &NodeId) -> Result<NodeCompliance> {
        let mut found = self.summaries(&NodeSelector::ids([node.clone()]));
        match found.next().await {
            Some(known) => known.map_err(|error| error.with_node(node.clone())),
            None => Err(not_found(node)),
        }
    }

    fn patches(&self, node: &NodeId) -> BoxStream<'static, Result<PatchCompliance>> {
        let (azure, node) = (self.clone(), node.clone());
        let named = node.clone();
        let listing = async move {
            let mut known = azure.known(&NodeSelector::ids([node.clone()]));
            let (machine, findings) = known.next().await.ok_or_else(|| not_found(&node))??;
            let by = match azure.deciding().await? {
                None => By::Azure,
                Some(deciding) => deciding.on(&machine.node)?.map_or(By::Nobody, By::Baseline),
            };
            Ok::<_, Error>(azure.client.patches_of(&machine.node.id, &findings, by))
        };
        let listing = listing.boxed().try_flatten_stream();
        until_error(listing.map_err(move |error| error.with_node(named.clone())))
    }
}

fn not_found(node: &NodeId) -> Error {
    Error::not_found(PROVIDER, "compliance", "the node").with_node(node.clone())
}

impl UpdateManager {
    /// Lists the machines that a selector takes, each with what is known of its patches: in one pass,
    /// which costs what the summaries alone cost.
    ///
    /// # Behavior
    /// As [`machines`](Self::machines) and [`summaries`](ComplianceReport::summaries), but for agents:
    /// no machine is asked itself, and of an agent of which Resource Graph tells nothing nothing is
    /// known.
    ///
    /// # Errors
    /// As [`machines`](Self::machines).
    pub fn machines_with_compliance(
        &self,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<(Machine, NodeCompliance)>> {
        self.judged(selector)
    }

    /// The machines of a selector, each with what Azure's own counts say of its patches.
    fn assessed(
        &self,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<(Machine, NodeCompliance)>> {
        let now = self.client.now();
        let judged = move |(machine, findings): (Machine, Findings)| {
            let mut known = findings.summary(machine.node.id.clone(), now);
            known.group = machine.node.patch_group();
            (machine, known)
        };
        self.known(selector).map_ok(judged).boxed()
    }

    /// The machines of a selector with all that is known of their patches.
    fn known(&self, selector: &NodeSelector) -> BoxStream<'static, Result<(Machine, Findings)>> {
        let client = Arc::clone(&self.client);
        let rows = self.machine_rows(selector, Columns::Assessment);
        if !takes_all(selector) {
            let chunks = rows.chunks(MOST_IDS).map(move |chunk| {
                let client = Arc::clone(&client);
                async move { client.with_installations(chunk).await }
            });
            return until_error(chunks.buffered(AT_ONCE).flat_map(stream::iter));
        }
        let subscriptions = client.subscriptions_in(selector);
        let listing = async move {
            let mut done = client.installations(None, &subscriptions).await?;
            let read = move |row: Result<(Machine, Value)>| {
                row.map(|(machine, row)| found(machine, &row, &mut done))
            };
            Ok::<_, Error>(sound(PROVIDER, OPERATION, rows.map(read)))
        };
        until_error(listing.boxed().try_flatten_stream())
    }
}

/// Whether a selector takes all of the subscriptions that it is about.
fn takes_all(selector: &NodeSelector) -> bool {
    let mut others = selector.clone();
    others.accounts = None;
    others.regions = None;
    others.is_all()
}

/// The last installations, by the id of the machine in lower case.
type Done = HashMap<String, Result<Installation>>;

/// What is known of a machine, by its row and the last installations.
fn found(machine: Machine, row: &Value, done: &mut Done) -> Result<(Machine, Findings)> {
    let id = &machine.node.id;
    let mut read = || {
        let installation = done.remove(&id.resource().to_ascii_lowercase()).transpose()?;
        Ok(Findings { assessment: Assessment::read(OPERATION, row)?, installation })
    };
    let place = |error: Error| error.with_scope(id.scope().clone()).with_node(id.clone());
    let findings = read().map_err(place)?;
    Ok((machine, findings))
}

impl Client {
    /// A piece of a listing with the installations on it.
    async fn with_installations(
        self: Arc<Self>,
        chunk: Vec<Result<(Machine, Value)>>,
    ) -> Vec<Result<(Machine, Findings)>> {
        let machines = chunk.iter().flatten().map(|(machine, _)| &machine.node.id);
        let ids: Vec<NodeId> = machines.cloned().collect();
        let subscriptions = self.subscriptions_of(&ids);
        let done = if ids.is_empty() {
            Ok(Done::new())
        } else {
            self.installations(Some(&ids), &subscriptions).await
        };
        match done {
            Ok(mut done) => {
                let row =
                    |row: Result<_>| row.and_then(|(machine, row)| found(machine, &row, &mut done));
                chunk.into_iter().map(row).collect()
            }
            // What the listing told of whole scopes is told, and of its nodes nothing is known.
            Err(error) => {
                let told = chunk.into_iter().filter_map(Result::err).map(Err);
                told.chain([Err(error)]).collect()
            }
        }
    }

    /// The subscriptions that a selector is about.
    fn subscriptions_in(&self, selector: &NodeSelector) -> Vec<AccountId> {
        let named =
            |id: &&AccountId| selector.accounts.as_ref().is_none_or(|named| named.contains(*id));
        self.subscriptions().filter(named).cloned().collect()
    }

    /// The subscriptions that some nodes are in.
    fn subscriptions_of(&self, nodes: &[NodeId]) -> Vec<AccountId> {
        let held = |id: &&AccountId| nodes.iter().any(|node| node.scope().account() == *id);
        self.subscriptions().filter(held).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
