//! Maintenance windows that patch.

mod patch_window;

use std::{collections::HashMap, sync::Arc};

use aws_sdk_ssm::{
    operation::{
        get_maintenance_window::GetMaintenanceWindowOutput,
        get_maintenance_window_task::GetMaintenanceWindowTaskOutput,
    },
    types::{
        MaintenanceWindowIdentity, MaintenanceWindowResourceType, MaintenanceWindowTask,
        MaintenanceWindowTaskCutoffBehavior, MaintenanceWindowTaskInvocationParameters,
        MaintenanceWindowTaskType, Target,
    },
};
use futures::{TryStreamExt, stream::BoxStream};
use jiff::Timestamp;
use patchkit_core::{
    Error, ErrorKind, Result, SubmitToken,
    listing::{each_once, sound},
    paginate,
};
use uuid::Uuid;

use crate::{
    Ssm, WindowId,
    command::OutputBucket,
    error::{PROVIDER, malformed},
    schedule::{self, PatchTask, ScheduleTarget},
};

pub use self::patch_window::{AtCutoff, PatchWindow};

const CREATE: &str = "CreateMaintenanceWindow";
const GET: &str = "GetMaintenanceWindow";
const LIST: &str = "DescribeMaintenanceWindows";
const REGISTER_TARGET: &str = "RegisterTargetWithMaintenanceWindow";
const REGISTER_TASK: &str = "RegisterTaskWithMaintenanceWindow";
const TARGETS: &str = "DescribeMaintenanceWindowTargets";
const TASKS: &str = "DescribeMaintenanceWindowTasks";
const TASK: &str = "GetMaintenanceWindowTask";

/// "Targets per maintenance window task: 10" (general reference, Systems Manager quotas).
const MOST_TARGETS: usize = 10;
/// The key under which a task names the targets that are registered with its window.
const REGISTERED: &str = "WindowTargetIds";
/// A namespace of our own for client tokens.
const TOKENS: Uuid = Uuid::from_u128(0x2c9e_51d4_7a60_4f0b_8e15_c3b7_90ad_46f2);

/// A maintenance window as it is in the service.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ScheduledWindow {
    /// Its id.
    pub id: WindowId,
    /// What it is.
    pub window: PatchWindow,
    /// Whether it opens at all.
    pub enabled: bool,
    /// When it opens next.
    pub next: Option<Timestamp>,
}

/// A maintenance window in a listing, ours or not.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct WindowSummary {
    /// Its id.
    pub id: WindowId,
    /// Its name.
    pub name: String,
    /// When it opens, as the service spells it.
    pub schedule: String,
    /// Whether it opens at all.
    pub enabled: bool,
    /// When it opens next.
    pub next: Option<Timestamp>,
}

