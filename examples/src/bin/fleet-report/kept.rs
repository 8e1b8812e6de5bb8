//! The snapshot that `--snapshot` names.

use std::{path::Path, sync::Arc};

use patchkit_examples::Failure;
use patchkit_inventory::{LakeReport, LoadOptions, ObjectSource};

/// Brings the snapshot up to date with the lake, and reports on it.
#[cfg(feature = "snapshot")]
pub(crate) async fn report(
    folder: &Path,
    source: Arc<dyn ObjectSource>,
    options: LoadOptions,
) -> Result<LakeReport, Failure> {
    let snapshot = patchkit_examples::refreshed(folder, source).await?;
    Ok(LakeReport::from_snapshot(&snapshot, options).await?)
}

#[cfg(not(feature = "snapshot"))]
#[expect(clippy::unused_async, reason = "with the feature it reads the lake")]
pub(crate) async fn report(
    _: &Path,
    _: Arc<dyn ObjectSource>,
    _: LoadOptions,
) -> Result<LakeReport, Failure> {
    Err(Failure::new(
        "--snapshot: this program was built without it: build it with --features snapshot",
    ))
}
