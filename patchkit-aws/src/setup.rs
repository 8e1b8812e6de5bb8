//! Setting an account and Region up: what the reference case needs, what of it is there, and the
//! making of what is not.
//!
//! A check is reads alone; its report holds what a fix would do, step by step, as data. A fix does
//! those steps and no other.

mod bucket;
#[cfg(feature = "resource-groups")]
mod group;
mod inventory;
mod network;
mod options;
mod policy;
#[cfg(feature = "config")]
mod remediation;
mod role;
#[cfg(feature = "config")]
mod rule;
mod step;
#[cfg(feature = "sns")]
mod topic;

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use patchkit_core::{ErrorKind, Result, Scope};
use serde::{Deserialize, Serialize};

use self::step::undo;
pub use self::{
    options::{LakeOwner, SetupOptions, TagGroup},
    policy::{LakeAccess, Tagged},
    step::SetupStep,
};
#[cfg(feature = "config")]
pub use self::{remediation::RuleRemediation, rule::ManagedRule};
use crate::{LakeDestination, LakeFinding, LakeState, LakeSyncCreation, Ssm, client::Client};

/// Something that the reference case needs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum SetupItem {
    /// The bucket for the output of commands.
    LogBucket(String),
    /// The central bucket that resource data syncs write to.
    LakeBucket(String),
    /// What lets Systems Manager write to the central bucket for each account.
    LakePolicy(String),
    /// The role that managed nodes take.
    Role(String),
    /// The role that hybrid nodes take.
    HybridRole(String),
    /// What lets nodes with this role write to the log bucket.
    LogAccess(String),
    /// The instance profile that holds the role.
    InstanceProfile(String),
    /// The endpoint of a service in a VPC, and that nodes there may reach it.
    Endpoint {
        /// The VPC.
        vpc: String,
        /// `ssm`, `ssmmessages`, `ec2messages`, `s3`
        service: String,
    },
    /// A Resource Group by tag.
    #[cfg(feature = "resource-groups")]
    ResourceGroup(String),
    /// The topic that tells of runs.
    #[cfg(feature = "sns")]
    Topic(String),
    /// A rule of AWS Config.
    #[cfg(feature = "config")]
    ConfigRule(ManagedRule),
    /// The remediation of a rule.
    #[cfg(feature = "config")]
    Remediation(ManagedRule),
    /// The association by which nodes gather their inventory.
    Inventory,
    /// The resource data sync to the central bucket.
    LakeSync(String),
}

impl fmt::Display for SetupItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LogBucket(name) => write!(f, "log bucket {name}"),
            Self::LakeBucket(name) => write!(f, "central bucket {name}"),
            Self::LakePolicy(name) => write!(f, "policy of the central bucket {name}"),
            Self::Role(name) => write!(f, "role {name}"),
            Self::HybridRole(name) => write!(f, "role {name} of hybrid nodes"),
            Self::LogAccess(role) => write!(f, "access of the role {role} to the log bucket"),
            Self::InstanceProfile(name) => write!(f, "instance profile {name}"),
            Self::Endpoint { vpc, service } => write!(f, "endpoint of {service} in {vpc}"),
            #[cfg(feature = "resource-groups")]
            Self::ResourceGroup(name) => write!(f, "Resource Group {name}"),
            #[cfg(feature = "sns")]
            Self::Topic(name) => write!(f, "topic {name}"),
            #[cfg(feature = "config")]
            Self::ConfigRule(rule) => write!(f, "rule {} of AWS Config", rule.identifier()),
            #[cfg(feature = "config")]
            Self::Remediation(rule) => {
                write!(f, "remediation of the rule {} of AWS Config", rule.identifier())
            }
            Self::Inventory => f.write_str("inventory association"),
            Self::LakeSync(name) => write!(f, "resource data sync {name}"),
        }
    }
}

/// What is so of an item.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum SetupState {
    /// It is there, and as it should be.
    Present,
    /// It is not there; a fix makes it.
    Missing,
    /// It is there, and not as it should be. It is someone's: no fix touches it.
    Wrong {
        /// In what.
        why: String,
    },
    /// It could not be read.
    Unknown {
        /// Why not.
        error: String,
    },
}

