//! Filters: names ANDed, values ORed, `*` and `?` in values.

use globset::{GlobBuilder, GlobMatcher};
use serde_json::Value;

use super::super::{AwsError, texts};
use crate::cloud::world::machine::Tags;

/// The filters of a request.
pub(super) struct Filters(Vec<(String, Vec<Pattern>)>);

enum Pattern {
    Plain(String),
    Glob(GlobMatcher),
}

impl Pattern {
    fn new(text: &str) -> Self {
        if text.contains(['*', '?'])
            && let Ok(glob) = GlobBuilder::new(&escaped(text)).build()
        {
            return Self::Glob(glob.compile_matcher());
        }
        Self::Plain(text.to_owned())
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Plain(text) => text == value,
            Self::Glob(glob) => glob.is_match(value),
        }
    }
}

/// What globs know besides `*` and `?`, EC2 does not.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '[' | ']' | '{' | '}' | '!') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

impl Filters {
    /// The filters of an input, all of names that the operation knows.
    ///
    /// # Errors
    /// `InvalidParameterValue` for another name.
    pub(super) fn of(input: &Value, known: &[&str]) -> Result<Self, AwsError> {
        let mut filters = Vec::new();
        let given = input["Filters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let values: usize =
            given.iter().map(|it| it["Values"].as_array().map_or(0, Vec::len)).sum();
        // EC2 user guide, "List and filter your resources": 50 filters, 200 values.
        if given.len() > 50 || values > 200 {
            let message = "The maximum number of filters or filter values has been exceeded.";
            return Err(AwsError::new("FilterLimitExceeded", message));
        }
        for filter in input["Filters"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let name = filter["Name"].as_str().unwrap_or_default();
            let by_tag = name.starts_with("tag:") && known.contains(&"tag-key");
            if !by_tag && !known.contains(&name) {
                let message = format!("The filter '{name}' is invalid");
                return Err(AwsError::new("InvalidParameterValue", message));
            }
            let values = texts(&filter["Values"]);
            filters.push((name.to_owned(), values.iter().map(|it| Pattern::new(it)).collect()));
        }
        Ok(Self(filters))
    }

    /// Whether something passes all of them, by its values of a name and its tags.
    pub(super) fn pass(&self, tags: &Tags, values: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|(name, patterns)| {
            let any = |value: &str| patterns.iter().any(|it| it.matches(value));
            if let Some(key) = name.strip_prefix("tag:") {
                return tags.iter().any(|(of, value)| **of == *key && any(value));
            }
            match name.as_str() {
                "tag-key" => tags.iter().any(|(key, _)| any(key)),
                "tag-value" => tags.iter().any(|(_, value)| any(value)),
                name => values(name).iter().any(|value| any(value)),
            }
        })
    }
}
