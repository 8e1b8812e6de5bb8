//! The simulated Azure Resource Manager, with its token endpoints.
//!
//! # Operations
//! | what | modelled | not modelled |
//! |---|---|---|
//! | subscriptions, resource groups, providers | list, get | changes |
//! | virtual machines | list (by subscription, group, location; `statusOnly`, `$filter` by scale set, `$expand`), get, instance view, start, deallocate, power off, restart, update of patch settings and tags | create, delete, hibernation, sizes, disks; changes of extensions; how long a skipped shutdown takes |
//! | patches of virtual machines | assess, install with every parameter, patch status, daily assessment | hotpatching; updates by the platform without a schedule; parameters for the other operating system are passed over |
//! | scale sets | list, get, instance view; machines of uniform ones: list, get, view, power | changes; `$filter` of their machines |
//! | Arc machines | list, get, assess, install | licences, changes |
//! | extensions | those that a test puts on a machine, in Resource Graph and instance views | list, get, changes |
//! | network interfaces | those of virtual machines with their private address, in Resource Graph where a query names their type | list, get, changes |
//! | tags at a scope | get, put, merge, replace, delete | tags of other resources than machines, scale sets, groups, subscriptions |
//! | maintenance | configurations, assignments, dynamic scopes, runs in guests | other scopes than `InGuestPatch` (kept, never run), limits of counts, events before and after a run |
//! | Resource Graph | five tables, see [`graph`] | facets, management groups, scope filters that leave out what is below; each is refused; changes |
//! | tokens | client credentials, managed identity, discovery | other grants, signatures |
//!
//! Everything else answers with an error in ARM's form. Any API version that looks like one is
//! taken: what is modelled is the same in all of them.
//!
//! # Behavior
//! - Operations that take time answer 202 and are followed at `Azure-AsyncOperation` and
//!   `Location`; they are forgotten a day after their end.
//! - Buckets of tokens limit requests by the documented rates: those of the front door, of the
//!   compute provider, and of Resource Graph. A refusal tells how long it takes until there is a
//!   token again; so it does for rates that a test sets.
//! - Resource Graph shows of each type of resources what its caller may read, and says nothing of the
//!   rest; so does the list of subscriptions.
//! - A schedule patches a virtual machine only where its owner manages the schedules (patch mode
//!   `AutomaticByPlatform` and the bypass flag); elsewhere nothing happens, and nothing says so.
// A request is an operation on a scope: a subscription, a resource group or a resource. The
// router names the operation, the limits take their tokens, and an operation is a function from
// a `Call` to a `Reply` over the state of the world.
#![expect(clippy::unnecessary_wraps, reason = "all operations have one form")]

mod ask;
pub(crate) mod buffers;
mod census;
mod error;
mod extension;
mod facets;
mod findings;
pub mod graph;
mod groups;
mod hybrid;
mod limits;
mod maintenance;
mod operation;
mod own;
mod patch;
mod patch_choice;
mod patch_result;
mod patch_run;
mod power;
mod query;
mod reply;
mod router;
mod rows;
mod scale_set;
mod spoil;
mod store;
mod tags;
mod tally;
mod template;
#[cfg(test)]
mod tests;
mod token;
mod vm;
mod vm_view;

use std::cell::Cell;

use http::{Method, StatusCode};
use jiff::SignedDuration;

use self::{
    ask::{Ask, Request},
    error::ArmError,
    limits::{Limit, Throttle},
    reply::{Envelope, Reply},
    router::{Route, Scope},
    token::Caller,
};
pub(crate) use self::{rows::write as write_rows, store::Store, token::Bearer};
use super::{
    fault::{self, Delivery, FaultKind},
    policy,
    record::RecordedCall,
    shared::{Met, Shared, lock},
    throttle::RetryAfter,
    world::{
        State,
        machine::{AzureSide, MachineIx, SubIx},
    },
};

/// Of one tenant is all that there is.
pub(crate) fn tenant(seed: u64) -> String {
    super::world::uuid(crate::rng::mix(seed ^ 0x7E4A), 5)
}

