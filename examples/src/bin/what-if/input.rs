//! The fleet that is asked: a lake, or the sample.

use std::{ffi::OsStr, fs, path::Path};

use jiff::Timestamp;
use patchkit_core::{
    Clock, Error, OperatingSystem, SystemClock, predefined_default,
    whatif::{BaselineSet, PatchMatrix, Scenario},
};
use patchkit_examples::{Failure, no_inventory, tell};
use patchkit_inventory::{
    LakeReport, LoadOptions, NotLive, compare_versions, parse_baselines, parse_catalogue,
};

use super::{args::Args, sample};

/// A fleet, the baselines that it is under, and what of it is not known.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// As it is called in the answer.
    pub(crate) name: String,
    pub(crate) matrix: PatchMatrix,
    pub(crate) baselines: BaselineSet,
    pub(crate) when: Timestamp,
    pub(crate) not_live: NotLive,
    /// What could not be read of it, in words.
    pub(crate) problems: Vec<String>,
}

impl Fleet {
    pub(crate) async fn open(args: &Args) -> Result<Self, Failure> {
        match &args.lake {
            None => {
                args.bucket.of_no_use("without --lake")?;
                tell("no --lake was given: asking a sample fleet");
                sample::fleet(args.at)
            }
            Some(lake) => Self::lake(args, lake).await,
        }
    }

    async fn lake(args: &Args, lake: &OsStr) -> Result<Self, Failure> {
        let when = args.at.unwrap_or_else(|| SystemClock.now());
        let baselines: BaselineSet = if let Some(path) = &args.baselines {
            baselines(path)?
        } else {
            tell("no --baselines were given: taking those that AWS predefines");
            OperatingSystem::KNOWN.iter().filter_map(predefined_default).collect()
        };
        let scanned_under = Scenario::new(baselines.clone(), when);
        let mut builder =
            PatchMatrix::builder().with_scanned_under(scanned_under, compare_versions);
        let mut problems = Vec::new();
        for path in &args.catalogue {
            let read = parse_catalogue(&text(path)?, None).map_err(|error| at(path, &error))?;
            let named = |error: &Error| format!("{}: {}", path.display(), error.message());
            problems.extend(read.problems.iter().map(named));
            read.catalogue.offer_to(&mut builder);
        }
        let name = lake.to_string_lossy().into_owned();
        let source = args.bucket.open(lake).await?;
        let report = LakeReport::load(source, LoadOptions::default()).await?;
        if report.nodes().next().is_none() {
            return Err(no_inventory(&name));
        }
        let read = report.matrix(builder).await?;
        problems.extend(read.problems.iter().map(ToString::to_string));
        for reading in [report.reading(), &read.reading] {
            let lost = reading.skipped.entries().iter().map(|lost| match lost.line {
                Some(line) => format!("{} line {line}: {}", lost.key, lost.reason),
                None => format!("{}: {}", lost.key, lost.reason),
            });
            problems.extend(lost);
        }
        // Both passes list the lake, and find the same keys that are none.
        problems.sort_unstable();
        problems.dedup();
        Ok(Self { name, matrix: read.matrix, baselines, when, not_live: read.not_live, problems })
    }
}

/// Reads a file of baselines.
pub(crate) fn baselines(path: &Path) -> Result<BaselineSet, Failure> {
    let set = parse_baselines(&text(path)?).map_err(|error| at(path, &error))?;
    if set.baselines().next().is_none() {
        return Err(Failure::new(format!("{} holds no baseline", path.display())));
    }
    Ok(set)
}

fn text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))
}

fn at(path: &Path, error: &Error) -> Failure {
    Failure::new(format!("{}: {}", path.display(), error.message()))
}
