//! Command documents of the account's own, in the schemas 2.0 to 2.2.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::documents::{ANY, Document, Does, Parameter, Platform, Rule, Step};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    schema_version: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default)]
    main_steps: Vec<MainStep>,
}

#[derive(Deserialize)]
struct MainStep {
    action: String,
    name: String,
    #[serde(default)]
    precondition: Option<Value>,
    #[serde(default)]
    inputs: Map<String, Value>,
}

/// Reads a document; scripts are run, every other action fails its step.
pub(super) fn read(name: &str, text: &str) -> Result<Document, String> {
    let content: Content = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    } else {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?
    };
    if !content.schema_version.starts_with("2.") || content.main_steps.is_empty() {
        let version = content.schema_version;
        return Err(format!("{name} is no command document: its schema version is {version}."));
    }
    Ok(Document {
        name: name.to_owned(),
        platforms: ANY,
        parameters: parameters(Some(&content.parameters)),
        steps: content.main_steps.into_iter().map(step).collect::<Vec<_>>().into(),
    })
}

/// The parameters that a document's content declares.
pub(super) fn parameters(declared: Option<&Map<String, Value>>) -> Vec<Parameter> {
    declared.into_iter().flatten().map(|(name, it)| parameter(name, it)).collect()
}

fn parameter(name: &str, it: &Value) -> Parameter {
    let allowed: Vec<String> =
        it["allowedValues"].as_array().into_iter().flatten().map(text).collect();
    let rule = if it["type"] == "StringList" {
        Rule::Many
    } else if !allowed.is_empty() {
        Rule::OneOf(allowed)
    } else if let Some(pattern) = it["allowedPattern"].as_str() {
        Rule::Matches(pattern.to_owned())
    } else {
        Rule::Any
    };
    let usual = match &it["default"] {
        Value::Null => None,
        Value::Array(many) => Some(many.first().map(text).unwrap_or_default()),
        one => Some(text(one)),
    };
    Parameter { name: name.to_owned(), usual, rule }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn step(step: MainStep) -> Step {
    let lines = match &step.inputs.get("runCommand") {
        Some(Value::Array(lines)) => lines.iter().map(text).collect(),
        Some(line) => vec![text(line)],
        None => Vec::new(),
    };
    let does = match step.action.as_str() {
        "aws:runShellScript" | "aws:runPowerShellScript" => Does::Lines(lines),
        _ => Does::Unmodelled(step.action.clone()),
    };
    // `{"StringEquals": ["platformType", "Linux"]}`
    let on = step.precondition.as_ref().and_then(|it| match it["StringEquals"][1].as_str()? {
        "Windows" => Some(Platform::Windows),
        "Linux" => Some(Platform::Linux),
        "MacOS" => Some(Platform::MacOs),
        _ => None,
    });
    let folder = format!("{}/{}", step.action.replace(':', ""), step.name);
    Step { name: step.name.into(), folder: folder.into(), on, does }
}
