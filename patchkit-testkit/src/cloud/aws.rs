//! The simulated AWS services, all but S3 on one endpoint.
//!
//! A request is of the service that its target, its credential scope or its path names. The model
//! of the service tells its operation and decodes, checks and encodes; an operation itself is a
//! function from an input to an output over the [`State`] of the world.

#![expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "operations are all of one type: they own their input, and may fail"
)]

pub(crate) mod config;
pub(crate) mod ec2;
mod error;
mod iam;
mod limits;
mod model;
mod organizations;
pub(crate) mod page;
mod refusals;
pub(crate) mod resource;
pub(crate) mod resource_groups;
pub(crate) mod ring;
pub(crate) mod sigv4;
pub(super) mod skew;
pub(crate) mod sns;
mod spoil;
pub(crate) mod ssm;
mod sts;
mod tagging;
#[cfg(test)]
pub(crate) mod testing;
mod unmodelled;
mod unserved;
mod validate;
mod wire;

use std::{cell::Cell, collections::HashMap, sync::OnceLock};

use bytes::Bytes;
use http::Response;
use patchkit_core::{Clock as _, SystemClock};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use self::error::AwsError;
use self::{
    model::{Model, Operation},
    ring::Caller,
    sigv4::Credential,
    unserved::Unserved,
    wire::Form,
};
use super::{
    fault::{Delivery, FaultKind, Reply},
    policy::passes_role,
    record::RecordedCall,
    s3::SignatureChecks,
    shared::{Met, Shared, lock},
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
    /// The page that was asked for, where the operation has pages.
    page: Cell<Option<page::Place>>,
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

/// An input as a struct; what it does not name is left out. A member that is null is one that is
/// not there, as for the services.
pub(crate) fn input<T: DeserializeOwned>(mut value: Value) -> Result<T, AwsError> {
    drop_nulls(&mut value);
    serde_json::from_value(value)
        .map_err(|error| AwsError::new("SerializationException", error.to_string()))
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// An object of these members, which are moved: `json!` copies what it is given, all that is in it
/// too.
pub(crate) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A time as outputs have it: seconds since 1970.
pub(crate) fn seconds(at: jiff::Timestamp) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age fit 53 bits")]
    let seconds = at.as_millisecond() as f64 / 1_000.0;
    Value::from(seconds)
}

/// A list of texts of an input; empty where it is not there.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

/// A time of an input: seconds since 1970 or a text.
pub(crate) fn time(value: &Value) -> Option<jiff::Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        number => {
            let seconds = number.as_f64().filter(|it| it.is_finite() && it.abs() < 1e11)?;
            #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
            jiff::Timestamp::from_millisecond((seconds * 1_000.0) as i64).ok()
        }
    }
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
    ("config", include_str!("aws/model/config.json"), config::OPERATIONS),
    ("ec2", include_str!("aws/model/ec2.json"), ec2::OPERATIONS),
    ("iam", include_str!("aws/model/iam.json"), iam::OPERATIONS),
    ("organizations", include_str!("aws/model/organizations.json"), organizations::OPERATIONS),
    (
        "resource-groups",
        include_str!("aws/model/resource-groups.json"),
        resource_groups::OPERATIONS,
    ),
    (
        "resourcegroupstaggingapi",
        include_str!("aws/model/resourcegroupstaggingapi.json"),
        tagging::OPERATIONS,
    ),
    ("sns", include_str!("aws/model/sns.json"), sns::OPERATIONS),
    ("sts", include_str!("aws/model/sts.json"), &[sts::OPERATIONS]),
];

/// The names of the services, without S3's.
pub(crate) fn service_names() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|(name, ..)| *name)
}

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

/// Answers a request to the AWS endpoint, and notes it.
pub(crate) fn answer(shared: &Shared, request: &wire::Request) -> Reply {
    let request_id = shared.next_request_id();
    let head = request.clone().into_parts().0;
    let credential = Credential::of(&head);
    let mut outcome = RecordedCall::new(&request_id);
    let Some(service) = find(request, credential.as_ref()) else {
        let unserved = Unserved::of(request, credential.as_ref());
        let response = unserved.answer(shared, request, credential.as_ref(), &mut outcome);
        outcome.status = Some(response.status().as_u16());
        shared.note(outcome);
        return response.into();
    };
    outcome.service = service.name.into();
    let answered = serve(shared, service, credential.as_ref(), request, &mut outcome);
    let mut delivery = Delivery::of(outcome.fault);
    let mut response = match answered {
        Ok((operation, output)) => wire::encode(&service.model, operation, &output, &request_id),
        Err(Refusal::Cut) => {
            delivery = Delivery::Cut;
            Response::new(Bytes::new())
        }
        Err(Refusal::Error(error)) => {
            outcome.error = Some(error.name.clone().into_owned());
            let known = service.model.error(&error.name);
            wire::encode_error(Form::of(&service.model), known, &error, &request_id)
        }
    };
    if let Some(FaultKind::ClockSkew { seconds }) = outcome.fault {
        wire::set_date(&mut response, skew::ahead(seconds));
    }
    outcome.status = (delivery != Delivery::Cut).then(|| response.status().as_u16());
    shared.note(outcome);
    Reply { response, delivery }
}

