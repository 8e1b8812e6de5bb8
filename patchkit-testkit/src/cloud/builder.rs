//! How a world is made, and what is in the hand of who made it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;
use patchkit_core::{Clock as _, SystemClock};
use serde::Serialize;

use super::{
    aws,
    aws::keys::Keys,
    azure,
    record::Calls,
    server::{Answer, Listening},
    shared::{Shared, lock},
    world::{State, clock::WorldClock, machine::Behavior, populate::Plan},
};

/// A simulated world that serves its endpoints until it is dropped.
#[derive(Debug)]
pub struct World {
    shared: Arc<Shared>,
    aws: Listening,
    azure: Listening,
    plan: Plan,
}

/// Says what a [`World`] is made of.
#[derive(Clone, Debug)]
pub struct WorldBuilder {
    seed: u64,
    start_at: Option<Timestamp>,
    speed: f64,
    accounts: Vec<String>,
    regions: Vec<String>,
    subscriptions: Vec<String>,
    nodes: usize,
    patches: usize,
    behavior: Option<Behavior>,
    listen: SocketAddr,
    throttles: Throttles,
    azure_page: usize,
    check_bearer: bool,
}

/// Whether requests are limited as the services limit them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Throttles {
    /// By the documented rates.
    #[default]
    Documented,
    /// Not at all.
    Off,
}

impl World {
    /// A world of three accounts in two Regions, two subscriptions and 300 nodes, whose time only
    /// [`advance`](Self::advance) moves.
    pub fn builder() -> WorldBuilder {
        WorldBuilder {
            seed: 7,
            start_at: None,
            speed: 0.0,
            accounts: Vec::new(),
            regions: Vec::new(),
            subscriptions: Vec::new(),
            nodes: 300,
            patches: 400,
            behavior: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            throttles: Throttles::Documented,
            azure_page: 50,
            check_bearer: false,
        }
    }

    /// Where it is to be reached, and by which keys.
    pub fn endpoints(&self) -> Endpoints {
        let accounts = self.plan.accounts.iter().map(|(id, _)| id.to_string());
        let credentials = self.plan.accounts.iter().filter_map(|(id, _)| {
            let key = self.shared.keys.of_account(id)?;
            let account = id.to_string();
            let (access_key_id, secret_access_key) = (key.access_key, key.secret);
            Some(AccountKey { account, access_key_id, secret_access_key })
        });
        Endpoints {
            aws_endpoint: self.aws.url(),
            azure_endpoint: self.azure.url(),
            accounts: accounts.collect(),
            regions: self.plan.regions.iter().map(ToString::to_string).collect(),
            subscriptions: self.plan.subscriptions.iter().map(|(id, _)| id.to_string()).collect(),
            credentials: credentials.collect(),
        }
    }

    /// The world's time.
    pub fn now(&self) -> Timestamp {
        lock(&self.shared.clock).now()
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        lock(&self.shared.clock).advance(by);
    }

    /// Every request so far.
    pub fn calls(&self) -> Calls {
        self.shared.calls()
    }
}

/// Where a world is to be reached.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Endpoints {
    /// All AWS services but S3.
    pub aws_endpoint: String,
    /// Azure Resource Manager and where its tokens come from.
    pub azure_endpoint: String,
    /// The ids of the accounts.
    pub accounts: Vec<String>,
    /// The Regions of each account.
    pub regions: Vec<String>,
    /// The ids of the subscriptions.
    pub subscriptions: Vec<String>,
    /// A key for each account.
    pub credentials: Vec<AccountKey>,
}

/// A long-lived key of a simulated account. It opens nothing else, so it is shown.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct AccountKey {
    /// The account.
    pub account: String,
    /// The key's id.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
}

impl WorldBuilder {
    /// The seed that everything follows from.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds an account, by its twelve digits; the first one takes the place of the usual three.
    #[must_use]
    pub fn aws_account(mut self, id: impl Into<String>) -> Self {
        self.accounts.push(id.into());
        self
    }

    /// Adds a Region to every account; the first one takes the place of the usual two.
    #[must_use]
    pub fn aws_region(mut self, name: impl Into<String>) -> Self {
        self.regions.push(name.into());
        self
    }

    /// Adds a subscription, by its id; the first one takes the place of the usual two.
    #[must_use]
    pub fn azure_subscription(mut self, id: impl Into<String>) -> Self {
        self.subscriptions.push(id.into());
        self
    }

