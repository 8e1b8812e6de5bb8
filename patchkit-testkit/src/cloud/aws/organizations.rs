//! AWS Organizations: every account of the world is in one organization, the first one manages it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{AwsError, Call, Operations, page::Page, seconds};
use crate::{
    cloud::world::{Account, State, clock::earlier},
    rng::mix,
};

pub(super) const OPERATIONS: &[Operations] = &[&[
    ("DescribeAccount", describe_account),
    ("DescribeOrganization", describe_organization),
    ("ListAccounts", list_accounts),
    ("ListAccountsForParent", list_accounts_for_parent),
    ("ListOrganizationalUnitsForParent", list_units),
    ("ListParents", list_parents),
    ("ListRoots", list_roots),
    ("ListTagsForResource", list_tags),
]];

/// A page of Organizations, at most and as usual.
const PAGE: usize = 20;

fn describe_organization(call: &mut Call<'_>, _: Value) -> Result<Value, AwsError> {
    let names = Names::of(call.state);
    let master = &call.state.accounts[0];
    Ok(json!({"Organization": {
        "Id": names.organization,
        "Arn": format!("arn:aws:organizations::{}:organization/{}", master.id, names.organization),
        "FeatureSet": "ALL",
        "MasterAccountId": &*master.id,
        "MasterAccountArn": names.account_arn(&master.id),
        "MasterAccountEmail": email(master),
        "AvailablePolicyTypes": [],
    }}))
}

fn describe_account(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let id = input["AccountId"].as_str().unwrap_or_default();
    let known = call.state.accounts.iter().find(|it| *it.id == *id).ok_or_else(|| {
        let message = "You specified an account that doesn't exist.";
        AwsError::new("AccountNotFoundException", message)
    })?;
    Ok(json!({"Account": account(call, known)}))
}

fn list_accounts(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    managed(call)?;
    let page = page(call, &input)?;
    let (accounts, next) = page.cut(call.state.accounts.iter().map(|it| account(call, it)));
    Ok(json!({"Accounts": accounts, "NextToken": next}))
}

fn list_roots(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    managed(call)?;
    let page = page(call, &input)?;
    let names = Names::of(call.state);
    let root = json!({
        "Id": names.root,
        "Arn": format!(
            "arn:aws:organizations::{}:root/{}/{}",
            call.state.accounts[0].id, names.organization, names.root
        ),
        "Name": "Root",
        "PolicyTypes": [],
    });
    let (roots, next) = page.cut([root]);
    Ok(json!({"Roots": roots, "NextToken": next}))
}

fn list_units(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    managed(call)?;
    let page = page(call, &input)?;
    let names = Names::of(call.state);
    let under_root = parent(&names, &input)? == names.root;
    let unit = json!({
        "Id": names.unit,
        "Arn": format!(
            "arn:aws:organizations::{}:ou/{}/{}",
            call.state.accounts[0].id, names.organization, names.unit
        ),
        "Name": "Workloads",
    });
    let (units, next) = page.cut(under_root.then_some(unit));
    Ok(json!({"OrganizationalUnits": units, "NextToken": next}))
}

/// The managing account is at the root, the others in the one unit.
fn list_accounts_for_parent(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    managed(call)?;
    let page = page(call, &input)?;
    let names = Names::of(call.state);
    let under_root = parent(&names, &input)? == names.root;
    let (first, others) = call.state.accounts.split_at(1);
    let accounts = if under_root { first } else { others };
    let (accounts, next) = page.cut(accounts.iter().map(|it| account(call, it)));
    Ok(json!({"Accounts": accounts, "NextToken": next}))
}

/// The accounts directly in the root or in the unit of this id; none where there is no such thing.
pub(super) fn accounts_of(state: &State, id: &str) -> Option<Vec<String>> {
    let names = Names::of(state);
    let (first, others) = state.accounts.split_at(1);
    let accounts = match id {
        id if id == names.root => first,
        id if id == names.unit => others,
        _ => return None,
    };
    Some(accounts.iter().map(|it| it.id.to_string()).collect())
}

