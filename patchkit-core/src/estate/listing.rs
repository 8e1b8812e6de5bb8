//! Listings of many scopes, merged as they come.

use std::{
    collections::{BTreeSet, VecDeque},
    future::ready,
    time::Duration,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{Asked, Estate, Key, key};
use crate::{Error, ErrorKind, NodeSelector, Provider, Result, Retry, Scope};

/// What comes out of one scope.
pub(crate) enum Row<T> {
    Item(T),
    Failed(Scope, Error),
}

impl Estate {
    /// Lists in all scopes that `selector` may take nodes of.
    pub(super) fn merged<T: Send + 'static>(
        &self,
        operation: &'static str,
        selector: &NodeSelector,
        list: fn(&dyn Provider, &NodeSelector) -> BoxStream<'static, Result<T>>,
        scope_of: fn(&T) -> &Scope,
    ) -> BoxStream<'static, Result<T>> {
        let (scopes, rows) = self.rows(operation, selector, list, scope_of);
        let mut tally = Tally::new(self.name(), operation, scopes);
        rows.scan((), move |(), row| ready(tally.take(row))).boxed()
    }

    /// What each scope lists of its own, and how many scopes are asked.
    pub(crate) fn rows<T: Send + 'static>(
        &self,
        operation: &'static str,
        selector: &NodeSelector,
        list: fn(&dyn Provider, &NodeSelector) -> BoxStream<'static, Result<T>>,
        scope_of: fn(&T) -> &Scope,
    ) -> (usize, BoxStream<'static, Row<T>>) {
        let (asked, missing) = self.asked(selector);
        let scopes = asked.iter().map(|asked| asked.scopes.len()).sum::<usize>() + missing.len();
        let missing: Vec<Row<T>> = missing
            .into_iter()
            .map(|scope| {
                let error = self.lacks(operation, &scope).with_scope(scope.clone());
                Row::Failed(scope, error)
            })
            .collect();
        let rows = stream::iter(asked)
            .map(move |asked| rows(asked, list, scope_of))
            .flatten_unordered(self.parallel);
        (scopes, stream::iter(missing).chain(rows).boxed())
    }
}

/// What one provider lists of the scopes that it is asked for. An error that names none of them
/// ends its listing, and is each one's.
fn rows<T: Send + 'static>(
    asked: Asked,
    list: fn(&dyn Provider, &NodeSelector) -> BoxStream<'static, Result<T>>,
    scope_of: fn(&T) -> &Scope,
) -> BoxStream<'static, Row<T>> {
    let Asked { provider, scopes, selector } = asked;
    let listing = Some(list(&*provider, &selector));
    let state = (listing, VecDeque::<Row<T>>::new(), scopes);
    stream::unfold(state, move |(mut listing, mut ready, scopes)| async move {
        loop {
            if let Some(row) = ready.pop_front() {
                return Some((row, (listing, ready, scopes)));
            }
            match listing.as_mut()?.next().await? {
                Ok(item) => {
                    if scopes.iter().any(|scope| scope.is(scope_of(&item))) {
                        ready.push_back(Row::Item(item));
                    }
                }
                Err(error) => {
                    let Some(of) = error.scope() else {
                        listing = None;
                        ready.extend(failed(error, &scopes));
                        continue;
                    };
                    // Of a scope that it is not asked for it is left out, as nodes of it are.
                    if let Some(scope) = scopes.iter().find(|scope| scope.is(of)).cloned() {
                        ready.push_back(Row::Failed(scope, error));
                    }
                }
            }
        }
    })
    .boxed()
}

/// One error as that of each scope; the first has the cause.
fn failed<T>(error: Error, scopes: &[Scope]) -> Vec<Row<T>> {
    let mut rows: Vec<Row<T>> = scopes
        .iter()
        .skip(1)
        .map(|scope| Row::Failed(scope.clone(), error.copy().with_scope(scope.clone())))
        .collect();
    if let Some(first) = scopes.first() {
        rows.insert(0, Row::Failed(first.clone(), error.with_scope(first.clone())));
    }
    rows
}

/// Counts the scopes that failed: a listing of nothing but failures has failed.
pub(crate) struct Tally {
    provider: &'static str,
    operation: &'static str,
    scopes: usize,
    failed: BTreeSet<Key>,
    kind: Option<ErrorKind>,
    retry: Option<Retry>,
    over: bool,
}

impl Tally {
    pub(crate) fn new(provider: &'static str, operation: &'static str, scopes: usize) -> Self {
        Self {
            provider,
            operation,
            scopes,
            failed: BTreeSet::new(),
            kind: None,
            retry: None,
            over: false,
        }
    }

    /// Whether everything has failed, and has been said to.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// What a row becomes; `None` when the listing is over.
    pub(crate) fn take<T>(&mut self, row: Row<T>) -> Option<Result<T>> {
        if self.over {
            return None;
        }
        let (scope, error) = match row {
            Row::Item(item) => return Some(Ok(item)),
            Row::Failed(scope, error) => (scope, error),
        };
        self.failed.insert(key(&scope));
        let kind = *self.kind.get_or_insert(error.kind());
        if kind != error.kind() {
            self.kind = Some(ErrorKind::Unexpected);
        }
        self.retry = Some(match self.retry {
            None => error.retry(),
            Some(retry) => both(retry, error.retry()),
        });
        if self.failed.len() < self.scopes {
            return Some(Err(error));
        }
        self.over = true;
        let message = match self.scopes {
            1 => "its one scope could not be listed".to_owned(),
            n => format!("none of {n} scopes could be listed"),
        };
        let kind = self.kind.unwrap_or(ErrorKind::Unexpected);
        let mut whole = Error::new(kind, self.provider, self.operation, message)
            .with_retry(self.retry.unwrap_or(Retry::Never));
        if let Some(id) = error.request_id() {
            whole = whole.with_request_id(id);
        }
        Some(Err(whole.with_source(error)))
    }
}

/// When two calls may be made again together.
fn both(a: Retry, b: Retry) -> Retry {
    let wait = |retry| match retry {
        Retry::Never => None,
        Retry::Backoff => Some(Duration::ZERO),
        Retry::After(delay) => Some(delay),
    };
    match (wait(a), wait(b)) {
        (Some(a), Some(b)) => match a.max(b) {
            Duration::ZERO => Retry::Backoff,
            delay => Retry::After(delay),
        },
        _ => Retry::Never,
    }
}
