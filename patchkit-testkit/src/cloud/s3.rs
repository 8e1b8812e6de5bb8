//! A real S3 server on loopback: s3s over a folder.
//!
//! Every file under `<root>/<bucket>/` is an object, whoever wrote it, and its path there is its key;
//! but that of an object `a` beside an `a/b` is `a/.object`. What the server keeps beside
//! them (temporary files, entity tags, metadata) has names that begin with a dot, in the root and
//! in no bucket.
//!
//! | what | how far |
//! |---|---|
//! | objects | put, get with ranges, head, list (v1, v2), delete (one, many), multipart, copy (a reader may meet half of a copy) |
//! | buckets | create, head, list, location, delete; a location and a policy are kept and given back, and bind nobody |
//! | put on condition | `If-None-Match: *` and `If-Match`, one at a time; not against puts without |
//! | get on condition | all four conditions |
//! | listing | keys in order, entity tags, a delimiter of one byte; no folders that are empty |
//! | a wrong checksum | `BadDigest`, but the object is there; trailing ones are read over with checks off |
//! | keys | as file names allow: no empty, `.` or `..` segments, none over 255 bytes; put over HTTP up to about 150 bytes in all; a put of `a` at the moment of the first one of `a/b` may fail with a 500 |
//! | not served | versions, access control lists, tags, encryption, browser forms; `NotImplemented` |

mod chunked;
mod door;
mod guard;
mod listing;
mod location;
mod names;
mod read;
pub(super) mod skew;
mod store;
mod tap;
mod uploads;
mod writer;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use patchkit_core::{Clock, Error, ErrorKind, Result};
use s3s::{S3Result, s3_error};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use self::door::Door;
pub use self::{
    tap::{Decision, Ended, S3Call, Tap, Verdict},
    writer::BucketWriter,
};
use super::keys::Keys;

/// Whether requests must be signed by a known key.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SignatureChecks {
    /// Every request is served: with any key and secret, presigned, or with none.
    #[default]
    Off,
    /// Requests are served that are signed, in their header or their query, by a known key.
    On,
}

/// How an [`S3Server`] is set up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct S3Options {
    checks: SignatureChecks,
    clock: Arc<dyn Clock>,
    keys: Arc<dyn Keys>,
    root: Option<PathBuf>,
    tap: Option<Arc<dyn Tap>>,
}

impl S3Options {
    /// A server that checks nothing, over a folder that is gone with it.
    ///
    /// `clock` is the one by which temporary credentials end. The age of a signature is told by the
    /// machine's clock, as clients sign by theirs.
    pub fn new(keys: Arc<dyn Keys>, clock: Arc<dyn Clock>) -> Self {
        let checks = SignatureChecks::Off;
        Self { checks, clock, keys, root: None, tap: None }
    }

    /// Sets whether signatures are checked.
    #[must_use]
    pub fn with_checks(mut self, checks: SignatureChecks) -> Self {
        self.checks = checks;
        self
    }

    /// Keeps the buckets in this folder, which is made if need be, and leaves them there.
    #[must_use]
    pub fn with_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = Some(root.into());
        self
    }

    /// Has each request told to `tap`, which may spoil it.
    #[must_use]
    pub fn with_tap(mut self, tap: Arc<dyn Tap>) -> Self {
        self.tap = Some(tap);
        self
    }
}

/// A running S3 server.
///
/// # Behavior
/// - Buckets are named in the path, and under `*.localhost` in the host.
/// - Dropping it ends it: no connection is accepted any more, requests under way are finished.
pub struct S3Server {
    address: SocketAddr,
    root: Arc<Root>,
    writer: BucketWriter,
    /// Connections end when this is dropped.
    _running: watch::Sender<()>,
}

