//! The one error type of every provider and workflow.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use crate::{NodeId, Scope};

/// What a fallible call of PatchKit returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// Why a call failed: [what to do](ErrorKind) about it, [when](Retry), and where it happened.
///
/// One pointer wide. `Display` is one line without its source; walk
/// [`source`](StdError::source), or print [`Error::report`], for the whole chain.
///
/// ```
/// use patchkit_core::{Error, ErrorKind, Retry};
///
/// let error = Error::new(ErrorKind::Throttled, "aws", "submit", "rate exceeded")
///     .with_retry(Retry::Backoff)
///     .with_request_id("7b1c");
/// assert_eq!(error.to_string(), "aws submit failed: rate exceeded (request 7b1c)");
/// assert_eq!(error.kind(), ErrorKind::Throttled);
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    provider: &'static str,
    operation: &'static str,
    node: Option<NodeId>,
    scope: Option<Scope>,
    request_id: Option<String>,
    message: Cow<'static, str>,
    source: Option<Source>,
}

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The thing that was named does not exist.
    NotFound,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// The caller's credentials are missing, wrong or expired.
    Unauthenticated,
    /// The service asked for fewer calls.
    Throttled,
    /// The state of the thing forbids the call: it exists already, it is leased, it has moved on.
    Conflict,
    /// The request itself is wrong; the same request fails again.
    InvalidInput,
    /// The provider cannot do this at all; see its `Capabilities`.
    Unsupported,
    /// The node's agent does not answer.
    NodeUnreachable,
    /// The time given was not enough. For a write the outcome is unknown.
    Timeout,
    /// The service's answer could not be understood.
    Malformed,
    /// The caller asked the work to stop.
    Cancelled,
    /// None of the others.
    Unexpected,
}

/// When the same call may be made again.
///
/// The cloud SDKs retry by themselves; what leaves a provider has used that up. A lost answer to a
/// write is never [`Backoff`](Self::Backoff): the write may have happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Retry {
    /// Not without a change.
    Never,
    /// Later, as the workflow sees fit.
    Backoff,
    /// No earlier than this.
    After(Duration),
}

impl Error {
    /// An error that must not be retried, with its place and a message in lower case.
    pub fn new(
        kind: ErrorKind,
        provider: &'static str,
        operation: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner {
            kind,
            retry: Retry::Never,
            provider,
            operation,
            node: None,
            scope: None,
            request_id: None,
            message: message.into(),
            source: None,
        }))
    }

    /// The answer to a call that the provider's capabilities exclude.
    pub fn unsupported(provider: &'static str, operation: &'static str) -> Self {
        Self::new(ErrorKind::Unsupported, provider, operation, "not supported by this provider")
    }

    /// The answer to a name that nothing carries.
    pub fn not_found(
        provider: &'static str,
        operation: &'static str,
        what: impl fmt::Display,
    ) -> Self {
        Self::new(ErrorKind::NotFound, provider, operation, format!("{what} does not exist"))
    }

    /// A request that can never succeed.
    pub fn invalid(
        provider: &'static str,
        operation: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(ErrorKind::InvalidInput, provider, operation, message)
    }

    /// Says when to try again.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Names the node.
    #[must_use]
    pub fn with_node(mut self, node: NodeId) -> Self {
        self.0.node = Some(node);
        self
    }

    /// Says that the error is about this scope alone.
    ///
    /// For those who make one call out of calls to several scopes. A provider of one scope does not
    /// set it, for its listings end at an error.
    #[must_use]
    pub fn with_scope(mut self, scope: Scope) -> Self {
        self.0.scope = Some(scope);
        self
    }

    /// Keeps the service's request id, which its support asks for.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.0.request_id = Some(id.into());
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What the caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// When the call may be repeated.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Whether the same call may be made again at some time.
    pub fn is_retryable(&self) -> bool {
        self.0.retry != Retry::Never
    }

    /// The provider or part of PatchKit that failed.
    pub fn provider(&self) -> &'static str {
        self.0.provider
    }

    /// The call that failed.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The node it was about, where there is one.
    pub fn node(&self) -> Option<&NodeId> {
        self.0.node.as_ref()
    }

    /// The one scope it is about, where the call was about several of them.
    ///
    /// A listing goes on after such an error: the other scopes' items come all the same. Without a
    /// scope an error concerns the whole call, and is the last item of a listing.
    pub fn scope(&self) -> Option<&Scope> {
        self.0.scope.as_ref()
    }

    /// The same error once more, without its cause.
    pub(crate) fn copy(&self) -> Self {
        let Inner { kind, retry, provider, operation, node, scope, request_id, message, .. } =
            &*self.0;
        Self(Box::new(Inner {
            kind: *kind,
            retry: *retry,
            provider,
            operation,
            node: node.clone(),
            scope: scope.clone(),
            request_id: request_id.clone(),
            message: message.clone(),
            source: None,
        }))
    }

    /// The service's request id, where it gave one.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// What went wrong, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The whole chain on one line, for logs and reports.
    pub fn report(&self) -> String {
        let mut line = self.to_string();
        let mut source = StdError::source(self);
        while let Some(cause) = source {
            line.push_str(": ");
            line.push_str(&cause.to_string());
            source = cause.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { provider, operation, node, scope, message, request_id, .. } = &*self.0;
        write!(f, "{provider} {operation} failed")?;
        match (node, scope) {
            (Some(node), _) => write!(f, " on {node}")?,
            (None, Some(scope)) => write!(f, " in {scope}")?,
            (None, None) => {}
        }
        write!(f, ": {message}")?;
        if let Some(id) = request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("retry", &self.0.retry)
            .field("provider", &self.0.provider)
            .field("operation", &self.0.operation)
            .field("node", &self.0.node)
            .field("scope", &self.0.scope)
            .field("request_id", &self.0.request_id)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_never_prints_the_source() {
        let error = Error::new(ErrorKind::Unexpected, "memory", "nodes", "page 2 was lost")
            .with_source("connection reset");
        assert_eq!(error.to_string(), "memory nodes failed: page 2 was lost");
        assert_eq!(error.report(), "memory nodes failed: page 2 was lost: connection reset");
    }

    #[test]
    fn display_names_the_node() {
        let node: NodeId = "aws/111122223333/eu-west-1/i-0abc".parse().unwrap();
        let error = Error::new(ErrorKind::Throttled, "aws", "submit", "rate exceeded")
            .with_node(node.clone());
        assert_eq!(
            error.to_string(),
            "aws submit failed on aws/111122223333/eu-west-1/i-0abc: rate exceeded"
        );
        assert_eq!(error.node(), Some(&node));
    }

    #[test]
    fn display_names_the_scope_unless_the_node_does() {
        let scope: Scope = "aws/111122223333/eu-west-1".parse().unwrap();
        let error = Error::new(ErrorKind::PermissionDenied, "aws", "nodes", "not for you")
            .with_scope(scope.clone());
        assert_eq!(
            error.to_string(),
            "aws nodes failed in aws/111122223333/eu-west-1: not for you"
        );
        assert_eq!(error.scope(), Some(&scope));
        let error = error.with_node("aws/111122223333/eu-west-1/i-0abc".parse().unwrap());
        assert_eq!(
            error.to_string(),
            "aws nodes failed on aws/111122223333/eu-west-1/i-0abc: not for you"
        );
    }

    #[test]
    fn is_one_word() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
