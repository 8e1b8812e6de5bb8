//! Compliance: items and summaries of patches, and what clients put there themselves.

mod items;
mod puts;
mod summaries;
#[cfg(test)]
mod tests;

pub(crate) use self::puts::Puts;
use super::super::{AwsError, Operations};
use super::filter::Test;
use serde::Deserialize;

pub(super) const OPERATIONS: Operations = &[
    ("ListComplianceItems", items::list),
    ("ListComplianceSummaries", summaries::list),
    ("ListResourceComplianceSummaries", summaries::list_by_resource),
    ("PutComplianceItems", puts::put),
];

/// The type of all resources that have compliance.
const MANAGED_INSTANCE: &str = "ManagedInstance";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: Option<String>,
    #[serde(default)]
    values: Vec<String>,
    r#type: Option<String>,
}

impl Filter {
    /// Whether the filter lets a text pass.
    fn lets(&self, actual: &str) -> bool {
        Test::read(self.r#type.as_deref()).lets(actual, &self.values)
    }

    fn key(&self) -> &str {
        self.key.as_deref().unwrap_or_default()
    }
}

/// Refuses a filter that an operation does not know.
fn check(filters: &[Filter], known: &[&str]) -> Result<(), AwsError> {
    match filters.iter().find(|it| !known.contains(&it.key())) {
        Some(filter) => {
            let message = format!("{:?} is not a filter of this operation.", filter.key());
            Err(AwsError::new("InvalidFilter", message))
        }
        None => Ok(()),
    }
}

fn no_such_resource(id: &str) -> AwsError {
    AwsError::new("InvalidResourceId", format!("{id} is not a managed node of this account."))
}

fn no_such_type(name: &str) -> AwsError {
    let message = format!("{name} is not a valid resource type. Use {MANAGED_INSTANCE}.");
    AwsError::new("InvalidResourceType", message)
}
