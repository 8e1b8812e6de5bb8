//! A whole provider: the four traits on one value, and what takes more than one of them.

use std::collections::HashMap;

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};

use crate::{
    Baseline, ComplianceReport, Fleet, ManagedNode, NodeCompliance, NodeId, NodeSelector,
    PatchGroup, Result,
};

/// All four traits on one value.
///
/// An `Arc<dyn Provider>` is each of the four, and coerces to `Arc<dyn Baseline>` and its like.
/// Who has the four has it by an empty `impl`.
pub trait Provider: Fleet + Baseline + PatchGroup + ComplianceReport {
    /// Lists the nodes that `selector` takes, each with what is known of its patches.
    ///
    /// The two listings of [`nodes`](Fleet::nodes) and [`summaries`](ComplianceReport::summaries)
    /// in one pass. A provider that knows a cheaper way than both takes it.
    ///
    /// # Behavior
    /// - The nodes are those of `nodes`; one of which nothing is known is `Unknown`.
    /// - An error of either listing is an error of this one: one that names a
    ///   [scope](crate::Error::scope) is about that scope alone, and any other is the last.
    ///
    /// # Errors
    /// Those of the two listings.
    ///
    /// # Example
    /// ```
    /// use futures::TryStreamExt;
    /// use patchkit_core::{NodeSelector, Provider, memory::MemoryCloud};
    ///
    /// # futures::executor::block_on(async {
    /// let fleet = MemoryCloud::builder().seed(7).nodes(20).build();
    /// let mut known = fleet.nodes_with_compliance(&NodeSelector::all());
    /// while let Some((node, compliance)) = known.try_next().await? {
    ///     println!("{}: {} is {}", node.id, node.power, compliance.status);
    /// }
    /// # Ok::<(), patchkit_core::Error>(())
    /// # }).unwrap();
    /// ```
    fn nodes_with_compliance(
        &self,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<(ManagedNode, NodeCompliance)>> {
        with_compliance(self.nodes(selector), self.summaries(selector))
    }
}

/// Puts to each node of a listing what is known of its patches.
///
/// For those who write a [`Provider`]. What is known, which is small, is read to its end before the
/// first node comes.
pub fn with_compliance(
    nodes: BoxStream<'static, Result<ManagedNode>>,
    summaries: BoxStream<'static, Result<NodeCompliance>>,
) -> BoxStream<'static, Result<(ManagedNode, NodeCompliance)>> {
    let whole = async move {
        let (mut known, mut errors) = (HashMap::new(), Vec::new());
        let mut summaries = summaries;
        while let Some(summary) = summaries.next().await {
            match summary {
                Ok(summary) => {
                    known.insert(summary.node.clone(), summary);
                }
                Err(error) => errors.push(error),
            }
        }
        // An error without a scope is the last of a listing.
        let over = errors.iter().any(|error| error.scope().is_none());
        let errors = stream::iter(errors.into_iter().map(Err));
        if over { errors.boxed() } else { errors.chain(joined(known, nodes)).boxed() }
    };
    stream::once(whole).flatten().boxed()
}

fn joined(
    mut known: HashMap<NodeId, NodeCompliance>,
    nodes: BoxStream<'static, Result<ManagedNode>>,
) -> BoxStream<'static, Result<(ManagedNode, NodeCompliance)>> {
    let pair = move |node: ManagedNode| {
        let compliance =
            known.remove(&node.id).unwrap_or_else(|| NodeCompliance::unknown(node.id.clone()));
        (node, compliance)
    };
    nodes.map_ok(pair).boxed()
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use jiff::Timestamp;

    use super::*;
    use crate::{ComplianceStatus, Error, ErrorKind, OperatingSystem};

    fn node(name: &str) -> ManagedNode {
        let id = format!("aws/111122223333/eu-west-1/{name}").parse().unwrap();
        ManagedNode::new(id, OperatingSystem::Ubuntu, Timestamp::UNIX_EPOCH)
    }

    fn compliant(name: &str) -> NodeCompliance {
        let mut known = NodeCompliance::unknown(node(name).id);
        known.status = ComplianceStatus::Compliant;
        known
    }

    fn error() -> Error {
        Error::new(ErrorKind::PermissionDenied, "aws", "summaries", "no")
    }

    type Rows = Vec<Result<(ManagedNode, NodeCompliance)>>;

    fn rows(summaries: Vec<Result<NodeCompliance>>, nodes: Vec<Result<ManagedNode>>) -> Rows {
        block_on(
            with_compliance(stream::iter(nodes).boxed(), stream::iter(summaries).boxed()).collect(),
        )
    }

    #[test]
    fn a_node_of_which_nothing_is_known_is_unknown() {
        let rows = rows(vec![Ok(compliant("i-1"))], vec![Ok(node("i-2")), Ok(node("i-1"))]);
        let status = |row: &Result<(_, NodeCompliance)>| row.as_ref().unwrap().1.status;
        assert_eq!(
            rows.iter().map(status).collect::<Vec<_>>(),
            [ComplianceStatus::Unknown, ComplianceStatus::Compliant]
        );
    }

    #[test]
    fn an_error_of_a_scope_leaves_the_nodes_of_the_others() {
        let scope = "aws/111122223333/us-east-1".parse().unwrap();
        let rows = rows(vec![Err(error().with_scope(scope))], vec![Ok(node("i-1"))]);
        assert!(matches!(&rows[..], [Err(_), Ok((_, known))] if known.observed_at.is_none()));
    }

    #[test]
    fn an_error_without_a_scope_is_the_last() {
        let rows = rows(vec![Ok(compliant("i-1")), Err(error())], vec![Ok(node("i-1"))]);
        assert!(matches!(&rows[..], [Err(_)]));
    }
}
