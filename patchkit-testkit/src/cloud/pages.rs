//! Which page of a listing a request is for, by the tokens that were given out.

use std::collections::HashMap;

/// How many tokens are remembered.
const MOST: usize = 100_000;

/// The pages of the tokens that were given out, by operation and token.
#[derive(Debug, Default)]
pub(crate) struct Pages(HashMap<Box<str>, HashMap<Box<str>, u32>>);

impl Pages {
    /// The page that is asked for by a token: the first one by none. None where the token is not
    /// known.
    pub(crate) fn of(&self, operation: &str, token: &str) -> Option<u32> {
        if token.is_empty() {
            return Some(1);
        }
        self.0.get(operation)?.get(token).copied()
    }

    /// Enters the token that the answer to a request for a page had. The token that was asked with
    /// stays that of its page, also where an answer repeats it.
    pub(crate) fn enter(&mut self, operation: &str, asked: &str, next: &str, page: Option<u32>) {
        let Some(page) = page.filter(|_| asked != next && !next.is_empty()) else { return };
        // A lookup with a borrowed key first: most operations are known.
        if !self.0.contains_key(operation) {
            self.0.insert(operation.into(), HashMap::new());
        }
        let Some(tokens) = self.0.get_mut(operation) else { return };
        if tokens.len() >= MOST {
            tokens.clear();
        }
        tokens.insert(next.into(), page.saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_counted_by_its_token_and_a_repeated_one_stays() {
        let mut pages = Pages::default();
        assert_eq!(pages.of("List", ""), Some(1));
        pages.enter("List", "", "a", Some(1));
        pages.enter("List", "a", "b", pages.of("List", "a"));
        assert_eq!(pages.of("List", "b"), Some(3));
        pages.enter("List", "b", "b", pages.of("List", "b"));
        assert_eq!(pages.of("List", "b"), Some(3));
        assert_eq!(pages.of("List", "made up"), None);
        assert_eq!(pages.of("Describe", "a"), None);
    }
}
