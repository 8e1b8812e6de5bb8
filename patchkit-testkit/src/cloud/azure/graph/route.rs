//! The way from a document to something in it.

use std::borrow::Cow;

use serde_json::Value;

use super::{Path, value::Cell};

#[derive(Clone, Debug)]
pub(super) enum Step {
    Key(String),
    At(i64),
}

/// The way from a document to something in it: keys, and what is not keys alone behind them.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    pub(super) path: Path,
    pub(super) rest: Vec<Step>,
}

impl Route {
    pub(super) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let mut rest = Vec::new();
        let keys = steps.into_iter().filter_map(|step| match step {
            Step::Key(key) if rest.is_empty() => Some(key),
            step => {
                rest.push(step);
                None
            }
        });
        Self { path: Path::new(keys), rest }
    }

    /// Whether it leads nowhere else.
    pub(super) fn is_empty(&self) -> bool {
        self.path.is_empty() && self.rest.is_empty()
    }

    /// The way along both, one behind the other.
    #[must_use]
    pub(super) fn then(self, next: &Self) -> Self {
        if self.is_empty() {
            return next.clone();
        }
        let keys = next.path.iter().cloned().map(Step::Key);
        let behind = keys.chain(next.rest.iter().cloned());
        let own = self.path.iter().cloned().map(Step::Key);
        Self::new(own.chain(self.rest).chain(behind))
    }
}

/// What is at the end of keys in a document, and of steps behind them.
pub(super) fn walk<'a>(cell: &Cell<'a>, keys: &[String], rest: &[Step]) -> Cell<'a> {
    match cell {
        Cell::Dynamic(Cow::Borrowed(value)) => {
            find(value, keys, rest).map_or(Cell::Null, Cell::borrowed)
        }
        Cell::Dynamic(Cow::Owned(value)) => {
            find(value, keys, rest).cloned().map_or(Cell::Null, Cell::owned)
        }
        Cell::Members(members) => match members.iter().find(|(path, _)| *path == keys) {
            Some((_, member)) if rest.is_empty() => member.clone(),
            Some((_, member)) => walk(member, &[], rest),
            None => Cell::Null,
        },
        _ => Cell::Null,
    }
}

fn find<'v>(value: &'v Value, keys: &[String], rest: &[Step]) -> Option<&'v Value> {
    let mut value = keys.iter().try_fold(value, |value, key| value.get(key))?;
    for step in rest {
        value = match step {
            Step::Key(key) => value.get(key)?,
            Step::At(at) => {
                let items = value.as_array()?;
                // A negative index counts from the end.
                let at =
                    if *at < 0 { i64::try_from(items.len()).ok()?.checked_add(*at)? } else { *at };
                items.get(usize::try_from(at).ok()?)?
            }
        };
    }
    Some(value)
}
