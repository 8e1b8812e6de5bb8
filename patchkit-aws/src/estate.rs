//! Accounts and Regions as one estate, each reached by a role of its account.

#[cfg(feature = "organizations")]
mod organization;
mod role;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use aws_config::SdkConfig;
use futures::{StreamExt, stream};
use patchkit_core::{AccountId, Error, ErrorKind, Estate, Region, Result, Retry};

use self::role::{CheckedRole, RoleOptions};
use crate::{
    CommandOptions, Ssm, SsmBuilder,
    client::Client,
    config::Caller,
    error::{PROVIDER, invalid},
};

/// Says which accounts and Regions an [`Estate`] has, and how they are reached.
///
/// # Behavior
/// - Without accounts it is the caller's own. He reaches that with his own credentials, and every
///   other one by a [role](Self::with_role) of the same name in each.
/// - Without Regions it is those that are enabled in each account, which needs the feature `ec2` and
///   `ec2:DescribeRegions`. Regions that are named are compared with those, where that is allowed.
/// - A role is assumed once for all Regions and services of its account, at the STS of the
///   configuration's Region, whose sessions are good in every Region. It is assumed again before the
///   session ends, and when a service says that it has ended.
/// - A scope that cannot be opened is a [row](OpenedEstate::failures), and the others are opened.
///   What fails later is an error of its scope alone, as in any estate.
/// - Opening makes one call, what the listing of the organization takes, and two for each account.
///
/// # Example
/// ```no_run
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// use patchkit_aws::Accounts;
///
/// let sdk = aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await;
/// let opened = Accounts::from_sdk_config(&sdk)
///     .with_accounts(["111122223333".parse()?, "444455556666".parse()?])
///     .with_regions(["eu-west-1".parse()?, "us-east-1".parse()?])
///     .with_role("PatchKit")
///     .with_external_id("patch-night")
///     .open()
///     .await?;
/// for failure in &opened.failures {
///     eprintln!("{failure}");
/// }
/// println!("{:?}", opened.estate);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Accounts {
    ssm: SsmBuilder,
    listed: BTreeSet<AccountId>,
    #[cfg(feature = "organizations")]
    members: Option<organization::Members>,
    excluded: BTreeSet<AccountId>,
    regions: BTreeSet<Region>,
    role: RoleOptions,
    commands: CommandOptions,
    parallel: usize,
}

impl Accounts {
    /// The accounts that the credentials of an SDK configuration open.
    pub fn from_sdk_config(sdk: &SdkConfig) -> Self {
        Self::from_builder(Ssm::builder(sdk))
    }

    /// The accounts that the credentials of `ssm` open. The provider of each scope is made as `ssm`
    /// says: clock, page size, endpoint of S3, and a budget for each.
    pub fn from_builder(ssm: SsmBuilder) -> Self {
        Self {
            ssm,
            listed: BTreeSet::new(),
            #[cfg(feature = "organizations")]
            members: None,
            excluded: BTreeSet::new(),
            regions: BTreeSet::new(),
            role: RoleOptions::default(),
            commands: CommandOptions::default(),
            parallel: 16,
        }
    }

    /// Adds an account.
    #[must_use]
    pub fn with_account(mut self, account: AccountId) -> Self {
        self.listed.insert(account);
        self
    }

    /// Adds accounts.
    #[must_use]
    pub fn with_accounts(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        self.listed.extend(accounts);
        self
    }

    /// Adds all active accounts of the organization, of which the caller's must be the managing one,
    /// or one that is delegated to.
    #[cfg(feature = "organizations")]
    #[must_use]
    pub fn with_organization(mut self) -> Self {
        self.members = Some(organization::Members::All);
        self
    }

    /// Adds the active accounts of a root or an organizational unit, and of the units below it.
    #[cfg(feature = "organizations")]
    #[must_use]
    pub fn with_unit(mut self, id: impl Into<String>) -> Self {
        self.members = Some(organization::Members::Under(id.into()));
        self
    }

    /// Leaves accounts out, wherever they come from.
    #[must_use]
    pub fn without_accounts(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        self.excluded.extend(accounts);
        self
    }

    /// Adds Regions.
    #[must_use]
    pub fn with_regions(mut self, regions: impl IntoIterator<Item = Region>) -> Self {
        self.regions.extend(regions);
        self
    }

