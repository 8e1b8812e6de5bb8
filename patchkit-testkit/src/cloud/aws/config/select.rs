//! Queries over the resources that Config records: instances, managed nodes, their patch compliance,
//! and what the rules say of all of these.

use serde_json::{Value, json};

use super::{
    super::{
        AwsError, Call, Operations,
        resource::{self, Kind, Resource},
    },
    aggregators, evaluate,
    history::{self, PATCHES},
    page,
    rules::Managed,
    sql::Select,
};
use crate::cloud::world::{
    State,
    machine::{AwsKind, Power, ScopeIx},
};

pub(super) const OPERATIONS: Operations = &[
    ("SelectAggregateResourceConfig", select_aggregate_resource_config),
    ("SelectResourceConfig", select_resource_config),
];

/// Results in a page, at most and as usual (API reference).
const PAGE: usize = 100;

const INSTANCE: &str = "AWS::EC2::Instance";
const INVENTORY: &str = "AWS::SSM::ManagedInstanceInventory";
const COMPLIANCE: &str = "AWS::Config::ResourceCompliance";
const TYPES: [&str; 4] = [INSTANCE, INVENTORY, PATCHES, COMPLIANCE];

/// What `*` stands for: the scalar columns of the top level (developer guide, "Query components").
const SCALARS: [&str; 7] = [
    "accountId",
    "arn",
    "awsRegion",
    "resourceCreationTime",
    "resourceId",
    "resourceName",
    "resourceType",
];
const NESTED: [&str; 2] = ["configuration", "tags"];

fn select_resource_config(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let scope = call.scope;
    select(call, &input, std::iter::once(scope))
}

fn select_aggregate_resource_config(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let aggregator = aggregators::named(call, &input)?;
    select(call, &input, aggregator.scopes(call.state))
}

fn select(
    call: &Call<'_>,
    input: &Value,
    scopes: impl Iterator<Item = ScopeIx>,
) -> Result<Value, AwsError> {
    let invalid = |message: String| AwsError::new("InvalidExpressionException", message);
    let text = input["Expression"].as_str().unwrap_or_default();
    let query = Select::read(text)
        .map_err(|error| invalid(format!("The expression is not valid: {error}.")))?;
    if let Some(other) = query.named_columns().into_iter().find(|it| !is_column(it)) {
        return Err(invalid(format!("The column {other} is not known.")));
    }
    let columns: Vec<&str> = match &query.columns[..] {
        [] => SCALARS.to_vec(),
        columns => columns.iter().map(String::as_str).collect(),
    };
    let page = page(call, input, PAGE)?;
    let state = &*call.state;
    let kind = query.must_be("resourceType");
    let verdict = query.must_be("configuration.complianceType");
    let resources = scopes.flat_map(|at| resource::all(state, at));
    let items = resources.flat_map(|it| {
        let kinds = TYPES.into_iter().filter(|of| kind.is_none_or(|kind| kind == *of));
        kinds.flat_map(move |kind| items(state, it, kind, verdict))
    });
    let (found, next) = page.cut(items.filter(|item| query.finds(item)));
    let found: Vec<String> =
        found.iter().map(|item| Select::pick(&columns, item).to_string()).collect();
    let fields: Vec<Value> = columns.iter().map(|name| json!({"Name": name})).collect();
    Ok(json!({"Results": found, "QueryInfo": {"SelectFields": fields}, "NextToken": next}))
}

fn is_column(name: &str) -> bool {
    let top = name.split('.').next().unwrap_or(name);
    SCALARS.contains(&name) || NESTED.contains(&top)
}

/// A machine as the resources of a type that it is.
fn items(
    state: &State,
    resource: Resource<'_>,
    kind: &'static str,
    verdict: Option<&str>,
) -> Vec<Value> {
    match kind {
        INSTANCE => Vec::from_iter(instance(state, resource)),
        INVENTORY => Vec::from_iter(inventory(state, resource)),
        PATCHES => Vec::from_iter(patches(state, resource)),
        _ => compliance(state, resource, verdict),
    }
}

fn item(
    state: &State,
    resource: Resource<'_>,
    kind: &str,
    id: &str,
    configuration: Value,
) -> Value {
    let scope = resource.aws.scope;
    json!({
        "accountId": &*state.account_of(scope).id,
        "awsRegion": &*state.scope(scope).region,
        "resourceType": kind,
        "resourceId": id,
        "configuration": configuration,
    })
}

