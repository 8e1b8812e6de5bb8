//! Filters of listings: a key with values, of which one must fit; all filters must.

use serde_json::Value;

use super::super::AwsError;

#[derive(Debug)]
pub(super) struct Filters<'a>(Vec<(&'a str, Vec<&'a str>)>);

impl<'a> Filters<'a> {
    /// The filters of an input; those without values say nothing.
    ///
    /// # Errors
    /// `ValidationException` for a key that is not one of `keys`, or that comes twice.
    pub(super) fn read(input: &'a Value, keys: &[&str]) -> Result<Self, AwsError> {
        let mut read: Vec<(&str, Vec<&str>)> = Vec::new();
        for filter in input["Filters"].as_array().into_iter().flatten() {
            let key = filter["Key"].as_str().unwrap_or_default();
            if !keys.contains(&key) {
                return Err(AwsError::validation(format!(
                    "Invalid filter key: {key}. Valid filter keys: [{}]",
                    keys.join(", ")
                )));
            }
            if read.iter().any(|(before, _)| *before == key) {
                return Err(AwsError::validation(format!("Duplicate filter key: {key}")));
            }
            let values = filter["Values"].as_array().into_iter().flatten();
            read.push((key, values.filter_map(Value::as_str).collect()));
        }
        read.retain(|(_, values)| !values.is_empty());
        Ok(Self(read))
    }

    /// The values of a key, where it is given.
    pub(super) fn get(&self, key: &str) -> Option<&[&'a str]> {
        self.0.iter().find(|(it, _)| *it == key).map(|(_, values)| values.as_slice())
    }

    /// The keys that are given.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(key, _)| *key)
    }

    /// Whether each filter has a value that fits.
    pub(super) fn pass(&self, fits: impl Fn(&str, &str) -> bool) -> bool {
        self.0.iter().all(|(key, values)| values.iter().any(|value| fits(key, value)))
    }
}
