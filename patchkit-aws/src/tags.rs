//! The tags of nodes: EC2's of an instance, Systems Manager's of a hybrid node. They are two things:
//! a patch group tag on a hybrid node must be Systems Manager's.

use patchkit_core::{Error, NodeId, Result, TagChange, TagEdit, Tags};

use crate::{
    Ssm,
    client::Client,
    error::{PROVIDER, invalid},
    fleet::is_hybrid,
};

impl Ssm {
    pub(crate) async fn merge_node_tags(&self, node: &NodeId, tags: &Tags) -> Result<TagChange> {
        self.client.here(node)?;
        let now = self.client.node_tags(node).await?;
        let change = TagChange::between(node.clone(), &now, tags);
        let set: Tags = change.set.iter().map(|it| (it.key.clone(), it.after.clone())).collect();
        self.client.set_tags(node, &set).await?;
        Ok(change)
    }

    /// A tag that has been given another value since is someone else's: it stays.
    pub(crate) async fn revert_node_tags(&self, change: &TagChange) -> Result<()> {
        let node = &change.node;
        self.client.here(node)?;
        if change.is_empty() {
            return Ok(());
        }
        let now = self.client.node_tags(node).await?;
        let ours = |edit: &&TagEdit| now.get(&edit.key) == Some(&edit.after);
        let (mut set, mut gone) = (Tags::new(), Vec::new());
        for edit in change.set.iter().filter(ours) {
            match &edit.before {
                Some(before) => {
                    set.insert(edit.key.clone(), before.clone());
                }
                None => gone.push(edit.key.clone()),
            }
        }
        self.client.set_tags(node, &set).await?;
        self.client.remove_tags(node, gone).await
    }
}

impl Client {
    fn here(&self, node: &NodeId) -> Result<()> {
        if *node.scope() == self.scope {
            return Ok(());
        }
        Err(Error::not_found(PROVIDER, "tags", "the node").with_node(node.clone()))
    }

    async fn node_tags(&self, node: &NodeId) -> Result<Tags> {
        let named = |error: Error| error.with_node(node.clone());
        if is_hybrid(node.resource()) {
            let request = self
                .ssm()
                .list_tags_for_resource()
                .resource_type(aws_sdk_ssm::types::ResourceTypeForTagging::ManagedInstance)
                .resource_id(node.resource());
            let answer = self.read("ListTagsForResource", request.send()).await.map_err(named)?;
            let pair = |tag: aws_sdk_ssm::types::Tag| (tag.key, tag.value);
            return Ok(answer.tag_list.unwrap_or_default().into_iter().map(pair).collect());
        }
        self.instance_tags(node).await.map_err(named)
    }

    async fn set_tags(&self, node: &NodeId, tags: &Tags) -> Result<()> {
        if tags.is_empty() {
            return Ok(());
        }
        let named = |error: Error| error.with_node(node.clone());
        if is_hybrid(node.resource()) {
            let tag = |(key, value): (&String, &String)| {
                aws_sdk_ssm::types::Tag::builder()
                    .key(key)
                    .value(value)
                    .build()
                    .map_err(|error| invalid("AddTagsToResource", error.to_string()))
            };
            let tags = tags.iter().map(tag).collect::<Result<Vec<_>>>()?;
            let request = self
                .ssm()
                .add_tags_to_resource()
                .resource_type(aws_sdk_ssm::types::ResourceTypeForTagging::ManagedInstance)
                .resource_id(node.resource())
                .set_tags(Some(tags));
            return self.read("AddTagsToResource", request.send()).await.map(drop).map_err(named);
        }
        self.set_instance_tags(node, tags).await.map_err(named)
    }

    async fn remove_tags(&self, node: &NodeId, keys: Vec<String>) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let named = |error: Error| error.with_node(node.clone());
        if is_hybrid(node.resource()) {
            let request = self
                .ssm()
                .remove_tags_from_resource()
                .resource_type(aws_sdk_ssm::types::ResourceTypeForTagging::ManagedInstance)
                .resource_id(node.resource())
                .set_tag_keys(Some(keys));
            let done = self.read("RemoveTagsFromResource", request.send()).await;
            return done.map(drop).map_err(named);
        }
        self.remove_instance_tags(node, keys).await.map_err(named)
    }
}

#[cfg(feature = "ec2")]
impl Client {
    async fn instance_tags(&self, node: &NodeId) -> Result<Tags> {
        let request = self.ec2().describe_instances().instance_ids(node.resource());
        let page = self.read("DescribeInstances", request.send()).await?;
        let instance =
            page.reservations().iter().flat_map(aws_sdk_ec2::types::Reservation::instances).next();
        let instance = instance
            .ok_or_else(|| Error::not_found(PROVIDER, "DescribeInstances", "the instance"))?;
        Ok(crate::convert::node::tags(instance))
    }

    async fn set_instance_tags(&self, node: &NodeId, tags: &Tags) -> Result<()> {
        let tag = |(key, value): (&String, &String)| {
            aws_sdk_ec2::types::Tag::builder().key(key).value(value).build()
        };
        let request = self
            .ec2()
            .create_tags()
            .resources(node.resource())
            .set_tags(Some(tags.iter().map(tag).collect()));
        self.read("CreateTags", request.send()).await.map(drop)
    }

    async fn remove_instance_tags(&self, node: &NodeId, keys: Vec<String>) -> Result<()> {
        let tag = |key: String| aws_sdk_ec2::types::Tag::builder().key(key).build();
        let request = self
            .ec2()
            .delete_tags()
            .resources(node.resource())
            .set_tags(Some(keys.into_iter().map(tag).collect()));
        self.read("DeleteTags", request.send()).await.map(drop)
    }
}

#[cfg(not(feature = "ec2"))]
#[expect(clippy::unused_async, reason = "as with EC2")]
impl Client {
    async fn instance_tags(&self, node: &NodeId) -> Result<Tags> {
        Ok(self.tags_of(&[node.resource()]).await?.remove(node.resource()).unwrap_or_default())
    }

    async fn set_instance_tags(&self, _: &NodeId, _: &Tags) -> Result<()> {
        Err(Error::unsupported(PROVIDER, "CreateTags"))
    }

    async fn remove_instance_tags(&self, _: &NodeId, _: Vec<String>) -> Result<()> {
        Err(Error::unsupported(PROVIDER, "DeleteTags"))
    }
}
