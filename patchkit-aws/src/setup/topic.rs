//! The topic that tells of runs and of nodes that are not compliant.

use patchkit_core::{ErrorKind, Result};

use super::{SetupFinding, SetupItem, SetupStep};
use crate::client::Client;

pub(super) async fn find(client: &Client, topic: &str) -> SetupFinding {
    let item = SetupItem::Topic(topic.to_owned());
    match exists(client, topic).await {
        Ok(true) => SetupFinding::present(item),
        Ok(false) => {
            let step = SetupStep::CreateTopic { topic: topic.to_owned() };
            SetupFinding::missing(item, vec![step])
        }
        Err(error) => SetupFinding::unknown(item, error.report()),
    }
}

pub(super) async fn exists(client: &Client, topic: &str) -> Result<bool> {
    let (region, account) = (client.scope.region(), client.scope.account());
    let arn = format!("arn:{}:sns:{region}:{account}:{topic}", client.partition());
    let request = client.sns_once().get_topic_attributes().topic_arn(arn);
    match client.read("GetTopicAttributes", request.send()).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) async fn create(client: &Client, topic: &str) -> Result<()> {
    let request = client.sns_once().create_topic().name(topic);
    client.write("CreateTopic", request.send()).await.map(drop)
}
