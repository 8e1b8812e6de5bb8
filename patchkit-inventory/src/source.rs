//! Where the objects of a lake are.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    io::Read,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{Error, ErrorKind, Result};

use crate::InventoryType;

/// The bytes of one object, piece by piece; an error ends it.
pub type ObjectBody = BoxStream<'static, Result<Bytes>>;

/// A place that holds the objects of a lake: a directory, a bucket.
///
/// Keys are relative to the root of the lake and use `/`.
#[async_trait]
pub trait ObjectSource: fmt::Debug + Send + Sync + 'static {
    /// Lists every object of the lake, page by page, as the entries are asked for.
    ///
    /// # Behavior
    /// - Every object comes once.
    /// - A part that cannot be listed comes as [`ListEntry::Unreadable`], and the others go on.
    ///
    /// # Errors
    /// What makes the listing end before its time; a listing that ends so is not whole.
    fn list(&self) -> BoxStream<'static, Result<ListEntry>>;

    /// Opens one object.
    ///
    /// # Behavior
    /// - The body holds the whole object or ends in an error: it is never cut in silence.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `Throttled`.
    async fn get(&self, key: &str) -> Result<ObjectBody>;

    /// How many objects are worth reading at once.
    fn in_flight(&self) -> usize;

    /// The directory that it is, where it is one and nothing more: a pass reads its files without
    /// the way over futures.
    fn as_local(&self) -> Option<&LocalSource> {
        None
    }

    /// Lists the objects of these types, and those of others where that is no more work.
    ///
    /// What [`list`](Self::list) lists does; this is for sources that can leave some out.
    fn list_types(&self, types: &BTreeSet<InventoryType>) -> BoxStream<'static, Result<ListEntry>> {
        let _ = types;
        self.list()
    }
}

/// One entry of a listing.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListEntry {
    /// An object.
    Object {
        /// Its key.
        key: Arc<str>,
        /// Its size in bytes, where the listing tells.
        size: Option<u64>,
    },
    /// A part of the lake that could not be listed.
    Unreadable {
        /// Its key, or the beginning of its keys.
        key: Arc<str>,
        /// Why.
        problem: String,
    },
}

/// A lake in a local directory.
///
/// Reads files when it is polled, without a hop to another thread: a scan polls it on threads of
/// its own, and nothing else should poll it where other futures wait.
///
/// # Behavior
/// - Directories are walked in the order of their names. Links to directories are not followed, and
///   what is neither file nor directory is not opened; both are listed as unreadable.
#[derive(Clone, Debug)]
pub struct LocalSource {
    root: PathBuf,
}

/// How much of a file is read at once.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

impl LocalSource {
    /// The lake under `root`.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, or `InvalidInput` where it is no directory.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let metadata =
            fs::metadata(&root).map_err(|e| failed("open", &root.to_string_lossy(), e))?;
        if !metadata.is_dir() {
            let message = format!("{} is not a directory", root.display());
            return Err(Error::invalid("lake", "open", message));
        }
        Ok(Self { root })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Opens the file of a key.
    pub(crate) fn open_file(&self, key: &str) -> Result<File> {
        let relative = Path::new(key);
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            let message = format!("the key {key:?} leads out of the lake");
            return Err(Error::invalid("lake", "get", message));
        }
        File::open(self.root.join(relative)).map_err(|e| failed("get", key, e))
    }

    /// Reads on in a file; nothing is left of it where that is nothing.
    pub(crate) fn read_file(file: &mut File, key: &str, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match file.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                done => return done.map_err(|e| failed("read", key, e)),
            }
        }
    }
}

#[async_trait]
impl ObjectSource for LocalSource {
    fn list(&self) -> BoxStream<'static, Result<ListEntry>> {
        let walk = Walk { root: self.root.clone(), pending: vec![String::new()], types: None };
        stream::iter(walk.flatten().map(Ok)).boxed()
    }

    fn list_types(&self, types: &BTreeSet<InventoryType>) -> BoxStream<'static, Result<ListEntry>> {
        let pending = vec![String::new()];
        let walk = Walk { root: self.root.clone(), pending, types: Some(types.clone()) };
        stream::iter(walk.flatten().map(Ok)).boxed()
    }

    fn as_local(&self) -> Option<&LocalSource> {
        Some(self)
    }

    async fn get(&self, key: &str) -> Result<ObjectBody> {
        let file = self.open_file(key)?;
        let key: Arc<str> = key.into();
        Ok(stream::iter(Pieces { file: Some(file), key }).boxed())
    }

    fn in_flight(&self) -> usize {
        // One file for each worker: a file is read whole before the next one would be opened.
        1
    }
}

fn failed(operation: &'static str, what: &str, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        _ => ErrorKind::Unexpected,
    };
    Error::new(kind, "lake", operation, format!("{what} cannot be read")).with_source(error)
}

/// The pieces of a file.
struct Pieces {
    file: Option<File>,
    key: Arc<str>,
}

impl Iterator for Pieces {
    type Item = Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut file = self.file.take()?;
        let mut piece = Vec::new();
        match (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece) {
            Ok(0) => None,
            Ok(_) => {
                self.file = Some(file);
                Some(Ok(piece.into()))
            }
            Err(error) => Some(Err(failed("read", &self.key, error))),
        }
    }
}

