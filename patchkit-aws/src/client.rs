//! The clients of one account and Region, and the one way in which all calls are made.

use std::{
    error::Error as StdError,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use aws_smithy_http_client::{
    Builder as HttpClientBuilder, ConnectorBuilder, proxy::ProxyConfig, tls,
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::SharedHttpClient,
        interceptors::{
            Intercept,
            context::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef},
        },
        orchestrator::{HttpResponse, Metadata},
        result::SdkError,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{
    config_bag::ConfigBag, error::metadata::ProvideErrorMetadata, retry::RetryConfig,
};
use aws_types::SdkConfig;
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use patchkit_core::{Clock, NodeId, Result, Scope};

use crate::{
    config::{PageSize, PlainHttp},
    error::{Call, classify, malformed},
    limit::Limiter,
    session::{AtTheDoor, Renewed, Sessions, says_ended},
};

/// The clients of one account and Region. They are made when they are first used, and share the
/// connections and the credentials of one configuration.
pub(crate) struct Client {
    pub(crate) scope: Scope,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) page: PageSize,
    sdk: SdkConfig,
    #[cfg_attr(not(feature = "s3"), expect(dead_code, reason = "S3 is a feature of its own"))]
    s3_endpoint: Option<String>,
    limiter: Limiter,
    guard: Guard,
    clients: Clients,
    #[cfg(feature = "ec2")]
    pub(crate) roles: crate::access::Roles,
}

/// For each service a client that retries as its configuration says, and for the writes that must
/// not be done twice one that sends again on one answer alone: see [`AtTheDoor`].
#[derive(Default)]
struct Clients {
    ssm: OnceLock<aws_sdk_ssm::Client>,
    ssm_once: OnceLock<aws_sdk_ssm::Client>,
    sts: OnceLock<aws_sdk_sts::Client>,
    tagging: OnceLock<aws_sdk_resourcegroupstagging::Client>,
    #[cfg(feature = "athena")]
    athena: OnceLock<aws_sdk_athena::Client>,
    #[cfg(feature = "config")]
    config: OnceLock<aws_sdk_config::Client>,
    #[cfg(feature = "ec2")]
    ec2: OnceLock<aws_sdk_ec2::Client>,
    #[cfg(feature = "ec2")]
    ec2_once: OnceLock<aws_sdk_ec2::Client>,
    #[cfg(feature = "ec2")]
    iam: OnceLock<aws_sdk_iam::Client>,
    #[cfg(feature = "organizations")]
    organizations: OnceLock<aws_sdk_organizations::Client>,
    #[cfg(feature = "resource-groups")]
    groups: OnceLock<aws_sdk_resourcegroups::Client>,
    #[cfg(feature = "s3")]
    s3: OnceLock<aws_sdk_s3::Client>,
    #[cfg(feature = "sns")]
    sns_once: OnceLock<aws_sdk_sns::Client>,
}

