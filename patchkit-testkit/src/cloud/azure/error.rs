//! The errors of Azure Resource Manager, in its one envelope.

use std::{
    borrow::Cow,
    ops::{Deref, DerefMut},
};

use http::StatusCode;
use serde_json::{Value, json};

/// An error as ARM answers it: never HTML, never bare text.
#[derive(Clone, Debug)]
pub(crate) struct ArmError(pub(crate) Box<Parts>);

#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) status: StatusCode,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) target: Option<String>,
    pub(crate) details: Vec<Value>,
    pub(crate) inner: Option<Value>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl ArmError {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self(Box::new(Parts {
            status,
            code: code.into(),
            message: message.into(),
            target: None,
            details: Vec::new(),
            inner: None,
            headers: Vec::new(),
        }))
    }

    /// A wrong value, with the place where it stands.
    pub(crate) fn parameter(target: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "InvalidParameter", message);
        error.target = Some(target.into());
        error
    }

    pub(crate) fn bad(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// No resource of this type and name, in the service's words.
    pub(crate) fn resource(kind: &str, name: &str, group: &str) -> Self {
        Self::not_found(
            "ResourceNotFound",
            format!(
                "The Resource '{kind}/{name}' under resource group '{group}' was not found. For \
                 more details please go to https://aka.ms/ARMResourceNotFoundFix"
            ),
        )
    }

    /// The body's `error` object, which a failed operation carries too.
    pub(crate) fn object(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(target) = &self.target {
            error["target"] = json!(target);
        }
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        if let Some(inner) = &self.inner {
            error["innererror"] = inner.clone();
        }
        error
    }
}

impl Deref for ArmError {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for ArmError {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}
