//! GetInventory: nodes with their inventory, and counts of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        super::{
            AwsError, Call, input, object,
            page::{Page, answer},
        },
        filter::Test,
    },
    Filter, no_such_filter,
    puts::Put,
    schema,
};
use crate::cloud::world::{
    State,
    inventory::{Kind, stamp},
    machine::MachineIx,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    aggregators: Vec<Aggregator>,
    #[serde(default)]
    result_attributes: Vec<ResultAttribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Aggregator {
    expression: Option<String>,
    #[serde(default)]
    aggregators: Vec<Value>,
    #[serde(default)]
    groups: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultAttribute {
    type_name: String,
}

/// A filter whose key is understood.
struct Wanted<'a> {
    kind: Wanting<'a>,
    test: Test,
    values: &'a [String],
}

enum Wanting<'a> {
    /// An attribute of AWS:InstanceInformation, which every node has once.
    Information(&'a str),
    Attribute(Kind, &'a str),
    Custom(&'a str, &'a str),
    /// A type that no agent here reports.
    Nothing,
}

pub(super) fn get(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, 50)?;
    let Input { filters, aggregators, result_attributes } = input(value)?;
    let kind = match result_attributes.first().map(|it| it.type_name.as_str()) {
        None | Some("AWS:InstanceInformation") => Kind::InstanceInformation,
        Some("AWS:PatchSummary") => Kind::PatchSummary,
        Some(other) => {
            // The service's own words (aws/aws-sdk issue 640).
            return Err(AwsError::new(
                "InvalidResultAttributeException",
                format!(
                    "Result type name {other} is not supported. Supported type names are: \
                     AWS:InstanceInformation, AWS:PatchSummary. Default result type name is \
                     AWS:InstanceInformation."
                ),
            ));
        }
    };
    let mut wanted = Vec::new();
    for filter in &filters {
        let test = filter.test();
        if test == Test::Exists && aggregators.is_empty() {
            // botocore ssm model, `InventoryFilter`: "must be used with aggregators".
            let message = "The Exists filter must be used with aggregators.";
            return Err(AwsError::new("InvalidFilter", message));
        }
        wanted.push(Wanted { kind: wanting(filter)?, test, values: &filter.values });
    }
    let state = &*call.state;
    let managed = call.here().machines.iter().copied().filter(|at| state.is_managed(*at));
    let passing = managed.filter(|at| wanted.iter().all(|it| it.lets(call, *at)));
    if !aggregators.is_empty() {
        let nodes: Vec<MachineIx> = passing.collect();
        let entities = aggregators.iter().map(|it| count(call, it, &nodes));
        let (entities, next) = page.cut(entities.collect::<Result<Vec<_>, _>>()?);
        return Ok(json!({"Entities": entities, "NextToken": next}));
    }
    let (nodes, next) = page.cut(passing);
    let entities: Vec<Value> = nodes.into_iter().map(|at| entity(state, at, kind)).collect();
    Ok(answer("Entities", entities, next))
}

/// Understands a key, as in `AWS:InstanceInformation.PlatformType`.
fn wanting(filter: &Filter) -> Result<Wanting<'_>, AwsError> {
    let key = filter.key.as_str();
    let Some((name, attribute)) = key.split_once('.').filter(|(_, it)| !it.is_empty()) else {
        return Err(no_such_filter(key));
    };
    if name.starts_with("Custom:") {
        return Ok(Wanting::Custom(name, attribute));
    }
    if schema::has(name, attribute) != Some(true) {
        return Err(no_such_filter(key));
    }
    Ok(match Kind::by_name(name) {
        Some(Kind::InstanceInformation) => Wanting::Information(attribute),
        Some(kind) => Wanting::Attribute(kind, attribute),
        None => Wanting::Nothing,
    })
}

impl Wanted<'_> {
    fn lets(&self, call: &Call<'_>, at: MachineIx) -> bool {
        let state = &*call.state;
        match self.kind {
            Wanting::Information(attribute) => {
                let actual = state.instance_attribute(at, attribute).unwrap_or_default();
                self.test.lets(&actual, self.values)
            }
            Wanting::Attribute(kind, attribute) => {
                let rows = state.inventory(at, kind).map(|it| it.rows).unwrap_or_default();
                let actual = rows.iter().filter_map(|row| row.get(attribute)?.as_str());
                self.test.lets_any(actual, self.values)
            }
            Wanting::Custom(name, attribute) => {
                let id = state.machine(at).aws.as_ref().map_or("", |aws| &aws.id);
                let put = call.here().ssm.inventory.of(id).find(|put| *put.kind == *name);
                let rows = put.map(Put::rows).unwrap_or_default();
                let actual = rows.iter().filter_map(|row| row.get(attribute)?.as_str());
                self.test.lets_any(actual, self.values)
            }
            Wanting::Nothing => self.test == Test::NotEqual,
        }
    }
}

/// A node; its data is empty where it has none of the type.
fn entity(state: &State, at: MachineIx, kind: Kind) -> Value {
    let id = state.machine(at).aws.as_ref().map_or("", |aws| &aws.id);
    let content = state.inventory(at, kind).map(|content| {
        object([
            ("TypeName", kind.name().into()),
            ("SchemaVersion", content.schema.into()),
            ("CaptureTime", stamp(content.captured).into()),
            ("Content", content.rows.into()),
        ])
    });
    let data = content.map_or_else(|| json!({}), |content| object([(kind.name(), content)]));
    object([("Id", id.into()), ("Data", data)])
}

/// Counts nodes by an attribute of AWS:InstanceInformation. Types with many rows, nested
/// aggregators and groups are refused, not counted wrongly.
fn count(call: &Call<'_>, by: &Aggregator, nodes: &[MachineIx]) -> Result<Value, AwsError> {
    let expression = by.expression.as_deref().unwrap_or_default();
    let refused = || {
        let message = format!("The aggregator {expression:?} is not supported.");
        AwsError::new("InvalidAggregatorException", message)
    };
    if !by.aggregators.is_empty() || !by.groups.is_empty() {
        return Err(refused());
    }
    let name = Kind::InstanceInformation.name();
    let content = if expression == name {
        vec![json!({"Count": nodes.len().to_string()})]
    } else {
        let attribute = expression.strip_prefix(name).and_then(|it| it.strip_prefix('.'));
        let attribute =
            attribute.filter(|it| schema::has(name, it) == Some(true)).ok_or_else(refused)?;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for at in nodes {
            let value = call.state.instance_attribute(*at, attribute).unwrap_or_default();
            // Values are counted, and shown, without regard to case (user guide, "Aggregating
            // inventory data": `"PlatformType": "windows"`).
            *counts.entry(value.to_lowercase()).or_default() += 1;
        }
        let rows = counts.into_iter();
        rows.map(|(value, n)| json!({attribute: value, "Count": n.to_string()})).collect()
    };
    let data = json!({name: {"TypeName": name, "SchemaVersion": "1.0", "Content": content}});
    Ok(json!({"Data": data}))
}
