//! State Manager associations that patch.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_ssm::types::{
    Association, AssociationComplianceSeverity, AssociationDescription, AssociationFilter,
    AssociationFilterKey, AssociationOverview, InstanceAssociationOutputLocation, S3OutputLocation,
};
use futures::{TryStreamExt, stream::BoxStream};
use jiff::Timestamp;
use patchkit_core::{
    ComplianceLevel, Error, ErrorKind, Result, Schedule, Scope,
    listing::{each_once, sound},
    paginate,
};

use crate::{
    AssociationId, Ssm,
    command::OutputBucket,
    convert::timestamp,
    error::{PROVIDER, invalid, malformed},
    schedule::{self, PatchTask, Place, ScheduleTarget},
};

const CREATE: &str = "CreateAssociation";
const DESCRIBE: &str = "DescribeAssociation";
const LIST: &str = "ListAssociations";

/// A State Manager association: what is done to some nodes again and again.
///
/// # Example
/// ```
/// use patchkit_aws::{PatchAssociation, PatchTask, ScheduleTarget};
/// use patchkit_core::PatchAction;
///
/// let daily = PatchAssociation::new(
///     "scan-web",
///     ScheduleTarget::patch_group("web"),
///     PatchTask::new(PatchAction::Scan),
/// )
/// .with_schedule("cron(15 4 ? * * *)".parse()?);
/// assert!(daily.schedule.is_some());
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PatchAssociation {
    /// Its name: 3 to 128 letters, digits, `-`, `_` and `.`. PatchKit makes one of a name.
    pub name: String,
    /// When it is applied, in UTC; without one, once.
    pub schedule: Option<Schedule>,
    /// How many days after the time of a cron expression it is applied.
    pub offset_days: Option<u8>,
    /// When it is applied first.
    pub first_run: FirstRun,
    /// The nodes.
    pub target: ScheduleTarget,
    /// What is done to them.
    pub task: PatchTask,
    /// How much it matters, in the compliance of associations.
    pub level: ComplianceLevel,
}

/// When an association is applied first.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum FirstRun {
    /// As soon as it is made, which is how State Manager does it unless told otherwise.
    AtOnce,
    /// At the first time of its schedule. Patching nodes the moment someone writes down a schedule is
    /// not what he asks for, so this is the default here.
    #[default]
    OnSchedule,
}

impl PatchAssociation {
    /// An association that is applied once, as soon as it is made.
    pub fn new(name: impl Into<String>, target: ScheduleTarget, task: PatchTask) -> Self {
        Self {
            name: name.into(),
            schedule: None,
            offset_days: None,
            first_run: FirstRun::AtOnce,
            target,
            task,
            level: ComplianceLevel::Unspecified,
        }
    }

    /// Applies it by a schedule, and not before its first time; by a rate, which State Manager counts
    /// from the first run, from now on.
    #[must_use]
    pub fn with_schedule(mut self, schedule: Schedule) -> Self {
        self.first_run = match &schedule {
            Schedule::Rate { .. } => FirstRun::AtOnce,
            _ => FirstRun::OnSchedule,
        };
        self.schedule = Some(schedule);
        self
    }

    /// Applies it so many days after the time of a cron expression.
    #[must_use]
    pub fn with_offset_days(mut self, days: u8) -> Self {
        self.offset_days = Some(days);
        self
    }

    /// Sets when it is applied first.
    #[must_use]
    pub fn with_first_run(mut self, first: FirstRun) -> Self {
        self.first_run = first;
        self
    }

    /// Sets how much it matters.
    #[must_use]
    pub fn with_level(mut self, level: ComplianceLevel) -> Self {
        self.level = level;
        self
    }

    fn check(&self, scope: &Scope) -> Result<()> {
        let refuse = |message: String| Err(invalid(CREATE, message));
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !(3..=128).contains(&self.name.len()) || !self.name.chars().all(plain) {
            return refuse(format!(
                "the name {:?} is not 3 to 128 letters, digits and -, _ or .",
                self.name
            ));
        }
        match (&self.schedule, self.first_run) {
            (Some(schedule), first) => {
                schedule::check_association(schedule, self.offset_days)?;
                if self.offset_days.is_some() && first == FirstRun::AtOnce {
                    // User guide, "Cron and rate expressions": an offset needs
                    // ApplyOnlyAtCronInterval.
                    return refuse(
                        "an offset and a first run at once exclude each other".to_owned(),
                    );
                }
                // API reference, CreateAssociation: ApplyOnlyAtCronInterval "isn't supported for
                // rate expressions".
                if matches!(schedule, Schedule::Rate { .. }) && first == FirstRun::OnSchedule {
                    return refuse(format!(
                        "{schedule}: a rate counts from a first run, which is at once"
                    ));
                }
            }
            (None, FirstRun::AtOnce) if self.offset_days.is_none() => {}
            (None, _) => return refuse("without a schedule it is applied at once".to_owned()),
        }
        if self.level == ComplianceLevel::Informational {
            return refuse("an association has no level that is informational".to_owned());
        }
        self.target.check(CREATE, scope)?;
        self.task.check(CREATE, Place::Association)
    }
}

