//! What is done when its time has come: an act of ours, as a document with parameters.

use std::{collections::HashMap, time::Duration};

use aws_sdk_ssm::types::{NotificationConfig, NotificationEvent, NotificationType};
use patchkit_core::{Amount, Error, ErrorKind, PatchAction, RebootPolicy, Result};
use uuid::Uuid;

use crate::{
    command::{
        CommandEvent, CommandNotification, CommandOptions, NotifyPer, PatchHooks,
        document::{self, Document, Parameters},
    },
    error::{PROVIDER, invalid, malformed},
};

/// What is done when its time has come.
///
/// Without further words the limits are those of Run Command: 50 nodes at once, and no failure is
/// borne.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PatchTask {
    /// What is done.
    pub action: PatchAction,
    /// How the command for it is sent. What does not belong to the action, or cannot be kept where
    /// the task is kept, is refused rather than left out.
    pub options: CommandOptions,
    /// How many nodes are worked on at once; a share is rounded by AWS.
    pub concurrency: Amount,
    /// How many failures are borne; a share is rounded by AWS.
    pub max_errors: Amount,
}

/// What keeps a task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Window,
    Association,
}

/// What a command takes (service model, `TimeoutSeconds`).
const DELIVERY: std::ops::RangeInclusive<u64> = 30..=2_592_000;

impl PatchTask {
    /// An action with Run Command's own limits and options.
    pub fn new(action: PatchAction) -> Self {
        Self {
            action,
            options: CommandOptions::default(),
            concurrency: Amount::Fixed(50),
            max_errors: Amount::Fixed(0),
        }
    }

    /// Sets how the command is sent.
    #[must_use]
    pub fn with_options(mut self, options: CommandOptions) -> Self {
        self.options = options;
        self
    }

    /// Limits how many nodes are worked on at once.
    #[must_use]
    pub fn with_concurrency(mut self, amount: Amount) -> Self {
        self.concurrency = amount;
        self
    }

    /// Limits how many failures are borne.
    #[must_use]
    pub fn with_max_errors(mut self, amount: Amount) -> Self {
        self.max_errors = amount;
        self
    }

    pub(crate) fn check(&self, operation: &'static str, place: Place) -> Result<()> {
        let options = &self.options;
        options.check()?;
        let installs = matches!(self.action, PatchAction::Install(_));
        let scans = self.action == PatchAction::Scan;
        let updates = self.action == PatchAction::UpdateAgent;
        let refreshes = self.action == PatchAction::RefreshAssociations;
        let in_window = place == Place::Window;
        let delivery = options.delivery_timeout;
        let region = options.output.as_ref().and_then(|output| output.region.as_ref());
        for (lost, what) in [
            (options.hooks.is_some() && !installs, "hooks are of installs"),
            (options.install_override_list.is_some() && !installs, "a list is of installs"),
            (
                options.baseline_override.is_some() && !installs && !scans,
                "a baseline is of scans and installs",
            ),
            (options.agent_version.is_some() && !updates, "a version is of an agent's update"),
            (
                !options.associations.is_empty() && !refreshes,
                "associations are of a refresh of them",
            ),
            (options.lookback.is_some(), "nothing is looked for by a token"),
            (region.is_some() && in_window, "a window keeps no Region of an output bucket"),
            (
                options.notification.is_some() && !in_window,
                "an association tells no topic of its commands",
            ),
            (
                delivery.is_some() && !in_window,
                "an association has no time for the delivery of its commands",
            ),
            (
                delivery.is_some_and(|time| {
                    time.subsec_nanos() > 0 || !DELIVERY.contains(&time.as_secs())
                }),
                "the time for a delivery is 30 to 2592000 whole seconds",
            ),
        ] {
            if lost {
                return Err(invalid(operation, format!("options of {}: {what}", self.action)));
            }
        }
        self.limits().map(drop)
    }

    /// `MaxConcurrency` and `MaxErrors`.
    pub(crate) fn limits(&self) -> Result<(String, String)> {
        let concurrency = document::max_concurrency(Some(self.concurrency), None)?;
        let errors = document::max_errors(Some(self.max_errors), None);
        Ok((concurrency.unwrap_or_default(), errors.unwrap_or_default()))
    }

