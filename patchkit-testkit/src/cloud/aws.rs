//! The simulated AWS services, all but S3 on one endpoint.
//!
//! A request is of the service that its target, its credential scope or its path names. The model
//! of the service tells its operation and decodes, checks and encodes; an operation itself is a
//! function from an input to an output over the [`State`] of the world.

mod error;
pub(crate) mod keys;
mod model;
pub(crate) mod page;
pub(crate) mod ssm;
mod sts;
mod validate;
mod wire;

use std::{collections::HashMap, sync::OnceLock};

use bytes::Bytes;
use http::Response;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use self::error::AwsError;
use self::{
    keys::{Caller, Credential},
    model::{Model, Operation},
};
use super::{
    record::Outcome,
    shared::Shared,
    world::{Account, RegionScope, State, machine::ScopeIx},
};

/// An operation of a service.
pub(crate) type Handler = fn(&mut Call<'_>, Value) -> Result<Value, AwsError>;

/// One request to an operation: whose it is, and where.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) shared: &'a Shared,
    pub(crate) caller: &'a Caller,
    pub(crate) scope: ScopeIx,
    pub(crate) operation: &'a str,
    /// The nodes that it reached, by id: what the input does not name itself.
    pub(crate) reached: Vec<String>,
}

impl Call<'_> {
    pub(crate) fn here(&self) -> &RegionScope {
        self.state.scope(self.scope)
    }

    pub(crate) fn here_mut(&mut self) -> &mut RegionScope {
        self.state.scope_mut(self.scope)
    }

    pub(crate) fn account(&self) -> &Account {
        self.state.account_of(self.scope)
    }

    pub(crate) fn account_mut(&mut self) -> &mut Account {
        let account = self.here().account;
        &mut self.state.accounts[account]
    }

    /// The twelve digits of the caller's account.
    pub(crate) fn account_id(&self) -> &str {
        &self.account().id
    }

    pub(crate) fn region(&self) -> &str {
        &self.here().region
    }
}

/// An input as a struct; what it does not name is left out.
pub(crate) fn input<T: DeserializeOwned>(value: Value) -> Result<T, AwsError> {
    serde_json::from_value(value)
        .map_err(|error| AwsError::new("SerializationException", error.to_string()))
}

/// A time as outputs have it: seconds since 1970.
pub(crate) fn seconds(at: jiff::Timestamp) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age fit 53 bits")]
    let seconds = at.as_millisecond() as f64 / 1_000.0;
    Value::from(seconds)
}

struct Service {
    /// As policies name it: `ssm`.
    name: &'static str,
    model: Model,
    operations: HashMap<&'static str, Handler>,
}

/// Operations by name, as one module of a service has them.
pub(crate) type Operations = &'static [(&'static str, Handler)];

type Entry = (&'static str, &'static str, &'static [Operations]);

const SERVICES: &[Entry] = &[
    ("ssm", include_str!("aws/model/ssm.json"), ssm::OPERATIONS),
    ("sts", include_str!("aws/model/sts.json"), &[sts::OPERATIONS]),
];

fn services() -> &'static [Service] {
    static SERVICES_READ: OnceLock<Vec<Service>> = OnceLock::new();
    SERVICES_READ.get_or_init(|| {
        let read = |(name, text, operations): &Entry| {
            // A model that cannot be read is a model that no test has passed with.
            #[expect(clippy::expect_used, reason = "part of the program, read by every test")]
            let model = Model::read(text).expect("the distilled models are well formed");
            Service {
                name,
                model,
                operations: operations.iter().copied().flatten().copied().collect(),
            }
        };
        SERVICES.iter().map(read).collect()
    })
}

/// Answers a request to the AWS endpoint.
pub(crate) fn answer(shared: &Shared, request: &wire::Request) -> (Response<Bytes>, Outcome) {
    let request_id = shared.next_request_id();
    let credential = Credential::of(request);
    let mut outcome = Outcome::new(&request_id);
    let service = find(request, credential.as_ref());
    outcome.service = service.name;
    let answered = serve(shared, service, credential.as_ref(), request, &mut outcome);
    let response = match answered {
        Ok((operation, output)) => wire::encode(&service.model, operation, &output, &request_id),
        Err(error) => {
            outcome.error = Some(error.name.clone().into_owned());
            wire::encode_error(&service.model, &error, &request_id)
        }
    };
    outcome.status = response.status().as_u16();
    (response, outcome)
}

