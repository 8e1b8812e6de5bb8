//! The snapshot that `--snapshot` names.

#[cfg(feature = "snapshot")]
pub(crate) use with::report;
#[cfg(not(feature = "snapshot"))]
pub(crate) use without::report;

#[cfg(feature = "snapshot")]
mod with {
    use std::{path::Path, sync::Arc};

    use patchkit_examples::{Failure, tell};
    use patchkit_inventory::{
        LakeReport, LakeSnapshot, LoadOptions, ObjectSource, Opened, SnapshotStore, Stale,
    };

    /// Brings the snapshot up to date with the lake, and reports on it.
    pub(crate) async fn report(
        folder: &Path,
        source: Arc<dyn ObjectSource>,
        options: LoadOptions,
    ) -> Result<LakeReport, Failure> {
        let store = SnapshotStore::folder(folder)?;
        let (kept, opened) = LakeSnapshot::open_or_rebuild(store, source).await?;
        let snapshot = match opened {
            Opened::Rebuilt(Stale::Missing, _) => kept,
            Opened::Rebuilt(stale, _) => {
                tell(&format!("{stale}; the whole lake was read for a new one"));
                kept
            }
            _ => kept.refresh().await?.0,
        };
        Ok(LakeReport::from_snapshot(&snapshot, options).await?)
    }
}

#[cfg(not(feature = "snapshot"))]
mod without {
    use std::{path::Path, sync::Arc};

    use patchkit_examples::Failure;
    use patchkit_inventory::{LakeReport, LoadOptions, ObjectSource};

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
}
