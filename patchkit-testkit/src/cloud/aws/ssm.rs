//! AWS Systems Manager.

mod baseline_json;
mod baselines;
mod filters;
mod idempotent;
mod nodes;
mod patch_groups;
mod patches;
#[cfg(test)]
mod testing;

use super::Operations;

pub(super) const OPERATIONS: &[Operations] =
    &[baselines::OPERATIONS, nodes::OPERATIONS, patch_groups::OPERATIONS, patches::OPERATIONS];

/// What one account has in one Region, besides machines and baselines.
#[derive(Debug, Default)]
pub(crate) struct Store {
    baseline_dates: baselines::Dates,
    tokens: idempotent::Tokens,
}
