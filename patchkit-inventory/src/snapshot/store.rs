//! Where a snapshot is kept, and what of it is believed.

use std::{collections::HashSet, fmt, path::Path as FsPath, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, local::LocalFileSystem, path::Path};
use patchkit_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::part::Part;
use crate::{SkipReason, scan::on_thread};

/// Changes whenever an older reader would misread what is written.
const VERSION: u32 = 1;

/// What the manifest begins with, before the version and the checksum of the rest.
const MAGIC: &str = "patchkit-lake-snapshot";

/// How many parts are read or written at once.
const AT_ONCE: usize = 16;

/// A part that no manifest names is let be so long: whoever wrote it may be about to name it.
const GRACE_SECONDS: i64 = 3_600;

/// Where a snapshot is kept: a folder, or a prefix in any store of the `object_store` crate.
///
/// # Layout
/// `manifest` names the parts, `parts/<SHA-256>.arrow` are Arrow IPC files that are never written
/// over. Readers see the manifest before or after a write, and never half of one.
#[derive(Clone)]
pub struct SnapshotStore {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl fmt::Debug for SnapshotStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotStore").field("at", &self.to_string()).finish()
    }
}

impl fmt::Display for SnapshotStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.store, self.prefix)
    }
}

/// Why a snapshot that was kept is not used.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Stale {
    /// There is none.
    Missing,
    /// It is damaged: part of it is missing, cut or altered.
    Torn(String),
    /// Another version of the format, or no snapshot at all.
    OtherVersion,
    /// It is of the lake at this place.
    OtherLake(Option<String>),
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no snapshot"),
            Self::Torn(why) => write!(f, "the snapshot is damaged: {why}"),
            Self::OtherVersion => f.write_str("the snapshot is of another version"),
            Self::OtherLake(Some(place)) => write!(f, "the snapshot is of the lake {place:?}"),
            Self::OtherLake(None) => f.write_str("the snapshot is of a lake that has no name"),
        }
    }
}

/// The list of what a snapshot consists of.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Manifest {
    /// Which lake it is of, where that can be told.
    pub(super) place: Option<String>,
    pub(super) listed: u64,
    pub(super) ignored: u64,
    /// What the listing itself lost, as far as it is listed, and how much.
    pub(super) strays: Vec<(Arc<str>, SkipReason)>,
    pub(super) strays_total: u64,
    pub(super) parts: Vec<PartEntry>,
}

/// One part.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct PartEntry {
    /// The SHA-256 of the file, which is its name.
    pub(super) sha256: String,
    pub(super) bytes: u64,
    /// Its objects that have been written again or are gone, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) gone: Vec<u32>,
}

/// What opening a snapshot came to.
pub(super) type Opened = std::result::Result<(Manifest, Vec<Part>), Stale>;

