//! How the provider of one account and Region is made.

use std::{net::IpAddr, sync::Arc};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use patchkit_core::{AccountId, Clock, Region, Result, Scope, SystemClock};

use crate::{
    CallBudget, Ssm,
    client::{Client, Guard, shared_http_client},
    error::{PROVIDER, invalid, malformed},
    limit::Limiter,
    session::Sessions,
};

/// Makes an [`Ssm`].
#[derive(Clone, Debug)]
pub struct SsmBuilder {
    sdk: SdkConfig,
    account: Option<AccountId>,
    clock: Arc<dyn Clock>,
    budget: CallBudget,
    page: PageSize,
    s3_endpoint: Option<String>,
    plain_http: PlainHttp,
    sessions: Option<Sessions>,
}

/// Whether credentials may go over plain HTTP to another machine.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PlainHttp {
    /// Only on this machine: a simulator, a proxy that speaks TLS from there on.
    #[default]
    LoopbackOnly,
    /// To anyone. The caller knows his network.
    Anywhere,
}

impl PlainHttp {
    pub(crate) fn check(self, uri: &http::Uri) -> Result<(), String> {
        let host = uri.host().unwrap_or_default();
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let local = host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
        if self == Self::Anywhere || local || uri.scheme_str() == Some("https") {
            return Ok(());
        }
        Err(format!(
            "{host} is not this machine, and requests do not go there over plain HTTP: use https, or \
             allow PlainHttp::Anywhere"
        ))
    }
}

/// The most items that a page of a listing has, where the service allows that many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageSize(u16);

impl PageSize {
    /// What to ask for where the service gives `most` items at most, and no fewer than `least`.
    pub(crate) fn within(self, least: i32, most: i32) -> i32 {
        i32::from(self.0).clamp(least, most)
    }
}

impl SsmBuilder {
    pub(crate) fn new(sdk: &SdkConfig) -> Self {
        Self {
            sdk: sdk.clone(),
            account: None,
            clock: Arc::new(SystemClock),
            budget: CallBudget::default(),
            page: PageSize(u16::MAX),
            s3_endpoint: None,
            plain_http: PlainHttp::default(),
            sessions: None,
        }
    }

    /// Names the account, which STS is asked for otherwise.
    #[must_use]
    pub fn with_account(mut self, account: AccountId) -> Self {
        self.account = Some(account);
        self
    }

    /// Sets the clock, for tests on virtual time.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets how often each operation is called.
    #[must_use]
    pub fn with_budget(mut self, budget: CallBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Asks for so many items on a page of a listing, within what the service allows. The default
    /// is as many as it gives: the fewest calls.
    #[must_use]
    pub fn with_page_size(mut self, items: u16) -> Self {
        self.page = PageSize(items);
        self
    }

    /// Sets the endpoint of S3, where it is another than the configuration's.
    #[must_use]
    pub fn with_s3_endpoint(mut self, url: impl Into<String>) -> Self {
        self.s3_endpoint = Some(url.into());
        self
    }

    /// Sets whether credentials may go over plain HTTP to another machine.
    #[must_use]
    pub fn with_plain_http(mut self, choice: PlainHttp) -> Self {
        self.plain_http = choice;
        self
    }

    /// Makes the provider; asks STS for the account, unless it was named.
    ///
    /// # Errors
    /// `InvalidInput` without a Region; as `GetCallerIdentity` otherwise.
    pub async fn build(self) -> Result<Ssm> {
        let builder = self.sharing();
        if let Some(account) = builder.account.clone() {
            return Ok(Ssm::new(builder.client(account)?));
        }
        let account = builder.ask().await?.account;
        Ok(Ssm::new(builder.client(account)?))
    }

    /// Makes what the clients of one configuration share: connections, and credentials.
    pub(crate) fn sharing(mut self) -> Self {
        if self.sdk.http_client().is_none() {
            self.sdk = self.sdk.into_builder().http_client(shared_http_client()).build();
        }
        if self.sdk.identity_cache().is_none() { self.with_sessions() } else { self }
    }

    fn with_sessions(mut self) -> Self {
        let sessions = Sessions::new(Arc::clone(&self.clock));
        self.sdk = self.sdk.into_builder().identity_cache(sessions.clone()).build();
        self.sessions = Some(sessions);
        self
    }

    /// The same in another Region.
    pub(crate) fn in_region(&self, region: &Region) -> Self {
        let region = aws_config::Region::new(region.as_str().to_owned());
        let sdk = self.sdk.to_builder().region(region).build();
        Self { sdk, ..self.clone() }
    }

    /// The same with other credentials, which all clients made of it ask for in one place.
    pub(crate) fn with_credentials(&self, provider: SharedCredentialsProvider) -> Self {
        let sdk = self.sdk.to_builder().credentials_provider(provider).build();
        Self { sdk, ..self.clone() }.with_sessions()
    }

    /// The Region of the configuration.
    pub(crate) fn region(&self) -> Result<Option<Region>> {
        self.sdk.region().map(|region| Region::new(region.as_ref())).transpose()
    }

    /// The clients of one account in the Region of the configuration, with a budget of their own.
    pub(crate) fn client(&self, account: AccountId) -> Result<Client> {
        let region = self.region()?.ok_or_else(|| {
            invalid("build", "no Region is set: set AWS_REGION, or one in the profile or SdkConfig")
        })?;
        let limiter = Limiter::new(self.budget.clone(), Arc::clone(&self.clock));
        let guard = Guard {
            limiter: limiter.clone(),
            plain_http: self.plain_http,
            sessions: self.sessions.clone(),
        };
        Ok(Client::new(
            Scope::new(PROVIDER, account, region)?,
            Arc::clone(&self.clock),
            self.page,
            self.sdk.clone(),
            self.s3_endpoint.clone(),
            limiter,
            guard,
        ))
    }

    /// Asks STS whose the credentials are.
    pub(crate) async fn ask(&self) -> Result<Caller> {
        // Any account will do to ask which one it is.
        let asking = self.client(AccountId::new("unknown")?)?;
        let request = asking.sts().get_caller_identity().send();
        let identity = asking.read("GetCallerIdentity", request).await?;
        let lacks = |what| malformed("GetCallerIdentity", format!("the answer has no {what}"));
        let account = identity.account().ok_or_else(|| lacks("account"))?;
        let arn = identity.arn().ok_or_else(|| lacks("ARN"))?;
        Ok(Caller { account: AccountId::new(account)?, arn: arn.to_owned() })
    }
}

/// Who has the credentials.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) account: AccountId,
    pub(crate) arn: String,
}

/// The usual configuration: environment, profile, SSO, container and instance roles.
pub(crate) async fn sdk_from_env() -> SdkConfig {
    // A named version: what changes in a later one is decided here, not by an update.
    aws_config::defaults(BehaviorVersion::v2026_01_12()).load().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_to_loopback_only_unless_asked_for() {
        for (uri, local) in [
            ("http://127.0.0.1:4000/", true),
            ("http://[::1]:4000/", true),
            ("http://localhost:4000/", true),
            ("https://ssm.eu-west-1.amazonaws.com/", true),
            ("http://ssm.eu-west-1.amazonaws.com/", false),
            ("http://localhost.example.com/", false),
            ("http://127.0.0.1.example.com/", false),
        ] {
            let uri = uri.parse().unwrap();
            assert_eq!(PlainHttp::LoopbackOnly.check(&uri).is_ok(), local, "{uri}");
            assert!(PlainHttp::Anywhere.check(&uri).is_ok());
        }
    }
}
