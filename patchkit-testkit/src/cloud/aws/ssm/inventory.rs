//! Inventory: what agents and clients report of nodes.

mod entries;
mod nodes;
mod puts;
mod schema;
#[cfg(test)]
mod tests;

pub(crate) use self::puts::Puts;
use super::super::{AwsError, Operations};
use super::filter::Test;
use serde::Deserialize;

pub(super) const OPERATIONS: Operations = &[
    ("GetInventory", nodes::get),
    ("GetInventorySchema", schema::get),
    ("ListInventoryEntries", entries::list),
    ("PutInventory", puts::put),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    values: Vec<String>,
    r#type: Option<String>,
}

impl Filter {
    fn test(&self) -> Test {
        Test::read(self.r#type.as_deref())
    }
}

fn no_such_filter(key: &str) -> AwsError {
    AwsError::new("InvalidFilter", format!("{key} is not a filter of this operation."))
}

fn no_such_type(name: &str) -> AwsError {
    AwsError::new("InvalidTypeNameException", format!("Inventory type {name} is not valid."))
}
