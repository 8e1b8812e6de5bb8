//! Which node it was that the service refused a whole command for.

use patchkit_core::{Error, ErrorKind, NodeId, Result};

use crate::Ssm;

impl Ssm {
    /// Names the node in an error of SendCommand, which refuses all nodes for one that is unknown,
    /// stopped or not managed: then the caller can send to the others.
    ///
    /// The service's text names the ids in most cases (`Instances [[i-…]] not in a valid state for
    /// account …`), and is empty or `null` in some (aws-cli, issue 3646). Then Systems Manager is
    /// asked which of the nodes it lists.
    pub(super) async fn name_node(&self, error: Error, nodes: &[NodeId]) -> Error {
        if error.kind() != ErrorKind::NotFound || !error.message().starts_with("InvalidInstanceId")
        {
            return error;
        }
        let named = match nodes {
            [only] => Some(only),
            _ => first_named(error.message(), nodes),
        };
        if let Some(node) = named {
            return error.with_node(node.clone());
        }
        // What cannot be told leaves the error as it is: the command's own is the one to report.
        match self.first_unlisted(nodes).await {
            Ok(Some(node)) => error.with_node(node.clone()),
            _ => error,
        }
    }

    /// The first of some nodes that Systems Manager does not list as managed and not stopped.
    async fn first_unlisted<'n>(&self, nodes: &'n [NodeId]) -> Result<Option<&'n NodeId>> {
        let ids: Vec<String> = nodes.iter().map(|node| node.resource().to_owned()).collect();
        let listed = self.client.information_of(&ids).await?;
        Ok(nodes.iter().find(|node| !listed.contains_key(node.resource())))
    }
}

/// The first of some nodes whose id stands in a text, and not only as the beginning of another.
fn first_named<'n>(text: &str, nodes: &'n [NodeId]) -> Option<&'n NodeId> {
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
    nodes.iter().find(|node| words.contains(&node.resource()))
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
    use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
    use patchkit_testkit::cloud::{Fault, FaultKind, World};

    use super::*;
    use crate::error::PROVIDER;

    #[tokio::test]
    async fn where_the_service_names_no_node_the_one_that_it_does_not_list_is_named() {
        let world = World::builder()
            .aws_account("111122223333")
            .aws_region("eu-west-1")
            .nodes(40)
            .start()
            .await
            .unwrap();
        let keys = Credentials::new("any", "any", None, None, "test");
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(&world.endpoints().aws_endpoint)
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .retry_config(RetryConfig::disabled())
            .build();
        let ssm = Ssm::from_sdk_config(&sdk).await.unwrap();
        let node = |id: &str| NodeId::new(ssm.scope().clone(), id).unwrap();
        let known = world.node_ids().into_iter().filter_map(|id| world.node(&id));
        let known: Vec<NodeId> = known
            .filter(|it| it.answers)
            .filter_map(|it| it.aws_id)
            .take(2)
            .map(|id| node(&id))
            .collect();
        let bad = node("i-0123456789abcdef0");
        let nodes = [known[0].clone(), bad.clone(), known[1].clone()];
        let refused =
            || Error::new(ErrorKind::NotFound, PROVIDER, "SendCommand", "InvalidInstanceId: null");
        assert_eq!(ssm.name_node(refused(), &nodes).await.node(), Some(&bad));
        assert_eq!(ssm.name_node(refused(), &known).await.node(), None, "all are there");
        let fault = Fault::new(FaultKind::Throttle).on("DescribeInstanceInformation");
        world.add_fault(fault).unwrap();
        let named = ssm.name_node(refused(), &nodes).await;
        assert_eq!((named.kind(), named.node()), (ErrorKind::NotFound, None));
        // Other refusals are about something else.
        let denied = Error::new(ErrorKind::PermissionDenied, PROVIDER, "SendCommand", "no");
        assert_eq!(ssm.name_node(denied, &nodes[1..2]).await.node(), None);
    }

    #[test]
    fn a_node_is_named_by_its_whole_id() {
        let nodes: Vec<NodeId> = ["i-0a", "i-0ab", "mi-0c"]
            .iter()
            .map(|id| format!("aws/111122223333/eu-west-1/{id}").parse().unwrap())
            .collect();
        let named = |text: &str| first_named(text, &nodes).map(NodeId::resource);
        assert_eq!(named("Instances [[i-0ab]] not in a valid state for account 1"), Some("i-0ab"));
        assert_eq!(named("Instances [[mi-0c, i-0a]] not in a valid state"), Some("i-0a"));
        assert_eq!(named("null"), None);
        assert_eq!(named("i-0abc"), None);
    }
}
