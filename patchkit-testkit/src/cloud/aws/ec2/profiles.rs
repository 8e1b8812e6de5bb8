//! Which instance profile an instance has.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    super::{AwsError, Call, Operations, page::Page, seconds, texts},
    Instance, all,
    filter::Filters,
    instances::{profile_arn, profile_id},
    named,
};
use crate::cloud::world::machine::{AwsKind, MachineIx, Power, ProfileAssociation};

pub(super) const OPERATIONS: Operations = &[
    ("AssociateIamInstanceProfile", associate),
    ("DescribeIamInstanceProfileAssociations", describe),
    ("DisassociateIamInstanceProfile", disassociate),
    ("ReplaceIamInstanceProfileAssociation", replace),
];

fn associate(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let id = input["InstanceId"].as_str().unwrap_or_default().to_owned();
    let profile = profile_of(call, &input["IamInstanceProfile"])?;
    let at = named(call, std::slice::from_ref(&id))?[0];
    let machine = call.state.machine(at);
    if machine.power == Power::Terminated {
        let message = format!("The instance '{id}' is not in the 'running' or 'stopped' state.");
        return Err(AwsError::new("IncorrectInstanceState", message));
    }
    if let Some(association) = association_of(call, at) {
        // EC2 API reference, AssociateIamInstanceProfile: one profile at most.
        let message =
            format!("There is an existing association for instance {id} ({})", association.id);
        return Err(AwsError::new("IncorrectState", message));
    }
    Ok(give(call, at, profile))
}

fn replace(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let profile = profile_of(call, &input["IamInstanceProfile"])?;
    let at = find(call, &input)?;
    call.reached.extend(call.state.machine(at).aws.as_ref().map(|it| it.id.to_string()));
    Ok(give(call, at, profile))
}

/// Gives an instance a profile, in the place of the one it may have.
fn give(call: &mut Call<'_>, at: MachineIx, profile: Arc<str>) -> Value {
    let association = ProfileAssociation {
        id: format!("iip-assoc-{}", call.state.new_hex()).into(),
        profile,
        since: call.state.now,
    };
    let answer = shown(call, at, &association, "associating");
    set(call, at, Some(association));
    json!({"IamInstanceProfileAssociation": answer})
}

fn disassociate(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let at = find(call, &input)?;
    call.reached.extend(call.state.machine(at).aws.as_ref().map(|it| it.id.to_string()));
    let Some(association) = association_of(call, at).cloned() else { return Ok(json!({})) };
    let answer = shown(call, at, &association, "disassociating");
    set(call, at, None);
    Ok(json!({"IamInstanceProfileAssociation": answer}))
}

fn describe(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let filters = Filters::of(&input, &["instance-id", "state"])?;
    let wanted = texts(&input["AssociationIds"]);
    let page = Page::of(call, &input, 100)?;
    let passes = |it: &Instance<'_>| {
        let Some(association) = &it.ec2.profile else { return false };
        let named = wanted.is_empty() || wanted.iter().any(|id| **id == *association.id);
        named
            && filters.pass(&Vec::new(), |name| match name {
                "instance-id" => vec![it.aws.id.to_string()],
                _ => vec!["associated".to_owned()],
            })
    };
    let (found, next) = page.cut(all(call).filter(passes));
    let found: Vec<Value> = found
        .iter()
        .filter_map(|it| Some(shown(call, it.at, it.ec2.profile.as_ref()?, "associated")))
        .collect();
    Ok(json!({"IamInstanceProfileAssociations": found, "NextToken": next}))
}

/// The profile that an input names, by its ARN or its name.
fn profile_of(call: &Call<'_>, named: &Value) -> Result<Arc<str>, AwsError> {
    let arn = named["Arn"].as_str().and_then(|it| it.rsplit('/').next());
    let name = named["Name"].as_str().or(arn).unwrap_or_default();
    let known = call.account().identity.profiles.get_key_value(name);
    known.map(|(name, _)| Arc::clone(name)).ok_or_else(|| {
        let message = format!("Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name");
        AwsError::new("InvalidParameterValue", message)
    })
}

fn find(call: &Call<'_>, input: &Value) -> Result<MachineIx, AwsError> {
    let id = input["AssociationId"].as_str().unwrap_or_default();
    let is = |it: &Instance<'_>| it.ec2.profile.as_ref().is_some_and(|it| *it.id == *id);
    all(call).find(is).map(|it| it.at).ok_or_else(|| {
        let message = format!("An invalid association-id of '{id}' was given");
        AwsError::new("InvalidAssociationID.NotFound", message)
    })
}

fn association_of<'a>(call: &'a Call<'_>, at: MachineIx) -> Option<&'a ProfileAssociation> {
    Instance::of(call.state, at)?.ec2.profile.as_ref()
}

/// Changes the profile. An agent that it lets in registers some minutes later; one that it shuts out
/// is no longer heard.
fn set(call: &mut Call<'_>, at: MachineIx, association: Option<ProfileAssociation>) {
    if let Some(aws) = &mut call.state.machine_mut(at).aws
        && let AwsKind::Ec2(ec2) = &mut aws.side
    {
        ec2.profile = association;
    }
    call.state.review_agent(at);
}

fn shown(call: &Call<'_>, at: MachineIx, association: &ProfileAssociation, state: &str) -> Value {
    json!({
        "AssociationId": association.id,
        "InstanceId": call.state.machine(at).aws.as_ref().map(|it| &it.id),
        "IamInstanceProfile": {
            "Arn": profile_arn(call, &association.profile),
            "Id": profile_id(call, &association.profile),
        },
        "State": state,
        "Timestamp": seconds(association.since),
    })
}
