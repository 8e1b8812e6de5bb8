//! `{{ name }}` in a step's inputs.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{Execution, shown};

/// What names mean in one execution.
pub(super) struct Names<'a> {
    pub(super) execution: &'a Execution,
    pub(super) now: Timestamp,
    pub(super) account: &'a Arc<str>,
    pub(super) region: &'a Arc<str>,
}

impl Names<'_> {
    /// A value with every name in it replaced.
    pub(super) fn fill(&self, value: &Value) -> Result<Value, String> {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                let mut filled = Vec::with_capacity(items.len());
                for item in items {
                    match self.fill(item)? {
                        // A list in the place of an item is its items.
                        Value::Array(many) if item.is_string() => filled.extend(many),
                        one => filled.push(one),
                    }
                }
                Ok(Value::Array(filled))
            }
            Value::Object(members) => {
                let filled = members.iter().map(|(name, it)| Ok((name.clone(), self.fill(it)?)));
                filled.collect::<Result<_, String>>().map(Value::Object)
            }
            other => Ok(other.clone()),
        }
    }

    fn text(&self, text: &str) -> Result<Value, String> {
        let mut rest = text;
        let mut filled = String::new();
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else { break };
            let value = self.value(name.trim())?;
            if before.is_empty() && after.is_empty() && filled.is_empty() {
                return Ok(value);
            }
            filled.push_str(before);
            filled.push_str(&shown(&value));
            rest = after;
        }
        filled.push_str(rest);
        Ok(Value::String(filled))
    }

    fn value(&self, name: &str) -> Result<Value, String> {
        let text = |text: String| Ok(Value::String(text));
        match name {
            "global:DATE" => return text(self.now.strftime("%Y-%m-%d").to_string()),
            "global:DATE_TIME" => return text(self.now.strftime("%Y-%m-%d_%H.%M.%S").to_string()),
            "global:REGION" => return text(self.region.to_string()),
            "global:ACCOUNT_ID" => return text(self.account.to_string()),
            "automation:EXECUTION_ID" => return text(self.execution.id.to_string()),
            _ => {}
        }
        if let Some(values) = self.execution.parameters.get(name) {
            return Ok(if self.execution.runbook.is_list(name) {
                many(values)
            } else {
                one(values)
            });
        }
        let output = name.split_once('.').and_then(|(step, output)| {
            let steps = &self.execution.runbook.steps;
            let run = self.execution.steps.iter().rev();
            run.filter(|run| steps[run.place].name == step).find_map(|run| run.outputs.get(output))
        });
        output
            .map(|values| if values.len() == 1 { one(values) } else { many(values) })
            .ok_or_else(|| format!("The name {{{{{name}}}}} has no value."))
    }
}

fn one(values: &[String]) -> Value {
    Value::String(values.first().cloned().unwrap_or_default())
}

fn many(values: &[String]) -> Value {
    Value::from(values.to_vec())
}
