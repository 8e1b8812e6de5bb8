//! What a server whose clock differs from the client's says to a request.

use http::{StatusCode, request::Parts};
use jiff::{SignedDuration, Timestamp};

use super::tap::Verdict;
use crate::cloud::aws::sigv4::query_value;

/// How far the time of a request may be from the server's: S3 API reference, "Authenticating
/// Requests".
pub(super) const TOLERANCE: SignedDuration = SignedDuration::from_mins(15);

/// Refuses a request that was signed at another time than the server's; an anonymous one has no time.
///
/// A presigned one is good from when it was signed until its end, however long that is.
pub(in crate::cloud) fn check(head: &Parts, server: Timestamp) -> Result<(), Verdict> {
    let denied = |message| Err(Verdict::Refuse(StatusCode::FORBIDDEN, "AccessDenied", message));
    if let Some((signed, end)) = presigned(head) {
        return match signed {
            _ if end.is_some_and(|end| server > end) => denied("Request has expired"),
            Some(signed) if signed.duration_since(server) > TOLERANCE => {
                denied("Request is not valid yet")
            }
            _ => Ok(()),
        };
    }
    match signed_at(head) {
        Some(client) if client.duration_since(server).abs() > TOLERANCE => {
            Err(Verdict::Skewed { client, server })
        }
        _ => Ok(()),
    }
}

/// The time at which a query was signed, which version 2 does not tell, and its end.
fn presigned(head: &Parts) -> Option<(Option<Timestamp>, Option<Timestamp>)> {
    let seconds = |name| query_value(head, name)?.parse().ok().map(SignedDuration::from_secs);
    if let Some(text) = query_value(head, "X-Amz-Date") {
        let signed = stamp(&text)?;
        return Some((Some(signed), signed.checked_add(seconds("X-Amz-Expires")?).ok()));
    }
    query_value(head, "AWSAccessKeyId")?;
    Some((None, Timestamp::UNIX_EPOCH.checked_add(seconds("Expires")?).ok()))
}

/// The time that the headers of a signed request tell; version 2 has it as HTTP has.
fn signed_at(head: &Parts) -> Option<Timestamp> {
    let header = |name: &str| head.headers.get(name).and_then(|it| it.to_str().ok());
    header("authorization")?;
    let text = header("x-amz-date").or_else(|| header("date"))?;
    stamp(text).or_else(|| read("%a, %d %b %Y %H:%M:%S GMT", text))
}

fn stamp(text: &str) -> Option<Timestamp> {
    read("%Y%m%dT%H%M%SZ", text)
}

fn read(format: &str, text: &str) -> Option<Timestamp> {
    let read = jiff::civil::DateTime::strptime(format, text).ok()?;
    jiff::tz::Offset::UTC.to_timestamp(read).ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// What a server says that is so many minutes ahead of 2026-11-02T12:00:00Z.
    fn said(request: http::request::Builder, ahead: i64) -> &'static str {
        let noon: Timestamp = "2026-11-02T12:00:00Z".parse().unwrap();
        let head = request.body(()).unwrap().into_parts().0;
        match check(&head, noon + SignedDuration::from_mins(ahead)) {
            Ok(()) => "served",
            Err(Verdict::Skewed { .. }) => "too skewed",
            Err(Verdict::Refuse(_, _, message)) => message,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_signed_over_a_quarter_of_an_hour_away_is_too_skewed() {
        for (name, time) in
            [("x-amz-date", "20261102T120000Z"), ("date", "Mon, 02 Nov 2026 12:00:00 GMT")]
        {
            let signed = || Request::get("/a/b").header(name, time).header("authorization", "AWS");
            for (ahead, expected) in
                [(0, "served"), (15, "served"), (16, "too skewed"), (-16, "too skewed")]
            {
                assert_eq!(said(signed(), ahead), expected, "{name} {ahead}");
            }
        }
        assert_eq!(said(Request::get("/a/b"), 1_000), "served");
    }

    #[test]
    fn a_presigned_request_is_good_until_its_end() {
        // Noon, in seconds since 1970, and an hour.
        for query in [
            "X-Amz-Date=20261102T120000Z&X-Amz-Expires=3600",
            "AWSAccessKeyId=A&Expires=1793624400",
        ] {
            let presigned = || Request::get(format!("/a/b?{query}"));
            assert_eq!(said(presigned(), 59), "served", "{query}");
            assert_eq!(said(presigned(), 61), "Request has expired", "{query}");
        }
        let early = Request::get("/a/b?X-Amz-Date=20261102T120000Z&X-Amz-Expires=3600");
        assert_eq!(said(early, -16), "Request is not valid yet");
    }
}
