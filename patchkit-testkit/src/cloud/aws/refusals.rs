//! How each service says that it does not do what it was asked.

use super::{
    AwsError, Service,
    model::Protocol,
    sigv4::{self, Dialect},
};
use crate::cloud::record::RecordedCall;

impl Service {
    /// A signature or a key that does not open this service.
    pub(super) fn unauthenticated(&self, refusal: &sigv4::Refusal) -> AwsError {
        let dialect = match self.model.metadata.protocol {
            Protocol::Ec2 => Dialect::Ec2,
            Protocol::Json => Dialect::Json,
            Protocol::Query => Dialect::Query,
            Protocol::RestJson => Dialect::RestJson,
        };
        AwsError::unauthenticated(refusal, dialect)
    }

    /// What the model does not allow, under the service's own name for it.
    pub(super) fn invalid(&self, mut error: AwsError) -> AwsError {
        if error.name == "ValidationException" {
            error.name = match self.name {
                "organizations" => "InvalidInputException",
                "resource-groups" => "BadRequestException",
                "resourcegroupstaggingapi" => "InvalidParameterException",
                _ => "ValidationException",
            }
            .into();
        }
        error
    }

    /// An operation that the service has, and this simulator not.
    pub(super) fn unserved(&self, operation: &str) -> AwsError {
        let message = format!("the simulator does not serve {operation}");
        match self.model.metadata.protocol {
            Protocol::Query | Protocol::Ec2 => AwsError::new("InvalidAction", message),
            _ => AwsError::new("UnknownOperationException", message),
        }
    }

    /// A member of an input that would do what this simulator does not.
    pub(super) fn unmodelled(&self, operation: &str, member: &str) -> AwsError {
        let message = format!("The simulator does not model {member} of {operation}.");
        let name = match self.name {
            // EC2 API reference, "Client error codes".
            "ec2" => "UnsupportedOperation",
            "sns" => "InvalidParameterException",
            _ => return self.invalid(AwsError::validation(message)),
        };
        AwsError::new(name, message)
    }

    /// Too many requests, in the service's own words.
    pub(super) fn throttled(&self) -> AwsError {
        match self.name {
            // EC2 API reference, "Client error codes"; its throttles come with a 503.
            "ec2" => {
                AwsError::new("RequestLimitExceeded", "Request limit exceeded.").with_status(503)
            }
            "iam" | "sts" | "sns" => AwsError::new("Throttling", "Rate exceeded"),
            "organizations" => AwsError::new("TooManyRequestsException", "Rate exceeded"),
            "resource-groups" => {
                AwsError::new("TooManyRequestsException", "Rate exceeded").with_status(429)
            }
            "resourcegroupstaggingapi" => AwsError::new("ThrottledException", "Rate exceeded"),
            _ => AwsError::new("ThrottlingException", "Rate exceeded"),
        }
    }

    /// A failure inside the service.
    pub(super) fn failed(&self, status: u16) -> AwsError {
        let name = match (self.name, status) {
            ("ec2", 503) => "Unavailable",
            ("ec2", _) => "InternalError",
            (_, 503) => "ServiceUnavailable",
            ("iam", _) => "ServiceFailure",
            ("ssm", _) => "InternalServerError",
            ("resource-groups" | "config", _) => "InternalServerErrorException",
            ("resourcegroupstaggingapi", _) => "InternalServiceException",
            ("organizations", _) => "ServiceException",
            _ => "InternalFailure",
        };
        AwsError::new(name, "We encountered an internal error. Please try again.")
            .with_status(status)
    }

    pub(super) fn denied(&self, outcome: &RecordedCall) -> AwsError {
        let (caller, operation) = (&outcome.caller, &outcome.operation);
        let action = match self.name {
            "resourcegroupstaggingapi" => "tag",
            name => name,
        };
        let message = format!("User: {caller} is not authorized to perform: {action}:{operation}");
        match self.model.metadata.protocol {
            Protocol::Ec2 => {
                let message = "You are not authorized to perform this operation.";
                AwsError::new("UnauthorizedOperation", message).with_status(403)
            }
            Protocol::Query => AwsError::new("AccessDenied", message).with_status(403),
            Protocol::RestJson => AwsError::new("AccessDeniedException", message).with_status(403),
            Protocol::Json => AwsError::new("AccessDeniedException", message),
        }
    }
}

/// EC2's own words for a member that is not there (EC2 API reference, "Error codes",
/// `MissingParameter`); a list has the name of one of its items.
pub(super) fn missing(name: &str) -> AwsError {
    let one = name.strip_suffix('s').filter(|it| it.ends_with("Id")).unwrap_or(name);
    AwsError::new("MissingParameter", format!("The request must contain the parameter {one}"))
}
