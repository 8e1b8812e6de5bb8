//! How those refuse who give tokens.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cloud::{
    azure::reply::Reply,
    shared::{Met, Shared},
    throttle::RetryAfter,
};

/// Who gives tokens: Microsoft Entra ID, or the metadata service of a machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Issuer {
    Entra,
    Machine,
}

impl Issuer {
    /// What a request is answered with that is refused before anything is looked at.
    pub(super) fn refuse(self, shared: &Shared, met: Met) -> Reply {
        match (self, met) {
            (Self::Entra, Met::Throttled(wait)) => too_many(wait),
            // Documented is no more than that one is to wait longer from time to time ("How to use
            // managed identities on a VM to acquire an access token"); the words are those that
            // users report.
            (Self::Machine, Met::Throttled(_)) => of_machine(
                StatusCode::TOO_MANY_REQUESTS,
                "invalid_request",
                "Temporarily throttled, too many requests",
            ),
            (Self::Entra, Met::Denied) => entra(
                shared,
                StatusCode::BAD_REQUEST,
                "unauthorized_client",
                7_000_112,
                "AADSTS7000112: The application is disabled.",
            ),
            (Self::Machine, Met::Denied) => of_machine(
                StatusCode::FORBIDDEN,
                "access_denied",
                "The resource owner or authorization server denied the request.",
            ),
            (issuer, Met::Failed(status)) => {
                let status = StatusCode::from_u16(status);
                issuer.fail(shared, status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
            }
            // These are no refusals.
            (issuer, Met::Pass(_) | Met::Cut) => {
                issuer.fail(shared, StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// What fails inside.
    pub(super) fn fail(self, shared: &Shared, status: StatusCode) -> Reply {
        match self {
            // "Microsoft Entra authentication and authorization error codes"; RFC 6749, 4.1.2.1, has
            // the names.
            Self::Entra if status == StatusCode::SERVICE_UNAVAILABLE => entra(
                shared,
                status,
                "temporarily_unavailable",
                90_033,
                "AADSTS90033: A transient error has occurred. Please try again.",
            ),
            Self::Entra => entra(
                shared,
                status,
                "server_error",
                50_000,
                "AADSTS50000: There was an error issuing a token.",
            ),
            // The same page as of throttling.
            Self::Machine => of_machine(
                status,
                "unknown",
                "Failed to retrieve token from the Active directory. For details see logs in <file path>",
            ),
        }
    }
}

/// Of client credentials the service says no more than this, with `Retry-After: 60` ("Client and
/// server throttling" of MSAL.NET; AzureAD/microsoft-authentication-library-for-dotnet#2855).
fn too_many(wait: Option<RetryAfter>) -> Reply {
    let seconds = wait.map_or(60, RetryAfter::seconds);
    let body = b"Too Many Requests".to_vec();
    Reply { body, ..Reply::empty(StatusCode::TOO_MANY_REQUESTS) }
        .with("content-type", "text/plain; charset=utf-8")
        .with("retry-after", seconds.to_string())
}

pub(super) fn of_machine(status: StatusCode, error: &str, what: &str) -> Reply {
    Reply::json(status, &json!({"error": error, "error_description": what}))
}

/// A refusal in the form of OAuth (RFC 6749, 5.2), with what Entra ID adds.
pub(super) fn entra(
    shared: &Shared,
    status: StatusCode,
    error: &str,
    number: u32,
    what: &str,
) -> Reply {
    let (trace, correlation) = (shared.next_request_id(), shared.next_request_id());
    let now: Timestamp = shared.credential_time();
    let at = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    let description =
        format!("{what} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}");
    let body = json!({
        "error": error,
        "error_description": description,
        "error_codes": [number],
        "timestamp": at,
        "trace_id": trace,
        "correlation_id": correlation,
    });
    Reply::json(status, &body)
}

/// The code of a refusal, as the record has it.
pub(super) fn code(reply: &Reply) -> Option<String> {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let reason = || reply.status.canonical_reason().map(str::to_owned);
    body["error"].as_str().map(str::to_owned).or_else(reason)
}
