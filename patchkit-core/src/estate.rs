//! Many scopes as one fleet: accounts, Regions and subscriptions, each with its own provider.

mod compliance;
mod fleet;
mod listing;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

pub(crate) use self::listing::{Row, Tally};
use crate::{Error, ErrorKind, NodeId, NodeSelector, OperationId, Provider, Result, Scope};

/// The name of an estate whose providers are of several kinds.
const ESTATE: &str = "estate";

/// Many scopes as one fleet and one compliance report.
///
/// Every call goes to the provider of the node's [scope](NodeId::scope). Baselines and patch groups
/// are each scope's own: reach them by [`scope`](Self::scope), or in all scopes by
/// [`each`](Self::each).
///
/// # Behavior
/// - A scope that fails is an error that [names it](Error::scope), and the others go on. Where all
///   scopes that were asked fail, the listing fails.
/// - A node of a scope that the estate lacks is `NotFound`, and the error names the scope.
/// - A selector's ids, accounts and Regions leave scopes out without a call.
/// - At most [`with_parallel`](Self::with_parallel) scopes are listed at once, and what they have
///   comes as it is there: a slow scope holds back no other. One that hangs for good keeps its
///   place, so providers must have time limits of their own.
/// - The ids of acts begin with their scope, `aws/111122223333/eu-west-1/…`, so that they find their
///   way back also after a restart, out of a journal.
/// - Accounts and Regions are compared without regard to case, as Azure spells them in several ways.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use futures::TryStreamExt;
/// use patchkit_core::{
///     Estate, Fleet, NodeId, NodeSelector, OperatingSystem, Scope,
///     memory::{MemoryCloud, MemoryNode},
/// };
///
/// # futures::executor::block_on(async {
/// let mut estate = Estate::new().with_parallel(8);
/// for scope in ["aws/111122223333/eu-west-1", "aws/444455556666/us-east-1"] {
///     let scope: Scope = scope.parse()?;
///     let cloud = MemoryCloud::builder().build();
///     cloud.insert(MemoryNode::new(NodeId::new(scope.clone(), "i-01")?, OperatingSystem::Ubuntu));
///     estate = estate.with([scope], Arc::new(cloud));
/// }
/// let all: Vec<_> = estate.nodes(&NodeSelector::all()).try_collect().await?;
/// assert_eq!(all.len(), 2);
/// # Ok::<(), patchkit_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Estate {
    entries: BTreeMap<Key, Entry>,
    next: usize,
    parallel: usize,
}

/// A scope as it is compared.
type Key = String;

fn key(scope: &Scope) -> Key {
    scope.to_string().to_ascii_lowercase()
}

#[derive(Clone)]
struct Entry {
    scope: Scope,
    provider: Arc<dyn Provider>,
    /// Scopes of one provider are listed by one call.
    member: usize,
}

/// A provider that is to be listed.
struct Asked {
    provider: Arc<dyn Provider>,
    /// What is asked of it.
    scopes: Vec<Scope>,
    selector: NodeSelector,
}

impl Estate {
    /// An estate without scopes, which lists 16 of them at once.
    pub fn new() -> Self {
        Self { entries: BTreeMap::new(), next: 0, parallel: 16 }
    }

    /// Adds scopes and the provider that serves them; of a scope that comes twice the last provider
    /// counts.
    ///
    /// Nodes that the provider lists outside of these scopes are left out.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "the estate keeps it")]
    pub fn with(
        mut self,
        scopes: impl IntoIterator<Item = Scope>,
        provider: Arc<dyn Provider>,
    ) -> Self {
        for scope in scopes {
            let entry =
                Entry { scope: scope.clone(), provider: Arc::clone(&provider), member: self.next };
            self.entries.insert(key(&scope), entry);
        }
        self.next += 1;
        self
    }

    /// Sets how many scopes are worked on at once.
    #[must_use]
    pub fn with_parallel(mut self, scopes: usize) -> Self {
        self.parallel = scopes.max(1);
        self
    }

