//! AWS Config: three managed rules about Systems Manager, what they say, and queries over it.
//!
//! Each account has the three rules in each Region from the start, under the names that the console
//! gives them, and a recorder that records everything. The rules are evaluated from what the
//! services know, at once and without cost: a rule that is put, or told to evaluate anew, is in the
//! state `EVALUATING` for half a minute. Rules of one's own and other managed rules are refused.
//!
//! Aggregators go over accounts without asking these for an authorization. Queries are those of
//! [`select`].

mod aggregators;
mod evaluate;
mod history;
mod recorders;
mod remediation;
mod results;
mod rules;
mod select;
mod sql;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use self::{
    aggregators::Aggregator,
    history::Past,
    remediation::Remediation,
    rules::{Managed, Rule},
};
use super::{AwsError, Call, Operations, page::Page};
use crate::{cloud::world::judge::PatchScan, rng::mix};

pub(super) const OPERATIONS: &[Operations] = &[
    aggregators::OPERATIONS,
    history::OPERATIONS,
    recorders::OPERATIONS,
    remediation::OPERATIONS,
    results::OPERATIONS,
    rules::OPERATIONS,
    select::OPERATIONS,
];

/// What one account has in one Region, by name.
#[derive(Debug)]
pub(crate) struct Store {
    rules: BTreeMap<String, Rule>,
    aggregators: BTreeMap<String, Aggregator>,
    /// By the rule's name.
    remediations: BTreeMap<String, Remediation>,
    past: Past,
}

impl Store {
    /// A Region as it is from the start; the ids of its rules follow from a number.
    pub(crate) fn new(number: u64) -> Self {
        let rule = |managed: Managed| {
            let id = format!("{:06x}", mix(number ^ mix(managed as u64)) & 0x00FF_FFFF);
            (managed.usual_name().to_owned(), Rule::new(managed, &id, None))
        };
        Self {
            rules: Managed::ALL.map(rule).into(),
            aggregators: BTreeMap::new(),
            remediations: BTreeMap::new(),
            past: Past::default(),
        }
    }

    /// Keeps what a node reported before it reports anew.
    pub(crate) fn remember(&mut self, node: &str, scan: Arc<PatchScan>) {
        self.past.remember(node, scan);
    }
}

/// The page that an input asks for; a limit of zero is the usual one (API reference).
fn page(call: &Call<'_>, input: &Value, usual: usize) -> Result<Page, AwsError> {
    let limit = if input["MaxResults"].is_null() { "Limit" } else { "MaxResults" };
    let mut asked = input.clone();
    if asked[limit] == 0 {
        asked[limit] = Value::Null;
    }
    named_page(call, &asked, usual, ["NextToken", limit])
}

fn named_page(
    call: &Call<'_>,
    input: &Value,
    usual: usize,
    names: [&str; 2],
) -> Result<Page, AwsError> {
    Page::named(call, input, usual, names)
        .map_err(|_| AwsError::new("InvalidNextTokenException", "The next token is not valid."))
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterValueException", message)
}
