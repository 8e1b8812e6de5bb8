//! How a world is made, and what is in the hand of who made it.

use std::{
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use jiff::Timestamp;
use patchkit_core::{Clock as _, SystemClock};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::{
    aws,
    aws::{
        ring::{Key, KeyRing},
        sns::Message,
    },
    azure,
    clock::SimClock,
    control::Control,
    fault::{Fault, FaultStatus, InvalidFault, Reply},
    keeper::Keeper,
    keys::Keys,
    limit::RateLimit,
    places,
    policy::{Allowance, Denial},
    record::Calls,
    s3::{S3Options, S3Server, SignatureChecks},
    s3_tap::{S3Tap, SessionClock},
    seed::{NodeSpec, PatchSpec},
    server::{Answer, Listening, bind},
    shared::{Shared, lock},
    sink::FolderSink,
    truth::{NodeChange, NodeTruth},
    world::{Consistency, State, clock::WorldClock, machine::Behavior, populate::Plan},
};

/// A simulated world that serves its endpoints until it is dropped.
#[derive(Debug)]
pub struct World {
    shared: Arc<Shared>,
    endpoints: Endpoints,
    s3: S3Server,
    _listening: [Listening; 3],
    _keeper: Keeper,
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
    consistency: Consistency,
    listen: SocketAddr,
    checks: SignatureChecks,
    lake: Option<PathBuf>,
    throttles: Throttles,
    azure_page: usize,
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
            consistency: Consistency::default(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            checks: SignatureChecks::Off,
            lake: None,
            throttles: Throttles::Documented,
            azure_page: 50,
        }
    }

    /// Where it is to be reached, and by which keys.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Makes a bucket unless it is there.
    ///
    /// # Errors
    /// `InvalidInput` for a name that no bucket can have; or its folder cannot be made.
    pub fn ensure_bucket(&self, bucket: &str) -> patchkit_core::Result<()> {
        self.s3.ensure_bucket(bucket)
    }

    /// The world's time.
    pub fn now(&self) -> Timestamp {
        lock(&self.shared.clock).now()
    }

    /// A clock of the world's time: who sleeps on it makes it pass.
    pub fn clock(&self) -> SimClock {
        SimClock(Arc::clone(&self.shared))
    }

    /// Lets time pass, and all happen that is due by then; what is to be written is written.
    pub fn advance(&self, by: Duration) {
        self.shared.advance(by);
    }

    /// Changes how many seconds of the world pass in a real one: from zero to a million; what is beyond is
    /// taken as the nearest of them.
    pub fn set_speed(&self, speed: f64) {
        lock(&self.shared.clock).set_speed(speed);
    }

    /// Every request so far. 200,000 are kept, of which the oldest reads go first:
    /// [`Calls::dropped`] tells how many went.
    pub fn calls(&self) -> Calls {
        self.shared.calls()
    }

    /// Forgets the requests so far.
    pub fn forget_calls(&self) {
        lock(&self.shared.record).forget();
    }

    /// Sets a fault; its number takes it back.
    ///
    /// # Errors
    /// Where one of its globs cannot be read, or the service that it names has no such fault.
    pub fn add_fault(&self, fault: Fault) -> Result<u64, InvalidFault> {
        lock(&self.shared.faults).add(fault)
    }

    /// Takes a fault back; says whether it was there.
    pub fn remove_fault(&self, number: u64) -> bool {
        lock(&self.shared.faults).remove(number)
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// The faults that are set, with how often each was met.
    pub fn faults(&self) -> Vec<FaultStatus> {
        lock(&self.shared.faults).status()
    }

    /// Denies someone something.
    ///
    /// # Errors
    /// Where one of its globs cannot be read.
    pub fn deny(&self, denial: Denial) -> Result<(), InvalidPattern> {
        lock(&self.shared.policy).deny(denial).map_err(|error| InvalidPattern::new(&error))
    }

    /// Allows someone some actions, and nothing else.
    ///
    /// # Errors
    /// Where one of its globs cannot be read.
    pub fn allow_only(&self, allowance: &Allowance) -> Result<(), InvalidPattern> {
        let mut policy = lock(&self.shared.policy);
        policy.allow_only(allowance).map_err(|error| InvalidPattern::new(&error))
    }

    /// Lets everyone do everything again.
    pub fn allow_all(&self) {
        lock(&self.shared.policy).clear();
    }

    /// Limits how often an operation is called, whatever is documented.
    ///
    /// # Errors
    /// Where its glob cannot be read.
    pub fn limit(&self, limit: RateLimit) -> Result<(), InvalidPattern> {
        lock(&self.shared.limits).add(limit).map_err(|error| InvalidPattern::new(&error))
    }

    /// Every message that was published to a topic, in order of time.
    pub fn messages(&self) -> Vec<Message> {
        self.shared.settled().messages()
    }

    /// The ids of all machines: `i-…` or `mi-…` where Systems Manager can know them, else Azure's.
    pub fn node_ids(&self) -> Vec<String> {
        self.shared.settled().all_ids()
    }

    /// What is really so of a machine, by an id of either cloud or its host name.
    pub fn node(&self, id: &str) -> Option<NodeTruth> {
        let state = self.shared.settled();
        state.find_anywhere(id).map(|at| state.truth(at))
    }

    /// Adds a machine; returns its id, `i-…`, `mi-…` or that of a resource.
    ///
    /// # Errors
    /// `InvalidInput` where the world has no such place or operating system, or where the parts do not
    /// fit together.
    pub fn add_node(&self, spec: &NodeSpec) -> patchkit_core::Result<String> {
        self.shared.settled().add_node(spec)
    }

    /// Replaces what is on a machine, and has it reported as an operation would at this moment: by a
    /// scan, and by an assessment of Azure's. What its last installs brought is forgotten.
    ///
    /// # Errors
    /// `NotFound` without such a machine; `InvalidInput` where a patch comes twice.
    pub fn set_patches(&self, id: &str, patches: &[PatchSpec]) -> patchkit_core::Result<()> {
        self.shared.settled().set_patches(id, patches)
    }

    /// A key of another user of an account, by which its requests are told from those of others; none
    /// where the world has no such account, or the user no name. Asked again for the same user, the key is the same.
    pub fn add_caller(&self, account: &str, user: &str) -> Option<AccountKey> {
        let key = self.shared.keys.of_user(account, user)?;
        Some(AccountKey::of(&key))
    }

    /// Changes a machine behind both clouds' backs; says whether it did. It does not where there is no
    /// such machine, where one of Azure's is to be terminated, or one that was terminated is to have
    /// another power.
    pub fn change_node(&self, id: &str, change: &NodeChange) -> bool {
        let mut state = self.shared.settled();
        let found = state.find_anywhere(id);
        found.is_some_and(|at| state.change(at, change).is_ok())
    }
}

/// A pattern of a denial or a limit that is no glob.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidPattern(String);

impl InvalidPattern {
    fn new(error: &globset::Error) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidPattern {}

/// Where a world is to be reached.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Endpoints {
    /// All AWS services but S3.
    pub aws_endpoint: String,
    /// S3.
    pub s3_endpoint: String,
    /// Azure Resource Manager, and where its tokens come from.
    pub azure_endpoint: String,
    /// Time, faults, the record of requests and the truth of machines.
    pub control_endpoint: String,
    /// The ids of the accounts.
    pub accounts: Vec<String>,
    /// The Regions of each account.
    pub regions: Vec<String>,
    /// The ids of the subscriptions.
    pub subscriptions: Vec<String>,
    /// A key for each account.
    pub credentials: Vec<AccountKey>,
}

impl Endpoints {
    fn new(
        plan: &Plan,
        keys: &KeyRing,
        [aws, azure]: [&Listening; 2],
        s3: &S3Server,
        control: SocketAddr,
    ) -> Self {
        let accounts = plan.accounts.iter().map(|(id, _)| id.to_string());
        let credentials =
            plan.accounts.iter().filter_map(|(id, _)| Some(AccountKey::of(&keys.of_account(id)?)));
        Self {
            aws_endpoint: aws.url(),
            s3_endpoint: s3.endpoint(),
            azure_endpoint: azure.url(),
            control_endpoint: format!("http://{control}"),
            accounts: accounts.collect(),
            regions: plan.regions.iter().map(ToString::to_string).collect(),
            subscriptions: plan.subscriptions.iter().map(|(id, _)| id.to_string()).collect(),
            credentials: credentials.collect(),
        }
    }
}

/// A long-lived key of a simulated account. It opens nothing else, so it is shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct AccountKey {
    /// The account.
    pub account: String,
    /// The key's id.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// Who calls by it, as requests are recorded.
    pub caller: String,
}

