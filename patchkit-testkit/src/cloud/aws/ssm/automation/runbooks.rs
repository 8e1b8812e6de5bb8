//! Runbooks: AWS's own few, and those of an account in the schema 0.3.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Parameters, ScopeIx, State};
use crate::cloud::aws::ssm::documents;

/// A document of the type Automation.
#[derive(Clone, Debug)]
pub(super) struct Runbook {
    pub(super) name: Box<str>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) is_list: bool,
    pub(super) usual: Option<Vec<String>>,
    pub(super) allowed: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) action: String,
    #[serde(default)]
    pub(super) inputs: Map<String, Value>,
    #[serde(default)]
    pub(super) on_failure: Option<String>,
    #[serde(default)]
    pub(super) timeout_seconds: Option<u64>,
    #[serde(default)]
    pub(super) is_end: Option<bool>,
    #[serde(default)]
    pub(super) is_critical: Option<bool>,
    #[serde(default, rename = "nextStep")]
    pub(super) next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    schema_version: String,
    #[serde(default)]
    parameters: serde_json::Map<String, Value>,
    main_steps: Vec<Step>,
}

/// What is wrong with a runbook that was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    Unknown,
    Wrong(String),
}

impl Runbook {
    /// A runbook by its name or its ARN.
    pub(super) fn find(state: &State, scope: ScopeIx, name: &str) -> Result<Arc<Self>, Fault> {
        let found = documents::find(state, scope, name, None);
        // Of AWS's, those of another type are known not to be runbooks.
        let found = found.filter(|it| it.owner != "Amazon" || it.kind == "Automation");
        let found = found.ok_or(Fault::Unknown)?;
        Self::read(&found.name, &found.content.text).map(Arc::new).map_err(Fault::Wrong)
    }

    fn read(name: &str, text: &str) -> Result<Self, String> {
        // JSON is YAML too, and its own reader names the place better.
        let content: Content = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| error.to_string())?
        } else {
            serde_saphyr::from_str(text).map_err(|error| error.to_string())?
        };
        if content.schema_version != "0.3" {
            let version = content.schema_version;
            return Err(format!("a runbook has the schema version 0.3, not {version}"));
        }
        if content.main_steps.is_empty() {
            return Err("a runbook has at least one step".to_owned());
        }
        let parameters = content.parameters.into_iter().map(|(name, it)| Parameter {
            name,
            is_list: it["type"].as_str() == Some("StringList"),
            usual: match &it["default"] {
                Value::Null => None,
                usual => Some(texts(usual)),
            },
            allowed: texts(&it["allowedValues"]),
        });
        Ok(Self { name: name.into(), parameters: parameters.collect(), steps: content.main_steps })
    }

    /// The parameters of an execution: what is given, and the defaults of the rest.
    pub(super) fn complete(&self, given: &Parameters) -> Result<Parameters, String> {
        for (name, values) in given {
            let Some(parameter) = self.parameters.iter().find(|it| it.name == *name) else {
                return Err(format!("The runbook {} has no parameter {name}.", self.name));
            };
            if !parameter.is_list && values.len() != 1 {
                return Err(format!("The parameter {name} takes one value."));
            }
            let allowed = &parameter.allowed;
            if !allowed.is_empty() && !values.iter().all(|value| allowed.contains(value)) {
                return Err(format!("The parameter {name} takes one of {allowed:?}."));
            }
        }
        let mut all = given.clone();
        for parameter in &self.parameters {
            if all.contains_key(&parameter.name) {
                continue;
            }
            match &parameter.usual {
                Some(usual) => all.insert(parameter.name.clone(), usual.clone()),
                None => return Err(format!("The parameter {} is missing.", parameter.name)),
            };
        }
        Ok(all)
    }

    pub(super) fn is_list(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|it| it.name == parameter && it.is_list)
    }
}

/// The texts of a value: one, or those of a list.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(many) => many.iter().map(super::shown).collect(),
        one => vec![super::shown(one)],
    }
}
