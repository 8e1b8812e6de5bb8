//! The listing of machines: Resource Graph's rows, the instances of uniform scale sets, and what their
//! agents say where the graph does not.

use std::{
    collections::BTreeSet,
    future::ready,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{
    FutureExt, StreamExt, TryFutureExt, TryStreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{
    AccountId, Error, ErrorKind, NodeSelector, PowerState, Reachability, Region, ResourceGroupName,
    Result,
    listing::{each_once, sound, until_error},
};
use serde_json::Value;

use super::{
    AT_ONCE,
    query::{Ask, Columns, SET, Whole},
};
use crate::{
    Machine, MachineKind, UpdateManager,
    client::Client,
    convert::node::{self, Place, text},
    error::PROVIDER,
    graph::{BATCH, literals},
    ids::{EVERYWHERE, scope},
};

pub(super) const OPERATION: &str = "Resources";

impl UpdateManager {
    /// Lists the machines that a selector takes, with what Azure knows beyond a managed node.
    ///
    /// # Behavior
    /// As [`Fleet::nodes`](patchkit_core::Fleet::nodes).
    ///
    /// # Errors
    /// As [`Fleet::nodes`](patchkit_core::Fleet::nodes).
    pub fn machines(&self, selector: &NodeSelector) -> BoxStream<'static, Result<Machine>> {
        let client = Arc::clone(&self.client);
        let agents = move |machine| Arc::clone(&client).with_agent(machine);
        let rows = self.machine_rows(selector, Columns::Machine);
        rows.map_ok(|(machine, _)| machine).map(agents).buffered(AT_ONCE).boxed()
    }

    /// The machines that a selector takes, each with the row that it was read from; `null` for an
    /// instance of a scale set, which has none.
    pub(crate) fn machine_rows(
        &self,
        selector: &NodeSelector,
        columns: Columns,
    ) -> BoxStream<'static, Result<(Machine, Value)>> {
        let Some(ask) = Ask::of(&self.client, selector, columns) else {
            return stream::empty().boxed();
        };
        let (client, wanted) = (Arc::clone(&self.client), selector.clone());
        let listing = async move {
            if let Some(groups) = &ask.groups {
                client.check_groups(groups, &ask.subscriptions).await?;
            }
            Ok::<_, Error>(client.rows(ask, wanted))
        };
        until_error(listing.boxed().try_flatten_stream())
    }
}

/// The subscriptions of which a listing has shown something, in lower case.
type Seen = Arc<Mutex<BTreeSet<String>>>;

impl Client {
    /// What is to be told of the subscriptions of which nothing was seen. Of one that the caller may not
    /// read Resource Graph shows nothing, and says nothing.
    async fn hidden(
        self: Arc<Self>,
        subscriptions: Vec<AccountId>,
        regions: Option<BTreeSet<Region>>,
        seen: Seen,
    ) -> Result<Vec<Error>> {
        let key = |id: &AccountId| id.as_str().to_ascii_lowercase();
        let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        if subscriptions.iter().all(|it| seen.contains(&key(it))) {
            return Ok(Vec::new());
        }
        // Of all of them: where each one that a query names is hidden, it is refused as a whole.
        let query = "resourcecontainers\n| summarize count() by subscriptionId";
        let there: BTreeSet<String> = self
            .summary(query.to_owned(), &subscriptions, BATCH)
            .map_ok(|row| text(&row, "/subscriptionId").unwrap_or_default().to_ascii_lowercase())
            .try_collect()
            .await?;
        let hidden: Vec<&AccountId> = subscriptions
            .iter()
            .filter(|it| !seen.contains(&key(it)) && !there.contains(&key(it)))
            .collect();
        if hidden.len() == subscriptions.len() {
            return Err(unseen(hidden.first().copied()));
        }
        let mut errors = Vec::new();
        for subscription in hidden {
            let mut places: Vec<String> =
                regions.iter().flatten().map(|it| it.as_str().to_owned()).collect();
            if places.is_empty() {
                places.push(EVERYWHERE.to_owned());
            }
            for place in places {
                errors.push(unseen(Some(subscription)).with_scope(scope(subscription, &place)?));
            }
        }
        Ok(errors)
    }