    /// The document and its parameters. There is no snapshot: each time has its own ("About
    /// AWS-RunPatchBaseline", user guide: in a maintenance window it is to be left out).
    pub(crate) fn document(&self) -> Result<(Document, Parameters)> {
        let (document, mut parameters) = document::of(self.action, &self.options, Uuid::nil())?;
        parameters.remove("SnapshotId");
        Ok((document, parameters))
    }

    /// Reads a task back. Whatever it holds that this type does not is an error: nothing is lost
    /// without a word.
    pub(crate) fn read(
        operation: &'static str,
        name: &str,
        parameters: &HashMap<String, Vec<String>>,
        limits: (Option<&str>, Option<&str>),
    ) -> Result<Self> {
        let foreign = |what: String| {
            let message = format!("no task of PatchKit's: {what}");
            Err(Error::new(ErrorKind::Unsupported, PROVIDER, operation, message))
        };
        let bare = name.rsplit_once(":document/").map_or(name, |(_, name)| name);
        let Some(document) = Document::ALL.into_iter().find(|it| it.name() == bare) else {
            return foreign(format!("the document {name}"));
        };
        let mut left: Parameters = parameters.clone();
        let mut take = |name: &str| {
            let value = left.remove(name).and_then(|values| values.into_iter().next());
            value.filter(|value| !value.is_empty())
        };
        let mut options = CommandOptions::default();
        let action = match document {
            Document::RunPatchBaseline | Document::RunPatchBaselineWithHooks => {
                options.install_override_list = take("InstallOverrideList");
                options.baseline_override = take("BaselineOverride");
                let reboot = take("RebootOption");
                let scan = take("Operation").as_deref() == Some("Scan");
                if document == Document::RunPatchBaselineWithHooks {
                    options.hooks = Some(PatchHooks::default());
                }
                if let Some(hooks) = &mut options.hooks {
                    hooks.pre_install = take("PreInstallHookDocName");
                    hooks.post_install = take("PostInstallHookDocName");
                    hooks.on_exit = take("OnExitHookDocName");
                }
                match reboot.as_deref() {
                    _ if scan => PatchAction::Scan,
                    Some("NoReboot") => PatchAction::Install(RebootPolicy::Never),
                    _ => PatchAction::Install(RebootPolicy::IfRequired),
                }
            }
            Document::UpdateAgent => {
                options.agent_version = take("version");
                PatchAction::UpdateAgent
            }
            Document::RefreshAssociation => {
                options.associations = left.remove("associationIds").unwrap_or_default();
                PatchAction::RefreshAssociations
            }
        };
        if let Some(parameter) = left.keys().next() {
            return foreign(format!("the parameter {parameter}"));
        }
        let amount = |text: Option<&str>| {
            // What is not said is all of them (API reference, CreateAssociation).
            let text = text.unwrap_or("100%");
            text.parse::<Amount>().map_err(|_| malformed(operation, format!("amount {text:?}")))
        };
        let (concurrency, max_errors) = limits;
        let (concurrency, max_errors) = (amount(concurrency)?, amount(max_errors)?);
        Ok(Self { action, options, concurrency, max_errors })
    }
}

/// Reads back who is told of a command.
pub(crate) fn notification(
    told: Option<&NotificationConfig>,
    role: Option<&str>,
) -> Option<CommandNotification> {
    let told = told?;
    let mut read = CommandNotification::new(told.notification_arn()?, role.unwrap_or_default());
    read.events = told.notification_events().iter().filter_map(event).collect();
    if told.notification_type() == Some(&NotificationType::Invocation) {
        read.per = NotifyPer::Node;
    }
    Some(read)
}

fn event(told: &NotificationEvent) -> Option<CommandEvent> {
    Some(match told {
        NotificationEvent::InProgress => CommandEvent::InProgress,
        NotificationEvent::Success => CommandEvent::Success,
        NotificationEvent::TimedOut => CommandEvent::TimedOut,
        NotificationEvent::Cancelled => CommandEvent::Cancelled,
        NotificationEvent::Failed => CommandEvent::Failed,
        // All of them, which is an empty list here.
        _ => return None,
    })
}

