//! The control endpoint of `sim-cloud`: the methods of [`World`](super::World), as JSON. Its routes are
//! listed in the documentation of the module above.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    builder::{AccountKey, Endpoints},
    fault::{Fault, Reply},
    limit::RateLimit,
    policy::{Allowance, Denial},
    seed::{NodeSpec, PatchSpec},
    server::Answer,
    shared::{Shared, lock},
    truth::NodeChange,
    world::{
        State,
        clock::{END, FASTEST, later},
        machine::MachineIx,
    },
};

pub(crate) struct Control {
    pub(crate) shared: Arc<Shared>,
    pub(crate) endpoints: Endpoints,
}

/// A status and what is wrong.
type Refused = (StatusCode, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    advance_seconds: Option<f64>,
    speed: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCaller {
    account: String,
    user: String,
}

/// How far time is moved at once: everything that is due in it happens before the answer.
const LONGEST: Duration = Duration::from_hours(24 * 366);

const ROUTES: [&str; 24] = [
    "GET /endpoints",
    "GET /clock",
    "POST /clock",
    "GET /calls",
    "DELETE /calls",
    "GET /record",
    "GET /faults",
    "POST /faults",
    "DELETE /faults[/NUMBER]",
    "GET /denials",
    "POST /denials",
    "DELETE /denials",
    "GET /allowances",
    "POST /allowances",
    "GET /limits",
    "POST /limits",
    "DELETE /limits",
    "GET /messages",
    "POST /callers",
    "GET /nodes",
    "POST /nodes",
    "GET /nodes/ID",
    "POST /nodes/ID",
    "PUT /patches/ID",
];

impl Answer for Control {
    fn answer(&self, request: &Request<Bytes>) -> Reply {
        reply(self.route(request))
    }

    fn too_long(&self, _: &Request<Bytes>) -> Reply {
        reply(Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is too long".to_owned())))
    }
}

fn reply(answered: Result<Value, Refused>) -> Reply {
    let (status, body) = match answered {
        Ok(body) => (StatusCode::OK, body),
        Err((status, error)) => (status, json!({"error": error})),
    };
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.into()
}

impl Control {
    fn route(&self, request: &Request<Bytes>) -> Result<Value, Refused> {
        let path = request.uri().path().trim_matches('/');
        let (place, rest) = path.split_once('/').unwrap_or((path, ""));
        let shared = &self.shared;
        match (request.method(), place, rest) {
            (&Method::GET, "", _) => Ok(json!({"routes": ROUTES})),
            (&Method::GET, "endpoints", "") => shown(&self.endpoints),
            (&Method::GET, "clock", "") => Ok(self.clock()),
            (&Method::POST, "clock", "") => {
                self.change_clock(&body(request)?)?;
                Ok(self.clock())
            }
            (&Method::GET, "calls", "") => self.calls(request.uri().query().unwrap_or_default()),
            (&Method::DELETE, "calls", "") => {
                lock(&shared.record).forget();
                Ok(json!({}))
            }
            (&Method::GET, "record", "") => shown(&lock(&shared.record).status()),
            (&Method::GET, "faults", "") => shown(&lock(&shared.faults).status()),
            (&Method::POST, "faults", "") => {
                let fault: Fault = body(request)?;
                let number = lock(&shared.faults).add(fault).map_err(|it| bad(&it))?;
                Ok(json!({"number": number}))
            }
            (&Method::DELETE, "faults", "") => {
                lock(&shared.faults).clear();
                Ok(json!({}))
            }
            (&Method::DELETE, "faults", number) => {
                let number = number.parse().map_err(|it| bad(&it))?;
                if lock(&shared.faults).remove(number) {
                    Ok(json!({}))
                } else {
                    Err(missing(&format!("there is no fault {number}")))
                }
            }
            (&Method::GET, "denials", "") => shown(&lock(&shared.policy).denials()),
            (&Method::POST, "denials", "") => {
                let denial: Denial = body(request)?;
                lock(&shared.policy).deny(denial).map_err(|it| bad(&it))?;
                Ok(json!({}))
            }
            (&Method::GET, "allowances", "") => shown(&lock(&shared.policy).allowances()),
            (&Method::POST, "allowances", "") => {
                let allowance: Allowance = body(request)?;
                lock(&shared.policy).allow_only(&allowance).map_err(|it| bad(&it))?;
                Ok(json!({}))
            }
            (&Method::DELETE, "denials", "") => {
                lock(&shared.policy).clear();
                Ok(json!({}))
            }
            (&Method::GET, "limits", "") => shown(&lock(&shared.limits).all()),
            (&Method::POST, "limits", "") => {
                let limit: RateLimit = body(request)?;
                if limit.per_second < 0.0 {
                    return Err(bad(&"per_second is zero or more"));
                }
                lock(&shared.limits).add(limit).map_err(|it| bad(&it))?;
                Ok(json!({}))
            }
            (&Method::DELETE, "limits", "") => {
                lock(&shared.limits).clear();
                Ok(json!({}))
            }
            (&Method::GET, "messages", "") => shown(&shared.settled().messages()),
            (&Method::GET, "nodes", "") => shown(&shared.settled().all_ids()),
            (&Method::POST, "nodes", "") => self.add_node(&body(request)?),
            (&Method::PUT, "patches", id) if !id.is_empty() => self.set_patches(request, id),
            (&Method::POST, "callers", "") => self.add_caller(&body(request)?),
            (&Method::GET | &Method::POST, "nodes", id) => self.node(request, id),
            (method, ..) => Err(missing(&format!(
                "there is no {method} {}; GET / lists the routes",
                request.uri().path()
            ))),
        }
    }

    fn clock(&self) -> Value {
        let clock = lock(&self.shared.clock);
        json!({"now": clock.now(), "speed": clock.speed()})
    }

    fn change_clock(&self, change: &ClockChange) -> Result<(), Refused> {
        let ClockChange { advance_seconds, speed } = change;
        if advance_seconds.is_none() && speed.is_none() {
            return Err(bad(&"give advance_seconds, speed or both"));
        }
        let by =
            Duration::try_from_secs_f64(advance_seconds.unwrap_or(0.0)).map_err(|it| bad(&it))?;
        if by > LONGEST {
            return Err(bad(&"advance by a year at most"));
        }
        if speed.is_some_and(|it| !(0.0..=FASTEST).contains(&it)) {
            return Err(bad(&format!("a speed is from 0 to {FASTEST}")));
        }
        if later(self.shared.now(), by) > END {
            return Err(bad(&format!("time ends at {END}")));
        }
        self.shared.advance(by);
        if let Some(speed) = speed {
            lock(&self.shared.clock).set_speed(*speed);
        }
        Ok(())
    }

    fn calls(&self, query: &str) -> Result<Value, Refused> {
        let (mut operation, mut service, mut from) = (None, None, 0_u64);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "operation" => operation = Some(value),
                "service" => service = Some(value),
                "from" => from = value.parse().map_err(|it| bad(&it))?,
                other => return Err(bad(&format!("{other} is none of operation, service, from"))),
            }
        }
        let record = lock(&self.shared.record);
        let asked = record.such(|it| {
            it.number >= from
                && operation.as_ref().is_none_or(|asked| it.operation == **asked)
                && service.as_ref().is_none_or(|asked| *it.service == **asked)
        });
        shown(&asked)
    }

    fn node(&self, request: &Request<Bytes>, id: &str) -> Result<Value, Refused> {
        let mut state = self.shared.settled();
        let at = find(&state, id)?;
        if request.method() == Method::POST {
            let change: NodeChange = body(request)?;
            state.change(at, &change).map_err(|it| bad(&it.message()))?;
        }
        shown(&state.truth(at))
    }

    fn add_node(&self, spec: &NodeSpec) -> Result<Value, Refused> {
        let mut state = self.shared.settled();
        let id = state.add_node(spec).map_err(|it| bad(&it.message()))?;
        let mut told = shown(&state.truth(find(&state, &id)?))?;
        told["id"] = json!(id);
        Ok(told)
    }

    fn set_patches(&self, request: &Request<Bytes>, id: &str) -> Result<Value, Refused> {
        let patches: Vec<PatchSpec> = body(request)?;
        let mut state = self.shared.settled();
        let at = find(&state, id)?;
        state.replace_patches(at, &patches).map_err(|it| bad(&it.message()))?;
        shown(&state.truth(at))
    }

    fn add_caller(&self, asked: &NewCaller) -> Result<Value, Refused> {
        let NewCaller { account, user } = asked;
        if user.is_empty() {
            return Err(bad(&"a user has a name"));
        }
        let key = self.shared.keys.of_user(account, user);
        let key = key.ok_or_else(|| missing(&format!("there is no account {account}")))?;
        shown(&AccountKey::of(&key))
    }
}

/// The machine that a path names.
fn find(state: &State, id: &str) -> Result<MachineIx, Refused> {
    let id = percent_decode_str(id).decode_utf8().map_err(|it| bad(&it))?;
    state
        .find_anywhere(&id)
        // A resource id begins with a slash, which a path can lose.
        .or_else(|| state.find_anywhere(&format!("/{id}")))
        .ok_or_else(|| missing(&format!("there is no machine {id}")))
}

fn body<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T, Refused> {
    serde_json::from_slice(request.body()).map_err(|it| bad(&it))
}

fn shown(value: &impl serde::Serialize) -> Result<Value, Refused> {
    serde_json::to_value(value)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn bad(error: &impl ToString) -> Refused {
    (StatusCode::BAD_REQUEST, error.to_string())
}

fn missing(what: &str) -> Refused {
    (StatusCode::NOT_FOUND, what.to_owned())
}
