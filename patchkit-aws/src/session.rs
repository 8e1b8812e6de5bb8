//! Credentials that are asked for once for many clients, and again when they end.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use aws_config::identity::IdentityCache;
use aws_smithy_runtime_api::client::{
    identity::{
        IdentityFuture, ResolveCachedIdentity, SharedIdentityCache, SharedIdentityResolver,
    },
    interceptors::context::InterceptorContext,
    orchestrator::HttpResponse,
    retries::classifiers::{ClassifyRetry, RetryAction},
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::config_bag::ConfigBag;

/// How long credentials may take to come. The SDK's own limit does not know that calls wait for
/// their turn.
const PATIENCE: Duration = Duration::from_mins(2);

/// The SDK's cache of credentials, which renews them before they end by this machine's clock, and
/// can be made to forget them when the service says that they have ended by its own.
///
/// Clones share one cache.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<RwLock<SharedIdentityCache>>);

impl Sessions {
    pub(crate) fn new() -> Self {
        Self(Arc::new(RwLock::new(empty())))
    }

    /// Has the next call ask for new credentials.
    pub(crate) fn forget(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = empty();
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
        let cache = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        IdentityFuture::new(async move {
            cache.resolve_cached_identity(resolver, components, bag).await
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
