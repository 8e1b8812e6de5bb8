//! Instance profiles: what an instance has its role by.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    super::{AwsError, Call, Operations, seconds},
    exists, identity, identity_mut, in_full, listed, none, recheck, role, roles, text, told,
};
use crate::cloud::world::identity::InstanceProfile;

pub(super) const OPERATIONS: Operations = &[
    ("AddRoleToInstanceProfile", add_role),
    ("CreateInstanceProfile", create),
    ("DeleteInstanceProfile", delete),
    ("GetInstanceProfile", get),
    ("ListInstanceProfiles", list),
    ("ListInstanceProfilesForRole", list_for_role),
    ("RemoveRoleFromInstanceProfile", remove_role),
];

fn create(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let name: Arc<str> = text(&input, "InstanceProfileName").into();
    if identity(call).profiles.contains_key(&name) {
        return Err(exists("Instance Profile", &name));
    }
    let profile = InstanceProfile {
        id: format!("AIPA{}", call.state.new_hex()[..16].to_uppercase()).into(),
        path: input["Path"].as_str().unwrap_or("/").into(),
        created: call.state.now,
        role: None,
        told: told(&input, &["Tags"]),
    };
    let answer = in_full(shown(call, &name, &profile), &profile.told);
    identity_mut(call).profiles.insert(name, profile);
    Ok(json!({"InstanceProfile": answer}))
}

fn get(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (name, profile) = profile(call, &input)?;
    let answer = in_full(shown(call, name, profile), &profile.told);
    Ok(json!({"InstanceProfile": answer}))
}

fn list(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let prefix = input["PathPrefix"].as_str().unwrap_or("/");
    let profiles = identity(call).profiles.iter().filter(|(_, it)| it.path.starts_with(prefix));
    listed(call, &input, "InstanceProfiles", profiles.map(|(name, it)| shown(call, name, it)))
}

fn list_for_role(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (role, _) = role(call, &input)?;
    let profiles = identity(call).profiles.iter().filter(|(_, it)| it.role.as_ref() == Some(role));
    listed(call, &input, "InstanceProfiles", profiles.map(|(name, it)| shown(call, name, it)))
}

fn delete(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (name, profile) = profile(call, &input)?;
    if profile.role.is_some() {
        let message = "Cannot delete entity, must remove roles from instance profile first.";
        return Err(AwsError::new("DeleteConflictException", message));
    }
    let name = Arc::clone(name);
    identity_mut(call).profiles.remove(&name);
    Ok(json!({}))
}

fn add_role(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (role, _) = role(call, &input)?;
    let role = Arc::clone(role);
    let (name, profile) = profile(call, &input)?;
    if profile.role.is_some() {
        let message = "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1";
        return Err(AwsError::new("LimitExceededException", message));
    }
    let name = Arc::clone(name);
    if let Some(profile) = identity_mut(call).profiles.get_mut(&name) {
        profile.role = Some(role);
    }
    recheck(call);
    Ok(json!({}))
}

fn remove_role(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (role, _) = role(call, &input)?;
    let role = Arc::clone(role);
    let (name, profile) = profile(call, &input)?;
    if profile.role.as_ref() != Some(&role) {
        return Err(none("role in the instance profile", &role));
    }
    let name = Arc::clone(name);
    if let Some(profile) = identity_mut(call).profiles.get_mut(&name) {
        profile.role = None;
    }
    recheck(call);
    Ok(json!({}))
}

fn profile<'a>(
    call: &'a Call<'_>,
    input: &Value,
) -> Result<(&'a Arc<str>, &'a InstanceProfile), AwsError> {
    let name = text(input, "InstanceProfileName");
    identity(call).profiles.get_key_value(name).ok_or_else(|| {
        let message = format!("Instance Profile {name} cannot be found.");
        AwsError::new("NoSuchEntityException", message)
    })
}

fn shown(call: &Call<'_>, name: &str, profile: &InstanceProfile) -> Value {
    let role = profile.role.as_ref().and_then(|it| identity(call).roles.get_key_value(it));
    let role = role.map(|(name, role)| roles::shown(call, name, role));
    let arn = format!("arn:aws:iam::{}:instance-profile{}{name}", call.account_id(), profile.path);
    json!({
        "InstanceProfileName": name,
        "InstanceProfileId": profile.id,
        "Arn": arn,
        "Path": profile.path,
        "CreateDate": seconds(profile.created),
        "Roles": Vec::from_iter(role),
    })
}
