//! What is known beside the machines: schedules, and extensions that failed.

use std::{collections::BTreeMap, sync::Arc};

use futures::StreamExt;
use patchkit_core::{AccountId, Error, ManagedNode, Result};
use serde_json::Value;

use super::finding::{PreflightFinding, message_of};
use crate::{
    Assignment, Assignments,
    client::Client,
    convert::node::text,
    error::{again, malformed, shown},
};

const OPERATION: &str = "Resources";

/// What is known of schedules and extensions, and what could not be read.
#[derive(Debug)]
pub(super) struct Survey {
    schedules: Result<Assignments>,
    /// By the machine's id in lower case.
    extensions: BTreeMap<String, Vec<PreflightFinding>>,
    /// What may be about any machine.
    unread: Vec<PreflightFinding>,
}

impl Survey {
    /// Of these schedules, and of no extension.
    pub(super) fn new(schedules: Result<Assignments>) -> Self {
        Self { schedules, extensions: BTreeMap::new(), unread: Vec::new() }
    }

    /// The assignments that are for a machine.
    pub(super) fn attached(&self, node: &ManagedNode) -> Result<Vec<&Assignment>> {
        self.schedules.as_ref().map_err(again)?.of(node)
    }

    pub(super) fn extensions(&self, machine: &str) -> &[PreflightFinding] {
        self.extensions.get(&machine.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    pub(super) fn unread(&self) -> &[PreflightFinding] {
        &self.unread
    }

    /// Takes an extension that failed, by the id of its machine.
    fn take_extension(&mut self, row: &Value) -> Result<(), Error> {
        let id = text(row, "/id").map(str::to_ascii_lowercase);
        let id = id.ok_or_else(|| malformed(OPERATION, "an extension has no id"))?;
        let machine = id.rsplit_once("/extensions/").map(|(machine, _)| machine.to_owned());
        let machine = machine.ok_or_else(|| malformed(OPERATION, "an extension has an odd id"))?;
        let part = |path| text(row, path).map(shown).unwrap_or_default();
        let finding = PreflightFinding::ExtensionFailed {
            name: part("/name"),
            kind: part("/kind"),
            state: part("/state"),
            message: message_of(&row["status"]),
        };
        self.extensions.entry(machine).or_default().push(finding);
        Ok(())
    }
}

/// The states of extensions that are well, or on their way.
const WELL: &str = "('Succeeded', 'Creating', 'Updating', 'Deleting', 'Migrating')";

impl Client {
    /// Reads schedules and extensions of some subscriptions. What fails is told in the survey.
    pub(super) async fn survey(self: &Arc<Self>, subscriptions: &[AccountId]) -> Survey {
        if subscriptions.is_empty() {
            return Survey::new(Ok(Assignments::default()));
        }
        // By Resource Manager: of schedules that the caller may not read the graph shows none.
        let mut survey = Survey::new(self.assignments_in(subscriptions.to_vec()).await);
        let query = format!(
            "resources\n\
             | where type in~ ('microsoft.compute/virtualmachines/extensions', \
             'microsoft.hybridcompute/machines/extensions')\n\
             | where tostring(properties.provisioningState) !in~ {WELL}\n\
             | project id, name, kind = properties.type, state = properties.provisioningState, \
             status = properties.instanceView.status\n| order by id asc"
        );
        let mut rows = self.graph(query, subscriptions);
        while let Some(row) = rows.next().await {
            if let Err(error) = row.and_then(|row| survey.take_extension(&row)) {
                survey.unread.push(PreflightFinding::unread("an extension", &error));
            }
        }
        survey
    }
}
