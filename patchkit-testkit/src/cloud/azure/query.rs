//! Queries of Resource Graph over the rows of the world.

use std::borrow::Cow;

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Call,
    ask::Ask,
    error::ArmError,
    graph::{Hints, Options, PageRequest, Pager, Query, QueryError, Rows, Table},
    limits::Limit,
    reply::Reply,
    rows::{self, Over, Source},
};
use crate::{
    cloud::world::{State, machine::SubIx},
    rng::mix,
};

/// For how long an answer is given again where nothing has happened, in seconds of the world.
const BEHIND: i64 = 15;

/// The world as the tables of a query, in the subscriptions that it asks for.
struct World<'a> {
    state: &'a State,
    subscriptions: Vec<SubIx>,
}

impl Rows for World<'_> {
    fn scan<'a>(
        &'a self,
        table: Table,
        hints: &'a Hints,
    ) -> Box<dyn Iterator<Item = Cow<'a, Value>> + 'a> {
        let source = match table {
            Table::Resources => Source::Resources,
            Table::ResourceContainers => Source::Containers,
            Table::PatchAssessmentResources => Source::Assessments,
            Table::PatchInstallationResources => Source::Installations,
            Table::MaintenanceResources => Source::Maintenance,
        };
        let subscriptions = self.subscriptions.iter().copied().filter(|at| {
            let id = &self.state.subscription(*at).id;
            let named = |asked: &Vec<String>| asked.iter().any(|it| it.eq_ignore_ascii_case(id));
            hints.subscriptions.as_ref().is_none_or(named)
        });
        let over = Over { subscriptions: subscriptions.collect(), ids: hints.ids.as_deref() };
        let rows = rows::rows(self.state, source, over, |kind| hints.wants_type(kind));
        Box::new(rows.map(Cow::Owned))
    }
}

pub(super) fn resources(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let body = call.ask.object()?;
    let query = body["query"].as_str().map(str::trim).filter(|it| !it.is_empty());
    let query = query.ok_or_else(|| {
        ArmError::bad("BadRequest", "The request has no query, or it is no text.")
    })?;
    if body["facets"].as_array().is_some_and(|it| !it.is_empty()) {
        return Err(ArmError::bad("BadRequest", "The simulator does not model facets."));
    }
    let subscriptions = asked(call, &body["subscriptions"])?;
    let options = Options::from_json(&body["options"]).map_err(|error| refusal(call, &error))?;
    let numbers: Vec<_> = subscriptions.iter().map(|it| it.0.to_string()).collect();
    let scope = format!("{}:{}", call.caller.name, numbers.join(","));
    let request = PageRequest { query, scope: &scope, options: &options };
    let now = call.state.now;
    let seed = call.state.seed;
    let pager = call.state.azure.pager.get_or_insert_with(|| Pager::new(seed));
    let resumed = pager.resume(request, now);
    let page = if let Some(page) = resumed.map_err(|error| refusal(call, &error))? {
        page
    } else {
        // Rows change with what happens, and a few with the time alone: whether an agent answers,
        // what is too old to be told. The real index is minutes behind; this one some seconds.
        let moment = now.as_second().div_euclid(BEHIND).cast_unsigned();
        let version = mix(call.state.version ^ mix(moment));
        let parsed = Query::parse(query).map_err(|error| refusal(call, &error))?;
        let pager = call.state.azure.pager.get_or_insert_with(|| Pager::new(seed));
        if let Some(page) = pager.reuse(request, version, now) {
            page
        } else {
            let world = World { state: call.state, subscriptions };
            let answer = parsed.render(&world, now, options.format);
            let answer = answer.map_err(|error| refusal(call, &error))?;
            let pager = call.state.azure.pager.get_or_insert_with(|| Pager::new(seed));
            let version = parsed.is_timeless().then_some(version);
            pager.open(request, answer, version, now)
        }
    };
    let next = page.token.clone();
    let reply = Reply { body: page.body(), next, ..Reply::ok(&Value::Null) };
    Ok(reply
        .with("x-ms-resource-graph-request-duration", "0:00:00:00.0210000")
        .with("x-ms-ratelimit-remaining-tenant-resource-requests", "14"))
}

/// The subscriptions that a query names, as the record has them: a query of one is in its scope.
pub(super) fn scope(ask: &Ask<'_>) -> String {
    let body = serde_json::from_slice::<Value>(ask.request.body()).unwrap_or_default();
    let named = body["subscriptions"].as_array().map(Vec::as_slice).unwrap_or_default();
    named.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
}

/// The token of the page that a listing is asked for, empty for the first; none where it is none.
pub(super) fn asked_page(ask: &Ask<'_>, operation: &str, limit: Limit) -> Option<String> {
    if limit == Limit::Graph {
        let body = serde_json::from_slice::<Value>(ask.request.body()).ok()?;
        return Some(body["options"]["$skipToken"].as_str().unwrap_or_default().to_owned());
    }
    let is_listing = operation.contains("_List");
    is_listing.then(|| ask.parameter("$skiptoken").unwrap_or_default().to_owned())
}

/// The subscriptions that a request asks for; all where it names none.
fn asked(call: &Call<'_>, given: &Value) -> Result<Vec<SubIx>, ArmError> {
    let all = (0u16..).map(SubIx).zip(&call.state.subscriptions);
    let named: Vec<&str> = match given {
        Value::Null => Vec::new(),
        Value::Array(many) if many.iter().all(Value::is_string) => {
            many.iter().filter_map(Value::as_str).collect()
        }
        _ => return Err(ArmError::bad("BadRequest", "The subscriptions are no list of texts.")),
    };
    let here = |id: &str| named.is_empty() || named.iter().any(|it| it.eq_ignore_ascii_case(id));
    let found: Vec<_> = all.filter(|(_, it)| here(&it.id)).map(|(at, _)| at).collect();
    if found.is_empty() {
        let what = "Access to the named subscriptions is denied, or there are none of them.";
        return Err(ArmError::new(StatusCode::FORBIDDEN, "AccessDenied", what));
    }
    Ok(found)
}

/// A refusal of the query in the service's own form.
fn refusal(call: &Call<'_>, error: &QueryError) -> ArmError {
    let own = call.ask.header("x-ms-correlation-request-id").map(ToOwned::to_owned);
    let correlation = own.unwrap_or_else(|| call.shared.next_request_id());
    let body = error.body(call.state.now, &correlation);
    let text = |key: &str| body["error"][key].as_str().unwrap_or_default().to_owned();
    let mut refusal = ArmError::bad(text("code"), text("message"));
    refusal.details = match &body["error"]["details"] {
        Value::Array(details) => details.clone(),
        _ => vec![json!({"code": text("code"), "message": text("message")})],
    };
    refusal
}
