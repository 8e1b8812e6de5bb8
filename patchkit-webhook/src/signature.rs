//! Signs requests, and checks them.

use std::{fmt, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use patchkit_core::{Error, ErrorKind, Result, Secret};
use sha2::Sha256;

use crate::WEBHOOK;

/// How far a request's time may be off, either way.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// The version of the scheme, before each signature.
const VERSION: &str = "v1,";

/// A key that signs requests and checks them; nothing prints it.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

/// What a request's headers hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`.
    pub signature: &'a str,
}

impl SigningKey {
    /// Reads a secret: `whsec_` and 24 to 64 bytes in base64.
    ///
    /// # Errors
    /// `InvalidInput`, without any of the secret.
    pub fn new(secret: &Secret) -> Result<Self> {
        let invalid = || {
            let message = "the secret is not whsec_ and 24 to 64 bytes in base64";
            Error::invalid(WEBHOOK, "open", message)
        };
        let text = secret.expose().strip_prefix("whsec_").ok_or_else(invalid)?;
        // The decoder's own error would quote a part of it.
        let bytes = base64_simd::STANDARD.decode_to_vec(text).map_err(|_| invalid())?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(invalid());
        }
        Hmac::new_from_slice(&bytes).map(Self).map_err(|_| invalid())
    }

    /// The signature of a request, as the header holds it.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        let mac = self.mac(id, &at.as_second().to_string(), body).finalize().into_bytes();
        format!("{VERSION}{}", base64_simd::STANDARD.encode_to_string(mac))
    }

    /// Checks that a request was signed with this key, for this body, within [`TOLERANCE`] of `now`.
    ///
    /// Signatures are compared in constant time. Nothing is said of whether the id was there before.
    ///
    /// # Errors
    /// `Unauthenticated`.
    pub fn verify(&self, received: &Received<'_>, body: &[u8], now: Timestamp) -> Result<()> {
        let refused = |message: &str| {
            Err(Error::new(ErrorKind::Unauthenticated, WEBHOOK, "verify", message.to_owned()))
        };
        let at = received.timestamp.parse().ok().and_then(|at| Timestamp::from_second(at).ok());
        let Some(at) = at else { return refused("the timestamp is no number of seconds") };
        if now.duration_since(at).unsigned_abs() > TOLERANCE {
            return refused("the timestamp is more than five minutes off");
        }
        let mac = self.mac(received.id, received.timestamp, body);
        let is_ours = |signature: &str| {
            let signature = signature.strip_prefix(VERSION);
            let bytes = signature.and_then(|it| base64_simd::STANDARD.decode_to_vec(it).ok());
            bytes.is_some_and(|bytes| mac.clone().verify_slice(&bytes).is_ok())
        };
        // A sender that changes its secret signs with both for a while.
        if received.signature.split(' ').any(is_ours) {
            Ok(())
        } else {
            refused("no signature is of this key and body")
        }
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The reference vector of Standard Webhooks.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: &str = "1614265330";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn key() -> SigningKey {
        SigningKey::new(&Secret::new(SECRET)).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_second(AT.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_reference_vector_of_standard_webhooks_is_signed_as_there() {
        assert_eq!(key().sign(ID, now(), BODY), SIGNATURE);
    }

    #[test]
    fn whatever_is_changed_the_signature_does_not_hold() {
        let good = Received { id: ID, timestamp: AT, signature: SIGNATURE };
        key().verify(&good, BODY, now()).unwrap();
        for (bad, body) in [
            (Received { id: "msg_other", ..good }, BODY),
            (Received { timestamp: "1614265331", ..good }, BODY),
            (Received { timestamp: "soon", ..good }, BODY),
            (Received { signature: "", ..good }, BODY),
            (Received { signature: "v1,", ..good }, BODY),
            (Received { signature: &SIGNATURE[3..], ..good }, BODY),
            (Received { signature: &SIGNATURE[..30], ..good }, BODY),
            (good, b"{\"test\":2432232314}"),
        ] {
            let error = key().verify(&bad, body, now()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{bad:?}");
        }
        let other =
            SigningKey::new(&Secret::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")).unwrap();
        assert!(other.verify(&good, BODY, now()).is_err());
    }

    #[test]
    fn a_request_that_someone_recorded_is_refused_after_five_minutes() {
        let good = Received { id: ID, timestamp: AT, signature: SIGNATURE };
        let at = |seconds| now() + jiff::SignedDuration::from_secs(seconds);
        for (seconds, holds) in [(-301, false), (-300, true), (300, true), (301, false)] {
            assert_eq!(key().verify(&good, BODY, at(seconds)).is_ok(), holds, "{seconds}");
        }
    }

    #[test]
    fn while_a_secret_is_changed_one_of_two_signatures_is_enough() {
        let signature = format!("v1a,AAAA v1,AAAA {SIGNATURE}");
        let received = Received { id: ID, timestamp: AT, signature: &signature };
        key().verify(&received, BODY, now()).unwrap();
    }

    #[test]
    fn a_secret_that_is_none_is_refused_and_never_shown() {
        for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", "whsec_%%%%"] {
            let error = SigningKey::new(&Secret::new(bad)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad}");
            assert!(!error.report().contains("MfKQ") && !error.report().contains("short"));
        }
        assert_eq!(format!("{:?}", key()), "SigningKey(…)");
    }
}
