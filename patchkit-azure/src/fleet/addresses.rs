//! The private addresses of machines, by which another control plane's node of one may be recognised.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{AccountId, Error, ManagedNode, NodeSelector, Result};
use serde_json::Value;

use super::{machines::OPERATION, query::MOST_IDS};
use crate::{
    UpdateManager,
    client::Client,
    convert::node::text,
    error::{again, malformed},
    graph::literals,
    ids::{EVERYWHERE, bounded, scope},
};

/// Whether listings of nodes tell the machines' private addresses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Addresses {
    /// They do not.
    #[default]
    Omitted,
    /// They do: those of the network interfaces of virtual machines, and those that Arc machines have by
    /// what their agents say.
    OfInterfaces,
}

/// One row of a network interface or of an Arc machine, and not one of each address: `mv-expand` ends
/// after 128 of a row without a word ("Understanding the Azure Resource Graph query language"), and
/// several rows of one id may come twice or not at all where a page ends between them.
const ROWS: &str = "project id, of = tolower(iff(type =~ 'microsoft.hybridcompute/machines', id, \
    tostring(properties.virtualMachine.id))), configurations = properties.ipConfigurations, \
    interfaces = properties.networkProfile.networkInterfaces";

/// The addresses of machines, by their ids in lower case.
type Known = HashMap<String, BTreeSet<IpAddr>>;

impl UpdateManager {
    /// The same subscriptions, with or without the addresses of their machines in listings of nodes.
    ///
    /// They are weak evidence that a machine is another control plane's node, and with its computer name
    /// enough for [`LinkedFleet::links`](patchkit_core::LinkedFleet::links) to propose the pair.
    ///
    /// # Behavior
    /// - A listing costs a query of Resource Graph more for each thousand network interfaces and Arc
    ///   machines, all of which it reads before its first node. That is why they are omitted by default.
    /// - Instances of uniform scale sets have none: their interfaces are in no table.
    /// - Interfaces that the caller may not read Resource Graph leaves out, and nobody can tell.
    /// - Addresses that could not be read are an error of `azure/<subscription>/global` at the end of the
    ///   listing, and its nodes come without them.
    #[must_use]
    pub fn with_addresses(&self, addresses: Addresses) -> Self {
        let mut other = self.clone();
        other.client = Arc::new(self.client.with_addresses(addresses));
        other
    }

    /// Adds to the nodes of a listing which addresses they have, where that is wanted.
    pub(crate) fn add_addresses<T: Send + 'static>(
        &self,
        selector: &NodeSelector,
        rows: BoxStream<'static, Result<T>>,
        node: fn(&mut T) -> &mut ManagedNode,
    ) -> BoxStream<'static, Result<T>> {
        if self.client.addresses == Addresses::Omitted {
            return rows;
        }
        let (client, selector) = (Arc::clone(&self.client), selector.clone());
        let state = (rows, None, Vec::new().into_iter());
        stream::unfold(state, move |(mut rows, mut known, mut problems)| {
            let (client, selector) = (Arc::clone(&client), selector.clone());
            async move {
                let Some(mut row) = rows.next().await else {
                    let problem = problems.next()?;
                    return Some((Err(problem), (rows, known, problems)));
                };
                if let Ok(row) = &mut row {
                    let node = node(row);
                    if known.is_none() {
                        let (read, failed) = client.known_addresses(&selector).await;
                        (known, problems) = (Some(read), failed.into_iter());
                    }
                    let own = known.as_ref().and_then(|it| it.get(&key(node.id.resource())));
                    node.identity.ip_addresses.extend(own.into_iter().flatten());
                }
                Some((row, (rows, known, problems)))
            }
        })
        .boxed()
    }
}

impl Client {
    /// The addresses of the machines that a selector may take, and what could not be read of them.
    async fn known_addresses(self: &Arc<Self>, selector: &NodeSelector) -> (Known, Vec<Error>) {
        let subscriptions = self.asked(selector);
        let (mut known, mut bad) = (Known::new(), BTreeMap::new());
        for query in queries(selector) {
            let mut rows = self.graph(query, &subscriptions);
            while let Some(row) = rows.next().await {
                let row = match row {
                    Ok(row) => row,
                    Err(error) => {
                        note(&mut bad, &subscriptions, &error);
                        continue;
                    }
                };
                match read(&row) {
                    Ok(Some((machine, addresses))) => {
                        known.entry(machine).or_default().extend(addresses);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        let subscription = text(&row, "/id").and_then(|id| id.split('/').nth(2));
                        let own = subscription.and_then(|id| self.subscription(id));
                        note(&mut bad, own.map_or(&*subscriptions, std::slice::from_ref), &error);
                    }
                }
            }
        }
        (known, bad.into_values().collect())
    }
}

