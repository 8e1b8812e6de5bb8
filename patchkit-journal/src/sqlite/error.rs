//! SQLite's errors as PatchKit's.

use std::sync::Arc;

use patchkit_core::{Error, ErrorKind, NodeId, PerNode, Retry};
use rusqlite::ErrorCode;

/// The name by which errors tell where they come from.
pub(super) const SQLITE: &str = "sqlite";

/// What an error of SQLite means for the caller. None is `Conflict`: that word says that the run is
/// another's.
pub(super) fn classify(operation: &'static str, error: &Arc<rusqlite::Error>) -> Error {
    use ErrorKind::{InvalidInput, Malformed, PermissionDenied, Unexpected};
    let (kind, message) = match error.sqlite_error_code() {
        // Nothing was written: the same write may be made again.
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            let message = "another process is writing to the file";
            return Error::new(Unexpected, SQLITE, operation, message)
                .with_retry(Retry::Backoff)
                .with_source(Arc::clone(error));
        }
        Some(ErrorCode::DiskFull) => (Unexpected, "the disk is full"),
        Some(ErrorCode::SystemIoFailure) => (Unexpected, "the disk failed"),
        Some(ErrorCode::DatabaseCorrupt) => (Malformed, "the file is damaged"),
        Some(ErrorCode::NotADatabase) => (InvalidInput, "the file is no journal"),
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            (PermissionDenied, "the file may not be written")
        }
        Some(ErrorCode::TooBig) => (InvalidInput, "a record is too big"),
        _ => (Unexpected, "the file could not be read or written"),
    };
    Error::new(kind, SQLITE, operation, message).with_source(Arc::clone(error))
}

/// What a row holds is not what was written there.
pub(super) fn malformed(
    operation: &'static str,
    what: String,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(ErrorKind::Malformed, SQLITE, operation, what).with_source(source)
}

/// One error for each of the nodes.
pub(super) fn each<T>(error: &Error, nodes: &[NodeId]) -> PerNode<T> {
    let again = |node: &NodeId| {
        Error::new(error.kind(), SQLITE, error.operation(), error.message().to_owned())
            .with_retry(error.retry())
            .with_node(node.clone())
    };
    nodes.iter().map(|node| (node.clone(), Err(again(node)))).collect()
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn no_error_of_the_file_says_that_the_run_is_anothers() {
        for code in 1..=ffi::SQLITE_NOTADB {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let error = classify("append", &Arc::new(error));
            assert_ne!(error.kind(), ErrorKind::Conflict, "{code}");
            let busy = matches!(code, ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED);
            assert_eq!(error.is_retryable(), busy, "{code}");
        }
    }
}
