//! Errors of the AWS services, before they have a wire format.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::sigv4::{Dialect, Refusal};

/// An error as an operation gives it: by the name of its shape in the service's model, or by the
/// code that all services share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AwsError {
    pub(crate) name: Cow<'static, str>,
    pub(crate) message: String,
    /// None: by the model, else 400.
    pub(crate) status: Option<u16>,
    /// Members of the error's shape besides its message.
    pub(crate) members: Map<String, Value>,
}

impl AwsError {
    pub(crate) fn new(name: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into(), status: None, members: Map::new() }
    }

    /// A request that the model does not allow. Each protocol has a code of its own for it.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    /// A signature or a key that does not open a service, in its words.
    pub(crate) fn unauthenticated(refusal: &Refusal, dialect: Dialect) -> Self {
        let answer = refusal.answer(dialect);
        Self::new(answer.code, answer.message).with_status(answer.status.as_u16())
    }

    /// A page token that is none of this service's, or of another request.
    pub(crate) fn next_token() -> Self {
        Self::new("InvalidNextToken", "The specified token is not valid.")
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub(crate) fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }
}
