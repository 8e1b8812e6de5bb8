//! The nodes of both sides, those that are one machine as one.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{
    Link, LinkedFleet, Links, MachineLink, NODE_ID_TAG,
    claim::{Claim, resource_of, tag},
    evidence::listed,
    merge,
    propose::{Place, places},
    table::{Rows, Table, rows},
};
use crate::{
    ManagedNode, NodeId, NodeOrigin, NodeSelector, ResourceGroupName, Result, Scope,
    estate::{Row, Tally, takes},
};

type Groups = BTreeMap<NodeId, BTreeSet<ResourceGroupName>>;

/// A listing under way.
///
/// A cloud's own node of the patching side, and a host's that nobody speaks of, comes as soon as it is
/// read. The others are held back: whether they are one depends on all of them.
struct Merging {
    fleet: LinkedFleet,
    selector: NodeSelector,
    asked: Asked,
    groups: Groups,
    tally: Tally,
    patched: Rows,
    hosts: Rows,
    stage: Stage,
    held: Vec<ManagedNode>,
    claimed: Claimed,
    found: Vec<ManagedNode>,
    failed: Vec<Scope>,
    ready: VecDeque<Result<ManagedNode>>,
    late: Vec<Result<ManagedNode>>,
    /// Nodes that have nothing to do with the other side.
    others: BTreeSet<NodeId>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Stage {
    Patched,
    Hosts,
    Over,
}

/// Whether a listing sees all nodes, and may say which are one.
enum Asked {
    All(Option<Arc<Table>>),
    Ids(Arc<Table>),
}

/// What held nodes speak of, and what may be theirs.
#[derive(Default)]
struct Claimed {
    uuids: BTreeSet<[u8; 16]>,
    resources: BTreeSet<String>,
    hosts: BTreeSet<NodeId>,
    places: BTreeSet<Place>,
}

impl Claimed {
    fn add(&mut self, node: &ManagedNode, claim: Option<Claim>) {
        let Some(claim) = claim else {
            self.places.extend(places(node));
            return;
        };
        self.uuids.extend(claim.uuids.iter().map(|(uuid, _)| uuid.key()));
        self.resources.extend(claim.resources.into_iter().map(|(id, _)| id));
        self.hosts.extend(claim.host);
    }

    fn takes(&self, host: &ManagedNode) -> bool {
        self.hosts.contains(&host.id)
            || tag(host, NODE_ID_TAG).is_some()
            || host.identity.uuids().any(|uuid| self.uuids.contains(&uuid.key()))
            || resource_of(host).is_some_and(|id| self.resources.contains(&id))
            || places(host).iter().any(|place| self.places.contains(place))
    }
}

impl LinkedFleet {
    pub(super) fn listing(
        &self,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<ManagedNode>> {
        let (fleet, selector) = (self.clone(), selector.clone());
        stream::once(async move { fleet.begin(selector).await }).flatten().boxed()
    }

    async fn begin(self, selector: NodeSelector) -> BoxStream<'static, Result<ManagedNode>> {
        let (groups, mut ready) = match self.members(&selector).await {
            Ok(told) => told,
            Err(rows) => return stream::iter(rows).boxed(),
        };
        let (asked, [own, others]) = match &selector.ids {
            None => (Asked::All(self.last()), [NodeSelector::all(), NodeSelector::all()]),
            Some(ids) => match self.partners(ids).await {
                Ok((table, ids)) => (Asked::Ids(table), ids.map(NodeSelector::ids)),
                Err(error) => {
                    ready.push_back(Err(error));
                    return stream::iter(ready).boxed();
                }
            },
        };
        let (a, patched) = rows(&self.patchers, &own);
        let (b, hosts) = rows(&self.hosts, &others);
        let scopes = match &asked {
            Asked::All(_) => self.all.scopes().filter(|scope| takes(&selector, scope)).count(),
            Asked::Ids(_) => a + b,
        };
        let merging = Merging {
            tally: Tally::new(self.all.name(), "nodes", scopes),
            fleet: self,
            selector,
            asked,
            groups,
            patched,
            hosts,
            stage: Stage::Patched,
            held: Vec::new(),
            claimed: Claimed::default(),
            found: Vec::new(),
            failed: Vec::new(),
            ready,
            late: Vec::new(),
            others: BTreeSet::new(),
        };
        stream::unfold(merging, |mut merging| async move {
            let row = merging.next().await?;
            Some((row, merging))
        })
        .boxed()
    }

    /// The nodes to ask each side for, so that machines come whole, whichever of their ids is named.
    async fn partners(
        &self,
        ids: &BTreeSet<NodeId>,
    ) -> Result<(Arc<Table>, [BTreeSet<NodeId>; 2])> {
        let table = if ids.is_empty() { Arc::default() } else { self.table(ids).await? };
        let mut sides = [BTreeSet::new(), BTreeSet::new()];
        for id in ids {
            sides[usize::from(self.is_host(id))].insert(id.clone());
            if let Some(link) = table.link(id) {
                sides[0].insert(link.patched.clone());
                sides[1].insert(link.host.clone());
            }
        }
        Ok((table, sides))
    }

