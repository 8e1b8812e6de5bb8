//! Whom configurations are for: single machines, and dynamic scopes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use azure_core::http::Method;
use futures::{StreamExt, stream::BoxStream};
use patchkit_core::{AccountId, Error, ErrorKind, ManagedNode, Result, listing::until_error};
use serde_json::{Value, json};

use super::{ConfigurationId, Filter, MaintenanceConfiguration, VERSION, is_lost};
use crate::{
    MachineKind, Timing, UpdateManager,
    client::Client,
    error::{Call, again, malformed},
    ids::{MachineId, bounded, is_name},
    limit::Charge,
};

const LIST: &str = "ConfigurationAssignments_List";
const GET: &str = "ConfigurationAssignments_Get";
const PUT: &str = "ConfigurationAssignments_CreateOrUpdate";
const DELETE: &str = "ConfigurationAssignments_Delete";
const KIND: &str = "/providers/microsoft.maintenance/configurationassignments/";

/// A maintenance configuration that is for some machines.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Assignment {
    /// The id that Resource Manager has for it.
    pub id: String,
    /// The id of the configuration.
    pub configuration: String,
    /// Whose it is.
    pub reach: Reach,
    /// When it patches by itself; unknown where the configuration cannot be seen.
    pub timing: Timing,
    pub(crate) filter: Filter,
}

/// Which machines an assignment is for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reach {
    /// One machine, by its id.
    Machine(String),
    /// Those of a resource group that a filter finds when the window opens.
    ResourceGroup {
        /// The subscription that it is in.
        subscription: AccountId,
        /// Its name.
        name: String,
    },
    /// Those of a subscription that a filter finds when the window opens.
    Subscription(AccountId),
}

impl Assignment {
    fn read(
        operation: &'static str,
        row: &Value,
        ours: impl Fn(&str) -> Option<AccountId>,
    ) -> Result<Self> {
        let id = row["id"].as_str().unwrap_or_default();
        let named = |what: &str| malformed(operation, format!("{:?}: {what}", bounded(id)));
        let at =
            id.to_ascii_lowercase().find(KIND).ok_or_else(|| named("is no assignment's id"))?;
        let properties = &row["properties"];
        let configuration = properties["maintenanceConfigurationId"].as_str();
        let configuration = configuration.filter(|it| !it.is_empty());
        let parts: Vec<&str> = id[..at].split('/').skip(1).collect();
        let subscription =
            |id: &str| ours(id).ok_or_else(|| named("is of a subscription that was not asked for"));
        let reach = match parts.as_slice() {
            [_, of] => Reach::Subscription(subscription(of)?),
            [_, of, _, name] => {
                Reach::ResourceGroup { subscription: subscription(of)?, name: (*name).to_owned() }
            }
            _ => Reach::Machine(id[..at].to_owned()),
        };
        Ok(Self {
            id: id.to_owned(),
            configuration: configuration.ok_or_else(|| named("names no configuration"))?.to_owned(),
            reach,
            timing: Timing::Unknown("its configuration was not read".to_owned()),
            filter: Filter::read(operation, &properties["filter"])
                .map_err(|error| named(error.message()))?,
        })
    }

    /// Whether it is for a machine.
    fn means(&self, machine: &MachineId, node: &ManagedNode) -> bool {
        match &self.reach {
            Reach::Machine(id) => id.eq_ignore_ascii_case(node.id.resource()),
            Reach::ResourceGroup { subscription, name } => {
                subscription.as_str().eq_ignore_ascii_case(&machine.subscription)
                    && name.eq_ignore_ascii_case(&machine.group)
                    && self.filter.means(machine, node)
            }
            Reach::Subscription(subscription) => {
                subscription.as_str().eq_ignore_ascii_case(&machine.subscription)
                    && self.filter.means(machine, node)
            }
        }
    }

    /// What of two configurations' ids is the same for all spellings.
    pub(crate) fn configuration_key(&self) -> String {
        key_of(&self.configuration)
    }
}

