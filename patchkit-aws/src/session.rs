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
