//! ListInventoryEntries: the rows of one type of one node.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::super::{AwsError, Call, input, page::Page},
    Filter, no_such_filter, no_such_type, schema,
};
use crate::cloud::world::inventory::{Kind, Row, stamp};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    instance_id: String,
    type_name: String,
    #[serde(default)]
    filters: Vec<Filter>,
}

pub(super) fn list(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, 50)?;
    let Input { instance_id, type_name, filters } = input(value)?;
    let state = &*call.state;
    let Some(at) = state.managed(call, &instance_id) else {
        let message = format!("Instance {instance_id} is not a managed node of this account.");
        return Err(AwsError::new("InvalidInstanceId", message));
    };
    let puts = &call.here().ssm.inventory;
    let custom = type_name.starts_with("Custom:");
    let known = schema::is_type(&type_name) || custom && puts.has_type(&type_name);
    if !known {
        return Err(no_such_type(&type_name));
    }
    let mut tests = Vec::new();
    for filter in &filters {
        // With or without the type's name before it.
        let key = filter.key.strip_prefix(&type_name).and_then(|it| it.strip_prefix('.'));
        let attribute = key.unwrap_or(&filter.key);
        if schema::has(&type_name, attribute) == Some(false) {
            return Err(no_such_filter(&filter.key));
        }
        tests.push((attribute, filter));
    }
    let (captured, version, rows): (_, _, Vec<Row>) = if custom {
        match puts.of(&instance_id).find(|put| *put.kind == *type_name) {
            Some(put) => (Some(put.captured.to_string()), &*put.schema, put.rows().to_vec()),
            None => (None, "1.0", Vec::new()),
        }
    } else {
        let content = Kind::by_name(&type_name).and_then(|kind| state.inventory(at, kind));
        match content {
            Some(it) => (Some(stamp(it.captured)), it.schema, it.rows),
            None => (None, "1.0", Vec::new()),
        }
    };
    let passing = rows.into_iter().filter(|row| {
        tests.iter().all(|(attribute, filter)| {
            let actual = row.get(*attribute).and_then(Value::as_str);
            filter.test().lets_any(actual, &filter.values)
        })
    });
    let (entries, next) = page.cut(passing);
    Ok(json!({
        "TypeName": type_name,
        "InstanceId": instance_id,
        "SchemaVersion": version,
        "CaptureTime": captured,
        "Entries": entries,
        "NextToken": next,
    }))
}
