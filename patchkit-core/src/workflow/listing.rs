//! Listings of which one scope may fail: what is there goes on, what is not is named.

use std::{collections::BTreeMap, fmt};

use futures::{StreamExt, stream::BoxStream};
use serde::{Deserialize, Serialize};

use super::Runner;
use crate::{
    Error, Fleet, HostLink, MachineLink, ManagedNode, NodeCompliance, NodeId, NodeSelector, Result,
    Scope,
};

/// What of a scope could not be listed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Listing {
    /// Its nodes: none of them is in the plan or report.
    Nodes,
    /// Its nodes' compliance: what was not read of it is `Unknown`.
    Compliance,
}

/// A scope that could not be listed, while others were.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ScopeFailure {
    /// The scope.
    pub scope: Scope,
    /// What of it.
    pub listing: Listing,
    /// Why: the chain of causes on one line. Holds providers' words: escape before showing.
    pub error: String,
}

impl ScopeFailure {
    /// Keeps what `error` says of `scope`.
    pub fn new(scope: Scope, listing: Listing, error: &Error) -> Self {
        Self { scope, listing, error: error.report() }
    }
}

impl fmt::Display for ScopeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.listing {
            Listing::Nodes => write!(f, "not listed: {}: {}", self.scope, self.error),
            Listing::Compliance => {
                write!(f, "compliance not listed: {}: {}", self.scope, self.error)
            }
        }
    }
}

/// The rows of `failures` for a report's problems.
pub(super) fn problems(failures: &[ScopeFailure]) -> impl Iterator<Item = String> {
    failures.iter().map(ToString::to_string)
}

impl Runner {
    /// The nodes of a selector, each once, sorted by id, and the scopes that could not be listed. A
    /// scope is in whole or not at all: half of it would look like all of it.
    ///
    /// # Errors
    /// The first error that is not about one scope alone: half a fleet would look like a whole one.
    pub(super) async fn list(
        &self,
        selector: &NodeSelector,
    ) -> Result<(Vec<ManagedNode>, Vec<ScopeFailure>)> {
        let (mut nodes, failures) =
            self.gate.pass(whole(Listing::Nodes, self.fleet.nodes(selector))).await?;
        nodes.retain(|node| !failures.iter().any(|failure| failure.scope.is(node.id.scope())));
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        // A fleet that changes while it is paged through can show a node twice.
        nodes.dedup_by(|a, b| a.id == b.id);
        Ok((nodes, failures))
    }

    /// The nodes of which a link to another control plane is not what it was, and why. Without links
    /// nobody is asked.
    pub(super) async fn broken_links(
        &self,
        links: &BTreeMap<NodeId, HostLink>,
    ) -> BTreeMap<NodeId, String> {
        if links.is_empty() {
            return BTreeMap::new();
        }
        let (nodes, failures) = match self.list(&NodeSelector::ids(links.keys().cloned())).await {
            Ok(listed) => listed,
            Err(error) => {
                let word = format!("its link could not be checked: {}", error.report());
                return links.keys().map(|node| (node.clone(), word.clone())).collect();
            }
        };
        let now: BTreeMap<&NodeId, &ManagedNode> =
            nodes.iter().map(|node| (&node.id, node)).collect();
        let broken = links.iter().filter_map(|(id, link)| {
            let host = now.get(id).and_then(|node| node.host());
            if host.is_some_and(|host| host.host == link.host && host.vm_id.is_same(link.vm_id)) {
                return None;
            }
            let why = match (now.get(id).and_then(|node| node.link.as_ref()), host) {
                (_, Some(host)) if host.host == link.host => "it was created anew".to_owned(),
                (_, Some(host)) => format!("it is one with {} now", host.host),
                (Some(MachineLink::Unresolved { reason }), None) => reason.clone(),
                _ => failures
                    .iter()
                    .map(ToString::to_string)
                    .next()
                    .unwrap_or_else(|| "the link is gone".to_owned()),
            };
            Some((
                id.clone(),
                format!("it was one with {} when the plan was made: {why}", link.host),
            ))
        });
        broken.collect()
    }

    /// What is known of some nodes, and the scopes of which it could not be read. They are asked for
    /// by id: their power may be another by now, and a lake knows neither power nor tags.
    pub(super) async fn known(
        &self,
        nodes: impl IntoIterator<Item = NodeId>,
    ) -> Result<(BTreeMap<NodeId, NodeCompliance>, Vec<ScopeFailure>)> {
        let summaries = self.compliance.summaries(&NodeSelector::ids(nodes));
        let (known, failures) = self.gate.pass(whole(Listing::Compliance, summaries)).await?;
        Ok((known.into_iter().map(|known| (known.node.clone(), known)).collect(), failures))
    }
}

/// Reads a listing to its end, and sets aside the errors that are about one scope alone.
async fn whole<T>(
    listing: Listing,
    mut rows: BoxStream<'static, Result<T>>,
) -> Result<(Vec<T>, Vec<ScopeFailure>)> {
    let mut items = Vec::new();
    let mut failures: BTreeMap<Scope, ScopeFailure> = BTreeMap::new();
    while let Some(row) = rows.next().await {
        let error = match row {
            Ok(item) => {
                items.push(item);
                continue;
            }
            Err(error) => error,
        };
        let Some(scope) = error.scope().cloned() else { return Err(error) };
        failures.entry(scope.clone()).or_insert_with(|| ScopeFailure::new(scope, listing, &error));
    }
    Ok((items, failures.into_values().collect()))
}
