//! Tests of one text against another, without copies where they are ASCII.

use super::{
    ast::{Case, Place, TextTest},
    source::Texts,
};

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

    /// Gives the numbers of those texts that it is in.
    pub(super) fn each_in(&self, texts: Texts<'_>, mut each: impl FnMut(usize)) {
        let (hay, mut from) = texts.joined();
        let first = match (self.test.place, self.text.as_bytes()) {
            (Place::Anywhere | Place::Term | Place::TermStart | Place::TermEnd, [first, ..])
                if self.folded.is_none() =>
            {
                *first
            }
            _ => {
                let all =
                    (0..texts.len()).filter(|at| texts.get(*at).is_some_and(|it| self.is_in(it)));
                return all.for_each(each);
            }
        };
        let (hay, needle) = (hay.as_bytes(), self.text.as_bytes());
        let cases = [first.to_ascii_lowercase(), first.to_ascii_uppercase()];
        let mut number = 0;
        while let Some(head) =
            hay.get(from..).and_then(|it| memchr::memchr2(cases[0], cases[1], it))
        {
            let head = from + head;
            let Some(range) = (number..texts.len()).find_map(|at| {
                number = at;
                texts.range(at).filter(|it| head < it.end)
            }) else {
                return;
            };
            let text = hay.get(range.clone()).unwrap_or_default();
            from = head + 1;
            if is_at(self.test, text, needle, head - range.start) {
                each(number);
                from = range.end;
            }
        }
    }
}

fn found(test: TextTest, hay: &str, needle: &str) -> bool {
    let (hay, needle) = (hay.as_bytes(), needle.as_bytes());
    let Some(last) = hay.len().checked_sub(needle.len()) else { return false };
    match (test.place, needle) {
        (_, []) => true,
        (Place::Start, _) => is_at(test, hay, needle, 0),
        (Place::End, _) => is_at(test, hay, needle, last),
        (_, [first, ..]) => {
            // Most places are told by their first byte, without a look at the others.
            let heads = hay.get(..=last).unwrap_or_default().iter().enumerate();
            let heads = heads.filter(|(_, head)| head.eq_ignore_ascii_case(first));
            heads.map(|it| it.0).any(|at| is_at(test, hay, needle, at))
        }
    }
}

/// Whether a text is at a place of another one, and is there a term where it must be one.
fn is_at(test: TextTest, hay: &[u8], needle: &[u8], at: usize) -> bool {
    let (place, end) = (test.place, at + needle.len());
    hay.get(at..end).is_some_and(|part| match test.case {
        Case::Kept => part == needle,
        Case::Ignored => part.eq_ignore_ascii_case(needle),
    }) && (!matches!(place, Place::Term | Place::TermStart)
        || at == 0
        || !joins(hay.get(at - 1), needle.first()))
        && (!matches!(place, Place::Term | Place::TermEnd) || !joins(needle.last(), hay.get(end)))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_side_by_side_are_searched_as_each_by_itself(
            texts in prop::collection::vec("[aAbB7 -]{0,6}|[aß7]{0,3}", 0..9),
            text in "[aAbB7-]{0,3}|ß7?",
            case in prop::sample::select(vec![Case::Kept, Case::Ignored]),
            place in prop::sample::select(vec![
                Place::Start, Place::End, Place::Anywhere, Place::Term, Place::TermStart, Place::TermEnd,
            ]),
            first in 0..3_usize,
        ) {
            let ends = texts.iter().scan(0, |end, it| {
                *end += it.len();
                Some(*end)
            });
            let (all, ends) = (texts.concat(), ends.collect::<Vec<usize>>());
            let first = first.min(texts.len());
            let begin = first.checked_sub(1).map_or(0, |it| ends[it]);
            let some = Texts::new(&all, begin, &ends[first..]);
            let needle = Needle::new(TextTest { place, case }, &text);
            let mut found = Vec::new();
            needle.each_in(some, |at| found.push(at));
            let alone = texts[first..].iter().enumerate().filter(|(_, it)| needle.is_in(it));
            prop_assert_eq!(found, alone.map(|(at, _)| at).collect::<Vec<_>>());
        }
    }
}
