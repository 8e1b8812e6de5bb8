//! Opens the lake.

use std::sync::Arc;

use patchkit_core::SystemClock;
use patchkit_examples::Failure;
use patchkit_inventory::{FleetSql, LocalSource, ObjectSource};

use super::args::Args;

pub(crate) async fn open(args: &Args) -> Result<FleetSql, Failure> {
    let text = args.lake.to_str().unwrap_or_default();
    let source: Arc<dyn ObjectSource> = if text.starts_with("s3://") {
        bucket(text, args).await?
    } else if args.endpoint_url.is_some() || args.region.is_some() {
        return Err(Failure::new("--endpoint-url and --region are for s3://bucket/prefix"));
    } else {
        Arc::new(LocalSource::open(&args.lake)?)
    };
    Ok(FleetSql::open(source, Arc::new(SystemClock))?)
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
