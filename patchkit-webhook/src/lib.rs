//! Signed webhooks for PatchKit's notifications, and how their receivers check them.
//!
//! [`Webhook`] is a [`Notifier`](patchkit_core::notify::Notifier): give it to an
//! [`Outbox`](patchkit_core::notify::Outbox), and what a receiver did not take is delivered again,
//! under the same id. Requests are signed as
//! [Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)
//! say, so that receivers in any language have a library that checks them; in Rust that is
//! [`SigningKey::verify`].
//!
//! # What a receiver does
//! 1. It takes the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`, and the body as
//!    it came, byte for byte.
//! 2. It computes HMAC-SHA256 over `<id>.<timestamp>.<body>` with the secret's bytes (behind `whsec_`,
//!    in base64), and compares in constant time: one of the signatures in the header, which a space
//!    parts, is `v1,` and that in base64.
//! 3. It refuses a timestamp that is more than five minutes off, for a request that someone recorded
//!    stays signed for ever.
//! 4. It drops what it has under that id, for delivery is at least once, and answers 2xx.
//!
//! ```
//! use patchkit_core::Secret;
//! use patchkit_webhook::{Received, SigningKey};
//!
//! let key = SigningKey::new(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))?;
//! let now = "2021-02-25T15:02:10Z".parse().unwrap();
//! let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
//!
//! let received = Received {
//!     id,
//!     timestamp: "1614265330",
//!     signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
//! };
//! key.verify(&received, body, now)?;
//! assert!(key.verify(&received, b"{}", now).is_err());
//! # Ok::<(), patchkit_core::Error>(())
//! ```
//!
//! # Features
//! - `client`, on by default: [`Webhook`], with reqwest and rustls. Receivers need neither.

#[cfg(feature = "client")]
mod client;
mod signature;

#[cfg(feature = "client")]
pub use self::client::Webhook;
pub use self::signature::{Received, SigningKey, TOLERANCE};

/// The name by which errors tell where they come from.
const WEBHOOK: &str = "webhook";
