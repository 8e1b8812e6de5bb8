//! AWS Systems Manager.

mod nodes;

use super::Operations;

pub(super) const OPERATIONS: &[Operations] = &[nodes::OPERATIONS];

/// What one account has in one Region, besides machines and baselines.
#[derive(Debug, Default)]
pub(crate) struct Store {}
