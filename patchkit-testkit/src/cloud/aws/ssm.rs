//! AWS Systems Manager.
mod activations;
mod associations;
pub(crate) mod automation;
mod baseline_json;
mod baselines;
pub(crate) mod commands;
mod compliance;
mod documents;
mod filter;
mod idempotent;
mod inventory;
#[cfg(test)]
mod lab;
mod maintenance;
mod nodes;
mod patch_groups;
mod patch_states;
mod patches;
mod properties;
mod schedule;
mod settings;
mod sync;
mod tags;
#[cfg(test)]
mod testing;

use super::Operations;

pub(super) const OPERATIONS: &[Operations] = &[
    activations::OPERATIONS,
    compliance::OPERATIONS,
    inventory::OPERATIONS,
    nodes::OPERATIONS,
    patch_states::OPERATIONS,
    properties::OPERATIONS,
    settings::OPERATIONS,
    sync::OPERATIONS,
    tags::OPERATIONS,
    associations::OPERATIONS,
    automation::OPERATIONS,
    baselines::OPERATIONS,
    commands::OPERATIONS,
    documents::OPERATIONS,
    maintenance::HISTORY,
    maintenance::REGISTRATIONS,
    maintenance::UPCOMING,
    maintenance::WINDOWS,
    patch_groups::OPERATIONS,
    patches::OPERATIONS,
];

/// What one account has in one Region, besides machines and baselines.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) activations: activations::Activations,
    pub(crate) compliance: compliance::Puts,
    pub(crate) inventory: inventory::Puts,
    pub(crate) settings: settings::Settings,
    pub(crate) syncs: sync::Syncs,
    pub(crate) tags: tags::TagStore,
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
