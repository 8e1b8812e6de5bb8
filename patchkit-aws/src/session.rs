//! Credentials that are asked for once for many clients, and again when they end.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use aws_config::identity::IdentityCache;
use aws_smithy_runtime_api::client::{
    identity::{
        Identity, IdentityFuture, ResolveCachedIdentity, SharedIdentityCache,
        SharedIdentityResolver,
    },
    interceptors::context::InterceptorContext,
    orchestrator::HttpResponse,
    retries::classifiers::{ClassifyRetry, RetryAction},
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::config_bag::ConfigBag;
use patchkit_core::Clock;
use serde_json::Value;

/// How long credentials may take to come. The SDK's own limit does not know that calls wait for
/// their turn.
const PATIENCE: Duration = Duration::from_mins(2);

/// How many seconds before their end credentials are renewed, as the SDK does.
const MARGIN: i64 = 10;

/// The SDK's cache of credentials, which renews them before they end by this machine's clock.
///
/// They are renewed as well before they end by PatchKit's clock, which may be another one, and when a
/// service says that they have ended by its own. Clones share one cache.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Shared>);

struct Shared {
    cache: RwLock<SharedIdentityCache>,
    clock: Arc<dyn Clock>,
    /// Whether new credentials have ended by the clock already: it says nothing of them.
    unfit: AtomicBool,
}

impl Sessions {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let (cache, unfit) = (RwLock::new(empty()), AtomicBool::new(false));
        Self(Arc::new(Shared { cache, clock, unfit }))
    }

    /// Has the next call ask for new credentials.
    pub(crate) fn forget(&self) {
        *self.0.cache.write().unwrap_or_else(PoisonError::into_inner) = empty();
    }

    fn current(&self) -> SharedIdentityCache {
        self.0.cache.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_ending(&self, identity: &Identity) -> bool {
        let end = identity.expiration().and_then(|end| end.duration_since(UNIX_EPOCH).ok());
        let now = self.0.clock.now().as_second();
        end.is_some_and(|end| i64::try_from(end.as_secs()).is_ok_and(|end| end - MARGIN <= now))
    }
}

fn empty() -> SharedIdentityCache {
    IdentityCache::lazy().load_timeout(PATIENCE).build()
}

impl ResolveCachedIdentity for Sessions {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        bag: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        let cache = self.current();
        IdentityFuture::new(async move {
            let identity = cache.resolve_cached_identity(resolver.clone(), components, bag).await?;
            if self.0.unfit.load(Ordering::Relaxed) || !self.is_ending(&identity) {
                return Ok(identity);
            }
            self.forget();
            let identity =
                self.current().resolve_cached_identity(resolver, components, bag).await?;
            self.0.unfit.store(self.is_ending(&identity), Ordering::Relaxed);
            Ok(identity)
        })
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions(..)")
    }
}

/// Whether a service refuses credentials for their time is over. It has done nothing then.
pub(crate) fn says_ended(answer: &HttpResponse) -> bool {
    // `ExpiredToken` or `ExpiredTokenException`, and EC2's own word.
    answer.status().as_u16() >= 400
        && answer.body().bytes().is_some_and(|body| {
            [&b"ExpiredToken"[..], b"RequestExpired"]
                .iter()
                .any(|word| body.windows(word.len()).any(|part| part == *word))
        })
}

/// Has a call made again whose credentials had ended: they are new the next time.
#[derive(Debug)]
pub(crate) struct Renewed;

impl ClassifyRetry for Renewed {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response() {
            Some(answer) if says_ended(answer) => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "renewed credentials"
    }
}

/// Has a write sent once more that was refused at the door, and nothing else: all that the SDK would
/// send again is forbidden, so that it goes for a client that may try twice as for one that may not.
///
/// The proof that a write is not done twice is in [`is_refused_at_the_door`]: a service that answers
/// so has looked at who calls and when, and not yet at what is asked. By the second time there are new
/// credentials, and the SDK has set its clock by the answer. A second refusal is the answer.
#[derive(Debug)]
pub(crate) struct AtTheDoor;

impl ClassifyRetry for AtTheDoor {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response() {
            Some(answer) if is_refused_at_the_door(answer) => RetryAction::transient_error(),
            _ => RetryAction::RetryForbidden,
        }
    }

    fn name(&self) -> &'static str {
        "refused at the door, and nothing else"
    }
}

