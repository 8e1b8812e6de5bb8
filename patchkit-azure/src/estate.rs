//! Subscriptions of several tenants as one estate, each tenant reached by a credential of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::ready,
    sync::Arc,
};

use futures::{
    FutureExt, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{AccountId, Error, ErrorKind, Estate, Region, Result, Retry, Scope};
use serde_json::Value;

use crate::{
    Addresses, UpdateManager, UpdateManagerBuilder,
    client::Client,
    convert::node::text,
    error::{PROVIDER, invalid, malformed, shown},
    graph::BATCH,
    ids::{EVERYWHERE, is_name, scope},
    limit::Charge,
};

const GET: &str = "Subscriptions_Get";
const LIST: &str = "Subscriptions_List";
const VERSION: &str = "2022-12-01";

/// Says which subscriptions an [`Estate`] has, and how they are reached.
///
/// # Behavior
/// - A tenant is a builder of an [`UpdateManager`], with the credential that opens it. Without
///   subscriptions they are those that the credential may read in its tenant.
/// - Each subscription is proven by a read of it, as a listing of subscriptions is too, and by
///   Resource Graph, which silently leaves out what its caller may not read. One that fails, or that
///   is disabled, is a [row](OpenedEstate::failures), and the others are opened. What fails later is
///   an error of its scope alone, as in any estate.
/// - Without locations they are those in which each tenant's machines are at that moment
///   ([`UpdateManager::scopes`]). A machine that is put elsewhere later is in no scope of the estate:
///   open it anew for each run, or name the locations.
/// - Each subscription also has the scope `azure/<subscription>/global`, in which no machine is: what
///   is wrong with the subscription as a whole is told of it.
/// - A subscription that two tenants' credentials read, as Azure Lighthouse allows, is the first's.
/// - Opening makes a call for each subscription that is named, or for each page of those that are
///   listed, and queries for each 200 and, without locations, for each ten of them.
///
/// # Example
/// ```no_run
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// use azure_identity::{AzureCliCredential, ManagedIdentityCredential};
/// use patchkit_azure::{Cloud, Subscriptions, UpdateManager};
///
/// let opened = Subscriptions::new()
///     .with_tenant("contoso", UpdateManager::builder(ManagedIdentityCredential::new(None)?))
///     .with_tenant(
///         "contoso-gov",
///         UpdateManager::builder(AzureCliCredential::new(None)?)
///             .with_cloud(Cloud::Government)
///             .with_subscriptions(["5b1c0ffe-0000-4000-8000-000000000001".parse()?]),
///     )
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
pub struct Subscriptions {
    tenants: Vec<(String, UpdateManagerBuilder)>,
    excluded: BTreeSet<String>,
    locations: BTreeSet<Region>,
    parallel: usize,
    addresses: Addresses,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self::new()
    }
}

impl Subscriptions {
    /// Of no tenant yet.
    pub fn new() -> Self {
        Self {
            tenants: Vec::new(),
            excluded: BTreeSet::new(),
            locations: BTreeSet::new(),
            parallel: 16,
            addresses: Addresses::default(),
        }
    }

    /// Adds a tenant: its name in reports, and how it is reached. Subscriptions that the builder names
    /// are opened, and where it names none all that can be read.
    #[must_use]
    pub fn with_tenant(mut self, name: impl Into<String>, tenant: UpdateManagerBuilder) -> Self {
        self.tenants.push((name.into(), tenant));
        self
    }

    /// Leaves subscriptions out, wherever they come from.
    #[must_use]
    pub fn without_subscriptions(mut self, ids: impl IntoIterator<Item = AccountId>) -> Self {
        self.excluded.extend(ids.into_iter().map(|id| id.as_str().to_ascii_lowercase()));
        self
    }

    /// Adds locations, which every subscription then has.
    #[must_use]
    pub fn with_locations(mut self, locations: impl IntoIterator<Item = Region>) -> Self {
        self.locations.extend(locations);
        self
    }

    /// Sets how many calls are under way at once in each tenant while it is opened, and how many
    /// tenants are worked on afterwards; 16 where none is set.
    #[must_use]
    pub fn with_parallel(mut self, calls: usize) -> Self {
        self.parallel = calls.max(1);
        self
    }

