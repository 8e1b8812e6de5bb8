//! The tags of many managed nodes in few calls: a hundred at once, where Systems Manager's own
//! ListTagsForResource tells of one.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use patchkit_core::{Result, Tags};

use super::{AT_ONCE, is_hybrid};
use crate::client::Client;

const OPERATION: &str = "GetResources";

/// Most ARNs in a call (botocore resourcegroupstaggingapi model).
pub(super) const ARNS: usize = 100;

impl Client {
    /// The tags of nodes by their ids; a node without tags is absent.
    pub(crate) async fn tags_of(&self, ids: &[&str]) -> Result<BTreeMap<String, Tags>> {
        let chunks: Vec<Vec<String>> =
            ids.chunks(ARNS).map(|ids| ids.iter().map(|id| self.arn(id)).collect()).collect();
        let pages: Vec<Vec<(String, Tags)>> = stream::iter(chunks)
            .map(|arns| self.tags_of_arns(arns))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(pages.into_iter().flatten().collect())
    }

    async fn tags_of_arns(&self, arns: Vec<String>) -> Result<Vec<(String, Tags)>> {
        // The call takes ARNs or a page size, and answers all the ARNs at once.
        let request = self.tagging().get_resources().set_resource_arn_list(Some(arns));
        let page = self.read(OPERATION, request.send()).await?;
        let tags =
            page.resource_tag_mapping_list.unwrap_or_default().into_iter().filter_map(|it| {
                let id = it.resource_arn()?.rsplit('/').next()?.to_owned();
                let pair = |tag: &aws_sdk_resourcegroupstagging::types::Tag| {
                    (tag.key().to_owned(), tag.value().to_owned())
                };
                Some((id, it.tags().iter().map(pair).collect()))
            });
        Ok(tags.collect())
    }

    fn arn(&self, id: &str) -> String {
        let kind = if is_hybrid(id) { "ssm" } else { "ec2" };
        let resource = if is_hybrid(id) { "managed-instance" } else { "instance" };
        let (partition, region, account) =
            (self.partition(), self.scope.region(), self.scope.account());
        format!("arn:{partition}:{kind}:{region}:{account}:{resource}/{id}")
    }

    /// The partition of this scope's Region (AWS General Reference, "Amazon Resource Names").
    pub(crate) fn partition(&self) -> &'static str {
        let region = self.scope.region().as_str();
        match region {
            _ if region.starts_with("cn-") => "aws-cn",
            _ if region.starts_with("us-gov-") => "aws-us-gov",
            _ if region.starts_with("us-iso-") => "aws-iso",
            _ if region.starts_with("us-isob-") => "aws-iso-b",
            _ => "aws",
        }
    }
}
