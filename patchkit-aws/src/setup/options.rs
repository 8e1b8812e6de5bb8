//! What an account and Region is to be set up with.

use patchkit_core::{AccountId, Scope};
use serde::{Deserialize, Serialize};

use crate::LakeExpectation;

/// What an account and Region is to be set up with. What is not named is not looked at.
///
/// # Example
/// ```
/// use patchkit_aws::{LakeDestination, LakeExpectation, LakeOwner, SetupOptions};
///
/// let to = LakeDestination::new("central-lake", "eu-west-1".parse()?).with_prefix("inventory");
/// let owner = LakeOwner::new("111122223333".parse()?, LakeExpectation::new(to))
///     .with_accounts(["444455556666".parse()?]);
/// let options = SetupOptions::new()
///     .with_log_bucket("patch-logs-{account}-{region}")
///     .with_lake(owner)
///     .with_role("managed-node")
///     .with_inventory("rate(12 hours)");
/// # let _ = options;
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SetupOptions {
    /// The bucket for the output of commands; `{account}` and `{region}` stand for the scope's.
    pub log_bucket: Option<String>,
    /// The lake that all accounts and Regions fill.
    pub lake: Option<LakeOwner>,
    /// The role of managed nodes, and the instance profile of the same name.
    pub role: Option<String>,
    /// The role that hybrid nodes take by their activations.
    pub hybrid_role: Option<String>,
    /// The VPCs whose nodes reach Systems Manager through endpoints.
    pub vpcs: Vec<String>,
    /// The Resource Groups that nodes are selected by.
    #[cfg(feature = "resource-groups")]
    pub groups: Vec<TagGroup>,
    /// The name of the topic that tells of runs.
    #[cfg(feature = "sns")]
    pub topic: Option<String>,
    /// The rules of AWS Config that judge nodes.
    #[cfg(feature = "config")]
    pub rules: Vec<super::ManagedRule>,
    /// What is started for the resources that a rule finds wrong.
    #[cfg(feature = "config")]
    pub remediations: Vec<super::RuleRemediation>,
    /// How often nodes gather their inventory: `rate(12 hours)`.
    pub inventory: Option<String>,
}

/// A Resource Group of the nodes that have a tag.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TagGroup {
    /// Its name.
    pub name: String,
    /// The tag.
    pub key: String,
    /// The values that it may have; any, where none is named.
    pub values: Vec<String>,
}

impl TagGroup {
    /// The nodes whose tag has one of these values; any, where none is named.
    pub fn new(
        name: impl Into<String>,
        key: impl Into<String>,
        values: impl IntoIterator<Item = String>,
    ) -> Self {
        Self { name: name.into(), key: key.into(), values: values.into_iter().collect() }
    }
}

/// A lake, the account that owns its bucket, and the accounts that fill it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LakeOwner {
    /// The account that owns the bucket.
    pub account: AccountId,
    /// All accounts whose syncs write to it, the owner's among them.
    pub accounts: Vec<AccountId>,
    /// What each account and Region should do for it.
    pub expected: LakeExpectation,
    /// The name of the syncs.
    pub sync_name: String,
    /// The organization all of whose accounts may write to it, those that join later too.
    pub organization: Option<String>,
}

impl SetupOptions {
    /// Nothing, to be added to.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a bucket for the output of commands; `{account}` and `{region}` stand for the
    /// scope's.
    #[must_use]
    pub fn with_log_bucket(mut self, name: impl Into<String>) -> Self {
        self.log_bucket = Some(name.into());
        self
    }

    /// Asks for a lake.
    #[must_use]
    pub fn with_lake(mut self, lake: LakeOwner) -> Self {
        self.lake = Some(lake);
        self
    }

    /// Asks for a role for managed nodes, and an instance profile of the same name.
    #[must_use]
    pub fn with_role(mut self, name: impl Into<String>) -> Self {
        self.role = Some(name.into());
        self
    }

    /// Asks for a role for hybrid nodes, which their activations name.
    #[must_use]
    pub fn with_hybrid_role(mut self, name: impl Into<String>) -> Self {
        self.hybrid_role = Some(name.into());
        self
    }

    /// Asks for endpoints in a VPC, for nodes without a way to the internet.
    #[must_use]
    pub fn with_vpc(mut self, id: impl Into<String>) -> Self {
        self.vpcs.push(id.into());
        self
    }

    /// Asks for a Resource Group.
    #[cfg(feature = "resource-groups")]
    #[must_use]
    pub fn with_group(mut self, group: TagGroup) -> Self {
        self.groups.push(group);
        self
    }

    /// Asks for a topic that tells of runs.
    #[cfg(feature = "sns")]
    #[must_use]
    pub fn with_topic(mut self, name: impl Into<String>) -> Self {
        self.topic = Some(name.into());
        self
    }

    /// Asks for a rule of AWS Config.
    #[cfg(feature = "config")]
    #[must_use]
    pub fn with_rule(mut self, rule: super::ManagedRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Asks for the remediation of a rule of AWS Config, and for the rule.
    #[cfg(feature = "config")]
    #[must_use]
    pub fn with_remediation(mut self, remediation: super::RuleRemediation) -> Self {
        if !self.rules.contains(&remediation.rule) {
            self.rules.push(remediation.rule);
        }
        self.remediations.push(remediation);
        self
    }

    /// Asks for the association by which all nodes gather their inventory.
    #[must_use]
    pub fn with_inventory(mut self, schedule: impl Into<String>) -> Self {
        self.inventory = Some(schedule.into());
        self
    }

    pub(super) fn log_bucket_in(&self, scope: &Scope) -> Option<String> {
        let name = self.log_bucket.as_ref()?;
        let name = name.replace("{account}", scope.account().as_str());
        Some(name.replace("{region}", scope.region().as_str()))
    }

    /// The lake, where its bucket is of this account and Region.
    pub(super) fn lake_here(&self, scope: &Scope) -> Option<&LakeOwner> {
        let at = |lake: &&LakeOwner| {
            lake.account == *scope.account() && lake.expected.destination.region == *scope.region()
        };
        self.lake.as_ref().filter(at)
    }
}

impl LakeOwner {
    /// A lake that the owner's account alone fills, by syncs named `patchkit-lake`.
    pub fn new(account: AccountId, expected: LakeExpectation) -> Self {
        let accounts = vec![account.clone()];
        Self {
            account,
            accounts,
            expected,
            sync_name: "patchkit-lake".to_owned(),
            organization: None,
        }
    }

    /// Adds accounts whose syncs write to it.
    #[must_use]
    pub fn with_accounts(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        for account in accounts {
            if !self.accounts.contains(&account) {
                self.accounts.push(account);
            }
        }
        self
    }

    /// Lets all accounts of an organization write to it, `o-…`, those that join later too: the
    /// bucket's policy then asks for the organization (`aws:SourceOrgID`) in place of accounts.
    #[must_use]
    pub fn with_organization(mut self, id: impl Into<String>) -> Self {
        self.organization = Some(id.into());
        self
    }

    /// Sets the name of the syncs.
    #[must_use]
    pub fn with_sync_name(mut self, name: impl Into<String>) -> Self {
        self.sync_name = name.into();
        self
    }
}