    /// Sets whether listings of nodes tell the machines' addresses: see
    /// [`UpdateManager::with_addresses`].
    #[must_use]
    pub fn with_addresses(mut self, addresses: Addresses) -> Self {
        self.addresses = addresses;
        self
    }

    /// Opens what can be opened.
    ///
    /// # Errors
    /// `InvalidInput` without a tenant, for one whose builder makes no provider, or where no
    /// subscription is left; the first failure's where none could be opened: an estate of nothing
    /// would look like one where all is well.
    pub async fn open(self) -> Result<OpenedEstate> {
        if self.tenants.is_empty() {
            return Err(invalid("open", "no tenant is named"));
        }
        let mut tenants = Vec::new();
        for (name, builder) in &self.tenants {
            let (name, named) = (name.clone(), builder.named()?);
            if !named.is_empty() {
                builder.checked_home(&named)?;
            }
            let client = Arc::new(builder.clone().client(BTreeMap::new())?);
            let (builder, asked) = (builder.clone(), self.clone());
            tenants.push(Arc::new(Tenant { name, named, client, builder, asked }));
        }
        let finds: Vec<_> = tenants.iter().map(|it| Arc::clone(it).find().boxed()).collect();
        let (mut failures, mut taken, mut opens) = (Vec::new(), BTreeSet::new(), Vec::new());
        let found: Vec<Vec<Answer>> = stream::iter(finds).buffered(self.parallel).collect().await;
        for (tenant, answers) in tenants.into_iter().zip(found) {
            let (good, bad): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
            failures.extend(bad.into_iter().filter_map(Result::err));
            let mut good: Vec<AccountId> = good.into_iter().flatten().collect();
            good.retain(|id| taken.insert(id.as_str().to_ascii_lowercase()));
            if !good.is_empty() {
                opens.push(tenant.open(good).boxed());
            }
        }
        let mut opened = OpenedEstate {
            estate: Estate::new().with_parallel(self.parallel),
            tenants: Vec::new(),
            failures,
        };
        let answers: Vec<_> = stream::iter(opens).buffered(self.parallel).collect().await;
        for (azure, scopes, failures) in answers {
            opened.failures.extend(failures);
            if let Some(azure) = azure {
                opened.estate = opened.estate.with(scopes, Arc::new(azure.clone()));
                opened.tenants.push(azure);
            }
        }
        match opened.failures.first() {
            _ if !opened.tenants.is_empty() => Ok(opened),
            Some(first) => {
                Err(Error::new(first.kind, PROVIDER, "open", first.to_string())
                    .with_retry(first.retry))
            }
            None => Err(invalid("open", "no subscription is left to open")),
        }
    }
}

/// A tenant that is to be opened.
struct Tenant {
    name: String,
    named: BTreeMap<String, AccountId>,
    client: Arc<Client>,
    builder: UpdateManagerBuilder,
    asked: Subscriptions,
}

/// A subscription, or why it is not opened.
type Answer = Result<AccountId, UnopenedScope>;

impl Tenant {
    fn unopened(&self, subscription: Option<&AccountId>, error: &Error) -> UnopenedScope {
        UnopenedScope {
            tenant: self.name.clone(),
            subscription: subscription.cloned(),
            kind: error.kind(),
            retry: error.retry(),
            error: error.report(),
        }
    }

    fn is_wanted(&self, id: &AccountId) -> bool {
        !self.asked.excluded.contains(&id.as_str().to_ascii_lowercase())
    }

    /// The subscriptions that are there and can be read.
    async fn find(self: Arc<Self>) -> Vec<Answer> {
        if self.named.is_empty() {
            return self.listed().collect().await;
        }
        let wanted = self.named.values().filter(|id| self.is_wanted(id));
        let reads: Vec<_> = wanted.map(|id| Arc::clone(&self).prove(id.clone()).boxed()).collect();
        stream::iter(reads).buffered(self.asked.parallel).collect().await
    }

    async fn prove(self: Arc<Self>, id: AccountId) -> Answer {
        match self.read(&id).await {
            Ok(()) => Ok(id),
            Err(error) => Err(self.unopened(Some(&id), &error)),
        }
    }

