//! AWS Systems Manager.
#![expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "operations are functions of one type"
)]

mod associations;
mod automation;
mod baseline_json;
mod baselines;
pub(crate) mod commands;
mod documents;
mod filters;
mod idempotent;
#[cfg(test)]
mod lab;
mod maintenance;
mod nodes;
mod patch_groups;
mod patches;
mod schedule;
#[cfg(test)]
mod testing;

use super::Operations;

pub(super) const OPERATIONS: &[Operations] = &[
    associations::OPERATIONS,
    automation::OPERATIONS,
    baselines::OPERATIONS,
    commands::OPERATIONS,
    documents::OPERATIONS,
    maintenance::HISTORY,
    maintenance::REGISTRATIONS,
    maintenance::UPCOMING,
    maintenance::WINDOWS,
    nodes::OPERATIONS,
    patch_groups::OPERATIONS,
    patches::OPERATIONS,
];

/// What one account has in one Region, besides machines and baselines.
#[derive(Debug, Default)]
pub(crate) struct Store {
    baseline_dates: baselines::Dates,
    documents: documents::Store,
    maintenance: maintenance::Store,
    tokens: idempotent::Tokens,
    pub(crate) associations: associations::Associations,
    /// The compliance items of the type `Association`.
    pub(crate) association_compliance: associations::AssociationCompliance,
    pub(crate) automation: automation::Automation,
    pub(crate) commands: commands::Commands,
}
