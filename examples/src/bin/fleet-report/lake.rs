//! Opens the lake.

use std::sync::Arc;

use patchkit_examples::{Failure, tell};
use patchkit_inventory::{LocalSource, ObjectSource};
use patchkit_testkit::lake::{Dirt, SampleLake};
use tempfile::TempDir;

use super::args::Args;

/// A lake that is open.
#[derive(Debug)]
pub(crate) struct Lake {
    /// As it is called in the report.
    pub(crate) name: String,
    pub(crate) source: Arc<dyn ObjectSource>,
    /// Removed when the lake is dropped.
    _folder: Option<TempDir>,
}

impl Lake {
    pub(crate) async fn open(args: &Args) -> Result<Self, Failure> {
        let Some(lake) = &args.lake else {
            args.bucket.of_no_use("without LAKE")?;
            return Self::sample();
        };
        let name = lake.to_string_lossy().into_owned();
        Ok(Self { name, source: args.bucket.open(lake).await?, _folder: None })
    }

    /// Makes a small lake, a few objects of which are spoiled as real lakes are.
    fn sample() -> Result<Self, Failure> {
        const NODES: usize = 60;
        let failed = |error| {
            Failure::new(format!("no sample lake can be made in the temporary folder: {error}"))
        };
        let folder = tempfile::Builder::new().prefix("fleet-report-").tempdir().map_err(failed)?;
        tell(&format!(
            "no LAKE was given: reporting on a sample lake of {NODES} nodes, made and removed again in {}",
            folder.path().display()
        ));
        let lake = SampleLake::new().with_seed(7).with_nodes(NODES).with_dirt(&Dirt::ALL, 3);
        lake.write(folder.path()).map_err(failed)?;
        let source = LocalSource::open(folder.path())?;
        Ok(Self {
            name: "the sample lake".to_owned(),
            source: Arc::new(source),
            _folder: Some(folder),
        })
    }
}