fn instance(state: &State, resource: Resource<'_>) -> Option<Value> {
    let AwsKind::Ec2(ec2) = &resource.aws.side else { return None };
    let (machine, id) = (state.machine(resource.at), &*resource.aws.id);
    let power = match machine.power {
        Power::Starting => "pending",
        Power::Running => "running",
        Power::Stopping | Power::Deallocating => "stopping",
        Power::Stopped | Power::Deallocated => "stopped",
        Power::Terminated => "terminated",
    };
    let tags = resource.aws.tags.iter();
    let tags: Vec<Value> =
        tags.map(|(key, value)| json!({"key": &**key, "value": &**value})).collect();
    let configuration = json!({
        "instanceId": id,
        "instanceType": ec2.kind,
        "privateIpAddress": machine.address(),
        "state": {"name": power},
        "tags": tags,
    });
    let mut item = item(state, resource, INSTANCE, id, configuration);
    item["arn"] = json!(resource.arn(state));
    item["resourceCreationTime"] =
        json!(machine.created.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string());
    item["tags"] = json!(tags);
    Some(item)
}

fn inventory(state: &State, resource: Resource<'_>) -> Option<Value> {
    resource.aws.registered?;
    let (machine, id) = (state.machine(resource.at), &*resource.aws.id);
    let system = state.system_of(resource.at);
    let lost = resource.kind == Kind::ManagedNode && !state.answers(resource.at);
    // User guide, "Metadata collected by inventory": the service knows of EC2's stops, and only of
    // hybrid nodes that their connection is lost.
    let status = match (machine.power.is_off(), lost) {
        (_, true) => "ConnectionLost",
        (true, _) => "Stopped",
        _ => "Active",
    };
    let row = json!({
        "AgentType": "amazon-ssm-agent",
        "AgentVersion": &*resource.aws.agent_version,
        "ComputerName": machine.name,
        "InstanceId": id,
        "InstanceStatus": status,
        "IpAddress": machine.address(),
        "PlatformName": system.name,
        "PlatformType": if system.is_windows() { "Windows" } else { "Linux" },
        "PlatformVersion": system.version,
        "ResourceType": match resource.kind {
            Kind::Instance => "EC2Instance",
            Kind::ManagedNode => "ManagedInstance",
        },
    });
    let information = json!({"SchemaVersion": "1.0", "Content": {id: row}});
    let configuration = json!({"AWS:InstanceInformation": information});
    Some(item(state, resource, INVENTORY, id, configuration))
}

fn patches(state: &State, resource: Resource<'_>) -> Option<Value> {
    let scan = resource.aws.scan.as_deref()?;
    let id = Managed::Patch.resource_id(&resource.aws.id);
    let content = history::summary(scan)?;
    Some(item(state, resource, PATCHES, &id, json!({"AWS:ComplianceSummary": content})))
}

/// What the rules say of a machine; only of this verdict, where one is given: it is dear to make what
/// is then not found.
fn compliance(state: &State, resource: Resource<'_>, verdict: Option<&str>) -> Vec<Value> {
    let all: Vec<_> = evaluate::of_machine(state, resource).collect();
    let of_type = |managed: Managed| {
        let kind = managed.resource_type();
        let evaluations = || all.iter().filter(|it| it.resource_type() == kind);
        let id = evaluations().next()?.resource_id();
        let word = evaluate::sum(evaluations().map(|it| it.verdict)).word();
        if verdict.is_some_and(|verdict| verdict != word) {
            return None;
        }
        let rules: Vec<Value> = evaluations()
            .map(|it| {
                json!({
                    "configRuleName": it.name,
                    "configRuleId": it.rule.id,
                    "configRuleArn": it.rule.arn(state, resource.aws.scope),
                    "complianceType": it.verdict.word(),
                })
            })
            .collect();
        let configuration = json!({
            "targetResourceType": kind,
            "targetResourceId": id,
            "complianceType": word,
            "configRuleList": rules,
        });
        Some(item(state, resource, COMPLIANCE, &format!("{kind}/{id}"), configuration))
    };
    Managed::ALL.into_iter().filter_map(of_type).collect()
}
