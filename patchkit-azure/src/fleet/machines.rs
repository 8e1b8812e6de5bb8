//! The listing of machines: Resource Graph's rows, the instances of uniform scale sets, and what their
//! agents say where the graph does not.

use std::{collections::BTreeSet, future::ready, sync::Arc};

use futures::{
    FutureExt, StreamExt, TryFutureExt, TryStreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{
    AccountId, Error, ErrorKind, NodeSelector, PowerState, Reachability, ResourceGroupName, Result,
};
use serde_json::Value;

use super::{
    AT_ONCE,
    query::{Ask, SET, Whole},
};
use crate::{
    Machine, MachineKind, UpdateManager,
    client::Client,
    convert::node::{self, Place, text},
    error::PROVIDER,
    graph::{BATCH, literals},
    ids::{EVERYWHERE, scope},
    listing::{each_once, sound, until_error},
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
        let Some(ask) = Ask::of(&self.client, selector) else { return stream::empty().boxed() };
        let (client, wanted) = (Arc::clone(&self.client), selector.clone());
        let listing = async move {
            let hidden = client.prepare(&ask, &wanted).await?;
            let told = stream::iter(hidden.into_iter().map(Err));
            Ok::<_, Error>(told.chain(client.rows(ask, wanted)))
        };
        until_error(listing.boxed().try_flatten_stream())
    }
}

impl Client {
    /// Sees to it that what is asked for is there: resource groups, and subscriptions. Of one that the
    /// caller may not read Resource Graph shows nothing, and says nothing.
    async fn prepare(self: &Arc<Self>, ask: &Ask, selector: &NodeSelector) -> Result<Vec<Error>> {
        if let Some(groups) = &ask.groups {
            self.check_groups(groups, &ask.subscriptions).await?;
        }
        if ask.whole == Whole::Nodes {
            return Ok(Vec::new());
        }
        let query = "resourcecontainers\n| summarize count() by subscriptionId";
        let rows = self.summary(query.to_owned(), &ask.subscriptions, BATCH);
        let seen: BTreeSet<String> = rows
            .map_ok(|row| text(&row, "/subscriptionId").unwrap_or_default().to_ascii_lowercase())
            .try_collect()
            .await?;
        let hidden: Vec<&AccountId> = ask
            .subscriptions
            .iter()
            .filter(|it| !seen.contains(&it.as_str().to_ascii_lowercase()))
            .collect();
        if hidden.len() == ask.subscriptions.len() {
            return Err(unseen(hidden.first().copied()));
        }
        let mut errors = Vec::new();
        for subscription in hidden {
            let regions = selector.regions.iter().flatten().map(|it| it.as_str().to_owned());
            let mut places: Vec<String> = regions.collect();
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
    ) -> BoxStream<'static, Result<Machine>> {
        let at = self.now();
        let Ask { subscriptions, queries, groups, .. } = ask;
        let client = Arc::clone(&self);
        let rows =
            stream::iter(queries).map(move |query| client.graph(query, &subscriptions)).flatten();
        let client = Arc::clone(&self);
        let machines = rows.flat_map(move |row| match row {
            Err(error) => stream::iter([Err(error)]).boxed(),
            Ok(row) if is_set(&row) => client.instances(&row),
            Ok(row) => {
                let ours = |id: &str| client.subscription(id).cloned();
                let machine = Place::of(OPERATION, &row, ours)
                    .and_then(|place| node::machine(OPERATION, &place, &row, at));
                stream::iter([Ok(machine)]).boxed()
            }
        });
        let machines = sound(OPERATION, machines).map_ok(move |mut machine| {
            let asked = groups.iter().flatten();
            let its = asked.filter(|it| it.as_str().eq_ignore_ascii_case(&machine.resource_group));
            machine.node.resource_groups = its.cloned().collect();
            machine
        });
        let machines = each_once(machines, |machine| machine.node.id.clone())
            .try_filter(move |machine| ready(selector.matches(&machine.node)));
        let client = self;
        machines
            .map(move |machine| Arc::clone(&client).with_agent(machine))
            .buffered(AT_ONCE)
            .boxed()
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
