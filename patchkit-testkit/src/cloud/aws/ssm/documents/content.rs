//! What a document holds: its schema, its parameters, and the platforms that its steps run on.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::cloud::aws::AwsError;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Json,
    Yaml,
    Text,
}

impl Format {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
            Self::Text => "TEXT",
        }
    }
}

/// A document's content, read.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// As it was given.
    pub(crate) text: String,
    pub(crate) format: Format,
    /// What it says; null where it is plain text.
    pub(crate) value: Value,
    /// `2.2`, `0.3`, …
    pub(crate) schema: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) parameters: Vec<Parameter>,
    /// `Windows`, `Linux`, `MacOS`
    pub(crate) platforms: Vec<&'static str>,
    /// SHA-256 of the text, in hexadecimal.
    pub(crate) hash: String,
}

/// A parameter of a document.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// `String`, `StringList`
    pub(crate) kind: String,
    pub(crate) description: Option<String>,
    /// What it is where it is not given; as text also where it is a list. None: it must be given.
    pub(crate) usual: Option<String>,
}

impl Content {
    /// Reads a document of a type.
    ///
    /// # Errors
    /// `InvalidDocumentContent` where it is not of its format or has no steps,
    /// `InvalidDocumentSchemaVersion` where its schema is not one of its type.
    pub(crate) fn read(text: String, format: Format, kind: &str) -> Result<Self, AwsError> {
        let value: Value = match format {
            Format::Text => Value::Null,
            Format::Json => serde_json::from_str(&text).map_err(|error| invalid(&error))?,
            Format::Yaml => serde_saphyr::from_str(&text).map_err(|error| invalid(&error))?,
        };
        if matches!(kind, "Command" | "Automation") {
            check(&value, kind)?;
        }
        let mut hash = String::with_capacity(64);
        for byte in Sha256::digest(text.as_bytes()) {
            // Writing to a string does not fail.
            let _ = write!(hash, "{byte:02x}");
        }
        let owned = |name: &str| value[name].as_str().map(ToOwned::to_owned);
        Ok(Self {
            format,
            schema: owned("schemaVersion"),
            description: owned("description"),
            parameters: parameters(&value),
            platforms: platforms(&value),
            hash,
            value,
            text,
        })
    }

    /// The text in a format, with the format that it is in then: plain text stays what it is.
    ///
    /// # Errors
    /// `InternalServerError` where it cannot be written so.
    pub(crate) fn in_format(&self, wanted: Format) -> Result<(String, Format), AwsError> {
        let failed = |error: &dyn std::fmt::Display| {
            AwsError::new("InternalServerError", error.to_string()).with_status(500)
        };
        match (self.format, wanted) {
            (Format::Text, _) | (_, Format::Text) => Ok((self.text.clone(), self.format)),
            (is, wanted) if is == wanted => Ok((self.text.clone(), is)),
            (_, Format::Json) => serde_json::to_string_pretty(&self.value)
                .map(|text| (text, Format::Json))
                .map_err(|error| failed(&error)),
            (_, Format::Yaml) => serde_saphyr::to_string(&self.value)
                .map(|text| (text, Format::Yaml))
                .map_err(|error| failed(&error)),
        }
    }
}

fn invalid(problem: &dyn std::fmt::Display) -> AwsError {
    AwsError::new("InvalidDocumentContent", format!("The content is not valid: {problem}"))
}

fn check(value: &Value, kind: &str) -> Result<(), AwsError> {
    let schema = value["schemaVersion"].as_str().unwrap_or_default();
    let schemas: &[&str] = if kind == "Automation" { &["0.3"] } else { &["1.2", "2.0", "2.2"] };
    if !schemas.contains(&schema) {
        return Err(AwsError::new(
            "InvalidDocumentSchemaVersion",
            format!("A document of type {kind} has the schema {schemas:?}, not {schema:?}."),
        ));
    }
    let steps = if schema == "1.2" { "runtimeConfig" } else { "mainSteps" };
    let some = match &value[steps] {
        Value::Array(steps) => {
            !steps.is_empty()
                && steps.iter().all(|it| it["action"].is_string() && it["name"].is_string())
        }
        Value::Object(steps) => schema == "1.2" && !steps.is_empty(),
        _ => false,
    };
    if some { Ok(()) } else { Err(invalid(&format!("{steps} has no steps"))) }
}

fn parameters(value: &Value) -> Vec<Parameter> {
    let declared = value["parameters"].as_object().into_iter().flatten();
    let read = declared.map(|(name, it)| Parameter {
        name: name.clone(),
        kind: it["type"].as_str().filter(|it| *it == "StringList").unwrap_or("String").to_owned(),
        description: it["description"].as_str().map(ToOwned::to_owned),
        usual: it.get("default").map(shown),
    });
    read.collect()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// All platforms, less those that no step's plugin runs on.
fn platforms(value: &Value) -> Vec<&'static str> {
    const ALL: [&str; 3] = ["Windows", "Linux", "MacOS"];
    let steps = value["mainSteps"].as_array().into_iter().flatten();
    let actions = steps.filter_map(|it| it["action"].as_str());
    let plugins = value["runtimeConfig"].as_object().into_iter().flatten();
    let mut actions = actions.chain(plugins.map(|(name, _)| name.as_str())).peekable();
    // Shell scripts are for all but Windows; PowerShell is on every platform.
    let only_shell = actions.peek().is_some() && actions.all(|it| it == "aws:runShellScript");
    ALL.into_iter().filter(|it| !(only_shell && *it == "Windows")).collect()
}
