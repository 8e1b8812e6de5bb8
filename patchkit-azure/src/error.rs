//! The one place where Azure's errors become ours.

use std::{error::Error as StdError, time::Duration};

use azure_core::{error::ErrorKind as CoreKind, http::Url};
use patchkit_core::{Error, ErrorKind, Retry};
use serde_json::Value;

use crate::client::Reply;

/// The provider's name in errors and scopes.
pub(crate) const PROVIDER: &str = "azure";

/// A call of the API, and whether it may be made twice.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    /// It changes nothing, or comes to the same when it is made again.
    Read(&'static str),
    /// Made once: where its answer is lost, nobody knows whether it acted.
    Write(&'static str),
}

impl Call {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read(name) | Self::Write(name) => name,
        }
    }
}

/// Says what a caller can do about an answer that is no success. The pipeline has retried already,
/// where that was allowed.
pub(crate) fn classify(call: Call, reply: &Reply) -> Error {
    let told = Told::read(&reply.body);
    let message = match (told.code.as_deref(), told.message.as_deref()) {
        (Some(code), Some(text)) => format!("{code}: {text}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => format!("the service answered {} and no error code", reply.status),
    };
    let kind = of_code(told.code.as_deref().unwrap_or_default(), reply.status);
    let ours = ours(call, kind, message, reply.retry_after());
    match reply.request_id() {
        Some(id) => ours.with_request_id(id),
        None => ours,
    }
}

/// Says what a caller can do about a request that got no answer, or half of one.
///
/// The error is read and not kept: it names addresses, of which some are signed.
pub(crate) fn unanswered(call: Call, error: &azure_core::Error) -> Error {
    if let Some(first) = own(error) {
        return again(first);
    }
    let text = causes(error);
    match error.kind() {
        CoreKind::Credential => Error::new(ErrorKind::Unauthenticated, PROVIDER, call.name(), text),
        // No connection was made, so that nothing was sent (azure_core, `ErrorKind::Connection`).
        CoreKind::Connection => Error::new(ErrorKind::Unexpected, PROVIDER, call.name(), text)
            .with_retry(Retry::Backoff),
        CoreKind::Io => {
            let late = text.contains("timed out");
            let kind = if late { ErrorKind::Timeout } else { ErrorKind::Unexpected };
            ours(call, kind, text, None)
        }
        _ => ours(call, ErrorKind::Unexpected, text, None),
    }
}

/// The error of a credential, which leaves nothing open about the request that it was for: that one
/// was never sent.
pub(crate) fn no_credentials(error: &azure_core::Error) -> Error {
    let is_lost = |kind: &CoreKind| matches!(kind, CoreKind::Connection | CoreKind::Io);
    let later = is_busy(error) || kinds(error).any(is_lost);
    let retry = if later { Retry::Backoff } else { Retry::Never };
    Error::new(ErrorKind::Unauthenticated, PROVIDER, "Token", causes(error)).with_retry(retry)
}

/// Whether who gives tokens answered, but not for now. An answer that is no JSON is one of these: Entra ID
/// refuses with a plain `Too Many Requests` (MSAL.NET, "Retry-After header and HTTP 429 error").
pub(crate) fn is_busy(error: &azure_core::Error) -> bool {
    kinds(error).any(|kind| match kind {
        CoreKind::HttpResponse { status, .. } => {
            matches!(u16::from(*status), 408 | 429 | 500..=599)
        }
        CoreKind::DataConversion => true,
        _ => false,
    })
}

/// The kinds of an error and of those behind it: azure_identity wraps each in one of kind `Credential`.
fn kinds(error: &azure_core::Error) -> impl Iterator<Item = &CoreKind> {
    let first: &(dyn StdError + 'static) = error;
    let all = std::iter::successors(Some(first), |error| StdError::source(*error));
    all.filter_map(|it| it.downcast_ref::<azure_core::Error>()).map(azure_core::Error::kind)
}

fn ours(call: Call, kind: ErrorKind, message: String, after: Option<Duration>) -> Error {
    let (kind, retry) = match (call, kind) {
        (_, ErrorKind::Throttled) => (kind, after.map_or(Retry::Backoff, Retry::After)),
        (Call::Read(_), ErrorKind::Timeout | ErrorKind::Unexpected) => (kind, Retry::Backoff),
        // The service may have acted before its answer was lost, or before it broke.
        (Call::Write(_), ErrorKind::Unexpected | ErrorKind::Malformed) => {
            (ErrorKind::Timeout, Retry::Never)
        }
        _ => (kind, Retry::Never),
    };
    Error::new(kind, PROVIDER, call.name(), message).with_retry(retry)
}

/// An error of ours that went through a pipeline.
pub(crate) fn own<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Error> {
    let mut cause = error;
    loop {
        match cause.downcast_ref::<Error>() {
            Some(first) => return Some(first),
            None => cause = cause.source()?,
        }
    }
}

/// The same error once more: one call that failed answers for many nodes.
pub(crate) fn again(error: &Error) -> Error {
    let mut copy =
        Error::new(error.kind(), error.provider(), error.operation(), error.message().to_owned())
            .with_retry(error.retry());
    if let Some(id) = error.request_id() {
        copy = copy.with_request_id(id);
    }
    if let Some(scope) = error.scope() {
        copy = copy.with_scope(scope.clone());
    }
    copy
}

/// What an answer says of its error: ARM's envelope, or the one that some providers send without it.
struct Told {
    code: Option<String>,
    message: Option<String>,
}

impl Told {
    fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = if body["error"].is_object() { &body["error"] } else { &body };
        let text = |key: &str| {
            let text = error[key].as_str().filter(|text| !text.is_empty())?;
            Some(shown(text))
        };
        Self { code: text("code"), message: text("message") }
    }
}

/// The longest piece of a service's text that is shown.
const MOST_SHOWN: usize = 400;

/// A service's text as it may be shown: on one line, bounded, and without what opens something: the
/// query of an address may be a signature, and a text may quote a token.
pub(crate) fn shown(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        let cut = match (word.find("://"), word.find("eyJ")) {
            (Some(_), _) => word.find(['?', '#']),
            // Where a token of JSON begins, in base64.
            (None, token) => token,
        };
        line.push_str(&word[..cut.unwrap_or(word.len())]);
        if cut.is_some() {
            line.push('…');
        }
        if line.len() > MOST_SHOWN {
            let end = (0..=MOST_SHOWN).rev().find(|at| line.is_char_boundary(*at));
            line.truncate(end.unwrap_or_default());
            line.push('…');
            break;
        }
    }
    line
}

