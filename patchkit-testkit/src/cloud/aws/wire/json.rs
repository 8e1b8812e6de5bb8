//! AWS JSON 1.0 and 1.1, and the answers of REST-JSON.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{
    super::{
        AwsError,
        model::{Model, Operation, Shape},
    },
    JSON_1_0, JSON_1_1, NULL, Request, error_members, respond,
};

pub(super) fn decode<'m>(
    model: &'m Model,
    request: &Request,
) -> Result<(&'m Operation, Value), AwsError> {
    let target = request.headers().get("x-amz-target").and_then(|it| it.to_str().ok());
    let name = target.and_then(|it| it.rsplit_once('.')).map_or("", |(_, name)| name);
    let operation = model.operations.get(name).ok_or_else(|| {
        AwsError::new("UnknownOperationException", format!("the simulator does not serve {name}"))
    })?;
    let body = request.body();
    let input = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(body) };
    match input {
        Ok(input @ Value::Object(_)) => Ok((operation, input)),
        Ok(_) => Err(AwsError::new("SerializationException", "Start of structure or map found")),
        Err(error) => Err(AwsError::new("SerializationException", error.to_string())),
    }
}

pub(super) fn encode(model: &Model, output: &Value, request_id: &str) -> Response<Bytes> {
    respond(StatusCode::OK, content_type(model), request_id, body(output))
}

pub(super) fn encode_rest(output: &Value, request_id: &str) -> Response<Bytes> {
    respond(StatusCode::OK, "application/json", request_id, body(output))
}

pub(super) fn error(
    content_type: &'static str,
    error: &AwsError,
    known: Option<&Shape>,
    status: StatusCode,
    request_id: &str,
) -> Response<Bytes> {
    let mut members = error_members(error, known);
    members.insert("__type".to_owned(), json!(error.name));
    respond(status, content_type, request_id, body(&Value::Object(members)))
}

pub(super) fn error_rest(
    error: &AwsError,
    known: Option<&Shape>,
    status: StatusCode,
    request_id: &str,
) -> Response<Bytes> {
    let members = error_members(error, known);
    let body = body(&Value::Object(members));
    let mut response = respond(status, "application/json", request_id, body);
    if let Ok(name) = error.name.parse() {
        response.headers_mut().insert("x-amzn-errortype", name);
    }
    response
}

pub(super) fn content_type(model: &Model) -> &'static str {
    match model.metadata.json_version.as_deref() {
        Some("1.0") => JSON_1_0,
        _ => JSON_1_1,
    }
}

fn body(value: &Value) -> Bytes {
    // A JSON value is always written: its keys are text, and memory takes every byte.
    serde_json::to_vec(&WithoutNulls(value)).unwrap_or_default().into()
}

/// What is not there is left out: no AWS service writes `null`.
struct WithoutNulls<'a>(&'a Value);

impl Serialize for WithoutNulls<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => serializer.collect_map(
                members.iter().filter(|(_, it)| !it.is_null()).map(|(k, it)| (k, WithoutNulls(it))),
            ),
            Value::Array(items) => serializer.collect_seq(items.iter().map(WithoutNulls)),
            Value::String(text) if text == NULL => serializer.serialize_unit(),
            other => other.serialize(serializer),
        }
    }
}
