//! Opens the lake.

use std::{path::Path, sync::Arc};

use patchkit_examples::Failure;
use patchkit_inventory::{LocalSource, ObjectSource};

use super::args::Args;

pub(crate) async fn open(args: &Args) -> Result<Arc<dyn ObjectSource>, Failure> {
    let text = args.lake.to_str().unwrap_or_default();
    if text.starts_with("s3://") {
        return bucket(text, args).await;
    }
    if args.endpoint_url.is_some() || args.region.is_some() {
        return Err(Failure::new("--endpoint-url and --region are for s3://bucket/prefix"));
    }
    let source = LocalSource::open(&args.lake)?;
    if is_within(&args.out, Path::new(&args.lake)) {
        let (out, lake) = (args.out.display(), args.lake.display());
        return Err(Failure::new(format!(
            "{out} is in {lake}: the next reader of the lake would find the export there"
        )));
    }
    Ok(Arc::new(source))
}

/// Whether a folder that need not be there yet is in another that is.
fn is_within(folder: &Path, other: &Path) -> bool {
    let (Ok(folder), Ok(other)) = (std::path::absolute(folder), other.canonicalize()) else {
        return false;
    };
    let there = folder.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    there.is_some_and(|there| there.starts_with(other))
}

#[cfg(feature = "s3")]
async fn bucket(lake: &str, args: &Args) -> Result<Arc<dyn ObjectSource>, Failure> {
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
async fn bucket(lake: &str, _: &Args) -> Result<Arc<dyn ObjectSource>, Failure> {
    Err(Failure::new(format!(
        "{lake} is in S3, and this program was built without that: build it with --features s3"
    )))
}