/// Where an address leads, without what it asks for.
pub(crate) fn bounded_url(url: &Url) -> String {
    let host = url.host_str().unwrap_or("nowhere");
    shown(&format!("{}://{host}", url.scheme()))
}

fn causes(error: &azure_core::Error) -> String {
    let mut causes: Vec<String> = vec![shown(&error.to_string())];
    let mut source = StdError::source(error);
    while let Some(cause) = source {
        let text = shown(&cause.to_string());
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        source = cause.source();
    }
    causes.join(": ")
}

/// The kind of an error code of Resource Manager or of one of its providers.
pub(crate) fn of_code(code: &str, status: u16) -> ErrorKind {
    // The codes of a throttle are many (`OperationNotAllowed` among them); the status is one.
    if status == 429 {
        return ErrorKind::Throttled;
    }
    match code {
        "TooManyRequests" | "RateLimiting" | "SubscriptionRequestsThrottled" => {
            ErrorKind::Throttled
        }
        "AuthorizationFailed"
        | "LinkedAuthorizationFailed"
        | "AccessDenied"
        | "DisallowedOperation"
        | "RequestDisallowedByPolicy"
        | "RequestDisallowedByAzure" => ErrorKind::PermissionDenied,
        "AuthenticationFailed"
        | "ExpiredAuthenticationToken"
        | "InvalidAuthenticationToken"
        | "InvalidAuthenticationTokenTenant"
        | "InvalidAuthenticationTokenAudience" => ErrorKind::Unauthenticated,
        "ResourceNotFound"
        | "ResourceGroupNotFound"
        | "SubscriptionNotFound"
        | "ParentResourceNotFound"
        | "InvalidResourceNamespace"
        | "NotFound" => ErrorKind::NotFound,
        "TooManyTags" | "InvalidTagName" | "InvalidTagValue" | "DuplicateTagName" => {
            ErrorKind::InvalidInput
        }
        // What a machine's state, a lock or another operation forbids.
        "AttachDiskWhileBeingDetached"
        | "AllocationFailed"
        | "AnotherOperationInProgress"
        | "ScopeLocked"
        | "SkuNotAvailable"
        | "OverconstrainedAllocationRequest"
        | "QuotaExceeded"
        | "VMAgentStatusCommunicationError" => ErrorKind::Conflict,
        _ => match status {
            401 => ErrorKind::Unauthenticated,
            403 => ErrorKind::PermissionDenied,
            404 | 410 => ErrorKind::NotFound,
            409 | 412 | 423 => ErrorKind::Conflict,
            // The service gave up on the request, and says nothing of what it did before.
            408 | 500..=599 => ErrorKind::Unexpected,
            // The service understood the request, did nothing, and will do nothing the next time.
            400..=499 if !code.is_empty() => ErrorKind::InvalidInput,
            _ => ErrorKind::Malformed,
        },
    }
}

/// A request that PatchKit refuses before it is sent.
pub(crate) fn invalid(operation: &'static str, message: impl Into<String>) -> Error {
    Error::invalid(PROVIDER, operation, message.into())
}

