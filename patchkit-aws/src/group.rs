//! Patch groups: whose nodes they are, and which baselines are registered for them.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_resourcegroupstagging::types::{ResourceTagMapping, TagFilter};
use aws_sdk_ssm::types;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{
    Baseline, BaselineId, Error, ErrorKind, GroupRegistration, GroupTag, NodeId, OperatingSystem,
    PATCH_GROUP_TAGS, PatchBaseline, PatchGroup, PatchGroupName, Result, Tags, group_tag,
    listing::{each_once, until_error},
    paginate,
};

use crate::{
    Ssm,
    baseline::id_of,
    error::{PROVIDER, malformed},
};

#[async_trait]
impl PatchGroup for Ssm {
    fn groups(&self) -> BoxStream<'static, Result<PatchGroupName>> {
        let groups = self.all_registrations().map_ok(|registration| registration.group);
        each_once(groups, PatchGroupName::clone)
    }

    fn members(&self, group: &PatchGroupName) -> BoxStream<'static, Result<NodeId>> {
        let ssm = self.clone();
        let group = group.clone();
        let by_tag = move |tag: &'static str| {
            let others = ssm.tagged(&group, tag);
            #[cfg(feature = "ec2")]
            let others = ssm.tagged_instances(&group, tag).chain(others);
            others
        };
        let nodes = stream::iter(PATCH_GROUP_TAGS).flat_map(by_tag);
        until_error(each_once(nodes, NodeId::clone))
    }

    fn registrations(
        &self,
        group: &PatchGroupName,
    ) -> BoxStream<'static, Result<GroupRegistration>> {
        let group = group.clone();
        // The filter of DescribePatchGroups for names has names of baselines for examples (API
        // reference), and nothing says that it is one for groups. There are few registrations: 25 of
        // a baseline, and 50 baselines.
        let of_group =
            self.all_registrations().try_filter(move |it| std::future::ready(it.group == group));
        each_once(of_group, |it| (it.operating_system.clone(), it.baseline.clone()))
    }

    async fn baseline_for(
        &self,
        group: &PatchGroupName,
        os: &OperatingSystem,
    ) -> Result<BaselineId> {
        const OPERATION: &str = "GetPatchBaselineForPatchGroup";
        let request = self
            .client
            .ssm()
            .get_patch_baseline_for_patch_group()
            .patch_group(group.as_str())
            .operating_system(os.as_str().into());
        let answer = self.client.read(OPERATION, request.send()).await?;
        match answer.baseline_id().filter(|id| !id.is_empty()) {
            Some(id) => BaselineId::new(id),
            None => Err(Error::not_found(PROVIDER, OPERATION, format!("a baseline for {os}"))),
        }
    }

    async fn register(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
        let kept = self.baseline(baseline).await?;
        let id = id_of(&kept, baseline);
        let request = self
            .client
            .ssm()
            .register_patch_baseline_for_patch_group()
            .baseline_id(id.as_str())
            .patch_group(group.as_str());
        // Twice is as good as once, so it may be made again like a read.
        match self.client.read("RegisterPatchBaselineForPatchGroup", request.send()).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.taken(error, group, &kept, &id).await
            }
            Err(error) => Err(error),
        }
    }

    async fn deregister(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
        let kept = match self.baseline(baseline).await {
            Ok(kept) => kept,
            // What does not exist is not registered: the service deletes no baseline that is.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let request = self
            .client
            .ssm()
            .deregister_patch_baseline_for_patch_group()
            .baseline_id(id_of(&kept, baseline).as_str())
            .patch_group(group.as_str());
        match self.client.read("DeregisterPatchBaselineForPatchGroup", request.send()).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Ssm {
    /// Every registration of every group.
    fn all_registrations(&self) -> BoxStream<'static, Result<GroupRegistration>> {
        const OPERATION: &str = "DescribePatchGroups";
        let client = Arc::clone(&self.client);
        paginate(PROVIDER, OPERATION, move |token| {
            let client = Arc::clone(&client);
            async move {
                let request = client
                    .ssm()
                    .describe_patch_groups()
                    .max_results(client.page.within(1, 100))
                    .set_next_token(token);
                let answer = client.read(OPERATION, request.send()).await?;
                let row = |row: &types::PatchGroupPatchBaselineMapping| {
                    registration(row)
                        .unwrap_or_else(|| Err(malformed(OPERATION, "a row is not whole")))
                };
                Ok((answer.mappings().iter().map(row).collect::<Result<_>>()?, answer.next_token))
            }
        })
    }

    /// What became of a registration that the service answered with a conflict: the group has this
    /// very baseline, or another one that is named.
    async fn taken(
        &self,
        conflict: Error,
        group: &PatchGroupName,
        kept: &PatchBaseline,
        id: &BaselineId,
    ) -> Result<()> {
        let os = &kept.operating_system;
        let registered: Vec<GroupRegistration> = self
            .registrations(group)
            .try_filter(|it| std::future::ready(it.operating_system == *os))
            .try_collect()
            .await
            .unwrap_or_default();
        if registered.iter().any(|it| it.baseline == *id) {
            return Ok(());
        }
        let Some(other) = registered.first() else { return Err(conflict) };
        let other = &other.baseline;
        let message =
            format!("patch group {group} has baseline {other} for {os}: {id} is not registered");
        let told = Error::new(ErrorKind::Conflict, PROVIDER, conflict.operation(), message);
        Err(match conflict.request_id() {
            Some(request) => told.with_request_id(request),
            None => told,
        })
    }

    /// The [other](TYPES) nodes whose tag has this value, and that no other tag puts into another
    /// group.
    ///
    /// DescribeInstanceInformation filters by tags too, but tells none, and hides stopped nodes.
    fn tagged(
        &self,
        group: &PatchGroupName,
        tag: &'static str,
    ) -> BoxStream<'static, Result<NodeId>> {
        const OPERATION: &str = "GetResources";
        let (client, group) = (Arc::clone(&self.client), group.clone());
        paginate(PROVIDER, OPERATION, move |token| {
            let (client, group) = (Arc::clone(&client), group.clone());
            async move {
                let request = client
                    .tagging()
                    .get_resources()
                    .set_resource_type_filters(Some(TYPES.map(str::to_owned).to_vec()))
                    .tag_filters(TagFilter::builder().key(tag).values(group.as_str()).build())
                    .resources_per_page(client.page.within(1, 100))
                    .set_pagination_token(token);
                let answer = client.read(OPERATION, request.send()).await?;
                let rows = answer.resource_tag_mapping_list().iter();
                let members = rows.filter(|row| names(&group, &tags_of(row)));
                let node = |row: &ResourceTagMapping| {
                    let id = row.resource_arn().and_then(|arn| arn.rsplit('/').next());
                    client.node(OPERATION, id)
                };
                Ok((members.map(node).collect::<Result<_>>()?, answer.pagination_token))
            }
        })
    }

    /// As [`tagged`](Self::tagged), of EC2's instances, on or off.
    #[cfg(feature = "ec2")]
    fn tagged_instances(
        &self,
        group: &PatchGroupName,
        tag: &'static str,
    ) -> BoxStream<'static, Result<NodeId>> {
        use aws_sdk_ec2::types::{Filter, Instance};

        const OPERATION: &str = "DescribeInstances";
        let (client, group) = (Arc::clone(&self.client), group.clone());
        paginate(PROVIDER, OPERATION, move |token| {
            let (client, group) = (Arc::clone(&client), group.clone());
            async move {
                let named = Filter::builder().name(format!("tag:{tag}")).values(group.as_str());
                let alive = Filter::builder()
                    .name("instance-state-name")
                    .set_values(Some(ALIVE.map(str::to_owned).to_vec()));
                let request = client
                    .ec2()
                    .describe_instances()
                    .filters(named.build())
                    .filters(alive.build())
                    .max_results(client.page.within(5, 1_000))
                    .set_next_token(token);
                let answer = client.read(OPERATION, request.send()).await?;
                let instances = answer
                    .reservations()
                    .iter()
                    .flat_map(aws_sdk_ec2::types::Reservation::instances);
                let tags = |instance: &Instance| {
                    let tags = instance.tags().iter();
                    tags.filter_map(|tag| Some((tag.key.clone()?, tag.value.clone()?))).collect()
                };
                let members = instances.filter(|instance| names(&group, &tags(instance)));
                let node = |instance: &Instance| client.node(OPERATION, instance.instance_id());
                Ok((members.map(node).collect::<Result<_>>()?, answer.next_token))
            }
        })
    }
}