/// Notes the first error of each subscription.
fn note(bad: &mut BTreeMap<AccountId, Error>, of: &[AccountId], error: &Error) {
    for subscription in of {
        if let Ok(scope) = scope(subscription, EVERYWHERE) {
            bad.entry(subscription.clone()).or_insert_with(|| again(error).with_scope(scope));
        }
    }
}

fn queries(selector: &NodeSelector) -> Vec<String> {
    let query = |these: &str| {
        format!(
            "resources\n\
             | where type in~ ('microsoft.network/networkinterfaces', \
             'microsoft.hybridcompute/machines')\n| {ROWS}\n| where isnotempty(of){these}\n\
             | order by id asc"
        )
    };
    match &selector.ids {
        None => vec![query("")],
        Some(ids) => {
            let ids: Vec<String> = ids.iter().map(|id| key(id.resource())).collect();
            let these = |ids: &[String]| {
                query(&format!("\n| where of in {}", literals(ids.iter().map(String::as_str))))
            };
            ids.chunks(MOST_IDS).map(these).collect()
        }
    }
}

fn key(resource: &str) -> String {
    resource.to_ascii_lowercase()
}

/// A machine's id and addresses; none where the row has none.
fn read(row: &Value) -> Result<Option<(String, Vec<IpAddr>)>> {
    let Some(machine) = text(row, "/of") else { return Ok(None) };
    let list = |value: &Value, what: &str| match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => Ok(list.clone()),
        _ => Err(malformed(OPERATION, format!("{what} of {:?} are no list", bounded(machine)))),
    };
    let mut told = Vec::new();
    for one in list(&row["configurations"], "the configurations")? {
        told.push(one["properties"]["privateIPAddress"].clone());
    }
    for interface in list(&row["interfaces"], "the interfaces")? {
        for one in list(&interface["ipAddresses"], "the addresses")? {
            told.push(one["address"].clone());
        }
    }
    let mut addresses = Vec::new();
    for one in told {
        match &one {
            // One that is not given yet.
            Value::Null => {}
            Value::String(one) if one.is_empty() => {}
            Value::String(one) => addresses.push(one.parse().map_err(|_| {
                let message = format!("{:?} of {:?} is no address", bounded(one), bounded(machine));
                malformed(OPERATION, message)
            })?),
            _ => {
                let message = format!("an address of {:?} is no text", bounded(machine));
                return Err(malformed(OPERATION, message));
            }
        }
    }
    Ok((!addresses.is_empty()).then(|| (key(machine), addresses)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const VM: &str =
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/a";

    #[test]
    fn interfaces_and_arc_machines_tell_addresses_of_both_kinds() {
        let one = |address: Value| json!({"properties": {"privateIPAddress": address}});
        let vm = json!({"of": VM, "configurations":
            [one(json!("10.0.0.4")), one(json!("fd00::4")), one(Value::Null), {}]});
        let (machine, addresses) = read(&vm).unwrap().unwrap();
        assert_eq!((machine, addresses.len()), (VM.to_lowercase(), 2));
        // Azure/azure-sdk-for-js, @azure/arm-hybridcompute 4.0.0, `NetworkProfile`.
        let arc = json!({"of": VM, "interfaces": [{"ipAddresses": [
            {"address": "192.168.1.7", "ipAddressVersion": "IPv4"}]}, {"ipAddresses": null}]});
        assert_eq!(read(&arc).unwrap().unwrap().1, ["192.168.1.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(read(&json!({"of": "", "configurations": null})).unwrap(), None);
    }

    #[test]
    fn what_is_no_address_is_malformed() {
        for wrong in [json!("10.0.0"), json!(7)] {
            let row = json!({"of": VM, "configurations":
                [{"properties": {"privateIPAddress": wrong}}]});
            assert!(read(&row).is_err(), "{row}");
        }
        assert!(read(&json!({"of": VM, "interfaces": "eth0"})).is_err());
    }
}
