//! The one place where the SDK's errors become ours.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use patchkit_core::{Error, ErrorKind, Retry};

/// The provider's name in errors and scopes.
pub(crate) const PROVIDER: &str = "aws";

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

/// Says what a caller can do about an error. The SDK has retried already, where that was allowed.
///
/// The SDK's error is read and not kept: its `Debug` holds the whole answer of the service, which
/// may hold a secret.
pub(crate) fn classify<E>(call: Call, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if let Some(refused) = no_credentials(error) {
        return refused;
    }
    let (kind, message) = match error {
        SdkError::ServiceError(answer) => {
            let (code, text) = (answer.err().code(), answer.err().message());
            let status = answer.raw().status().as_u16();
            let message = match (code, text.filter(|text| !text.is_empty())) {
                (Some(code), Some(text)) => format!("{code}: {text}"),
                (Some(code), None) => code.to_owned(),
                (None, _) => format!("the service answered {status} and no error code"),
            };
            (of_code(code.unwrap_or_default(), status), message)
        }
        SdkError::TimeoutError(_) => (ErrorKind::Timeout, "no answer came in time".to_owned()),
        // What came of it makes no sense only because it is not all there: the SDK's parsers have
        // errors of their own.
        SdkError::ResponseError(answer) => {
            let status = answer.raw().status().as_u16();
            (ErrorKind::Unexpected, format!("the answer ({status}) broke off"))
        }
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => unsent(error),
        _ => (ErrorKind::Unexpected, error.to_string()),
    };
    let (kind, retry) = match (call, kind) {
        (_, ErrorKind::Throttled) | (Call::Read(_), ErrorKind::Timeout | ErrorKind::Unexpected) => {
            (kind, Retry::Backoff)
        }
        // The service may have acted before its answer was lost, or before it broke.
        (Call::Write(_), ErrorKind::Unexpected | ErrorKind::Malformed) => {
            (ErrorKind::Timeout, Retry::Never)
        }
        _ => (kind, Retry::Never),
    };
    let ours = Error::new(kind, PROVIDER, call.name(), message).with_retry(retry);
    match request_id(error) {
        Some(id) => ours.with_request_id(id),
        None => ours,
    }
}

/// The error of the call that was to get credentials for this one, which was never sent: what is not
/// known of that call leaves nothing open about this one.
fn no_credentials<E: StdError + 'static>(error: &SdkError<E, HttpResponse>) -> Option<Error> {
    let mut cause = error.source()?;
    let first = loop {
        match cause.downcast_ref::<Error>() {
            Some(first) => break first,
            None => cause = cause.source()?,
        }
    };
    let kind = match first.kind() {
        kind @ (ErrorKind::InvalidInput | ErrorKind::PermissionDenied | ErrorKind::Throttled) => {
            kind
        }
        _ => ErrorKind::Unauthenticated,
    };
    let ours = Error::new(kind, PROVIDER, first.operation(), first.message().to_owned())
        .with_retry(first.retry());
    Some(match first.request_id() {
        Some(id) => ours.with_request_id(id),
        None => ours,
    })
}

/// What became of a request that got no answer: never sent for want of credentials or a sound
/// request, or sent and lost.
fn unsent<E: StdError + 'static>(error: &SdkError<E, HttpResponse>) -> (ErrorKind, String) {
    let mut causes = Vec::new();
    let mut kind = match error {
        SdkError::ConstructionFailure(_) => ErrorKind::InvalidInput,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => ErrorKind::Timeout,
        _ => ErrorKind::Unexpected,
    };
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<CredentialsError>() {
            kind = ErrorKind::Unauthenticated;
        }
        let text = cause.to_string();
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        source = cause.source();
    }
    let message = if causes.is_empty() { error.to_string() } else { causes.join(": ") };
    (kind, message)
}

fn request_id<E>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    let headers = error.raw_response()?.headers();
    // The header has a name for the JSON and query services, and another for EC2 and S3.
    let names = ["x-amzn-requestid", "x-amzn-request-id", "x-amz-request-id"];
    names.iter().find_map(|name| headers.get(*name)).map(str::to_owned)
}