/// What a check says of one item.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SetupFinding {
    /// The item.
    pub item: SetupItem,
    /// What is so of it.
    pub state: SetupState,
    /// What a fix would do; nothing unless it is missing.
    pub fix: Vec<SetupStep>,
}

impl SetupFinding {
    fn present(item: SetupItem) -> Self {
        Self { item, state: SetupState::Present, fix: Vec::new() }
    }

    fn missing(item: SetupItem, fix: Vec<SetupStep>) -> Self {
        Self { item, state: SetupState::Missing, fix }
    }

    fn wrong(item: SetupItem, why: impl Into<String>) -> Self {
        Self { item, state: SetupState::Wrong { why: why.into() }, fix: Vec::new() }
    }

    fn unknown(item: SetupItem, error: impl Into<String>) -> Self {
        Self { item, state: SetupState::Unknown { error: error.into() }, fix: Vec::new() }
    }
}

/// What a check says of an account and Region.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SetupReport {
    /// The account and Region.
    pub scope: Scope,
    /// When this was so.
    pub at: Timestamp,
    /// In the order in which a fix makes what is missing.
    pub findings: Vec<SetupFinding>,
}

impl SetupReport {
    /// Whether all is there, and as it should be.
    pub fn is_complete(&self) -> bool {
        self.findings.iter().all(|it| it.state == SetupState::Present)
    }

    /// What is not there, not as it should be, or could not be read.
    pub fn open(&self) -> impl Iterator<Item = &SetupFinding> {
        self.findings.iter().filter(|it| it.state != SetupState::Present)
    }
}

/// What became of one step of a fix.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SetupOutcome {
    /// The item that it is of.
    pub item: SetupItem,
    /// The step.
    pub step: SetupStep,
    /// What became of it.
    pub result: StepResult,
}

/// What became of one step of a fix.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum StepResult {
    /// It was done.
    Made {
        /// How a person takes it back.
        undo: String,
    },
    /// It was there already: nothing was done.
    AlreadyThere,
    /// It was not done, or it is not known whether it was.
    Failed {
        /// Why.
        error: String,
    },
    /// It was not tried, as a step of the same item before it failed.
    Skipped,
}

impl Ssm {
    /// Says what of the reference case's needs is there in this account and Region. Changes nothing.
    ///
    /// # Behavior
    /// - One item that cannot be read is `Unknown`, and the others are told all the same.
    /// - The central bucket and its policy are looked at in its owner's account and its own Region
    ///   alone; all other accounts and Regions need the sync to it.
    ///
    /// # Errors
    /// None: what cannot be read is a finding.
    pub async fn check_setup(&self, options: &SetupOptions) -> SetupReport {
        let client = &self.client;
        let mut findings = Vec::new();
        if let Some(bucket) = options.log_bucket_in(self.scope()) {
            findings
                .push(bucket::find(client, SetupItem::LogBucket(bucket.clone()), &bucket).await);
        }
        if let Some(lake) = options.lake_here(self.scope()) {
            findings.extend(bucket::find_lake(client, lake).await);
        }
        if let Some(role) = &options.role {
            let logs = options.log_bucket_in(self.scope());
            findings.extend(role::find(client, role, logs.as_deref()).await);
            findings.push(role::find_profile(client, role).await);
        }
        if let Some(role) = &options.hybrid_role {
            findings.push(role::find_hybrid(client, role).await);
        }
        for vpc in &options.vpcs {
            findings.extend(network::find(client, vpc).await);
        }
        #[cfg(feature = "resource-groups")]
        for group in &options.groups {
            findings.push(group::find(client, group).await);
        }
        #[cfg(feature = "sns")]
        if let Some(topic) = &options.topic {
            findings.push(topic::find(client, topic).await);
        }
        #[cfg(feature = "config")]
        findings.extend(rule::find(client, &options.rules).await);
        #[cfg(feature = "config")]
        findings.extend(remediation::find(client, &options.remediations).await);
        if let Some(schedule) = &options.inventory {
            findings.push(inventory::find(client, schedule).await);
        }
        if let Some(lake) = &options.lake {
            let item = SetupItem::LakeSync(lake.sync_name.clone());
            findings.push(match self.check_lake(&lake.expected).await {
                Ok(finding) => of_sync(item, &finding, &lake.expected.destination),
                Err(error) => SetupFinding::unknown(item, error.report()),
            });
        }
        SetupReport { scope: self.scope().clone(), at: client.now(), findings }
    }

