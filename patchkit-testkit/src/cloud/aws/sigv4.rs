//! The check of AWS Signature Version 4, for every service but S3.
//!
//! Signs the request again, with the headers that its signature names, and compares. The SDK's own
//! signing crate (`aws-sigv4`) is what the tests sign with; it cannot be what checks: it adds
//! headers of its own to what it signs, reads queries lossily, and panics on header values that are
//! not UTF-8.

mod canonical;
mod credential;
mod refusal;

use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use self::{
    canonical::CanonicalRequest,
    credential::{Form, Presented},
};
pub(crate) use self::{canonical::query_pairs, credential::query_value};
pub(crate) use self::{
    credential::Credential,
    refusal::{Dialect, Refusal},
};
use super::super::keys::{KeyEntry, Keys, TokenProblem};

/// How far a request's time may be from the server's.
const SKEW: SignedDuration = SignedDuration::from_mins(15);

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";

const MISMATCH: &str = "The request signature we calculated does not match the signature you \
                        provided. Check your AWS Secret Access Key and signing method. Consult the \
                        service documentation for details.";

/// Checks a request's signature, in its `Authorization` header or in its query.
///
/// `now` is the time by which the request's age is told: the clients' clock, and so the machine's,
/// unless they are told another. `session_now` is the time by which temporary credentials end: the
/// simulated one.
///
/// # Behavior
/// - The payload's hash is that of `body`, whatever `x-amz-content-sha256` says, but for the word
///   `UNSIGNED-PAYLOAD` there.
/// - A request signed in its query is valid for its `X-Amz-Expires`, and for 15 minutes where it
///   has none.
/// - `X-Amz-Date` goes before `Date`.
///
/// # Errors
/// The first of: no signature, one that cannot be read, a key or token that is not known or has
/// ended, a date that does not fit, a signature that does not.
pub(crate) fn check(
    head: &Parts,
    body: &[u8],
    keys: &dyn Keys,
    now: Timestamp,
    session_now: Timestamp,
) -> Result<Credential, Refusal> {
    let presented = Presented::of(head)?;
    let credential = &presented.credential;
    let entry = keys.secret(&credential.access_key).ok_or(Refusal::UnknownKey)?;
    entry.admit(presented.token.as_deref(), session_now).map_err(|problem| match problem {
        TokenProblem::Expired => Refusal::ExpiredToken,
        // A temporary key without its token is to AWS a key that it does not know.
        TokenProblem::Missing => Refusal::UnknownKey,
        TokenProblem::Unknown => Refusal::InvalidToken,
    })?;
    check_time(&presented, now)?;
    let canonical = CanonicalRequest::of(head, body, &presented)?;
    let to_sign = canonical.string_to_sign(&presented);
    if matches(&entry, &presented, &to_sign) {
        return Ok(presented.credential);
    }
    let message = format!(
        "{MISMATCH}\n\nThe Canonical String for this request should have been\n'{}'\n\nThe \
         String-to-Sign should have been\n'{to_sign}'\n",
        canonical.redacted(),
    );
    Err(Refusal::Mismatch(message))
}

fn check_time(presented: &Presented, now: Timestamp) -> Result<(), Refusal> {
    let scope_date = &presented.credential.date;
    let stamp = &presented.stamp;
    if stamp.get(..8) != Some(scope_date) {
        return Err(Refusal::Mismatch(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '{scope_date}' != '{}', from '{stamp}'.",
            stamp.get(..8).unwrap_or_default()
        )));
    }
    let valid_for = match presented.form {
        Form::Query { expires: Some(expires) } => expires,
        Form::Header | Form::Query { expires: None } => SKEW,
    };
    // Adding to a time fails only at the ends of the calendar.
    let earliest = now.checked_sub(valid_for).unwrap_or(Timestamp::MIN);
    let latest = now.checked_add(SKEW).unwrap_or(Timestamp::MAX);
    if presented.time < earliest {
        return Err(Refusal::Expired(format!(
            "Signature expired: {stamp} is now earlier than {} ({} - {}.)",
            iso(earliest),
            iso(now),
            length(valid_for)
        )));
    }
    if presented.time > latest {
        return Err(Refusal::Expired(format!(
            "Signature not yet current: {stamp} is still later than {} ({} + {}.)",
            iso(latest),
            iso(now),
            length(SKEW)
        )));
    }
    Ok(())
}

fn length(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    if seconds % 60 == 0 { format!("{} min", seconds / 60) } else { format!("{seconds} sec") }
}

fn iso(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Whether the signature is what the key makes of the text; compared in constant time.
fn matches(entry: &KeyEntry, presented: &Presented, to_sign: &str) -> bool {
    let Credential { date, region, service, .. } = &presented.credential;
    let mut key = format!("AWS4{}", entry.secret.expose()).into_bytes();
    for part in [date, region, service, TERMINATOR] {
        key = keyed(&key, part.as_bytes()).finalize().into_bytes().to_vec();
    }
    keyed(&key, to_sign.as_bytes()).verify_slice(&presented.signature).is_ok()
}

fn keyed(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "an HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(message);
    mac
}

fn hex_sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as digits, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests;
