//! The four protocols: how a request becomes an input, and an output a body.
//!
//! Inputs and outputs are JSON by the names of the API's members. Times are seconds since 1970, as
//! numbers.

mod json;
mod query;
mod rest;
mod xml;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    AwsError,
    model::{Model, Operation, Protocol, Shape},
};

/// Stands for a `null` that is to be written, where others are left out.
pub(crate) const NULL: &str = "\0null";

/// Makes an answer say another time than the real one.
pub(crate) fn set_date(response: &mut Response<Bytes>, at: Timestamp) {
    let text = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(text) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(header::DATE, text);
    }
}

/// A request as it came, with its body read.
pub(crate) type Request = http::Request<Bytes>;

/// The operation that a request names, and its input.
pub(crate) fn decode<'m>(
    model: &'m Model,
    request: &Request,
) -> Result<(&'m Operation, Value), AwsError> {
    match model.metadata.protocol {
        Protocol::Json => json::decode(model, request),
        Protocol::Query | Protocol::Ec2 => query::decode(model, request),
        Protocol::RestJson => rest::decode(model, request),
    }
}

/// The answer of an operation that went well.
pub(crate) fn encode(
    model: &Model,
    operation: &Operation,
    output: &Value,
    request_id: &str,
) -> Response<Bytes> {
    match model.metadata.protocol {
        Protocol::Json => json::encode(model, output, request_id),
        Protocol::RestJson => json::encode_rest(output, request_id),
        Protocol::Query | Protocol::Ec2 => xml::encode(model, operation, output, request_id),
    }
}

/// The answer of an operation that went wrong, in the service's own form.
pub(crate) fn encode_error(model: &Model, error: &AwsError, request_id: &str) -> Response<Bytes> {
    let known = model.error(&error.name);
    let status = error.status.or_else(|| known.map(status)).unwrap_or(400);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    match model.metadata.protocol {
        Protocol::Json => json::error(model, error, known, status, request_id),
        Protocol::RestJson => json::error_rest(error, known, status, request_id),
        Protocol::Query | Protocol::Ec2 => xml::error(model, error, known, status, request_id),
    }
}

fn status(shape: &Shape) -> u16 {
    let stated = shape.error.as_ref().and_then(|it| it.http_status_code);
    stated.unwrap_or(if shape.fault { 500 } else { 400 })
}

/// The members of an error's body: its message under the name that the model has for it.
fn error_members(error: &AwsError, known: Option<&Shape>) -> Map<String, Value> {
    let mut members = error.members.clone();
    let name = match known {
        Some(shape) if shape.members.contains_key("Message") => "Message",
        _ => "message",
    };
    members.insert(name.to_owned(), json!(error.message));
    members
}

fn respond(
    status: StatusCode,
    content_type: &'static str,
    request_id: &str,
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