impl Ssm {
    /// Makes a maintenance window, with its targets and its task.
    ///
    /// # Behavior
    /// - What AWS would refuse of the schedule, the hours, the targets and the task is refused before
    ///   any call, and says why.
    /// - The same token with the same window is one window: the calls carry client tokens made of
    ///   it. A call that fails on the way leaves a window that does nothing; the same call again
    ///   completes it, and [`delete_window`](Self::delete_window) removes it: its id is in the error.
    ///
    /// # Errors
    /// `InvalidInput`, `PermissionDenied`, `Throttled`, `Timeout` (call again with the same token).
    ///
    /// # Example
    /// ```no_run
    /// # async fn plan(ssm: patchkit_aws::Ssm) -> patchkit_core::Result<()> {
    /// use patchkit_aws::{PatchTask, PatchWindow, ScheduleTarget};
    /// use patchkit_core::PatchAction;
    ///
    /// let scan = PatchTask::new(PatchAction::Scan);
    /// let window = PatchWindow::new("scan-web", "cron(0 4 ? * SUN *)".parse()?, scan)
    ///     .with_target(ScheduleTarget::patch_group("web"));
    /// let id = ssm.create_window(&window, &"scan-web-1".parse()?).await?;
    /// assert_eq!(ssm.window(&id).await?.window, window);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create_window(
        &self,
        window: &PatchWindow,
        token: &SubmitToken,
    ) -> Result<WindowId> {
        window.check(self)?;
        let client_token = |step: &str| {
            let name = format!("{step}\0{}", token.as_str());
            Uuid::new_v5(&TOKENS, name.as_bytes()).to_string()
        };
        let instant = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let request = self
            .client
            .ssm()
            .create_maintenance_window()
            .name(&window.name)
            .set_description(window.description.clone())
            .schedule(window.schedule.to_string())
            .set_schedule_timezone(window.time_zone.clone())
            .set_schedule_offset(window.offset_days.map(i32::from))
            .duration(i32::from(window.duration_hours))
            .cutoff(i32::from(window.cutoff_hours))
            .allow_unassociated_targets(false)
            .set_start_date(window.starts.map(instant))
            .set_end_date(window.ends.map(instant))
            .client_token(client_token("window"));
        // The token makes the second of two the first.
        let made = self.client.read(CREATE, request.send()).await?;
        let id = made.window_id.ok_or_else(|| malformed(CREATE, "the answer names no window"))?;
        let id = WindowId::new(id)?;
        self.fill_window(&id, window, client_token).await.map_err(|error| {
            let message = format!("{}; the window {id} was made and does nothing", error.message());
            Error::new(error.kind(), PROVIDER, error.operation(), message)
                .with_retry(error.retry())
                .with_source(error)
        })?;
        Ok(id)
    }

    async fn fill_window(
        &self,
        id: &WindowId,
        window: &PatchWindow,
        client_token: impl Fn(&str) -> String,
    ) -> Result<()> {
        let mut targets = Vec::with_capacity(window.targets.len());
        for (at, target) in window.targets.iter().enumerate() {
            let kind = if target.is_group() {
                MaintenanceWindowResourceType::ResourceGroup
            } else {
                MaintenanceWindowResourceType::Instance
            };
            let request = self
                .client
                .ssm()
                .register_target_with_maintenance_window()
                .window_id(id.as_str())
                .resource_type(kind)
                .set_targets(Some(target.to_sdk()))
                .client_token(client_token(&format!("target {at}")));
            let answer = self.client.read(REGISTER_TARGET, request.send()).await?;
            let target = answer.window_target_id;
            targets.push(
                target.ok_or_else(|| malformed(REGISTER_TARGET, "the answer names no target"))?,
            );
        }
        let (document, _) = window.task.document()?;
        let (concurrency, errors) = window.task.limits()?;
        let cutoff = match window.at_cutoff {
            AtCutoff::GoOn => MaintenanceWindowTaskCutoffBehavior::ContinueTask,
            AtCutoff::Cancel => MaintenanceWindowTaskCutoffBehavior::CancelTask,
        };
        let request = self
            .client
            .ssm()
            .register_task_with_maintenance_window()
            .window_id(id.as_str())
            .targets(Target::builder().key(REGISTERED).set_values(Some(targets)).build())
            .task_arn(document.name())
            .task_type(MaintenanceWindowTaskType::RunCommand)
            .task_invocation_parameters(window.invocation()?)
            .max_concurrency(concurrency)
            .max_errors(errors)
            .cutoff_behavior(cutoff)
            .set_service_role_arn(window.role.clone())
            .client_token(client_token("task"));
        self.client.read(REGISTER_TASK, request.send()).await.map(drop)
    }

    /// Reads a maintenance window back.
    ///
    /// # Behavior
    /// - What [`create_window`](Self::create_window) made comes back equal.
    /// - A window that does more or other things than a [`PatchWindow`] can say is `Unsupported`:
    ///   nothing of it is left out.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported`, `PermissionDenied`, `Throttled`, `Malformed`.
    pub async fn window(&self, id: &WindowId) -> Result<ScheduledWindow> {
        let ssm = self.client.ssm();
        let request = ssm.get_maintenance_window().window_id(id.as_str());
        let told = self.client.read(GET, request.send()).await?;
        let tasks: Vec<MaintenanceWindowTask> = self.window_tasks(id).try_collect().await?;
        let [task] = &tasks[..] else {
            let message = format!("the window has {} tasks, not one", tasks.len());
            return Err(foreign(TASKS, message));
        };
        let request = ssm
            .get_maintenance_window_task()
            .window_id(id.as_str())
            .set_window_task_id(task.window_task_id().map(str::to_owned));
        let task = self.client.read(TASK, request.send()).await?;
        let targets = self.read_targets(id, task.targets()).await?;
        let enabled = told.enabled();
        let next = told.next_execution_time().and_then(|text| text.parse().ok());
        let window = read(&told, &task, targets)?;
        Ok(ScheduledWindow { id: id.clone(), window, enabled, next })
    }

    /// Lists the maintenance windows of this account and Region, ours or not.
    ///
    /// # Errors
    /// `PermissionDenied`, `Unauthenticated`, `Throttled`, `Malformed`.
    pub fn windows(&self) -> BoxStream<'static, Result<WindowSummary>> {
        let client = Arc::clone(&self.client);
        let pages = paginate(PROVIDER, LIST, move |token| {
            let client = Arc::clone(&client);
            async move {
                let request = client
                    .ssm()
                    .describe_maintenance_windows()
                    .max_results(client.page.within(10, 50))
                    .set_next_token(token);
                let page = client.read(LIST, request.send()).await?;
                let rows = page.window_identities.unwrap_or_default();
                Ok((rows.into_iter().map(summary).collect(), page.next_token))
            }
        });
        each_once(sound(PROVIDER, LIST, pages), |window| window.id.clone())
    }

    /// Removes a maintenance window, with its targets and its task. What it began goes on.
    ///
    /// # Behavior
    /// - Twice is as good as once.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`.
    pub async fn delete_window(&self, id: &WindowId) -> Result<()> {
        let request = self.client.ssm().delete_maintenance_window().window_id(id.as_str());
        match self.client.read("DeleteMaintenanceWindow", request.send()).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn window_tasks(&self, id: &WindowId) -> BoxStream<'static, Result<MaintenanceWindowTask>> {
        let (client, id) = (Arc::clone(&self.client), id.clone());
        let pages = paginate(PROVIDER, TASKS, move |token| {
            let (client, id) = (Arc::clone(&client), id.clone());
            async move {
                let request = client
                    .ssm()
                    .describe_maintenance_window_tasks()
                    .window_id(id.as_str())
                    .max_results(client.page.within(10, 50))
                    .set_next_token(token);
                let page = client.read(TASKS, request.send()).await?;
                Ok((page.tasks.unwrap_or_default(), page.next_token))
            }
        });
        each_once(pages, |task| task.window_task_id.clone())
    }

    /// The targets that a task names, in its order.
    async fn read_targets(&self, id: &WindowId, named: &[Target]) -> Result<Vec<ScheduleTarget>> {
        let [named] = named else {
            return Err(foreign(TASK, "the task's targets are not registered ones".to_owned()));
        };
        if named.key() != Some(REGISTERED) {
            return Err(foreign(TASK, "the task's targets are not registered ones".to_owned()));
        }
        let (client, id) = (Arc::clone(&self.client), id.clone());
        let registered = paginate(PROVIDER, TARGETS, move |token| {
            let (client, id) = (Arc::clone(&client), id.clone());
            async move {
                let request = client
                    .ssm()
                    .describe_maintenance_window_targets()
                    .window_id(id.as_str())
                    .max_results(client.page.within(10, 50))
                    .set_next_token(token);
                let page = client.read(TARGETS, request.send()).await?;
                Ok((page.targets.unwrap_or_default(), page.next_token))
            }
        });
        let registered: HashMap<Option<String>, Vec<Target>> = registered
            .map_ok(|it| (it.window_target_id, it.targets.unwrap_or_default()))
            .try_collect()
            .await?;
        let read = named.values().iter().map(|id| {
            let missing = || malformed(TARGETS, format!("the window has no target {id}"));
            let told = registered.get(&Some(id.clone())).ok_or_else(missing)?;
            ScheduleTarget::read(TARGETS, self.scope(), told)
        });
        read.collect()
    }
}

