//! Pages that are put together, for calls that take more than one of them.

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream, TryChunksError},
};
use patchkit_core::{Error, Result};

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

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::error::malformed;

    #[test]
    fn pages_are_put_together_and_none_is_lost_to_an_error() {
        let pages = [Ok(vec![1, 2]), Ok(vec![3]), Ok(vec![4]), Err(malformed("List", "broken"))];
        let lots: Vec<_> = block_on(in_lots(2, stream::iter(pages).boxed()).collect());
        let lots: Vec<_> = lots.into_iter().map(|it| it.map_err(|_| ())).collect();
        assert_eq!(lots, [Ok(vec![1, 2, 3]), Ok(vec![4]), Err(())]);
    }
}
