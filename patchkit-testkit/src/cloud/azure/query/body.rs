//! The body of a request: what is read of it, and what is refused since it is not modelled.

use serde_json::Value;

use crate::cloud::azure::{ask::Ask, error::ArmError};

/// What a request asks, and whom.
#[derive(Debug)]
pub(super) struct Body<'a> {
    pub(super) query: &'a str,
    /// The subscriptions that it names; none: all of them.
    pub(super) subscriptions: Vec<&'a str>,
    pub(super) options: &'a Value,
}

/// The members of a body and of its options (Resource Graph API, `QueryRequest` and
/// `QueryRequestOptions`). What the service makes of others is not documented: one that is misspelt
/// would widen a query, so that they are refused here.
const MEMBERS: [&str; 5] = ["subscriptions", "managementGroups", "query", "options", "facets"];
const OPTIONS: [&str; 6] =
    ["$skipToken", "$top", "$skip", "resultFormat", "allowPartialScopes", SCOPE_FILTER];

const SCOPE_FILTER: &str = "authorizationScopeFilter";

impl<'a> Body<'a> {
    pub(super) fn read(ask: &'a Ask<'_>) -> Result<Self, ArmError> {
        let bad = |message: String| super::refused("BadRequest", &message);
        let option = |message: String| super::refused("InvalidQueryOptions", &message);
        let body = ask.object()?;
        if let Some(name) = stranger(body, &MEMBERS) {
            return Err(bad(format!("A query has no member '{name}'.")));
        }
        let query = body["query"].as_str().map(str::trim).filter(|it| !it.is_empty());
        let query =
            query.ok_or_else(|| bad("The request has no query, or it is no text.".to_owned()))?;
        for name in ["facets", "managementGroups"] {
            if !is_nothing(&body[name]) {
                return Err(bad(format!("The simulator does not model {name}.")));
            }
        }
        let options = &body["options"];
        if !options.is_null() && !options.is_object() {
            return Err(option("The options are no object.".to_owned()));
        }
        if let Some(name) = stranger(options, &OPTIONS) {
            return Err(option(format!("A query has no option '{name}'.")));
        }
        check(options).map_err(option)?;
        let subscriptions = named(&body["subscriptions"]).map_err(bad)?;
        Ok(Self { query, subscriptions, options })
    }
}

/// The options that change no answer, or are refused where they would. Partial scopes are for queries
/// over more subscriptions than the service takes, which this one knows no limit of. Above a
/// subscription there is nothing here, so that a filter for what is above, too, shows the same.
fn check(options: &Value) -> Result<(), String> {
    let partial = &options["allowPartialScopes"];
    if !partial.is_null() && !partial.is_boolean() {
        return Err("The value of the option 'allowPartialScopes' is not valid.".to_owned());
    }
    let filter = match &options[SCOPE_FILTER] {
        Value::Null => return Ok(()),
        filter => filter.as_str().unwrap_or_default(),
    };
    let is = |name: &&str| name.eq_ignore_ascii_case(filter);
    if ["AtScopeAndBelow", "AtScopeAboveAndBelow"].iter().any(is) {
        return Ok(());
    }
    match ["AtScopeExact", "AtScopeAndAbove"].into_iter().find(is) {
        Some(name) => Err(format!("The simulator does not model the {SCOPE_FILTER} {name}.")),
        None => Err(format!("The value of the option '{SCOPE_FILTER}' is not valid.")),
    }
}

/// A member that is none of these, and says something.
fn stranger<'a>(object: &'a Value, known: &[&str]) -> Option<&'a str> {
    let members = object.as_object()?;
    let mut others = members.iter().filter(|(name, _)| !known.contains(&name.as_str()));
    others.find(|(_, value)| !value.is_null()).map(|(name, _)| name.as_str())
}

/// Whether a list is left out, or has nothing in it.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn named(given: &Value) -> Result<Vec<&str>, String> {
    match given {
        Value::Null => Ok(Vec::new()),
        Value::Array(many) if many.iter().all(Value::is_string) => {
            Ok(many.iter().filter_map(Value::as_str).collect())
        }
        _ => Err("The subscriptions are no list of texts.".to_owned()),
    }
}
