//! The nodes and what is known of their patches, in one pass.

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{
    Fleet, ManagedNode, NodeCompliance, NodeSelector, Provider, Result, listing::until_error,
    with_compliance,
};

use crate::Ssm;

/// Everything that Systems Manager does in an account and Region.
///
/// # Behavior
/// - [`nodes_with_compliance`](Provider::nodes_with_compliance) asks EC2 for its instances once,
///   where the listing of nodes and that of compliance each ask for them.
impl Provider for Ssm {
    fn nodes_with_compliance(
        &self,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<(ManagedNode, NodeCompliance)>> {
        if self.takes_all(selector) {
            return with_compliance(self.nodes(selector), self.client.patch_summaries());
        }
        let ssm = self.clone();
        let chunks = self.nodes(selector).chunks(self.states_per_call()).map(move |chunk| {
            let ssm = ssm.clone();
            async move { ssm.known(chunk).await }
        });
        until_error(chunks.buffered(2).flat_map(stream::iter))
    }
}

impl Ssm {
    async fn known(
        &self,
        chunk: Vec<Result<ManagedNode>>,
    ) -> Vec<Result<(ManagedNode, NodeCompliance)>> {
        // What was listed before an error comes before it.
        let (nodes, errors): (Vec<_>, Vec<_>) = chunk.into_iter().partition(Result::is_ok);
        let errors = errors.into_iter().filter_map(Result::err).map(Err);
        let nodes: Vec<ManagedNode> = nodes.into_iter().flatten().collect();
        if nodes.is_empty() {
            return errors.collect();
        }
        let ids: Vec<_> = nodes.iter().map(|node| node.id.clone()).collect();
        let mut rows = Vec::with_capacity(nodes.len());
        match self.client.patch_states(&ids).await {
            Ok(mut known) => rows.extend(nodes.into_iter().map(|node| {
                let unknown = || NodeCompliance::unknown(node.id.clone());
                let compliance = known.remove(node.id.resource()).unwrap_or_else(unknown);
                Ok((node, compliance))
            })),
            Err(error) => rows.push(Err(error)),
        }
        rows.extend(errors);
        rows
    }
}