/// An association in a listing, ours or not.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AssociationSummary {
    /// Its id.
    pub id: AssociationId,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// The document that is applied.
    pub document: String,
    /// When, as the service spells it.
    pub schedule: Option<String>,
    /// How it stands: `Success`, `Failed`, `Pending`.
    pub status: Option<String>,
    /// When it was last applied.
    pub last_run: Option<Timestamp>,
}

impl Ssm {
    /// Makes an association.
    ///
    /// # Behavior
    /// - What State Manager would refuse of the schedule, the targets and the task is refused before
    ///   any call, and says why.
    /// - CreateAssociation has no token, and is sent once. One of the same name is looked for first:
    ///   where it is the same, its id is returned; where it is another, that is a `Conflict`. Where
    ///   the answer is lost the name is looked for again.
    ///
    /// # Errors
    /// `InvalidInput`, `Conflict`, `PermissionDenied`, `Throttled` (nothing was made), `Timeout`
    /// (unknown: call again later, which looks by the name).
    ///
    /// # Example
    /// ```no_run
    /// # async fn plan(ssm: patchkit_aws::Ssm) -> patchkit_core::Result<()> {
    /// use patchkit_aws::{PatchAssociation, PatchTask, ScheduleTarget};
    /// use patchkit_core::PatchAction;
    ///
    /// let web = ScheduleTarget::patch_group("web");
    /// let daily = PatchAssociation::new("scan-web", web, PatchTask::new(PatchAction::Scan))
    ///     .with_schedule("cron(15 4 ? * * *)".parse()?);
    /// let id = ssm.create_association(&daily).await?;
    /// assert_eq!(ssm.association(&id).await?, daily);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create_association(&self, wanted: &PatchAssociation) -> Result<AssociationId> {
        wanted.check(self.scope())?;
        if let Some(id) = self.association_like(wanted).await? {
            return Ok(id);
        }
        let (document, parameters) = wanted.task.document()?;
        let (concurrency, errors) = wanted.task.limits()?;
        let output = wanted.task.options.output.as_ref().map(|it| {
            let place = S3OutputLocation::builder()
                .output_s3_bucket_name(&it.bucket)
                .set_output_s3_key_prefix(it.prefix.clone())
                .set_output_s3_region(it.region.clone());
            InstanceAssociationOutputLocation::builder().s3_location(place.build()).build()
        });
        let only_on_schedule = wanted.first_run == FirstRun::OnSchedule;
        let level = AssociationComplianceSeverity::from(wanted.level.as_str());
        let request = self
            .client
            .ssm_once()
            .create_association()
            .name(document.name())
            .association_name(&wanted.name)
            .set_parameters(Some(parameters).filter(|it| !it.is_empty()))
            .set_targets(Some(wanted.target.to_sdk()))
            .set_schedule_expression(wanted.schedule.as_ref().map(ToString::to_string))
            .set_schedule_offset(wanted.offset_days.map(i32::from))
            .apply_only_at_cron_interval(only_on_schedule)
            .max_concurrency(concurrency)
            .max_errors(errors)
            .compliance_severity(level)
            .set_output_location(output);
        match self.client.write(CREATE, request.send()).await {
            Ok(answer) => {
                let made = answer.association_description.and_then(|it| it.association_id);
                // It was made: what cannot be read of the answer is lost.
                let lost = || {
                    let message = "the answer names no association";
                    Error::new(ErrorKind::Timeout, PROVIDER, CREATE, message)
                };
                AssociationId::new(made.ok_or_else(lost)?).map_err(|_| lost())
            }
            Err(error) if error.kind() == ErrorKind::Timeout => {
                match self.association_like(wanted).await {
                    Ok(Some(id)) => Ok(id),
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Reads an association back.
    ///
    /// # Behavior
    /// - What [`create_association`](Self::create_association) made comes back equal.
    /// - One that does more or other things than a [`PatchAssociation`] can say is `Unsupported`:
    ///   nothing of it is left out.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported`, `PermissionDenied`, `Throttled`, `Malformed`.
    pub async fn association(&self, id: &AssociationId) -> Result<PatchAssociation> {
        let request = self.client.ssm().describe_association().association_id(id.as_str());
        let answer = self.client.read(DESCRIBE, request.send()).await?;
        let told = answer.association_description;
        read(self.scope(), &told.ok_or_else(|| malformed(DESCRIBE, "an empty answer"))?)
    }

    /// Lists the associations of this account and Region, ours or not.
    ///
    /// # Errors
    /// `PermissionDenied`, `Unauthenticated`, `Throttled`, `Malformed`.
    pub fn associations(&self) -> BoxStream<'static, Result<AssociationSummary>> {
        self.associations_named(None)
    }

    /// Removes an association. What it began goes on, and what it did stays.
    ///
    /// # Behavior
    /// - Twice is as good as once.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`.
    pub async fn delete_association(&self, id: &AssociationId) -> Result<()> {
        let request = self.client.ssm().delete_association().association_id(id.as_str());
        match self.client.read("DeleteAssociation", request.send()).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The association of the name that is wanted.
    async fn association_like(&self, wanted: &PatchAssociation) -> Result<Option<AssociationId>> {
        let named: Vec<AssociationSummary> =
            self.associations_named(Some(&wanted.name)).try_collect().await?;
        let mut other = None;
        for row in named {
            if row.name.as_ref() != Some(&wanted.name) {
                continue;
            }
            match self.association(&row.id).await {
                Ok(found) if found == *wanted => return Ok(Some(row.id)),
                // Someone removed it meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() != ErrorKind::Unsupported => return Err(error),
                _ => other = Some(row.id),
            }
        }
        match other {
            None => Ok(None),
            Some(id) => {
                let message = format!("{:?} is the name of another association, {id}", wanted.name);
                Err(Error::new(ErrorKind::Conflict, PROVIDER, CREATE, message))
            }
        }
    }

    fn associations_named(
        &self,
        name: Option<&str>,
    ) -> BoxStream<'static, Result<AssociationSummary>> {
        let client = Arc::clone(&self.client);
        let name = name.map(str::to_owned);
        let pages = paginate(PROVIDER, LIST, move |token| {
            let (client, name) = (Arc::clone(&client), name.clone());
            async move {
                let filter = name.map(|name| {
                    AssociationFilter::builder()
                        .key(AssociationFilterKey::AssociationName)
                        .value(name)
                        .build()
                });
                let filter = filter.transpose().map_err(|it| invalid(LIST, it.to_string()))?;
                let request = client
                    .ssm()
                    .list_associations()
                    .set_association_filter_list(filter.map(|it| vec![it]))
                    .max_results(client.page.within(1, 50))
                    .set_next_token(token);
                let page = client.read(LIST, request.send()).await?;
                let rows = page.associations.unwrap_or_default();
                Ok((rows.iter().map(summary).collect(), page.next_token))
            }
        });
        each_once(sound(PROVIDER, LIST, pages), |row| row.id.clone())
    }
}

fn summary(told: &Association) -> Result<AssociationSummary> {
    let id = told.association_id().unwrap_or_default();
    Ok(AssociationSummary {
        id: AssociationId::new(id).map_err(|_| malformed(LIST, "an association has no id"))?,
        name: text(told.association_name()),
        document: told.name().unwrap_or_default().to_owned(),
        schedule: text(told.schedule_expression()),
        status: text(told.overview().and_then(AssociationOverview::status)),
        last_run: told.last_execution_date().and_then(timestamp),
    })
}

fn read(scope: &Scope, told: &AssociationDescription) -> Result<PatchAssociation> {
    let foreign = |what: &str| {
        let message = format!("no association of PatchKit's: it has {what}");
        Err(Error::new(ErrorKind::Unsupported, PROVIDER, DESCRIBE, message))
    };
    for (has, what) in [
        (!told.calendar_names().is_empty(), "calendars"),
        (!told.target_locations().is_empty(), "target locations"),
        (!told.target_maps().is_empty(), "target maps"),
        (told.duration().is_some_and(|it| it > 0), "a duration"),
        (told.alarm_configuration().is_some(), "alarms"),
    ] {
        if has {
            return foreign(what);
        }
    }
    let schedule = text(told.schedule_expression()).as_deref().map(str::parse).transpose();
    let schedule: Option<Schedule> = schedule.map_err(|error: Error| {
        malformed(DESCRIBE, "the schedule cannot be read").with_source(error)
    })?;
    let offset = told.schedule_offset().filter(|days| *days != 0).map(u8::try_from).transpose();
    let none = HashMap::new();
    let mut task = PatchTask::read(
        DESCRIBE,
        told.name().unwrap_or_default(),
        told.parameters().unwrap_or(&none),
        (told.max_concurrency(), told.max_errors()),
    )?;
    task.options.output = told.output_location().and_then(|it| it.s3_location()).and_then(|it| {
        let mut output = OutputBucket::new(text(it.output_s3_bucket_name())?);
        output.prefix = text(it.output_s3_key_prefix());
        output.region = text(it.output_s3_region());
        Some(output)
    });
    let level = told.compliance_severity().and_then(|it| ComplianceLevel::from_wire(it.as_str()));
    Ok(PatchAssociation {
        name: told.association_name().unwrap_or_default().to_owned(),
        first_run: match (&schedule, told.apply_only_at_cron_interval()) {
            (Some(_), true) => FirstRun::OnSchedule,
            _ => FirstRun::AtOnce,
        },
        schedule,
        offset_days: offset.map_err(|_| malformed(DESCRIBE, "an offset of no days"))?,
        target: ScheduleTarget::read(DESCRIBE, scope, told.targets())?,
        task,
        level: level.unwrap_or_default(),
    })
}

fn text(told: Option<&str>) -> Option<String> {
    told.filter(|text| !text.is_empty()).map(str::to_owned)
}