    /// The members of the resource groups that a selector names, and the scopes that could not tell.
    /// Where none could, these are the whole listing.
    async fn members(
        &self,
        selector: &NodeSelector,
    ) -> Result<(Groups, VecDeque<Result<ManagedNode>>), Vec<Result<ManagedNode>>> {
        let (mut groups, mut ready) = (Groups::new(), VecDeque::new());
        let Some(names) = &selector.resource_groups else { return Ok((groups, ready)) };
        let mut asked = NodeSelector::all().with_resource_groups(names.iter().cloned());
        asked.accounts.clone_from(&selector.accounts);
        asked.regions.clone_from(&selector.regions);
        asked.ids = match &selector.ids {
            None => None,
            Some(ids) => match self.partners(ids).await {
                Ok((_, [a, b])) => Some(a.into_iter().chain(b).collect()),
                Err(error) => return Err(vec![Err(error)]),
            },
        };
        let mut rows = crate::Fleet::nodes(&self.all, &asked);
        while let Some(row) = rows.next().await {
            match row {
                Ok(node) => {
                    groups.insert(node.id, node.resource_groups);
                }
                Err(error) if error.scope().is_none() => {
                    ready.push_back(Err(error));
                    return Err(ready.into());
                }
                Err(error) => ready.push_back(Err(error)),
            }
        }
        Ok((groups, ready))
    }
}

impl Merging {
    async fn next(&mut self) -> Option<Result<ManagedNode>> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(row);
            }
            let rows = match self.stage {
                Stage::Patched => &mut self.patched,
                Stage::Hosts => &mut self.hosts,
                Stage::Over => return None,
            };
            match rows.next().await {
                Some(Row::Item(node)) => self.take(node),
                Some(Row::Failed(scope, error)) => {
                    self.failed.push(scope.clone());
                    // Told after the nodes that are held back, as an error on a later page is.
                    let of_interest = match self.asked {
                        Asked::All(_) => takes(&self.selector, &scope),
                        Asked::Ids(_) => true,
                    };
                    if of_interest {
                        self.late.extend(self.tally.take(Row::Failed(scope, error)));
                    }
                }
                None if self.stage == Stage::Patched => self.stage = Stage::Hosts,
                None => {
                    self.stage = Stage::Over;
                    self.link();
                    self.ready.extend(std::mem::take(&mut self.late));
                }
            }
        }
    }

    fn take(&mut self, node: ManagedNode) {
        if self.stage == Stage::Patched {
            if node.origin == NodeOrigin::Hybrid {
                self.claimed.add(&node, self.fleet.claim(&node));
                self.held.push(node);
            } else {
                self.see(&node);
                self.emit(node);
            }
        } else if self.claimed.takes(&node) {
            self.found.push(node);
        } else {
            let doubt = self.doubt(&node);
            if doubt.is_none() {
                self.see(&node);
            }
            self.emit_with(node, doubt);
        }
    }

    fn see(&mut self, node: &ManagedNode) {
        if matches!(self.asked, Asked::All(_)) {
            self.others.insert(node.id.clone());
        }
    }

    /// Why a host's node that nobody speaks of may be somebody's all the same.
    fn doubt(&self, host: &ManagedNode) -> Option<String> {
        let last = match &self.asked {
            Asked::Ids(table) => return table.unresolved.get(&host.id).cloned(),
            Asked::All(table) => table.as_deref(),
        };
        // Of what could not be listed the last listing knew; of what is new nobody does.
        let missing = self.failed.iter().find(|scope| self.fleet.patchers.has(scope))?;
        match last.and_then(|last| last.link(&host.id)) {
            Some(link) => Some(format!("it is one with {}, which was not listed", link.patched)),
            None if last.is_some_and(|last| last.others.contains(&host.id)) => None,
            None => Some(format!("it may be a node of {missing}, which could not be listed")),
        }
    }

    /// Makes one of those that are one, and says of the others what is unclear.
    fn link(&mut self) {
        let links = self.fleet.resolve(&self.held, &self.found);
        let mut table = self.judge(links);
        if let Asked::Ids(last) = &self.asked {
            let both = self.held.iter().chain(&self.found);
            let unclear = both.filter_map(|node| last.unresolved.get_key_value(&node.id));
            let unclear: Vec<_> = unclear.map(|(id, why)| (id.clone(), why.clone())).collect();
            for (id, why) in unclear {
                table.unlink(&id, &why);
            }
        }
        let mut hosts: BTreeMap<NodeId, ManagedNode> =
            self.found.drain(..).map(|node| (node.id.clone(), node)).collect();
        for node in std::mem::take(&mut self.held) {
            let link = table.links.get(&node.id);
            if let Some((link, host)) = link.and_then(|it| Some((it, hosts.remove(&it.host)?))) {
                let merged = merge::nodes(node, host, link);
                self.emit(merged);
            } else {
                self.emit_unlinked(node, &table);
            }
        }
        for host in hosts.into_values() {
            self.emit_unlinked(host, &table);
        }
        // A listing that failed as a whole knows nothing.
        if matches!(self.asked, Asked::All(_)) && !self.tally.is_over() {
            table.others.append(&mut self.others);
            table.failed.clone_from(&self.failed);
            self.remember(&mut table);
            self.fleet.keep(table);
        }
    }

    /// Keeps the links of which a side could not be listed: a run that is under way goes by them, and
    /// each order to start or stop is held against what is there anyway.
    fn remember(&self, table: &mut Table) {
        let Asked::All(Some(last)) = &self.asked else { return };
        let failed = |node: &NodeId| self.failed.iter().any(|scope| scope.is(node.scope()));
        for link in last.links.values() {
            let is_free =
                !table.links.contains_key(&link.patched) && !table.hosts.contains_key(&link.host);
            if is_free && (failed(&link.patched) || failed(&link.host)) {
                table.unresolved.remove(&link.patched);
                table.unresolved.remove(&link.host);
                table.add(link.clone());
            }
        }
    }

    fn judge(&self, links: Links) -> Table {
        let mut table = Table::default();
        if let Asked::All(Some(last)) | Asked::Ids(last) = &self.asked {
            table.first_seen.clone_from(&last.first_seen);
        }
        for row in links.ambiguous {
            let reason = row.to_string();
            for id in row.patched.into_iter().chain(row.hosts) {
                table.unresolved.insert(id, reason.clone());
            }
        }
        for link in links.linked {
            table.add(link);
        }
        for row in links.stale {
            let missing = self.failed.iter().find(|scope| self.fleet.hosts.has(scope));
            match (row.host, missing) {
                (Some(host), _) => {
                    if !table.hosts.contains_key(&host) {
                        table.unresolved.insert(host, row.reason.clone());
                    }
                    table.unresolved.insert(row.patched, row.reason);
                }
                (None, Some(scope)) => {
                    let reason = format!("{}, and {scope} could not be listed", row.reason);
                    table.unresolved.insert(row.patched, reason);
                }
                (None, None) => {}
            }
        }
        for row in links.candidates {
            // The agent's node is its service's to patch. The host's may be the same machine.
            let evidence = listed(&row.evidence);
            let reason = format!("it may be one with {} by {evidence}", row.patched);
            table.unresolved.insert(row.host, reason);
        }
        table
    }

    fn emit_unlinked(&mut self, node: ManagedNode, table: &Table) {
        let doubt = match table.unresolved.get(&node.id) {
            Some(reason) => Some(reason.clone()),
            None if self.fleet.is_host(&node.id) => self.doubt(&node),
            None => None,
        };
        if doubt.is_none() {
            self.see(&node);
        }
        self.emit_with(node, doubt);
    }

    fn emit_with(&mut self, mut node: ManagedNode, doubt: Option<String>) {
        node.link = doubt.map(|reason| MachineLink::Unresolved { reason });
        self.emit(node);
    }

    fn emit(&mut self, mut node: ManagedNode) {
        let ids = [Some(&node.id), node.host().map(|link| &link.host)];
        let groups: BTreeSet<ResourceGroupName> = ids
            .into_iter()
            .flatten()
            .filter_map(|id| self.groups.get(id))
            .flatten()
            .cloned()
            .collect();
        node.resource_groups.extend(groups);
        if self.selector.matches(&node) {
            self.ready.push_back(Ok(node));
        }
    }
}

impl Table {
    /// Keeps a link, unless its machine is another one than it was when it was linked first.
    fn add(&mut self, link: Link) {
        let first = *self.first_seen.entry(link.patched.clone()).or_insert(link.vm_id);
        if !first.is_same(link.vm_id) && !link.evidence.iter().any(|evidence| evidence.names_uuid())
        {
            let reason = format!("{} was created anew since it was linked", link.host);
            self.unresolved.insert(link.host, reason.clone());
            self.unresolved.insert(link.patched, reason);
            return;
        }
        self.first_seen.insert(link.patched.clone(), link.vm_id);
        self.hosts.insert(link.host.clone(), link.patched.clone());
        self.links.insert(link.patched.clone(), link);
    }

    fn unlink(&mut self, node: &NodeId, why: &str) {
        if let Some(link) = self.link(node).cloned() {
            self.links.remove(&link.patched);
            self.hosts.remove(&link.host);
            self.unresolved.insert(link.host, why.to_owned());
            self.unresolved.insert(link.patched, why.to_owned());
        }
        self.unresolved.insert(node.clone(), why.to_owned());
    }
}
