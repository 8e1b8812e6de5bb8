//! Which nodes a list of targets means.

use super::{AwsError, State, Target};
use crate::cloud::{
    aws::resource_groups::members,
    world::machine::{AwsKind, AwsSide, MachineIx, Power, ScopeIx},
};

const GROUP: &str = "resource-groups:Name";
const GROUP_TYPES: &str = "resource-groups:ResourceTypeFilters";

/// The managed nodes that match every target, by id. A target matches where any of its values does.
///
/// Nodes that are turned off match too: what is sent to them is not delivered.
pub(crate) fn resolve(
    state: &State,
    scope: ScopeIx,
    targets: &[Target],
) -> Result<Vec<MachineIx>, AwsError> {
    for target in targets {
        check(target)?;
    }
    // Few ids need not be looked for among all.
    let groups: Vec<Vec<MachineIx>> = targets
        .iter()
        .filter(|it| it.key == GROUP)
        .map(|it| {
            it.values.iter().filter_map(|name| members(state, scope, name)).flatten().collect()
        })
        .collect();
    let named = targets.iter().position(|it| it.key == "InstanceIds" && !it.is_all());
    let nodes: Vec<MachineIx> = match named {
        Some(place) => {
            let mut ids: Vec<&String> = targets[place].values.iter().collect();
            ids.sort_unstable();
            ids.dedup();
            ids.into_iter().filter_map(|id| state.find(scope, id)).collect()
        }
        None => state.scope(scope).machines.clone(),
    };
    let matches = |at: &MachineIx| {
        let machine = state.machine(*at);
        let Some(aws) = &machine.aws else { return false };
        aws.registered.is_some()
            && machine.power != Power::Terminated
            && groups.iter().all(|group| group.contains(at))
            && targets
                .iter()
                .enumerate()
                .filter(|(_, it)| it.key != GROUP)
                .all(|(place, it)| named == Some(place) || it.matches(aws))
    };
    Ok(nodes.into_iter().filter(matches).collect())
}

fn check(target: &Target) -> Result<(), AwsError> {
    let known = target.key == "InstanceIds"
        || target.key == GROUP
        || target.key == GROUP_TYPES
        || target.key == "tag-key"
        || target.key.strip_prefix("tag:").is_some_and(|name| !name.is_empty());
    if !known {
        let message = format!("The target key {:?} is not supported.", target.key);
        return Err(AwsError::validation(message));
    }
    if target.values.is_empty() {
        let message = format!("The target {:?} has no values.", target.key);
        return Err(AwsError::validation(message));
    }
    Ok(())
}

impl Target {
    /// Every node, as State Manager writes it: `InstanceIds` with `*`.
    pub(super) fn is_all(&self) -> bool {
        self.key == "InstanceIds" && self.values == ["*"]
    }

    fn matches(&self, AwsSide { id, tags, side, .. }: &AwsSide) -> bool {
        let is_value = |text: &str| self.values.iter().any(|value| value == text);
        match self.key.strip_prefix("tag:") {
            Some(name) => tags.iter().any(|(key, value)| **key == *name && is_value(value)),
            None if self.key == "tag-key" => tags.iter().any(|(key, _)| is_value(key)),
            None if self.key == GROUP_TYPES => is_value(match side {
                AwsKind::Ec2(_) => "AWS::EC2::Instance",
                AwsKind::Hybrid(_) => "AWS::SSM::ManagedInstance",
            }),
            None => self.is_all() || is_value(id),
        }
    }
}
