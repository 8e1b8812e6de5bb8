//! Opens the lake.

use std::{path::Path, sync::Arc};

use patchkit_examples::{Failure, LakePlace};
use patchkit_inventory::ObjectSource;

use super::args::Args;

pub(crate) async fn open(args: &Args) -> Result<Arc<dyn ObjectSource>, Failure> {
    if let LakePlace::Directory(lake) = args.bucket.place(&args.lake)?
        && is_within(&args.out, lake)
    {
        let (out, lake) = (args.out.display(), lake.display());
        return Err(Failure::new(format!(
            "{out} is in {lake}: the next reader of the lake would find the export there"
        )));
    }
    args.bucket.open(&args.lake).await
}

/// Whether a folder that need not be there yet is in another that is.
fn is_within(folder: &Path, other: &Path) -> bool {
    let (Ok(folder), Ok(other)) = (std::path::absolute(folder), other.canonicalize()) else {
        return false;
    };
    let there = folder.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    there.is_some_and(|there| there.starts_with(other))
}
