//! What listings that are made of several calls have in common.

use std::{collections::HashSet, future, hash::Hash};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::Result;

/// Ends a listing with its first error, as one of one call does: what came after it would look like
/// the rest, and nobody waits for it.
pub(crate) fn until_error<T: Send + 'static>(
    listing: impl Stream<Item = Result<T>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let next = async |listing: Option<BoxStream<'static, Result<T>>>| {
        let mut listing = listing?;
        let item = listing.next().await?;
        let rest = item.is_ok().then_some(listing);
        Some((item, rest))
    };
    stream::unfold(Some(listing.boxed()), next).boxed()
}

/// Leaves out what came before: a listing that changes while it is read has items at the end of one
/// page and at the beginning of the next.
pub(crate) fn each_once<T, K>(
    listing: impl Stream<Item = Result<T>> + Send + 'static,
    key: impl Fn(&T) -> K + Send + 'static,
) -> BoxStream<'static, Result<T>>
where
    T: Send + 'static,
    K: Eq + Hash + Send + 'static,
{
    let mut seen = HashSet::new();
    let new = move |item: &Result<T>| {
        future::ready(item.as_ref().map_or(true, |item| seen.insert(key(item))))
    };
    listing.filter(new).boxed()
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::error::malformed;

    #[test]
    fn nothing_comes_after_an_error() {
        let listing = stream::iter([Ok(1), Err(malformed("List", "broken")), Ok(2)]);
        let items: Vec<_> = block_on(until_error(listing).collect());
        assert_eq!(items.len(), 2);
        assert!(items[0].is_ok() && items[1].is_err());
    }

    #[test]
    fn what_came_before_is_left_out() {
        let listing = stream::iter([1, 2, 2, 3, 1]).map(Ok);
        let items: Vec<_> = block_on(each_once(listing, |item| *item).collect());
        assert_eq!(items.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