/// What a child is in: it has one parent (API reference, ListParents).
fn list_parents(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    managed(call)?;
    let page = page(call, &input)?;
    let names = Names::of(call.state);
    let id = input["ChildId"].as_str().unwrap_or_default();
    let at = call.state.accounts.iter().position(|it| *it.id == *id);
    let parent = match at {
        Some(0) => json!({"Id": names.root, "Type": "ROOT"}),
        Some(_) => json!({"Id": names.unit, "Type": "ORGANIZATIONAL_UNIT"}),
        None if id == names.unit => json!({"Id": names.root, "Type": "ROOT"}),
        None => {
            let message = "You specified a child that doesn't exist.";
            return Err(AwsError::new("ChildNotFoundException", message));
        }
    };
    let (parents, next) = page.cut([parent]);
    Ok(json!({"Parents": parents, "NextToken": next}))
}

fn list_tags(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let id = input["ResourceId"].as_str().unwrap_or_default();
    let names = Names::of(call.state);
    let known = call.state.accounts.iter().find(|it| *it.id == *id);
    if known.is_none() && id != names.root && id != names.unit {
        let message =
            "We can't find a root, OU, account, or policy with the TargetId that you specified.";
        return Err(AwsError::new("TargetNotFoundException", message));
    }
    let tags = known.map(|it| json!({"Key": "Name", "Value": &*it.name}));
    Ok(json!({"Tags": Vec::from_iter(tags)}))
}

/// Only the managing account lists the others (API reference, ListAccounts).
fn managed(call: &Call<'_>) -> Result<(), AwsError> {
    if call.account_id() == &*call.state.accounts[0].id {
        return Ok(());
    }
    let message = "You don't have permissions to access this resource.";
    Err(AwsError::new("AccessDeniedException", message))
}

fn parent<'v>(names: &Names, input: &'v Value) -> Result<&'v str, AwsError> {
    let id = input["ParentId"].as_str().unwrap_or_default();
    if id == names.root || id == names.unit {
        return Ok(id);
    }
    let message = "You specified parent that doesn't exist.";
    Err(AwsError::new("ParentNotFoundException", message))
}

fn page(call: &Call<'_>, input: &Value) -> Result<Page, AwsError> {
    let wrong = |_| {
        AwsError::new("InvalidInputException", "You specified an invalid value for nextToken.")
            .with_member("Reason", "INVALID_NEXT_TOKEN")
    };
    Page::of(call, input, PAGE).map_err(wrong)
}

fn account(call: &Call<'_>, account: &Account) -> Value {
    let names = Names::of(call.state);
    json!({
        "Id": &*account.id,
        "Arn": names.account_arn(&account.id),
        "Name": &*account.name,
        "Email": email(account),
        "Status": "ACTIVE",
        "State": "ACTIVE",
        "JoinedMethod": "CREATED",
        "JoinedTimestamp": seconds(earlier(call.state.now, Duration::from_hours(24 * 800))),
    })
}

fn email(account: &Account) -> String {
    format!("{}@example.com", account.name)
}

/// The names that follow from the seed.
struct Names {
    managing: String,
    organization: String,
    root: String,
    unit: String,
}

impl Names {
    fn of(state: &State) -> Self {
        let number = mix(state.seed ^ 0x0126);
        let root = format!("{:04x}", number & 0xFFFF);
        Self {
            managing: state.accounts[0].id.to_string(),
            organization: format!("o-{:010x}", number >> 24),
            unit: format!("ou-{root}-{:08x}", number >> 32),
            root: format!("r-{root}"),
        }
    }

    fn account_arn(&self, id: &str) -> String {
        let Self { managing, organization, .. } = self;
        format!("arn:aws:organizations::{managing}:account/{organization}/{id}")
    }
}
