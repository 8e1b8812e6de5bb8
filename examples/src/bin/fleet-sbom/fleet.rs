//! The fleet that is asked: a lake, or the sample.

use std::sync::Arc;

use patchkit_core::NodeId;
use patchkit_examples::{Failure, no_inventory, tell};
use patchkit_inventory::{LakeNode, LakeReport, LoadOptions, LocalSource, ObjectSource};
use patchkit_report::{Coverage, NodeSoftware, read_software};
use patchkit_testkit::lake::SampleLake;
use tempfile::TempDir;

use super::args::Args;

/// A lake that is loaded.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// As it is called in the answer.
    pub(crate) name: String,
    pub(crate) report: LakeReport,
    /// Removed when the fleet is dropped.
    _folder: Option<TempDir>,
}

impl Fleet {
    pub(crate) async fn open(args: &Args) -> Result<Self, Failure> {
        let (name, source, folder) = if let Some(lake) = &args.lake {
            (lake.to_string_lossy().into_owned(), args.bucket.open(lake).await?, None)
        } else {
            args.bucket.of_no_use("without --lake")?;
            let folder = sample()?;
            let source: Arc<dyn ObjectSource> = Arc::new(LocalSource::open(folder.path())?);
            ("the sample lake".to_owned(), source, Some(folder))
        };
        let report = LakeReport::load(source, LoadOptions::default()).await?;
        if report.nodes().next().is_none() {
            return Err(no_inventory(&name));
        }
        Ok(Self { name, report, _folder: folder })
    }

    /// The node of an id, whole or as its provider gave it.
    pub(crate) fn find(&self, id: &str) -> Result<NodeId, Failure> {
        let is_asked = |node: &&LakeNode| node.id.resource() == id || node.id.to_string() == id;
        let mut found = self.report.nodes().filter(is_asked);
        match (found.next(), found.next()) {
            (Some(node), None) => Ok(node.id.clone()),
            (None, _) => Err(Failure::new(format!("{id} is no node of {}", self.name))),
            (Some(one), Some(other)) => Err(Failure::new(format!(
                "{id} is both {} and {}: give the whole id",
                one.id, other.id
            ))),
        }
    }

    /// What a node runs; the first live one that has a list, where none is named.
    pub(crate) async fn software(&self, id: Option<&str>) -> Result<NodeSoftware, Failure> {
        let asked: Vec<_> = if let Some(id) = id {
            vec![self.find(id)?]
        } else {
            let live = self.report.nodes().filter(|node| node.liveness.is_live());
            live.map(|node| node.id.clone()).collect()
        };
        for node in asked {
            let (read, _) = read_software(&self.report, [node]).await?;
            let has_list = |it: &NodeSoftware| id.is_some() || it.coverage != Coverage::Missing;
            if let Some(software) = read.into_iter().find(has_list) {
                return Ok(software);
            }
        }
        Err(Failure::new(format!("no live node of {} has a list of packages", self.name)))
    }
}

fn sample() -> Result<TempDir, Failure> {
    const NODES: usize = 24;
    let failed = |error| {
        Failure::new(format!("no sample lake can be made in the temporary folder: {error}"))
    };
    let folder = tempfile::Builder::new().prefix("fleet-sbom-").tempdir().map_err(failed)?;
    tell(&format!("no --lake was given: reading a sample lake of {NODES} nodes"));
    SampleLake::new().with_seed(7).with_nodes(NODES).write(folder.path()).map_err(failed)?;
    Ok(folder)
}
