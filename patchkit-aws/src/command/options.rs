//! What an embedder can set about the commands that are sent for him.

use std::time::Duration;

use patchkit_core::Result;

use crate::error::invalid;

/// How the commands of an [`Ssm`](crate::Ssm) are sent, beside what each request says.
///
/// The default sends AWS's own documents with their own settings, and keeps the nodes' output where
/// Systems Manager keeps it. Output goes to CloudWatch Logs in no case.
///
/// # Example
/// ```
/// use patchkit_aws::{CommandOptions, OutputBucket, PatchHooks};
///
/// let options = CommandOptions::default()
///     .with_output(OutputBucket::new("patch-logs").with_prefix("runs"))
///     .with_hooks(PatchHooks::default().with_pre_install("Drain-Node"));
/// assert_eq!(options.output.map(|to| to.bucket), Some("patch-logs".to_owned()));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct CommandOptions {
    /// Where nodes write their output.
    pub output: Option<OutputBucket>,
    /// Who is told of commands that change their status.
    pub notification: Option<CommandNotification>,
    /// A list of patches that installs work from instead of the baseline: `https://` or `s3://`.
    /// Compliance is still judged by the baseline, and scans do not read it.
    pub install_override_list: Option<String>,
    /// Baselines that scans and installs work from instead of the registered ones: `s3://`.
    ///
    /// Such a run reports no compliance to Systems Manager (amazon-ssm-agent, issue 562): what it
    /// found is in its output alone.
    pub baseline_override: Option<String>,
    /// Documents that run around installs.
    pub hooks: Option<PatchHooks>,
    /// The version that agents are brought to; the newest where none is set.
    pub agent_version: Option<String>,
    /// The associations that are applied again; all of the node's where none is set.
    pub associations: Vec<String>,
    /// How long a node has to take a command; twenty minutes, or the request's timeout where that
    /// is less, where none is set.
    pub delivery_timeout: Option<Duration>,
    /// How far back a token is looked for that this process did not send itself; thirty days where
    /// none is set, which is as long as Systems Manager keeps commands.
    ///
    /// A token of longer ago is a new one: an act with it is **sent again**. So set less only where no
    /// token is older than that. It saves calls of a process's first listing: one for each fifty
    /// commands of the same document, whoever sent them.
    pub lookback: Option<Duration>,
}

impl CommandOptions {
    /// Has nodes write their output to a bucket. The nodes' own role must allow it.
    #[must_use]
    pub fn with_output(mut self, output: OutputBucket) -> Self {
        self.output = Some(output);
        self
    }

    /// Tells a topic of commands that change their status.
    #[must_use]
    pub fn with_notification(mut self, notification: CommandNotification) -> Self {
        self.notification = Some(notification);
        self
    }

    /// Installs what a list says instead of what the baseline approves.
    #[must_use]
    pub fn with_install_override_list(mut self, url: impl Into<String>) -> Self {
        self.install_override_list = Some(url.into());
        self
    }

    /// Works from the baselines in a file instead of the registered ones.
    #[must_use]
    pub fn with_baseline_override(mut self, url: impl Into<String>) -> Self {
        self.baseline_override = Some(url.into());
        self
    }

    /// Runs documents around installs.
    #[must_use]
    pub fn with_hooks(mut self, hooks: PatchHooks) -> Self {
        self.hooks = Some(hooks);
        self
    }

    /// Brings agents to this version instead of the newest.
    #[must_use]
    pub fn with_agent_version(mut self, version: impl Into<String>) -> Self {
        self.agent_version = Some(version.into());
        self
    }

    /// Applies only these associations again.
    #[must_use]
    pub fn with_associations<I>(mut self, ids: impl IntoIterator<Item = I>) -> Self
    where
        I: Into<String>,
    {
        self.associations = ids.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how long a node has to take a command.
    #[must_use]
    pub fn with_delivery_timeout(mut self, timeout: Duration) -> Self {
        self.delivery_timeout = Some(timeout);
        self
    }

    /// Sets how far back a token is looked for.
    #[must_use]
    pub fn with_lookback(mut self, lookback: Duration) -> Self {
        self.lookback = Some(lookback);
        self
    }

    /// Refuses what no command could be sent with.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |message: &str| Err(invalid("SendCommand", message.to_owned()));
        if let Some(url) = &self.install_override_list
            && !(url.starts_with("https://") || is_object(url))
        {
            return refuse("an install override list lies at https:// or s3://bucket/key");
        }
        if let Some(url) = &self.baseline_override {
            if !is_object(url) || url.contains(['`', '\'', '"', '$']) {
                return refuse("a baseline override lies at s3://bucket/key, without quotes and $");
            }
            if self.install_override_list.is_some() {
                // "AWS-RunPatchBaseline", user guide: a run with both fails on every node.
                return refuse(
                    "an install override list and a baseline override exclude each other",
                );
            }
        }
        if self.hooks.is_some()
            && (self.install_override_list.is_some() || self.baseline_override.is_some())
        {
            return refuse("AWS-RunPatchBaselineWithHooks takes no override of what is installed");
        }
        if let Some(notification) = &self.notification {
            notification.check()?;
        }
        self.output.as_ref().map_or(Ok(()), OutputBucket::check)
    }
}

