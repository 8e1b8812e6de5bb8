//! What a request says about who signed it.

use std::ops::Range;

use http::{HeaderMap, header, request::Parts};
use jiff::{SignedDuration, Timestamp, civil::DateTime, fmt::rfc2822, tz::Offset};

use super::{ALGORITHM, MISMATCH, Refusal, TERMINATOR, canonical::query_pairs};

/// The scope of a signature: who, which day, where, and for which service.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub(crate) struct Credential {
    /// The access key.
    pub(crate) access_key: String,
    /// The day, as `20260131`.
    pub(crate) date: String,
    /// The Region.
    pub(crate) region: String,
    /// The service's signing name, as `ssm`.
    pub(crate) service: String,
}

impl Credential {
    /// The scope that a request names, in its header or its query, without a look at its signature.
    ///
    /// `None` where it names none that can be read.
    pub(crate) fn of(head: &Parts) -> Option<Self> {
        if let Some(value) = head.headers.get(header::AUTHORIZATION) {
            let value = String::from_utf8_lossy(value.as_bytes());
            let scope = value.split([' ', ',']).find_map(|part| part.strip_prefix("Credential="));
            return Self::parse(scope?).ok();
        }
        Self::parse(&query_value(head, "X-Amz-Credential")?).ok()
    }

    fn parse(scope: &str) -> Result<Self, Refusal> {
        // From the end: an access key may hold a slash, and no other part may.
        let mut parts = scope.rsplitn(5, '/');
        let mut next = || parts.next().filter(|part| !part.is_empty());
        let (Some(end), Some(service), Some(region), Some(date), Some(access_key)) =
            (next(), next(), next(), next(), next())
        else {
            return Err(Refusal::Incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{scope}'"
            )));
        };
        if end != TERMINATOR {
            return Err(Refusal::Mismatch(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{end}'."
            )));
        }
        Ok(Self {
            access_key: access_key.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }
}

/// Where a signature stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Header,
    Query { expires: Option<SignedDuration> },
}

/// A signature and all that it says.
pub(super) struct Presented {
    pub(super) credential: Credential,
    pub(super) form: Form,
    pub(super) signature: [u8; 32],
    /// Lower case, in order, none twice.
    pub(super) signed_headers: Vec<String>,
    /// Its time as it is signed, `20260131T120000Z`.
    pub(super) stamp: String,
    pub(super) time: Timestamp,
    pub(super) token: Option<Vec<u8>>,
}

impl Presented {
    /// Reads the signature of a request.
    pub(super) fn of(head: &Parts) -> Result<Self, Refusal> {
        if let Some(value) = head.headers.get(header::AUTHORIZATION) {
            return Self::of_header(&head.headers, &String::from_utf8_lossy(value.as_bytes()));
        }
        // Any of these makes it a request that was meant to be signed.
        let named = |name| query_value(head, name).is_some();
        if ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"].into_iter().any(named) {
            return Self::of_query(head);
        }
        Err(Refusal::Missing)
    }

    fn of_header(headers: &HeaderMap, value: &str) -> Result<Self, Refusal> {
        let (scheme, fields) = value.split_once(' ').unwrap_or((value, ""));
        let (mut credential, mut signature, mut signed) = (None, None, None);
        let mut is_twice = false;
        for field in fields.split(',') {
            let (name, text) = field.trim().split_once('=').unwrap_or_default();
            let place = match name {
                "Credential" => &mut credential,
                "Signature" => &mut signature,
                "SignedHeaders" => &mut signed,
                _ => continue,
            };
            is_twice |= place.replace(text).is_some();
        }
        let stamp = header_stamp(headers);
        let lacks_stamp = stamp.is_none();
        if let (Some(credential), Some(signature), Some(signed), Some((stamp, time))) =
            (credential, signature, signed, stamp)
            && scheme == ALGORITHM
            && !is_twice
        {
            return Ok(Self {
                credential: Credential::parse(credential)?,
                form: Form::Header,
                signature: read_signature(signature)?,
                signed_headers: read_signed_headers(signed)?,
                stamp,
                time,
                token: headers.get("x-amz-security-token").map(|token| token.as_bytes().to_vec()),
            });
        }
        let mut message = String::new();
        for (part, name) in
            [(credential, "Credential"), (signature, "Signature"), (signed, "SignedHeaders")]
        {
            if part.is_none() {
                message.extend(["Authorization header requires '", name, "' parameter. "]);
            }
        }
        if lacks_stamp {
            message += "Authorization header requires existence of either a 'X-Amz-Date' or a \
                        'Date' header. ";
        }
        Err(Refusal::Incomplete(message + "Authorization=" + value))
    }

    fn of_query(head: &Parts) -> Result<Self, Refusal> {
        let need = |name: &str| {
            query_value(head, name).ok_or_else(|| {
                Refusal::Incomplete(format!("AWS query-string parameters must include '{name}'."))
            })
        };
        let algorithm = need("X-Amz-Algorithm")?;
        if algorithm != ALGORITHM {
            let message = format!("Unsupported AWS 'algorithm': '{algorithm}'.");
            return Err(Refusal::Incomplete(message));
        }
        let stamp = need("X-Amz-Date")?;
        let time = read_stamp(&stamp).ok_or_else(|| {
            Refusal::Incomplete(format!(
                "Date must be in ISO-8601 'basic format'. Got '{stamp}'. See \
                 http://en.wikipedia.org/wiki/ISO_8601"
            ))
        })?;
        let expires = query_value(head, "X-Amz-Expires").map(|text| read_expires(&text));
        Ok(Self {
            credential: Credential::parse(&need("X-Amz-Credential")?)?,
            form: Form::Query { expires: expires.transpose()? },
            signature: read_signature(&need("X-Amz-Signature")?)?,
            signed_headers: read_signed_headers(&need("X-Amz-SignedHeaders")?)?,
            stamp,
            time,
            token: query_value(head, "X-Amz-Security-Token").map(String::into_bytes),
        })
    }
}