    /// Makes what a report found missing, and nothing else.
    ///
    /// # Behavior
    /// - Each step looks again, right before it acts, whether it is needed: a fix of an old report, or
    ///   a second one, changes nothing that is there.
    /// - Nothing that is there is changed or replaced. A bucket's policy is put only where there is
    ///   none.
    /// - A step is sent once; where the answer is lost, what came of it is read.
    /// - Each step made is listed with what takes it back.
    /// - A step that fails has the later steps of its item skipped; other items go on.
    ///
    /// # Errors
    /// `InvalidInput` for a report of another account or Region.
    pub async fn fix_setup(&self, report: &SetupReport) -> Result<Vec<SetupOutcome>> {
        if report.scope != *self.scope() {
            let message = format!("the report is of {}, not of {}", report.scope, self.scope());
            return Err(crate::error::invalid("fix_setup", message));
        }
        let mut outcomes = Vec::new();
        for finding in report.findings.iter().filter(|it| it.state == SetupState::Missing) {
            let mut failed = false;
            for step in &finding.fix {
                let result = if failed { StepResult::Skipped } else { self.do_step(step).await };
                failed |= matches!(result, StepResult::Failed { .. });
                let (item, step) = (finding.item.clone(), step.clone());
                outcomes.push(SetupOutcome { item, step, result });
            }
        }
        Ok(outcomes)
    }

    async fn do_step(&self, step: &SetupStep) -> StepResult {
        match Box::pin(self.try_step(step)).await {
            Ok(result) => result,
            Err(error) => StepResult::Failed { error: error.report() },
        }
    }

    async fn try_step(&self, step: &SetupStep) -> Result<StepResult> {
        if let SetupStep::CreateSync { name, destination } = step {
            return Ok(match self.create_lake_sync(name, destination).await? {
                LakeSyncCreation::Made => StepResult::Made { undo: undo(step) },
                LakeSyncCreation::AlreadyThere => StepResult::AlreadyThere,
            });
        }
        if is_done(&self.client, step).await? {
            return Ok(StepResult::AlreadyThere);
        }
        let Err(error) = act(&self.client, step).await else {
            return Ok(StepResult::Made { undo: undo(step) });
        };
        let result = match error.kind() {
            ErrorKind::Timeout => StepResult::Made { undo: undo(step) },
            ErrorKind::Conflict => StepResult::AlreadyThere,
            _ => return Err(error),
        };
        match is_done(&self.client, step).await {
            Ok(true) => Ok(result),
            _ => Err(error),
        }
    }
}

/// Whether a step has been done, by whomever.
async fn is_done(client: &Arc<Client>, step: &SetupStep) -> Result<bool> {
    match step {
        SetupStep::CreateBucket { bucket } => bucket::exists(client, bucket).await,
        SetupStep::PutBucketPolicy { bucket, access } => {
            bucket::lets_in(client, bucket, access).await
        }
        SetupStep::CreateRole { role, .. } => role::exists(client, role).await,
        SetupStep::AttachPolicy { role, arn } => role::has_policy(client, role, arn).await,
        SetupStep::PutRolePolicy { role, name, .. } => role::has_inline(client, role, name).await,
        SetupStep::CreateProfile { profile } => Ok(role::profile(client, profile).await?.is_some()),
        SetupStep::AddRole { profile, role } => {
            let held = role::profile(client, profile).await?.flatten();
            Ok(held.as_ref() == Some(role))
        }
        SetupStep::CreateEndpointGroup { vpc, ranges } => {
            network::has_group(client, vpc, ranges).await
        }
        SetupStep::CreateEndpoint { vpc, service } => {
            network::has_endpoint(client, vpc, service).await
        }
        #[cfg(feature = "resource-groups")]
        SetupStep::CreateGroup { group } => group::exists(client, group).await,
        #[cfg(feature = "sns")]
        SetupStep::CreateTopic { topic } => topic::exists(client, topic).await,
        #[cfg(feature = "config")]
        SetupStep::PutConfigRule { rule } => rule::exists(client, *rule).await,
        #[cfg(feature = "config")]
        SetupStep::PutRemediation { remediation } => remediation::exists(client, remediation).await,
        SetupStep::AssociateInventory { .. } => {
            Ok(!inventory::associations(client).await?.is_empty())
        }
        // Making one looks for itself.
        SetupStep::CreateSync { .. } => Ok(false),
    }
}