/// One request to an operation: who sent it, and what it is about.
#[derive(Debug)]
struct Call<'a> {
    state: &'a mut State,
    shared: &'a Shared,
    ask: &'a Ask<'a>,
    caller: &'a Caller,
    scope: Scope,
    /// The segments after the provider's namespace: type, name, and so on.
    tail: &'a [String],
    /// The resources that it reached.
    reached: Vec<String>,
    /// The place of the last item of the page that was asked for.
    last: Cell<Option<usize>>,
    /// The subscriptions of a query that are away.
    gone: Vec<SubIx>,
    /// A query that is still to be answered: it does not need the world for that.
    query: Option<query::Asked>,
}

impl Call<'_> {
    /// A segment of the tail; the router has counted them.
    fn name(&self, at: usize) -> &str {
        self.tail.get(at).map_or("", String::as_str)
    }

    fn subscription(&self) -> SubIx {
        match self.scope {
            Scope::Subscription(subscription) | Scope::Group(subscription, _) => subscription,
            Scope::Machine(at) => {
                self.state.machine(at).azure.as_ref().map_or(SubIx(0), |it| it.subscription)
            }
            Scope::Tenant | Scope::Other(_) => SubIx(0),
        }
    }

    /// The side of a machine that the index of Azure knows.
    fn azure(&self, at: MachineIx) -> Result<&AzureSide, ArmError> {
        side(self.state, at)
    }
}

/// The side of a machine that the index of Azure knows.
fn side(state: &State, at: MachineIx) -> Result<&AzureSide, ArmError> {
    state.machine(at).azure.as_ref().ok_or_else(|| {
        ArmError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "no such machine")
    })
}

/// Answers a request to the Azure endpoint, and notes it.
pub(crate) fn answer(shared: &Shared, request: &Request) -> fault::Reply {
    answer_by(serve, shared, request)
}

/// Refuses a request that is longer than any service takes, and notes it.
pub(crate) fn too_long(shared: &Shared, request: &Request) -> fault::Reply {
    let refuse: Serve = |shared, ask, outcome| {
        outcome.at = shared.now();
        outcome.operation = format!("{} {}", ask.method(), ask.request.uri().path());
        let message = "The request content size exceeds the maximum size of 4 MB.";
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Err(ArmError::new(status, "RequestContentTooLarge", message).into())
    };
    answer_by(refuse, shared, request)
}

