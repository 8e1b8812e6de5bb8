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

/// A source that is listed once, whatever is asked of it.
///
/// The first listing remembers the objects of packages, and the second one gives only these: a
/// bucket is not paged through again, and a wrong key is not found twice.
#[derive(Debug)]
pub(crate) struct Seen {
    source: Arc<dyn ObjectSource>,
    packages: Arc<Mutex<Option<Vec<Package>>>>,
    bar: ProgressBar,
}

#[derive(Clone, Debug)]
struct Package {
    key: Arc<str>,
    size: Option<u64>,
}

impl Seen {
    pub(crate) fn new(source: Arc<dyn ObjectSource>) -> Self {
        // Draws nothing where standard error is no terminal.
        let bar = ProgressBar::new(0);
        let style = "{spinner} reading {pos} of {len} objects {wide_msg}";
        bar.set_style(
            ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self { source, packages: Arc::default(), bar }
    }

    pub(crate) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }
}

#[async_trait]
impl ObjectSource for Seen {
    fn list(&self) -> BoxStream<'static, Result<ListEntry>> {
        let mut slot = self.packages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packages) = slot.take() {
            self.bar.set_position(0);
            self.bar.set_length(packages.len() as u64);
            let entry = |package: Package| {
                Ok(ListEntry::Object { key: package.key, size: package.size })
            };
            return stream::iter(packages).map(entry).boxed();
        }
        *slot = Some(Vec::new());
        let (packages, bar) = (Arc::clone(&self.packages), self.bar.clone());
        self.source
            .list()
            .inspect(move |entry| {
                let Ok(ListEntry::Object { key, size }) = entry else { return };
                bar.inc_length(1);
                if is_package(key)
                    && let Some(packages) =
                        &mut *packages.lock().unwrap_or_else(PoisonError::into_inner)
                {
                    packages.push(Package { key: Arc::clone(key), size: *size });
                }
            })
            .boxed()
    }

    async fn get(&self, key: &str) -> Result<ObjectBody> {
        self.bar.inc(1);
        self.source.get(key).await
    }

    fn in_flight(&self) -> usize {
        self.source.in_flight()
    }
}

fn is_package(key: &str) -> bool {
    key.parse::<InventoryKey>()
        .is_ok_and(|key| *key.inventory_type() == InventoryType::Application)
}
