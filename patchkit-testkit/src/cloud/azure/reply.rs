//! Answers: a status, perhaps a body, and the headers that every answer of ARM has.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{buffers::Buffers, error::ArmError};

/// An answer before its common headers.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The token of the next page, which the body has too.
    pub(crate) next: Option<String>,
}

impl Reply {
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self { status, body: body.to_string().into_bytes(), headers: Vec::new(), next: None }
    }

    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, body: Vec::new(), headers: Vec::new(), next: None }
    }

    /// A page of a list.
    pub(crate) fn list(items: Vec<Value>, next: Option<String>) -> Self {
        let mut body = json!({});
        body["value"] = items.into();
        if let Some(next) = &next {
            body["nextLink"] = json!(next);
        }
        // The token is what a link ends with.
        let next = next.and_then(|it| Some(it.rsplit_once('=')?.1.to_owned()));
        Self { next, ..Self::ok(&body) }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<ArmError> for Reply {
    fn from(error: ArmError) -> Self {
        let body = json!({"error": error.object()});
        Self { headers: error.0.headers, ..Self::json(error.0.status, &body) }
    }
}

/// What every answer carries.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) correlation_id: &'a str,
    /// Sent back only to a caller that wants it.
    pub(crate) client_id: Option<&'a str>,
    pub(crate) now: Timestamp,
    pub(crate) buffers: &'a Buffers,
}

impl Envelope<'_> {
    pub(crate) fn response(&self, reply: Reply) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        let mut set = |name: &'static str, value: &str| {
            // What comes from a request may hold what no header can.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(HeaderName::from_static(name), value);
            }
        };
        let has_type = reply.headers.iter().any(|(name, _)| *name == "content-type");
        if !reply.body.is_empty() && !has_type {
            set(header::CONTENT_TYPE.as_str(), "application/json; charset=utf-8");
        }
        set("cache-control", "no-cache");
        set("pragma", "no-cache");
        set("expires", "-1");
        set("strict-transport-security", "max-age=31536000; includeSubDomains");
        set("x-content-type-options", "nosniff");
        set("x-ms-request-id", self.request_id);
        set("x-ms-correlation-request-id", self.correlation_id);
        set("x-ms-routing-request-id", &format!("SIMCLOUD:{}", self.request_id));
        set("date", &self.now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        if let Some(id) = self.client_id {
            set("x-ms-client-request-id", id);
        }
        for (name, value) in &reply.headers {
            set(name, value);
        }
        *response.body_mut() = self.buffers.lend(reply.body);
        response
    }
}

/// A time as compute writes it: seven digits of the second, and the zone as an offset.
pub(crate) fn stamp(at: Timestamp) -> String {
    let mut text = stamp_z(at);
    text.pop();
    text.push_str("+00:00");
    text
}

/// A time as Resource Graph and Arc write it.
pub(crate) fn stamp_z(at: Timestamp) -> String {
    format!("{at:.7}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_seven_digits_of_a_second_so_that_texts_compare_as_times_do() {
        let at: Timestamp = "2024-11-23T01:35:06.1694431Z".parse().unwrap();
        assert_eq!(stamp(at), "2024-11-23T01:35:06.1694431+00:00");
        let whole: Timestamp = "2024-11-23T01:35:06Z".parse().unwrap();
        assert_eq!(stamp_z(whole), "2024-11-23T01:35:06.0000000Z");
    }
}
