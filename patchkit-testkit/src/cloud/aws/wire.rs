//! The four protocols: how a request becomes an input, and an output a body.
//!
//! Inputs and outputs are JSON by the names of the API's members. Times are seconds since 1970, as
//! numbers.

mod cbor;
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

const JSON_1_0: &str = "application/x-amz-json-1.0";
const JSON_1_1: &str = "application/x-amz-json-1.1";

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

/// How a service writes its errors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form<'m> {
    /// Smithy RPC v2 with CBOR: no service here speaks it, but others do.
    Cbor,
    Ec2,
    /// With this content type.
    Json(&'static str),
    Query {
        namespace: Option<&'m str>,
    },
    RestJson,
    S3,
}

impl<'m> Form<'m> {
    pub(crate) fn of(model: &'m Model) -> Self {
        match model.metadata.protocol {
            Protocol::Json => Self::Json(json::content_type(model)),
            Protocol::RestJson => Self::RestJson,
            Protocol::Query => Self::Query { namespace: model.metadata.xml_namespace.as_deref() },
            Protocol::Ec2 => Self::Ec2,
        }
    }

    /// AWS JSON in the version of a request.
    pub(crate) fn json(content_type: &str) -> Self {
        Self::Json(if content_type.starts_with(JSON_1_0) { JSON_1_0 } else { JSON_1_1 })
    }
}

/// The answer of an operation that went wrong: an error, with its shape where the model has one.
pub(crate) fn encode_error(
    form: Form<'_>,
    known: Option<&Shape>,
    error: &AwsError,
    request_id: &str,
) -> Response<Bytes> {
    let status = error.status.or_else(|| known.map(status)).unwrap_or(400);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    match form {
        Form::Cbor => cbor::error(error, status, request_id),
        Form::Json(kind) => json::error(kind, error, known, status, request_id),
        Form::RestJson => json::error_rest(error, known, status, request_id),
        Form::Ec2 | Form::Query { .. } | Form::S3 => {
            xml::error(form, error, known, status, request_id)
        }
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
