//! Opens what is asked: a lake, its snapshot or its export.

use std::{path::Path, sync::Arc};

use datafusion::prelude::SessionContext;
use patchkit_core::SystemClock;
use patchkit_examples::{Failure, LakePlace, tell};
use patchkit_inventory::{FleetSql, parquet::SUCCESS};

use super::args::Args;

pub(crate) async fn open(args: &Args) -> Result<FleetSql, Failure> {
    if let LakePlace::Directory(path) = args.bucket.place(&args.lake)?
        && let Some(kept) = Kept::find(path).await?
    {
        if args.snapshot.is_some() {
            return Err(Failure::new(format!(
                "--snapshot is for lakes, and {} holds {}",
                path.display(),
                kept.as_str()
            )));
        }
        return match kept {
            Kept::Snapshot => snapshot(path).await,
            Kept::Export => export(path).await,
        };
    }
    let source = args.bucket.open(&args.lake).await?;
    match &args.snapshot {
        Some(folder) => refreshed(folder, source).await,
        None => Ok(FleetSql::open(source, Arc::new(SystemClock))?),
    }
}

/// What a folder holds that is no lake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kept {
    Snapshot,
    Export,
}

impl Kept {
    /// By the file that each of them is finished with.
    async fn find(folder: &Path) -> Result<Option<Self>, Failure> {
        Ok(if folder.join("manifest").is_file() && is_snapshot(folder).await? {
            Some(Self::Snapshot)
        } else if folder.join(SUCCESS).is_file() {
            Some(Self::Export)
        } else {
            None
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "a snapshot",
            Self::Export => "an export",
        }
    }
}

async fn export(folder: &Path) -> Result<FleetSql, Failure> {
    tell("an export does not tell what was lost in reading the lake");
    let path = folder.to_str().ok_or_else(|| {
        Failure::new(format!("{} is not UTF-8, and no export is found by it", folder.display()))
    })?;
    let session = SessionContext::new();
    Ok(FleetSql::over_export(&session, path, Arc::new(SystemClock), []).await?)
}

#[cfg(feature = "snapshot")]
async fn is_snapshot(folder: &Path) -> Result<bool, Failure> {
    Ok(patchkit_inventory::SnapshotStore::folder(folder)?.holds_snapshot().await?)
}

#[cfg(not(feature = "snapshot"))]
#[expect(clippy::unused_async, reason = "with the feature it reads the manifest")]
async fn is_snapshot(_: &Path) -> Result<bool, Failure> {
    Ok(false)
}

#[cfg(feature = "snapshot")]
async fn snapshot(folder: &Path) -> Result<FleetSql, Failure> {
    use patchkit_inventory::{LakeSnapshot, SnapshotStore};

    let snapshot = LakeSnapshot::open(SnapshotStore::folder(folder)?).await?;
    Ok(FleetSql::over_snapshot(&snapshot, Arc::new(SystemClock), [])?)
}

#[cfg(feature = "snapshot")]
async fn refreshed(
    folder: &Path,
    source: Arc<dyn patchkit_inventory::ObjectSource>,
) -> Result<FleetSql, Failure> {
    let snapshot = patchkit_examples::refreshed(folder, source).await?;
    Ok(FleetSql::over_snapshot(&snapshot, Arc::new(SystemClock), [])?)
}

#[cfg(not(feature = "snapshot"))]
#[expect(clippy::unused_async, reason = "with the feature it reads the snapshot")]
async fn snapshot(folder: &Path) -> Result<FleetSql, Failure> {
    Err(without(folder))
}

#[cfg(not(feature = "snapshot"))]
#[expect(clippy::unused_async, reason = "with the feature it reads the snapshot")]
async fn refreshed(
    folder: &Path,
    _: Arc<dyn patchkit_inventory::ObjectSource>,
) -> Result<FleetSql, Failure> {
    Err(without(folder))
}

#[cfg(not(feature = "snapshot"))]
fn without(folder: &Path) -> Failure {
    Failure::new(format!(
        "{} is for a snapshot, and this program was built without them: build it with --features \
         snapshot",
        folder.display()
    ))
}