/// The codes by which services refuse credentials whose time is over, and signatures that are not of
/// now or not of the key: Systems Manager API reference and SNS API reference, "Common errors";
/// Amazon EC2 API reference, "Error codes", where one code stands for both.
const AT_THE_DOOR: [&str; 6] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
];

/// Whether an answer is the refusal of a caller, and no other.
///
/// It must be certain, for a write is sent again on it. So the error's own code is read: other errors
/// may quote these words. And a failure of the service is no refusal, whatever it says: it may have
/// acted before.
fn is_refused_at_the_door(answer: &HttpResponse) -> bool {
    (400..500).contains(&answer.status().as_u16())
        && answer
            .body()
            .bytes()
            .and_then(code)
            .is_some_and(|code| AT_THE_DOOR.contains(&code.as_str()))
}

/// The code of an error in the form of AWS JSON (`{"__type": "prefix#Code"}`), or in one of XML,
/// where no text before the first `<Code>` can hold another: a `<` in a text is escaped.
fn code(body: &[u8]) -> Option<String> {
    if let Ok(error) = serde_json::from_slice::<Value>(body) {
        let code = error.get("__type").or_else(|| error.get("code"))?.as_str()?;
        return code.rsplit('#').next().map(str::to_owned);
    }
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code.to_owned())
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn answer(status: u16, body: &str) -> HttpResponse {
        HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.to_owned()))
    }

    #[test]
    fn a_refusal_of_ended_credentials_is_known_by_its_code_in_each_protocol() {
        for (status, body) in [
            (400, r#"{"__type":"ExpiredTokenException","message":"is expired"}"#),
            (400, r#"{"__type":"com.amazon.coral.service#ExpiredTokenException"}"#),
            (403, "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code></Error>"),
            (400, "<Response><Errors><Error><Code>RequestExpired</Code></Error></Errors>"),
        ] {
            let answer = answer(status, body);
            assert!(is_refused_at_the_door(&answer) && says_ended(&answer), "{body}");
        }
    }

    #[test]
    fn a_signature_that_is_not_of_now_is_refused_at_the_door_as_well() {
        for (status, body) in [
            (400, r#"{"__type":"InvalidSignatureException","message":"Signature expired"}"#),
            (403, "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error>"),
        ] {
            let answer = answer(status, body);
            assert!(is_refused_at_the_door(&answer) && !says_ended(&answer), "{body}");
        }
    }

    #[test]
    fn what_only_speaks_of_ended_credentials_is_no_proof() {
        for (status, body) in [
            (200, r#"{"__type":"ExpiredTokenException"}"#),
            (500, r#"{"__type":"ExpiredTokenException"}"#),
            (503, "<Response><Errors><Error><Code>RequestExpired</Code></Error></Errors>"),
            (400, r#"{"__type":"InvalidParameters","message":"ExpiredTokenException"}"#),
            (400, r#"{"message":"ExpiredTokenException"}"#),
            (400, "<Error><Code>InvalidParameter</Code><Message>ExpiredToken</Message></Error>"),
            (400, "<Error><Message>&lt;Code>ExpiredToken&lt;/Code></Message></Error>"),
            (403, "ExpiredToken"),
            (403, ""),
        ] {
            assert!(!is_refused_at_the_door(&answer(status, body)), "{status} {body}");
        }
    }

    #[test]
    fn a_write_is_tried_again_on_that_refusal_and_on_nothing_else() {
        let action = |answer: Option<HttpResponse>| {
            let input = aws_smithy_runtime_api::client::interceptors::context::Input::erase(());
            let mut context = InterceptorContext::new(input);
            if let Some(answer) = answer {
                context.set_response(answer);
            }
            AtTheDoor.classify_retry(&context)
        };
        let ended = answer(400, r#"{"__type":"ExpiredTokenException"}"#);
        assert_eq!(action(Some(ended)), RetryAction::transient_error());
        assert_eq!(action(Some(answer(503, ""))), RetryAction::RetryForbidden);
        let throttled = answer(400, r#"{"__type":"ThrottlingException"}"#);
        assert_eq!(action(Some(throttled)), RetryAction::RetryForbidden);
        assert_eq!(action(None), RetryAction::RetryForbidden, "the connection was cut");
    }
}
