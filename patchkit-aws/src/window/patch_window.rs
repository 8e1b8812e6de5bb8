//! A maintenance window as its maker describes it.

use aws_sdk_ssm::types::{
    MaintenanceWindowRunCommandParameters, MaintenanceWindowTaskInvocationParameters,
};
use jiff::Timestamp;
use patchkit_core::{Result, Schedule, Timetable, ZoneName};

use super::{CREATE, MOST_TARGETS, REGISTER_TARGET, REGISTER_TASK};
use crate::{
    Ssm, command,
    error::invalid,
    schedule::{self, PatchTask, Place, ScheduleTarget},
};

/// A maintenance window that does one thing to some nodes.
///
/// # Example
/// ```
/// use patchkit_aws::{PatchTask, PatchWindow, ScheduleTarget};
/// use patchkit_core::{PatchAction, RebootPolicy};
///
/// let install = PatchTask::new(PatchAction::Install(RebootPolicy::IfRequired));
/// // Two days after Patch Tuesday, in the night of the nodes.
/// let window = PatchWindow::new("patch-web", "cron(0 23 ? * TUE#2 *)".parse()?, install)
///     .with_target(ScheduleTarget::patch_group("web"))
///     .with_offset_days(2)
///     .with_time_zone("Europe/Berlin")
///     .with_hours(4, 1);
/// assert_eq!(window.cutoff_hours, 1);
/// let next = window.timetable().next_after("2026-11-24T00:00:00Z".parse()?)?;
/// assert_eq!(next, Some("2026-12-10T22:00:00Z".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PatchWindow {
    /// Its name: 3 to 128 letters, digits, `-`, `_` and `.`. Names need not be unique.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it opens.
    pub schedule: Schedule,
    /// The IANA time zone of the schedule; UTC where none is set.
    pub time_zone: Option<String>,
    /// How many days after the time of a cron expression it opens.
    pub offset_days: Option<u8>,
    /// How long it is open.
    pub duration_hours: u8,
    /// How long before its end nothing new may start.
    pub cutoff_hours: u8,
    /// What becomes of commands that run at the cutoff.
    pub at_cutoff: AtCutoff,
    /// It does not open before.
    pub starts: Option<Timestamp>,
    /// It does not open from then on.
    pub ends: Option<Timestamp>,
    /// The nodes: those of every one of these.
    pub targets: Vec<ScheduleTarget>,
    /// What is done to them.
    pub task: PatchTask,
    /// The ARN of the role that the window works with; AWS's own service-linked one where none is
    /// set.
    pub role: Option<String>,
}

/// What becomes of commands that run when nothing new may start any more.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AtCutoff {
    /// They go on.
    #[default]
    GoOn,
    /// They are cancelled, as far as that is still possible.
    Cancel,
}

impl PatchWindow {
    /// A window of three hours, of which the last is for what runs already.
    pub fn new(name: impl Into<String>, schedule: Schedule, task: PatchTask) -> Self {
        Self {
            name: name.into(),
            description: None,
            schedule,
            time_zone: None,
            offset_days: None,
            duration_hours: 3,
            cutoff_hours: 1,
            at_cutoff: AtCutoff::GoOn,
            starts: None,
            ends: None,
            targets: Vec::new(),
            task,
            role: None,
        }
    }

    /// Says what it is for.
    #[must_use]
    pub fn with_description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Sets the time zone of the schedule.
    #[must_use]
    pub fn with_time_zone(mut self, name: impl Into<String>) -> Self {
        self.time_zone = Some(name.into());
        self
    }

    /// Opens so many days after the time of a cron expression.
    #[must_use]
    pub fn with_offset_days(mut self, days: u8) -> Self {
        self.offset_days = Some(days);
        self
    }

    /// Sets how long it is open, and how long before its end nothing new may start.
    #[must_use]
    pub fn with_hours(mut self, duration: u8, cutoff: u8) -> Self {
        (self.duration_hours, self.cutoff_hours) = (duration, cutoff);
        self
    }

    /// Sets what becomes of commands that run at the cutoff.
    #[must_use]
    pub fn with_at_cutoff(mut self, at_cutoff: AtCutoff) -> Self {
        self.at_cutoff = at_cutoff;
        self
    }

    /// Does not open before.
    #[must_use]
    pub fn with_start(mut self, starts: Timestamp) -> Self {
        self.starts = Some(starts);
        self
    }