impl S3Server {
    /// Serves on `listener`, on the runtime that this is called in.
    ///
    /// # Errors
    /// The root cannot be made, or the listener has no address.
    pub fn start(listener: TcpListener, options: S3Options) -> Result<Self> {
        let address = listener.local_addr().map_err(|e| failed("start", "the listener", e))?;
        let S3Options { checks, clock, keys, root, tap } = options;
        let root = Arc::new(Root::open(root.as_deref())?);
        let writer = BucketWriter::new(Arc::clone(&root));
        let service = door::service(Arc::clone(&root), Arc::clone(&keys), checks)?;
        let door = Arc::new(Door { checks, clock, keys, requests: 0.into(), service, tap });
        let (running, stop) = watch::channel(());
        tokio::spawn(accept(listener, door, Arc::clone(&root), stop));
        Ok(Self { address, root, writer, _running: running })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, as clients take it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a bucket unless it is there.
    ///
    /// # Errors
    /// `InvalidInput` for a name that no bucket can have; or the folder cannot be made.
    pub fn ensure_bucket(&self, bucket: &str) -> Result<()> {
        let folder = self.root.bucket("ensure_bucket", bucket)?;
        std::fs::create_dir_all(folder).map_err(|e| failed("ensure_bucket", bucket, e))
    }

    /// What the simulator itself writes objects with.
    pub fn writer(&self) -> BucketWriter {
        self.writer.clone()
    }

    /// The folder that holds the buckets.
    pub fn root(&self) -> &Path {
        self.root.path()
    }
}

impl fmt::Debug for S3Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The folder of all buckets.
#[derive(Debug)]
struct Root {
    folder: Folder,
    /// Held while a file makes room for a folder of its name.
    moving: Mutex<()>,
}

/// A temporary one goes with the last that uses it.
#[derive(Debug)]
enum Folder {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Root {
    fn open(path: Option<&Path>) -> Result<Self> {
        let folder = match path {
            None => {
                let folder = tempfile::tempdir().map_err(|e| failed("start", "a folder", e))?;
                Folder::Temporary(folder)
            }
            Some(path) => {
                let what = path.display().to_string();
                std::fs::create_dir_all(path).map_err(|e| failed("start", &what, e))?;
                Folder::Kept(path.to_owned())
            }
        };
        Ok(Self { folder, moving: Mutex::default() })
    }

    fn path(&self) -> &Path {
        match &self.folder {
            Folder::Kept(path) => path,
            Folder::Temporary(folder) => folder.path(),
        }
    }

    /// The folder of a bucket that may be there or not.
    fn bucket(&self, operation: &'static str, bucket: &str) -> Result<PathBuf> {
        if !s3s::path::check_bucket_name(bucket) {
            let message = format!("{bucket:?} cannot be the name of a bucket");
            return Err(Error::invalid("s3", operation, message));
        }
        Ok(self.path().join(bucket))
    }

    /// Refuses what is asked of a bucket that is not there.
    fn check_bucket(&self, bucket: &str) -> S3Result<()> {
        if self.path().join(bucket).is_dir() {
            return Ok(());
        }
        Err(s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    /// Where s3s-fs 0.14 keeps what belongs to an object, by the path of its file: its entity tag and
    /// checksums as `internal`, what its writer said of it as `metadata`.
    fn sidecar(&self, bucket: &str, key: &str, kind: &str) -> PathBuf {
        let encode = |text: &str| base64_simd::URL_SAFE_NO_PAD.encode_to_string(text);
        let name = format!(".bucket-{}.object-{}.{kind}.json", encode(bucket), encode(key));
        self.path().join(name)
    }
}

async fn accept(
    listener: TcpListener,
    door: Arc<Door>,
    root: Arc<Root>,
    mut stop: watch::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((socket, _)) = accepted else {
            // Too many open files, or a client that left before it was met: others may come.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (door, stop) = (Arc::clone(&door), stop.clone());
        connections.spawn(serve(socket, door, stop));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    drop(root);
}

async fn serve(socket: tokio::net::TcpStream, door: Arc<Door>, mut stop: watch::Receiver<()>) {
    // An answer in two pieces must not wait for the first one's acknowledgement.
    drop(socket.set_nodelay(true));
    let answer = service_fn(move |request| {
        let door = Arc::clone(&door);
        async move { door.answer(request).await }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(socket), answer);
    let mut connection = std::pin::pin!(connection);
    // A connection that is cut on purpose, or by the client, ends in an error that nobody misses.
    tokio::select! {
        ended = connection.as_mut() => drop(ended),
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

fn failed(operation: &'static str, what: &str, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        _ => ErrorKind::Unexpected,
    };
    Error::new(kind, "s3", operation, format!("{what} cannot be used")).with_source(error)
}

#[cfg(test)]
mod tests;
