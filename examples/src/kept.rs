//! The snapshot that `--snapshot` names.

use std::{path::Path, sync::Arc};

use patchkit_inventory::{LakeSnapshot, ObjectSource, Opened, SnapshotStore, Stale};

use crate::{Failure, tell};

/// Brings the snapshot in a folder up to date with its lake, and makes one where there is none.
///
/// # Errors
/// Where the folder cannot be written, and what makes the listing of the lake end before its time.
pub async fn refreshed(
    folder: &Path,
    source: Arc<dyn ObjectSource>,
) -> Result<LakeSnapshot, Failure> {
    let store = SnapshotStore::folder(folder)?;
    let (kept, opened) = LakeSnapshot::open_or_rebuild(store, source).await?;
    match opened {
        Opened::Rebuilt(Stale::Missing, _) => Ok(kept),
        Opened::Rebuilt(stale, _) => {
            tell(&format!("{stale}; the whole lake was read for a new one"));
            Ok(kept)
        }
        _ => Ok(kept.refresh().await?.0),
    }
}
