//! Sends notifications.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use patchkit_core::{
    Clock, Error, ErrorKind, Result, Retry, Secret,
    notify::{Notification, Notifier},
};
use reqwest::{Client, StatusCode, Url, header, redirect::Policy};

use crate::{SigningKey, WEBHOOK};

/// How often a delivery is tried before the outbox keeps it for later.
const TRIES: u32 = 4;

/// The first wait before another try, and the longest, whatever the receiver asks for.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How long one try may take.
const TIMEOUT: Duration = Duration::from_secs(15);

const DELIVER: &str = "deliver";

/// Posts notifications to a URL, signed.
///
/// # Behavior
/// - Requests go over https; over http to this machine alone. Redirects are not followed: what was
///   signed for one receiver is not for another.
/// - A receiver that is busy or broken (408, 425, 429, 5xx) or cannot be reached is tried four times in
///   all, with growing pauses, or those that it asks for. Any other answer but 2xx ends the delivery.
/// - The body is `{"type": …, "timestamp": …, "data": …}`, whose data is the [`Notification`].
/// - Neither secret nor URL is in `Debug` or in an error: paths of URLs often are secrets too.
///
/// # Example
/// ```
/// use patchkit_core::{Secret, VirtualClock};
/// use patchkit_webhook::Webhook;
///
/// # fn main() -> patchkit_core::Result<()> {
/// # let clock = VirtualClock::manual("2026-11-24T02:00:00Z".parse().unwrap());
/// let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
/// let webhook = Webhook::new("https://hooks.example.com/patching", &secret, clock)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Webhook {
    name: String,
    url: Url,
    keys: Vec<SigningKey>,
    client: Client,
    clock: Arc<dyn Clock>,
}

/// Why a try did not deliver.
enum Failed {
    /// Another one may.
    ForNow(Error, Option<Duration>),
    /// Another one would not.
    ForGood(Error),
}

impl Webhook {
    /// A webhook at `url`, signed with `secret`. Pauses and timestamps are `clock`'s, which should be
    /// the machine's: receivers refuse what is more than five minutes off.
    ///
    /// # Errors
    /// `InvalidInput`: a URL that is none, that is neither https nor this machine's, or that holds a
    /// user's name or password; or no secret of [`SigningKey::new`].
    pub fn new(url: &str, secret: &Secret, clock: impl Clock) -> Result<Self> {
        let invalid = |message: &str| Error::invalid(WEBHOOK, "open", message.to_owned());
        let url = Url::parse(url).map_err(|_| invalid("the URL is none"))?;
        let Some(host) = url.host_str() else { return Err(invalid("the URL has no host")) };
        let is_here = is_loopback(host);
        if url.scheme() != "https" && !(url.scheme() == "http" && is_here) {
            return Err(invalid("the URL is neither https nor http to this machine"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("the URL holds a user's name or password"));
        }
        let client = Client::builder().redirect(Policy::none()).timeout(TIMEOUT);
        // What stays on this machine does not pass a proxy.
        let client = if is_here { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| {
            let message = "the HTTP client cannot be made";
            Error::new(ErrorKind::Unexpected, WEBHOOK, "open", message).with_source(error)
        })?;
        Ok(Self {
            name: format!("webhook {host}"),
            keys: vec![SigningKey::new(secret)?],
            url,
            client,
            clock: Arc::new(clock),
        })
    }

    /// Sets the name by which the outbox knows it; `webhook` and the host where it is not set.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Signs with an older secret as well, while receivers change theirs.
    ///
    /// # Errors
    /// As [`SigningKey::new`].
    pub fn with_old_secret(mut self, secret: &Secret) -> Result<Self> {
        self.keys.push(SigningKey::new(secret)?);
        Ok(self)
    }

    async fn attempt(&self, id: &str, body: &[u8]) -> Result<(), Failed> {
        let now = self.clock.now();
        let signatures: Vec<String> = self.keys.iter().map(|key| key.sign(id, now, body)).collect();
        let request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now.as_second())
            .header("webhook-signature", signatures.join(" "))
            .body(body.to_vec());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let kind =
                    if error.is_timeout() { ErrorKind::Timeout } else { ErrorKind::Unexpected };
                let again = !error.is_builder();
                // Its URL may be a secret.
                let error = Error::new(kind, WEBHOOK, DELIVER, "the receiver was not reached")
                    .with_source(error.without_url());
                return Err(if again {
                    Failed::ForNow(error, None)
                } else {
                    Failed::ForGood(error)
                });
            }
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let error = refusal(status);
        if error.is_retryable() {
            let after = answer.headers().get(header::RETRY_AFTER);
            let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Err(Failed::ForNow(error, after.map(Duration::from_secs)))
        } else {
            Err(Failed::ForGood(error))
        }
    }
}

#[async_trait]
impl Notifier for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    async fn deliver(&self, notification: &Notification) -> Result<()> {
        let body = serde_json::to_vec(&serde_json::json!({
            "type": notification.kind,
            "timestamp": notification.at,
            "data": notification,
        }))
        .map_err(|error| {
            Error::invalid(WEBHOOK, DELIVER, "the notification is not JSON").with_source(error)
        })?;
        let mut pause = PAUSE;
        for attempt in 1.. {
            match self.attempt(&notification.id, &body).await {
                Ok(()) => return Ok(()),
                Err(Failed::ForNow(_, asked)) if attempt < TRIES => {
                    let asked = asked.unwrap_or_default().min(LONGEST_PAUSE);
                    self.clock.sleep(pause.max(asked)).await;
                    pause = (pause * 4).min(LONGEST_PAUSE);
                }
                Err(Failed::ForNow(error, _) | Failed::ForGood(error)) => return Err(error),
            }
        }
        // Not reached: the last try returns.
        Err(Error::new(ErrorKind::Unexpected, WEBHOOK, DELIVER, "not tried"))
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

fn refusal(status: StatusCode) -> Error {
    let (kind, retry) = match status.as_u16() {
        401 => (ErrorKind::Unauthenticated, Retry::Never),
        403 => (ErrorKind::PermissionDenied, Retry::Never),
        404 | 410 => (ErrorKind::NotFound, Retry::Never),
        429 => (ErrorKind::Throttled, Retry::Backoff),
        408 | 425 | 500..=599 => (ErrorKind::Unexpected, Retry::Backoff),
        400..=499 => (ErrorKind::InvalidInput, Retry::Never),
        _ => (ErrorKind::Unexpected, Retry::Never),
    };
    let message = format!("the receiver answered {}", status.as_u16());
    Error::new(kind, WEBHOOK, DELIVER, message).with_retry(retry)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}