/// Does a step, once.
async fn act(client: &Arc<Client>, step: &SetupStep) -> Result<()> {
    match step {
        SetupStep::CreateBucket { bucket } => bucket::create(client, bucket).await,
        SetupStep::PutBucketPolicy { bucket, access } => {
            bucket::put_policy(client, bucket, access).await
        }
        SetupStep::CreateRole { role, service } => role::create(client, role, service).await,
        SetupStep::AttachPolicy { role, arn } => role::attach(client, role, arn).await,
        SetupStep::PutRolePolicy { role, name, document } => {
            role::put_inline(client, role, name, document).await
        }
        SetupStep::CreateProfile { profile } => role::create_profile(client, profile).await,
        SetupStep::AddRole { profile, role } => role::add(client, profile, role).await,
        SetupStep::CreateEndpointGroup { vpc, ranges } => {
            network::create_group(client, vpc, ranges).await
        }
        SetupStep::CreateEndpoint { vpc, service } => {
            network::create_endpoint(client, vpc, service).await
        }
        #[cfg(feature = "resource-groups")]
        SetupStep::CreateGroup { group } => group::create(client, group).await,
        #[cfg(feature = "sns")]
        SetupStep::CreateTopic { topic } => topic::create(client, topic).await,
        #[cfg(feature = "config")]
        SetupStep::PutConfigRule { rule } => rule::put(client, *rule).await,
        #[cfg(feature = "config")]
        SetupStep::PutRemediation { remediation } => remediation::put(client, remediation).await,
        SetupStep::AssociateInventory { schedule } => inventory::associate(client, schedule).await,
        SetupStep::CreateSync { .. } => Ok(()),
    }
}

/// Pure: what a sync's standing means for the setup.
fn of_sync(item: SetupItem, found: &LakeFinding, wanted: &LakeDestination) -> SetupFinding {
    let SetupItem::LakeSync(name) = &item else { return SetupFinding::present(item) };
    let age = |age: &Option<jiff::SignedDuration>| match age {
        Some(age) => format!("{age:#} ago"),
        None => "never".to_owned(),
    };
    match &found.state {
        LakeState::Current { .. } | LakeState::Starting => SetupFinding::present(item),
        LakeState::Stale { age: since } => {
            SetupFinding::wrong(item, format!("it succeeded last {}", age(since)))
        }
        LakeState::Failed { message, age: since } => {
            let why = format!("it fails: {message}; it succeeded last {}", age(since));
            SetupFinding::wrong(item, why)
        }
        LakeState::Unknown => {
            SetupFinding::unknown(item, "the service does not say how the sync does")
        }
        LakeState::Different { why } => SetupFinding::wrong(item, why.join(", ")),
        LakeState::NoPlaceLeft => {
            let why = format!("no place is left beside {}", found.others.join(", "));
            SetupFinding::wrong(item, why)
        }
        LakeState::Missing if found.others.contains(name) => {
            SetupFinding::wrong(item, "a sync of this name writes elsewhere")
        }
        LakeState::Missing => {
            let step = SetupStep::CreateSync { name: name.clone(), destination: wanted.clone() };
            SetupFinding::missing(item, vec![step])
        }
    }
}
