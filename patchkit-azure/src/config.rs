//! How the provider is made.

use std::{collections::BTreeMap, fmt, sync::Arc};

use azure_core::{
    credentials::TokenCredential,
    http::{ClientOptions, Url},
};
use patchkit_core::{AccountId, Clock, Result, SystemClock};

use crate::{
    BaselineHome, Baselines, CallBudget, UpdateManager, baseline::Choice, client::Client,
    error::invalid, ids::is_name, limit::Limiter, session::Tokens,
};

/// Which of Microsoft's clouds.
///
/// A place that is none of them has [an endpoint of its own](UpdateManagerBuilder::with_endpoint).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Cloud {
    /// The public one.
    #[default]
    Public,
    /// Azure Government.
    Government,
    /// Azure operated by 21Vianet.
    China,
}

impl Cloud {
    /// The address of its Resource Manager, for which its tokens are made out too (azure_core 0.21,
    /// `resource_manager_endpoint`).
    fn endpoint(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com",
            Self::Government => "https://management.usgovcloudapi.net",
            Self::China => "https://management.chinacloudapi.cn",
        }
    }
}

/// Whether tokens may go over plain HTTP to another machine.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PlainHttp {
    /// Only on this machine: a simulator, a proxy that speaks TLS from there on.
    #[default]
    LoopbackOnly,
    /// To anyone. The caller knows his network.
    Anywhere,
}

impl PlainHttp {
    fn check(self, url: &Url) -> Result<(), String> {
        let host = url.host_str().unwrap_or_default();
        let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        let local = host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
        match url.scheme() {
            "https" => Ok(()),
            "http" if local || self == Self::Anywhere => Ok(()),
            "http" => Err(format!(
                "{host} is not this machine, and tokens do not go there over plain HTTP: use https, \
                 or allow PlainHttp::Anywhere"
            )),
            other => Err(format!("{other} is no scheme of an endpoint")),
        }
    }
}

/// The most items that a page of a listing has, where the service allows that many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageSize(u16);

impl PageSize {
    /// What to ask for where the service gives `most` items at most.
    pub(crate) fn at_most(self, most: u16) -> u16 {
        self.0.clamp(1, most)
    }
}

/// Makes an [`UpdateManager`].
#[derive(Clone)]
pub struct UpdateManagerBuilder {
    credential: Arc<dyn TokenCredential>,
    subscriptions: Vec<AccountId>,
    cloud: Cloud,
    endpoint: Option<Url>,
    plain_http: PlainHttp,
    clock: Arc<dyn Clock>,
    page: PageSize,
    budget: CallBudget,
    options: ClientOptions,
    home: Option<BaselineHome>,
    baselines: Baselines,
}

impl UpdateManagerBuilder {
    pub(crate) fn new(credential: Arc<dyn TokenCredential>) -> Self {
        Self {
            credential,
            subscriptions: Vec::new(),
            cloud: Cloud::default(),
            endpoint: None,
            plain_http: PlainHttp::default(),
            clock: Arc::new(SystemClock),
            page: PageSize(u16::MAX),
            budget: CallBudget::default(),
            options: ClientOptions::default(),
            home: None,
            baselines: Baselines::default(),
        }
    }

    /// Names the subscriptions, of which there must be one: what is in no named subscription is
    /// neither listed nor touched.
    #[must_use]
    pub fn with_subscriptions(
        mut self,
        subscriptions: impl IntoIterator<Item = AccountId>,
    ) -> Self {
        self.subscriptions.extend(subscriptions);
        self
    }

    /// Sets which of Microsoft's clouds is meant. The credential must be of the same.
    #[must_use]
    pub fn with_cloud(mut self, cloud: Cloud) -> Self {
        self.cloud = cloud;
        self
    }

    /// Sets the address of Resource Manager, where it is another than the cloud's: a simulator, a
    /// proxy. Tokens are made out for the cloud's all the same.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: Url) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// Sets whether tokens may go over plain HTTP to another machine.
    #[must_use]
    pub fn with_plain_http(mut self, choice: PlainHttp) -> Self {
        self.plain_http = choice;
        self
    }

    /// Sets the clock, for tests on virtual time.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Asks for so many rows on a page of Resource Graph, within what the service allows. The default
    /// is as many as it gives: the fewest calls.
    #[must_use]
    pub fn with_page_size(mut self, rows: u16) -> Self {
        self.page = PageSize(rows);
        self
    }