    async fn check_groups(
        self: &Arc<Self>,
        groups: &BTreeSet<ResourceGroupName>,
        subscriptions: &[AccountId],
    ) -> Result<()> {
        let names = literals(groups.iter().map(ResourceGroupName::as_str));
        let query = format!(
            "resourcecontainers\n\
             | where type =~ 'microsoft.resources/subscriptions/resourcegroups'\n\
             | where name in~ {names}\n| project id, name\n| order by id asc"
        );
        let rows: Vec<Value> = self.graph(query, subscriptions).try_collect().await?;
        let there = |group: &&ResourceGroupName| {
            rows.iter().any(|row| {
                text(row, "/name").is_some_and(|name| name.eq_ignore_ascii_case(group.as_str()))
            })
        };
        match groups.iter().find(|group| !there(group)) {
            None => Ok(()),
            Some(group) => {
                Err(Error::not_found(PROVIDER, OPERATION, format_args!("resource group {group}")))
            }
        }
    }

    fn rows(
        self: Arc<Self>,
        ask: Ask,
        selector: NodeSelector,
    ) -> BoxStream<'static, Result<(Machine, Value)>> {
        let at = self.now();
        let Ask { subscriptions, queries, groups, whole } = ask;
        let (client, asked, seen) = (Arc::clone(&self), subscriptions.clone(), Seen::default());
        let rows = stream::iter(queries).map(move |query| client.graph(query, &asked)).flatten();
        let note = Arc::clone(&seen);
        let rows = rows.inspect_ok(move |row| {
            let id = text(row, "/id").unwrap_or_default();
            let subscription = id.split('/').nth(2).unwrap_or_default().to_ascii_lowercase();
            note.lock().unwrap_or_else(PoisonError::into_inner).insert(subscription);
        });
        let client = Arc::clone(&self);
        let machines = rows.flat_map(move |row| match row {
            Err(error) => stream::iter([Err(error)]).boxed(),
            Ok(row) if is_set(&row) => {
                client.instances(&row).map_ok(|it| it.map(|it| (it, Value::Null))).boxed()
            }
            Ok(row) => {
                let ours = |id: &str| client.subscription(id).cloned();
                let machine = Place::of(OPERATION, &row, ours)
                    .and_then(|place| node::machine(OPERATION, &place, &row, at));
                stream::iter([Ok(machine.map(|machine| (machine, row)))]).boxed()
            }
        });
        let machines = sound(PROVIDER, OPERATION, machines).map_ok(move |(mut machine, row)| {
            let asked = groups.iter().flatten();
            let its = asked.filter(|it| it.as_str().eq_ignore_ascii_case(&machine.resource_group));
            machine.node.resource_groups = its.cloned().collect();
            (machine, row)
        });
        let regions = selector.regions.clone();
        let machines = each_once(machines, |(machine, _)| machine.node.id.clone())
            .try_filter(move |(machine, _)| ready(selector.matches(&machine.node)));
        if whole == Whole::Nodes {
            return machines.boxed();
        }
        let hidden = self.hidden(subscriptions, regions, seen).map(|told| {
            let errors = told.unwrap_or_else(|error| vec![error]);
            stream::iter(errors.into_iter().map(Err))
        });
        machines.chain(hidden.flatten_stream()).boxed()
    }

    /// Asks a machine itself that runs and of whose agent the graph tells nothing.
    async fn with_agent(self: Arc<Self>, machine: Result<Machine>) -> Result<Machine> {
        let mut machine = machine?;
        let node = &machine.node;
        let silent = node.power == PowerState::Running
            && node.reachability == Reachability::Unknown
            && machine.kind == MachineKind::Vm;
        if silent {
            match self.instance_view(&node.id).await {
                Ok(view) => node::add_agent(&mut machine.node, &view),
                // The node is known all the same; of its agent nothing is.
                Err(error) => tracing::debug!(node = %node.id, %error, "no instance view"),
            }
        }
        Ok(machine)
    }
}

fn is_set(row: &Value) -> bool {
    text(row, "/type").is_some_and(|kind| kind.eq_ignore_ascii_case(SET))
}

fn unseen(subscription: Option<&AccountId>) -> Error {
    let message = match subscription {
        Some(id) => {
            format!("nothing of subscription {id} is to be seen: is there a right to read it?")
        }
        None => "no subscription is to be seen".to_owned(),
    };
    Error::new(ErrorKind::PermissionDenied, PROVIDER, OPERATION, message)
}
