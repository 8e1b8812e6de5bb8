//! A numbered sequence of objects, each made once.

use std::{collections::BTreeSet, fmt, sync::Arc};

use bytes::Bytes;
use futures::{TryStreamExt, future};
use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path,
};
use patchkit_core::{Error, ErrorKind, Result};

use super::{
    error::{OBJECTS, classify, malformed},
    key,
    leaf::Broken,
};

/// The objects of one folder, from number 0 on without gaps.
#[derive(Clone)]
pub(super) struct Sequence {
    store: Arc<dyn ObjectStore>,
    folder: Path,
}

/// What came of a put.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Put {
    /// The object is there, and is ours.
    Done,
    /// The number has an object already.
    Taken,
}

impl Sequence {
    pub(super) fn new(store: &Arc<dyn ObjectStore>, folder: Path) -> Self {
        Self { store: Arc::clone(store), folder }
    }

    fn key(&self, number: u64) -> Path {
        self.folder.clone().join(key::name(number))
    }

    /// The key of an object, for messages.
    pub(super) fn place(&self, number: u64) -> impl fmt::Display {
        self.key(number)
    }

    /// How many objects there are. `known` is a number that is there: those up to it are not listed.
    pub(super) async fn count(&self, operation: &'static str, known: Option<u64>) -> Result<u64> {
        let listed = match known {
            Some(known) => self.store.list_with_offset(Some(&self.folder), &self.key(known)),
            None => self.store.list(Some(&self.folder)),
        };
        let listed: BTreeSet<u64> = listed
            .try_filter_map(|object| {
                future::ready(Ok(object.location.filename().and_then(key::number)))
            })
            .try_collect()
            .await
            .map_err(|error| classify(operation, error))?;
        let from = known.map_or(0, |known| known + 1);
        let Some(last) = listed.last().copied() else { return Ok(from) };
        for number in (from..last).filter(|number| !listed.contains(number)) {
            // A directory may list a file and leave out an older one, where both were just made.
            match self.store.head(&self.key(number)).await {
                Ok(_) => {}
                Err(StoreError::NotFound { .. }) => {
                    return Err(malformed(operation, format!("{} is missing", self.key(number))));
                }
                Err(error) => return Err(classify(operation, error)),
            }
        }
        Ok(last + 1)
    }

    /// An object's bytes; none where the number has no object.
    pub(super) async fn read(&self, operation: &'static str, number: u64) -> Result<Option<Bytes>> {
        let read = match self.store.get(&self.key(number)).await {
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(classify(operation, error)),
        }
    }

    /// Makes an object, unless its number has one.
    ///
    /// `is_ours` tells from an object's bytes whether it is this very one. A store that sends a put
    /// again after a lost answer meets its own object, and a lost answer may stand for either.
    pub(super) async fn put(
        &self,
        operation: &'static str,
        number: u64,
        bytes: Vec<u8>,
        is_ours: impl Fn(&[u8]) -> bool,
    ) -> Result<Put> {
        let options = PutOptions::from(PutMode::Create);
        let put = self.store.put_opts(&self.key(number), bytes.into(), options).await;
        let error = match put {
            Ok(_) => return Ok(Put::Done),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => None,
            Err(error) => Some(classify(operation, error)),
        };
        let found = self.read(operation, number).await;
        match (found, error) {
            (Ok(Some(found)), _) if is_ours(&found) => Ok(Put::Done),
            (Ok(Some(_)), _) => Ok(Put::Taken),
            (_, Some(error)) | (Err(error), None) => Err(error),
            (Ok(None), None) => {
                let message = format!("{} is there and is not", self.key(number));
                Err(Error::new(ErrorKind::Unexpected, OBJECTS, operation, message))
            }
        }
    }

    /// An object that a newer version wrote must not be passed over.
    pub(super) fn newer(&self, operation: &'static str, number: u64, version: u32) -> Error {
        let message = format!(
            "a newer version of PatchKit wrote {}: it is of version {version}",
            self.key(number)
        );
        Error::new(ErrorKind::Unsupported, OBJECTS, operation, message)
    }

    /// How an object is torn; an error where it is not torn, but newer.
    pub(super) fn torn(
        &self,
        operation: &'static str,
        number: u64,
        broken: Broken,
    ) -> Result<String> {
        match broken {
            Broken::Torn(detail) => Ok(format!("{}: {detail}", self.key(number))),
            Broken::Newer(version) => Err(self.newer(operation, number, version)),
        }
    }
}
