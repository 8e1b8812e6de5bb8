//! Where the simulated services write objects, and nodes read them.

use std::fmt;

use patchkit_core::Result;

/// Takes the objects that services write: a lake, the output of commands.
pub(crate) trait ObjectSink: fmt::Debug + Send + Sync {
    /// Writes an object over the one that is there.
    ///
    /// # Errors
    /// Where there is no such bucket, or it cannot be written.
    fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<()>;
}

/// Gives the objects that nodes read: lists and baselines to patch by.
pub(crate) trait ObjectSource: fmt::Debug + Send + Sync {
    /// An object, where it is there.
    fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>>;
}