    /// Names the role that is assumed in every account but the caller's own; a path may be in front.
    #[must_use]
    pub fn with_role(mut self, name: impl Into<String>) -> Self {
        self.role.name = Some(name.into());
        self
    }

    /// Sets the external id that the roles' trust policies ask for.
    #[must_use]
    pub fn with_external_id(mut self, id: impl Into<String>) -> Self {
        self.role.external_id = Some(id.into());
        self
    }

    /// Names the sessions, as the accounts' trails show them: `patchkit-` and the caller's name
    /// where none is set.
    #[must_use]
    pub fn with_session_name(mut self, name: impl Into<String>) -> Self {
        self.role.session = Some(name.into());
        self
    }

    /// Sets how long a session lasts before it is renewed; an hour where none is set, and at most
    /// where the caller is himself a role's session.
    #[must_use]
    pub fn with_session_duration(mut self, duration: Duration) -> Self {
        self.role.duration = duration;
        self
    }

    /// Sets how commands are sent in each scope.
    #[must_use]
    pub fn with_command_options(mut self, options: CommandOptions) -> Self {
        self.commands = options;
        self
    }

    /// Sets how many accounts are opened, and afterwards how many scopes are worked on, at once; 16
    /// where none is set.
    #[must_use]
    pub fn with_parallel(mut self, scopes: usize) -> Self {
        self.parallel = scopes.max(1);
        self
    }

    /// Opens what can be opened.
    ///
    /// # Errors
    /// `InvalidInput` without a Region or a role where one is needed, or for what STS would refuse in
    /// every account; as GetCallerIdentity and Organizations; the first scope's where none could be
    /// opened: an estate of nothing would look like one where all is well.
    pub async fn open(self) -> Result<OpenedEstate> {
        if cfg!(not(feature = "ec2")) && self.regions.is_empty() {
            let message = "name the Regions: without the feature ec2 they cannot be listed";
            return Err(invalid("open", message));
        }
        let mut ssm = self.ssm.clone().sharing();
        if let (None, Some(first)) = (ssm.region()?, self.regions.first()) {
            ssm = ssm.in_region(first);
        }
        let caller = Box::pin(ssm.ask()).await?;
        let own = Arc::new(ssm.client(caller.account.clone())?);
        let accounts = self.accounts(&own, &caller).await?;
        let foreign = accounts.iter().any(|account| *account != caller.account);
        let role = foreign.then(|| self.role.checked(&caller)).transpose()?;
        let way = Way { asked: &self, ssm, own, role };

        let answers: Vec<Vec<Answer>> = stream::iter(accounts)
            .map(|account| Box::pin(way.account(account)))
            .buffered(self.parallel)
            .collect()
            .await;
        let mut opened = OpenedEstate {
            estate: Estate::new().with_parallel(self.parallel),
            scopes: Vec::new(),
            failures: Vec::new(),
        };
        for answer in answers.into_iter().flatten() {
            match answer {
                Ok(ssm) => {
                    let scope = ssm.scope().clone();
                    opened.estate = opened.estate.with([scope], Arc::new(ssm.clone()));
                    opened.scopes.push(ssm);
                }
                Err(failure) => opened.failures.push(failure),
            }
        }
        match opened.failures.first() {
            Some(first) if opened.scopes.is_empty() => {
                Err(Error::new(first.kind, PROVIDER, "open", first.to_string())
                    .with_retry(first.retry))
            }
            _ => Ok(opened),
        }
    }

    /// The accounts, each once.
    #[cfg_attr(
        not(feature = "organizations"),
        expect(clippy::unused_async, reason = "as with Organizations")
    )]
    async fn accounts(&self, own: &Arc<Client>, caller: &Caller) -> Result<Vec<AccountId>> {
        let mut all = self.listed.clone();
        #[cfg(feature = "organizations")]
        let organized = if let Some(members) = &self.members {
            all.extend(organization::accounts(own, members).await?);
            true
        } else {
            false
        };
        #[cfg(not(feature = "organizations"))]
        let (organized, _) = (false, own);
        if all.is_empty() && !organized {
            all.insert(caller.account.clone());
        }
        all.retain(|account| !self.excluded.contains(account));
        if all.is_empty() {
            return Err(invalid("open", "no account is left to open"));
        }
        Ok(all.into_iter().collect())
    }
}

