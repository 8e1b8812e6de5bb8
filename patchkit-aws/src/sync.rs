//! Resource data syncs: what fills the lake, and whether it does.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use aws_sdk_ssm::types::{
    ResourceDataSyncDestinationDataSharing, ResourceDataSyncItem, ResourceDataSyncS3Destination,
    ResourceDataSyncS3Format,
};
use futures::{TryStreamExt, stream::BoxStream};
use jiff::{SignedDuration, Timestamp};
use patchkit_core::{Error, ErrorKind, Region, Result, Scope, listing::sound, paginate};
use serde::{Deserialize, Serialize};

use crate::{
    Ssm,
    convert::timestamp,
    error::{PROVIDER, invalid, malformed},
};

const CREATE: &str = "CreateResourceDataSync";
const DELETE: &str = "DeleteResourceDataSync";
const LIST: &str = "ListResourceDataSync";

/// Most items on a page (botocore ssm model: MaxResults 1..50).
const PAGE: (i32, i32) = (1, 50);

/// Most syncs of an account in a Region (AWS general reference, "Systems Manager endpoints and
/// quotas").
const LIMIT: usize = 5;

const ORGANIZATION: &str = "Organization";
const TO_DESTINATION: &str = "SyncToDestination";
const FROM_SOURCE: &str = "SyncFromSource";

/// The bucket that a sync writes to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LakeDestination {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with; none for the bucket's root.
    pub prefix: Option<String>,
    /// The bucket's Region, which need not be the nodes'.
    pub region: Region,
    /// The ARN of the key that objects are encrypted with.
    pub kms_key: Option<String>,
    /// Whose accounts share the bucket.
    pub sharing: LakeSharing,
}

/// Whose accounts share a bucket.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum LakeSharing {
    /// Those that its policy names.
    #[default]
    Named,
    /// The organization's: the objects carry its id, and the bucket's policy may ask for it.
    Organization,
    /// A kind that was learned later.
    Other(Box<str>),
}

/// Which way a sync goes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum SyncDirection {
    /// To a bucket: such a sync fills a lake.
    ToDestination,
    /// From other accounts and Regions, for Explorer and OpsCenter: no lake.
    FromSource,
    /// A kind that was learned later.
    Other(Box<str>),
}

/// How the last attempt of a sync ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum SyncStatus {
    /// Everything was written.
    Successful,
    /// Something was not.
    Failed,
    /// It is under way.
    InProgress,
    /// A status that was learned later.
    Other(Box<str>),
}

/// A resource data sync of one account and Region.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LakeSync {
    /// Its name, unique in its account and Region.
    pub name: String,
    /// Which way it goes.
    pub direction: SyncDirection,
    /// Where it writes, where it writes to a bucket.
    pub destination: Option<LakeDestination>,
    /// How its last attempt ended; none before the first one.
    pub status: Option<SyncStatus>,
    /// What the service says of the last attempt.
    pub message: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it last tried.
    pub tried_at: Option<Timestamp>,
    /// When it last succeeded.
    pub succeeded_at: Option<Timestamp>,
}

/// What an account and Region should do for a lake.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use patchkit_aws::{LakeDestination, LakeExpectation};
///
/// let lake = LakeDestination::new("central-lake", "eu-west-1".parse()?).with_prefix("inventory");
/// let expected = LakeExpectation::new(lake).with_max_age(Duration::from_hours(36));
/// # let _ = expected;
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LakeExpectation {
    /// Where a sync should write to.
    pub destination: LakeDestination,
    /// How long ago it may have succeeded last.
    pub max_age: Duration,
}

/// Whether one account and Region fills the lake.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LakeFinding {
    /// The account and Region.
    pub scope: Scope,
    /// The verdict.
    pub state: LakeState,
    /// The sync that it is about: of several to the bucket the one that does best.
    pub sync: Option<LakeSync>,
    /// The names of the other syncs, which take up places too.
    pub others: Vec<String>,
    /// When this was so.
    pub at: Timestamp,
}

/// How an account and Region does for a lake, from best to worst.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum LakeState {
    /// The last attempt did not fail, and the last success is recent.
    Current {
        /// Since the last success.
        age: SignedDuration,
    },
    /// The first attempt is under way.
    Starting,
    /// Nothing has succeeded for longer than expected.
    Stale {
        /// Since the last success; none where there never was one.
        age: Option<SignedDuration>,
    },
    /// The last attempt failed.
    Failed {
        /// What the service says.
        message: String,
        /// Since the last success; none where there never was one.
        age: Option<SignedDuration>,
    },
    /// The service does not say how the sync does.
    Unknown,
    /// A sync writes to the bucket, but not as expected.
    Different {
        /// In what it differs.
        why: Vec<String>,
    },
    /// No sync writes to the bucket.
    Missing,
    /// No sync writes to the bucket, and there are as many others as there may be.
    NoPlaceLeft,
}

