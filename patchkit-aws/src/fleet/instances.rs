//! The instances of EC2, and what Systems Manager adds to them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use aws_sdk_ec2::types::{Filter, Instance};
use aws_sdk_ssm::types::{InstanceInformation, InventoryFilter, InventoryQueryOperatorType};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use patchkit_core::{
    ManagedNode, NodeId, NodeSelector, NodeStatus, OperatingSystem, PATCH_GROUP_TAGS, PowerState,
    Reachability, Result,
    listing::{each_once, sound},
    paginate,
};
use tokio::sync::OnceCell;

use super::{AT_ONCE, is_hybrid};
use crate::{
    client::Client,
    convert,
    error::{PROVIDER, invalid},
};

const OPERATION: &str = "DescribeInstances";

/// Most items on a page (EC2 API reference: MaxResults 5..1000).
const PAGE: (i32, i32) = (5, 1_000);

/// Most values of a filter (EC2 API reference, "Filtering": 200).
const FILTER_VALUES: usize = 200;

/// Most ids in a filter of the inventory (botocore ssm model, InventoryFilter: Values 1..40).
const INVENTORY_VALUES: usize = 40;

impl Client {
    /// The instances that may be in the selection.
    pub(super) fn instances(
        self: &Arc<Self>,
        selector: &Arc<NodeSelector>,
    ) -> BoxStream<'static, Result<ManagedNode>> {
        let Some(queries) = self.queries(selector) else {
            return stream::empty().boxed();
        };
        let client = Arc::clone(self);
        let pages = stream::iter(queries)
            .map(move |filters| Ok::<_, patchkit_core::Error>(client.instance_pages(filters)))
            .try_flatten();
        let client = Arc::clone(self);
        let memory = Arc::new(Memory::of(selector));
        let nodes = pages
            .and_then(move |page| {
                let (client, memory) = (Arc::clone(&client), Arc::clone(&memory));
                async move { client.join(page, &memory).await }
            })
            .map_ok(|nodes| stream::iter(nodes.into_iter().map(Ok)))
            .try_flatten();
        each_once(sound(PROVIDER, OPERATION, nodes), |node| node.id.clone())
    }

    /// The filters of each listing that together hold the selection; `None` when it is empty. They
    /// may let more pass than the selector, which is held against every node in the end.
    fn queries(&self, selector: &NodeSelector) -> Option<Vec<Vec<Filter>>> {
        let mut filters = Vec::new();
        for (key, values) in &selector.tags {
            let filter = filter(&format!("tag:{key}"), values.iter().map(|it| literal(it)))?;
            // Of more values than a filter takes, the selector itself picks.
            if filter.values().len() <= FILTER_VALUES {
                filters.push(filter);
            }
        }
        filters.push(states(selector)?);
        let Some(ids) = &selector.ids else { return of_groups(selector, filters) };
        let ids: Vec<String> = ids
            .iter()
            .filter(|id| *id.scope() == self.scope && !is_hybrid(id.resource()))
            .map(|id| literal(id.resource()))
            .collect();
        let queries = ids.chunks(FILTER_VALUES).filter_map(|ids| {
            let mut filters = filters.clone();
            filters.push(filter("instance-id", ids.iter().cloned())?);
            Some(filters)
        });
        Some(queries.collect())
    }

    fn instance_pages(
        self: &Arc<Self>,
        filters: Vec<Filter>,
    ) -> BoxStream<'static, Result<Vec<Instance>>> {
        let client = Arc::clone(self);
        paginate("aws", OPERATION, move |token| {
            let (client, filters) = (Arc::clone(&client), filters.clone());
            async move {
                let request = client
                    .ec2()
                    .describe_instances()
                    .set_filters(Some(filters))
                    .max_results(client.page.within(PAGE.0, PAGE.1))
                    .set_next_token(token);
                let page = client.read(OPERATION, request.send()).await?;
                let instances = page.reservations.unwrap_or_default().into_iter();
                let instances = instances.flat_map(|it| it.instances.unwrap_or_default());
                Ok((vec![instances.collect()], page.next_token))
            }
        })
    }

    /// The ids of all instances that are there.
    pub(crate) fn instance_ids(self: &Arc<Self>) -> BoxStream<'static, Result<NodeId>> {
        let filters = states(&NodeSelector::all()).into_iter().collect();
        let client = Arc::clone(self);
        let ids = self
            .instance_pages(filters)
            .map_ok(move |page| {
                let node = |it: &Instance| Ok(client.node(OPERATION, it.instance_id()));
                stream::iter(page.iter().map(node).collect::<Vec<_>>())
            })
            .try_flatten();
        each_once(sound(PROVIDER, OPERATION, ids), NodeId::clone)
    }

    /// Some instances by their ids, each once; one that is not there is absent.
    pub(crate) async fn instances_by_id(
        self: &Arc<Self>,
        ids: &[String],
    ) -> Result<BTreeMap<String, Instance>> {
        let mut found = BTreeMap::new();
        for chunk in ids.chunks(FILTER_VALUES) {
            let Some(filter) = filter("instance-id", chunk.iter().map(|id| literal(id))) else {
                continue;
            };
            let mut pages = self.instance_pages(vec![filter]);
            while let Some(page) = pages.try_next().await? {
                let by_id = |it: Instance| Some((it.instance_id()?.to_owned(), it));
                found.extend(page.into_iter().filter_map(by_id));
            }
        }
        Ok(found)
    }

    async fn join(
        self: &Arc<Self>,
        page: Vec<Instance>,
        memory: &Memory,
    ) -> Result<Vec<Result<ManagedNode>>> {
        // A page is megabytes: it goes before twenty calls are made about its nodes.
        let mut nodes = self.known_instances(page);
        let (mut on, mut off) = (Vec::new(), Vec::new());
        for node in nodes.iter().flatten() {
            let ids = if node.power.is_off() { &mut off } else { &mut on };
            if node.power != PowerState::Terminated {
                ids.push(node.id.resource().to_owned());
            }
        }
        let infos = self.information_of(&on).await?;
        let remembered = self.remembered(&off, memory).await?;
        for node in nodes.iter_mut().flatten() {
            if let Some(info) = infos.get(node.id.resource()) {
                convert::node::add_information(node, info);
            }
            if let Some(memory) = remembered.get(node.id.resource()) {
                memory.recall(node);
            }
        }
        Ok(nodes)
    }

    fn known_instances(&self, page: Vec<Instance>) -> Vec<Result<ManagedNode>> {
        let at = self.now();
        let node = |instance: Instance| {
            let id = self.node(OPERATION, instance.instance_id())?;
            Ok(convert::node::instance(id, &instance, at))
        };
        page.into_iter().map(node).collect()
    }

    /// What the inventory remembers of stopped instances.
    async fn remembered<'a>(
        self: &Arc<Self>,
        off: &[String],
        memory: &'a Memory,
    ) -> Result<Cow<'a, BTreeMap<String, Remembered>>> {
        if off.is_empty() {
            return Ok(Cow::default());
        }
        if let Memory::Whole(all) = memory {
            let filter = inventory_filter("InstanceStatus", ["Stopped".to_owned()])?;
            let all = all
                .get_or_try_init(|| async {
                    self.inventory_pages(filter).try_concat().await.map(BTreeMap::from_iter)
                })
                .await?;
            return Ok(Cow::Borrowed(all));
        }
        // Collected first: a borrowed chunk would tie the stream to this call.
        let filters: Vec<_> = off
            .chunks(INVENTORY_VALUES)
            .map(|ids| inventory_filter("InstanceId", ids.iter().cloned()))
            .collect();
        let found: Vec<Vec<(String, Remembered)>> = stream::iter(filters)
            .map(|filter| async { self.inventory_pages(filter?).try_concat().await })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(Cow::Owned(found.into_iter().flatten().collect()))
    }

    fn inventory_pages(
        self: &Arc<Self>,
        filter: InventoryFilter,
    ) -> BoxStream<'static, Result<Vec<(String, Remembered)>>> {
        let client = Arc::clone(self);
        paginate("aws", "GetInventory", move |token| {
            let (client, filter) = (Arc::clone(&client), filter.clone());
            async move {
                let request = client
                    .ssm()
                    .get_inventory()
                    .filters(filter)
                    .max_results(client.page.within(1, 50))
                    .set_next_token(token);
                let page = client.read("GetInventory", request.send()).await?;
                let entities = page.entities.unwrap_or_default().into_iter();
                let rows = entities.filter_map(|entity| {
                    let row = entity.data()?.get("AWS:InstanceInformation")?.content().first()?;
                    Some((entity.id()?.to_owned(), Remembered::of(row)?))
                });
                Ok((vec![rows.collect()], page.next_token))
            }
        })
    }
}

