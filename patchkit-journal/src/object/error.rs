//! The stores' errors as PatchKit's.

use patchkit_core::{Error, ErrorKind, NodeId, PerNode};

/// The name by which errors tell where they come from.
pub(super) const OBJECTS: &str = "objects";

/// What an error of the store means for the caller. None is `Conflict`, which says that the run is
/// another's, nor `NotFound`, which says that there is no such run. The store has tried again
/// already where that made sense.
pub(super) fn classify(operation: &'static str, error: object_store::Error) -> Error {
    use object_store::Error as Store;
    let (kind, message) = match &error {
        Store::PermissionDenied { .. } => {
            (ErrorKind::PermissionDenied, "the store does not allow it")
        }
        Store::Unauthenticated { .. } => {
            (ErrorKind::Unauthenticated, "the store does not know the caller")
        }
        Store::NotSupported { .. } | Store::NotImplemented { .. } => {
            (ErrorKind::Unsupported, "the store cannot refuse to overwrite an object")
        }
        Store::NotFound { .. } => (ErrorKind::Unexpected, "the store lost an object, or is gone"),
        _ => (ErrorKind::Unexpected, "the store failed"),
    };
    Error::new(kind, OBJECTS, operation, message).with_source(error)
}

/// What an object holds is not what was written there.
pub(super) fn malformed(operation: &'static str, what: String) -> Error {
    Error::new(ErrorKind::Malformed, OBJECTS, operation, what)
}

/// A run that nobody began.
pub(super) fn not_begun(operation: &'static str, run: &patchkit_core::RunId) -> Error {
    Error::not_found(OBJECTS, operation, run)
}

/// One error for each of the nodes.
pub(super) fn each<T>(error: &Error, nodes: &[NodeId]) -> PerNode<T> {
    nodes.iter().map(|node| (node.clone(), Err(again(error).with_node(node.clone())))).collect()
}

/// The same error for one more caller.
pub(super) fn again(error: &Error) -> Error {
    // The cause cannot be copied, so its words are.
    let source = std::error::Error::source(error).map(ToString::to_string);
    let error = Error::new(error.kind(), OBJECTS, error.operation(), error.message().to_owned())
        .with_retry(error.retry());
    match source {
        Some(source) => error.with_source(source),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_of_the_store_says_that_the_run_is_anothers_or_not_there() {
        use object_store::Error as Store;
        let path = || "p".to_owned();
        for (error, kind) in [
            (Store::NotFound { path: path(), source: "".into() }, ErrorKind::Unexpected),
            (Store::Precondition { path: path(), source: "".into() }, ErrorKind::Unexpected),
            (Store::AlreadyExists { path: path(), source: "".into() }, ErrorKind::Unexpected),
            (Store::Generic { store: "s", source: "".into() }, ErrorKind::Unexpected),
            (
                Store::PermissionDenied { path: path(), source: "".into() },
                ErrorKind::PermissionDenied,
            ),
            (
                Store::Unauthenticated { path: path(), source: "".into() },
                ErrorKind::Unauthenticated,
            ),
            (Store::NotSupported { source: "".into() }, ErrorKind::Unsupported),
        ] {
            assert_eq!(classify("append", error).kind(), kind);
        }
    }
}