    /// How many machines there are, at least two for each account and Region.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// About how many patches there are for all operating systems together.
    #[must_use]
    pub fn patches(mut self, patches: usize) -> Self {
        self.patches = patches;
        self
    }

    /// Makes every machine behave like this, instead of a mixture.
    #[must_use]
    pub fn behavior(mut self, behavior: Behavior) -> Self {
        self.behavior = Some(behavior);
        self
    }

    /// How many seconds of the world pass in a real one: zero, where only tests move it.
    #[must_use]
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }

    /// When the world begins; without it, now.
    #[must_use]
    pub fn start_at(mut self, at: Timestamp) -> Self {
        self.start_at = Some(at);
        self
    }

    /// Whether requests are limited by the documented rates, as they are without this.
    #[must_use]
    pub fn throttles(mut self, throttles: Throttles) -> Self {
        self.throttles = throttles;
        self
    }

    /// How many items a page of a list of Azure's holds: 50 without this.
    #[must_use]
    pub fn azure_page_size(mut self, items: usize) -> Self {
        self.azure_page = items.max(1);
        self
    }

    /// Checks the tokens of requests to Azure: without this any bearer is accepted.
    #[must_use]
    pub fn check_bearer(mut self) -> Self {
        self.check_bearer = true;
        self
    }

    /// The address to listen on; each endpoint takes a free port of it.
    #[must_use]
    pub fn listen(mut self, at: SocketAddr) -> Self {
        self.listen = at;
        self
    }

    /// Makes the world and serves it.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub async fn start(self) -> io::Result<World> {
        let plan = self.plan();
        let state = State::new(&plan);
        let clock = WorldClock::new(plan.now, self.speed);
        let accounts: Vec<_> = plan.accounts.iter().map(|(id, _)| Arc::clone(id)).collect();
        let mut shared = Shared::new(state, clock, Keys::new(plan.seed, &accounts));
        if self.throttles == Throttles::Off {
            shared.buckets = None;
        }
        shared.bearer.checked = self.check_bearer;
        shared.azure_page = self.azure_page;
        let shared = Arc::new(shared);
        let aws = Listening::start(self.listen, Arc::new(Aws(Arc::clone(&shared)))).await?;
        let azure = Listening::start(self.listen, Arc::new(Azure(Arc::clone(&shared)))).await?;
        Ok(World { shared, aws, azure, plan })
    }

    fn plan(&self) -> Plan {
        let accounts = named(&self.accounts, &ACCOUNTS);
        let usual = |given: &[String], usual: &[&str]| -> Vec<Arc<str>> {
            match given {
                [] => usual.iter().map(|it| Arc::from(*it)).collect(),
                given => given.iter().map(|it| Arc::from(it.as_str())).collect(),
            }
        };
        let regions = usual(&self.regions, &["us-east-1", "eu-west-1"]);
        Plan {
            seed: self.seed,
            now: self.start_at.unwrap_or_else(|| SystemClock.now()),
            nodes: self.nodes.max(accounts.len() * regions.len() * 2),
            accounts,
            regions,
            subscriptions: named(&self.subscriptions, &SUBSCRIPTIONS),
            patches: self.patches,
            behavior: self.behavior,
        }
    }
}

const ACCOUNTS: [(&str, &str); 3] = [
    ("111122223333", "security"),
    ("222233334444", "shared-services"),
    ("333344445555", "application"),
];

const SUBSCRIPTIONS: [(&str, &str); 2] = [
    ("11111111-2222-3333-4444-555555555555", "production"),
    ("66666666-7777-8888-9999-000000000000", "office"),
];

/// What was given, each with a name of its own; else the usual ones.
fn named(given: &[String], usual: &[(&str, &str)]) -> Vec<(Arc<str>, Arc<str>)> {
    let pair = |id: &str, name: &str| (Arc::from(id), Arc::from(name));
    if given.is_empty() {
        return usual.iter().map(|(id, name)| pair(id, name)).collect();
    }
    let names = usual.iter().map(|(_, name)| (*name).to_owned());
    let names = names.chain((usual.len()..).map(|n| format!("number-{}", n + 1)));
    given.iter().zip(names).map(|(id, name)| pair(id, &name)).collect()
}

struct Aws(Arc<Shared>);

impl Answer for Aws {
    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let (response, outcome) = aws::answer(&self.0, request);
        self.0.note(outcome);
        response
    }
}

struct Azure(Arc<Shared>);

impl Answer for Azure {
    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let (response, outcome) = azure::answer(&self.0, request);
        self.0.note(outcome);
        response
    }
}