/// Refuses a request that is longer than any service takes, and notes it.
pub(crate) fn too_long(shared: &Shared, request: &wire::Request) -> Reply {
    let credential = Credential::of(&request.clone().into_parts().0);
    let mut outcome = RecordedCall::new(&shared.next_request_id());
    let form = if let Some(service) = find(request, credential.as_ref()) {
        outcome.service = service.name.into();
        Form::of(&service.model)
    } else {
        let unserved = Unserved::of(request, credential.as_ref());
        outcome.service = unserved.service.into();
        unserved.form
    };
    let name = match form {
        Form::Cbor | Form::Json(_) | Form::RestJson => "RequestEntityTooLargeException",
        Form::Ec2 | Form::Query { .. } => "RequestEntityTooLarge",
        Form::S3 => "EntityTooLarge",
    };
    let error = AwsError::new(name, "The request is too long.").with_status(413);
    let response = wire::encode_error(form, None, &error, &outcome.request_id);
    outcome.at = shared.now();
    outcome.error = Some(name.to_owned());
    outcome.status = Some(response.status().as_u16());
    shared.note(outcome);
    response.into()
}

/// Why an operation was not carried out, or its output not given.
enum Refusal {
    Error(AwsError),
    Cut,
}

impl From<AwsError> for Refusal {
    fn from(error: AwsError) -> Self {
        Self::Error(error)
    }
}

fn serve<'s>(
    shared: &Shared,
    service: &'s Service,
    credential: Option<&Credential>,
    request: &wire::Request,
    outcome: &mut RecordedCall,
) -> Result<(&'s Operation, Value), Refusal> {
    // Also of a request that is refused at the door the record says what it was to do.
    outcome.at = shared.now();
    let decoded = wire::decode(&service.model, request);
    if let Ok((operation, _)) = &decoded {
        outcome.operation = operation.name.to_string();
    }
    service.check_signature(shared, request).map_err(|it| service.unauthenticated(&it))?;
    let caller =
        shared.keys.caller(credential, shared).map_err(|it| service.unauthenticated(&it))?;
    outcome.caller.clone_from(&caller.arn);
    let (operation, value) = decoded?;
    outcome.passes_role = passes_role(service.name, &operation.name, &value);
    outcome.ids = named_ids(&value);
    if *operation.name == *"SendCommand" {
        outcome.command = command(&value);
    }
    let tokens = service.model.tokens(operation);
    let asked_by = tokens.map(|[input, _]| value[input].as_str().unwrap_or_default().to_owned());
    outcome.page = asked_by.as_ref().and_then(|it| lock(&shared.pages).of(&operation.name, it));
    let mut state = shared.settled();
    outcome.at = state.now;
    let region = credential.map(|it| it.region.as_str());
    let scope = scope(&state, &caller.account, region)?;
    outcome.scope = format!("{}/{}", caller.account, state.scope(scope).region);
    let spoil = match shared.meet(outcome) {
        Met::Pass(spoil) => spoil,
        Met::Denied => return Err(service.denied(outcome).into()),
        Met::Throttled(_) => return Err(service.throttled().into()),
        Met::Failed(status) => return Err(service.failed(status).into()),
        Met::Cut => return Err(Refusal::Cut),
    };
    if !shared.admits(service.name, outcome) {
        return Err(service.throttled().into());
    }
    if let Some(FaultKind::ClockSkew { seconds }) = spoil {
        skew::check(request, seconds).map_err(|it| service.unauthenticated(&it))?;
    }
    if let Some(input) = &operation.input {
        if service.name == "ec2"
            && let Some(name) = validate::missing(&service.model, input, &value)
        {
            return Err(refusals::missing(name).into());
        }
        validate::validate(&service.model, input, &value).map_err(|it| service.invalid(it))?;
    }
    let handler = service
        .operations
        .get(&*operation.name)
        .ok_or_else(|| service.unserved(&operation.name))?;
    if let Some(member) = unmodelled::given(service.name, &operation.name, &value) {
        return Err(service.unmodelled(&operation.name, member).into());
    }
    let asked = spoil.filter(|it| it.is_of_content()).map(|_| value.clone());
    let mut call = Call {
        state: &mut state,
        shared,
        caller: &caller,
        scope,
        operation: &operation.name,
        reached: Vec::new(),
        page: Cell::new(None),
    };
    let result = handler(&mut call, value);
    let page = call.page.get();
    outcome.ids.append(&mut call.reached);
    outcome.acted = result.is_ok();
    if !["Describe", "Get", "List"].iter().any(|it| operation.name.starts_with(it)) {
        call.state.version += 1;
    }
    drop(state);
    let mut output = result?;
    let spoil = spoil.or_else(|| shared.meet_after(outcome));
    match spoil {
        Some(FaultKind::FailAfter) => return Err(service.failed(500).into()),
        Some(kind) => {
            if let Some(asked) = asked {
                let right = output.clone();
                spoil::spoil(kind, &service.model, operation, &asked, page, &mut output);
                if output == right {
                    shared.take_back(kind, outcome);
                }
            }
        }
        None => {}
    }
    if let (Some([_, token]), Some(asked)) = (tokens, asked_by)
        && let Some(next) = output[token].as_str()
    {
        lock(&shared.pages).enter(&operation.name, &asked, next, outcome.page);
    }
    Ok((operation, output))
}

