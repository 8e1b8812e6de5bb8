//! Starting and stopping instances: only those named, and none that something else keeps as it is.

use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_ec2::types::{Instance, InstanceLifecycleType};
use patchkit_core::{Error, ErrorKind, NodeId, PerNode, PowerState, PowerTarget, Result};

use crate::{
    Ssm,
    client::Client,
    convert,
    error::PROVIDER,
    fleet::{again, answer, is_hybrid},
};

const OPERATION: &str = "power";

/// The tag that EC2 Auto Scaling puts on its instances (EC2 Auto Scaling user guide, "Tag Auto
/// Scaling groups and instances").
const AUTO_SCALING_GROUP: &str = "aws:autoscaling:groupName";

impl Ssm {
    pub(crate) async fn change_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()> {
        let client = &self.client;
        let (ours, ids) = client.sort_out(nodes);
        let (hybrid, ids): (Vec<String>, Vec<String>) =
            ids.into_iter().partition(|id| is_hybrid(id));
        let mut answers: BTreeMap<String, Result<()>> = BTreeMap::new();
        for id in hybrid {
            let message = "a hybrid node has no power that AWS could switch";
            answers
                .insert(id, Err(Error::new(ErrorKind::Unsupported, PROVIDER, OPERATION, message)));
        }
        match client.instances_by_id(&ids).await {
            Err(error) => answers.extend(ids.into_iter().map(|id| (id, Err(again(&error))))),
            Ok(instances) => {
                let mut to_change = Vec::new();
                for (id, instance) in &instances {
                    match plan(instance, target) {
                        Ok(Step::Change) => to_change.push(id.clone()),
                        Ok(Step::Nothing) => {
                            answers.insert(id.clone(), Ok(()));
                        }
                        Err(error) => {
                            answers.insert(id.clone(), Err(error));
                        }
                    }
                }
                answers.extend(client.switch(to_change, target).await);
            }
        }
        answer(nodes, &ours, OPERATION, |id| answers.get(id).map(repeat))
    }
}

/// The same node may be named twice.
fn repeat(answer: &Result<()>) -> Result<()> {
    answer.as_ref().map_err(again).copied()
}

enum Step {
    Change,
    Nothing,
}

/// What is to be done to an instance, or why it is left alone.
fn plan(instance: &Instance, target: PowerTarget) -> Result<Step> {
    let conflict =
        |message: String| Err(Error::new(ErrorKind::Conflict, PROVIDER, OPERATION, message));
    let power = convert::node::power(instance);
    match (target, power) {
        (PowerTarget::Running, PowerState::Running | PowerState::Starting)
        | (
            PowerTarget::Stopped | PowerTarget::Deallocated,
            PowerState::Stopped | PowerState::Stopping,
        ) => return Ok(Step::Nothing),
        (PowerTarget::Running, PowerState::Stopped)
        | (PowerTarget::Stopped | PowerTarget::Deallocated, PowerState::Running) => {}
        // EC2 would refuse it: an instance on its way rests first.
        (_, PowerState::Starting | PowerState::Stopping) => {
            return conflict(format!("it is {power}: someone else is at work on it"));
        }
        (_, PowerState::Terminated) => return conflict("it is terminated".to_owned()),
        (_, power) => return conflict(format!("its power is {power}")),
    }
    if instance.instance_lifecycle() == Some(&InstanceLifecycleType::Spot) {
        return conflict("it is a spot instance: its request starts and stops it".to_owned());
    }
    if let Some(group) = convert::node::tags(instance).get(AUTO_SCALING_GROUP) {
        let message = format!("the Auto Scaling group {group} would replace it");
        return conflict(message);
    }
    Ok(Step::Change)
}

impl Client {
    /// Starts or stops instances in one call. One that EC2 refuses refuses them all, and nothing is
    /// done: the call is made again without it.
    async fn switch(
        self: &Arc<Self>,
        mut ids: Vec<String>,
        target: PowerTarget,
    ) -> Vec<(String, Result<()>)> {
        let mut answers = Vec::with_capacity(ids.len());
        while !ids.is_empty() {
            let error = match self.switch_all(&ids, target).await {
                Ok(()) => {
                    answers.extend(ids.drain(..).map(|id| (id, Ok(()))));
                    break;
                }
                Err(error) => error,
            };
            // The message names the instances that are in the way (EC2 API reference, "Error
            // codes": InvalidInstanceID.NotFound, IncorrectInstanceState, UnsupportedOperation).
            let refusal = matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::InvalidInput
            );
            let (named, others): (Vec<String>, Vec<String>) =
                ids.into_iter().partition(|id| refusal && error.message().contains(id.as_str()));
            let (refused, left) =
                if named.is_empty() { (others, Vec::new()) } else { (named, others) };
            answers.extend(refused.into_iter().map(|id| (id, Err(again(&error)))));
            ids = left;
        }
        answers
    }

    async fn switch_all(&self, ids: &[String], target: PowerTarget) -> Result<()> {
        let ids = Some(ids.to_vec());
        match target {
            PowerTarget::Running => {
                let request = self.ec2_once().start_instances().set_instance_ids(ids);
                self.write("StartInstances", request.send()).await.map(drop)
            }
            PowerTarget::Stopped | PowerTarget::Deallocated => {
                let request = self.ec2_once().stop_instances().set_instance_ids(ids);
                self.write("StopInstances", request.send()).await.map(drop)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{InstanceState, InstanceStateName, Tag};

    use super::*;

    fn instance(state: InstanceStateName) -> aws_sdk_ec2::types::builders::InstanceBuilder {
        Instance::builder().state(InstanceState::builder().name(state).build())
    }

    fn said(instance: &Instance, target: PowerTarget) -> String {
        match plan(instance, target) {
            Ok(Step::Change) => "change".to_owned(),
            Ok(Step::Nothing) => "nothing".to_owned(),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn an_instance_that_is_there_or_on_its_way_is_left() {
        use InstanceStateName::{Pending, Running, Stopped, Stopping, Terminated};
        use PowerTarget as To;
        for (state, target, word) in [
            (Stopped, To::Running, "change"),
            (Running, To::Stopped, "change"),
            (Running, To::Deallocated, "change"),
            (Pending, To::Running, "nothing"),
            (Stopping, To::Stopped, "nothing"),
            (Stopping, To::Running, "it is stopping"),
            (Pending, To::Stopped, "it is starting"),
            (Terminated, To::Running, "it is terminated"),
        ] {
            let said = said(&instance(state.clone()).build(), target);
            assert!(said.starts_with(word), "{state} to {target}: {said}");
        }
    }

    #[test]
    fn a_spot_instance_and_one_of_an_auto_scaling_group_are_not_fought_with() {
        let spot = instance(InstanceStateName::Running)
            .instance_lifecycle(InstanceLifecycleType::Spot)
            .build();
        assert!(said(&spot, PowerTarget::Stopped).contains("spot"));
        let tag = Tag::builder().key(AUTO_SCALING_GROUP).value("web").build();
        let member = instance(InstanceStateName::Running).tags(tag).build();
        assert!(said(&member, PowerTarget::Stopped).contains("group web"));
    }
}
