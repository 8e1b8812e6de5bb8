//! What was last installed on machines.

use std::sync::Arc;

use futures::TryStreamExt;
use patchkit_core::{AccountId, NodeId, Result};
use serde_json::Value;

use super::{Done, OPERATION};
use crate::{
    client::Client,
    convert::{compliance::Installation, node::text},
    error::malformed,
    graph::literals,
};

/// Of each machine the run that began last; Azure keeps those of thirty days.
const LAST: &str = "summarize arg_max(began, id, properties) by machine\n\
    | project id, machine, began, changed = properties.lastModifiedDateTime, \
    status = properties.status, reboot = properties.rebootStatus, \
    installed = properties.installedPatchCount, failed = properties.failedPatchCount, \
    pending = properties.pendingPatchCount, excluded = properties.excludedPatchCount, \
    notSelected = properties.notSelectedPatchCount\n\
    | order by machine asc";

/// The query for the last installations: of all machines, or of some.
fn query(nodes: Option<&[NodeId]>) -> String {
    let these = match nodes {
        None => String::new(),
        Some(nodes) => {
            let ids = nodes.iter().map(|node| node.resource().to_ascii_lowercase());
            let ids: Vec<String> = ids.collect();
            format!("| where machine in {}\n", literals(ids.iter().map(String::as_str)))
        }
    };
    format!(
        "patchinstallationresources\n\
         | where type in~ ('microsoft.compute/virtualmachines/patchinstallationresults', \
         'microsoft.hybridcompute/machines/patchinstallationresults')\n\
         | extend machine = tostring(split(tolower(id), '/patchinstallationresults/')[0]), \
         began = todatetime(properties.startDateTime)\n{these}| {LAST}"
    )
}

impl Client {
    /// The last installations on some machines, or on all of some subscriptions.
    pub(super) async fn installations(
        self: &Arc<Self>,
        nodes: Option<&[NodeId]>,
        subscriptions: &[AccountId],
    ) -> Result<Done> {
        let mut done = Done::new();
        let mut rows = self.graph(query(nodes), subscriptions);
        while let Some(row) = rows.try_next().await? {
            let machine = machine(&row)?;
            done.entry(machine).or_insert_with(|| Installation::read(OPERATION, &row));
        }
        Ok(done)
    }
}

fn machine(row: &Value) -> Result<String> {
    let machine = text(row, "/machine").map(str::to_ascii_lowercase);
    machine.ok_or_else(|| malformed(OPERATION, "an installation names no machine"))
}