/// Walks a directory, one directory a step.
struct Walk {
    root: PathBuf,
    /// Directories to come, the next one last.
    pending: Vec<String>,
    /// The types that are wanted; all where none are given.
    types: Option<BTreeSet<InventoryType>>,
}

impl Walk {
    /// Whether a folder lies in the partition of a type that is not wanted: the last folder that
    /// names a type is followed by the partitions.
    fn is_unwanted(&self, parent: &str, name: &str) -> bool {
        let ty = parent.rsplit('/').next().unwrap_or_default();
        let Some(types) = &self.types else { return false };
        name.contains('=') && InventoryType::is_type_segment(ty) && {
            let Ok(ty) = ty.parse();
            !types.contains(&ty)
        }
    }
}

impl Iterator for Walk {
    type Item = Vec<ListEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        let folder = self.pending.pop()?;
        let unreadable =
            |key: &str, problem: String| ListEntry::Unreadable { key: key.into(), problem };
        let entries = match fs::read_dir(self.root.join(&folder)) {
            Ok(entries) => entries,
            Err(error) => return Some(vec![unreadable(&folder, error.to_string())]),
        };
        let mut page = Vec::new();
        let mut folders = Vec::new();
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => names.push(entry),
                Err(error) => page.push(unreadable(&folder, error.to_string())),
            }
        }
        names.sort_unstable_by_key(fs::DirEntry::file_name);
        for entry in names {
            let name = entry.file_name();
            let slash = if folder.is_empty() { "" } else { "/" };
            let key = format!("{folder}{slash}{}", name.to_string_lossy());
            if name.to_str().is_none() {
                page.push(unreadable(&key, "its name is not UTF-8".to_owned()));
                continue;
            }
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            let kind = if is_link {
                fs::metadata(entry.path()).map(|m| m.file_type())
            } else {
                entry.file_type()
            };
            match kind {
                Err(error) => page.push(unreadable(&key, error.to_string())),
                Ok(kind) if kind.is_file() => {
                    page.push(ListEntry::Object { key: key.into(), size: None });
                }
                Ok(kind) if kind.is_dir() && !is_link => {
                    let name = name.to_string_lossy();
                    folders.extend((!self.is_unwanted(&folder, &name)).then_some(key));
                }
                // A link may lead round in a circle, and opening a pipe may never return.
                Ok(kind) if kind.is_dir() => {
                    page.push(unreadable(&key, "a link to a directory is not followed".to_owned()));
                }
                Ok(_) => page.push(unreadable(&key, "it is not a regular file".to_owned())),
            }
        }
        self.pending.extend(folders.into_iter().rev());
        Some(page)
    }
}

#[cfg(test)]
mod tests {
    use futures::{TryStreamExt, executor::block_on};

    use super::*;

    fn lake() -> tempfile::TempDir {
        let lake = tempfile::tempdir().unwrap();
        fs::create_dir_all(lake.path().join("b/c")).unwrap();
        fs::write(lake.path().join("b/c/2.json"), "two").unwrap();
        fs::write(lake.path().join("b/1.json"), vec![b'x'; PIECE_BYTES + 1]).unwrap();
        lake
    }

    #[test]
    fn every_file_comes_once_in_order() {
        let lake = lake();
        let source = LocalSource::open(lake.path()).unwrap();
        let entries: Vec<_> = block_on(source.list().try_collect()).unwrap();
        let keys: Vec<_> = entries
            .iter()
            .map(|entry| match entry {
                ListEntry::Object { key, .. } | ListEntry::Unreadable { key, .. } => &**key,
            })
            .collect();
        assert_eq!(keys, ["b/1.json", "b/c/2.json"]);
    }

    #[test]
    fn a_file_comes_in_pieces() {
        let lake = lake();
        let source = LocalSource::open(lake.path()).unwrap();
        let pieces: Vec<_> = block_on(async {
            source.get("b/1.json").await.unwrap().map_ok(|piece| piece.len()).try_collect().await
        })
        .unwrap();
        assert_eq!(pieces, [PIECE_BYTES, 1]);
    }

    #[test]
    fn a_key_never_leads_out_of_the_lake() {
        let lake = lake();
        let source = LocalSource::open(lake.path().join("b/c")).unwrap();
        for key in ["../1.json", "/etc/passwd", "x/../../1.json"] {
            let error = block_on(source.get(key)).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{key}");
        }
        assert_eq!(block_on(source.get("3.json")).err().unwrap().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_lake_that_is_not_there_is_an_error() {
        let lake = lake();
        let missing = LocalSource::open(lake.path().join("x")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        let file = LocalSource::open(lake.path().join("b/1.json")).unwrap_err();
        assert_eq!(file.kind(), ErrorKind::InvalidInput);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_directory_is_named_and_not_followed() {
        let lake = lake();
        std::os::unix::fs::symlink("..", lake.path().join("b/round")).unwrap();
        let source = LocalSource::open(lake.path()).unwrap();
        let entries: Vec<_> = block_on(source.list().try_collect()).unwrap();
        assert_eq!(entries.len(), 3);
        assert!(entries.iter().any(
            |entry| matches!(entry, ListEntry::Unreadable { key, .. } if &**key == "b/round")
        ));
    }
}
