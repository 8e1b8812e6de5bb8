//! What a node's associations have come to there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::State;
use crate::cloud::{aws::seconds, world::machine::ScopeIx};

pub(in super::super) struct Standing {
    /// `Success`, or of one that has not succeeded how it stands.
    pub(in super::super) status: &'static str,
    counts: BTreeMap<&'static str, u32>,
    last: Option<Timestamp>,
    last_success: Option<Timestamp>,
}

impl Standing {
    /// Of a node; none where no association is for it.
    pub(in super::super) fn of(state: &State, scope: ScopeIx, node: &str) -> Option<Self> {
        let mut standing: Option<Self> = None;
        for association in state.associations(scope).by_id.values() {
            let Some(result) = association.results.get(node) else { continue };
            let it = standing.get_or_insert(Self {
                status: "Success",
                counts: BTreeMap::new(),
                last: None,
                last_success: None,
            });
            *it.counts.entry(result.status).or_default() += 1;
            it.last = it.last.max(Some(result.at).filter(|_| !result.is_pending()));
            it.last_success = it.last_success.max(result.last_success);
            // One that failed is told before one that is pending.
            if result.status != "Success" && (it.status == "Success" || !result.is_pending()) {
                it.status = result.status;
            }
        }
        standing
    }

    /// Adds it to the description of its node.
    pub(in super::super) fn describe(&self, node: &mut Value) {
        node["AssociationStatus"] = json!(self.status);
        node["LastAssociationExecutionDate"] = self.last.map_or(Value::Null, seconds);
        node["LastSuccessfulAssociationExecutionDate"] =
            self.last_success.map_or(Value::Null, seconds);
        node["AssociationOverview"] = json!({
            "DetailedStatus": self.status,
            "InstanceAssociationStatusAggregatedCount": self.counts,
        });
    }
}
