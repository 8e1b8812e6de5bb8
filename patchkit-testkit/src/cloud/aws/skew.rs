//! A service whose clock differs from the caller's.

use jiff::{SignedDuration, Timestamp};
use patchkit_core::{Clock as _, SystemClock};

use super::{sigv4::Refusal, wire};

/// How far a request's time may be from the service's.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// The time of a service that is so many seconds ahead. Signatures are made with the caller's real
/// clock, so it is the real one that is ahead here, not the world's.
pub(in crate::cloud) fn ahead(seconds: i64) -> Timestamp {
    let now = SystemClock.now();
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}

/// Refuses a request that was signed at another time than the service's, as they all do: a client
/// that has learned the difference from the `Date` header passes.
pub(super) fn check(request: &wire::Request, seconds: i64) -> Result<(), Refusal> {
    let header = request.headers().get("x-amz-date").and_then(|it| it.to_str().ok());
    let signed = header.and_then(|it| {
        jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", it)
            .ok()
            .and_then(|it| jiff::tz::Offset::UTC.to_timestamp(it).ok())
    });
    let Some(signed) = signed else { return Ok(()) };
    let here = ahead(seconds);
    if here.duration_since(signed).abs() <= TOLERANCE {
        return Ok(());
    }
    let stamp = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let (signed, here) = (stamp(signed), stamp(here));
    let message = if signed < here {
        format!("Signature expired: {signed} is now earlier than {here}")
    } else {
        format!("Signature not yet current: {signed} is still later than {here}")
    };
    Err(Refusal::Expired(message))
}
