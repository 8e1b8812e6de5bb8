//! Where a report was read from and reads more.

use std::sync::Arc;

use patchkit_core::{Error, Result};

#[cfg(feature = "snapshot")]
use crate::LakeSnapshot;
use crate::{
    InventoryKey, LakeReading, ObjectReading, ObjectSource, RowSink, ScanOptions, Visitor,
    read_object, scan,
};

/// A lake, or what is kept of one.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Lake(Arc<dyn ObjectSource>),
    #[cfg(feature = "snapshot")]
    Snapshot(LakeSnapshot),
}

impl Origin {
    pub(crate) async fn scan<V: Visitor>(
        &self,
        options: ScanOptions,
        make: impl FnMut() -> V,
    ) -> Result<(Vec<V>, LakeReading)> {
        match self {
            Self::Lake(source) => scan(Arc::clone(source), options, make).await,
            #[cfg(feature = "snapshot")]
            Self::Snapshot(snapshot) => snapshot.scan(options, make).await,
        }
    }

    pub(crate) async fn read_object<S: RowSink + ?Sized + Send>(
        &self,
        path: &str,
        sink: &mut S,
    ) -> Result<ObjectReading> {
        match self {
            Self::Lake(source) => {
                let key: InventoryKey = path.parse().map_err(|_| {
                    Error::not_found("lake", "patches", format!("an inventory key {path:?}"))
                })?;
                read_object(&**source, path, &key, sink).await
            }
            #[cfg(feature = "snapshot")]
            Self::Snapshot(snapshot) => snapshot.read_object(path, sink),
        }
    }
}