type Serve = fn(&Shared, &Ask<'_>, &mut RecordedCall) -> Result<Reply, Refusal>;

fn answer_by(serve: Serve, shared: &Shared, request: &Request) -> fault::Reply {
    let request_id = shared.next_request_id();
    let mut outcome = RecordedCall::new(&request_id);
    outcome.service = "arm".into();
    let ask = Ask::new(request);
    let answered = serve(shared, &ask, &mut outcome);
    let mut delivery = Delivery::of(outcome.fault);
    let reply = match answered {
        Ok(reply) => reply,
        Err(Refusal::Cut) => {
            delivery = Delivery::Cut;
            Reply::empty(StatusCode::OK)
        }
        Err(Refusal::Error(error)) => {
            outcome.error = Some(error.code.clone().into_owned());
            error.into()
        }
    };
    let asked = ask.header("x-ms-return-client-request-id").is_some_and(|it| it == "true");
    let skew = match outcome.fault {
        Some(FaultKind::ClockSkew { seconds }) => SignedDuration::from_secs(seconds),
        _ => SignedDuration::ZERO,
    };
    let now = shared.credential_time();
    let envelope = Envelope {
        request_id: &request_id,
        correlation_id: ask.header("x-ms-correlation-request-id").unwrap_or(&request_id),
        client_id: ask.header("x-ms-client-request-id").filter(|_| asked),
        now: now.checked_add(skew).unwrap_or(now),
        buffers: &shared.buffers,
    };
    outcome.status = (delivery != Delivery::Cut).then(|| reply.status.as_u16());
    shared.note(outcome);
    fault::Reply { response: envelope.response(reply), delivery }
}

/// Why an operation was not carried out, or its answer not given.
enum Refusal {
    Error(ArmError),
    Cut,
}

impl From<ArmError> for Refusal {
    fn from(error: ArmError) -> Self {
        Self::Error(error)
    }
}

/// What a fault or a policy makes of a request before the service acts.
fn meet(
    shared: &Shared,
    limit: Limit,
    outcome: &mut RecordedCall,
) -> Result<Option<FaultKind>, Refusal> {
    match shared.meet(outcome) {
        Met::Pass(spoil) => Ok(spoil),
        Met::Denied => {
            let RecordedCall { caller, operation, scope, .. } = &*outcome;
            let message = format!(
                "The client '{caller}' does not have authorization to perform action '{}' over \
                 scope '/subscriptions/{scope}' or the scope is invalid.",
                policy::arm_action(operation),
            );
            Err(ArmError::new(StatusCode::FORBIDDEN, "AuthorizationFailed", message).into())
        }
        Met::Throttled(wait) if limit == Limit::Graph => {
            Err(limits::over_quota(seconds(wait)).into())
        }
        Met::Throttled(wait) => {
            let message = "The request is being throttled.";
            let status = StatusCode::TOO_MANY_REQUESTS;
            let mut error = ArmError::new(status, "TooManyRequests", message);
            error.headers.push(("retry-after", seconds(wait).to_string()));
            Err(error.into())
        }
        Met::Failed(status) => Err(failed(status).into()),
        Met::Cut => Err(Refusal::Cut),
    }
}

/// What `Retry-After` says; of a throttle on purpose a second.
fn seconds(wait: Option<RetryAfter>) -> u64 {
    wait.unwrap_or(RetryAfter::SECOND).seconds()
}

fn failed(status: u16) -> ArmError {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = match status {
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        _ => "InternalServerError",
    };
    ArmError::new(status, code, "Encountered internal server error.")
}

fn serve(shared: &Shared, ask: &Ask<'_>, outcome: &mut RecordedCall) -> Result<Reply, Refusal> {
    if let Some(answered) = token::answer(shared, ask, outcome) {
        return answered;
    }
    let mut state = shared.settled();
    outcome.at = state.now;
    outcome.operation = format!("{} {}", ask.method(), ask.request.uri().path());
    let caller = shared.bearer.caller(ask, shared)?;
    outcome.caller.clone_from(&caller.name);
    ask.version()?;
    let Route { operation, scope, tail, limit, handler } = router::route(&state, ask)?;
    operation.clone_into(&mut outcome.operation);
    outcome.scope = scope.subscription(&state);
    if limit == Limit::Graph {
        outcome.scope = query::scope(ask);
        outcome.scopes = query::scopes(&state, ask);
    }
    outcome.ids = router::named(&state, &scope, &ask.segments);
    let asked = query::asked_page(ask, operation, limit);
    outcome.page = asked.as_ref().and_then(|it| lock(&shared.pages).of(operation, it));
    let spoil = meet(shared, limit, outcome)?;
    let throttle = Throttle { shared, state: &state, ask, caller: &caller, scope: &scope };
    let told = throttle.take(limit)?;
    let gone = query::gone(shared, &state, outcome);
    let mut call = Call {
        state: &mut state,
        shared,
        ask,
        caller: &caller,
        scope,
        tail,
        reached: Vec::new(),
        last: Cell::new(None),
        gone,
        query: None,
    };
    let result = handler(&mut call);
    if *ask.method() != Method::GET && limit != Limit::Graph {
        call.state.version += 1;
    }
    let last = call.last.get();
    outcome.ids.append(&mut call.reached);
    let query = call.query.take();
    // What is left to do is no reason for others to wait.
    drop(state);
    let (result, place) = match (result, query) {
        (Ok(_), Some(query)) => query.answer(shared, ask).map_or_else(
            |error| (Err(error), spoil::Place::None),
            |(reply, place)| (Ok(reply), spoil::Place::Query(Box::new(place))),
        ),
        (result, _) => (result, last.map_or(spoil::Place::None, spoil::Place::Item)),
    };
    outcome.acted = result.is_ok();
    // What is left is told with every answer, a refusal included.
    match result {
        Ok(mut reply) => {
            let spoil = spoil.or_else(|| shared.meet_after(outcome));
            if spoil == Some(FaultKind::FailAfter) {
                return Err(failed(500).into());
            }
            if let Some(kind) = spoil.filter(|it| it.is_of_content()) {
                let right = reply.body.clone();
                spoil::spoil(kind, shared, ask, &place, &mut reply);
                if reply.body == right {
                    shared.take_back(kind, outcome);
                }
            }
            if let Some(asked) = asked
                && let Some(next) = &reply.next
            {
                lock(&shared.pages).enter(&outcome.operation, &asked, next, outcome.page);
            }
            reply.headers.extend(told);
            Ok(reply)
        }
        Err(mut error) => {
            error.headers.extend(told);
            Err(error.into())
        }
    }
}