/// What the tagging API is asked for: it still has the tags of instances that are gone, so EC2 is
/// asked for those, where that is possible.
#[cfg(feature = "ec2")]
const TYPES: [&str; 1] = ["ssm:managed-instance"];
#[cfg(not(feature = "ec2"))]
const TYPES: [&str; 2] = ["ec2:instance", "ssm:managed-instance"];

/// The states of instances that are not on their way out.
#[cfg(feature = "ec2")]
const ALIVE: [&str; 4] = ["pending", "running", "stopping", "stopped"];

/// Whether tags name this group and no other. A filter of a listing sees one tag only, and those of
/// EC2 take `*` and `?` for any characters.
fn names(group: &PatchGroupName, tags: &Tags) -> bool {
    matches!(group_tag(tags), GroupTag::One(named) if named == *group)
}

fn tags_of(row: &ResourceTagMapping) -> Tags {
    row.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}

fn registration(row: &types::PatchGroupPatchBaselineMapping) -> Option<Result<GroupRegistration>> {
    let identity = row.baseline_identity()?;
    let Ok(os) = identity.operating_system()?.as_str().parse();
    let (group, baseline) = (row.patch_group()?, identity.baseline_id()?);
    Some(
        PatchGroupName::new(group)
            .and_then(|group| Ok(GroupRegistration::new(group, os, BaselineId::new(baseline)?))),
    )
}
