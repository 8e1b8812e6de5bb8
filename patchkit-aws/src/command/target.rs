//! Commands to nodes that Systems Manager looks for itself: by tags and by Resource Groups.

use std::time::Duration;

use aws_sdk_ssm::types::Target;
use patchkit_core::{Amount, PatchAction, Result, RunId, SubmitToken};

use crate::error::{invalid, malformed};

/// A property by which Systems Manager chooses the nodes of a command.
///
/// A node is chosen when it fits every target of a request; it fits one with any of its values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandTarget {
    key: String,
    values: Vec<String>,
}

impl CommandTarget {
    /// Nodes with a tag of any of these values.
    pub fn tag<V>(key: impl AsRef<str>, values: impl IntoIterator<Item = V>) -> Self
    where
        V: Into<String>,
    {
        Self::of(format!("tag:{}", key.as_ref()), values)
    }

    /// Nodes with any of these tags, whatever their values.
    pub fn tag_key<K>(keys: impl IntoIterator<Item = K>) -> Self
    where
        K: Into<String>,
    {
        Self::of("tag-key".to_owned(), keys)
    }

    /// The members of a Resource Group.
    pub fn resource_group(name: impl Into<String>) -> Self {
        Self::of(GROUP.to_owned(), [name])
    }

    /// Of the members of a Resource Group those of these types: `AWS::EC2::Instance`,
    /// `AWS::SSM::ManagedInstance`.
    pub fn resource_types<T>(types: impl IntoIterator<Item = T>) -> Self
    where
        T: Into<String>,
    {
        Self::of(GROUP_TYPES.to_owned(), types)
    }

    fn of<V: Into<String>>(key: String, values: impl IntoIterator<Item = V>) -> Self {
        Self { key, values: values.into_iter().map(Into::into).collect() }
    }

    pub(crate) fn to_sdk(&self) -> Target {
        Target::builder().key(&self.key).set_values(Some(self.values.clone())).build()
    }

    /// Reads one back.
    pub(crate) fn from_sdk(told: &Target) -> Result<Self> {
        let key = told.key().unwrap_or_default();
        if !(key.starts_with("tag:") || [GROUP, GROUP_TYPES, "tag-key"].contains(&key)) {
            return Err(malformed("Target", format!("the key {key:?} of a target")));
        }
        Ok(Self::of(key.to_owned(), told.values().iter().map(String::as_str)))
    }

    /// Whether it is about a Resource Group.
    pub(crate) fn is_group(&self) -> bool {
        self.key == GROUP || self.key == GROUP_TYPES
    }
}

const GROUP: &str = "resource-groups:Name";
const GROUP_TYPES: &str = "resource-groups:ResourceTypeFilters";

/// What SendCommand takes (service model, `Targets`, `TargetValues`, `TargetKey`).
const MOST_TARGETS: usize = 5;
const MOST_VALUES: usize = 50;
const LONGEST_KEY: usize = 163;

/// Refuses what the service would, and what would choose nothing or everything by mistake.
pub(crate) fn check(targets: &[CommandTarget]) -> Result<()> {
    let refuse = |message: String| Err(invalid("SendCommand", message));
    if targets.is_empty() || targets.len() > MOST_TARGETS {
        return refuse(format!("a command has 1 to {MOST_TARGETS} targets, not {}", targets.len()));
    }
    for (at, CommandTarget { key, values }) in targets.iter().enumerate() {
        if values.is_empty() || values.len() > MOST_VALUES {
            let count = values.len();
            return refuse(format!("the target {key} has 1 to {MOST_VALUES} values, not {count}"));
        }
        if key == "tag:" || key.chars().count() > LONGEST_KEY {
            return refuse(format!("a tag's key has 1 to {} characters", LONGEST_KEY - 4));
        }
        if targets[..at].iter().any(|other| other.key == *key) {
            return refuse(format!("the target {key} is given twice"));
        }
        if (key == GROUP || key == GROUP_TYPES || key == "tag-key")
            && values.iter().any(String::is_empty)
        {
            return refuse(format!("the target {key} has an empty value"));
        }
    }
    let has = |key: &str| targets.iter().any(|target| target.key == key);
    if has(GROUP_TYPES) && !has(GROUP) {
        return refuse(
            "resource types are those of a Resource Group, which is not named".to_owned(),
        );
    }
    Ok(())
}

/// An act on nodes that Systems Manager looks for itself.
///
/// Without further words the limits are AWS's own: 50 nodes at once, and no failure is borne.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TargetedRequest {
    /// The caller's mark, by which the act is found again when the answer is lost.
    pub token: SubmitToken,
    /// Which nodes: those that fit every one of these.
    pub targets: Vec<CommandTarget>,
    /// What to do.
    pub action: PatchAction,
    /// The run that the act belongs to, where it does to one.
    pub run: Option<RunId>,
    /// How many nodes are worked on at once; a share is rounded by AWS.
    pub concurrency: Option<Amount>,
    /// How many failures are borne; a share is rounded by AWS.
    pub max_errors: Option<Amount>,
    /// How long a node may take.
    pub timeout: Option<Duration>,
}

impl TargetedRequest {
    /// An act on the nodes that fit every one of `targets`.
    pub fn new(
        token: SubmitToken,
        targets: impl IntoIterator<Item = CommandTarget>,
        action: PatchAction,
    ) -> Self {
        Self {
            token,
            targets: targets.into_iter().collect(),
            action,
            run: None,
            concurrency: None,
            max_errors: None,
            timeout: None,
        }
    }

    /// Names the run that the act belongs to.
    #[must_use]
    pub fn with_run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    /// Limits how many nodes are worked on at once.
    #[must_use]
    pub fn with_concurrency(mut self, amount: Amount) -> Self {
        self.concurrency = Some(amount);
        self
    }

    /// Limits how many failures are borne.
    #[must_use]
    pub fn with_max_errors(mut self, amount: Amount) -> Self {
        self.max_errors = Some(amount);
        self
    }

    /// Limits the time of one node.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

#[cfg(test)]
mod tests {
    use patchkit_core::ErrorKind;

    use super::*;

    #[test]
    fn targets_beyond_the_services_limits_are_refused() {
        let tag = |key: &str, count: usize| {
            CommandTarget::tag(key, (0..count).map(|value| value.to_string()))
        };
        for wrong in [
            vec![],
            ["a", "b", "c", "d", "e", "f"].map(|key| tag(key, 1)).to_vec(),
            vec![tag("a", 0)],
            vec![tag("a", 51)],
            vec![tag("", 1)],
            vec![tag(&"a".repeat(160), 1)],
            vec![tag("a", 1), tag("a", 2)],
            vec![CommandTarget::resource_group("")],
            vec![CommandTarget::resource_types(["AWS::EC2::Instance"])],
        ] {
            assert_eq!(check(&wrong).unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong:?}");
        }
        check(&[tag("a", 50), CommandTarget::tag_key(["b"])]).unwrap();
        check(&[
            CommandTarget::resource_group("web"),
            CommandTarget::resource_types(["AWS::EC2::Instance"]),
        ])
        .unwrap();
    }
}
