//! The one paging loop.

use std::collections::VecDeque;

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};

use crate::{Error, ErrorKind, Result};

/// One page: its items, and the token of the next page where there is one.
pub type Page<T> = (Vec<T>, Option<String>);

/// Turns a call that fetches one page into a stream of items.
///
/// # Behavior
/// - Pages are fetched one at a time, as the items are asked for: dropping the stream stops it.
/// - No token, or an empty one, is the end.
/// - An empty page with a token goes on.
/// - An error ends the stream, after the items of the pages before it.
/// - A token that comes twice ends the stream with `Malformed`, and so do ten thousand empty pages in
///   a row: a broken service cannot loop us.
///
/// ```
/// use futures::{StreamExt, TryStreamExt};
/// use patchkit_core::paginate;
///
/// # futures::executor::block_on(async {
/// let pages = paginate("memory", "numbers", |token| async move {
///     Ok(match token.as_deref() {
///         None => (vec![1, 2], Some("2".to_owned())),
///         Some(_) => (vec![3], None),
///     })
/// });
/// assert_eq!(pages.try_collect::<Vec<_>>().await?, [1, 2, 3]);
/// # Ok::<(), patchkit_core::Error>(())
/// # }).unwrap();
/// ```
pub fn paginate<T, F, Fut>(
    provider: &'static str,
    operation: &'static str,
    fetch: F,
) -> BoxStream<'static, Result<T>>
where
    T: Send + 'static,
    F: Fn(Option<String>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Page<T>>> + Send + 'static,
{
    pages(provider, operation, fetch).boxed()
}

/// Empty pages in a row, at most. A filter that takes one node in a fleet of half a million leaves as
/// many before it, at fifty nodes a page.
const MOST_EMPTY: usize = 10_000;

enum Next {
    First,
    Token(String),
    End,
}

fn pages<T, F, Fut>(
    provider: &'static str,
    operation: &'static str,
    fetch: F,
) -> impl Stream<Item = Result<T>>
where
    F: Fn(Option<String>) -> Fut,
    Fut: Future<Output = Result<Page<T>>>,
{
    let broken =
        move |what: &'static str| Error::new(ErrorKind::Malformed, provider, operation, what);
    let seen = std::collections::HashSet::new();
    let state = (Next::First, VecDeque::new(), seen, 0_usize, fetch);
    stream::unfold(state, move |(mut next, mut items, mut seen, mut empty, fetch)| async move {
        loop {
            if let Some(item) = items.pop_front() {
                return Some((Ok(item), (next, items, seen, 0, fetch)));
            }
            let token = match std::mem::replace(&mut next, Next::End) {
                Next::End => return None,
                Next::First => None,
                Next::Token(token) => Some(token),
            };
            let ended = match fetch(token).await {
                Err(error) => error,
                Ok((page, token)) => {
                    items = page.into();
                    empty = if items.is_empty() { empty + 1 } else { 0 };
                    match token.filter(|token| !token.is_empty()) {
                        None => continue,
                        Some(_) if empty >= MOST_EMPTY => {
                            broken("the service sends one empty page after the other")
                        }
                        Some(token) if seen.insert(token.clone()) => {
                            next = Next::Token(token);
                            continue;
                        }
                        // The page that repeats a token may hold items that came before, so it is
                        // not trusted.
                        Some(_) => broken("the service repeated a page token"),
                    }
                }
            };
            return Some((Err(ended), (Next::End, VecDeque::new(), seen, 0, fetch)));
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures::executor::block_on;

    use super::*;

    type Pages = Vec<Result<Page<u8>, &'static str>>;

    fn run(pages: Pages) -> (Vec<u8>, Option<Error>, usize) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let pages = Arc::new(pages);
        let mut stream = paginate("test", "list", move |_| {
            let at = counter.fetch_add(1, Ordering::Relaxed);
            let page = match &pages[at] {
                Ok(page) => Ok(page.clone()),
                Err(message) => Err(Error::new(ErrorKind::Throttled, "test", "list", *message)),
            };
            async move { page }
        });
        let (mut items, mut error) = (Vec::new(), None);
        block_on(async {
            while let Some(item) = stream.next().await {
                match item {
                    Ok(item) => items.push(item),
                    Err(e) => error = Some(e),
                }
            }
        });
        (items, error, calls.load(Ordering::Relaxed))
    }

    #[test]
    fn an_empty_page_with_a_token_goes_on() {
        let (items, error, calls) = run(vec![
            Ok((vec![1], Some("a".to_owned()))),
            Ok((vec![], Some("b".to_owned()))),
            Ok((vec![2], None)),
        ]);
        assert_eq!((items, error.is_none(), calls), (vec![1, 2], true, 3));
    }

    #[test]
    fn empty_pages_without_end_are_an_error() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let stream = paginate("test", "list", move |_| {
            let at = counter.fetch_add(1, Ordering::Relaxed);
            async move { Ok((Vec::<u8>::new(), Some(at.to_string()))) }
        });
        let told: Vec<_> = block_on(stream.collect());
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].as_ref().unwrap_err().kind(), ErrorKind::Malformed);
        assert_eq!(calls.load(Ordering::Relaxed), MOST_EMPTY);
    }

    #[test]
    fn an_empty_token_is_the_end() {
        let (items, error, calls) = run(vec![Ok((vec![1], Some(String::new())))]);
        assert_eq!((items, error.is_none(), calls), (vec![1], true, 1));
    }

    #[test]
    fn an_error_on_page_two_comes_after_the_items_of_page_one() {
        let (items, error, _) =
            run(vec![Ok((vec![1, 2], Some("a".to_owned()))), Err("rate exceeded")]);
        assert_eq!(items, [1, 2]);
        assert_eq!(error.unwrap().kind(), ErrorKind::Throttled);
    }

    #[test]
    fn a_repeated_page_token_ends_in_an_error() {
        let (items, error, calls) = run(vec![
            Ok((vec![1], Some("a".to_owned()))),
            Ok((vec![2], Some("b".to_owned()))),
            Ok((vec![1], Some("a".to_owned()))),
        ]);
        assert_eq!((items, calls), (vec![1, 2], 3));
        assert_eq!(error.unwrap().kind(), ErrorKind::Malformed);
    }

    #[test]
    fn dropping_the_stream_stops_the_requests() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let mut stream = paginate("test", "list", move |_| {
            let at = counter.fetch_add(1, Ordering::Relaxed);
            async move { Ok((vec![at], Some(at.to_string()))) }
        });
        block_on(async { stream.next().await });
        drop(stream);
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}
