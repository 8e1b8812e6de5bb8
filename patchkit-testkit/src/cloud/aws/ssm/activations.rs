//! Hybrid nodes: activations, their role, and how they are given up.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{AwsError, Call, Operations, input, page::Page, seconds, time};
use super::tags::{Tag, listed};
use crate::cloud::{
    lake::Part,
    world::{
        State,
        clock::later,
        machine::{AwsKind, MachineIx, Tags},
    },
};

pub(super) const OPERATIONS: Operations = &[
    ("CreateActivation", create),
    ("DeleteActivation", delete),
    ("DeregisterManagedInstance", deregister),
    ("DescribeActivations", describe),
    ("UpdateManagedInstanceRole", update_role),
];

const DAY: Duration = Duration::from_hours(24);

/// By id.
#[derive(Debug, Default)]
pub(crate) struct Activations(BTreeMap<Arc<str>, Activation>);

#[derive(Debug)]
struct Activation {
    code: Code,
    description: Option<Box<str>>,
    name: Option<Box<str>>,
    role: Box<str>,
    limit: u32,
    registrations: u32,
    created: Timestamp,
    expires: Timestamp,
    tags: Tags,
}

/// What a machine registers with: not shown again, and in no log.
struct Code(Box<str>);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

impl State {
    /// Lists the activations by which the first hybrid nodes came.
    pub(crate) fn first_activations(&mut self) {
        for at in (0u32..).map(MachineIx).take(self.machines.len()) {
            self.list_activation(at);
        }
    }

    /// Lists the activation by which a hybrid node came.
    pub(crate) fn list_activation(&mut self, at: MachineIx) {
        let Some(aws) = &self.machine(at).aws else { return };
        let AwsKind::Hybrid(hybrid) = &aws.side else { return };
        let (id, name, role) = (&hybrid.activation, &hybrid.given_name, &hybrid.role);
        let (id, name, role) = (Arc::clone(id), Arc::clone(name), Arc::clone(role));
        let (scope, since) = (aws.scope, aws.registered.unwrap_or(self.now));
        let known = &mut self.scope_mut(scope).ssm.activations.0;
        let activation = known.entry(id).or_insert_with(|| Activation {
            code: Code(Box::default()),
            description: Some("Made with the world".into()),
            name: Some((&*name).into()),
            role: (&*role).into(),
            limit: 1_000,
            registrations: 0,
            created: since,
            expires: since,
            tags: Tags::new(),
        });
        activation.registrations += 1;
        activation.created = activation.created.min(since);
        activation.expires = activation.expires.max(since);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    default_instance_name: Option<Box<str>>,
    description: Option<Box<str>>,
    expiration_date: Option<Value>,
    iam_role: Box<str>,
    registration_limit: Option<u32>,
    #[serde(default)]
    tags: Vec<Tag>,
}

fn create(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let input: Create = input(value)?;
    let now = call.state.now;
    // botocore ssm model, `ExpirationDate`: 24 hours, and up to 30 days in advance.
    let expires = match &input.expiration_date {
        None => later(now, DAY),
        Some(value) => time(value)
            .filter(|at| *at > now && *at <= later(now, DAY * 30))
            .ok_or_else(|| invalid("ExpirationDate must be within 30 days from now."))?,
    };
    check_role(call, &input.iam_role)?;
    let id: Arc<str> = call.state.new_uuid().into();
    let code = call.state.new_hex() + &call.state.new_hex();
    let code = &code[..20];
    let activation = Activation {
        code: Code(code.into()),
        description: input.description,
        name: input.default_instance_name,
        role: input.iam_role,
        limit: input.registration_limit.unwrap_or(1),
        registrations: 0,
        created: now,
        expires,
        tags: input.tags.into_iter().map(Tag::pair).collect(),
    };
    let answer = json!({"ActivationId": &*id, "ActivationCode": &*activation.code.0});
    call.here_mut().ssm.activations.0.insert(id, activation);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    filter_key: Option<String>,
    #[serde(default)]
    filter_values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    #[serde(default)]
    filters: Vec<Filter>,
}

fn describe(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, 50)?;
    let Describe { filters } = input(value)?;
    if filters.iter().any(|it| it.filter_key.is_none() || it.filter_values.is_empty()) {
        return Err(AwsError::new("InvalidFilter", "A filter has no key or no values."));
    }
    let now = call.state.now;
    let all = call.here().ssm.activations.0.iter();
    let passing = all.filter(|(id, activation)| {
        filters.iter().all(|filter| {
            let actual = match filter.filter_key.as_deref() {
                Some("ActivationIds") => id,
                Some("DefaultInstanceName") => activation.name.as_deref().unwrap_or_default(),
                _ => &*activation.role,
            };
            filter.filter_values.iter().any(|it| it == actual)
        })
    });
    let (found, next) = page.cut(passing);
    let list = found.into_iter().map(|(id, it)| {
        json!({
            "ActivationId": &**id,
            "Description": it.description,
            "DefaultInstanceName": it.name,
            "IamRole": it.role,
            "RegistrationLimit": it.limit,
            "RegistrationsCount": it.registrations,
            "ExpirationDate": seconds(it.expires),
            "Expired": it.expires <= now,
            "CreatedDate": seconds(it.created),
            "Tags": listed(&it.tags),
        })
    });
    Ok(json!({"ActivationList": list.collect::<Vec<_>>(), "NextToken": next}))
}

