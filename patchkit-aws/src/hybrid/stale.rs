//! Hybrid nodes that have fallen silent, and how they are given up on request.

use std::{sync::Arc, time::Duration};

use aws_sdk_ssm::types::{InstanceInformation, InstanceInformationStringFilter, PingStatus};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::{SignedDuration, Timestamp};
use patchkit_core::{Error, ErrorKind, NodeId, PerNode, Result, listing::sound, paginate};
use serde::{Deserialize, Serialize};

use crate::{
    Ssm,
    client::Client,
    convert::timestamp,
    error::{PROVIDER, invalid, malformed},
    fleet::is_hybrid,
};

const DEREGISTER: &str = "DeregisterManagedInstance";
const LIST: &str = "DescribeInstanceInformation";

/// Most items on a page (botocore ssm model: MaxResults 5..50).
const PAGE: (i32, i32) = (5, 50);

/// How many nodes are read and given up at once.
const AT_ONCE: usize = 4;

/// A hybrid node whose agent has not answered for long.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StaleNode {
    /// The node.
    pub node: NodeId,
    /// The name of its computer: that of the node is its activation's, and tells nothing.
    pub computer_name: Option<String>,
    /// Its address, as its agent told it.
    pub address: Option<String>,
    /// The activation that it registered by.
    pub activation: Option<String>,
    /// When it registered.
    pub registered_at: Option<Timestamp>,
    /// When its agent last answered; none if it never did.
    pub answered_at: Option<Timestamp>,
    /// Since it last answered, or registered where it never did.
    pub silent_for: SignedDuration,
}

impl Ssm {
    /// Lists the hybrid nodes that have been silent for longer than this.
    ///
    /// # Behavior
    /// - Nothing is changed: a machine that is switched off in another cloud falls silent too.
    /// - A node that is not silent as the service sees it is not listed, whatever its times say.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`. A row that cannot be read, or whose silence has no beginning,
    /// costs no other: it is an error at the end.
    pub fn stale_nodes(&self, longer_than: Duration) -> BoxStream<'static, Result<StaleNode>> {
        let client = Arc::clone(&self.client);
        let rows = paginate(PROVIDER, LIST, move |token| {
            let client = Arc::clone(&client);
            async move {
                let request = client
                    .ssm()
                    .describe_instance_information()
                    .filters(filter("ResourceType", ["ManagedInstance"])?)
                    .filters(filter("PingStatus", ["ConnectionLost", "Inactive"])?)
                    .max_results(client.page.within(PAGE.0, PAGE.1))
                    .set_next_token(token);
                let page = client.read(LIST, request.send()).await?;
                let infos = page.instance_information_list.unwrap_or_default();
                let rows = infos.iter().filter_map(|info| client.stale(info, longer_than));
                Ok((rows.collect(), page.next_token))
            }
        });
        sound(PROVIDER, LIST, rows)
    }

    /// Gives hybrid nodes up for good: a machine that comes back has to register anew.
    ///
    /// # Behavior
    /// - Only the nodes named, and only those that have been silent for longer than this: each is read
    ///   again right before, and one that has answered since stays.
    /// - Each is sent once; where the answer is lost, the node is read to tell what became of it.
    /// - A node that cannot be given up leaves the others to their own outcomes.
    ///
    /// # Errors
    /// For each node: `Conflict` where it answers or has answered lately; `Unsupported` for an
    /// instance of EC2; `NotFound`, `PermissionDenied`, `Throttled`, `Timeout`.
    pub async fn deregister_stale(&self, nodes: &[NodeId], longer_than: Duration) -> PerNode<()> {
        let mut named: Vec<NodeId> = Vec::with_capacity(nodes.len());
        for node in nodes {
            if !named.contains(node) {
                named.push(node.clone());
            }
        }
        stream::iter(named)
            .map(|node| async move {
                let done = self.client.give_up(&node, longer_than).await;
                let done = done.map_err(|error| error.with_node(node.clone()));
                (node, done)
            })
            .buffered(AT_ONCE)
            .collect()
            .await
    }
}

impl Client {
    /// A node that has been silent for longer than this.
    fn stale(&self, info: &InstanceInformation, than: Duration) -> Option<Result<StaleNode>> {
        match self.silence(info) {
            Ok(Some(node)) if node.silent_for.unsigned_abs() > than => Some(Ok(node)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Since when a node is silent; none for one that is not.
    fn silence(&self, info: &InstanceInformation) -> Result<Option<StaleNode>> {
        let node = self.node(LIST, info.instance_id())?;
        if !matches!(info.ping_status(), Some(PingStatus::ConnectionLost | PingStatus::Inactive)) {
            return Ok(None);
        }
        let answered_at = info.last_ping_date_time().and_then(timestamp);
        let registered_at = info.registration_date().and_then(timestamp);
        let since = answered_at.max(registered_at).ok_or_else(|| {
            malformed(LIST, format!("{node} has no time of its last answer or its registration"))
        })?;
        Ok(Some(StaleNode {
            node,
            computer_name: info.computer_name().map(str::to_owned),
            address: info.ip_address().map(str::to_owned),
            activation: info.activation_id().map(str::to_owned),
            registered_at,
            answered_at,
            silent_for: self.now().duration_since(since).max(SignedDuration::ZERO),
        }))
    }

    async fn give_up(self: &Arc<Self>, node: &NodeId, longer_than: Duration) -> Result<()> {
        let not_found = || Error::not_found(PROVIDER, DEREGISTER, "the node");
        if *node.scope() != self.scope {
            return Err(not_found());
        }
        if !is_hybrid(node.resource()) {
            return Err(Error::unsupported(PROVIDER, DEREGISTER));
        }
        let info = self.hybrid_node(node).await?.ok_or_else(not_found)?;
        let silence = self.silence(&info)?;
        if silence.is_none_or(|it| it.silent_for.unsigned_abs() <= longer_than) {
            let heard = info.last_ping_date_time().and_then(timestamp);
            let message = match heard {
                Some(at) => format!("the node has answered at {at}: it stays"),
                None => "the node answers: it stays".to_owned(),
            };
            return Err(Error::new(ErrorKind::Conflict, PROVIDER, DEREGISTER, message));
        }
        let request = self.ssm_once().deregister_managed_instance().instance_id(node.resource());
        match self.write(DEREGISTER, request.send()).await {
            // An id is never given to another node: one that is not there any more is given up.
            Err(error) if error.kind() == ErrorKind::Timeout => {
                match self.hybrid_node(node).await {
                    Ok(None) => Ok(()),
                    _ => Err(error),
                }
            }
            answer => answer.map(drop),
        }
    }

    async fn hybrid_node(self: &Arc<Self>, node: &NodeId) -> Result<Option<InstanceInformation>> {
        let mut found = self.information_of(&[node.resource().to_owned()]).await?;
        Ok(found.remove(node.resource()))
    }
}

fn filter<const N: usize>(key: &str, values: [&str; N]) -> Result<InstanceInformationStringFilter> {
    InstanceInformationStringFilter::builder()
        .key(key)
        .set_values(Some(values.map(str::to_owned).to_vec()))
        .build()
        .map_err(|error| invalid(LIST, error.to_string()))
}