/// How one listing asks the inventory for what agents of stopped instances said.
enum Memory {
    /// For all of them at once, when the first one is met: fifty in a call.
    Whole(OnceCell<BTreeMap<String, Remembered>>),
    /// By their ids, forty in a call: few of the fleet's instances are in the selection.
    ById,
}

impl Memory {
    fn of(selector: &NodeSelector) -> Self {
        let few = selector.ids.is_some() || selector.groups.is_some() || !selector.tags.is_empty();
        if few { Self::ById } else { Self::Whole(OnceCell::new()) }
    }
}

fn inventory_filter(
    attribute: &str,
    values: impl IntoIterator<Item = String>,
) -> Result<InventoryFilter> {
    InventoryFilter::builder()
        .key(format!("AWS:InstanceInformation.{attribute}"))
        .set_values(Some(values.into_iter().collect()))
        .r#type(InventoryQueryOperatorType::Equal)
        .build()
        .map_err(|error| invalid("GetInventory", error.to_string()))
}

/// What a stopped instance's agent said when it was last heard.
#[derive(Clone)]
struct Remembered {
    operating_system: OperatingSystem,
    platform_version: Option<String>,
    agent_version: Option<String>,
}

impl Remembered {
    fn of(row: &HashMap<String, String>) -> Option<Self> {
        let text = |name| row.get(name).filter(|text| !text.is_empty()).cloned();
        let version = text("PlatformVersion");
        let name = text("PlatformName")?;
        Some(Self {
            operating_system: OperatingSystem::from_platform(
                &name,
                version.as_deref().unwrap_or_default(),
            ),
            platform_version: version,
            agent_version: text("AgentVersion"),
        })
    }

