//! AWS Resource Groups: groups by tags, and groups by hand, of instances and hybrid nodes.
//!
//! Queries of the type `CLOUDFORMATION_STACK_1_0` are refused, since the world has no stacks, and so
//! are configurations other than `AWS::ResourceGroups::Generic`. What a query asks for besides
//! instances and hybrid nodes is not in the world, and not found.

mod groups;
mod query;
mod resources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::query::Query;
use super::{
    AwsError, Call, Operations,
    page::Page,
    resource::{self, Resource},
};
use crate::cloud::world::{
    State,
    machine::{MachineIx, ScopeIx},
};

pub(super) const OPERATIONS: &[Operations] = &[groups::OPERATIONS, resources::OPERATIONS];

/// A page of Resource Groups, at most and as usual.
const PAGE: usize = 50;

/// The groups of one account in one Region, by name.
#[derive(Debug, Default)]
pub(crate) struct Store(BTreeMap<String, Group>);

#[derive(Debug)]
struct Group {
    name: String,
    description: Option<String>,
    criticality: Option<u64>,
    owner: Option<String>,
    display_name: Option<String>,
    tags: BTreeMap<String, String>,
    members: Members,
}

/// Who is in a group.
#[derive(Debug)]
enum Members {
    /// What a query finds.
    Found(Query),
    /// What was put there by hand, in a group of a configuration.
    Put { configuration: Value, machines: Vec<MachineIx> },
}

impl Group {
    fn query(&self) -> Option<&Query> {
        match &self.members {
            Members::Found(query) => Some(query),
            Members::Put { .. } => None,
        }
    }

    /// The values of a parameter of its configuration.
    fn parameter(&self, name: &str) -> Vec<String> {
        let Members::Put { configuration, .. } = &self.members else { return Vec::new() };
        let items = configuration.as_array().into_iter().flatten();
        let parameters = items.flat_map(|item| item["Parameters"].as_array().into_iter().flatten());
        let named = parameters.filter(|it| it["Name"] == *name);
        named.flat_map(|it| super::texts(&it["Values"])).collect()
    }

    fn arn(&self, state: &State, scope: ScopeIx) -> String {
        let (region, account) = (&state.scope(scope).region, &state.account_of(scope).id);
        format!("arn:aws:resource-groups:{region}:{account}:group/{}", self.name)
    }

    fn value(&self, state: &State, scope: ScopeIx) -> Value {
        json!({
            "GroupArn": self.arn(state, scope),
            "Name": self.name,
            "Description": self.description,
            "Criticality": self.criticality,
            "Owner": self.owner,
            "DisplayName": self.display_name,
        })
    }
}

/// The machines that are in a group now, by id or in the order in which they were put there; none
/// where there is no such group.
pub(crate) fn members(state: &State, scope: ScopeIx, name: &str) -> Option<Vec<MachineIx>> {
    let machines = match &state.scope(scope).groups.0.get(name)?.members {
        Members::Found(query) => {
            resource::all(state, scope).filter(|it| query.finds(it)).map(|it| it.at).collect()
        }
        // What is gone since it was put there is no member.
        Members::Put { machines, .. } => {
            machines.iter().copied().filter(|at| Resource::of(state, *at).is_some()).collect()
        }
    };
    Some(machines)
}

/// The group that an input names: by `Group`, a name or an ARN, or by the older `GroupName`.
fn named<'c>(call: &'c Call<'_>, input: &Value) -> Result<&'c Group, AwsError> {
    let ((Some(word), None) | (None, Some(word))) =
        (input["Group"].as_str(), input["GroupName"].as_str())
    else {
        return Err(bad_request("Specify either Group or GroupName, and not both."));
    };
    let groups = &call.here().groups.0;
    let group = match word.rsplit_once("group/").filter(|_| word.starts_with("arn:")) {
        Some((_, name)) => groups.get(name).filter(|it| it.arn(call.state, call.scope) == word),
        None => groups.get(word),
    };
    group.ok_or_else(missing)
}

fn named_mut<'c>(call: &'c mut Call<'_>, input: &Value) -> Result<&'c mut Group, AwsError> {
    let name = named(call, input)?.name.clone();
    call.here_mut().groups.0.get_mut(&name).ok_or_else(missing)
}

fn page(call: &Call<'_>, input: &Value) -> Result<Page, AwsError> {
    Page::of(call, input, PAGE).map_err(|_| bad_request("The next token is not valid."))
}

fn bad_request(message: impl Into<String>) -> AwsError {
    AwsError::new("BadRequestException", message)
}

fn missing() -> AwsError {
    AwsError::new("NotFoundException", "Cannot find group")
}
