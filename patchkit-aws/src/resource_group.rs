//! The nodes of a Resource Group.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::ready,
    sync::Arc,
};

use aws_sdk_resourcegroups::types::{QueryErrorCode, ResourceIdentifier};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{
    ManagedNode, NodeId, NodeSelector, PowerState, ResourceGroupName, Result, Scope,
    listing::{each_once, sound},
    paginate,
};

use crate::{
    Ssm,
    error::{PROVIDER, invalid, malformed},
};

const LIST: &str = "ListGroupResources";
/// The largest page (service model, `MaxResults`).
const PAGE: i32 = 50;

impl Ssm {
    /// Lists the nodes that are in a Resource Group now: EC2 instances and hybrid nodes.
    ///
    /// To have Systems Manager look for them itself when a command is sent, use
    /// [`CommandTarget::resource_group`](crate::CommandTarget::resource_group).
    ///
    /// # Behavior
    /// - Fifty members in a call. What is no node (a bucket, a volume) is left out.
    /// - A group whose query fails is an error, not an empty group.
    ///
    /// # Errors
    /// `NotFound` (no such group), `InvalidInput` (the group's query fails), `PermissionDenied`,
    /// `Throttled`, `Malformed`.
    ///
    /// # Example
    /// To select by a group, name it: this is for who wants to see the ids.
    /// ```no_run
    /// # async fn scan(ssm: patchkit_aws::Ssm) -> patchkit_core::Result<()> {
    /// use futures::TryStreamExt;
    /// use patchkit_core::{ComplianceReport, NodeSelector};
    ///
    /// let members: Vec<_> = ssm.resource_group_nodes("web").try_collect().await?;
    /// println!("{} nodes", members.len());
    ///
    /// let web = NodeSelector::all().with_resource_groups(["web".parse()?]);
    /// let mut known = ssm.summaries(&web);
    /// while let Some(node) = known.try_next().await? {
    ///     println!("{}: {}", node.node, node.status);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn resource_group_nodes(&self, group: &str) -> BoxStream<'static, Result<NodeId>> {
        let (client, group) = (Arc::clone(&self.client), group.to_owned());
        let pages = paginate(PROVIDER, LIST, move |token| {
            let (client, group) = (Arc::clone(&client), group.clone());
            async move {
                let request = client
                    .groups()
                    .list_group_resources()
                    .group(group)
                    .max_results(client.page.within(1, PAGE))
                    .set_next_token(token);
                let page = client.read(LIST, request.send()).await?;
                if let Some(error) = page.query_errors().first() {
                    let code = error.error_code().map_or("", QueryErrorCode::as_str);
                    let message = error.message().unwrap_or_default();
                    return Err(invalid(LIST, format!("the group's query: {code} {message}")));
                }
                let arns = page.resources().iter().map(|it| {
                    it.identifier().and_then(ResourceIdentifier::resource_arn).unwrap_or_default()
                });
                let nodes = arns.filter_map(|arn| node(&client.scope, arn).transpose());
                Ok((nodes.collect::<Vec<_>>(), page.next_token.clone()))
            }
        });
        each_once(sound(PROVIDER, LIST, pages), NodeId::clone)
    }

    /// The nodes of a selector that names Resource Groups: who is in them is asked first, and then
    /// for these nodes alone.
    pub(crate) fn in_resource_groups(
        &self,
        groups: &BTreeSet<ResourceGroupName>,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<ManagedNode>> {
        let (ssm, groups, selector) = (self.clone(), groups.clone(), selector.clone());
        let listing = async move {
            let members = ssm.members(&groups).await?;
            let asked = |id: &&NodeId| selector.ids.as_ref().is_none_or(|ids| ids.contains(*id));
            let mut each = selector.clone().with_ids(members.keys().filter(asked).cloned());
            each.resource_groups = None;
            // A group tells of instances for a while after they are gone, whom nobody asked for.
            let gone = selector.ids.is_some() || selector.power.is_some();
            let there = move |node: &ManagedNode| gone || node.power != PowerState::Terminated;
            let told = ssm.listed(&each).map_ok(move |mut node| {
                node.resource_groups = members.get(&node.id).cloned().unwrap_or_default();
                node
            });
            Ok(told.try_filter(move |node| ready(there(node))))
        };
        stream::once(listing).try_flatten().boxed()
    }

    async fn members(
        &self,
        groups: &BTreeSet<ResourceGroupName>,
    ) -> Result<BTreeMap<NodeId, BTreeSet<ResourceGroupName>>> {
        let mut members: BTreeMap<NodeId, BTreeSet<ResourceGroupName>> = BTreeMap::new();
        for group in groups {
            let mut nodes = self.resource_group_nodes(group.as_str());
            while let Some(node) = nodes.try_next().await? {
                members.entry(node).or_default().insert(group.clone());
            }
        }
        Ok(members)
    }
}

/// The node that an ARN names; none where it names something else, or something of elsewhere.
fn node(scope: &Scope, arn: &str) -> Result<Option<NodeId>> {
    let mut parts = arn.splitn(6, ':');
    let (Some("arn"), Some(_), Some(service), Some(region), Some(account), Some(resource)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed(LIST, format!("a member is named {arn:?}")));
    };
    let (("ec2", Some(("instance", id))) | ("ssm", Some(("managed-instance", id)))) =
        (service, resource.split_once('/'))
    else {
        return Ok(None);
    };
    if region != scope.region().as_str() || account != scope.account().as_str() {
        return Ok(None);
    }
    NodeId::new(scope.clone(), id).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_and_hybrid_nodes_are_nodes_and_nothing_else_is() {
        let scope = "aws/111122223333/eu-west-1/i-01".parse::<NodeId>().unwrap().scope().clone();
        let read = |arn: &str| node(&scope, arn).map(|it| it.map(|it| it.resource().to_owned()));
        for (arn, id) in [
            ("arn:aws:ec2:eu-west-1:111122223333:instance/i-01", Some("i-01")),
            ("arn:aws-cn:ssm:eu-west-1:111122223333:managed-instance/mi-01", Some("mi-01")),
            ("arn:aws:ec2:eu-west-1:111122223333:volume/vol-01", None),
            ("arn:aws:ec2:us-east-1:111122223333:instance/i-01", None),
            ("arn:aws:ec2:eu-west-1:444455556666:instance/i-01", None),
            ("arn:aws:s3:::bucket", None),
        ] {
            assert_eq!(read(arn).unwrap().as_deref(), id, "{arn}");
        }
        assert!(read("i-01").is_err());
        assert!(read("").is_err());
    }
}
