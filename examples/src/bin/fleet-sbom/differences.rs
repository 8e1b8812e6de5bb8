//! `diff`: two nodes, or a node and an earlier bill of it.

use std::{fs, path::Path};

use patchkit_examples::Failure;
use patchkit_report::{NodeSoftware, SoftwareDiff, parse_sbom};

use super::{
    args::{Args, Diff},
    fleet::Fleet,
};

pub(crate) async fn find(args: &Args, asked: &Diff) -> Result<SoftwareDiff, Failure> {
    let mut fleet = None;
    let before = side(args, &asked.before, &mut fleet).await?;
    let after = side(args, &asked.after, &mut fleet).await?;
    Ok(SoftwareDiff::between(&before, &after)?)
}

/// What a side runs. The lake is opened for the first one that is no file.
async fn side(args: &Args, text: &str, fleet: &mut Option<Fleet>) -> Result<NodeSoftware, Failure> {
    let path = Path::new(text);
    if path.is_file() {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))?;
        return parse_sbom(&text)
            .map_err(|error| Failure::new(format!("{}: {}", path.display(), error.message())));
    }
    let fleet = match fleet {
        Some(fleet) => fleet,
        None => fleet.insert(Fleet::open(args).await?),
    };
    fleet.software(Some(text)).await
}
