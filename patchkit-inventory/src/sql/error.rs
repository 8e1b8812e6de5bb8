//! What the query engine says, in our words.

use datafusion::{common::Diagnostic, error::DataFusionError, sql::sqlparser::parser::ParserError};
use patchkit_core::{Error, ErrorKind};

const PROVIDER: &str = "sql";

/// A query that is refused.
pub(super) fn refused(message: impl Into<String>) -> Error {
    Error::invalid(PROVIDER, "query", message.into())
}

/// An error of the engine; an error of ours that passed through it comes out as it was.
pub(super) fn classify(error: DataFusionError) -> Error {
    let place = error.diagnostic().and_then(place).unwrap_or_default();
    let error = match ours(error) {
        Ok(ours) => return ours,
        Err(error) => error,
    };
    let root = error.find_root();
    let message = match root {
        DataFusionError::SQL(parser, _) => parse_error(parser),
        other => format!("{}{place}", first_line(&other.strip_backtrace())),
    };
    let kind = match root {
        DataFusionError::NotImplemented(_) => ErrorKind::Unsupported,
        DataFusionError::IoError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::ParquetError(_)
        | DataFusionError::Internal(_)
        | DataFusionError::ExecutionJoin(_) => ErrorKind::Unexpected,
        _ => ErrorKind::InvalidInput,
    };
    Error::new(kind, PROVIDER, "query", message)
}

/// Takes an error of ours out of what the engine has wrapped around it.
fn ours(error: DataFusionError) -> Result<Error, DataFusionError> {
    match error {
        DataFusionError::External(error) => match error.downcast::<Error>() {
            Ok(ours) => Ok(*ours),
            Err(other) => Err(DataFusionError::External(other)),
        },
        DataFusionError::Context(text, inner) => {
            ours(*inner).map_err(|inner| DataFusionError::Context(text, Box::new(inner)))
        }
        DataFusionError::Diagnostic(told, inner) => {
            ours(*inner).map_err(|inner| DataFusionError::Diagnostic(told, Box::new(inner)))
        }
        // Several partitions wait for one error; what it was is in its text and its kind.
        DataFusionError::Shared(shared) => match shared.find_root() {
            DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
                Some(known) => Ok(Error::new(
                    known.kind(),
                    known.provider(),
                    known.operation(),
                    known.message().to_owned(),
                )
                .with_retry(known.retry())),
                None => Err(DataFusionError::Shared(shared)),
            },
            _ => Err(DataFusionError::Shared(shared)),
        },
        other => Err(other),
    }
}

fn place(told: &Diagnostic) -> Option<String> {
    let start = told.span?.start;
    Some(format!(" (line {}, column {})", start.line, start.column))
}

fn parse_error(error: &ParserError) -> String {
    let text = match error {
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
        ParserError::RecursionLimitExceeded => return "the query nests too deep".to_owned(),
    };
    match text.split_once(" at Line: ").map(|(what, place)| (what, place.split_once(", Column: ")))
    {
        Some((what, Some((line, column)))) => format!("{what} (line {line}, column {column})"),
        _ => match text.strip_suffix(", found: EOF") {
            Some(what) => format!("{what} (at the end of the query)"),
            None => text.clone(),
        },
    }
}

/// The engine lists every column that there is behind an unknown one.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_ours_comes_out_as_it_was() {
        let ours = Error::new(ErrorKind::PermissionDenied, "s3", "list", "access denied");
        let wrapped = DataFusionError::External(Box::new(ours)).context("scan").context("join");
        let error = classify(wrapped);
        assert_eq!((error.kind(), error.provider()), (ErrorKind::PermissionDenied, "s3"));
    }

    #[test]
    fn what_the_user_can_put_right_is_invalid_input() {
        for error in [
            DataFusionError::Plan("no such table".to_owned()),
            DataFusionError::ResourcesExhausted("too much".to_owned()),
        ] {
            assert_eq!(classify(error).kind(), ErrorKind::InvalidInput);
        }
        let lost = DataFusionError::IoError(std::io::Error::other("gone"));
        assert_eq!(classify(lost).kind(), ErrorKind::Unexpected);
    }
}