impl AccountKey {
    pub(super) fn of(key: &Key) -> Self {
        Self {
            account: key.caller.account.to_string(),
            access_key_id: key.id.clone(),
            secret_access_key: key.entry.secret.expose().to_owned(),
            caller: key.caller.arn.clone(),
        }
    }
}

impl WorldBuilder {
    /// The seed of all that is made: nodes, their patches, keys and how they behave. Accounts, Regions and
    /// subscriptions are the same for each.
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

    /// How many machines there are: none at all, or at least two for each account and Region.
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

    /// How late Run Command's reads see the invocations of a new command, give or take a half:
    /// two seconds, where nothing else is said.
    #[must_use]
    pub fn invocations_appear_after(mut self, late: Duration) -> Self {
        self.consistency.invocations = late;
        self
    }

    /// How many seconds of the world pass in a real one: zero, where only tests move it; a million at
    /// most.
    #[must_use]
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }

    /// When the world begins, in one of the years 1970 to 9000; without it, now.
    ///
    /// With it nothing that is answered depends on the machine's clock: one seed, one start and the
    /// same requests give the same bytes, but for the header `Date` and, where rates are limited, what is
    /// left of them. Temporary credentials and tokens then end by the world's time: to a client that looks
    /// at its own clock, those of a world in the past have ended when it gets them.
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

    /// The address to listen on. Port 0: each endpoint takes a free one. Another: AWS listens there,
    /// S3, Azure and the control endpoint on the next three.
    #[must_use]
    pub fn listen(mut self, at: SocketAddr) -> Self {
        self.listen = at;
        self
    }

    /// Sets whether requests must be signed, or carry a token, of this world.
    #[must_use]
    pub fn signature_checks(mut self, checks: SignatureChecks) -> Self {
        self.checks = checks;
        self
    }

    /// The folder that the data sync of all accounts and Regions is written to, from the start and
    /// whenever a node changes; and the output of commands that name a bucket, under the same key.
    /// Without it, only syncs that clients make are written, to S3.
    ///
    /// The first objects are written in the background: [`World::advance`], be it by nothing, waits
    /// for the last of them. Of what cannot be written, each cause is told once on standard error.
    #[must_use]
    pub fn lake(mut self, folder: impl Into<PathBuf>) -> Self {
        self.lake = Some(folder.into());
        self
    }

    /// Makes the world and serves it.
    ///
    /// # Errors
    /// Where an account, a Region or a subscription is none or is there twice, the start or the speed is
    /// beyond what is possible, the address cannot be listened on, or the lake not be written.
    pub async fn start(self) -> io::Result<World> {
        places::check(&self.accounts, &self.regions, &self.subscriptions)?;
        places::check_time(self.start_at, self.speed)?;
        let plan = self.plan();
        let mut state = State::new(&plan);
        if let Some(folder) = &self.lake {
            let sink = FolderSink::open(folder).map_err(|error| {
                io::Error::new(error.kind(), format!("no lake in {}: {error}", folder.display()))
            })?;
            let kept = state.keep_lake(Arc::new(sink));
            kept.map_err(|error| io::Error::other(error.report()))?;
        }
        azure::write_rows(&mut state);
        let clock = WorldClock::new(plan.now, self.speed);
        let accounts: Vec<_> = plan.accounts.iter().map(|(id, _)| Arc::clone(id)).collect();
        let keys = KeyRing::new(plan.seed, &accounts);
        let mut shared = Shared::new(state, clock, keys, self.checks);
        if self.start_at.is_some() {
            shared.real_start = None;
        }
        if self.throttles == Throttles::Documented {
            shared.buckets = Some(Mutex::default());
        }
        shared.bearer.checked = self.checks == SignatureChecks::On;
        shared.azure_page = self.azure_page;
        let shared = Arc::new(shared);
        let aws = Listening::on(bind(self.listen, 0).await?, Arc::new(Aws(Arc::clone(&shared))))?;
        let s3 = s3(&shared, bind(self.listen, 1).await?)?;
        {
            let mut state = shared.settled();
            state.objects = Some(Arc::new(s3.writer()));
            state.files = Some(Arc::new(s3.writer()));
        }
        let azure =
            Listening::on(bind(self.listen, 2).await?, Arc::new(Azure(Arc::clone(&shared))))?;
        // The control endpoint tells where everything is, itself too: it must listen to know.
        let control = bind(self.listen, 3).await?;
        let endpoints =
            Endpoints::new(&plan, &shared.keys, [&aws, &azure], &s3, control.local_addr()?);
        let answer = Control { shared: Arc::clone(&shared), endpoints: endpoints.clone() };
        let control = Listening::on(control, Arc::new(answer))?;
        let keeper = Keeper::start(&shared)?;
        Ok(World { shared, endpoints, s3, _listening: [aws, azure, control], _keeper: keeper })
    }

    pub(super) fn plan(&self) -> Plan {
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
            nodes: match self.nodes {
                0 => 0,
                nodes => nodes.max(accounts.len() * regions.len() * 2),
            },
            accounts,
            regions,
            subscriptions: named(&self.subscriptions, &SUBSCRIPTIONS),
            patches: self.patches,
            behavior: self.behavior,
            consistency: self.consistency,
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

fn s3(shared: &Arc<Shared>, listener: TcpListener) -> io::Result<S3Server> {
    let keys: Arc<dyn Keys> = Arc::clone(&shared.keys) as _;
    let clock = Arc::new(SessionClock(Arc::clone(shared)));
    let options = S3Options::new(keys, clock)
        .with_checks(shared.checks)
        .with_tap(Arc::new(S3Tap(Arc::clone(shared))));
    S3Server::start(listener, options).map_err(|error| io::Error::other(error.report()))
}

struct Aws(Arc<Shared>);

impl Answer for Aws {
    fn answer(&self, request: &Request<Bytes>) -> Reply {
        aws::answer(&self.0, request)
    }

    fn too_long(&self, request: &Request<Bytes>) -> Reply {
        aws::too_long(&self.0, request)
    }
}

struct Azure(Arc<Shared>);

impl Answer for Azure {
    fn answer(&self, request: &Request<Bytes>) -> Reply {
        azure::answer(&self.0, request)
    }

    fn too_long(&self, request: &Request<Bytes>) -> Reply {
        azure::too_long(&self.0, request)
    }
}
