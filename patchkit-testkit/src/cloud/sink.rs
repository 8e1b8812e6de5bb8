//! Where the simulated services write objects.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use patchkit_core::{Error, ErrorKind, Result};

use super::s3::BucketWriter;

/// Takes the objects that services write: a lake, the output of commands.
pub(crate) trait ObjectSink: fmt::Debug + Send + Sync {
    /// Writes an object over the one that is there: a reader sees one of them, never a part.
    ///
    /// # Errors
    /// `NotFound` where there is no such bucket, `InvalidInput` where the key cannot be kept; or the
    /// disk fails.
    fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<()>;
}

impl ObjectSink for BucketWriter {
    fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<()> {
        Self::put(self, bucket, key, &bytes)
    }
}

/// Gives the objects that nodes read: lists and baselines to patch by.
pub(crate) trait ObjectSource: fmt::Debug + Send + Sync {
    /// An object, where it is there.
    fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>>;
}

impl ObjectSource for BucketWriter {
    fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        self.read(bucket, key)
    }
}

/// A folder that takes the objects of every bucket, by their keys alone.
#[derive(Debug)]
pub(crate) struct FolderSink {
    root: PathBuf,
    /// Where objects grow: beside the folder, where none who reads it finds them half written.
    beside: PathBuf,
}

impl FolderSink {
    /// Opens a folder, and makes it where it is not there.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(crate) fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        let beside = root.canonicalize()?.parent().map(Path::to_owned);
        Ok(Self { beside: beside.unwrap_or_else(|| root.clone()), root })
    }

    fn path(&self, key: &str) -> PathBuf {
        key.split('/').fold(self.root.clone(), |path, part| path.join(part))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        match grown(&self.beside, path, bytes) {
            // What is beside it may be of another disk, or not ours.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::CrossesDevices
                        | io::ErrorKind::PermissionDenied
                        | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                grown(&self.root, path, bytes)
            }
            done => done,
        }
    }
}

/// Writes a file that grows in a folder, and is put into its place when it is whole.
fn grown(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".lake.").suffix(".part");
    // As any other program would write it, and not for this user alone.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.into_temp_path().persist(path).map_err(|e| e.error)
}

impl ObjectSink for FolderSink {
    fn put(&self, _: &str, key: &str, bytes: Vec<u8>) -> Result<()> {
        if !key.split('/').all(is_name) {
            return Err(Error::invalid("lake", "put", format!("{key:?} cannot be a file")));
        }
        let path = self.path(key);
        self.write(&path, &bytes).map_err(|error| {
            let message = format!("{} cannot be written", path.display());
            Error::new(ErrorKind::Unexpected, "lake", "put", message).with_source(error)
        })
    }
}

/// Whether a part of a key can be the name of a file, and of one that is below the folder. A name
/// that begins with a dot may be one of our own.
fn is_name(part: &str) -> bool {
    let plain = |c: char| !c.is_control() && !matches!(c, '/' | '\\');
    !part.is_empty() && part.len() <= 255 && !part.starts_with('.') && part.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_takes_the_place_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let sink = FolderSink::open(folder.path().join("lake")).unwrap();
        for text in ["one", "two"] {
            sink.put("any", "AWS:Tag/accountid=1/i-1.json", text.into()).unwrap();
        }
        let path = folder.path().join("lake/AWS:Tag/accountid=1/i-1.json");
        assert_eq!(fs::read_to_string(path).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path().join("lake")).unwrap().count(), 1);
    }

    #[test]
    fn a_reader_of_the_folder_finds_whole_objects_alone() {
        let folder = tempfile::tempdir().unwrap();
        let sink = FolderSink::open(folder.path().join("lake")).unwrap();
        let contents = ["a".repeat(100_000), "b".repeat(300_000)];
        sink.put("any", "it", contents[0].clone().into()).unwrap();
        let writing = std::thread::spawn({
            let contents = contents.clone();
            move || {
                for content in contents.iter().cycle().take(200) {
                    sink.put("any", "it", content.clone().into()).unwrap();
                }
            }
        });
        while !writing.is_finished() {
            let found: Vec<_> = fs::read_dir(folder.path().join("lake")).unwrap().collect();
            assert_eq!(found.len(), 1, "{found:?}");
            let content = fs::read_to_string(folder.path().join("lake/it")).unwrap();
            assert!(contents.contains(&content));
        }
        writing.join().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_key_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let sink = FolderSink::open(folder.path().join("lake")).unwrap();
        for key in ["../up", "a/../../up", "/root", "a//b", "", "a\\..\\b", ".hidden", "a\0b"] {
            assert!(sink.put("any", key, Vec::new()).is_err(), "{key:?}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
