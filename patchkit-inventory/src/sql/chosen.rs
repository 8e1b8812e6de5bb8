//! A part of a lake as a lake of its own.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::Result;

use super::ledger::Listed;
use crate::{ListEntry, LocalSource, ObjectBody, ObjectSource};

/// Those objects of a lake that a query has chosen: it lists nothing else.
pub(super) struct Chosen {
    source: Arc<dyn ObjectSource>,
    objects: Arc<[Listed]>,
}

impl Chosen {
    pub(super) fn new(source: Arc<dyn ObjectSource>, objects: Arc<[Listed]>) -> Self {
        Self { source, objects }
    }
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chosen")
            .field("source", &self.source)
            .field("objects", &self.objects.len())
            .finish()
    }
}

#[async_trait]
impl ObjectSource for Chosen {
    fn list(&self) -> BoxStream<'static, Result<ListEntry>> {
        let objects = Arc::clone(&self.objects);
        let entries = (0..objects.len()).map(move |at| {
            let object = &objects[at];
            Ok(ListEntry::Object { key: Arc::clone(&object.path), size: object.size, mark: None })
        });
        stream::iter(entries).boxed()
    }

    async fn get(&self, key: &str) -> Result<ObjectBody> {
        self.source.get(key).await
    }

    fn in_flight(&self) -> usize {
        self.source.in_flight()
    }

    // Only what is listed is opened.
    fn as_local(&self) -> Option<&LocalSource> {
        self.source.as_local()
    }
}
