//! AWS Systems Manager.

#![allow(clippy::needless_pass_by_value, reason = "all handlers have one signature")]

mod activations;
mod compliance;
mod filter;
mod inventory;
mod nodes;
mod patch_states;
mod properties;
mod settings;
mod sync;
mod tags;

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
}
