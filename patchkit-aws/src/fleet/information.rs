//! What Systems Manager tells of its nodes: DescribeInstanceInformation, and for stopped instances,
//! which it hides, the inventory.

use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_ssm::types::{InstanceInformation, InstanceInformationStringFilter};
use futures::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use patchkit_core::{
    ErrorKind, ManagedNode, NodeSelector, Result,
    listing::{each_once, sound},
    paginate,
};

use super::{AT_ONCE, is_hybrid, tagging::ARNS};
use crate::{
    client::Client,
    convert,
    error::{PROVIDER, invalid},
    listing::in_lots,
};

const OPERATION: &str = "DescribeInstanceInformation";

/// Most items on a page (botocore ssm model: MaxResults 5..50).
const PAGE: (i32, i32) = (5, 50);

/// How many pages are asked for tags at once: full ones are as many nodes as a call takes.
const PAGES_A_LOT: usize = ARNS / 50;

/// Which of Systems Manager's nodes to list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    #[cfg_attr(feature = "ec2", expect(dead_code, reason = "EC2 lists its instances itself"))]
    Instance,
    Hybrid,
}

impl Kind {
    fn resource_type(self) -> &'static str {
        match self {
            Self::Instance => "EC2Instance",
            Self::Hybrid => "ManagedInstance",
        }
    }

    fn takes(self, id: &str) -> bool {
        is_hybrid(id) == (self == Self::Hybrid)
    }
}

type Infos = Vec<InstanceInformation>;

impl Client {
    /// The nodes of one kind that may be in the selection, with their tags.
    pub(super) fn managed(
        self: &Arc<Self>,
        selector: &Arc<NodeSelector>,
        kind: Kind,
    ) -> BoxStream<'static, Result<ManagedNode>> {
        let pages = match &selector.ids {
            Some(ids) => {
                let ids: Vec<String> = ids
                    .iter()
                    .filter(|id| *id.scope() == self.scope && kind.takes(id.resource()))
                    .map(|id| id.resource().to_owned())
                    .collect();
                self.information_by_id(&ids)
            }
            None => self.information_where("ResourceType", vec![kind.resource_type().to_owned()]),
        };
        let client = Arc::clone(self);
        let lots = in_lots(PAGES_A_LOT, pages);
        let nodes = lots
            .map_ok(move |page| {
                let client = Arc::clone(&client);
                async move { client.with_tags(page).await }
            })
            .try_buffered(AT_ONCE)
            .map_ok(|nodes| stream::iter(nodes.into_iter().map(Ok)))
            .try_flatten();
        each_once(sound(PROVIDER, OPERATION, nodes), |node| node.id.clone())
    }

    async fn with_tags(&self, page: Infos) -> Result<Vec<Result<ManagedNode>>> {
        let at = self.now();
        let ids: Vec<&str> = page.iter().filter_map(|info| info.instance_id()).collect();
        let mut tags = self.tags_of(&ids).await?;
        let node = |info: &InstanceInformation| {
            let id = self.node(OPERATION, info.instance_id())?;
            let found = tags.remove(id.resource()).unwrap_or_default();
            let mut node = convert::node::managed(id, info, at);
            convert::node::set_tags(&mut node, found);
            Ok(node)
        };
        Ok(page.iter().map(node).collect())
    }

    /// The pages of one filter. Also what is asked for by few ids may come in several, and one of
    /// them may be empty.
    fn information_where(
        self: &Arc<Self>,
        key: &'static str,
        values: Vec<String>,
    ) -> BoxStream<'static, Result<Infos>> {
        let client = Arc::clone(self);
        paginate("aws", OPERATION, move |token| {
            let (client, values) = (Arc::clone(&client), values.clone());
            async move {
                let filter = string_filter(key, values)?;
                let request = client
                    .ssm()
                    .describe_instance_information()
                    .filters(filter)
                    .max_results(client.page.within(PAGE.0, PAGE.1))
                    .set_next_token(token);
                let page = client.read(OPERATION, request.send()).await?;
                Ok((vec![page.instance_information_list.unwrap_or_default()], page.next_token))
            }
        })
    }

    fn information_by_id(self: &Arc<Self>, ids: &[String]) -> BoxStream<'static, Result<Infos>> {
        let client = Arc::clone(self);
        let chunks: Vec<Vec<String>> = ids.chunks(client.ids_per_call()).map(Vec::from).collect();
        stream::iter(chunks)
            .map(move |chunk| {
                let client = Arc::clone(&client);
                async move { client.information_of_chunk(chunk).await }
            })
            .buffered(AT_ONCE)
            .boxed()
    }

    fn ids_per_call(&self) -> usize {
        usize::try_from(self.page.within(PAGE.0, PAGE.1)).unwrap_or(1)
    }

    /// What is known of some nodes, by their ids. A node that is stopped or not managed is absent.
    pub(crate) async fn information_of(
        self: &Arc<Self>,
        ids: &[String],
    ) -> Result<BTreeMap<String, InstanceInformation>> {
        let chunks: Vec<Vec<String>> = ids.chunks(self.ids_per_call()).map(Vec::from).collect();
        let infos: Vec<Infos> = stream::iter(chunks)
            .map(|chunk| self.information_of_chunk(chunk))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let by_id = |info: InstanceInformation| Some((info.instance_id()?.to_owned(), info));
        Ok(infos.into_iter().flatten().filter_map(by_id).collect())
    }

    /// One id that is not there is an error for the whole call (botocore ssm model,
    /// DescribeInstanceInformation), which does not say which one it is: the ids are asked for by
    /// halves, until the bad one is alone.
    fn information_of_chunk(self: &Arc<Self>, ids: Vec<String>) -> BoxFuture<'_, Result<Infos>> {
        Box::pin(async move {
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            match self.information_where("InstanceIds", ids.clone()).try_concat().await {
                Ok(found) => Ok(found),
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                Err(_) if ids.len() == 1 => Ok(Vec::new()),
                Err(_) => {
                    let (left, right) = ids.split_at(ids.len() / 2);
                    let mut found = self.information_of_chunk(left.to_vec()).await?;
                    found.extend(self.information_of_chunk(right.to_vec()).await?);
                    Ok(found)
                }
            }
        })
    }
}

fn string_filter(
    key: &str,
    values: impl IntoIterator<Item = String>,
) -> Result<InstanceInformationStringFilter> {
    InstanceInformationStringFilter::builder()
        .key(key)
        .set_values(Some(values.into_iter().collect()))
        .build()
        .map_err(|error| invalid(OPERATION, error.to_string()))
}