/// An answer without something that the API promises.
pub(crate) fn malformed(operation: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Malformed, PROVIDER, operation, message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_the_caller_can_do() {
        for (code, status, kind) in [
            ("TooManyRequests", 429, ErrorKind::Throttled),
            ("OperationNotAllowed", 429, ErrorKind::Throttled),
            ("RateLimiting", 429, ErrorKind::Throttled),
            ("OperationNotAllowed", 409, ErrorKind::Conflict),
            ("Conflict", 409, ErrorKind::Conflict),
            ("ScopeLocked", 409, ErrorKind::Conflict),
            ("AuthorizationFailed", 403, ErrorKind::PermissionDenied),
            ("RequestDisallowedByPolicy", 403, ErrorKind::PermissionDenied),
            ("ExpiredAuthenticationToken", 401, ErrorKind::Unauthenticated),
            ("LearnedLater", 401, ErrorKind::Unauthenticated),
            ("ResourceNotFound", 404, ErrorKind::NotFound),
            ("LearnedLater", 404, ErrorKind::NotFound),
            ("TooManyTags", 400, ErrorKind::InvalidInput),
            ("InvalidParameter", 400, ErrorKind::InvalidInput),
            ("InternalServerError", 500, ErrorKind::Unexpected),
            ("ServiceUnavailable", 503, ErrorKind::Unexpected),
            ("RequestTimeout", 408, ErrorKind::Unexpected),
            ("", 502, ErrorKind::Unexpected),
            ("", 400, ErrorKind::Malformed),
            ("", 302, ErrorKind::Malformed),
        ] {
            assert_eq!(of_code(code, status), kind, "{code} {status}");
        }
    }

    #[test]
    fn a_lost_write_is_a_timeout_that_nobody_repeats() {
        for (call, kind, expected) in [
            (Call::Write("Start"), ErrorKind::Unexpected, (ErrorKind::Timeout, Retry::Never)),
            (Call::Write("Start"), ErrorKind::Timeout, (ErrorKind::Timeout, Retry::Never)),
            (Call::Read("Get"), ErrorKind::Unexpected, (ErrorKind::Unexpected, Retry::Backoff)),
            (Call::Write("Start"), ErrorKind::Throttled, (ErrorKind::Throttled, Retry::Backoff)),
            (Call::Write("Start"), ErrorKind::Conflict, (ErrorKind::Conflict, Retry::Never)),
        ] {
            let error = ours(call, kind, String::new(), None);
            assert_eq!((error.kind(), error.retry()), expected, "{call:?} {kind:?}");
        }
        let wait = Duration::from_mins(2);
        let error = ours(Call::Write("Start"), ErrorKind::Throttled, String::new(), Some(wait));
        assert_eq!(error.retry(), Retry::After(wait));
    }

    /// As azure_identity 1.0 tells of them.
    #[test]
    fn a_token_that_may_be_had_later_is_asked_for_again_however_it_is_wrapped() {
        let wrapped = |kind: CoreKind| {
            let inner = azure_core::Error::with_message(kind, "inner");
            azure_core::Error::with_error(CoreKind::Credential, inner, "authentication failed")
        };
        let answered = |status: u16| CoreKind::HttpResponse {
            status: status.into(),
            error_code: None,
            raw_response: None,
        };
        for (kind, retry) in [
            (answered(429), Retry::Backoff),
            (answered(503), Retry::Backoff),
            (answered(401), Retry::Never),
            (CoreKind::Connection, Retry::Backoff),
            (CoreKind::Io, Retry::Backoff),
            (CoreKind::DataConversion, Retry::Backoff),
            (CoreKind::Credential, Retry::Never),
        ] {
            let what = format!("{kind:?}");
            let error = no_credentials(&wrapped(kind));
            assert_eq!(
                (error.kind(), error.retry()),
                (ErrorKind::Unauthenticated, retry),
                "{what}"
            );
        }
    }

    #[test]
    fn no_connection_means_that_even_a_write_was_not_sent() {
        let error = azure_core::Error::with_message(CoreKind::Connection, "refused");
        let error = unanswered(Call::Write("Start"), &error);
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unexpected, Retry::Backoff));
    }

    #[test]
    fn neither_a_signature_nor_a_token_is_shown() {
        let text = "error for (https://management.azure.com/operations/1?s=secret&h=x) with \
                    'eyJhbGciOiJSUzI1NiJ9.e30.c2ln'\nand more";
        let line = shown(text);
        assert!(!line.contains("secret") && !line.contains("eyJ"), "{line}");
        assert!(line.starts_with("error for (https://management.azure.com/operations/1…"));
        assert!(line.ends_with("and more"), "{line}");
    }

    #[test]
    fn a_long_text_is_cut() {
        let line = shown(&"word ".repeat(1_000));
        assert!(line.len() <= MOST_SHOWN + '…'.len_utf8(), "{}", line.len());
        assert!(shown(&"x".repeat(10_000)).len() <= MOST_SHOWN + '…'.len_utf8());
    }
}
