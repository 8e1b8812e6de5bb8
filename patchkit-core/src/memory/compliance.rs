//! What the last scans found.

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{
    call::MemoryCall,
    cloud::{MemoryCloud, unknown_node},
    node::MemoryNode,
};
use crate::{
    ComplianceReport, NodeCompliance, NodeId, NodeSelector, PatchCompliance, Provider, Result,
};

#[async_trait]
impl ComplianceReport for MemoryCloud {
    fn summaries(&self, selector: &NodeSelector) -> BoxStream<'static, Result<NodeCompliance>> {
        let (selector, can) = (selector.clone(), self.capabilities);
        self.list("summaries", move |state, now| {
            let nodes = state.selected("summaries", &selector, can, now)?;
            let known = nodes.iter().filter_map(|node| state.nodes.get(&node.id).map(known));
            Ok(known.map(|known| (known.node.to_string(), known)).collect())
        })
    }

    async fn summary(&self, node: &NodeId) -> Result<NodeCompliance> {
        let fault = self.enter(MemoryCall::on("summary", std::slice::from_ref(node))).await?;
        let now = self.clock.now();
        let summary = {
            let mut state = self.state();
            state.settle(node, now);
            state.nodes.get(node).map(known)
        };
        fault.answer(summary.ok_or_else(|| unknown_node("summary", node))?)
    }

    fn patches(&self, node: &NodeId) -> BoxStream<'static, Result<PatchCompliance>> {
        let id = node.clone();
        self.list("patches", move |state, now| {
            state.settle(&id, now);
            let node = state.nodes.get(&id).ok_or_else(|| unknown_node("patches", &id))?;
            let patches = node.scan.iter().flat_map(|scan| &scan.patches).enumerate();
            Ok(patches.map(|(at, patch)| (format!("{at:06}"), patch.clone())).collect())
        })
    }
}

impl Provider for MemoryCloud {}

fn known(node: &MemoryNode) -> NodeCompliance {
    let mut known = NodeCompliance::unknown(node.id().clone());
    known.group = node.node.patch_group();
    if let Some(status) = node.associations {
        known.others.insert("Association".to_owned(), status);
    }
    if let Some(scan) = &node.scan {
        known.status = scan.verdict.status;
        known.level = scan.verdict.level;
        known.counts = scan.verdict.counts;
        known.baseline.clone_from(&scan.baseline);
        known.observed_at = Some(scan.at);
    }
    known
}
