//! Queries of Resource Graph over the rows of the world.

mod body;

use std::{fmt::Write as _, sync::Arc};

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use self::body::Body;
use super::{
    Call,
    ask::Ask,
    error::ArmError,
    graph::{Options, Page, PageRequest, Query, QueryError, Rows},
    limits::Limit,
    reply::Reply,
    rows::{Hidden, World},
};
use crate::{
    cloud::{
        fault::FaultKind,
        record::RecordedCall,
        shared::{Shared, lock},
        world::{State, machine::SubIx},
    },
    rng::mix,
};

/// For how long an answer is given again where nothing has happened, in seconds of the world.
const BEHIND: i64 = 15;

/// A query that was read, with what it is to be answered from.
#[derive(Debug)]
pub(super) struct Asked {
    query: String,
    scope: String,
    options: Options,
    version: u64,
    now: Timestamp,
    /// None for a further page: its answer has its own.
    world: Option<World>,
}

/// Reads a query under the lock of the world, and takes a picture for it: the work on it needs
/// the world no more.
pub(super) fn resources(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let Body { query, subscriptions, options } = Body::read(call.ask)?;
    let mut subscriptions = asked(call, &subscriptions)?;
    subscriptions.retain(|it| !call.gone.contains(it));
    let options = Options::from_json(options);
    let options = options.map_err(|error| refusal(call.shared, call.ask, &error))?;
    let numbers: Vec<_> = subscriptions.iter().map(|it| it.0.to_string()).collect();
    let hidden = hidden(call, &subscriptions);
    if hidden.len() == subscriptions.len() * World::kinds().count() {
        return Err(denied());
    }
    let mut scope = format!("{}:{}", call.caller.name, numbers.join(","));
    for (at, kind) in &hidden {
        // Who may read more or less by now gets another answer.
        let _ = write!(scope, " -{}/{kind}", at.0);
    }
    // Rows change with what happens, and a few with the time alone: whether an agent answers,
    // what is too old to be told. The real index is minutes behind; this one some seconds.
    let moment = call.state.now.as_second().div_euclid(BEHIND).cast_unsigned();
    let version = mix(call.state.version ^ mix(moment));
    let now = call.state.now;
    let first = options.skip_token.is_none();
    let world = first.then(|| World::of(call.state, subscriptions, hidden));
    let query = query.to_owned();
    call.query = Some(Asked { query, scope, options, version, now, world });
    Ok(Reply::empty(StatusCode::OK))
}

impl Asked {
    /// Answers the query; the page can be asked for again.
    pub(super) fn answer(self, shared: &Shared, ask: &Ask<'_>) -> Result<(Reply, Place), ArmError> {
        let Self { query, scope, options, version, now, world } = self;
        let refused = |error: QueryError| refusal(shared, ask, &error);
        let request = PageRequest { query: &query, scope: &scope, options: &options };
        let resumed = lock(&shared.pager).resume(request, now).map_err(refused)?;
        let page = if let Some(page) = resumed {
            page
        } else {
            let world = world.ok_or_else(|| {
                ArmError::bad("InvalidSkipToken", "The request has no skip token.")
            })?;
            let parsed = Query::parse(&query).map_err(refused)?;
            let is_timeless = parsed.is_timeless();
            let known = lock(&shared.pager).reuse(request, version, now);
            if let Some(page) = known {
                page
            } else {
                let rows: Arc<dyn Rows + Send + Sync> = Arc::new(world);
                let answer = parsed.open(&rows, now, options.format).map_err(refused)?;
                let version = is_timeless.then_some(version);
                lock(&shared.pager).open(request, answer, version, now)
            }
        };
        let body = page.body_in(shared.buffers.take()).map_err(refused)?;
        let next = page.token.clone();
        let reply = Reply { body, next, ..Reply::ok(&Value::Null) }
            .with("x-ms-resource-graph-request-duration", "0:00:00:00.0210000")
            .with("x-ms-ratelimit-remaining-tenant-resource-requests", "14");
        Ok((reply, Place { query, scope, options, page }))
    }
}

/// Where an answer's page is, for one that is to be spoiled.
#[derive(Debug)]
pub(super) struct Place {
    query: String,
    scope: String,
    options: Options,
    page: Page,
}

impl Place {
    /// A token for the page once more, other than the one that it was asked with. None where the
    /// answer cannot be paged.
    pub(super) fn again(&self, shared: &Shared) -> Option<String> {
        let request =
            PageRequest { query: &self.query, scope: &self.scope, options: &self.options };
        lock(&shared.pager).again(request, &self.page, shared.now())
    }

