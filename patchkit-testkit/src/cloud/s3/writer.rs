//! How the simulator writes objects: beside the server, into the same folder.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use patchkit_core::{Error, Result};
use tempfile::{NamedTempFile, TempPath};

use super::{Root, failed, guard::is_file_key, names::is_absent};

/// Writes objects into the buckets of an [`S3Server`](super::S3Server).
///
/// # Behavior
/// - A reader sees the object as it was before or as it is after, never a part of it.
/// - No key leads out of the bucket.
#[derive(Clone, Debug)]
pub struct BucketWriter {
    root: Arc<Root>,
}

impl BucketWriter {
    pub(super) fn new(root: Arc<Root>) -> Self {
        Self { root }
    }

    /// Writes an object, over the one that is there.
    ///
    /// # Errors
    /// `InvalidInput` for a key that no file can have, `NotFound` where there is no such bucket; or
    /// the disk fails.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> Result<()> {
        let folder = self.root.bucket("put", bucket)?;
        if !is_file_key(key) || key.ends_with('/') {
            return Err(Error::invalid("s3", "put", format!("{key:?} cannot be a file")));
        }
        if !folder.is_dir() {
            return Err(Error::not_found("s3", "put", format!("the bucket {bucket}")));
        }
        self.write(bucket, key, bytes).map_err(|e| failed("put", key, e))
    }

    fn write(&self, bucket: &str, key: &str, bytes: &[u8]) -> io::Result<()> {
        // In the root, where s3s-fs has its own, under a name that it clears away when it starts.
        let object = written(self.root.path(), bytes)?;
        let file = self.root.make_room(bucket, key)?;
        // What the server keeps of the last object of this key, its entity tag above all. Without,
        // it reads the object.
        for kind in ["internal", "metadata"] {
            match fs::remove_file(self.root.sidecar(bucket, &file, kind)) {
                Err(e) if !is_absent(&e) => return Err(e),
                _ => {}
            }
        }
        object.persist(self.root.path().join(bucket).join(file)).map_err(|e| e.error)
    }

    /// An object, where it is there and can be read.
    pub(crate) fn read(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let folder = self.root.bucket("get", bucket).ok()?;
        is_file_key(key).then(|| fs::read(folder.join(self.root.file_of(bucket, key))).ok())?
    }
}

/// A temporary file with this content, which goes when it is dropped.
fn written(folder: &Path, bytes: &[u8]) -> io::Result<TempPath> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tmp.").suffix(".internal.part");
    // As any other program would write it, and not for this user alone.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file: NamedTempFile = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    Ok(file.into_temp_path())
}