fn serve<'s>(
    shared: &Shared,
    service: &'s Service,
    credential: Option<&Credential>,
    request: &wire::Request,
    outcome: &mut Outcome,
) -> Result<(&'s Operation, Value), AwsError> {
    let caller = shared.keys.caller(credential, shared)?;
    outcome.caller = caller.arn.clone();
    let (operation, value) = wire::decode(&service.model, request)?;
    outcome.operation = operation.name.to_string();
    if let Some(input) = &operation.input {
        validate::validate(&service.model, input, &value)?;
    }
    outcome.ids = named_ids(&value);
    let handler = service.operations.get(&*operation.name).ok_or_else(|| {
        let name = &operation.name;
        AwsError::new("UnknownOperationException", format!("the simulator does not serve {name}"))
    })?;
    let mut state = shared.settled();
    let region = credential.map(|it| it.region.as_str());
    let scope = scope(&state, &caller.account, region)?;
    outcome.scope = format!("{}/{}", caller.account, state.scope(scope).region);
    outcome.at = state.now;
    let mut call = Call {
        state: &mut state,
        shared,
        caller: &caller,
        scope,
        operation: &operation.name,
        reached: Vec::new(),
    };
    let result = handler(&mut call, value);
    outcome.ids.append(&mut call.reached);
    outcome.acted = result.is_ok();
    call.state.version += 1;
    Ok((operation, result?))
}

/// The service that a request is for; one that names none is taken for Systems Manager's.
fn find(request: &wire::Request, credential: Option<&Credential>) -> &'static Service {
    let target = request.headers().get("x-amz-target").and_then(|it| it.to_str().ok());
    let prefix = target.and_then(|it| it.rsplit_once('.')).map(|(prefix, _)| prefix);
    let all = services();
    let by_target = all.iter().find(|service| {
        prefix.is_some() && service.model.metadata.target_prefix.as_deref() == prefix
    });
    let signed = credential.map(|it| it.service.as_str());
    let by_scope = || all.iter().find(|it| signed == Some(it.signing_name()));
    by_target.or_else(by_scope).unwrap_or(&all[0])
}

impl Service {
    /// The service's name in a credential scope.
    fn signing_name(&self) -> &str {
        match self.name {
            "config" => "config",
            "resourcegroupstaggingapi" => "tagging",
            _ => &self.model.metadata.endpoint_prefix,
        }
    }
}

/// The account's Region that a request is for. Services without Regions sign for us-east-1: they
/// are served in the account's first one.
fn scope(state: &State, account: &str, region: Option<&str>) -> Result<ScopeIx, AwsError> {
    let mut first = None;
    for (at, scope) in (0u16..).map(ScopeIx).zip(&state.scopes) {
        if *state.accounts[scope.account].id != *account {
            continue;
        }
        if region.is_none_or(|region| *scope.region == *region) {
            return Ok(at);
        }
        first = first.or(Some(at));
    }
    match (first, region) {
        (Some(at), Some("us-east-1" | "aws-global")) => Ok(at),
        _ => Err(AwsError::new(
            "UnrecognizedClientException",
            format!("The world has no Region {:?} in {account}.", region.unwrap_or_default()),
        )),
    }
}

/// The nodes that an input names.
fn named_ids(input: &Value) -> Vec<String> {
    let mut ids = Vec::new();
    let Value::Object(members) = input else { return ids };
    for (name, value) in members {
        if !name.ends_with("InstanceId") && !name.ends_with("Ids") && !name.ends_with("ResourceId")
        {
            continue;
        }
        match value {
            Value::String(id) => ids.push(id.clone()),
            Value::Array(many) => {
                ids.extend(many.iter().filter_map(Value::as_str).map(ToOwned::to_owned));
            }
            _ => {}
        }
    }
    ids
}
