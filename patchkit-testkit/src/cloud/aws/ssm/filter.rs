//! What filters have in common: those with operators, of nodes, compliance and inventory, and those
//! of listings.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use super::super::AwsError;

/// How a value is held against those of a filter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Test {
    Equal,
    NotEqual,
    BeginWith,
    LessThan,
    GreaterThan,
    /// There is any.
    Exists,
}

impl Test {
    /// Reads the operator of a filter, in any of the spellings of the service: `Equal`,
    /// `BEGIN_WITH`. The model has let no other pass; without one it is `Equal`.
    pub(super) fn read(text: Option<&str>) -> Self {
        match text {
            Some("NotEqual" | "NOT_EQUAL") => Self::NotEqual,
            Some("BeginWith" | "BEGIN_WITH") => Self::BeginWith,
            Some("LessThan" | "LESS_THAN") => Self::LessThan,
            Some("GreaterThan" | "GREATER_THAN") => Self::GreaterThan,
            Some("Exists") => Self::Exists,
            _ => Self::Equal,
        }
    }

    /// Whether the filter lets a value pass: the values of a filter are alternatives.
    pub(super) fn lets(self, actual: &str, values: &[String]) -> bool {
        let mut values = values.iter();
        match self {
            Self::Equal => values.any(|it| it == actual),
            Self::NotEqual => values.all(|it| it != actual),
            Self::BeginWith => values.any(|it| actual.starts_with(it.as_str())),
            Self::LessThan => values.any(|it| order(actual, it) == Ordering::Less),
            Self::GreaterThan => values.any(|it| order(actual, it) == Ordering::Greater),
            Self::Exists => true,
        }
    }

    /// Whether the filter lets a node pass that has any number of values for the key.
    pub(super) fn lets_any<T: AsRef<str>>(
        self,
        actual: impl IntoIterator<Item = T>,
        values: &[String],
    ) -> bool {
        let mut actual = actual.into_iter();
        match self {
            Self::NotEqual => actual.all(|it| self.lets(it.as_ref(), values)),
            _ => actual.any(|it| self.lets(it.as_ref(), values)),
        }
    }
}

/// Numbers by their value, versions by their parts, times as times, all else as text.
fn order(a: &str, b: &str) -> Ordering {
    if let (Some(a), Some(b)) = (numbers(a), numbers(b)) {
        return a.cmp(&b);
    }
    if let (Ok(a), Ok(b)) = (a.parse::<Timestamp>(), b.parse::<Timestamp>()) {
        return a.cmp(&b);
    }
    a.cmp(b)
}

/// `3.3.2299.0` as its numbers, `12` as one.
fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

/// Filters of a listing: keys with values, of which one must fit; all filters must.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lets(test: Test, actual: &str, value: &str) -> bool {
        test.lets(actual, &[value.to_owned()])
    }

    #[test]
    fn numbers_and_versions_are_ordered_by_their_value() {
        assert!(lets(Test::LessThan, "9", "10"));
        assert!(lets(Test::LessThan, "3.1.1260.0", "3.3.2299.0"));
        assert!(lets(Test::GreaterThan, "3.10.0.0", "3.9.0.0"));
        assert!(!lets(Test::GreaterThan, "10", "10"));
    }

    #[test]
    fn times_are_ordered_by_the_instant() {
        assert!(lets(Test::GreaterThan, "2026-11-02T01:00:00Z", "2026-11-02T01:30:00+01:00"));
    }

    #[test]
    fn not_equal_is_of_all_values_and_begin_with_of_any() {
        let values = ["a".to_owned(), "b".to_owned()];
        assert!(!Test::NotEqual.lets("b", &values));
        assert!(Test::NotEqual.lets("c", &values));
        assert!(Test::BeginWith.lets("bcd", &values));
        assert!(!Test::NotEqual.lets_any(["c", "a"], &values));
        assert!(!Test::Equal.lets_any(Vec::<&str>::new(), &values));
    }
}