fn is_object(url: &str) -> bool {
    let place = url.strip_prefix("s3://").and_then(|place| place.split_once('/'));
    place.is_some_and(|(bucket, key)| !bucket.is_empty() && !key.is_empty() && !key.ends_with('/'))
}

/// A place in S3 that nodes write their output to.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OutputBucket {
    /// The bucket.
    pub bucket: String,
    /// What keys begin with, before the command's id.
    pub prefix: Option<String>,
    /// The bucket's Region, where it is another than the nodes'.
    pub region: Option<String>,
}

impl OutputBucket {
    /// The top of a bucket in the nodes' Region.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), prefix: None, region: None }
    }

    /// Sets what keys begin with.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Sets the bucket's Region.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    fn check(&self) -> Result<()> {
        // Service model: S3BucketName, S3KeyPrefix.
        if !(3..=63).contains(&self.bucket.len()) {
            return Err(invalid("SendCommand", "an output bucket's name has 3 to 63 characters"));
        }
        if self.prefix.as_ref().is_some_and(|prefix| prefix.chars().count() > 500) {
            return Err(invalid("SendCommand", "an output prefix has at most 500 characters"));
        }
        Ok(())
    }
}

/// A topic that Systems Manager tells of commands that change their status.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct CommandNotification {
    /// The topic's ARN.
    pub topic: String,
    /// The ARN of the role that Systems Manager publishes with.
    pub role: String,
    /// Of what it tells; of everything where the list is empty.
    pub events: Vec<CommandEvent>,
    /// Of what status changes are told.
    pub per: NotifyPer,
}

impl CommandNotification {
    /// Tells a topic, with a role that may publish to it, of all that becomes of commands.
    pub fn new(topic: impl Into<String>, role: impl Into<String>) -> Self {
        let (topic, role) = (topic.into(), role.into());
        Self { topic, role, events: Vec::new(), per: NotifyPer::Command }
    }

    /// Tells of these alone.
    #[must_use]
    pub fn with_events(mut self, events: impl IntoIterator<Item = CommandEvent>) -> Self {
        self.events = events.into_iter().collect();
        self
    }

    /// Tells of commands as a whole, or of each on each node.
    #[must_use]
    pub fn with_per(mut self, per: NotifyPer) -> Self {
        self.per = per;
        self
    }

    fn check(&self) -> Result<()> {
        for (what, arn) in [("topic", &self.topic), ("role", &self.role)] {
            if !arn.starts_with("arn:") {
                return Err(invalid(
                    "SendCommand",
                    format!("the {what} of a command notification is not an ARN"),
                ));
            }
        }
        Ok(())
    }
}

/// A change of a command's status that can be told.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CommandEvent {
    /// It began.
    InProgress,
    /// It ended well.
    Success,
    /// It took too long.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// It failed.
    Failed,
}

/// Of what status changes are told.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum NotifyPer {
    /// Of commands as a whole.
    #[default]
    Command,
    /// Of each command on each node.
    Node,
}

/// Documents that run around an install: `AWS-RunPatchBaselineWithHooks`.
///
/// One that is not set does nothing (`AWS-Noop`). The last one runs also after a failure.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct PatchHooks {
    /// Runs before the install.
    pub pre_install: Option<String>,
    /// Runs after the install and before the reboot.
    pub post_install: Option<String>,
    /// Runs at the end, after the reboot.
    pub on_exit: Option<String>,
}

impl PatchHooks {
    /// Sets what runs before the install.
    #[must_use]
    pub fn with_pre_install(mut self, document: impl Into<String>) -> Self {
        self.pre_install = Some(document.into());
        self
    }

    /// Sets what runs after the install and before the reboot.
    #[must_use]
    pub fn with_post_install(mut self, document: impl Into<String>) -> Self {
        self.post_install = Some(document.into());
        self
    }

    /// Sets what runs at the end, after the reboot.
    #[must_use]
    pub fn with_on_exit(mut self, document: impl Into<String>) -> Self {
        self.on_exit = Some(document.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use patchkit_core::ErrorKind;

    use super::*;

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        let none = CommandOptions::default;
        let hooks = PatchHooks::default().with_pre_install("Drain");
        let topic = CommandNotification::new("topic", "arn:aws:iam::111122223333:role/sns");
        for wrong in [
            none().with_install_override_list("ftp://host/list"),
            none().with_install_override_list("s3://bucket"),
            none().with_baseline_override("https://host/override.json"),
            none().with_baseline_override("s3://bucket/a$b.json"),
            none()
                .with_install_override_list("s3://bucket/list.yaml")
                .with_baseline_override("s3://bucket/override.json"),
            none().with_hooks(hooks.clone()).with_baseline_override("s3://bucket/override.json"),
            none().with_hooks(hooks.clone()).with_install_override_list("https://host/list"),
            none().with_notification(topic),
            none().with_output(OutputBucket::new("ab")),
            none().with_output(OutputBucket::new("logs").with_prefix("p".repeat(501))),
        ] {
            assert_eq!(wrong.check().unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong:?}");
        }
        none().with_hooks(hooks).with_output(OutputBucket::new("logs")).check().unwrap();
    }
}
