//! Listings in which one row that cannot be read does not cost the others.

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{Error, ErrorKind, Result};

use crate::error::PROVIDER;

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

/// Ends a stream after its first error.
pub(crate) fn until_error<T: Send + 'static>(
    items: impl Stream<Item = Result<T>> + Send + 'static,
) -> impl Stream<Item = Result<T>> + Send + 'static {
    items.scan(false, |broken, item| {
        let ended = std::mem::replace(broken, *broken || item.is_err());
        std::future::ready((!ended).then_some(item))
    })
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
