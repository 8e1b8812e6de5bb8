//! What the graph knows beside the machines: schedules, and extensions that failed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use patchkit_core::{AccountId, Error, Result};
use serde_json::Value;

use super::{
    finding::{PreflightFinding, message_of},
    schedules::Assignment,
};
use crate::{
    client::Client,
    convert::node::text,
    error::{malformed, shown},
    fleet::AT_ONCE,
    limit::Charge,
};

const OPERATION: &str = "Resources";
const LIST: &str = "ConfigurationAssignments_List";
const VERSION: &str = "2023-04-01";

/// What is known of schedules and extensions, and what could not be read.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) assignments: Vec<Assignment>,
    /// The configurations that patch no guest, in lower case.
    others: BTreeSet<String>,
    /// By the machine's id in lower case.
    extensions: BTreeMap<String, Vec<PreflightFinding>>,
    /// By the subscription in lower case; those of all under an empty one.
    unread: Vec<(String, PreflightFinding)>,
}

impl Survey {
    /// The ids of the configurations that patch a machine, each once.
    pub(super) fn attached<'s>(&'s self, machine: &crate::Machine) -> BTreeMap<String, &'s str> {
        let meant = self.assignments.iter().filter(|it| it.means(machine));
        let ids = meant.map(|it| (it.configuration.to_ascii_lowercase(), &*it.configuration));
        ids.filter(|(key, _)| !self.others.contains(key)).collect()
    }

    pub(super) fn extensions(&self, machine: &str) -> &[PreflightFinding] {
        self.extensions.get(&machine.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// What could not be read of a subscription.
    pub(super) fn unread<'s>(
        &'s self,
        subscription: &'s AccountId,
    ) -> impl Iterator<Item = &'s PreflightFinding> {
        let is_it = |of: &str| of.is_empty() || of.eq_ignore_ascii_case(subscription.as_str());
        self.unread.iter().filter(move |(of, _)| is_it(of)).map(|(_, finding)| finding)
    }

    fn miss(&mut self, of: &str, what: &str, error: &Error) {
        let (what, error) = (what.to_owned(), error.report());
        let finding = PreflightFinding::Unread { what, error };
        self.unread.push((of.to_ascii_lowercase(), finding));
    }

    /// Takes an extension that failed, by the id of its machine.
    fn take_extension(&mut self, row: &Value) -> Result<()> {
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
        let mut survey = Survey::default();
        if subscriptions.is_empty() {
            return survey;
        }
        for (subscription, error) in self.unreadable(subscriptions).await {
            survey.miss(subscription.as_str(), "its schedules", &error);
        }
        let query = "maintenanceresources\n\
                     | where type =~ 'microsoft.maintenance/configurationassignments'\n\
                     | project id, resource = properties.resourceId, \
                     configuration = properties.maintenanceConfigurationId, \
                     filter = properties.filter\n| order by id asc";
        let mut rows = self.graph(query.to_owned(), subscriptions);
        while let Some(row) = rows.next().await {
            match row.and_then(|row| Assignment::read(&row)) {
                Ok(assignment) => survey.assignments.push(assignment),
                Err(error) => survey.miss("", "a schedule", &error),
            }
        }
        let query = "resources\n\
                     | where type =~ 'microsoft.maintenance/maintenanceconfigurations'\n\
                     | where properties.maintenanceScope !~ 'InGuestPatch'\n\
                     | project id\n| order by id asc";
        match self.graph(query.to_owned(), subscriptions).try_collect::<Vec<_>>().await {
            Ok(rows) => {
                let ids = rows.iter().filter_map(|row| text(row, "/id"));
                survey.others = ids.map(str::to_ascii_lowercase).collect();
            }
            // Then those of hosts are told of too.
            Err(error) => survey.miss("", "the kinds of schedules", &error),
        }
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
                survey.miss("", "an extension", &error);
            }
        }
        survey
    }

    /// The subscriptions whose schedules the caller may not read: of these the graph shows none.
    async fn unreadable(self: &Arc<Self>, subscriptions: &[AccountId]) -> Vec<(AccountId, Error)> {
        let ask = |id: &AccountId| {
            let id = id.clone();
            async move {
                let path = format!(
                    "/subscriptions/{id}/providers/Microsoft.Maintenance/configurationAssignments"
                );
                let url = self.url(&path, VERSION);
                let answer = self.get(LIST, Charge::door(id.as_str()), url).await;
                answer.err().map(|error| (id, error))
            }
        };
        let answers = stream::iter(subscriptions.iter().map(ask)).buffered(AT_ONCE);
        answers.filter_map(std::future::ready).collect().await
    }
}
