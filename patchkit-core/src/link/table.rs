//! The links of the last listing, by which single nodes find their way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
};

use futures::{StreamExt, stream::BoxStream};

use super::{Link, LinkedFleet, Links, claim::Claim, propose::resolve};
use crate::{
    Error, ErrorKind, Estate, Fleet, MachineUuid, ManagedNode, NodeId, NodeSelector, PerNode,
    Result, Scope,
    estate::Row,
    workflow::{Listing, ScopeFailure},
};

/// What a listing of all nodes found.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By patched id.
    pub(super) links: BTreeMap<NodeId, Link>,
    /// The patched id of each linked host.
    pub(super) hosts: BTreeMap<NodeId, NodeId>,
    /// Nodes of either side that may be one, and why it cannot be told.
    pub(super) unresolved: BTreeMap<NodeId, String>,
    /// All other nodes of either side.
    pub(super) others: BTreeSet<NodeId>,
    /// The scopes that could not be listed.
    pub(super) failed: Vec<Scope>,
    /// The unique ids that machines had when they were linked first.
    pub(super) first_seen: BTreeMap<NodeId, MachineUuid>,
}

impl Table {
    /// Whether the listing saw the node, or could not.
    pub(super) fn has_seen(&self, node: &NodeId) -> bool {
        self.others.contains(node)
            || self.link(node).is_some()
            || self.unresolved.contains_key(node)
            || self.failed.iter().any(|scope| scope.is(node.scope()))
    }

    /// The link of a node, by either of its ids.
    pub(super) fn link(&self, node: &NodeId) -> Option<&Link> {
        self.links.get(self.hosts.get(node).unwrap_or(node))
    }
}

/// What scopes told of the nodes that they were asked for, and which of them failed.
pub(super) struct Read {
    pub(super) nodes: BTreeMap<NodeId, ManagedNode>,
    pub(super) failed: Vec<(Scope, Error)>,
}

impl Read {
    /// The error of the scope of `node`, where it failed.
    fn error(&self, node: &NodeId) -> Option<Error> {
        let of = self.failed.iter().find(|(scope, _)| scope.is(node.scope()));
        of.map(|(_, error)| error.copy().with_node(node.clone()))
    }
}

/// What both sides say of each other.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LinkSurvey {
    /// The links, and what may become one.
    pub links: Links,
    /// The scopes that could not be listed: what their nodes have to say is missing.
    pub unlisted: Vec<ScopeFailure>,
}

pub(super) type Rows = BoxStream<'static, Row<ManagedNode>>;

/// What each scope of one side lists, and how many are asked.
pub(super) fn rows(side: &Estate, selector: &NodeSelector) -> (usize, Rows) {
    side.rows("nodes", selector, |provider, selector| provider.nodes(selector), |it| it.id.scope())
}

impl LinkedFleet {
    /// Reads all nodes of both sides, and finds those that are one machine, may be one, or name one
    /// that is not there.
    ///
    /// # Errors
    /// Where no scope could be listed.
    pub async fn links(&self) -> Result<LinkSurvey> {
        let all = NodeSelector::all();
        let patched = self.read(&self.patchers, &all).await;
        let hosts = self.read(&self.hosts, &all).await;
        let mut failed = patched.failed;
        failed.extend(hosts.failed);
        if failed.len() == self.all.scopes().count()
            && let Some((_, error)) = failed.pop()
        {
            return Err(error);
        }
        let links = self.resolve(patched.nodes.values(), hosts.nodes.values());
        let failure =
            |(scope, error): (Scope, Error)| ScopeFailure::new(scope, Listing::Nodes, &error);
        Ok(LinkSurvey { links, unlisted: failed.into_iter().map(failure).collect() })
    }

