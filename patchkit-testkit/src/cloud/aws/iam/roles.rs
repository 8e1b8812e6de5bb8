//! Roles, and the policies within them.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{
    super::{AwsError, Call, Operations, seconds},
    document, encoded, exists, identity, identity_mut, in_full, listed, none, recheck, role,
    role_mut, text, told,
};
use crate::cloud::world::identity::Role;

pub(super) const OPERATIONS: Operations = &[
    ("CreateRole", create_role),
    ("DeleteRole", delete_role),
    ("DeleteRolePolicy", delete_role_policy),
    ("GetRole", get_role),
    ("GetRolePolicy", get_role_policy),
    ("ListRolePolicies", list_role_policies),
    ("ListRoles", list_roles),
    ("PutRolePolicy", put_role_policy),
    ("UpdateAssumeRolePolicy", update_trust),
];

fn create_role(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let name: Arc<str> = text(&input, "RoleName").into();
    if identity(call).roles.contains_key(&name) {
        return Err(exists("Role", &name));
    }
    let trust = document(&input["AssumeRolePolicyDocument"])?;
    let boundary = input["PermissionsBoundary"].as_str();
    if let Some(arn) = boundary.filter(|it| !identity(call).policies.contains_key(*it)) {
        let message = format!("Scope ARN: {arn} does not exist or is not attachable.");
        return Err(AwsError::new("NoSuchEntityException", message));
    }
    let role = Role {
        id: format!("AROA{}", call.state.new_hex()[..16].to_uppercase()).into(),
        path: input["Path"].as_str().unwrap_or("/").into(),
        description: input["Description"].as_str().map(Into::into),
        created: call.state.now,
        trust,
        attached: Vec::new(),
        inline: BTreeMap::new(),
        max_session: input["MaxSessionDuration"]
            .as_u64()
            .and_then(|it| u32::try_from(it).ok())
            .unwrap_or(3_600),
        boundary: boundary.map(Arc::from),
        told: told(&input, &["MaxSigninSessionDuration", "Tags"]),
    };
    let answer = all_of(call, &name, &role);
    identity_mut(call).roles.insert(name, role);
    Ok(json!({"Role": answer}))
}

fn get_role(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (name, role) = role(call, &input)?;
    Ok(json!({"Role": all_of(call, name, role)}))
}

fn update_trust(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let trust = document(&input["PolicyDocument"])?;
    role_mut(call, &input)?.trust = trust;
    recheck(call);
    Ok(json!({}))
}

fn list_roles(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let prefix = input["PathPrefix"].as_str().unwrap_or("/");
    let roles = identity(call).roles.iter().filter(|(_, role)| role.path.starts_with(prefix));
    listed(call, &input, "Roles", roles.map(|(name, role)| shown(call, name, role)))
}

fn delete_role(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (name, role) = role(call, &input)?;
    let conflict = |what: &str| {
        let message = format!("Cannot delete entity, must {what} first.");
        Err(AwsError::new("DeleteConflictException", message))
    };
    if identity(call).profiles.values().any(|it| it.role.as_ref() == Some(name)) {
        return conflict("remove roles from instance profile");
    }
    if !role.attached.is_empty() {
        return conflict("detach all policies");
    }
    if !role.inline.is_empty() {
        return conflict("delete policies");
    }
    let name = Arc::clone(name);
    identity_mut(call).roles.remove(&name);
    Ok(json!({}))
}

fn put_role_policy(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let document = document(&input["PolicyDocument"])?;
    let name = text(&input, "PolicyName").into();
    role_mut(call, &input)?.inline.insert(name, document);
    recheck(call);
    Ok(json!({}))
}

fn get_role_policy(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (role_name, role) = role(call, &input)?;
    let name = text(&input, "PolicyName");
    let document = role.inline.get(name).ok_or_else(|| none("role policy", name))?;
    Ok(json!({
        "RoleName": &**role_name,
        "PolicyName": name,
        "PolicyDocument": encoded(document),
    }))
}

fn list_role_policies(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (_, role) = role(call, &input)?;
    listed(call, &input, "PolicyNames", role.inline.keys().map(|name| json!(name)))
}

fn delete_role_policy(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let name = text(&input, "PolicyName");
    let role = role_mut(call, &input)?;
    if role.inline.remove(name).is_none() {
        return Err(none("role policy", name));
    }
    recheck(call);
    Ok(json!({}))
}

fn all_of(call: &Call<'_>, name: &str, role: &Role) -> Value {
    let mut all = in_full(shown(call, name, role), &role.told);
    if let Some(arn) = &role.boundary {
        all["PermissionsBoundary"] = json!({
            "PermissionsBoundaryType": "PermissionsBoundaryPolicy",
            "PermissionsBoundaryArn": &**arn,
        });
    }
    all
}

pub(super) fn shown(call: &Call<'_>, name: &str, role: &Role) -> Value {
    json!({
        "RoleName": name,
        "RoleId": role.id,
        "Arn": format!("arn:aws:iam::{}:role{}{name}", call.account_id(), role.path),
        "Path": role.path,
        "Description": role.description,
        "CreateDate": seconds(role.created),
        "AssumeRolePolicyDocument": encoded(&role.trust),
        "MaxSessionDuration": role.max_session,
    })
}