    /// A token for the page behind, that begins with the last row of this one.
    pub(super) fn overlap(&self, shared: &Shared) -> Option<String> {
        lock(&shared.pager).overlap(&self.page)
    }
}

/// The subscriptions that a query names, as the record has them.
pub(super) fn scope(ask: &Ask<'_>) -> String {
    named(ask).collect::<Vec<_>>().join(",")
}

fn named<'a>(ask: &'a Ask<'_>) -> impl Iterator<Item = &'a str> {
    let body = ask.document().as_ref().ok();
    let named = body.and_then(|it| it["subscriptions"].as_array());
    named.map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str)
}

/// The subscriptions that a query is about: those that it names, or all of them.
pub(super) fn scopes(state: &State, ask: &Ask<'_>) -> Vec<Arc<str>> {
    let named: Vec<&str> = named(ask).collect();
    let here = |id: &str| named.is_empty() || named.iter().any(|it| it.eq_ignore_ascii_case(id));
    let all = state.subscriptions.iter().map(|it| &it.id);
    all.filter(|id| here(id)).map(Arc::clone).collect()
}

/// The subscriptions of a query that are away: the service leaves out what its caller cannot reach.
pub(super) fn gone(shared: &Shared, state: &State, outcome: &mut RecordedCall) -> Vec<SubIx> {
    let gone = lock(&shared.faults).gone(&outcome.subject());
    if gone.is_empty() {
        return Vec::new();
    }
    outcome.fault = outcome.fault.or(Some(FaultKind::Away));
    let all = (0u16..).map(SubIx).zip(state.subscriptions.iter());
    all.filter(|(_, it)| gone.contains(&it.id)).map(|(at, _)| at).collect()
}

/// The token of the page that a listing is asked for, empty for the first; none where it is none.
pub(super) fn asked_page(ask: &Ask<'_>, operation: &str, limit: Limit) -> Option<String> {
    if limit == Limit::Graph {
        let body = ask.document().as_ref().ok()?;
        return Some(body["options"]["$skipToken"].as_str().unwrap_or_default().to_owned());
    }
    let is_listing = operation.contains("_List");
    is_listing.then(|| ask.parameter("$skiptoken").unwrap_or_default().to_owned())
}

/// The subscriptions that a request asks for; all where it names none.
fn asked(call: &Call<'_>, named: &[&str]) -> Result<Vec<SubIx>, ArmError> {
    let all = (0u16..).map(SubIx).zip(call.state.subscriptions.iter());
    let here = |id: &str| named.is_empty() || named.iter().any(|it| it.eq_ignore_ascii_case(id));
    let found: Vec<_> = all.filter(|(_, it)| here(&it.id)).map(|(at, _)| at).collect();
    if found.is_empty() {
        return Err(denied());
    }
    Ok(found)
}

fn denied() -> ArmError {
    let what = "Access to the named subscriptions is denied, or there are none of them.";
    ArmError::new(StatusCode::FORBIDDEN, "AccessDenied", what)
}

/// What the caller may not read.
fn hidden(call: &Call<'_>, subscriptions: &[SubIx]) -> Hidden {
    let policy = lock(&call.shared.policy);
    let mut hidden = Hidden::new();
    for at in subscriptions {
        let id = &call.state.subscription(*at).id;
        let kinds = World::kinds().filter(|kind| policy.hides(kind, &call.caller.name, id));
        hidden.extend(kinds.map(|kind| (*at, kind)));
    }
    hidden
}

/// A refusal of the query in the service's own form.
fn refusal(shared: &Shared, ask: &Ask<'_>, error: &QueryError) -> ArmError {
    let own = ask.header("x-ms-correlation-request-id").map(ToOwned::to_owned);
    let correlation = own.unwrap_or_else(|| shared.next_request_id());
    let body = error.body(shared.now(), &correlation);
    let text = |key: &str| body["error"][key].as_str().unwrap_or_default().to_owned();
    let mut refusal = ArmError::bad(text("code"), text("message"));
    refusal.details = match &body["error"]["details"] {
        Value::Array(details) => details.clone(),
        _ => vec![json!({"code": text("code"), "message": text("message")})],
    };
    refusal
}

/// A refusal of what stands around the query, in the same form.
fn refused(code: &str, message: &str) -> ArmError {
    let mut refusal = ArmError::bad("BadRequest", "The request is not valid.");
    refusal.details = vec![json!({"code": code, "message": message})];
    refusal
}
