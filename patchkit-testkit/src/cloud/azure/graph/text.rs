//! Tests of one text against another, without copies where they are ASCII.

use super::ast::{Case, Place, TextTest};

/// A text that is looked for, made ready once.
#[derive(Clone, Debug)]
pub(super) struct Needle {
    test: TextTest,
    text: String,
    /// The text with case folded, where case is ignored and the text is not ASCII.
    folded: Option<String>,
}

impl Needle {
    pub(super) fn new(test: TextTest, text: &str) -> Self {
        let folds = test.case == Case::Ignored && !text.is_ascii();
        Self { test, text: text.to_owned(), folded: folds.then(|| text.to_lowercase()) }
    }

    pub(super) fn is_in(&self, hay: &str) -> bool {
        if let Some(folded) = &self.folded {
            let test = TextTest { case: Case::Kept, ..self.test };
            return found(test, &hay.to_lowercase(), folded);
        }
        found(self.test, hay, &self.text)
    }
}

fn found(test: TextTest, hay: &str, needle: &str) -> bool {
    let (hay, needle) = (hay.as_bytes(), needle.as_bytes());
    if needle.is_empty() {
        return true;
    }
    let Some(last) = hay.len().checked_sub(needle.len()) else { return false };
    let here = |at: usize| {
        hay.get(at..at + needle.len()).is_some_and(|part| match test.case {
            Case::Kept => part == needle,
            Case::Ignored => part.eq_ignore_ascii_case(needle),
        })
    };
    // Most places are told by their first byte, without a look at the others.
    let first = needle.first().map_or(0, u8::to_ascii_lowercase);
    let heads = hay.get(..=last).unwrap_or_default().iter().enumerate();
    let mut places = heads.filter(|(_, head)| head.to_ascii_lowercase() == first).map(|it| it.0);
    let starts = |at: usize| at == 0 || !joins(hay.get(at - 1), needle.first());
    let ends = |at: usize| !joins(needle.last(), hay.get(at + needle.len()));
    match test.place {
        Place::Start => here(0),
        Place::End => here(last),
        Place::Anywhere => places.any(here),
        Place::Term => places.any(|at| here(at) && starts(at) && ends(at)),
        Place::TermStart => places.any(|at| here(at) && starts(at)),
        Place::TermEnd => places.any(|at| here(at) && ends(at)),
    }
}

/// Whether two neighbours belong to one term: letters and digits do, also beyond ASCII.
fn joins(left: Option<&u8>, right: Option<&u8>) -> bool {
    let inside = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
    };
    inside(left) && inside(right)
}

/// `=~`: equal but for case.
pub(super) fn alike(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
        || (!(left.is_ascii() && right.is_ascii()) && left.to_lowercase() == right.to_lowercase())
}
