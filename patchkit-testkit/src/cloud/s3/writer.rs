//! How the simulator writes objects: beside the server, into the same folder.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use patchkit_core::{Error, ErrorKind, Result};
use tempfile::{NamedTempFile, TempPath};

use super::{Root, failed, guard::is_file_key};

/// Writes objects into the buckets of an [`S3Server`](super::S3Server), and into its lake.
///
/// # Behavior
/// - A reader sees the object as it was before or as it is after, never a part of it.
/// - The lake has the object's key below its own folder, without the bucket.
/// - No key leads out of the bucket.
#[derive(Clone, Debug)]
pub struct BucketWriter {
    root: Arc<Root>,
    lake: Option<Arc<Path>>,
}

impl BucketWriter {
    pub(super) fn open(root: Arc<Root>, lake: Option<PathBuf>) -> Result<Self> {
        if let Some(lake) = &lake {
            let what = lake.display().to_string();
            fs::create_dir_all(lake).map_err(|e| failed("start", &what, e))?;
        }
        Ok(Self { root, lake: lake.map(Into::into) })
    }

    /// Writes an object, over the one that is there.
    ///
    /// # Errors
    /// `InvalidInput` for a key that no file can have, `NotFound` where there is no such bucket,
    /// `Conflict` where one key would be both object and folder; or the disk fails.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> Result<()> {
        let folder = self.root.bucket("put", bucket)?;
        if !is_file_key(key) || key.ends_with('/') {
            return Err(Error::invalid("s3", "put", format!("{key:?} cannot be a file")));
        }
        if !folder.is_dir() {
            return Err(Error::not_found("s3", "put", format!("there is no bucket {bucket}")));
        }
        let fault = |e: io::Error| match e.kind() {
            io::ErrorKind::AlreadyExists
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory => {
                let message = format!("a part of {key} is both an object and a folder");
                Error::new(ErrorKind::Conflict, "s3", "put", message).with_source(e)
            }
            _ => failed("put", key, e),
        };
        // In the root, where s3s-fs has its own, under a name that it clears away when it starts.
        let object = written(self.root.path(), ".tmp.", ".internal.part", bytes).map_err(fault)?;
        // What the server keeps of the last object of this key, its entity tag above all. Without,
        // it reads the object.
        for kind in ["internal", "metadata"] {
            match fs::remove_file(self.root.sidecar(bucket, key, kind)) {
                // A name that is too long is not there either.
                Err(e) if !is_absent(&e) => return Err(fault(e)),
                _ => {}
            }
        }
        place(object, &folder.join(key)).map_err(fault)?;
        match &self.lake {
            Some(lake) => mirror(lake, key, bytes).map_err(fault),
            None => Ok(()),
        }
    }
}

impl BucketWriter {
    /// An object, where it is there and can be read.
    pub(crate) fn read(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let folder = self.root.bucket("get", bucket).ok()?;
        is_file_key(key).then(|| fs::read(folder.join(key)).ok())?
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidFilename | io::ErrorKind::NotFound)
}

/// Writes a file into the lake. It grows beside the lake, where no reader of the lake finds it,
/// unless only the lake itself can be written to.
fn mirror(lake: &Path, key: &str, bytes: &[u8]) -> io::Result<()> {
    let target = lake.join(key);
    let beside = match lake.canonicalize()?.parent() {
        Some(parent) => {
            written(parent, ".lake.", ".part", bytes).and_then(|file| place(file, &target))
        }
        None => Err(io::ErrorKind::NotFound.into()),
    };
    match beside {
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::CrossesDevices
                    | io::ErrorKind::NotFound
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            place(written(lake, ".lake.", ".part", bytes)?, &target)
        }
        done => done,
    }
}

/// A temporary file with this content, which goes when it is dropped.
fn written(folder: &Path, before: &str, after: &str, bytes: &[u8]) -> io::Result<TempPath> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(before).suffix(after);
    // As any other program would write it, and not for this user alone.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file: NamedTempFile = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    Ok(file.into_temp_path())
}

fn place(file: TempPath, target: &Path) -> io::Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    file.persist(target).map_err(|e| e.error)
}