/// Refuses a request that is not signed by a known key, where signatures are checked.
fn check_signature(
    shared: &Shared,
    request: &wire::Request,
) -> Result<Option<Credential>, sigv4::Refusal> {
    if shared.checks == SignatureChecks::Off {
        return Ok(None);
    }
    let (head, body) = request.clone().into_parts();
    // Clients sign by their own clock, whatever the world's says.
    let now = SystemClock.now();
    sigv4::check(&head, &body, &*shared.keys, now, shared.credential_time()).map(Some)
}

/// The service that a request is for; none where that is not served.
fn find(request: &wire::Request, credential: Option<&Credential>) -> Option<&'static Service> {
    let target = request.headers().get("x-amz-target").and_then(|it| it.to_str().ok());
    let prefix = target.and_then(|it| it.rsplit_once('.')).map(|(prefix, _)| prefix);
    let all = services();
    let by_target = all.iter().find(|service| {
        prefix.is_some() && service.model.metadata.target_prefix.as_deref() == prefix
    });
    let signed = credential.map(|it| it.service.as_str());
    let by_scope = || all.iter().find(|it| signed == Some(it.signing_name()));
    // What needs no signature, such as AssumeRoleWithWebIdentity, has its service's version.
    let by_version = || {
        if signed.is_some() {
            return None;
        }
        let mut pairs = form_urlencoded::parse(request.body());
        let (_, version) = pairs.find(|(name, _)| name == "Version")?;
        all.iter().find(|it| {
            it.model.metadata.xml_namespace.is_some() && *it.model.metadata.api_version == *version
        })
    };
    by_target.or_else(by_scope).or_else(by_version)
}

impl Shared {
    /// Takes a token of a documented limit; says whether there was one.
    fn admits(&self, service: &str, outcome: &RecordedCall) -> bool {
        let (Some(buckets), Some(rate)) =
            (&self.buckets, limits::documented(service, &outcome.operation))
        else {
            return true;
        };
        let key = format!("{service}:{}:{}", outcome.operation, outcome.scope);
        lock(buckets).take(&key, rate, self.bucket_time()).is_ok()
    }
}

impl Service {
    fn check_signature(
        &self,
        shared: &Shared,
        request: &wire::Request,
    ) -> Result<(), sigv4::Refusal> {
        if self.is_open_to_all(request) {
            return Ok(());
        }
        let signed = check_signature(shared, request)?;
        let own = self.signing_name();
        // The message is that of the services (IAM user guide, "Troubleshooting SigV4 signing").
        match signed.filter(|it| it.service != own) {
            None => Ok(()),
            Some(_) => Err(sigv4::Refusal::Mismatch(format!(
                "Credential should be scoped to correct service: '{own}'. "
            ))),
        }
    }

    /// Whether a request needs no signature: who has none asks for a first one by the token of a web
    /// identity.
    fn is_open_to_all(&self, request: &wire::Request) -> bool {
        let mut pairs = form_urlencoded::parse(request.body());
        let action = pairs.find(|(name, _)| name == "Action").map(|(_, action)| action);
        self.name == "sts"
            && !request.headers().contains_key(http::header::AUTHORIZATION)
            && action.is_some_and(|it| it == "AssumeRoleWithWebIdentity")
    }

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

/// What a command does, by the words of who sends it.
fn command(input: &Value) -> Option<String> {
    let document = input["DocumentName"].as_str()?;
    let operation = input["Parameters"]["Operation"][0].as_str();
    Some(operation.map_or_else(|| document.to_owned(), |it| format!("{document} {it}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_in_the_documentation_names_what_is_served_and_nothing_else() {
        let mut told = BTreeSet::new();
        for row in include_str!("aws/served.md").lines().skip(2) {
            let operations = row.split('|').nth(2).unwrap_or_default();
            told.extend(operations.split('`').skip(1).step_by(2));
        }
        let served: BTreeSet<&str> =
            services().iter().flat_map(|it| it.operations.keys().copied()).collect();
        assert_eq!(served.difference(&told).collect::<Vec<_>>(), [&""; 0], "are not in the table");
        assert_eq!(told.difference(&served).collect::<Vec<_>>(), [&""; 0], "are not served");
    }

    #[test]
    fn every_operation_of_the_models_is_served() {
        for service in services() {
            let modelled: BTreeSet<&str> =
                service.model.operations.keys().map(|it| &**it).collect();
            let served: BTreeSet<&str> = service.operations.keys().copied().collect();
            assert_eq!(modelled, served, "{}", service.name);
        }
    }
}
