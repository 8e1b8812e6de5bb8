//! What is known of the nodes of all scopes.

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::Estate;
use crate::{
    ComplianceReport, ManagedNode, NodeCompliance, NodeId, NodeSelector, PatchCompliance, Result,
};

#[async_trait]
impl ComplianceReport for Estate {
    fn summaries(&self, selector: &NodeSelector) -> BoxStream<'static, Result<NodeCompliance>> {
        self.merged(
            "summaries",
            selector,
            |provider, selector| provider.summaries(selector),
            |known| known.node.scope(),
        )
    }

    async fn summary(&self, node: &NodeId) -> Result<NodeCompliance> {
        self.route("summary", node)?.summary(node).await
    }

    fn patches(&self, node: &NodeId) -> BoxStream<'static, Result<PatchCompliance>> {
        match self.route("patches", node) {
            Ok(provider) => provider.patches(node),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}

impl Estate {
    /// Lists the nodes that `selector` takes in all scopes, each with what is known of its patches:
    /// see [`Provider::nodes_with_compliance`](crate::Provider::nodes_with_compliance).
    ///
    /// # Errors
    /// As [`summaries`](ComplianceReport::summaries): a scope that fails is a row.
    pub fn nodes_with_compliance(
        &self,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<(ManagedNode, NodeCompliance)>> {
        self.merged(
            "nodes_with_compliance",
            selector,
            |provider, selector| provider.nodes_with_compliance(selector),
            |(node, _)| node.id.scope(),
        )
    }
}