impl LakeDestination {
    /// A bucket in a Region, without prefix or key.
    pub fn new(bucket: impl Into<String>, region: Region) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: None,
            region,
            kms_key: None,
            sharing: LakeSharing::Named,
        }
    }

    /// Sets what all keys begin with.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Sets the ARN of the key that objects are encrypted with.
    #[must_use]
    pub fn with_kms_key(mut self, arn: impl Into<String>) -> Self {
        self.kms_key = Some(arn.into());
        self
    }

    /// Sets whose accounts share the bucket.
    #[must_use]
    pub fn with_sharing(mut self, sharing: LakeSharing) -> Self {
        self.sharing = sharing;
        self
    }

    /// The prefix as it stands in keys: `a/` and `a` are one.
    fn folder(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default().trim_matches('/')
    }

    /// In what `self` is not as `expected`. A key is compared only where one is expected.
    fn differences(&self, expected: &Self) -> Vec<String> {
        let mut why = Vec::new();
        if self.folder() != expected.folder() {
            why.push(format!("the prefix is {:?}, not {:?}", self.folder(), expected.folder()));
        }
        if self.region != expected.region {
            why.push(format!("the Region is {}, not {}", self.region, expected.region));
        }
        if expected.kms_key.is_some() && self.kms_key != expected.kms_key {
            let (is, should) = (self.kms_key.as_deref(), expected.kms_key.as_deref());
            why.push(format!(
                "the key is {}, not {}",
                is.unwrap_or("none"),
                should.unwrap_or("none")
            ));
        }
        if self.sharing != expected.sharing {
            why.push(format!("it is shared as {:?}, not {:?}", self.sharing, expected.sharing));
        }
        why
    }
}

impl LakeExpectation {
    /// A sync to this destination that has succeeded in the last day.
    pub fn new(destination: LakeDestination) -> Self {
        Self { destination, max_age: Duration::from_hours(24) }
    }

    /// Sets how long ago it may have succeeded last.
    #[must_use]
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }
}

impl LakeFinding {
    /// Whether the lake has what it should have of this account and Region.
    pub fn is_current(&self) -> bool {
        matches!(self.state, LakeState::Current { .. })
    }
}

impl LakeState {
    /// The order from best to worst.
    fn rank(&self) -> u8 {
        match self {
            Self::Current { .. } => 0,
            Self::Starting => 1,
            Self::Stale { .. } => 2,
            Self::Failed { .. } => 3,
            Self::Unknown => 4,
            Self::Different { .. } => 5,
            Self::Missing => 6,
            Self::NoPlaceLeft => 7,
        }
    }
}