/// What of a configuration's ids is the same for all spellings.
pub(crate) fn key_of(configuration: &str) -> String {
    match ConfigurationId::parse(LIST, configuration) {
        Ok(id) => id.key(),
        Err(_) => configuration.to_ascii_lowercase(),
    }
}

/// The assignments of all subscriptions of a provider, as they were when they were read.
///
/// Those of configurations that are for something else than patching guests are not among them.
#[derive(Debug, Default)]
pub struct Assignments {
    rows: Vec<Assignment>,
    /// What could not be read, which may be anyone's.
    problems: Vec<Error>,
}

impl Assignments {
    /// The assignments that are for a node, directly or by a dynamic scope.
    ///
    /// # Errors
    /// What kept those of the node's subscription from being read: there may be others.
    pub fn of(&self, node: &ManagedNode) -> Result<Vec<&Assignment>> {
        let machine = MachineId::of("assignments", &node.id)?;
        if machine.kind == MachineKind::ScaleSetInstance {
            return Ok(Vec::new());
        }
        let concerns = |error: &&Error| {
            error.scope().is_none_or(|scope| {
                scope.account().as_str().eq_ignore_ascii_case(&machine.subscription)
            })
        };
        match self.problems.iter().find(concerns) {
            Some(error) => Err(again(error)),
            None => Ok(self.rows.iter().filter(|it| it.means(&machine, node)).collect()),
        }
    }

    /// The ids of the configurations by which Azure may patch a node by itself: those whose window opens
    /// one day, or cannot be read.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn live(&self, node: &ManagedNode) -> Result<BTreeSet<String>> {
        let live = |it: &&Assignment| it.timing.is_live();
        Ok(self.of(node)?.into_iter().filter(live).map(|it| it.configuration.clone()).collect())
    }

    /// Every one that could be read.
    pub fn all(&self) -> &[Assignment] {
        &self.rows
    }

    /// What could not be read; each names its scope where that is known.
    pub fn problems(&self) -> &[Error] {
        &self.problems
    }
}

impl UpdateManager {
    /// Reads the assignments of maintenance configurations, to ask of many nodes: two calls for each
    /// subscription.
    ///
    /// # Errors
    /// `Malformed`, `Throttled`, `Unauthenticated`. What cannot be read of one subscription is among the
    /// [problems](Assignments::problems).
    pub async fn assignments(&self) -> Result<Assignments> {
        self.client.assignments_in(self.subscriptions()).await
    }

    /// The assignments of maintenance configurations that are for one node, directly or by a dynamic scope.
    /// For many nodes, read the [assignments](Self::assignments) once.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`, `Malformed`; `NotFound` for a node of another provider.
    pub async fn schedules_of(&self, node: &ManagedNode) -> Result<Vec<Assignment>> {
        self.client.machine("schedules_of", &node.id)?;
        let all = self.assignments().await?;
        Ok(all.of(node)?.into_iter().cloned().collect())
    }
}

