//! How Resource Graph refuses a query.

use std::{borrow::Cow, error::Error, fmt};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Why a query was refused, in the words of the service.
///
/// The shape was read from replies in public issue threads (Azure/azure-powershell 13762,
/// Azure/aztfexport 485, Azure/azqr 847, MicrosoftDocs/azure-docs 45495): HTTP status 400, code
/// `BadRequest`, and a list of details of which the first is `InvalidQuery`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueryError {
    details: Vec<Detail>,
}

/// One entry of a refusal's `details`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Detail {
    /// Its code, such as `ParserFailure` or `UnknownFunction`.
    pub code: Cow<'static, str>,
    /// Its message.
    pub message: String,
    /// Where in the query it is, when the service says so.
    pub position: Option<Position>,
    /// The token that was not understood.
    pub token: Option<String>,
}

/// A place in a query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Position {
    /// The line, from 1; -1 where the service knows none.
    pub line: i64,
    /// The character in its line, from 0; -1 where the service knows none.
    pub character: i64,
}

impl Detail {
    fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), position: None, token: None }
    }
}

impl QueryError {
    /// HTTP status of every refusal.
    pub const STATUS: u16 = 400;

    fn invalid(detail: Detail) -> Self {
        let first = Detail::new(
            "InvalidQuery",
            "Query is invalid. Please refer to the documentation for the Azure Resource Graph \
             service and fix the error before retrying.",
        );
        Self { details: vec![first, detail] }
    }

    /// The text does not follow the grammar at this token.
    pub(super) fn parser(line: i64, character: i64, token: &str) -> Self {
        // Error replies are small; a hostile token is not repeated whole.
        let token: String = token.chars().take(200).collect();
        Self::invalid(Detail {
            position: Some(Position { line, character }),
            token: Some(token),
            ..Detail::new("ParserFailure", "ParserFailure")
        })
    }

    /// A construct of Kusto that Resource Graph does not take.
    ///
    /// The service gives no position for these but -1 (Azure/azure-powershell 13762).
    pub(super) fn language(token: &str) -> Self {
        Self::invalid(Detail {
            position: Some(Position { line: -1, character: -1 }),
            token: Some(token.to_owned()),
            ..Detail::new("InvalidQueryLanguage", "InvalidQueryLanguage")
        })
    }

    /// A table that is not served. The one refusal without `InvalidQuery` in front.
    pub(super) fn table(name: &str) -> Self {
        let message = format!("Table {name} is invalid, unsupported or disallowed.");
        Self { details: vec![Detail::new("DisallowedLogicalTableName", message)] }
    }

    pub(super) fn function(name: &str) -> Self {
        Self::invalid(Detail::new("UnknownFunction", format!("Unknown function: '{name}'.")))
    }

    pub(super) fn column(operator: &str, name: &str) -> Self {
        Self::invalid(Detail::new(
            "Operator_FailedToResolveEntity",
            format!(
                "'{operator}' operator: Failed to resolve column or scalar expression named \
                 '{name}'"
            ),
        ))
    }

    pub(super) fn leading_union(table: &str) -> Self {
        Self::invalid(Detail::new(
            "Operator_FailedToResolveEntity",
            format!("'union' operator: Failed to resolve table named '{table}'"),
        ))
    }

    pub(super) fn join_kind(kind: &str) -> Self {
        Self::invalid(Detail::new(
            "UnsupportedJoinFlavor",
            format!("The join kind \"{kind}\" is not supported or not allowed."),
        ))
    }

    /// A query that parses and still has no meaning.
    pub(super) fn semantic(message: impl Into<String>) -> Self {
        Self::invalid(Detail::new("SemanticError", message))
    }

    /// More of an operator than a query may have.
    pub(super) fn limit(code: &'static str, message: impl Into<String>) -> Self {
        Self::invalid(Detail::new(code, message))
    }

    /// The answer, or a value on the way to it, is larger than the service returns.
    pub(super) fn too_large() -> Self {
        let message = "The response payload exceeds the limit. Please consider querying less data \
                       at a time and make paginated calls if needed.";
        Self { details: vec![Detail::new("ResponsePayloadTooLarge", message)] }
    }

    /// An option of the request that has no valid value.
    pub(super) fn option(code: &'static str, message: impl Into<String>) -> Self {
        Self { details: vec![Detail::new(code, message)] }
    }

    /// What is wrong, from general to particular.
    pub fn details(&self) -> &[Detail] {
        &self.details
    }

    /// The body of the reply.
    pub fn body(&self, now: Timestamp, correlation_id: &str) -> Value {
        let details: Vec<Value> = self.details.iter().map(Detail::body).collect();
        json!({"error": {
            "code": "BadRequest",
            "message": format!(
                "Please provide below info when asking for support: timestamp = {now:.7}, \
                 correlationId = {correlation_id}."
            ),
            "details": details,
        }})
    }
}

impl Detail {
    fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("code".into(), self.code.clone().into());
        body.insert("message".into(), self.message.clone().into());
        if let Some(position) = self.position {
            body.insert("line".into(), position.line.into());
            body.insert("characterPositionInLine".into(), position.character.into());
        }
        if let Some(token) = &self.token {
            body.insert("token".into(), token.clone().into());
        }
        Value::Object(body)
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("resource graph refused the query")?;
        for detail in &self.details {
            write!(f, ": {}", detail.message)?;
            if let (Some(at), Some(token)) = (detail.position, &detail.token) {
                write!(f, " at {}:{} near {token:?}", at.line, at.character)?;
            }
        }
        Ok(())
    }
}

impl Error for QueryError {}
