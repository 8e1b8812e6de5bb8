//! Rows as the sync writes them, with their fields in order.

use std::{borrow::Cow, fmt::Write as _};

use serde_json::Value;

/// One JSON object of a line.
///
/// Not a `serde_json::Map`: its order depends on a feature that any crate of the build may turn
/// on, and the bytes of a lake must not.
#[derive(Clone, Debug, Default)]
pub(super) struct Row(Vec<(Cow<'static, str>, Value)>);

/// How the counts of a node's rows are written; both are seen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Numbers {
    Text,
    Native,
}

impl Row {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn text(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.push((name.into(), Value::String(value.into())));
        self
    }

    pub(super) fn count(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: u32,
        numbers: Numbers,
    ) -> Self {
        let value = match numbers {
            Numbers::Text => Value::String(value.to_string()),
            Numbers::Native => Value::from(value),
        };
        self.0.push((name.into(), value));
        self
    }

    pub(super) fn push(&mut self, name: &'static str, value: Value) {
        self.0.push((name.into(), value));
    }

    /// Sets a field that is there; says whether it is.
    pub(super) fn replace(&mut self, name: &str, value: Value) -> bool {
        let field = self.0.iter_mut().find(|(field, _)| field == name);
        field.map(|(_, old)| *old = value).is_some()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Its line, without the line's end.
    pub(super) fn render(&self) -> String {
        let mut line = String::from("{");
        for (name, value) in &self.0 {
            let comma = if line.len() > 1 { "," } else { "" };
            // Names are ours and need no escapes; a `String` takes whatever is written to it.
            let _written = write!(line, "{comma}\"{name}\":{value}");
        }
        line.push('}');
        line
    }
}