/// The first value of a query parameter; `None` where it is not there or not UTF-8.
pub(crate) fn query_value(head: &Parts, name: &str) -> Option<String> {
    let mut pairs = query_pairs(head.uri.query()?);
    let (_, value) = pairs.find(|(key, _)| **key == *name.as_bytes())?;
    String::from_utf8(value.into_owned()).ok()
}

fn header_stamp(headers: &HeaderMap) -> Option<(String, Timestamp)> {
    if let Some(value) = headers.get("x-amz-date") {
        let stamp = value.to_str().ok()?;
        return Some((stamp.to_owned(), read_stamp(stamp)?));
    }
    let value = headers.get(header::DATE)?.to_str().ok()?;
    if let Some(time) = read_stamp(value) {
        return Some((value.to_owned(), time));
    }
    let time = rfc2822::parse(value).ok()?.timestamp();
    Some((super::iso(time), time))
}

/// Reads `20260131T120000Z`, and nothing that is almost so.
fn read_stamp(stamp: &str) -> Option<Timestamp> {
    let digits = |range: Range<usize>| {
        let text = stamp.get(range)?;
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        text.parse::<i16>().ok()
    };
    let small = |range| i8::try_from(digits(range)?).ok();
    if stamp.len() != 16 || stamp.get(8..9) != Some("T") || stamp.get(15..) != Some("Z") {
        return None;
    }
    let (month, day) = (small(4..6)?, small(6..8)?);
    let (hour, minute, second) = (small(9..11)?, small(11..13)?, small(13..15)?);
    let time = DateTime::new(digits(0..4)?, month, day, hour, minute, second, 0).ok()?;
    Offset::UTC.to_timestamp(time).ok()
}

fn read_expires(text: &str) -> Result<SignedDuration, Refusal> {
    // A week: AWS, "Authenticating Requests: Using Query Parameters".
    const LONGEST: u32 = 604_800;
    match text.parse::<u32>() {
        Ok(seconds @ 1..=LONGEST) => Ok(SignedDuration::from_secs(seconds.into())),
        _ => Err(Refusal::Incomplete(format!(
            "X-Amz-Expires must be a number between 1 and {LONGEST}, got '{text}'"
        ))),
    }
}

/// Reads a signature in the one way it is written: 64 digits, lower case.
fn read_signature(text: &str) -> Result<[u8; 32], Refusal> {
    let mut signature = [0; 32];
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut is_whole = rest.is_empty() && pairs.len() == signature.len();
    for (byte, [high, low]) in signature.iter_mut().zip(pairs) {
        match (nibble(*high), nibble(*low)) {
            (Some(high), Some(low)) => *byte = (high << 4) | low,
            _ => is_whole = false,
        }
    }
    if is_whole { Ok(signature) } else { Err(Refusal::Mismatch(MISMATCH.to_owned())) }
}

fn read_signed_headers(text: &str) -> Result<Vec<String>, Refusal> {
    let names: Vec<String> = text.split(';').map(str::to_owned).collect();
    let is_lower =
        |name: &String| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    if !names.is_sorted_by(|a, b| a < b) || !names.iter().all(is_lower) {
        return Err(Refusal::Mismatch(format!(
            "'SignedHeaders' must be in lower case, in order and without repetition, got '{text}'."
        )));
    }
    if !names.iter().any(|name| name == "host") {
        return Err(Refusal::Mismatch(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
        ));
    }
    Ok(names)
}