fn delete(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let id = value["ActivationId"].as_str().unwrap_or_default();
    if call.here_mut().ssm.activations.0.remove(id).is_none() {
        let message = format!("Activation {id} does not exist.");
        return Err(AwsError::new("InvalidActivation", message));
    }
    Ok(json!({}))
}

/// The hybrid node of an input.
fn hybrid(call: &Call<'_>, value: &Value) -> Result<(MachineIx, String), AwsError> {
    let id = value["InstanceId"].as_str().unwrap_or_default();
    let known = call.state.find(call.scope, id);
    let found = known.filter(|at| {
        let side = call.state.machine(*at).aws.as_ref().map(|aws| &aws.side);
        matches!(side, Some(AwsKind::Hybrid(_)))
    });
    found.map(|at| (at, id.to_owned())).ok_or_else(|| {
        let message = format!("Instance {id} is not a registered managed instance.");
        AwsError::new("InvalidInstanceId", message)
    })
}

fn deregister(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let (at, id) = hybrid(call, &value)?;
    let scope = call.scope;
    call.state.sync_gone(at);
    call.state.deregister(scope, &id);
    Ok(json!({}))
}

fn update_role(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let (at, _) = hybrid(call, &value)?;
    let role: Arc<str> = value["IamRole"].as_str().unwrap_or_default().into();
    check_role(call, &role)?;
    if let Some(aws) = &mut call.state.machine_mut(at).aws
        && let AwsKind::Hybrid(hybrid) = &mut aws.side
    {
        hybrid.role = role;
    }
    // Its agent cannot go on without a role that lets it: it falls silent when its credentials end,
    // within the hour.
    call.state.after(Duration::from_hours(1), move |state| {
        state.shut_out(at);
    });
    call.state.let_in(at);
    call.state.sync_node(at, Part::Node);
    Ok(json!({}))
}

/// The role of hybrid nodes is one that the service can assume; the words are the service's
/// (prescriptive guidance, "Set up a CI/CD pipeline for hybrid workloads on Amazon ECS Anywhere").
fn check_role(call: &Call<'_>, role: &str) -> Result<(), AwsError> {
    let account = call.account_id();
    if call.account().identity.role_for("ssm.amazonaws.com", account, role).is_some() {
        return Ok(());
    }
    let arn = if role.starts_with("arn:") {
        role.to_owned()
    } else {
        format!("arn:aws:iam::{account}:role/{role}")
    };
    let message =
        format!("Nonexistent role or missing ssm service principal in trust policy: {arn}");
    Err(AwsError::validation(message))
}

fn invalid(message: &str) -> AwsError {
    AwsError::new("InvalidParameters", message)
}
