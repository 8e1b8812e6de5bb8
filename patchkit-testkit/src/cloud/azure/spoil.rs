//! Faults in the content of an answer, by the forms that lists and values have in ARM.

use serde_json::{Value, json};

use super::{ask::Ask, query, reply::Reply, vm};
use crate::cloud::{fault::FaultKind, shared::Shared};

/// The properties whose values are of a list that grows with each API version.
const ENUMS: [&str; 8] = [
    "assessmentMode",
    "installationState",
    "osType",
    "patchMode",
    "powerState",
    "provisioningState",
    "rebootStatus",
    "status",
];

/// Where the items of an answer were found.
#[derive(Debug)]
pub(super) enum Place {
    None,
    /// The place of the last item of a list's page.
    Item(usize),
    /// A page of a query.
    Query(Box<query::Place>),
}

/// Spoils an answer that was right.
pub(super) fn spoil(
    kind: FaultKind,
    shared: &Shared,
    ask: &Ask<'_>,
    place: &Place,
    reply: &mut Reply,
) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return };
    let done = match (kind, place) {
        (FaultKind::UnknownEnum, _) => unknown(&mut body, 0).then_some(()),
        (kind, Place::Query(place)) => of_query(kind, shared, ask, place, &mut body),
        (kind, Place::Item(last)) => of_list(kind, ask, Some(*last), &mut body),
        (kind, Place::None) => of_list(kind, ask, None, &mut body),
    };
    if done.is_some() {
        reply.body = body.to_string().into_bytes();
    }
}

/// Spoils a page of a list; none where it is none, or the fault cannot be made of it.
fn of_list(kind: FaultKind, ask: &Ask<'_>, last: Option<usize>, body: &mut Value) -> Option<()> {
    let asked = ask.parameter("$skiptoken").map(ToOwned::to_owned);
    let has_next = body["nextLink"].is_string();
    body["value"].as_array()?;
    match kind {
        FaultKind::RepeatToken if has_next => body["nextLink"] = json!(ask.next_link(&asked?)),
        FaultKind::DuplicateItem if has_next => {
            body["nextLink"] = json!(ask.next_link(&vm::page_token(last?, 0)));
        }
        FaultKind::EmptyPage => {
            let (start, again) = asked.as_deref().and_then(vm::read_token).unwrap_or((0, 0));
            body["value"] = json!([]);
            body["nextLink"] = json!(ask.next_link(&vm::page_token(start, again + 1)));
        }
        FaultKind::NullArray => body["value"] = Value::Null,
        _ => return None,
    }
    Some(())
}

/// Spoils a page of a query; none where the fault cannot be made of it.
fn of_query(
    kind: FaultKind,
    shared: &Shared,
    ask: &Ask<'_>,
    place: &query::Place,
    body: &mut Value,
) -> Option<()> {
    // In the format of tables the rows are one level deeper.
    let rows = if body["data"].is_array() { "/data" } else { "/data/rows" };
    let has_next = body["$skipToken"].is_string();
    match kind {
        FaultKind::RepeatToken if has_next => {
            let request = serde_json::from_slice::<Value>(ask.request.body()).ok()?;
            let asked = request["options"]["$skipToken"].as_str().filter(|it| !it.is_empty())?;
            body["$skipToken"] = json!(asked);
        }
        FaultKind::DuplicateItem if has_next => {
            body["$skipToken"] = json!(place.overlap(shared)?);
        }
        FaultKind::EmptyPage => {
            let token = place.again(shared)?;
            *body.pointer_mut(rows)? = json!([]);
            body["count"] = json!(0);
            body["resultTruncated"] = json!("false");
            body["$skipToken"] = json!(token);
        }
        FaultKind::NullArray => *body.pointer_mut(rows)? = Value::Null,
        _ => return None,
    }
    Some(())
}

/// Gives the first value that is one of a list a value that is on none. Says whether it did.
fn unknown(value: &mut Value, depth: usize) -> bool {
    match value {
        _ if depth > 16 => false,
        Value::Object(members) => members.iter_mut().any(|(name, member)| {
            if ENUMS.contains(&name.as_str()) && member.is_string() {
                *member = json!("ValueOfALaterVersion");
                return true;
            }
            unknown(member, depth + 1)
        }),
        Value::Array(items) => items.iter_mut().any(|item| unknown(item, depth + 1)),
        _ => false,
    }
}
