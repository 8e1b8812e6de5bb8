//! Run Command: what is sent, how often, to whom, and what is told of it.

mod options;
mod sending;
mod targets;
mod watching;

use std::{sync::Arc, time::Duration};

use patchkit_aws::Ssm;
use patchkit_core::{
    Fleet, NodeId, OperationId, PatchAction, PatchOperation, PatchRequest, RebootPolicy,
    SubmitToken,
};
use patchkit_testkit::cloud::{Power, World};

use crate::support::{REGION, node, sdk};

const INSTALL: PatchAction = PatchAction::Install(RebootPolicy::IfRequired);

fn token(text: &str) -> SubmitToken {
    text.parse().unwrap()
}

fn scan(mark: &str, nodes: &[NodeId]) -> PatchRequest {
    PatchRequest::new(token(mark), nodes.to_vec(), PatchAction::Scan)
}

/// Nodes whose agents answer.
fn online(world: &World) -> Vec<NodeId> {
    let truths = world.node_ids().into_iter().filter_map(|id| world.node(&id));
    let answering = truths.filter(|it| it.answers && it.power == Power::Running);
    let mut ids: Vec<String> = answering.filter_map(|it| it.aws_id).collect();
    ids.sort();
    ids.iter().map(|id| node(id)).collect()
}

/// Lets time pass until an act is over.
async fn ended(world: &World, ssm: &Ssm, id: &OperationId) -> PatchOperation {
    for _ in 0..2_000 {
        let act = ssm.operation(id).await.unwrap();
        if act.status.is_final() {
            return act;
        }
        world.advance(Duration::from_secs(10));
    }
    panic!("{id} never ends");
}

/// How often an operation was called.
fn count(world: &World, operation: &str) -> usize {
    world.calls().of(operation).len()
}

/// The commands that there are, as the service tells of them, without a trace in the record.
async fn commands(world: &Arc<World>) -> Vec<aws_sdk_ssm::types::Command> {
    let client = aws_sdk_ssm::Client::new(&sdk(world, REGION));
    client.list_commands().send().await.unwrap().commands.unwrap_or_default()
}

fn parameter(command: &aws_sdk_ssm::types::Command, name: &str) -> Option<String> {
    command.parameters()?.get(name).map(|values| values.join(","))
}