impl SnapshotStore {
    /// In a folder, which is made where it is not there.
    ///
    /// # Errors
    /// `PermissionDenied`, or `InvalidInput` where it can be no folder.
    pub fn folder(path: impl AsRef<FsPath>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |message: String, kind, error: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(kind, "lake", "snapshot", message).with_source(error)
        };
        std::fs::create_dir_all(path).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                _ => ErrorKind::InvalidInput,
            };
            failed(format!("{} cannot be made a folder", path.display()), kind, error.into())
        })?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(|error| {
            let message = format!("{} cannot be opened", path.display());
            failed(message, ErrorKind::InvalidInput, error.into())
        })?;
        Ok(Self { store: Arc::new(store), prefix: Path::default() })
    }

    /// In a store, below a prefix that holds nothing else.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self { store, prefix: Path::from(prefix) }
    }

    /// Whether there is a snapshot, of whatever version.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn holds_snapshot(&self) -> Result<bool> {
        let manifest = self.get(&self.manifest_path()).await?;
        Ok(manifest.is_some_and(|bytes| bytes.starts_with(MAGIC.as_bytes())))
    }

    fn manifest_path(&self) -> Path {
        self.prefix.clone().join("manifest")
    }

    fn part_path(&self, sha256: &str) -> Path {
        self.prefix.clone().join("parts").join(format!("{sha256}.arrow"))
    }

    async fn get(&self, path: &Path) -> Result<Option<Bytes>> {
        match self.store.get(path).await {
            Ok(found) => found.bytes().await.map(Some).map_err(|error| failed("read", error)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("read", error)),
        }
    }

    /// Reads what is kept.
    ///
    /// # Errors
    /// Where the store does not answer. What it answers wrongly is [`Stale`].
    pub(super) async fn open(&self, place: Option<&str>) -> Result<Opened> {
        let is_other = |manifest: &Manifest| manifest.place.as_deref() != place;
        self.open_unless(is_other).await
    }

    /// Reads what is kept, of whichever lake it is.
    pub(super) async fn open_any(&self) -> Result<Opened> {
        self.open_unless(|_| false).await
    }

    async fn open_unless(&self, is_other: impl Fn(&Manifest) -> bool) -> Result<Opened> {
        let mut text = self.get(&self.manifest_path()).await?;
        loop {
            let Some(bytes) = &text else { return Ok(Err(Stale::Missing)) };
            let manifest = match read_manifest(bytes) {
                Ok(manifest) => manifest,
                Err(stale) => return Ok(Err(stale)),
            };
            if is_other(&manifest) {
                return Ok(Err(Stale::OtherLake(manifest.place)));
            }
            match self.parts(&manifest).await? {
                Ok(parts) => return Ok(Ok((manifest, parts))),
                Err(why) => {
                    // Parts may have been let go since by another process, with a new manifest.
                    let again = self.get(&self.manifest_path()).await?;
                    if again == text {
                        return Ok(Err(Stale::Torn(why)));
                    }
                    text = again;
                }
            }
        }
    }

    /// The manifest that is kept, where it can be believed.
    pub(super) async fn manifest(&self) -> Result<Option<Manifest>> {
        let bytes = self.get(&self.manifest_path()).await?;
        Ok(bytes.and_then(|bytes| read_manifest(&bytes).ok()))
    }

    async fn parts(&self, manifest: &Manifest) -> Result<std::result::Result<Vec<Part>, String>> {
        let reading = stream::iter(manifest.parts.clone())
            .map(|entry| {
                let store = self.clone();
                async move { on_thread("snapshot-read", store.part(entry)).await? }
            })
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        Ok(reading.into_iter().collect())
    }

    async fn part(self, entry: PartEntry) -> Result<std::result::Result<Part, String>> {
        let name = &entry.sha256;
        let Some(bytes) = self.get(&self.part_path(name)).await? else {
            return Ok(Err(format!("the part {name} is missing")));
        };
        if sha256(&bytes) != *name {
            return Ok(Err(format!("the part {name} is not as it was written")));
        }
        Ok(match Part::decode(bytes) {
            Ok(part) if entry.gone.iter().all(|at| (*at as usize) < part.objects.len()) => Ok(part),
            Ok(_) => Err(format!("the part {name} has fewer objects than the manifest says")),
            Err(error) => Err(error.report()),
        })
    }

    /// Writes new parts, which nobody sees before the manifest names them.
    pub(super) async fn write_parts(&self, parts: &[Arc<Part>]) -> Result<Vec<PartEntry>> {
        stream::iter(parts.to_vec())
            .map(|part| {
                let store = self.clone();
                let write = async move {
                    let bytes = part.encode()?;
                    let entry = PartEntry {
                        sha256: sha256(&bytes),
                        bytes: bytes.len() as u64,
                        gone: Vec::new(),
                    };
                    let path = store.part_path(&entry.sha256);
                    // A part that is there already is written again: that keeps it from being swept
                    // before the manifest names it.
                    store.put(&path, bytes).await?;
                    Ok(entry)
                };
                async move { on_thread("snapshot-write", write).await? }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn put(&self, path: &Path, bytes: Bytes) -> Result<()> {
        let put = self.store.put(path, PutPayload::from_bytes(bytes)).await;
        put.map(drop).map_err(|error| failed("write", error))
    }

    /// Writes the manifest, with which all that it names counts, and sweeps what neither it nor the
    /// one before names.
    pub(super) async fn write_manifest(&self, new: &Manifest, before: &Manifest) -> Result<()> {
        let json = serde_json::to_vec(new).map_err(|error| {
            let message = "the manifest cannot be written";
            Error::new(ErrorKind::Unexpected, "lake", "snapshot", message).with_source(error)
        })?;
        let mut bytes = format!("{MAGIC} {VERSION} {}\n", sha256(&json)).into_bytes();
        bytes.extend_from_slice(&json);
        self.put(&self.manifest_path(), bytes.into()).await?;
        // The new manifest stands; what is left to sweep is swept the next time.
        let _ = self.sweep(new, before).await;
        Ok(())
    }

    /// Deletes parts that nobody can be using: whoever read the manifest before this one may still be
    /// at its parts, and who is writing has not named his yet.
    async fn sweep(&self, new: &Manifest, before: &Manifest) -> object_store::Result<()> {
        let named: HashSet<_> = [new, before]
            .into_iter()
            .flat_map(|manifest| &manifest.parts)
            .map(|entry| self.part_path(&entry.sha256))
            .collect();
        let now = self.store.head(&self.manifest_path()).await?.last_modified.timestamp();
        let parts = self.store.list(Some(&self.prefix.clone().join("parts")));
        parts
            .try_for_each_concurrent(AT_ONCE, |part| {
                let is_old = now - part.last_modified.timestamp() > GRACE_SECONDS;
                let is_left = is_old && !named.contains(&part.location);
                async move {
                    if is_left { self.store.delete(&part.location).await } else { Ok(()) }
                }
            })
            .await
    }
}

fn read_manifest(bytes: &[u8]) -> std::result::Result<Manifest, Stale> {
    let (head, json) = match memchr::memchr(b'\n', bytes) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[][..]),
    };
    let head = std::str::from_utf8(head).unwrap_or_default();
    let mut words = head.split(' ');
    let version = VERSION.to_string();
    if words.next() != Some(MAGIC) || words.next() != Some(&version) {
        return Err(Stale::OtherVersion);
    }
    if words.next() != Some(&sha256(json)) {
        return Err(Stale::Torn("the manifest is not as it was written".to_owned()));
    }
    serde_json::from_slice(json).map_err(|error| Stale::Torn(error.to_string()))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        use fmt::Write;
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn failed(what: &str, error: object_store::Error) -> Error {
    let kind = match &error {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. } => ErrorKind::PermissionDenied,
        object_store::Error::Unauthenticated { .. } => ErrorKind::Unauthenticated,
        _ => ErrorKind::Unexpected,
    };
    let message = format!("the store did not {what} part of the snapshot");
    Error::new(kind, "lake", "snapshot", message).with_source(error)
}