/// The kind of an error code of any of the services that PatchKit speaks with.
fn of_code(code: &str, status: u16) -> ErrorKind {
    match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "PriorRequestNotComplete"
        | "EC2ThrottledException"
        | "SlowDown"
        | "TooManyUpdates" => ErrorKind::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "AuthorizationErrorException"
        | "OptInRequired"
        | "OperationNotPermitted"
        | "UnauthorizedOperation" => ErrorKind::PermissionDenied,
        "AuthFailure"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotAuthorized"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => ErrorKind::Unauthenticated,
        "AlreadyExistsException"
        | "AssociationAlreadyExists"
        | "EntityAlreadyExists"
        | "IncorrectInstanceState"
        | "IncorrectState"
        | "OperationAborted"
        | "ResourceConflictException"
        | "ResourceDataSyncAlreadyExistsException"
        // As many as there may be: one must go first.
        | "ResourceDataSyncCountExceededException"
        | "ResourceInUseException"
        | "DocumentAlreadyExists"
        | "BucketAlreadyExists"
        | "BucketAlreadyOwnedByYou"
        | "InvalidGroup.Duplicate"
        | "DeleteConflict"
        | "LimitExceeded" => ErrorKind::Conflict,
        "AssociationDoesNotExist"
        | "AutomationDefinitionNotFoundException"
        | "AutomationExecutionNotFoundException"
        | "DoesNotExistException"
        // The activation may have been deleted (Systems Manager API reference, DeleteActivation).
        | "InvalidActivation"
        | "InvalidActivationId"
        | "InvalidAssociation"
        | "InvalidCommandId"
        | "InvalidDocument"
        | "InvalidInstanceId"
        | "InvalidResourceId"
        | "InvocationDoesNotExist"
        | "NoSuchBucket"
        | "NoSuchBucketPolicy"
        | "NoSuchConfigRuleException"
        | "NoSuchEntity"
        | "NoSuchKey"
        | "NoSuchRemediationConfigurationException"
        | "NotFound"
        | "NotFoundException"
        | "ResourceDataSyncNotFoundException"
        | "ResourceNotDiscoveredException"
        | "ServiceSettingNotFound" => ErrorKind::NotFound,
        code if code.ends_with(".NotFound") => ErrorKind::NotFound,
        "UnsupportedOperatingSystem" | "UnsupportedFeatureRequiredException" => {
            ErrorKind::Unsupported
        }
        code if code.starts_with("Validation") || code.starts_with("Invalid") => {
            ErrorKind::InvalidInput
        }
        // The service gave up on the request, and says nothing of what it did before.
        "RequestTimeout" | "RequestTimeoutException" => ErrorKind::Unexpected,
        _ if status == 429 => ErrorKind::Throttled,
        _ if status >= 500 => ErrorKind::Unexpected,
        "" => ErrorKind::Malformed,
        // The service understood the request, did nothing, and will do nothing the next time.
        _ => ErrorKind::InvalidInput,
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
            ("ThrottlingException", 400, ErrorKind::Throttled),
            ("RequestLimitExceeded", 503, ErrorKind::Throttled),
            ("AccessDeniedException", 400, ErrorKind::PermissionDenied),
            ("UnauthorizedOperation", 403, ErrorKind::PermissionDenied),
            ("ExpiredTokenException", 400, ErrorKind::Unauthenticated),
            ("InvalidInstanceId", 400, ErrorKind::NotFound),
            ("InvalidInstanceID.NotFound", 400, ErrorKind::NotFound),
            ("InvalidInstanceID.Malformed", 400, ErrorKind::InvalidInput),
            ("AlreadyExistsException", 400, ErrorKind::Conflict),
            ("UnsupportedOperatingSystem", 400, ErrorKind::Unsupported),
            ("ValidationException", 400, ErrorKind::InvalidInput),
            ("InternalServerError", 500, ErrorKind::Unexpected),
            ("", 503, ErrorKind::Unexpected),
            ("", 404, ErrorKind::Malformed),
            ("RequestTimeout", 400, ErrorKind::Unexpected),
            ("LearnedLater", 400, ErrorKind::InvalidInput),
        ] {
            assert_eq!(of_code(code, status), kind, "{code}");
        }
    }
}
