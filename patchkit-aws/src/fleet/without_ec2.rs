//! What takes EC2 or IAM, where the crate is built without them: `Unsupported`, as the capabilities
//! say.

#![expect(clippy::unused_async, reason = "as with EC2")]

use patchkit_core::{
    AccessChange, AccessGrant, Error, NodeAccess, NodeId, PerNode, PowerTarget, Result,
};

use crate::{Ssm, error::PROVIDER};

impl Ssm {
    pub(crate) async fn change_power(&self, nodes: &[NodeId], _: PowerTarget) -> PerNode<()> {
        let refused = |node: &NodeId| {
            let error = Error::unsupported(PROVIDER, "power").with_node(node.clone());
            (node.clone(), Err(error))
        };
        nodes.iter().map(refused).collect()
    }

    pub(crate) async fn check_access(&self, node: &NodeId) -> Result<NodeAccess> {
        Err(Error::unsupported(PROVIDER, "access").with_node(node.clone()))
    }

    pub(crate) async fn give_access(&self, node: &NodeId, _: &AccessGrant) -> Result<AccessChange> {
        Err(Error::unsupported(PROVIDER, "grant access").with_node(node.clone()))
    }

    pub(crate) async fn take_access_back(&self, change: &AccessChange) -> Result<()> {
        Err(Error::unsupported(PROVIDER, "revert access").with_node(change.node.clone()))
    }
}