    fn recall(&self, node: &mut ManagedNode) {
        node.operating_system = self.operating_system.clone();
        node.platform_version.clone_from(&self.platform_version);
        node.agent_version.clone_from(&self.agent_version);
    }
}

/// The statuses of nodes that EC2 and Systems Manager told of; a node that neither knows is absent.
pub(super) fn join_statuses(
    ids: &[String],
    infos: &BTreeMap<String, InstanceInformation>,
    instances: &BTreeMap<String, Instance>,
    at: Timestamp,
) -> BTreeMap<String, NodeStatus> {
    let status = |id: &String| {
        let info = infos.get(id);
        if is_hybrid(id) {
            return info.map(|info| convert::node::status(info, PowerState::Unknown, at));
        }
        let power = convert::node::power(instances.get(id)?);
        Some(match info {
            Some(info) if !power.is_off() && power != PowerState::Terminated => {
                convert::node::status(info, power, at)
            }
            _ if power == PowerState::Running || power == PowerState::Starting => {
                NodeStatus::new(power, Reachability::Unknown, at)
            }
            _ => NodeStatus::new(power, Reachability::Inactive, at),
        })
    };
    ids.iter().filter_map(|id| Some((id.clone(), status(id)?))).collect()
}

fn filter(name: &str, values: impl IntoIterator<Item = String>) -> Option<Filter> {
    let values: Vec<String> = values.into_iter().collect();
    // A filter of no values would let everything pass.
    (!values.is_empty()).then(|| Filter::builder().name(name).set_values(Some(values)).build())
}

/// A node is in a group by either of two tags, and a listing asks for one: an instance that
/// carries both comes twice.
fn of_groups(selector: &NodeSelector, filters: Vec<Filter>) -> Option<Vec<Vec<Filter>>> {
    let Some(groups) = &selector.groups else { return Some(vec![filters]) };
    let names: Vec<String> = groups.iter().map(|it| literal(it.as_str())).collect();
    if names.is_empty() {
        return None;
    }
    let queries = names.chunks(FILTER_VALUES).flat_map(|names| {
        PATCH_GROUP_TAGS.map(|tag| {
            let mut filters = filters.clone();
            filters.extend(filter(&format!("tag:{tag}"), names.iter().cloned()));
            filters
        })
    });
    Some(queries.collect())
}

/// EC2 reads `*` and `?` in filters as wildcards, and a backslash makes them letters (EC2 user guide,
/// "Filtering").
fn literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '*' | '?' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// The states to ask for: those of the selector; without one, all in which an instance is there.
fn states(selector: &NodeSelector) -> Option<Filter> {
    let names = |power: &PowerState| -> &'static [&'static str] {
        match power {
            PowerState::Running => &["running"],
            PowerState::Stopped | PowerState::Deallocated => &["stopped"],
            PowerState::Starting => &["pending"],
            PowerState::Stopping => &["stopping"],
            PowerState::Terminated => &["shutting-down", "terminated"],
            _ => &[],
        }
    };
    let there =
        [PowerState::Running, PowerState::Stopped, PowerState::Starting, PowerState::Stopping];
    let wanted: BTreeSet<&str> = match (&selector.power, &selector.ids) {
        (Some(power), _) => power.iter().flat_map(names).copied().collect(),
        (None, Some(_)) => {
            there.iter().chain([&PowerState::Terminated]).flat_map(names).copied().collect()
        }
        (None, None) => there.iter().flat_map(names).copied().collect(),
    };
    filter("instance-state-name", wanted.into_iter().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_in_a_value_are_letters() {
        assert_eq!(literal(r"a*b?c\d"), r"a\*b\?c\\d");
    }

    #[test]
    fn a_selector_of_no_states_asks_for_nothing() {
        assert!(states(&NodeSelector::all().with_power([])).is_none());
        let all = states(&NodeSelector::all()).unwrap();
        assert_eq!(all.values(), ["pending", "running", "stopped", "stopping"]);
    }
}
