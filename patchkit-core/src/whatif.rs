//! What becomes of a fleet under other baselines: decide once for each patch, then set algebra over
//! the nodes.
//!
//! A [`PatchMatrix`] holds what is known of every patch on every node, from live reports
//! ([`read_matrix`]), a lake, or node by node. A [`Scenario`] is baselines at a time. Then:
//! - [`PatchMatrix::judge`] gives the verdict on every node, exactly as
//!   [`patch_state`](crate::patch_state) and [`judge_node`](crate::judge_node) do;
//! - [`what_if`] tells which nodes change status between two scenarios and for which patches;
//! - [`forecast`] tells which patches become approved on which day, and whom that turns not
//!   compliant;
//! - [`Verdicts::explain`] tells why one node has its verdict.
//!
//! What is not known stays so: see [`Doubt`].

mod build;
mod change;
mod decide;
mod explain;
mod forecast;
mod judge;
mod lists;
mod matrix;
mod onset;
mod patch_key;
mod plane;
mod read;
mod scenario;
#[cfg(test)]
mod tests;
mod unseen;

pub use self::{
    build::{MatrixBuilder, NodeFacts, PatchRef},
    change::{
        Cause, Certainty, ChangeCounts, ChangeGroup, GroupBy, NodeChange, OnsetShift, WhatIf,
        what_if, what_if_each,
    },
    explain::{NodeExplanation, PatchExplanation},
    forecast::{Forecast, ForecastDay, NodeOnset, PatchApproval, forecast},
    judge::{Doubt, VerdictCounts, Verdicts},
    matrix::{Evidence, MatrixNode, PatchMatrix},
    read::{Catalogue, LiveMatrix, presence_of, read_baselines, read_matrix},
    scenario::{BaselineSet, Scenario},
    unseen::CompareVersions,
};
