//! Holds a request against the model: what is required, how long, of which pattern, one of what.
//!
//! The wording is the services' own: one message names all that is wrong.

use serde_json::Value;

use super::{
    AwsError,
    model::{Kind, Model, Reference, Shape},
};

/// What is wrong with an input, in the words of AWS; nothing where all is well.
pub(crate) fn validate(model: &Model, input: &Reference, value: &Value) -> Result<(), AwsError> {
    let mut found = Found { model, errors: Vec::new(), mistyped: None };
    if let Some(shape) = model.shape(input) {
        found.walk(shape, value, "", 0);
    }
    if let Some(place) = found.mistyped {
        return Err(AwsError::new("SerializationException", place));
    }
    match found.errors.len() {
        0 => Ok(()),
        1 => Err(AwsError::validation(format!("1 validation error detected: {}", found.errors[0]))),
        n => Err(AwsError::validation(format!(
            "{n} validation errors detected: {}",
            found.errors.join("; ")
        ))),
    }
}

/// The first member that an input must have and lacks.
pub(crate) fn missing<'m>(model: &'m Model, input: &Reference, value: &Value) -> Option<&'m str> {
    let mut required = model.shape(input)?.required.iter();
    required.find(|name| value[&***name].is_null()).map(|name| &**name)
}

struct Found<'a> {
    model: &'a Model,
    errors: Vec<String>,
    mistyped: Option<String>,
}

impl Found<'_> {
    fn walk(&mut self, shape: &Shape, value: &Value, path: &str, depth: usize) {
        // No input of any served operation nests deeper.
        if depth > 32 || self.errors.len() > 50 {
            return;
        }
        match (shape.kind, value) {
            (Kind::Structure, Value::Object(members)) => {
                for name in &shape.required {
                    if members.get(&**name).is_none_or(Value::is_null) {
                        self.refuse("null", &join(path, name), "Member must not be null");
                    }
                }
                for (name, member) in members {
                    if let Some(of) = shape.members.get(name.as_str())
                        && !member.is_null()
                        && let Some(shape) = self.model.shape(of)
                    {
                        self.walk(shape, member, &join(path, name), depth + 1);
                    }
                }
            }
            (Kind::List, Value::Array(items)) => {
                self.length(shape, items.len(), value, path);
                let Some(of) = shape.member.as_ref().and_then(|it| self.model.shape(it)) else {
                    return;
                };
                for (place, item) in items.iter().enumerate() {
                    if !item.is_null() {
                        let path = format!("{path}.{}.member", place + 1);
                        self.walk(of, item, &path, depth + 1);
                    }
                }
            }
            (Kind::Map, Value::Object(entries)) => {
                self.length(shape, entries.len(), value, path);
                let Some(of) = shape.value.as_ref().and_then(|it| self.model.shape(it)) else {
                    return;
                };
                for (key, item) in entries {
                    let path = format!("{path}.{key}.member");
                    self.walk(of, item, &path, depth + 1);
                }
            }
            (Kind::String, Value::String(text)) => self.text(shape, text, path),
            (Kind::Integer | Kind::Long, Value::Number(number)) if !number.is_f64() => {
                self.number(shape, number.as_f64(), value, path);
            }
            (Kind::Float | Kind::Double, Value::Number(number)) => {
                self.number(shape, number.as_f64(), value, path);
            }
            (Kind::Boolean, Value::Bool(_))
            | (Kind::Blob, Value::String(_))
            | (Kind::Timestamp, Value::Number(_) | Value::String(_)) => {}
            _ => {
                let kind = format!("{:?}", shape.kind).to_uppercase();
                self.mistyped =
                    Some(format!("{path}: {} can not be converted to {kind}", what(value)));
            }
        }
    }

    fn text(&mut self, shape: &Shape, text: &str, path: &str) {
        let value = quoted(text);
        self.range(shape, "length", text.chars().count(), &value, path);
        if let Some(one_of) = &shape.one_of
            && !one_of.iter().any(|it| **it == *text)
        {
            let rule = format!("Member must satisfy enum value set: [{}]", one_of.join(", "));
            self.refuse(&value, path, &rule);
        }
        if !shape.matches(text) {
            let pattern = shape.pattern.as_deref().unwrap_or_default();
            let rule = format!("Member must satisfy regular expression pattern: {pattern}");
            self.refuse(&value, path, &rule);
        }
    }

    fn number(&mut self, shape: &Shape, number: Option<f64>, value: &Value, path: &str) {
        let Some(number) = number else { return };
        self.bounds(shape, "value", number, &quoted(value), path);
    }

    fn length(&mut self, shape: &Shape, length: usize, value: &Value, path: &str) {
        self.range(shape, "length", length, &quoted(shown(value)), path);
    }

    fn range(&mut self, shape: &Shape, of: &str, length: usize, value: &str, path: &str) {
        #[expect(clippy::cast_precision_loss, reason = "no request is that long")]
        self.bounds(shape, of, length as f64, value, path);
    }

    fn bounds(&mut self, shape: &Shape, of: &str, number: f64, value: &str, path: &str) {
        if let Some(least) = shape.min.filter(|least| number < *least) {
            let rule = format!("Member must have {of} greater than or equal to {least}");
            self.refuse(value, path, &rule);
        }
        if let Some(most) = shape.max.filter(|most| number > *most) {
            let rule = format!("Member must have {of} less than or equal to {most}");
            self.refuse(value, path, &rule);
        }
    }

    fn refuse(&mut self, value: &str, path: &str, rule: &str) {
        self.errors.push(format!("Value {value} at '{path}' failed to satisfy constraint: {rule}"));
    }
}

/// A member's path, as AWS writes it: each name with a small first letter.
fn join(path: &str, name: &str) -> String {
    let mut letters = name.chars();
    let name: String =
        letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect();
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

fn quoted(text: impl std::fmt::Display) -> String {
    let text = text.to_string();
    // Long enough for every id; an answer need not repeat a megabyte.
    let short: String = text.chars().take(2_048).collect();
    format!("'{short}'")
}

/// A list as AWS writes it in messages: `[a, b]`.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().take(100).map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL_VALUE",
        Value::Bool(_) => "BOOLEAN_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::String(_) => "STRING_VALUE",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
    }
}