impl Client {
    /// The assignments in some subscriptions, each with when its configuration patches.
    pub(crate) async fn assignments_in(
        self: &Arc<Self>,
        subscriptions: Vec<AccountId>,
    ) -> Result<Assignments> {
        // A configuration may be for machines of another subscription than its own.
        let timings = self.timings().await?;
        let mut known = Assignments::default();
        let mut listing = self.assignments_of(subscriptions);
        while let Some(row) = listing.next().await {
            match row {
                Ok(mut row) => match timings.get(&row.configuration_key()) {
                    Some(None) => {}
                    Some(Some(timing)) => {
                        row.timing = timing.clone();
                        known.rows.push(row);
                    }
                    None => known.rows.push(row),
                },
                Err(error) if error.scope().is_some() => known.problems.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(known)
    }

    /// When configurations patch guests, by their keys; none for one that is for something else.
    async fn timings(self: &Arc<Self>) -> Result<BTreeMap<String, Option<Timing>>> {
        let mut timings = BTreeMap::new();
        let subscriptions = self.subscriptions().cloned().collect();
        let mut rows = self.in_each(subscriptions, super::LIST, "maintenanceConfigurations");
        while let Some(row) = rows.next().await {
            let read = row.and_then(|row| {
                let read = MaintenanceConfiguration::read(super::LIST, &row, self.now());
                let read = read.map_err(|error| self.placed(&row, error))?;
                let id = row["id"].as_str().unwrap_or_default();
                Ok((key_of(id), read.map(|it| it.timing)))
            });
            match read {
                Ok((key, timing)) => {
                    timings.insert(key, timing);
                }
                // Its assignments are of unknown timing.
                Err(error) if error.scope().is_some() => {
                    tracing::debug!(%error, "a maintenance configuration is not known");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(timings)
    }

    /// Every assignment in the subscriptions: of machines, resource groups and themselves.
    pub(crate) fn assignments(self: &Arc<Self>) -> BoxStream<'static, Result<Assignment>> {
        self.assignments_of(self.subscriptions().cloned().collect())
    }

    fn assignments_of(
        self: &Arc<Self>,
        subscriptions: Vec<AccountId>,
    ) -> BoxStream<'static, Result<Assignment>> {
        let client = Arc::clone(self);
        let rows = self.in_each(subscriptions, LIST, "configurationAssignments");
        let read = move |row: Result<Value>| {
            let row = row?;
            let ours = |id: &str| client.subscription(id).cloned();
            Assignment::read(LIST, &row, ours).map_err(|error| client.placed(&row, error))
        };
        until_error(rows.map(read))
    }

    /// Whether an assignment has come to be as it was asked for.
    async fn is_assigned(&self, subscription: &str, path: &str, body: &Value) -> Result<bool> {
        let url = self.url(path, VERSION);
        let found = self.get(GET, Charge::door(subscription), url).await?.value(GET)?;
        let (wanted, found) = (&body["properties"], &found["properties"]);
        let id = |it: &Value| {
            let id = it["maintenanceConfigurationId"].as_str().unwrap_or_default();
            ConfigurationId::parse(GET, id).map(|id| id.key())
        };
        Ok(id(wanted)? == id(found)?
            && Filter::read(GET, &wanted["filter"])? == Filter::read(GET, &found["filter"])?)
    }

    /// Makes a dynamic scope of a subscription, or replaces it.
    pub(crate) async fn put_scope(
        &self,
        subscription: &AccountId,
        name: &str,
        configuration: &ConfigurationId,
        filter: &Value,
    ) -> Result<()> {
        let path = path(subscription, name);
        let body = json!({"properties": {
            "maintenanceConfigurationId": configuration.to_string(),
            "filter": filter,
        }});
        let (url, charge) = (self.url(&path, VERSION), Charge::door(subscription.as_str()));
        match self.send_json(Call::Write(PUT), charge, Method::Put, url, &body).await {
            Err(error) if is_lost(&error) => {
                match self.is_assigned(subscription.as_str(), &path, &body).await {
                    Ok(true) => Ok(()),
                    _ => Err(error),
                }
            }
            answer => answer.map(drop),
        }
    }

    /// Deletes a dynamic scope of a subscription.
    pub(crate) async fn delete_scope(&self, assignment: &Assignment) -> Result<()> {
        let name = assignment.id.rsplit('/').next().unwrap_or_default();
        let Reach::Subscription(subscription) = &assignment.reach else {
            let message = format!("{} is no dynamic scope of a subscription", assignment.id);
            return Err(malformed(DELETE, message));
        };
        if !is_name(name) {
            return Err(malformed(DELETE, format!("{:?} is no name", bounded(name))));
        }
        let path = path(subscription, name);
        match self.delete(DELETE, subscription.as_str(), &path).await {
            Err(error) if is_lost(&error) => {
                let url = self.url(&path, VERSION);
                match self.get(GET, Charge::door(subscription.as_str()), url).await {
                    Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                }
            }
            answer => answer,
        }
    }
}

fn path(subscription: &AccountId, name: &str) -> String {
    format!(
        "/subscriptions/{subscription}/providers/Microsoft.Maintenance/configurationAssignments/{name}"
    )
}

#[cfg(test)]
mod tests;
