//! AWS Systems Manager.

mod associations;
mod automation;
pub(crate) mod commands;
#[cfg(test)]
mod lab;
mod nodes;

use std::collections::BTreeMap;

use super::Operations;

pub(super) const OPERATIONS: &[Operations] =
    &[associations::OPERATIONS, automation::OPERATIONS, commands::OPERATIONS, nodes::OPERATIONS];

/// What one account has in one Region, besides machines and baselines.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) associations: associations::Associations,
    /// The compliance items of the type `Association`.
    pub(crate) association_compliance: associations::AssociationCompliance,
    pub(crate) automation: automation::Automation,
    pub(crate) commands: commands::Commands,
    /// The account's own documents, by name: JSON or YAML.
    pub(crate) own_documents: BTreeMap<Box<str>, Box<str>>,
}