    /// What the credential may read in its tenant. An error ends the listing, and what came before it
    /// counts.
    fn listed(self: &Arc<Self>) -> BoxStream<'static, Answer> {
        let url = self.client.url("/subscriptions", VERSION);
        let listing = self.client.list(LIST, Charge::default(), url);
        let tenant = Arc::clone(self);
        let answer = move |item: Result<Value>| match item.and_then(|item| subscription(&item)) {
            Ok((id, _)) if !tenant.is_wanted(&id) => None,
            Ok((id, Ok(()))) => Some(Ok(id)),
            Ok((id, Err(error))) => Some(Err(tenant.unopened(Some(&id), &error))),
            Err(error) => Some(Err(tenant.unopened(None, &error))),
        };
        listing.filter_map(move |item| ready(answer(item))).boxed()
    }

    async fn read(&self, id: &AccountId) -> Result<()> {
        let url = self.client.url(&format!("/subscriptions/{id}"), VERSION);
        let reply = self.client.get(GET, Charge::door(id.as_str()), url).await?;
        usable(GET, &reply.value(GET)?)
    }

    /// The provider of the subscriptions of which Resource Graph shows something, and their scopes.
    async fn open(
        self: Arc<Self>,
        found: Vec<AccountId>,
    ) -> (Option<UpdateManager>, Vec<Scope>, Vec<UnopenedScope>) {
        let all = |error: &Error| {
            found.iter().map(|id| self.unopened(Some(id), error)).collect::<Vec<_>>()
        };
        let shown = match self.client.shown(&found).await {
            Ok(shown) => shown,
            Err(error) => return (None, Vec::new(), all(&error)),
        };
        let keyed = found.iter().map(|id| (id.as_str().to_ascii_lowercase(), id.clone()));
        let (seen, hidden): (BTreeMap<_, _>, BTreeMap<_, _>) =
            keyed.partition(|(key, _)| shown.contains(key));
        let failures: Vec<_> =
            hidden.values().map(|id| self.unopened(Some(id), &unseen(id))).collect();
        if seen.is_empty() {
            return (None, Vec::new(), failures);
        }
        let home = self.builder.home_in(&seen);
        let client = self.client.with_subscriptions(seen.clone());
        let azure = UpdateManager::new(client, home, self.builder.choice())
            .with_addresses(self.asked.addresses);
        match scopes(&azure, &seen, &self.asked.locations).await {
            Ok(scopes) => (Some(azure), scopes, failures),
            Err(error) => (None, Vec::new(), all(&error)),
        }
    }
}

impl Client {
    /// The subscriptions of which Resource Graph shows something, in lower case. All are asked of at
    /// once: a query over hidden ones alone is refused.
    async fn shown(self: &Arc<Self>, subscriptions: &[AccountId]) -> Result<BTreeSet<String>> {
        let query = "resourcecontainers\n| summarize count() by subscriptionId";
        let rows = self.summary(query.to_owned(), subscriptions, BATCH);
        let id =
            |row: Value| text(&row, "/subscriptionId").unwrap_or_default().to_ascii_lowercase();
        rows.map_ok(id).try_collect().await
    }
}

fn unseen(id: &AccountId) -> Error {
    let message =
        format!("Resource Graph shows nothing of subscription {id}: is there a right to?");
    Error::new(ErrorKind::PermissionDenied, PROVIDER, "Resources", message)
}

async fn scopes(
    azure: &UpdateManager,
    subscriptions: &BTreeMap<String, AccountId>,
    locations: &BTreeSet<Region>,
) -> Result<Vec<Scope>> {
    if locations.is_empty() {
        return azure.scopes().await;
    }
    let mut scopes = Vec::new();
    for id in subscriptions.values() {
        scopes.push(scope(id, EVERYWHERE)?);
        for location in locations {
            scopes.push(scope(id, location.as_str())?);
        }
    }
    Ok(scopes)
}

/// The subscription of an item of the list, and whether anything can be done in it.
fn subscription(item: &Value) -> Result<(AccountId, Result<()>)> {
    let id = text(item, "/subscriptionId").filter(|id| is_name(id));
    let id = id.ok_or_else(|| malformed(LIST, "a subscription has no id"))?;
    Ok((AccountId::new(id)?, usable(LIST, item)))
}