macro_rules! client {
    ($(#[$doc:meta])* $name:ident, $sdk:ident) => {
        $(#[$doc])*
        pub(crate) fn $name(&self) -> &$sdk::Client {
            self.clients.$name.get_or_init(|| {
                let config = $sdk::config::Builder::from(&self.sdk)
                    .interceptor(self.guard.clone())
                    .retry_classifier(Renewed);
                $sdk::Client::from_conf(config.build())
            })
        }
    };
    ($(#[$doc:meta])* once $name:ident, $sdk:ident) => {
        $(#[$doc])*
        pub(crate) fn $name(&self) -> &$sdk::Client {
            self.clients.$name.get_or_init(|| {
                let config = $sdk::config::Builder::from(&self.sdk)
                    .interceptor(self.guard.clone())
                    .retry_config(once())
                    .retry_classifier(AtTheDoor);
                $sdk::Client::from_conf(config.build())
            })
        }
    };
}

impl Client {
    pub(crate) fn new(
        scope: Scope,
        clock: Arc<dyn Clock>,
        page: PageSize,
        sdk: SdkConfig,
        s3_endpoint: Option<String>,
        limiter: Limiter,
        guard: Guard,
    ) -> Self {
        let clients = Clients::default();
        Self {
            scope,
            clock,
            page,
            sdk,
            s3_endpoint,
            limiter,
            guard,
            clients,
            #[cfg(feature = "ec2")]
            roles: crate::access::Roles::default(),
        }
    }

    client!(ssm, aws_sdk_ssm);
    client!(
        /// For SendCommand and whatever else must not be done twice.
        once ssm_once, aws_sdk_ssm
    );
    client!(sts, aws_sdk_sts);
    client!(tagging, aws_sdk_resourcegroupstagging);
    #[cfg(feature = "athena")]
    client!(athena, aws_sdk_athena);
    #[cfg(feature = "config")]
    client!(config, aws_sdk_config);
    #[cfg(feature = "ec2")]
    client!(ec2, aws_sdk_ec2);
    #[cfg(feature = "ec2")]
    client!(once ec2_once, aws_sdk_ec2);
    #[cfg(feature = "ec2")]
    client!(iam, aws_sdk_iam);
    #[cfg(feature = "organizations")]
    client!(organizations, aws_sdk_organizations);
    #[cfg(feature = "resource-groups")]
    client!(groups, aws_sdk_resourcegroups);
    #[cfg(feature = "sns")]
    client!(once sns_once, aws_sdk_sns);

    #[cfg(feature = "s3")]
    pub(crate) fn s3(&self) -> &aws_sdk_s3::Client {
        self.clients.s3.get_or_init(|| {
            let mut config = aws_sdk_s3::config::Builder::from(&self.sdk)
                .interceptor(self.guard.clone())
                .retry_classifier(Renewed);
            if let Some(endpoint) = &self.s3_endpoint {
                // Servers other than AWS's own know no bucket by its host name.
                config = config.endpoint_url(endpoint).force_path_style(true);
            }
            aws_sdk_s3::Client::from_conf(config.build())
        })
    }

    /// Makes a call that changes nothing, or that comes to the same when it is made again.
    pub(crate) fn read<'a, T, E>(
        &'a self,
        operation: &'static str,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T>>
    where
        E: ProvideErrorMetadata + StdError + Send + 'static,
    {
        self.call(Call::Read(operation), request)
    }

    /// Makes a call that must not be done twice, through a client that sends it again on one answer
    /// alone, which proves that nothing was done: see [`AtTheDoor`].
    pub(crate) fn write<'a, T, E>(
        &'a self,
        operation: &'static str,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T>>
    where
        E: ProvideErrorMetadata + StdError + Send + 'static,
    {
        self.call(Call::Write(operation), request)
    }

    /// The SDK's futures are of many kilobytes: in a box, they are not part of each caller's.
    fn call<'a, T, E>(
        &'a self,
        call: Call,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T>>
    where
        E: ProvideErrorMetadata + StdError + Send + 'static,
    {
        async move {
            self.limiter.admit(call.name()).await;
            match request.await {
                Ok(answer) => {
                    self.limiter.eased(call.name());
                    Ok(answer)
                }
                Err(error) => Err(classify(call, &error)),
            }
        }
        .boxed()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The node of this scope with an id of the API.
    pub(crate) fn node(&self, operation: &'static str, id: Option<&str>) -> Result<NodeId> {
        let id = id.ok_or_else(|| malformed(operation, "a row has no instance id"))?;
        NodeId::new(self.scope.clone(), id)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Stands at every attempt of every call: keeps credentials off plain HTTP, tells the limiter of
/// throttles that the SDK's own retries would hide, and has ended credentials forgotten.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) limiter: Limiter,
    pub(crate) plain_http: PlainHttp,
    /// None where the embedder brought a cache of his own.
    pub(crate) sessions: Option<Sessions>,
}

impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "patchkit"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let uri: http::Uri = context.request().uri().parse()?;
        self.plain_http.check(&uri).map_err(Into::into)
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(response) = context.response() else { return Ok(()) };
        if let Some(sessions) = self.sessions.as_ref().filter(|_| says_ended(response)) {
            sessions.forget();
        }
        if response.status().as_u16() >= 400
            && response.body().bytes().is_some_and(says_throttled)
            && let Some(call) = bag.load::<Metadata>()
        {
            self.limiter.throttled(call.name());
        }
        Ok(())
    }
}

/// How writes are sent that must not be done twice: once, and once more where they were refused at the
/// door.
fn once() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::ZERO)
}

/// Whether the body of an error is that of a throttle. The error itself has no type here; each
/// service's spelling of it holds one of these words.
fn says_throttled(body: &[u8]) -> bool {
    [&b"Throttl"[..], b"RequestLimitExceeded", b"TooManyRequests", b"SlowDown"]
        .iter()
        .any(|word| body.windows(word.len()).any(|part| part == *word))
}

/// One pool of connections for all services and scopes that share a configuration. Each client
/// would make one of its own otherwise, with its own copy of the system's root certificates.
pub(crate) fn shared_http_client() -> SharedHttpClient {
    HttpClientBuilder::new().build_with_connector_fn(|settings, components| {
        let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
        let mut connector = ConnectorBuilder::default().tls_provider(provider);
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}
