//! The nodes of a Resource Group.

use std::sync::Arc;

use aws_sdk_resourcegroups::types::{QueryErrorCode, ResourceIdentifier};
use futures::stream::BoxStream;
use patchkit_core::{NodeId, Result, Scope, paginate};

use crate::{
    Ssm,
    error::{PROVIDER, invalid, malformed},
    listing::{each_once, sound},
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
    /// ```no_run
    /// # async fn scan(ssm: patchkit_aws::Ssm) -> patchkit_core::Result<()> {
    /// use futures::TryStreamExt;
    /// use patchkit_core::{ComplianceReport, NodeSelector};
    ///
    /// let members: Vec<_> = ssm.resource_group_nodes("web").try_collect().await?;
    /// let mut known = ssm.summaries(&NodeSelector::ids(members));
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
        each_once(sound(LIST, pages), NodeId::clone)
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