impl Ssm {
    /// Lists the resource data syncs.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`. A row that cannot be read costs no other: it is an error at
    /// the end.
    pub fn lake_syncs(&self) -> BoxStream<'static, Result<LakeSync>> {
        let client = Arc::clone(&self.client);
        let rows = paginate(PROVIDER, LIST, move |token| {
            let client = Arc::clone(&client);
            async move {
                let request = client
                    .ssm()
                    .list_resource_data_sync()
                    .max_results(client.page.within(PAGE.0, PAGE.1))
                    .set_next_token(token);
                let page = client.read(LIST, request.send()).await?;
                let items = page.resource_data_sync_items.unwrap_or_default();
                Ok((items.iter().map(read_sync).collect(), page.next_token))
            }
        });
        sound(PROVIDER, LIST, rows)
    }

    /// Says whether this account and Region fills a lake.
    ///
    /// # Behavior
    /// - Of several syncs to the bucket, the one that does best is judged.
    /// - A sync that is under way is judged by its last success; one that has never succeeded is
    ///   `Starting` for as long as the expected age.
    /// - A success without a time is `Unknown`.
    ///
    /// # Errors
    /// As [`lake_syncs`](Self::lake_syncs).
    ///
    /// # Example
    /// All accounts and Regions of an estate:
    /// ```no_run
    /// use std::{collections::BTreeMap, sync::Arc};
    /// use futures::StreamExt;
    /// use patchkit_aws::{LakeExpectation, Ssm};
    /// use patchkit_core::{Error, ErrorKind, Estate, Scope};
    ///
    /// async fn report(estate: &Estate, all: BTreeMap<Scope, Ssm>, expected: LakeExpectation) {
    ///     let (all, expected) = (Arc::new(all), Arc::new(expected));
    ///     let mut findings = estate.each(move |scope, _| {
    ///         let (all, expected) = (Arc::clone(&all), Arc::clone(&expected));
    ///         async move {
    ///             let lacks = || Error::new(ErrorKind::NotFound, "aws", "report", "no provider");
    ///             all.get(&scope).ok_or_else(lacks)?.check_lake(&expected).await
    ///         }
    ///     });
    ///     while let Some((scope, finding)) = findings.next().await {
    ///         match finding {
    ///             Ok(finding) if finding.is_current() => {}
    ///             Ok(finding) => println!("{scope}: {:?}", finding.state),
    ///             Err(error) => println!("{scope}: {}", error.report()),
    ///         }
    ///     }
    /// }
    /// ```
    pub async fn check_lake(&self, expected: &LakeExpectation) -> Result<LakeFinding> {
        let syncs: Vec<LakeSync> = self.lake_syncs().try_collect().await?;
        Ok(judge(self.scope().clone(), syncs, expected, self.client.now()))
    }

    /// Makes a sync to a bucket, unless it is there.
    ///
    /// # Behavior
    /// - Where a sync of this name writes to the same destination, nothing is changed.
    /// - It is sent once; where the answer is lost, the syncs are read to tell what became of it.
    ///
    /// # Errors
    /// `Conflict` where a sync of this name writes elsewhere, or there are five syncs already;
    /// `InvalidInput` where the service cannot write to the bucket; `PermissionDenied`; `Timeout`
    /// where the answer was lost and no sync has come of it.
    pub async fn create_lake_sync(
        &self,
        name: &str,
        destination: &LakeDestination,
    ) -> Result<LakeSyncCreation> {
        let request = self
            .client
            .ssm_once()
            .create_resource_data_sync()
            .sync_name(name)
            .s3_destination(written(destination)?);
        let Err(error) = self.client.write(CREATE, request.send()).await else {
            return Ok(LakeSyncCreation::Made);
        };
        let answer = match error.kind() {
            ErrorKind::Conflict => LakeSyncCreation::AlreadyThere,
            ErrorKind::Timeout => LakeSyncCreation::Made,
            _ => return Err(error),
        };
        let syncs: Vec<LakeSync> = match self.lake_syncs().try_collect().await {
            Ok(syncs) => syncs,
            Err(_) => return Err(error),
        };
        let Some(sync) = syncs.iter().find(|sync| sync.name == name) else { return Err(error) };
        let differences = match &sync.destination {
            Some(is) if is.bucket == destination.bucket => is.differences(destination),
            Some(is) => vec![format!("the bucket is {}", is.bucket)],
            None => vec!["it writes to no bucket".to_owned()],
        };
        if differences.is_empty() {
            return Ok(answer);
        }
        let message = format!("there is a sync {name:?}, but {}", differences.join(", "));
        Err(Error::new(ErrorKind::Conflict, PROVIDER, CREATE, message))
    }

    /// Ends a sync. What it wrote stays.
    ///
    /// # Errors
    /// `NotFound` where there is none of this name; `PermissionDenied`.
    pub async fn delete_lake_sync(&self, name: &str) -> Result<()> {
        let request = self.client.ssm().delete_resource_data_sync().sync_name(name);
        self.client.read(DELETE, request.send()).await.map(drop)
    }
}

/// What came of making a sync.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LakeSyncCreation {
    /// It was made.
    Made,
    /// The same sync was there before.
    AlreadyThere,
}

/// Pure: what the syncs of an account and Region mean for a lake.
fn judge(
    scope: Scope,
    syncs: Vec<LakeSync>,
    expected: &LakeExpectation,
    now: Timestamp,
) -> LakeFinding {
    let full = syncs.len() >= LIMIT;
    let nothing = if full { LakeState::NoPlaceLeft } else { LakeState::Missing };
    let state = |sync: &LakeSync| {
        let to = sync.destination.as_ref()?;
        (to.bucket == expected.destination.bucket).then(|| state_of(sync, to, expected, now))
    };
    let states = syncs.iter().enumerate().filter_map(|(at, sync)| Some((at, state(sync)?)));
    let best = states.min_by_key(|(_, state)| state.rank());
    let (at, state) = best.map_or((None, nothing), |(at, state)| (Some(at), state));
    let (mut ours, mut others) = (None, Vec::new());
    for (place, sync) in syncs.into_iter().enumerate() {
        if Some(place) == at {
            ours = Some(sync);
        } else {
            others.push(sync.name);
        }
    }
    LakeFinding { scope, state, sync: ours, others, at: now }
}

