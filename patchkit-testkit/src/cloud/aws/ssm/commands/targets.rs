//! Which nodes a list of targets means.

use super::{AwsError, State, Target};
use crate::cloud::{
    aws::resource_groups,
    world::machine::{AwsKind, AwsSide, MachineIx, Power, ScopeIx},
};

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
    // Few ids, and the members of a group, need not be looked for among all.
    let group = targets.iter().position(|it| it.key == GROUP);
    let by_id = || targets.iter().position(|it| it.key == "InstanceIds" && !it.is_all());
    let named = group.or_else(by_id);
    let nodes: Vec<MachineIx> = match named {
        Some(place) if targets[place].key == GROUP => members(state, scope, &targets[place])?,
        Some(place) => {
            let mut ids: Vec<&String> = targets[place].values.iter().collect();
            ids.sort_unstable();
            ids.dedup();
            ids.into_iter().filter_map(|id| state.find(scope, id)).collect()
        }
        None => state.scope(scope).machines.clone(),
    };
    let others = targets.iter().enumerate().filter(|(place, _)| named != Some(*place));
    let others: Vec<&Target> = others.map(|(_, it)| it).collect();
    Ok(nodes.into_iter().filter(|at| is_meant(state, *at, &others)).collect())
}

/// Whether targets mean a node.
pub(crate) fn reaches(state: &State, scope: ScopeIx, targets: &[Target], at: MachineIx) -> bool {
    let (groups, others): (Vec<&Target>, Vec<&Target>) =
        targets.iter().partition(|it| it.key == GROUP);
    let in_group = |it: &Target| members(state, scope, it).is_ok_and(|all| all.contains(&at));
    is_meant(state, at, &others) && groups.into_iter().all(in_group)
}

fn is_meant(state: &State, at: MachineIx, targets: &[&Target]) -> bool {
    let Some(aws) = &state.machine(at).aws else { return false };
    aws.registered.is_some()
        && state.known_power(at) != Some(Power::Terminated)
        && targets.iter().all(|it| it.matches(aws))
}

/// Of a resource group, its name.
const GROUP: &str = "resource-groups:Name";
/// Of the members of a resource group, their types.
const GROUP_TYPES: &str = "resource-groups:ResourceTypeFilters";

fn members(state: &State, scope: ScopeIx, target: &Target) -> Result<Vec<MachineIx>, AwsError> {
    let [name] = &target.values[..] else {
        return Err(AwsError::validation(format!("{GROUP} takes one group.")));
    };
    resource_groups::members(state, scope, name)
        .ok_or_else(|| AwsError::validation(format!("There is no resource group {name}.")))
}

fn check(target: &Target) -> Result<(), AwsError> {
    let known = target.key == "InstanceIds"
        || target.key == "tag-key"
        || target.key == GROUP
        || target.key == GROUP_TYPES
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
