//! Managed policies, what they are attached to, and what they come to.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    super::{AwsError, Call, Operations, seconds, texts},
    document, encoded, exists, identity, identity_mut, in_full, listed, none, recheck, role,
    role_mut, text, told,
};
use crate::cloud::world::identity::{Effect, Policy, all_decide};

pub(super) const OPERATIONS: Operations = &[
    ("AttachRolePolicy", attach),
    ("CreatePolicy", create),
    ("DeletePolicy", delete),
    ("DetachRolePolicy", detach),
    ("GetPolicy", get),
    ("GetPolicyVersion", get_version),
    ("ListAttachedRolePolicies", list_attached),
    ("ListPolicies", list),
    ("SimulatePrincipalPolicy", simulate),
];

/// How many managed policies a role has at most (IAM quotas).
const MOST: usize = 10;

fn create(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let name = text(&input, "PolicyName");
    let path = input["Path"].as_str().unwrap_or("/");
    let arn: Arc<str> = format!("arn:aws:iam::{}:policy{path}{name}", call.account_id()).into();
    if identity(call).policies.contains_key(&arn) {
        return Err(exists("A policy called", name));
    }
    let policy = Policy {
        name: name.into(),
        id: format!("ANPA{}", call.state.new_hex()[..16].to_uppercase()).into(),
        path: path.into(),
        version: "v1",
        created: call.state.now,
        document: document(&input["PolicyDocument"])?,
        told: told(&input, &["Description", "Tags"]),
    };
    identity_mut(call).policies.insert(Arc::clone(&arn), policy);
    let (arn, policy) = find(call, &arn)?;
    Ok(json!({"Policy": in_full(shown(call, arn, policy), &policy.told)}))
}

fn delete(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (arn, _) = find(call, text(&input, "PolicyArn"))?;
    let arn = Arc::clone(arn);
    if arn.starts_with("arn:aws:iam::aws:") {
        let message = format!("User is not authorized to perform: iam:DeletePolicy on {arn}");
        return Err(AwsError::new("AccessDenied", message).with_status(403));
    }
    if attachments(call, &arn) + boundaries(call, &arn) > 0 {
        let message = "Cannot delete a policy attached to entities.";
        return Err(AwsError::new("DeleteConflictException", message));
    }
    identity_mut(call).policies.remove(&arn);
    Ok(json!({}))
}

fn get(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (arn, policy) = find(call, text(&input, "PolicyArn"))?;
    Ok(json!({"Policy": in_full(shown(call, arn, policy), &policy.told)}))
}

fn get_version(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (arn, policy) = find(call, text(&input, "PolicyArn"))?;
    let version = text(&input, "VersionId");
    if version != policy.version {
        let message =
            format!("Policy {arn} version {version} does not exist or is not attachable.");
        return Err(AwsError::new("NoSuchEntityException", message));
    }
    Ok(json!({"PolicyVersion": {
        "Document": encoded(&policy.document),
        "VersionId": version,
        "IsDefaultVersion": true,
        "CreateDate": seconds(policy.created),
    }}))
}

fn list(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let prefix = input["PathPrefix"].as_str().unwrap_or("/");
    let scope = input["Scope"].as_str().unwrap_or("All");
    let usage = input["PolicyUsageFilter"].as_str();
    let only_attached = input["OnlyAttached"] == true;
    let policies = identity(call).policies.iter().filter(|(arn, policy)| {
        let of_aws = arn.starts_with("arn:aws:iam::aws:");
        policy.path.starts_with(prefix)
            && match scope {
                "AWS" => of_aws,
                "Local" => !of_aws,
                _ => true,
            }
            && (!only_attached || attachments(call, arn) > 0)
            && match usage {
                Some("PermissionsBoundary") => boundaries(call, arn) > 0,
                Some("PermissionsPolicy") => attachments(call, arn) > 0,
                _ => true,
            }
    });
    listed(call, &input, "Policies", policies.map(|(arn, policy)| shown(call, arn, policy)))
}

fn attach(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (_, role) = role(call, &input)?;
    let (arn, _) = find(call, text(&input, "PolicyArn"))?;
    if role.attached.contains(arn) {
        // Attached twice is attached (API reference, AttachRolePolicy).
        return Ok(json!({}));
    }
    if role.attached.len() >= MOST {
        let message = format!("Cannot exceed quota for PoliciesPerRole: {MOST}");
        return Err(AwsError::new("LimitExceededException", message));
    }
    let arn = Arc::clone(arn);
    role_mut(call, &input)?.attached.push(arn);
    recheck(call);
    Ok(json!({}))
}