    /// The scopes, in order.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.entries.values().map(|entry| &entry.scope)
    }

    /// The provider of one scope.
    pub fn scope(&self, scope: &Scope) -> Option<&Arc<dyn Provider>> {
        self.entry(scope).map(|entry| &entry.provider)
    }

    /// Does `work` in every scope, at most [`with_parallel`](Self::with_parallel) at once, and
    /// answers for each of them, in the order in which they are done.
    ///
    /// # Example
    /// ```
    /// use futures::StreamExt;
    /// use patchkit_core::{Baseline, Estate, OperatingSystem};
    ///
    /// async fn defaults(estate: &Estate) {
    ///     let mut defaults = estate.each(|_, provider| async move {
    ///         provider.default_baseline(&OperatingSystem::Ubuntu).await
    ///     });
    ///     while let Some((scope, answer)) = defaults.next().await {
    ///         match answer {
    ///             Ok(baseline) => println!("{scope}: {}", baseline.name),
    ///             Err(error) => println!("{scope}: {}", error.report()),
    ///         }
    ///     }
    /// }
    /// # futures::executor::block_on(defaults(&Estate::new()));
    /// ```
    pub fn each<T, F, Fut>(&self, work: F) -> BoxStream<'static, (Scope, Result<T>)>
    where
        T: Send + 'static,
        F: Fn(Scope, Arc<dyn Provider>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T>> + Send + 'static,
    {
        let entries: Vec<Entry> = self.entries.values().cloned().collect();
        stream::iter(entries)
            .map(move |entry| {
                let answer = work(entry.scope.clone(), entry.provider);
                async move {
                    let answer = answer.await.map_err(|error| in_scope(error, &entry.scope));
                    (entry.scope, answer)
                }
            })
            .buffer_unordered(self.parallel)
            .boxed()
    }

    /// Both as one; of a scope that both have, the other's provider counts.
    pub(crate) fn and(mut self, other: Self) -> Self {
        let base = self.next;
        self.entries.extend(other.entries.into_iter().map(|(key, mut entry)| {
            entry.member += base;
            (key, entry)
        }));
        self.next = base + other.next;
        self.parallel = self.parallel.max(other.parallel);
        self
    }

    /// Whether the scope is one of its own.
    pub(crate) fn has(&self, scope: &Scope) -> bool {
        self.entry(scope).is_some()
    }

    /// The provider of all its scopes, where they have one.
    pub(crate) fn sole(&self) -> Option<&Arc<dyn Provider>> {
        let first = self.entries.values().next()?;
        let same = self.entries.values().all(|entry| entry.member == first.member);
        same.then_some(&first.provider)
    }

    pub(crate) fn name(&self) -> &'static str {
        let mut names = self.entries.values().map(|entry| entry.provider.provider());
        match names.next() {
            Some(name) if names.all(|other| other == name) => name,
            _ => ESTATE,
        }
    }

    fn entry(&self, scope: &Scope) -> Option<&Entry> {
        self.entries.get(&key(scope))
    }

    fn lacks(&self, operation: &'static str, scope: &Scope) -> Error {
        let message = format!("the estate has no scope {scope}");
        Error::new(ErrorKind::NotFound, self.name(), operation, message)
    }

    /// The provider that a call about `node` goes to.
    fn route(&self, operation: &'static str, node: &NodeId) -> Result<&Arc<dyn Provider>> {
        let scope = node.scope();
        self.scope(scope).ok_or_else(|| self.lacks(operation, scope).with_node(node.clone()))
    }

    /// The one scope of a call about several nodes.
    fn only(&self, operation: &'static str, nodes: &[NodeId]) -> Result<&Entry> {
        let Some(first) = nodes.first() else {
            return Err(Error::invalid(self.name(), operation, "no node is named"));
        };
        let scope = first.scope();
        if nodes.iter().any(|node| !node.scope().is(scope)) {
            let message = "the nodes are of more than one scope";
            return Err(Error::invalid(self.name(), operation, message));
        }
        self.entry(scope).ok_or_else(|| self.lacks(operation, scope).with_scope(scope.clone()))
    }

    /// The scope of an act, and the id that its provider gave it.
    fn act(&self, operation: &'static str, id: &OperationId) -> Result<(&Entry, OperationId)> {
        let unknown = || Error::not_found(self.name(), operation, id);
        let cut = id.as_str().match_indices('/').nth(2).map(|(at, _)| at).ok_or_else(unknown)?;
        let (scope, own) = id.as_str().split_at(cut);
        let scope: Scope = scope.parse().map_err(|_| unknown())?;
        let own = OperationId::new(&own[1..]).map_err(|_| unknown())?;
        let entry = self
            .entry(&scope)
            .ok_or_else(|| self.lacks(operation, &scope).with_scope(scope.clone()))?;
        Ok((entry, own))
    }

    /// Whom a listing asks, and the scopes of named nodes that nobody can be asked about.
    fn asked(&self, selector: &NodeSelector) -> (Vec<Asked>, Vec<Scope>) {
        let named: Option<BTreeMap<Key, BTreeSet<NodeId>>> = selector.ids.as_ref().map(|ids| {
            let mut named: BTreeMap<Key, BTreeSet<NodeId>> = BTreeMap::new();
            for id in ids {
                named.entry(key(id.scope())).or_default().insert(id.clone());
            }
            named
        });
        let mut members: BTreeMap<usize, Asked> = BTreeMap::new();
        for (key, entry) in &self.entries {
            let ids = named.as_ref().map(|named| named.get(key));
            if !takes(selector, &entry.scope) || ids == Some(None) {
                continue;
            }
            let asked = members.entry(entry.member).or_insert_with(|| {
                let mut selector = selector.clone();
                selector.ids = named.as_ref().map(|_| BTreeSet::new());
                Asked { provider: Arc::clone(&entry.provider), scopes: Vec::new(), selector }
            });
            asked.scopes.push(entry.scope.clone());
            if let (Some(all), Some(Some(ids))) = (&mut asked.selector.ids, ids) {
                all.extend(ids.iter().cloned());
            }
        }
        let missing = named.unwrap_or_default().into_iter().filter_map(|(key, ids)| {
            let scope = ids.first()?.scope();
            (!self.entries.contains_key(&key) && takes(selector, scope)).then(|| scope.clone())
        });
        (members.into_values().collect(), missing.collect())
    }
}

impl Default for Estate {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Estate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Estate({} scopes)", self.entries.len())
    }
}

/// Whether a selector may take nodes of this scope.
pub(crate) fn takes(selector: &NodeSelector, scope: &Scope) -> bool {
    let (account, region) = (scope.account().as_str(), scope.region().as_str());
    selector
        .accounts
        .as_ref()
        .is_none_or(|set| set.iter().any(|at| at.as_str().eq_ignore_ascii_case(account)))
        && selector
            .regions
            .as_ref()
            .is_none_or(|set| set.iter().any(|at| at.as_str().eq_ignore_ascii_case(region)))
}

/// The error of a call to one scope's provider; one that names a scope of its own keeps it.
fn in_scope(error: Error, scope: &Scope) -> Error {
    if error.scope().is_some() { error } else { error.with_scope(scope.clone()) }
}