/// A scope, or why it is not one.
type Answer = Result<Ssm, UnopenedScope>;

/// How accounts are opened.
struct Way<'a> {
    asked: &'a Accounts,
    ssm: SsmBuilder,
    own: Arc<Client>,
    role: Option<CheckedRole>,
}

impl Way<'_> {
    async fn account(&self, account: AccountId) -> Vec<Answer> {
        let named = &self.asked.regions;
        let foreign = account != *self.own.scope.account();
        let ssm = match self.role.as_ref().filter(|_| foreign) {
            Some(role) => role.sessions(&self.ssm, &self.own, &account),
            None => self.ssm.clone(),
        };
        let refused = |region: &Region, error: &Error| {
            UnopenedScope::new(&account, Some(region.clone()), error)
        };
        let enabled = match regions(&ssm, &account).await {
            Ok(enabled) => enabled,
            Err(error) if named.is_empty() => {
                return vec![Err(UnopenedScope::new(&account, None, &error))];
            }
            // The role is there, and may patch.
            Err(error) if is_denied_listing(&error) => None,
            Err(error) => return named.iter().map(|it| Err(refused(it, &error))).collect(),
        };
        let regions = if named.is_empty() { enabled.as_ref().unwrap_or(named) } else { named };
        let open = |region: &Region| {
            if enabled.as_ref().is_some_and(|enabled| !enabled.contains(region)) {
                let message =
                    format!("{region} is not a Region that account {account} has enabled");
                return Err(Error::new(ErrorKind::NotFound, PROVIDER, "DescribeRegions", message));
            }
            let client = ssm.in_region(region).client(account.clone())?;
            Ok(Ssm::new(client).with_command_options(self.asked.commands.clone()))
        };
        let answers = regions.iter().map(|it| open(it).map_err(|error| refused(it, &error)));
        answers.collect()
    }
}

/// The Regions that are enabled in an account, where they can be listed; in any case whether its
/// credentials are good.
#[cfg(feature = "ec2")]
async fn regions(ssm: &SsmBuilder, account: &AccountId) -> Result<Option<BTreeSet<Region>>> {
    let client = ssm.client(account.clone())?;
    let request = client.ec2().describe_regions().send();
    let answer = client.read("DescribeRegions", request).await?;
    // Without AllRegions they are those that are enabled, as the status of each says once more (EC2
    // API reference, "DescribeRegions").
    let enabled = answer.regions().iter().filter(|it| it.opt_in_status() != Some("not-opted-in"));
    enabled.filter_map(|it| it.region_name()).map(Region::new).collect::<Result<_>>().map(Some)
}

#[cfg(not(feature = "ec2"))]
async fn regions(ssm: &SsmBuilder, _: &AccountId) -> Result<Option<BTreeSet<Region>>> {
    ssm.ask().await.map(|_| None)
}

/// Whether an account may be used, but not its Regions listed.
fn is_denied_listing(error: &Error) -> bool {
    error.operation() == "DescribeRegions" && error.kind() == ErrorKind::PermissionDenied
}

/// What was opened, and what was not.
#[derive(Debug)]
#[non_exhaustive]
pub struct OpenedEstate {
    /// The scopes as one fleet.
    pub estate: Estate,
    /// The provider of each scope, for what only AWS has.
    pub scopes: Vec<Ssm>,
    /// The scopes that could not be opened: nothing of them is in the estate.
    pub failures: Vec<UnopenedScope>,
}

/// A scope that could not be opened, while others were.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct UnopenedScope {
    /// The account.
    pub account: AccountId,
    /// The Region; none where the account's Regions were not named and could not be listed.
    pub region: Option<Region>,
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// Whether it may be opened later.
    pub retry: Retry,
    /// Why: the chain of causes on one line. Holds AWS's words: escape before showing.
    pub error: String,
}

impl UnopenedScope {
    fn new(account: &AccountId, region: Option<Region>, error: &Error) -> Self {
        Self {
            account: account.clone(),
            region,
            kind: error.kind(),
            retry: error.retry(),
            error: error.report(),
        }
    }
}

impl fmt::Display for UnopenedScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let region = self.region.as_ref().map_or("*", Region::as_str);
        write!(f, "not opened: {PROVIDER}/{}/{region}: {}", self.account, self.error)
    }
}
