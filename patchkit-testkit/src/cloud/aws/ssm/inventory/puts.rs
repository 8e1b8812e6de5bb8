//! PutInventory, and the types that clients made with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::super::{AwsError, Call, input},
    no_such_type,
};
use crate::cloud::{lake::Part, world::inventory::Row};

/// The custom types of an account in a Region (general reference, Systems Manager quotas).
const CUSTOM_TYPES: usize = 20;
/// What an item may hold, and all of a request.
const LARGEST: usize = 1_024 * 1_024;

/// What clients put there, by node and type.
#[derive(Debug, Default)]
pub(crate) struct Puts(BTreeMap<Box<str>, BTreeMap<Box<str>, Put>>);

/// The rows of a client's type on one node.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) kind: Box<str>,
    pub(crate) schema: Box<str>,
    /// As the client wrote it.
    pub(crate) captured: Box<str>,
    hash: Option<Box<str>>,
    rows: Vec<Row>,
}

impl Put {
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }
}

impl Puts {
    pub(crate) fn of(&self, id: &str) -> impl Iterator<Item = &Put> {
        self.0.get(id).into_iter().flat_map(BTreeMap::values)
    }

    pub(super) fn has_type(&self, name: &str) -> bool {
        self.0.values().any(|of_node| of_node.contains_key(name))
    }

    /// Every type with its version and the attributes that its rows have.
    pub(super) fn types(&self) -> impl Iterator<Item = (&str, &str, BTreeSet<&str>)> {
        let mut types: BTreeMap<&str, (&str, BTreeSet<&str>)> = BTreeMap::new();
        for put in self.0.values().flat_map(BTreeMap::values) {
            let (version, attributes) = types.entry(&put.kind).or_default();
            *version = &put.schema;
            attributes.extend(put.rows.iter().flat_map(|row| row.keys().map(String::as_str)));
        }
        types.into_iter().map(|(name, (version, attributes))| (name, version, attributes))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    instance_id: String,
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    type_name: Box<str>,
    schema_version: Box<str>,
    capture_time: Box<str>,
    content_hash: Option<Box<str>>,
    content: Option<Vec<Row>>,
    #[serde(default)]
    context: BTreeMap<String, String>,
}

pub(super) fn put(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let Input { instance_id, items } = input(value)?;
    let Some(at) = call.state.managed(call, &instance_id) else {
        let message = format!("Instance {instance_id} is not a managed node of this account.");
        return Err(AwsError::new("InvalidInstanceId", message));
    };
    check(call, &instance_id, &items)?;
    let here = call.here_mut();
    let of_node = here.ssm.inventory.0.entry(instance_id.as_str().into()).or_default();
    for Item { type_name, schema_version, capture_time, content_hash, content, .. } in items {
        let Some(rows) = content else {
            // It was checked that the hash is the one of before: nothing has changed but the time.
            if let Some(put) = of_node.get_mut(&type_name) {
                put.captured = capture_time;
            }
            continue;
        };
        // botocore ssm model, `ContentHash`: the contents are not updated "if the MD5 hash hasn't
        // changed since last update".
        let before = of_node.get(&type_name);
        if content_hash.is_some() && before.is_some_and(|it| it.hash == content_hash) {
            continue;
        }
        let put = Put {
            kind: type_name.clone(),
            schema: schema_version,
            captured: capture_time,
            hash: content_hash,
            rows,
        };
        of_node.insert(type_name, put);
    }
    call.state.sync_node(at, Part::Custom);
    Ok(json!({"Message": "Inventory was successfully put."}))
}

/// All items are good, or none is put.
fn check(call: &Call<'_>, id: &str, items: &[Item]) -> Result<(), AwsError> {
    let puts = &call.here().ssm.inventory;
    let mut total = 0;
    let mut types: BTreeSet<&str> = puts.types().map(|(name, ..)| name).collect();
    let mut named = BTreeSet::new();
    for item in items {
        let name = &*item.type_name;
        let of_item = |error: AwsError| error.with_member("TypeName", name);
        // AWS's own types come from the simulated agents alone; the service takes them.
        if name.starts_with("AWS:") {
            let message = format!("The simulator does not model PutInventory of {name}.");
            return Err(AwsError::new("InvalidTypeNameException", message));
        }
        if name.strip_prefix("Custom:").is_none_or(str::is_empty) {
            return Err(no_such_type(name));
        }
        if !named.insert(name) {
            let message = format!("{name} is there twice.");
            return Err(of_item(AwsError::new("InvalidItemContentException", message)));
        }
        if !item.context.is_empty() {
            let message = format!("The inventory type {name} has no context.");
            let error = AwsError::new("UnsupportedInventoryItemContextException", message);
            return Err(of_item(error));
        }
        let before = puts.of(id).find(|put| *put.kind == *name);
        let same =
            item.content_hash.is_some() && before.is_some_and(|put| put.hash == item.content_hash);
        if item.content.is_none() && !same {
            let message = "There is no content, and its hash is not the one of before.";
            return Err(of_item(AwsError::new("ItemContentMismatchException", message)));
        }
        let rows = item.content.iter().flatten();
        let size: usize = rows
            .flat_map(|row| row.iter())
            .map(|(key, text)| key.len() + text.as_str().map_or(0, str::len))
            .sum();
        if size > LARGEST {
            let message = "The inventory item size has exceeded the size limit.";
            return Err(of_item(AwsError::new("ItemSizeLimitExceededException", message)));
        }
        total += size;
        types.insert(name);
    }
    if total > LARGEST {
        let message = "The size of inventory data has exceeded the total size limit.";
        return Err(AwsError::new("TotalSizeLimitExceededException", message));
    }
    if types.len() > CUSTOM_TYPES {
        let message = "You have exceeded the limit for custom schemas.";
        return Err(AwsError::new("CustomSchemaCountLimitExceededException", message));
    }
    Ok(())
}
