//! What listings have in common: they end at an error, name an item once, and lose nothing for one
//! row that cannot be read.

use std::{collections::HashSet, future, hash::Hash};

use futures::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream, TryChunksError},
};
use patchkit_core::{Error, ErrorKind, Result};

use crate::error::PROVIDER;

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

/// Puts `pages` pages at a time together. What came before an error comes before it.
pub(crate) fn in_lots<T: Send + 'static>(
    pages: usize,
    listing: BoxStream<'static, Result<Vec<T>>>,
) -> BoxStream<'static, Result<Vec<T>>> {
    let lot = |lot: std::result::Result<Vec<Vec<T>>, TryChunksError<Vec<T>, Error>>| {
        let (pages, error) = match lot {
            Ok(pages) => (pages, None),
            Err(TryChunksError(pages, error)) => (pages, Some(Err(error))),
        };
        let whole = (!pages.is_empty()).then(|| Ok(pages.into_iter().flatten().collect()));
        stream::iter(whole.into_iter().chain(error))
    };
    listing.try_chunks(pages).flat_map(lot).boxed()
}

/// Lets the rows through that could be read, and tells of the others when the listing is over.
///
/// # Behavior
/// - An error of the listing itself ends it at once.
/// - Rows that could not be read are one error at the end, with their number and the first one's
///   reason.
pub(crate) fn sound<T: Send + 'static>(
    operation: &'static str,
    rows: impl Stream<Item = Result<Result<T>>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let state = (rows.boxed(), Bad { count: 0, first: None }, false);
    stream::unfold(state, move |(mut rows, mut bad, over)| async move {
        if over {
            return None;
        }
        loop {
            match rows.next().await {
                Some(Ok(Ok(row))) => return Some((Ok(row), (rows, bad, false))),
                Some(Ok(Err(error))) => bad.take(&error),
                Some(Err(error)) => return Some((Err(error), (rows, bad, true))),
                None => {
                    let error = bad.error(operation)?;
                    return Some((Err(error), (rows, bad, true)));
                }
            }
        }
    })
    .boxed()
}

struct Bad {
    count: usize,
    first: Option<String>,
}

impl Bad {
    fn take(&mut self, error: &Error) {
        self.count += 1;
        self.first.get_or_insert_with(|| error.report());
    }

    fn error(&self, operation: &'static str) -> Option<Error> {
        let first = self.first.as_ref()?;
        let message = format!("{} rows could not be read; the first: {first}", self.count);
        Some(Error::new(ErrorKind::Malformed, PROVIDER, operation, message))
    }
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
    fn pages_are_put_together_and_none_is_lost_to_an_error() {
        let pages = [Ok(vec![1, 2]), Ok(vec![3]), Ok(vec![4]), Err(malformed("List", "broken"))];
        let lots: Vec<_> = block_on(in_lots(2, stream::iter(pages).boxed()).collect());
        let lots: Vec<_> = lots.into_iter().map(|it| it.map_err(|_| ())).collect();
        assert_eq!(lots, [Ok(vec![1, 2, 3]), Ok(vec![4]), Err(())]);
    }

    #[test]
    fn what_came_before_is_left_out() {
        let listing = stream::iter([1, 2, 2, 3, 1]).map(Ok);
        let items: Vec<_> = block_on(each_once(listing, |item| *item).collect());
        assert_eq!(items.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_bad_row_comes_last_and_leaves_the_others() {
        let bad = || Ok(Err(malformed("List", "no id")));
        let rows = stream::iter(vec![Ok(Ok(1)), bad(), Ok(Ok(2)), bad()]);
        let seen: Vec<_> = block_on(sound("List", rows).collect());
        assert_eq!(seen.len(), 3);
        assert!(matches!(seen[..2], [Ok(1), Ok(2)]));
        let error = seen[2].as_ref().unwrap_err();
        assert!(error.message().starts_with("2 rows could not be read"), "{error}");
    }

    #[test]
    fn an_error_of_the_listing_ends_it() {
        let rows = stream::iter(vec![Ok(Ok(1)), Err(malformed("List", "broken")), Ok(Ok(2))]);
        let seen: Vec<_> = block_on(sound("List", rows).collect());
        assert_eq!(seen.len(), 2);
    }
}
