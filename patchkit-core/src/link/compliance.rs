//! What is known of the nodes of both sides, of each machine once.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{Link, LinkedFleet, table::Table};
use crate::{
    ComplianceReport, ComplianceSource, ComplianceStatus, Error, Fleet, NodeCompliance, NodeId,
    NodeSelector, PatchCompliance, Result,
};

/// # Behavior
/// - A machine of both sides comes once, under its patched id, with what each side knows of it and
///   when that was found out: [`NodeCompliance::sources`].
/// - Its verdict is that of the side that patches it, and `Unknown` where that knows nothing. What
///   the host found after that makes it worse, and never better; what the host found before says
///   nothing of the machine as it is now. Counts and patches are the patching side's.
/// - A host that cannot be asked is a source with its problem, and does not hide the machine.
#[async_trait]
impl ComplianceReport for LinkedFleet {
    fn summaries(&self, selector: &NodeSelector) -> BoxStream<'static, Result<NodeCompliance>> {
        let (fleet, selector) = (self.clone(), selector.clone());
        stream::once(async move { fleet.known_of(&selector).await }).flatten().boxed()
    }

    async fn summary(&self, node: &NodeId) -> Result<NodeCompliance> {
        let table = self.table([node]).await?;
        let Some(link) = table.link(node) else { return self.all.summary(node).await };
        let own = self.all.summary(&link.patched).await?;
        let host = self.all.summary(&link.host).await;
        Ok(joined(own, &link.host, host.map_err(|error| error.report())))
    }

    fn patches(&self, node: &NodeId) -> BoxStream<'static, Result<PatchCompliance>> {
        let (fleet, node) = (self.clone(), node.clone());
        stream::once(async move {
            match fleet.table([&node]).await {
                Ok(table) => fleet.all.patches(table.link(&node).map_or(&node, |it| &it.patched)),
                Err(error) => stream::iter([Err(error)]).boxed(),
            }
        })
        .flatten()
        .boxed()
    }
}

impl LinkedFleet {
    async fn known_of(
        &self,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<NodeCompliance>> {
        // Tags and power of the other side decide too, so that all but ids need the nodes.
        let by_id_alone = selector.ids.as_ref().filter(|ids| {
            let alone = NodeSelector::ids(ids.iter().cloned());
            *selector == alone
        });
        let mut ready: VecDeque<Result<NodeCompliance>> = VecDeque::new();
        let mut ids: BTreeSet<NodeId> = BTreeSet::new();
        if let Some(named) = by_id_alone {
            ids.clone_from(named);
        } else {
            let mut nodes = self.nodes(selector);
            while let Some(row) = nodes.next().await {
                match row {
                    Ok(node) => {
                        ids.insert(node.id);
                    }
                    Err(error) => {
                        let over = error.scope().is_none();
                        ready.push_back(Err(error));
                        if over {
                            return stream::iter(ready).boxed();
                        }
                    }
                }
            }
        }
        if ids.is_empty() {
            return stream::iter(ready).boxed();
        }
        let table = match self.table(&ids).await {
            Ok(table) => table,
            Err(error) => {
                ready.push_back(Err(error));
                return stream::iter(ready).boxed();
            }
        };
        let links = ids.iter().filter_map(|id| table.link(id)).cloned();
        let links: BTreeMap<NodeId, Link> =
            links.map(|link| (link.patched.clone(), link)).collect();
        for link in links.values() {
            ids.insert(link.patched.clone());
            ids.insert(link.host.clone());
        }
        let rows = self.all.summaries(&NodeSelector::ids(ids));
        let joining = Joining {
            table,
            links,
            own: BTreeMap::new(),
            hosts: BTreeMap::new(),
            failed: Vec::new(),
        };
        let state = (Some((rows, joining)), ready);
        stream::unfold(state, |(mut source, mut ready)| async move {
            loop {
                if let Some(row) = ready.pop_front() {
                    return Some((row, (source, ready)));
                }
                let (mut rows, mut joining) = source.take()?;
                match rows.next().await {
                    Some(row) => {
                        ready.extend(joining.take(row));
                        source = Some((rows, joining));
                    }
                    None => ready.extend(joining.rest()),
                }
            }
        })
        .boxed()
    }
}

/// Rows that wait for the other side's.
struct Joining {
    table: Arc<Table>,
    links: BTreeMap<NodeId, Link>,
    own: BTreeMap<NodeId, NodeCompliance>,
    hosts: BTreeMap<NodeId, NodeCompliance>,
    /// What went wrong: told after what is known.
    failed: Vec<Error>,
}

impl Joining {
    fn take(&mut self, row: Result<NodeCompliance>) -> Option<Result<NodeCompliance>> {
        let known = match row {
            Ok(known) => known,
            Err(error) => {
                self.failed.push(error);
                return None;
            }
        };
        let Some(link) = self.table.link(&known.node) else { return Some(Ok(known)) };
        let node = link.patched.clone();
        if known.node == node {
            match self.hosts.remove(&node) {
                Some(host) => return Some(Ok(joined(known, &link.host, Ok(host)))),
                None => self.own.insert(node, known),
            };
        } else {
            match self.own.remove(&node) {
                Some(own) => return Some(Ok(joined(own, &link.host, Ok(known)))),
                None => self.hosts.insert(node, known),
            };
        }
        None
    }

    /// The machines of which one side alone has told.
    fn rest(self) -> Vec<Result<NodeCompliance>> {
        let why = |node: &NodeId| {
            let of = |error: &&Error| error.scope().is_none_or(|scope| scope.is(node.scope()));
            let of = self.failed.iter().find(of);
            of.map_or_else(|| "its host left it out".to_owned(), Error::report)
        };
        let alone = self.own.into_iter().filter_map(|(node, known)| {
            let host = &self.links.get(&node)?.host;
            Some(Ok(joined(known, host, Err(why(host)))))
        });
        let mut rows: Vec<Result<NodeCompliance>> = alone.collect();
        rows.extend(self.failed.into_iter().map(Err));
        rows
    }
}

/// What both sides know of one machine, as one.
fn joined(
    mut own: NodeCompliance,
    host: &NodeId,
    told: Result<NodeCompliance, String>,
) -> NodeCompliance {
    own.sources = vec![ComplianceSource::of(&own)];
    let told = match told {
        Ok(told) => told,
        Err(problem) => {
            let mut source = ComplianceSource::of(&NodeCompliance::unknown(host.clone()));
            source.problem = Some(problem);
            own.sources.push(source);
            return own;
        }
    };
    own.sources.push(ComplianceSource::of(&told));
    let newer = told.observed_at >= own.observed_at;
    if own.status == ComplianceStatus::Compliant
        && told.status == ComplianceStatus::NonCompliant
        && newer
    {
        own.status = ComplianceStatus::NonCompliant;
        own.level = own.level.max(told.level);
    }
    own
}
