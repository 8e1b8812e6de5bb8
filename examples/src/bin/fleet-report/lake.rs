//! Opens the lake.

use std::{ffi::OsString, sync::Arc};

use patchkit_examples::{Failure, tell};
use patchkit_inventory::{LocalSource, ObjectSource};
use patchkit_testkit::lake::{Dirt, SampleLake};
use tempfile::TempDir;

use super::args::{Args, Place};

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
        match args.place()? {
            Place::Sample => Self::sample(),
            Place::Directory(path) => Self::directory(path),
            Place::Bucket(bucket) => {
                let source = bucket_source(bucket, args).await?;
                Ok(Self { name: bucket.to_owned(), source, _folder: None })
            }
        }
    }

    fn directory(path: &OsString) -> Result<Self, Failure> {
        let source = LocalSource::open(path)?;
        let name = path.to_string_lossy().into_owned();
        Ok(Self { name, source: Arc::new(source), _folder: None })
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

#[cfg(feature = "s3")]
async fn bucket_source(lake: &str, args: &Args) -> Result<Arc<dyn ObjectSource>, Failure> {
    use patchkit_inventory::{S3Options, S3Source};

    let mut options = S3Options::default();
    options.endpoint_url.clone_from(&args.endpoint_url);
    options.region.clone_from(&args.region);
    let source = S3Source::connect(lake.parse()?, &options).await.map_err(|error| {
        Failure::new(format!("{lake}: {}; give --region or set AWS_REGION", error.report()))
    })?;
    Ok(Arc::new(source))
}

#[cfg(not(feature = "s3"))]
#[expect(clippy::unused_async, reason = "with the feature it waits for the credentials")]
async fn bucket_source(lake: &str, _: &Args) -> Result<Arc<dyn ObjectSource>, Failure> {
    Err(Failure::new(format!(
        "{lake} is in S3, and this program was built without that: build it with --features s3"
    )))
}