fn state_of(
    sync: &LakeSync,
    to: &LakeDestination,
    expected: &LakeExpectation,
    now: Timestamp,
) -> LakeState {
    let why = to.differences(&expected.destination);
    if !why.is_empty() {
        return LakeState::Different { why };
    }
    // The service's clock may be a little ahead of ours.
    let since = |at: Timestamp| now.duration_since(at).max(SignedDuration::ZERO);
    let is_old = |age: SignedDuration| age.unsigned_abs() > expected.max_age;
    let age = sync.succeeded_at.map(since);
    match (&sync.status, age) {
        (Some(SyncStatus::Failed), age) => {
            let message = sync.message.clone().unwrap_or_default();
            LakeState::Failed { message, age }
        }
        (_, Some(age)) if is_old(age) => LakeState::Stale { age: Some(age) },
        (Some(SyncStatus::Successful | SyncStatus::InProgress), Some(age)) => {
            LakeState::Current { age }
        }
        (Some(SyncStatus::InProgress) | None, None) => match sync.created_at.map(since) {
            Some(age) if is_old(age) => LakeState::Stale { age: None },
            Some(_) => LakeState::Starting,
            None => LakeState::Unknown,
        },
        _ => LakeState::Unknown,
    }
}

fn read_sync(item: &ResourceDataSyncItem) -> Result<LakeSync> {
    let name = item.sync_name().ok_or_else(|| malformed(LIST, "a sync has no name"))?;
    let direction = match item.sync_type() {
        // Syncs older than the other kind have none.
        None | Some(TO_DESTINATION) => SyncDirection::ToDestination,
        Some(FROM_SOURCE) => SyncDirection::FromSource,
        Some(other) => SyncDirection::Other(other.into()),
    };
    let status = item.last_status().map(|status| match status.as_str() {
        "Successful" => SyncStatus::Successful,
        "Failed" => SyncStatus::Failed,
        "InProgress" => SyncStatus::InProgress,
        other => SyncStatus::Other(other.into()),
    });
    Ok(LakeSync {
        name: name.to_owned(),
        direction,
        destination: item.s3_destination().map(read_destination).transpose()?,
        status,
        message: item.last_sync_status_message().map(str::to_owned),
        created_at: item.sync_created_time().and_then(timestamp),
        tried_at: item.last_sync_time().and_then(timestamp),
        succeeded_at: item.last_successful_sync_time().and_then(timestamp),
    })
}

fn read_destination(to: &ResourceDataSyncS3Destination) -> Result<LakeDestination> {
    let sharing =
        to.destination_data_sharing().and_then(|sharing| sharing.destination_data_sharing_type());
    Ok(LakeDestination {
        bucket: to.bucket_name().to_owned(),
        prefix: to.prefix().filter(|it| !it.is_empty()).map(str::to_owned),
        region: Region::new(to.region())?,
        kms_key: to.awskms_key_arn().filter(|it| !it.is_empty()).map(str::to_owned),
        sharing: match sharing {
            None => LakeSharing::Named,
            Some(ORGANIZATION) => LakeSharing::Organization,
            Some(other) => LakeSharing::Other(other.into()),
        },
    })
}

fn written(to: &LakeDestination) -> Result<ResourceDataSyncS3Destination> {
    let sharing = match &to.sharing {
        LakeSharing::Named => None,
        LakeSharing::Organization => Some(ORGANIZATION),
        LakeSharing::Other(kind) => Some(&**kind),
    };
    let sharing = sharing.map(|kind| {
        ResourceDataSyncDestinationDataSharing::builder()
            .destination_data_sharing_type(kind)
            .build()
    });
    ResourceDataSyncS3Destination::builder()
        .bucket_name(&to.bucket)
        .set_prefix(to.prefix.clone().filter(|it| !it.is_empty()))
        .sync_format(ResourceDataSyncS3Format::JsonSerde)
        .region(to.region.as_str())
        .set_awskms_key_arn(to.kms_key.clone())
        .set_destination_data_sharing(sharing)
        .build()
        .map_err(|error| invalid(CREATE, error.to_string()))
}