/// Reads back how long a delivery may take.
pub(crate) fn delivery(seconds: Option<i32>) -> Option<Duration> {
    seconds.and_then(|it| u64::try_from(it).ok()).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OutputBucket;

    fn tasks() -> Vec<PatchTask> {
        let options = CommandOptions::default;
        let install = |reboot| PatchTask::new(PatchAction::Install(reboot));
        vec![
            PatchTask::new(PatchAction::Scan),
            PatchTask::new(PatchAction::Scan)
                .with_options(options().with_baseline_override("s3://bucket/override.json"))
                .with_concurrency(Amount::Percent(10))
                .with_max_errors(Amount::Percent(5)),
            install(RebootPolicy::Never),
            install(RebootPolicy::IfRequired)
                .with_options(options().with_install_override_list("https://host/list.yaml")),
            install(RebootPolicy::IfRequired)
                .with_options(options().with_hooks(PatchHooks::default().with_on_exit("Undrain"))),
            install(RebootPolicy::Never).with_options(options().with_hooks(PatchHooks::default())),
            PatchTask::new(PatchAction::UpdateAgent)
                .with_options(options().with_agent_version("3.2.582.0")),
            PatchTask::new(PatchAction::RefreshAssociations)
                .with_options(options().with_associations(["one", "two"])),
        ]
    }

    #[test]
    fn a_task_is_read_back_as_it_was() {
        for task in tasks() {
            task.check("test", Place::Window).unwrap();
            let (document, parameters) = task.document().unwrap();
            assert!(!parameters.contains_key("SnapshotId"));
            let (concurrency, errors) = task.limits().unwrap();
            let limits = (Some(concurrency.as_str()), Some(errors.as_str()));
            let arn = format!("arn:aws:ssm:eu-west-1::document/{}", document.name());
            for name in [document.name(), &arn] {
                assert_eq!(PatchTask::read("test", name, &parameters, limits).unwrap(), task);
            }
        }
    }

    #[test]
    fn what_a_task_cannot_hold_is_an_error_and_not_left_out() {
        let read = |name: &str, parameters: &[(&str, &str)]| {
            let parameters = parameters.iter().map(|(k, v)| ((*k).into(), vec![(*v).into()]));
            PatchTask::read("test", name, &parameters.collect(), (None, None)).unwrap_err()
        };
        let other = read("AWS-RunShellScript", &[("commands", "true")]);
        let more = [("Operation", "Scan"), ("StepTimeoutSeconds", "60")];
        for error in [other, read("AWS-RunPatchBaseline", &more)] {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        }
    }

    #[test]
    fn options_that_would_be_lost_are_refused() {
        let options = CommandOptions::default;
        let scan = |options| PatchTask::new(PatchAction::Scan).with_options(options);
        let refused = |task: PatchTask, place| task.check("test", place).is_err();
        for lost in [
            options().with_hooks(PatchHooks::default()),
            options().with_install_override_list("https://host/list.yaml"),
            options().with_agent_version("1"),
            options().with_associations(["one"]),
            options().with_lookback(Duration::from_secs(1)),
            options().with_delivery_timeout(Duration::from_secs(29)),
            options().with_delivery_timeout(Duration::from_millis(60_500)),
            options().with_output(OutputBucket::new("logs").with_region("eu-west-1")),
        ] {
            assert!(refused(scan(lost.clone()), Place::Window), "{lost:?}");
        }
        let minute = options().with_delivery_timeout(Duration::from_mins(1));
        assert!(!refused(scan(minute.clone()), Place::Window));
        assert!(refused(scan(minute), Place::Association));
        let region = options().with_output(OutputBucket::new("logs").with_region("eu-west-1"));
        assert!(!refused(scan(region), Place::Association));
        let none = PatchTask::new(PatchAction::Scan).with_concurrency(Amount::Fixed(0));
        assert!(refused(none, Place::Window));
    }
}
