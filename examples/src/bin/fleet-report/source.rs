//! The lake as one run sees it: listed once, with progress on a terminal.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use indicatif::{ProgressBar, ProgressStyle};
use patchkit_core::Result;
use patchkit_inventory::{InventoryKey, InventoryType, ListEntry, ObjectBody, ObjectSource};

/// A source that is listed once, however often it is scanned.
///
/// The first listing remembers the objects that a later pass may read, and later listings give only
/// these: a bucket is not paged through again, and a wrong key is not found twice.
#[derive(Debug)]
pub(crate) struct Seen {
    source: Arc<dyn ObjectSource>,
    later: Later,
    objects: Arc<Mutex<Option<Vec<Object>>>>,
    bar: ProgressBar,
}

/// What later passes may read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Later {
    Nothing,
    Packages,
}

impl Later {
    fn takes(self, ty: &InventoryType) -> bool {
        match self {
            Self::Nothing => false,
            Self::Packages => *ty == InventoryType::Application,
        }
    }
}

#[derive(Clone, Debug)]
struct Object {
    key: Arc<str>,
    size: Option<u64>,
}

impl Seen {
    pub(crate) fn new(source: Arc<dyn ObjectSource>, later: Later) -> Self {
        // Draws nothing where standard error is no terminal.
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{spinner} {pos} objects read, {len} listed");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { source, later, objects: Arc::default(), bar }
    }

    pub(crate) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }
}

#[async_trait]
impl ObjectSource for Seen {
    fn list(&self) -> BoxStream<'static, Result<ListEntry>> {
        let mut slot = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(objects) = &*slot {
            let entry = |object: Object| {
                Ok(ListEntry::Object { key: object.key, size: object.size, mark: None })
            };
            return stream::iter(objects.clone()).map(entry).boxed();
        }
        *slot = Some(Vec::new());
        let (objects, later, bar) = (Arc::clone(&self.objects), self.later, self.bar.clone());
        let remember = move |entry: &Result<ListEntry>| {
            let Ok(ListEntry::Object { key, size, .. }) = entry else { return };
            bar.inc_length(1);
            if later == Later::Nothing {
                return;
            }
            if let Ok(parsed) = key.parse::<InventoryKey>()
                && later.takes(parsed.inventory_type())
                && let Some(objects) = &mut *objects.lock().unwrap_or_else(PoisonError::into_inner)
            {
                objects.push(Object { key: Arc::clone(key), size: *size });
            }
        };
        self.source.list().inspect(remember).boxed()
    }

    fn list_marked(&self) -> BoxStream<'static, Result<ListEntry>> {
        let bar = self.bar.clone();
        self.source.list_marked().inspect(move |_| bar.inc_length(1)).boxed()
    }

    async fn get(&self, key: &str) -> Result<ObjectBody> {
        self.bar.inc(1);
        self.source.get(key).await
    }

    fn in_flight(&self) -> usize {
        self.source.in_flight()
    }

    fn place(&self) -> Option<String> {
        self.source.place()
    }
}
