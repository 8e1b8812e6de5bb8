//! The instances of uniform scale sets, which neither Resource Graph nor the list of machines has.

use std::sync::Arc;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use patchkit_core::{AccountId, ErrorKind, Result};
use serde_json::{Value, json};

use crate::{
    Machine,
    client::Client,
    convert::node::{self, Place, text},
    error::{again, malformed},
    ids::{EVERYWHERE, is_name, scope},
    limit::Charge,
};

const OPERATION: &str = "VirtualMachineScaleSetVMs_List";
const VERSION: &str = "2024-07-01";

impl Client {
    /// The instances of the scale set in a row. What fails is about the set's scope alone; one that is
    /// gone since the graph saw it has none.
    pub(super) fn instances(
        self: &Arc<Self>,
        row: &Value,
    ) -> BoxStream<'static, Result<Result<Machine>>> {
        let (id, subscription) = match self.set(row) {
            Ok(set) => set,
            Err(error) => return stream::iter([Ok(Err(error))]).boxed(),
        };
        let location = text(row, "/location").unwrap_or(EVERYWHERE);
        let of = scope(&subscription, location).or_else(|_| scope(&subscription, EVERYWHERE));
        let of = match of {
            Ok(of) => of,
            Err(error) => return stream::iter([Ok(Err(error))]).boxed(),
        };
        let mut url = self.url(&format!("{id}/virtualMachines"), VERSION);
        url.query_pairs_mut().append_pair("$expand", "instanceView");
        let charge = Charge::listing(subscription.as_str());
        let (client, at) = (Arc::clone(self), self.now());
        let listing = self.list(OPERATION, charge, url);
        listing
            .filter_map(move |item| {
                let item = match item {
                    Ok(item) => {
                        let ours = |id: &str| client.subscription(id).cloned();
                        let place = Place::of(OPERATION, &item, ours);
                        Some(Ok(place.and_then(|place| instance(&place, &id, &item, at))))
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => None,
                    Err(error) => Some(Err(again(&error).with_scope(of.clone()))),
                };
                std::future::ready(item)
            })
            .boxed()
    }

    /// The id of a scale set, and the subscription that it is in.
    fn set(&self, row: &Value) -> Result<(String, AccountId)> {
        let id = text(row, "/id").ok_or_else(|| malformed(OPERATION, "a scale set has no id"))?;
        let parts: Vec<&str> = id.split('/').collect();
        let sound =
            parts.len() == 9 && parts[0].is_empty() && parts[1..].iter().all(|it| is_name(it));
        let known = if sound { self.subscription(parts[2]) } else { None };
        let known = known.ok_or_else(|| malformed(OPERATION, "a scale set has an odd id"))?;
        Ok((id.to_owned(), known.clone()))
    }
}

/// An instance in the shape of a row, and what its view tells.
fn instance(place: &Place, set: &str, item: &Value, at: Timestamp) -> Result<Machine> {
    let properties = &item["properties"];
    let view = &properties["instanceView"];
    let row = json!({
        "name": item["name"],
        "tags": item["tags"],
        "vmId": properties["vmId"],
        "priority": properties["priority"],
        "scaleSet": set,
        "osType": properties["storageProfile"]["osDisk"]["osType"],
        "image": properties["storageProfile"]["imageReference"],
        "windows": properties["osProfile"]["windowsConfiguration"]["patchSettings"],
        "linux": properties["osProfile"]["linuxConfiguration"]["patchSettings"],
        "view": {
            "powerState": {"code": node::power_code(view)},
            "osName": view["osName"],
            "osVersion": view["osVersion"],
        },
    });
    let mut machine = node::machine(OPERATION, place, &row, at)?;
    node::add_agent(&mut machine.node, view);
    machine.node.unpatchable = Some(why_not_patched(set.rsplit('/').next().unwrap_or_default()));
    Ok(machine)
}

/// Azure has no operation for it (Compute API, `VirtualMachineScaleSetVMs`).
pub(crate) fn why_not_patched(set: &str) -> String {
    format!(
        "an instance of the uniform scale set {set} is not patched: its set gives it a new image"
    )
}
