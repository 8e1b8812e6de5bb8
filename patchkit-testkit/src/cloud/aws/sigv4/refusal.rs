//! Why a signature is refused, in the words of each kind of service.

use http::StatusCode;

/// Why a request is refused before its operation is looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub(crate) enum Refusal {
    /// Its time is too far from the server's.
    Expired(String),
    /// Its temporary credentials have ended.
    ExpiredToken,
    /// Its signature cannot be read.
    Incomplete(String),
    /// Its session token is not the one of its key.
    InvalidToken,
    /// Its signature is not the one that its key makes.
    Mismatch(String),
    /// It is not signed.
    Missing,
    /// Its access key is not known.
    UnknownKey,
}

/// How a service words its refusals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub(crate) enum Dialect {
    /// EC2.
    Ec2,
    /// AWS JSON 1.0 and 1.1.
    Json,
    /// The query protocol: IAM, STS, SNS.
    Query,
    /// REST with JSON.
    RestJson,
}

/// A refusal as a service says it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub(crate) struct Answer {
    /// The status of the response.
    pub(crate) status: StatusCode,
    /// The error's code.
    pub(crate) code: &'static str,
    /// The error's message.
    pub(crate) message: String,
}

impl Refusal {
    /// What a service of this kind answers.
    ///
    /// # Behavior
    /// - Codes and statuses are those of each service's page "Common Errors"; EC2 says only
    ///   `AuthFailure` and `RequestExpired` to keys and times that do not fit, as on its page
    ///   "Error codes".
    pub(crate) fn answer(&self, dialect: Dialect) -> Answer {
        let (query, json) = match self {
            Self::Expired(_) | Self::Mismatch(_) => {
                ("SignatureDoesNotMatch", "InvalidSignatureException")
            }
            Self::ExpiredToken => ("ExpiredToken", "ExpiredTokenException"),
            Self::Incomplete(_) => ("IncompleteSignature", "IncompleteSignatureException"),
            Self::InvalidToken | Self::UnknownKey => {
                ("InvalidClientTokenId", "UnrecognizedClientException")
            }
            Self::Missing => ("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
        };
        let query_status = match self {
            Self::Incomplete(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        };
        let (status, code) = match dialect {
            Dialect::Ec2 => match self {
                Self::Expired(_) | Self::ExpiredToken => {
                    (StatusCode::BAD_REQUEST, "RequestExpired")
                }
                Self::InvalidToken | Self::Mismatch(_) | Self::UnknownKey => {
                    (StatusCode::UNAUTHORIZED, "AuthFailure")
                }
                Self::Incomplete(_) | Self::Missing => (query_status, query),
            },
            Dialect::Json => (StatusCode::BAD_REQUEST, json),
            Dialect::Query => (query_status, query),
            Dialect::RestJson => (StatusCode::FORBIDDEN, json),
        };
        let message = match code {
            "AuthFailure" => {
                "AWS was not able to validate the provided access credentials".to_owned()
            }
            "RequestExpired" => "Request has expired.".to_owned(),
            _ => self.message(dialect),
        };
        Answer { status, code, message }
    }

    fn message(&self, dialect: Dialect) -> String {
        match self {
            Self::Expired(message) | Self::Incomplete(message) | Self::Mismatch(message) => {
                message.clone()
            }
            Self::ExpiredToken => "The security token included in the request is expired".into(),
            Self::InvalidToken | Self::UnknownKey => {
                "The security token included in the request is invalid.".into()
            }
            Self::Missing => match dialect {
                Dialect::Ec2 | Dialect::Query => "Request is missing Authentication Token".into(),
                Dialect::Json | Dialect::RestJson => "Missing Authentication Token".into(),
            },
        }
    }
}
