//! Faults in the content of an answer, by the forms that lists and values have in ARM.

use serde_json::{Value, json};

use super::{ask::Ask, reply::Reply, vm};
use crate::cloud::fault::FaultKind;

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

/// Spoils an answer that was right; `last` is the place of the last item of its page.
pub(super) fn spoil(kind: FaultKind, ask: &Ask<'_>, last: Option<usize>, reply: &mut Reply) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return };
    let list = if body["data"].is_array() { "data" } else { "value" };
    let asked = ask.parameter("$skiptoken").map(ToOwned::to_owned);
    let in_body = || {
        let request = serde_json::from_slice::<Value>(ask.request.body()).ok()?;
        Some(request["options"]["$skipToken"].as_str()?.to_owned())
    };
    match (kind, list) {
        (FaultKind::RepeatToken, "value") if asked.is_some() && body["nextLink"].is_string() => {
            body["nextLink"] = json!(ask.next_link(&asked.unwrap_or_default()));
        }
        (FaultKind::DuplicateItem, "value") if body["nextLink"].is_string() => {
            let Some(last) = last else { return };
            body["nextLink"] = json!(ask.next_link(&vm::page_token(last, 0)));
        }
        (FaultKind::EmptyPage, "value") if body["value"].is_array() => {
            let (start, again) = asked.as_deref().and_then(vm::read_token).unwrap_or((0, 0));
            body["value"] = json!([]);
            body["nextLink"] = json!(ask.next_link(&vm::page_token(start, again + 1)));
        }
        (FaultKind::RepeatToken, _) if body["$skipToken"].is_string() => {
            if let Some(token) = in_body() {
                body["$skipToken"] = json!(token);
            }
        }
        (FaultKind::NullArray, _) if body[list].is_array() => body[list] = Value::Null,
        (FaultKind::UnknownEnum, _) => drop(unknown(&mut body, 0)),
        _ => return,
    }
    reply.body = body.to_string().into_bytes();
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
