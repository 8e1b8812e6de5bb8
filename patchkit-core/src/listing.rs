//! What the listings of providers have in common: they end at an error, name an item once, and lose
//! nothing for one row that cannot be read.

use std::{collections::HashSet, future, hash::Hash};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};

use crate::{Error, ErrorKind, Result};

/// Ends a listing with its first error that is about the whole of it: what came after it would look
/// like the rest. An error that names a scope is about that scope alone.
pub fn until_error<T: Send + 'static>(
    listing: impl Stream<Item = Result<T>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let next = async |listing: Option<BoxStream<'static, Result<T>>>| {
        let mut listing = listing?;
        let item = listing.next().await?;
        let goes_on = item.as_ref().map_or_else(|error| error.scope().is_some(), |_| true);
        Some((item, goes_on.then_some(listing)))
    };
    stream::unfold(Some(listing.boxed()), next).boxed()
}

/// Leaves out what came before: a listing that changes while it is read has items at the end of one
/// page and at the beginning of the next.
pub fn each_once<T, K>(
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

/// Lets the rows through that could be read, and tells of the others.
///
/// # Behavior
/// - An error of the listing itself ends it at once.
/// - A row whose place is known is an error of that scope where it stands, and the others go on.
/// - Rows of which nothing is known are one error at the end, with their number and the first one's
///   reason: they may be of any scope.
pub fn sound<T: Send + 'static>(
    provider: &'static str,
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
                Some(Ok(Err(error))) if error.scope().is_none() => bad.take(&error),
                Some(Ok(row)) => return Some((row, (rows, bad, false))),
                Some(Err(error)) => {
                    let over = error.scope().is_none();
                    return Some((Err(error), (rows, bad, over)));
                }
                None => {
                    let error = bad.error(provider, operation)?;
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

    fn error(&self, provider: &'static str, operation: &'static str) -> Option<Error> {
        let first = self.first.as_ref()?;
        let message = format!("{} rows could not be read; the first: {first}", self.count);
        Some(Error::new(ErrorKind::Malformed, provider, operation, message))
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    fn malformed(operation: &'static str, message: &'static str) -> Error {
        Error::new(ErrorKind::Malformed, "memory", operation, message)
    }

    fn of_a_scope() -> Error {
        malformed("List", "no power").with_scope("azure/s/westeurope".parse().unwrap())
    }

    #[test]
    fn nothing_comes_after_an_error_of_the_whole() {
        let listing =
            stream::iter([Ok(1), Err(of_a_scope()), Ok(2), Err(malformed("List", "x")), Ok(3)]);
        let items: Vec<_> = block_on(until_error(listing).collect());
        assert_eq!(items.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, false]);
    }

    #[test]
    fn what_came_before_is_left_out() {
        let listing = stream::iter([1, 2, 2, 3, 1]).map(Ok);
        let items: Vec<_> = block_on(each_once(listing, |item| *item).collect());
        assert_eq!(items.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_bad_row_of_a_known_scope_stands_where_it_is_and_others_come_last() {
        let rows = stream::iter(vec![
            Ok(Ok(1)),
            Ok(Err(malformed("List", "no id"))),
            Ok(Err(of_a_scope())),
            Ok(Ok(2)),
        ]);
        let seen: Vec<_> = block_on(sound("memory", "List", rows).collect());
        assert_eq!(seen.len(), 4);
        assert!(seen[0].is_ok() && seen[2].is_ok());
        assert!(seen[1].as_ref().unwrap_err().scope().is_some());
        let last = seen[3].as_ref().unwrap_err();
        assert!(last.message().starts_with("1 rows could not be read"), "{last}");
        assert!(last.scope().is_none());
    }

    #[test]
    fn an_error_of_the_listing_ends_it() {
        let rows = stream::iter(vec![Ok(Ok(1)), Err(malformed("List", "broken")), Ok(Ok(2))]);
        let seen: Vec<_> = block_on(sound("memory", "List", rows).collect());
        assert_eq!(seen.len(), 2);
    }
}
