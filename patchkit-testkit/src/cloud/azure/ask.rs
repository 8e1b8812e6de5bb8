//! A request, taken apart: its path in any case, its query, and the address it was sent to.

use std::cell::OnceCell;

use http::{Method, header::HOST};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::error::ArmError;

pub(crate) type Request = http::Request<bytes::Bytes>;

/// What was asked.
#[derive(Debug)]
pub(crate) struct Ask<'r> {
    pub(crate) request: &'r Request,
    /// The segments of the path, decoded.
    pub(crate) segments: Vec<String>,
    /// The same in lower case: ARM compares no path by case.
    pub(crate) lower: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    /// The scheme, host and port that were asked.
    pub(crate) base: String,
    /// The body as JSON, once someone asks.
    document: OnceCell<Result<Value, String>>,
}

impl<'r> Ask<'r> {
    pub(crate) fn new(request: &'r Request) -> Self {
        let decode = |it: &str| percent_decode_str(it).decode_utf8_lossy().into_owned();
        // A caller that puts a slash before an id sends two.
        let path = request.uri().path().split('/').filter(|it| !it.is_empty());
        let segments: Vec<_> = path.map(decode).collect();
        let lower = segments.iter().map(|it| it.to_lowercase()).collect();
        let query = request.uri().query().unwrap_or_default();
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let host = request.headers().get(HOST).and_then(|it| it.to_str().ok());
        let base = format!("http://{}", host.unwrap_or("localhost"));
        Self { request, segments, lower, query, base, document: OnceCell::new() }
    }

    pub(crate) fn method(&self) -> &Method {
        self.request.method()
    }

    /// A parameter of the query, its name in any case.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.query.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name).and_then(|it| it.to_str().ok())
    }

    /// The version of the API that was asked for.
    ///
    /// # Errors
    /// Where there is none, or none that looks like one. Any date is taken: what is modelled is
    /// the same in all of them.
    pub(crate) fn version(&self) -> Result<&str, ArmError> {
        let version = self.parameter("api-version").unwrap_or_default();
        if version.is_empty() {
            return Err(ArmError::bad(
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            ));
        }
        let (date, tail) = version.split_at_checked(10).unwrap_or((version, ""));
        if date.parse::<jiff::civil::Date>().is_ok() && matches!(tail, "" | "-preview") {
            return Ok(version);
        }
        Err(ArmError::bad(
            "InvalidApiVersionParameter",
            format!(
                "The api-version '{version}' is invalid. The supported versions are of the form \
                 'YYYY-MM-DD' or 'YYYY-MM-DD-preview'."
            ),
        ))
    }

    /// The body as an object.
    pub(crate) fn object(&self) -> Result<&Value, ArmError> {
        let invalid = |why: String| {
            let what = "The request content was invalid and could not be deserialized";
            ArmError::bad("InvalidRequestContent", format!("{what}: '{why}'."))
        };
        match self.document() {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err(invalid("the body is no object".to_owned())),
            Err(error) => Err(invalid(error.clone())),
        }
    }

    /// The body as JSON.
    pub(crate) fn document(&self) -> &Result<Value, String> {
        self.document.get_or_init(|| {
            serde_json::from_slice(self.request.body()).map_err(|error| error.to_string())
        })
    }

    /// The same address with another page's token.
    pub(crate) fn next_link(&self, token: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, value) in &self.query {
            if !key.eq_ignore_ascii_case("$skiptoken") {
                query.append_pair(key, value);
            }
        }
        query.append_pair("$skiptoken", token);
        format!("{}{}?{}", self.base, self.request.uri().path(), query.finish())
    }
}
