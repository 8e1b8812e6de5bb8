//! The nodes and what is known of their patches, in one pass.

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use patchkit_core::{ManagedNode, NodeCompliance, NodeSelector, Provider, Result};

use crate::UpdateManager;

/// Everything that Update Manager does in some subscriptions.
///
/// # Behavior
/// - [`nodes_with_compliance`](Provider::nodes_with_compliance) is one query for each thousand
///   machines, where the two listings are one each. No machine is asked for its agent: where Resource
///   Graph knows nothing of it, a running node's reachability is `Unknown`.
impl Provider for UpdateManager {
    fn nodes_with_compliance(
        &self,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<(ManagedNode, NodeCompliance)>> {
        let known = self.machines_with_compliance(selector);
        let nodes = known.map_ok(|(machine, known)| (machine.node, known)).boxed();
        let nodes = self.add_addresses(selector, nodes, |(node, _)| node);
        self.with_schedules(nodes, |(node, _)| node)
    }
}