fn detach(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let arn = text(&input, "PolicyArn");
    let role = role_mut(call, &input)?;
    let Some(place) = role.attached.iter().position(|it| **it == *arn) else {
        let message = format!("Policy {arn} was not found.");
        return Err(AwsError::new("NoSuchEntityException", message));
    };
    role.attached.remove(place);
    recheck(call);
    Ok(json!({}))
}

fn list_attached(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (_, role) = role(call, &input)?;
    let policies = role.attached.iter().filter_map(|arn| {
        let policy = identity(call).policies.get(arn)?;
        Some(json!({"PolicyName": policy.name, "PolicyArn": &**arn}))
    });
    listed(call, &input, "AttachedPolicies", policies)
}

/// What a role's policies come to, within its boundary. Conditions and resources are taken as met,
/// organizations are not modelled.
fn simulate(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let source = text(&input, "PolicySourceArn");
    let name = source.rsplit('/').next().unwrap_or_default();
    if !source.contains(":role/") {
        let message =
            format!("Invalid Entity Arn: {source} does not clearly define entity type and name.");
        return Err(AwsError::new("InvalidInputException", message));
    }
    let role = identity(call).roles.get(name).ok_or_else(|| none("role", name))?;
    let listed_in = |name: &str| -> Result<Vec<Value>, AwsError> {
        input[name].as_array().map(Vec::as_slice).unwrap_or_default().iter().map(document).collect()
    };
    let given = listed_in("PolicyInputList")?;
    let documents: Vec<&Value> = identity(call).documents(role).chain(&given).collect();
    // One that is given takes the place of the role's own (API reference, SimulatePrincipalPolicy).
    let bounds = listed_in("PermissionsBoundaryPolicyInputList")?;
    let own = identity(call).boundary(role).filter(|_| bounds.is_empty());
    let bounds: Vec<&Value> = own.into_iter().chain(&bounds).collect();
    let resources = texts(&input["ResourceArns"]);
    let resource = resources.first().map_or("*", String::as_str);
    let actions = texts(&input["ActionNames"]);
    let results = actions.iter().map(|action| {
        let within = all_decide(bounds.iter().copied(), action);
        let lets = bounds.is_empty() || within == Some(Effect::Allow);
        let decision = match all_decide(documents.iter().copied(), action) {
            _ if within == Some(Effect::Deny) => "explicitDeny",
            Some(Effect::Deny) => "explicitDeny",
            Some(Effect::Allow) if lets => "allowed",
            _ => "implicitDeny",
        };
        let detail = json!({"AllowedByPermissionsBoundary": lets});
        json!({
            "PermissionsBoundaryDecisionDetail": (!bounds.is_empty()).then_some(detail),
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": decision,
            "MatchedStatements": [],
            "MissingContextValues": [],
        })
    });
    listed(call, &input, "EvaluationResults", results)
}

fn find<'a>(call: &'a Call<'_>, arn: &str) -> Result<(&'a Arc<str>, &'a Policy), AwsError> {
    identity(call).policies.get_key_value(arn).ok_or_else(|| {
        let message = format!("Policy {arn} does not exist or is not attachable.");
        AwsError::new("NoSuchEntityException", message)
    })
}

fn attachments(call: &Call<'_>, arn: &Arc<str>) -> usize {
    identity(call).roles.values().filter(|role| role.attached.contains(arn)).count()
}

fn boundaries(call: &Call<'_>, arn: &Arc<str>) -> usize {
    let roles = identity(call).roles.values();
    roles.filter(|role| role.boundary.as_ref() == Some(arn)).count()
}

fn shown(call: &Call<'_>, arn: &Arc<str>, policy: &Policy) -> Value {
    json!({
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": &**arn,
        "Path": policy.path,
        "DefaultVersionId": policy.version,
        "AttachmentCount": attachments(call, arn),
        "PermissionsBoundaryUsageCount": boundaries(call, arn),
        "IsAttachable": true,
        "CreateDate": seconds(policy.created),
        "UpdateDate": seconds(policy.created),
    })
}