    /// Sets which share of Azure's rates is used.
    #[must_use]
    pub fn with_budget(mut self, budget: CallBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Sets transport (proxies, certificates), retries of reads, policies and tracing. Writes are sent
    /// once, whatever is set here.
    #[must_use]
    pub fn with_client_options(mut self, options: ClientOptions) -> Self {
        self.options = options;
        self
    }

    /// Names where baselines are made. Without a home, neither baselines nor registrations for patch
    /// groups are written.
    #[must_use]
    pub fn with_baseline_home(mut self, home: BaselineHome) -> Self {
        self.home = Some(home);
        self
    }

    /// Sets which baselines decide what a machine lacks, and what an install brings to it; none by
    /// default.
    #[must_use]
    pub fn with_baselines(mut self, baselines: Baselines) -> Self {
        self.baselines = baselines;
        self
    }

    /// Makes the provider; asks nobody anything.
    ///
    /// # Errors
    /// `InvalidInput` without a subscription, for one that is no id, for a home that is in none of them,
    /// and for an endpoint that is no bare address or would get tokens over plain HTTP.
    pub fn build(self) -> Result<UpdateManager> {
        let subscriptions = self.named()?;
        if subscriptions.is_empty() {
            return Err(invalid("build", "no subscription is named"));
        }
        let home = self.checked_home(&subscriptions)?;
        let choice = self.choice();
        Ok(UpdateManager::new(self.client(subscriptions)?, home, choice))
    }

    /// The baselines that decide, of which nothing is read yet.
    pub(crate) fn choice(&self) -> Choice {
        Choice::from(&self.baselines)
    }

    /// Where baselines are kept: in one of the subscriptions.
    pub(crate) fn checked_home(
        &self,
        subscriptions: &BTreeMap<String, AccountId>,
    ) -> Result<Option<BaselineHome>> {
        let Some(home) = &self.home else { return Ok(None) };
        let named = subscriptions.contains_key(&home.subscription.as_str().to_ascii_lowercase());
        if !named || !is_name(home.resource_group.as_str()) {
            let BaselineHome { subscription, resource_group, .. } = home;
            let message = format!("{subscription}/{resource_group} is no home in a subscription");
            return Err(invalid("build", message));
        }
        Ok(Some(home.clone()))
    }

    /// The home of baselines, where one of these subscriptions holds it.
    pub(crate) fn home_in(
        &self,
        subscriptions: &BTreeMap<String, AccountId>,
    ) -> Option<BaselineHome> {
        self.checked_home(subscriptions).ok().flatten()
    }

    /// The subscriptions that were named, by their ids in lower case.
    pub(crate) fn named(&self) -> Result<BTreeMap<String, AccountId>> {
        let mut named: BTreeMap<String, AccountId> = BTreeMap::new();
        for id in &self.subscriptions {
            if !is_name(id.as_str()) {
                return Err(invalid("build", format!("{id:?} is no id of a subscription")));
            }
            named.entry(id.as_str().to_ascii_lowercase()).or_insert_with(|| id.clone());
        }
        Ok(named)
    }

    /// The client of the tenant, for some of its subscriptions.
    pub(crate) fn client(self, subscriptions: BTreeMap<String, AccountId>) -> Result<Client> {
        let own = Url::parse(self.cloud.endpoint());
        let own = own.map_err(|error| invalid("build", error.to_string()))?;
        let endpoint = self.endpoint.unwrap_or(own);
        let bare = endpoint.path() == "/"
            && endpoint.query().is_none()
            && endpoint.fragment().is_none()
            && endpoint.username().is_empty()
            && endpoint.password().is_none()
            && endpoint.has_host();
        if !bare {
            return Err(invalid("build", "an endpoint is a scheme, a host and perhaps a port"));
        }
        self.plain_http.check(&endpoint).map_err(|message| invalid("build", message))?;
        let audience = format!("{}/.default", self.cloud.endpoint());
        let tokens = Tokens::new(self.credential, audience, Arc::clone(&self.clock));
        let limiter = Limiter::new(self.budget, Arc::clone(&self.clock));
        Ok(Client::new(
            subscriptions,
            endpoint,
            self.clock,
            self.page,
            limiter,
            tokens,
            &self.options,
        ))
    }
}

impl fmt::Debug for UpdateManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdateManagerBuilder")
            .field("subscriptions", &self.subscriptions)
            .field("cloud", &self.cloud)
            .field("endpoint", &self.endpoint.as_ref().and_then(Url::host_str))
            .field("plain_http", &self.plain_http)
            .field("budget", &self.budget)
            .field("home", &self.home)
            .field("baselines", &self.baselines)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_to_loopback_only_unless_asked_for() {
        for (url, local) in [
            ("http://127.0.0.1:4000/", true),
            ("http://[::1]:4000/", true),
            ("http://localhost:4000/", true),
            ("https://management.azure.com/", true),
            ("http://management.azure.com/", false),
            ("http://localhost.example.com/", false),
            ("http://127.0.0.1.example.com/", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(PlainHttp::LoopbackOnly.check(&url).is_ok(), local, "{url}");
            assert!(PlainHttp::Anywhere.check(&url).is_ok());
        }
        assert!(PlainHttp::Anywhere.check(&Url::parse("ftp://127.0.0.1/").unwrap()).is_err());
    }
}
