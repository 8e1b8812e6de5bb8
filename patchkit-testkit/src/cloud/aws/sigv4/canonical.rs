//! A request in the one form that is signed: AWS, "Create a signed AWS API request".

use std::borrow::Cow;

use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

use super::{
    ALGORITHM, Refusal, TERMINATOR,
    credential::{Form, Presented},
    hex_sha256,
};

const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// All but the characters that a URI never needs to encode (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request's canonical form.
pub(super) struct CanonicalRequest {
    method: String,
    path: String,
    query: String,
    /// The signed ones, in order.
    headers: Vec<(String, Vec<u8>)>,
    payload: String,
}

impl CanonicalRequest {
    /// The form of a request, with the headers that its signature names.
    pub(super) fn of(head: &Parts, body: &[u8], presented: &Presented) -> Result<Self, Refusal> {
        let mut headers = Vec::with_capacity(presented.signed_headers.len());
        for name in &presented.signed_headers {
            let Some(value) = header_value(head, name) else {
                return Err(Refusal::Mismatch(format!(
                    "The header '{name}' is signed and not in the request."
                )));
            };
            headers.push((name.clone(), value));
        }
        let hash = head.headers.get("x-amz-content-sha256");
        let is_unsigned = hash.is_some_and(|hash| hash.as_bytes() == UNSIGNED_PAYLOAD.as_bytes());
        Ok(Self {
            method: head.method.to_string(),
            path: canonical_path(head.uri.path()),
            query: canonical_query(head.uri.query().unwrap_or_default(), presented.form),
            headers,
            payload: if is_unsigned { UNSIGNED_PAYLOAD.to_owned() } else { hex_sha256(body) },
        })
    }

    /// The text whose HMAC is the signature.
    pub(super) fn string_to_sign(&self, presented: &Presented) -> String {
        let scope = &presented.credential;
        let hash = hex_sha256(&self.render(&self.query, |_, value| value));
        let (stamp, date) = (&presented.stamp, &scope.date);
        let (region, service) = (&scope.region, &scope.service);
        format!("{ALGORITHM}\n{stamp}\n{date}/{region}/{service}/{TERMINATOR}\n{hash}")
    }

    /// The form as a message may show it: without tokens.
    pub(super) fn redacted(&self) -> String {
        const HIDDEN: &str = "(hidden)";
        let pairs = self.query.split('&').map(|pair| match pair.split_once('=') {
            Some((name @ "X-Amz-Security-Token", _)) => Cow::Owned(format!("{name}={HIDDEN}")),
            _ => Cow::Borrowed(pair),
        });
        let query = pairs.collect::<Vec<_>>().join("&");
        let bytes = self.render(&query, |name, value| match name {
            "x-amz-security-token" => HIDDEN.as_bytes(),
            _ => value,
        });
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn render(&self, query: &str, shown: impl for<'a> Fn(&str, &'a [u8]) -> &'a [u8]) -> Vec<u8> {
        let mut bytes = format!("{}\n{}\n{query}\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(b':');
            bytes.extend_from_slice(shown(name, value));
            bytes.push(b'\n');
        }
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        bytes.extend_from_slice(format!("\n{}\n{}", names.join(";"), self.payload).as_bytes());
        bytes
    }
}

/// The pairs of a query, decoded.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

/// Decodes a part of a query, where `+` is a space.
fn decode(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_decode(spaced.as_bytes()).collect());
    }
    percent_decode(text.as_bytes()).into()
}

fn canonical_query(query: &str, form: Form) -> String {
    let mut pairs: Vec<(String, String)> = query_pairs(query)
        // The signature cannot sign itself.
        .filter(|(key, _)| form == Form::Header || **key != *b"X-Amz-Signature")
        .map(|(key, value)| (encode(&key), encode(&value)))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join("&")
}

fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

/// The path with its dot segments resolved, encoded once more: every service but S3 signs `%20` as
/// `%2520`.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<String> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(encode(segment.as_bytes())),
        }
    }
    let names_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    let end = if names_folder && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

/// All values of a header in one line, without needless space; `None` where it is not there.
fn header_value(head: &Parts, name: &str) -> Option<Vec<u8>> {
    let values: Vec<Vec<u8>> =
        head.headers.get_all(name).iter().map(|value| fold(value.as_bytes())).collect();
    if !values.is_empty() {
        return Some(values.join(&b','));
    }
    // HTTP/2 has the host in the URI only.
    let authority = head.uri.authority().filter(|_| name == "host")?;
    Some(authority.as_str().into())
}

fn fold(value: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> =
        value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}