    pub(super) fn resolve<'a>(
        &self,
        patched: impl IntoIterator<Item = &'a ManagedNode>,
        hosts: impl IntoIterator<Item = &'a ManagedNode>,
    ) -> Links {
        let are_apart = |patched: &NodeId, host: &NodeId| {
            self.separate.get(patched).is_some_and(|hosts| hosts.contains(host))
        };
        resolve(patched, hosts, |node| self.claim(node), are_apart)
    }

    pub(super) fn claim(&self, node: &ManagedNode) -> Option<Claim> {
        let (inventory, confirmed) = (self.identities.get(&node.id), self.confirmed.get(&node.id));
        Claim::of(node, inventory, confirmed)
    }

    /// The links of the last listing of all nodes; makes one where there was none, or where these
    /// nodes have come since.
    pub(super) async fn table<'a>(
        &self,
        nodes: impl IntoIterator<Item = &'a NodeId>,
    ) -> Result<Arc<Table>> {
        match self.last() {
            Some(table) if nodes.into_iter().all(|node| table.has_seen(node)) => Ok(table),
            _ => self.look_again().await,
        }
    }

    pub(super) async fn look_again(&self) -> Result<Arc<Table>> {
        let mut rows = self.nodes(&NodeSelector::all());
        let mut last = None;
        while let Some(row) = rows.next().await {
            last = row.err();
        }
        match (last, self.last()) {
            (Some(error), _) if error.scope().is_none() => Err(error),
            (_, table) => Ok(table.unwrap_or_default()),
        }
    }

    pub(super) fn last(&self) -> Option<Arc<Table>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn keep(&self, table: Table) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(table));
    }

    pub(super) async fn read(&self, side: &Estate, selector: &NodeSelector) -> Read {
        let (_, mut rows) = rows(side, selector);
        let mut read = Read { nodes: BTreeMap::new(), failed: Vec::new() };
        while let Some(row) = rows.next().await {
            match row {
                Row::Item(node) => {
                    read.nodes.insert(node.id.clone(), node);
                }
                Row::Failed(scope, error) => read.failed.push((scope, error)),
            }
        }
        read
    }

    /// Reads both sides of links again: whether each is what it was.
    pub(super) async fn verify(&self, links: &[&Link]) -> PerNode<Link> {
        let ids =
            |of: fn(&Link) -> &NodeId| NodeSelector::ids(links.iter().map(|link| of(link).clone()));
        let patched = self.read(&self.patchers, &ids(|link| &link.patched)).await;
        let hosts = self.read(&self.hosts, &ids(|link| &link.host)).await;
        let now = self.resolve(patched.nodes.values(), hosts.nodes.values());
        let found: BTreeMap<&NodeId, &Link> =
            now.linked.iter().map(|link| (&link.patched, link)).collect();
        let answer = |link: &Link| match found.get(&link.patched) {
            Some(found) if found.host == link.host && found.vm_id.is_same(link.vm_id) => {
                Ok((*found).clone())
            }
            Some(_) => Err(self.broken(link, "the machine was created anew")),
            None => {
                let unread = patched.error(&link.patched).or_else(|| hosts.error(&link.host));
                let gone = || self.broken(link, reason(&now, link).unwrap_or("one is gone"));
                Err(unread.map_or_else(gone, |error| error.with_node(link.patched.clone())))
            }
        };
        links.iter().map(|link| (link.patched.clone(), answer(link))).collect()
    }

    pub(super) fn broken(&self, link: &Link, why: &str) -> Error {
        let message = format!("no longer one with {}: {why}", link.host);
        Error::new(ErrorKind::Conflict, self.provider(), "set_power", message)
            .with_node(link.patched.clone())
    }
}

/// Why two nodes are no longer one.
fn reason<'a>(now: &'a Links, link: &Link) -> Option<&'a str> {
    let stale = now.stale.iter().find(|row| row.patched == link.patched);
    let unclear = || now.ambiguous.iter().find(|row| row.patched.contains(&link.patched));
    stale.map(|row| &*row.reason).or_else(|| unclear().map(|row| &*row.reason))
}