    /// Does not open from then on.
    #[must_use]
    pub fn with_end(mut self, ends: Timestamp) -> Self {
        self.ends = Some(ends);
        self
    }

    /// Adds nodes.
    #[must_use]
    pub fn with_target(mut self, target: ScheduleTarget) -> Self {
        self.targets.push(target);
        self
    }

    /// Sets the role that the window works with.
    #[must_use]
    pub fn with_role(mut self, arn: impl Into<String>) -> Self {
        self.role = Some(arn.into());
        self
    }

    /// When it opens, to be told in times, made a recurrence of Azure, or held against others.
    ///
    /// # Behavior
    /// - A `rate` is counted from the window's start. Without one AWS counts from when the window was
    ///   made, which it does not tell.
    pub fn timetable(&self) -> Timetable {
        let zone = self.time_zone.as_deref().map_or_else(ZoneName::utc, ZoneName::new);
        let table = Timetable::of_schedule(self.schedule.clone(), zone)
            .with_offset_days(self.offset_days.unwrap_or(0));
        let table = match self.starts {
            Some(starts) => table.with_start(starts),
            None => table,
        };
        match self.ends {
            Some(ends) => table.with_end(ends),
            None => table,
        }
    }

    pub(super) fn check(&self, ssm: &Ssm) -> Result<()> {
        let refuse = |message: String| Err(invalid(CREATE, message));
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !(3..=128).contains(&self.name.len()) || !self.name.chars().all(plain) {
            return refuse(format!(
                "the name {:?} is not 3 to 128 letters, digits and -, _ or .",
                self.name
            ));
        }
        if self.description.as_ref().is_some_and(|it| !(1..=128).contains(&it.chars().count())) {
            return refuse("a description has 1 to 128 characters".to_owned());
        }
        let zone = |c: char| c.is_ascii_alphanumeric() || "_-+/".contains(c);
        if self.time_zone.as_ref().is_some_and(|it| it.is_empty() || !it.chars().all(zone)) {
            return refuse("a time zone is one of IANA's: Europe/Berlin".to_owned());
        }
        schedule::check_window(&self.schedule, self.offset_days)?;
        if !(1..=24).contains(&self.duration_hours) || self.cutoff_hours >= self.duration_hours {
            return refuse(format!(
                "a window is open for 1 to 24 hours and its cutoff is shorter, not {} and {}",
                self.duration_hours, self.cutoff_hours
            ));
        }
        if let (Some(starts), Some(ends)) = (self.starts, self.ends)
            && ends <= starts
        {
            return refuse(format!("the end {ends} is not after the start {starts}"));
        }
        let whole = |at: &Timestamp| at.subsec_nanosecond() == 0;
        if ![self.starts, self.ends].iter().flatten().all(whole) {
            return refuse("start and end are whole seconds".to_owned());
        }
        if self.targets.is_empty() || self.targets.len() > MOST_TARGETS {
            let count = self.targets.len();
            return refuse(format!(
                "a window of ours has 1 to {MOST_TARGETS} targets, not {count}"
            ));
        }
        for (at, target) in self.targets.iter().enumerate() {
            target.check(REGISTER_TARGET, ssm.scope())?;
            if self.targets[..at].contains(target) {
                return refuse("a target is given twice".to_owned());
            }
        }
        self.task.check(REGISTER_TASK, Place::Window)
    }

    pub(super) fn invocation(&self) -> Result<MaintenanceWindowTaskInvocationParameters> {
        let options = &self.task.options;
        let (_, parameters) = self.task.document()?;
        let seconds = options.delivery_timeout.and_then(|it| i32::try_from(it.as_secs()).ok());
        let output = options.output.as_ref();
        let notification = options.notification.as_ref();
        let command = MaintenanceWindowRunCommandParameters::builder()
            .set_parameters(Some(parameters).filter(|it| !it.is_empty()))
            .set_output_s3_bucket_name(output.map(|it| it.bucket.clone()))
            .set_output_s3_key_prefix(output.and_then(|it| it.prefix.clone()))
            .set_notification_config(notification.map(command::notification))
            .set_service_role_arn(notification.map(|it| it.role.clone()))
            .set_timeout_seconds(seconds)
            .build();
        Ok(MaintenanceWindowTaskInvocationParameters::builder().run_command(command).build())
    }
}