fn foreign(operation: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Unsupported, PROVIDER, operation, message)
}

fn read(
    told: &GetMaintenanceWindowOutput,
    task: &GetMaintenanceWindowTaskOutput,
    targets: Vec<ScheduleTarget>,
) -> Result<PatchWindow> {
    let schedule = told.schedule().unwrap_or_default();
    let schedule = schedule
        .parse()
        .map_err(|error: Error| malformed(GET, "the schedule cannot be read").with_source(error))?;
    let hours = |what: &str, number: i32| {
        u8::try_from(number).map_err(|_| malformed(GET, format!("{what} of {number}")))
    };
    let command = task
        .task_invocation_parameters()
        .and_then(MaintenanceWindowTaskInvocationParameters::run_command)
        .filter(|_| task.task_type() == Some(&MaintenanceWindowTaskType::RunCommand))
        .ok_or_else(|| foreign(TASK, "the window's task is no command".to_owned()))?;
    let none = HashMap::new();
    let mut read = PatchTask::read(
        TASK,
        task.task_arn().unwrap_or_default(),
        command.parameters().unwrap_or(&none),
        (task.max_concurrency(), task.max_errors()),
    )?;
    read.options.output = command.output_s3_bucket_name().filter(|it| !it.is_empty()).map(|it| {
        let mut output = OutputBucket::new(it);
        output.prefix = text(command.output_s3_key_prefix());
        output
    });
    let notification = command.notification_config();
    read.options.notification = schedule::notification(notification, command.service_role_arn());
    read.options.delivery_timeout = schedule::delivery(command.timeout_seconds());
    Ok(PatchWindow {
        name: told.name().unwrap_or_default().to_owned(),
        description: text(told.description()),
        schedule,
        time_zone: text(told.schedule_timezone()),
        offset_days: told.schedule_offset().map(|days| hours("an offset", days)).transpose()?,
        duration_hours: hours("a duration", told.duration().unwrap_or_default())?,
        cutoff_hours: hours("a cutoff", told.cutoff())?,
        at_cutoff: match task.cutoff_behavior() {
            Some(MaintenanceWindowTaskCutoffBehavior::CancelTask) => AtCutoff::Cancel,
            _ => AtCutoff::GoOn,
        },
        starts: instant(told.start_date())?,
        ends: instant(told.end_date())?,
        targets,
        task: read,
        role: text(task.service_role_arn()),
    })
}

fn text(told: Option<&str>) -> Option<String> {
    told.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn instant(told: Option<&str>) -> Result<Option<Timestamp>> {
    let read = |text: String| {
        text.parse().map_err(|_| malformed(GET, format!("{text:?} is no instant that is known")))
    };
    text(told).map(read).transpose()
}

fn summary(told: MaintenanceWindowIdentity) -> Result<WindowSummary> {
    let next = told.next_execution_time().and_then(|text| text.parse().ok());
    Ok(WindowSummary {
        id: WindowId::new(told.window_id().unwrap_or_default())
            .map_err(|_| malformed(LIST, "a window has no id"))?,
        enabled: told.enabled(),
        name: told.name.unwrap_or_default(),
        schedule: told.schedule.unwrap_or_default(),
        next,
    })
}