/// Whether anything can be done in a subscription. One that is disabled can be read alone, and its
/// machines are off ("Azure subscription states"); a state that PatchKit does not know is tried.
fn usable(operation: &'static str, item: &Value) -> Result<()> {
    let state = text(item, "/state").unwrap_or_default();
    let dead = ["Deleted", "Disabled", "Expired"];
    if dead.iter().any(|it| it.eq_ignore_ascii_case(state)) {
        let message = format!("the subscription is {}", shown(state));
        return Err(Error::new(ErrorKind::Conflict, PROVIDER, operation, message));
    }
    Ok(())
}

/// What was opened, and what was not.
#[derive(Debug)]
#[non_exhaustive]
pub struct OpenedEstate {
    /// The scopes as one fleet.
    pub estate: Estate,
    /// The provider of each tenant, for what only Azure has.
    pub tenants: Vec<UpdateManager>,
    /// The subscriptions that could not be opened: nothing of them is in the estate.
    pub failures: Vec<UnopenedScope>,
}

/// A subscription that could not be opened, while others were.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct UnopenedScope {
    /// The tenant, by the name that it was given.
    pub tenant: String,
    /// The subscription; none where the tenant's were not named and could not be listed.
    pub subscription: Option<AccountId>,
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// Whether it may be opened later.
    pub retry: Retry,
    /// Why: the chain of causes on one line. Holds Azure's words: escape before showing.
    pub error: String,
}

impl fmt::Display for UnopenedScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subscription = self.subscription.as_ref().map_or("*", AccountId::as_str);
        write!(f, "not opened: {PROVIDER}/{subscription} of {}: {}", self.tenant, self.error)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use serde_json::json;

    use super::*;
    use crate::{
        listing::NEXT,
        testing::{Canned, Tokens},
    };

    fn listed(canned: &Arc<Canned>) -> Vec<Answer> {
        let client = canned.provider(Tokens::Same).client;
        let asked = Subscriptions::new().without_subscriptions(["S-3".parse().unwrap()]);
        let builder = canned.builder(Tokens::Same);
        let (name, named) = ("t".to_owned(), BTreeMap::new());
        let tenant = Tenant { name, named, client, builder, asked };
        block_on(Arc::new(tenant).find())
    }

    #[test]
    fn a_next_page_on_another_host_is_refused_and_what_came_before_counts() {
        let canned = Canned::new().then(
            200,
            &[],
            &json!({
                "value": [{"subscriptionId": "s-2"}, {"subscriptionId": "s-3"}],
                NEXT: "https://management.azure.com.example.com/subscriptions?$skiptoken=x",
            }),
        );
        let answers = listed(&canned);
        let [Ok(first), Err(refused)] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!((first.as_str(), refused.kind), ("s-2", ErrorKind::Malformed));
        assert!(refused.error.contains("is not the endpoint"), "{refused}");
        assert_eq!(canned.asked().len(), 1, "the token stays here");
    }

    #[test]
    fn a_subscription_that_cannot_be_read_spoils_itself_alone() {
        let canned = Canned::new().then(
            200,
            &[],
            &json!({"value": [{}, {"subscriptionId": "s-2"}, {"subscriptionId": "s-4",
                "state": "Disabled"}]}),
        );
        let kinds: Vec<_> =
            listed(&canned).into_iter().map(|it| it.map_err(|it| it.kind)).collect();
        let two = "s-2".parse().unwrap();
        assert_eq!(kinds, [Err(ErrorKind::Malformed), Ok(two), Err(ErrorKind::Conflict)]);
    }

    #[test]
    fn a_subscription_is_opened_unless_its_state_forbids_all_that_could_be_done() {
        for (state, opened) in [
            ("Enabled", true),
            ("Warned", true),
            ("PastDue", true),
            ("LearnedLater", true),
            ("disabled", false),
            ("Deleted", false),
        ] {
            let (id, usable) =
                subscription(&json!({"subscriptionId": "s-1", "state": state})).unwrap();
            assert_eq!((id.as_str(), usable.is_ok()), ("s-1", opened), "{state}");
        }
        for item in [json!({}), json!({"subscriptionId": "a/b"}), json!({"subscriptionId": 7})] {
            assert!(subscription(&item).is_err(), "{item}");
        }
    }
}
