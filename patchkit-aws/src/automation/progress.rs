//! Following executions of runbooks, and stopping them.

use std::sync::Arc;

use aws_sdk_ssm::types::{
    AutomationExecutionFilter, AutomationExecutionFilterKey, AutomationExecutionMetadata,
    AutomationExecutionStatus, ProgressCounters, StepExecution, StopType,
};
use futures::{TryStreamExt, stream::BoxStream};
use jiff::Timestamp;
use patchkit_core::{
    AccountId, Error, ErrorKind, OperationId, Region, Result, Scope,
    listing::{each_once, sound},
    paginate,
};
use serde::{Deserialize, Serialize};

use crate::{
    AutomationId, Ssm,
    convert::timestamp,
    error::{PROVIDER, invalid, malformed},
};

const GET: &str = "GetAutomationExecution";
const STEPS: &str = "DescribeAutomationStepExecutions";
const CHILDREN: &str = "DescribeAutomationExecutions";
const STOP: &str = "StopAutomationExecution";

/// How an execution, or a step of one, stands.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum AutomationStatus {
    /// It has not begun.
    Pending,
    /// It is under way.
    InProgress,
    /// It waits for something.
    Waiting,
    /// It is being cancelled.
    Cancelling,
    /// It ended well.
    Success,
    /// It went through, and something in it failed.
    PartlyFailed,
    /// It failed.
    Failed,
    /// It took too long.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// A word that PatchKit does not know.
    Other(String),
}

impl AutomationStatus {
    /// Whether nothing more will come of it.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Success
            | Self::PartlyFailed
            | Self::Failed
            | Self::TimedOut
            | Self::Cancelled => true,
            Self::Other(word) => word == "Rejected" || word == "Exited",
            _ => false,
        }
    }
}

impl From<&AutomationExecutionStatus> for AutomationStatus {
    fn from(told: &AutomationExecutionStatus) -> Self {
        match told {
            AutomationExecutionStatus::Pending => Self::Pending,
            AutomationExecutionStatus::Inprogress => Self::InProgress,
            AutomationExecutionStatus::Waiting => Self::Waiting,
            AutomationExecutionStatus::Cancelling => Self::Cancelling,
            AutomationExecutionStatus::Success
            | AutomationExecutionStatus::CompletedWithSuccess => Self::Success,
            AutomationExecutionStatus::CompletedWithFailure => Self::PartlyFailed,
            AutomationExecutionStatus::Failed => Self::Failed,
            AutomationExecutionStatus::Timedout => Self::TimedOut,
            AutomationExecutionStatus::Cancelled => Self::Cancelled,
            other => Self::Other(other.as_str().to_owned()),
        }
    }
}

/// How an execution of a runbook stands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AutomationRun {
    /// Its id.
    pub id: AutomationId,
    /// The runbook.
    pub runbook: String,
    /// How it stands.
    pub status: AutomationStatus,
    /// Why it failed. From the service and the node: untrusted, escape before showing.
    pub failure: Option<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The execution that began it.
    pub parent: Option<AutomationId>,
    /// What it is for, where it is one of many: an instance.
    pub target: Option<String>,
    /// The steps that it has come to. One over many accounts and Regions has a step for each of
    /// these; one over many instances of one Region has none, but
    /// [children](Ssm::automation_children).
    pub steps: Vec<AutomationStep>,
    /// How many steps, instances or places there are.
    pub total: u32,
    /// How many of them ended well.
    pub succeeded: u32,
    /// How many failed.
    pub failed: u32,
    /// How many took too long.
    pub timed_out: u32,
    /// How many were cancelled.
    pub cancelled: u32,
}

/// One step of an execution.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AutomationStep {
    /// Its name: `patchStarted`; `111122223333_eu-west-1` where it is an account and Region.
    pub name: String,
    /// What it does: `aws:runCommand`.
    pub action: String,
    /// How it stands.
    pub status: AutomationStatus,
    /// Why it failed. Untrusted, escape before showing.
    pub failure: Option<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The account and Region, where it is one.
    pub place: Option<Scope>,
    /// The execution in that account and Region: ask the [`Ssm`] of it.
    pub execution: Option<AutomationId>,
    /// The command that it sent.
    pub command: Option<OperationId>,
}

/// One of the executions that an execution began in its own account and Region: one instance's.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AutomationChild {
    /// Its id.
    pub id: AutomationId,
    /// What it is for: an instance.
    pub target: Option<String>,
    /// How it stands.
    pub status: AutomationStatus,
    /// The step that it is at.
    pub step: Option<String>,
    /// Why it failed. Untrusted, escape before showing.
    pub failure: Option<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// How an execution is stopped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum StopMode {
    /// At once: the command that it waits for is cancelled. An instance that the runbook started is
    /// left on.
    Now,
    /// After the step that it is at. An instance that the runbook started is left on.
    AfterStep,
}

impl Ssm {
    /// Reads how an execution stands.
    ///
    /// # Behavior
    /// - One call; one more for each fifty steps where there are more than a hundred.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `Throttled`, `Malformed`.
    pub async fn automation(&self, id: &AutomationId) -> Result<AutomationRun> {
        let request =
            self.client.ssm().get_automation_execution().automation_execution_id(id.as_str());
        let answer = self.client.read(GET, request.send()).await?;
        let told = answer.automation_execution.ok_or_else(|| malformed(GET, "an empty answer"))?;
        let steps = if told.step_executions_truncated() {
            self.automation_steps(id).try_collect().await?
        } else {
            told.step_executions().iter().map(step).collect::<Result<_>>()?
        };
        let counts = told.progress_counters();
        let count = |it: Option<i32>| it.and_then(|it| u32::try_from(it).ok()).unwrap_or(0);
        let status = told.automation_execution_status();
        let parent = told.parent_automation_execution_id().map(AutomationId::new).transpose()?;
        Ok(AutomationRun {
            id: id.clone(),
            runbook: told.document_name().unwrap_or_default().to_owned(),
            status: status.ok_or_else(|| malformed(GET, "an execution has no status"))?.into(),
            failure: text(told.failure_message()),
            started: told.execution_start_time().and_then(timestamp),
            ended: told.execution_end_time().and_then(timestamp),
            parent,
            target: text(told.target()),
            steps,
            total: count(counts.map(ProgressCounters::total_steps)),
            succeeded: count(counts.map(ProgressCounters::success_steps)),
            failed: count(counts.map(ProgressCounters::failed_steps)),
            timed_out: count(counts.map(ProgressCounters::timed_out_steps)),
            cancelled: count(counts.map(ProgressCounters::cancelled_steps)),
        })
    }

    /// Lists the steps that an execution has come to.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `Throttled`, `Malformed`.
    pub fn automation_steps(
        &self,
        id: &AutomationId,
    ) -> BoxStream<'static, Result<AutomationStep>> {
        let (client, id) = (Arc::clone(&self.client), id.clone());
        let pages = paginate(PROVIDER, STEPS, move |token| {
            let (client, id) = (Arc::clone(&client), id.clone());
            async move {
                let request = client
                    .ssm()
                    .describe_automation_step_executions()
                    .automation_execution_id(id.as_str())
                    .max_results(client.page.within(1, 50))
                    .set_next_token(token);
                let page = client.read(STEPS, request.send()).await?;
                let rows = page.step_executions.unwrap_or_default();
                let read = rows
                    .iter()
                    .map(|row| Ok((row.step_execution_id().map(str::to_owned), step(row)?)));
                Ok((read.collect::<Vec<Result<_>>>(), page.next_token))
            }
        });
        let once = each_once(sound(PROVIDER, STEPS, pages), |(id, _)| id.clone());
        Box::pin(once.map_ok(|(_, step)| step))
    }

    /// Lists the executions that one began in its own account and Region: one for each instance.
    ///
    /// # Behavior
    /// - Fifty in a call.
    /// - What one began in other accounts and Regions are its steps; ask the [`Ssm`] of each for
    ///   the children of that execution.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`, `Malformed`.
    pub fn automation_children(
        &self,
        id: &AutomationId,
    ) -> BoxStream<'static, Result<AutomationChild>> {
        let (client, id) = (Arc::clone(&self.client), id.clone());
        let pages = paginate(PROVIDER, CHILDREN, move |token| {
            let (client, id) = (Arc::clone(&client), id.clone());
            async move {
                let of_parent = AutomationExecutionFilter::builder()
                    .key(AutomationExecutionFilterKey::ParentExecutionId)
                    .values(id.as_str())
                    .build()
                    .map_err(|error| invalid(CHILDREN, error.to_string()))?;
                let request = client
                    .ssm()
                    .describe_automation_executions()
                    .filters(of_parent)
                    .max_results(client.page.within(1, 50))
                    .set_next_token(token);
                let page = client.read(CHILDREN, request.send()).await?;
                let rows = page.automation_execution_metadata_list.unwrap_or_default();
                Ok((rows.iter().map(child).collect(), page.next_token))
            }
        });
        each_once(sound(PROVIDER, CHILDREN, pages), |child| child.id.clone())
    }

    /// Stops an execution, with all that it began.
    ///
    /// # Behavior
    /// - One that is over already is not an error.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `Throttled`.
    pub async fn stop_automation(&self, id: &AutomationId, mode: StopMode) -> Result<()> {
        let mode = match mode {
            StopMode::Now => StopType::Cancel,
            StopMode::AfterStep => StopType::Complete,
        };
        let request = self
            .client
            .ssm()
            .stop_automation_execution()
            .automation_execution_id(id.as_str())
            .r#type(mode);
        match self.client.read(STOP, request.send()).await {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                self.over(id).await.map_err(|_| error)
            }
            stopped => stopped.map(drop),
        }
    }

    /// Fails unless an execution is over, or on its way there.
    async fn over(&self, id: &AutomationId) -> Result<()> {
        let run = self.automation(id).await?;
        if run.status.is_final() || run.status == AutomationStatus::Cancelling {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Conflict, PROVIDER, STOP, "the execution is under way"))
    }
}

fn step(told: &StepExecution) -> Result<AutomationStep> {
    let outputs = told.outputs();
    let output = |name: &str| outputs.and_then(|it| it.get(name)).and_then(|it| it.first());
    let place = told.target_location().map(|it| {
        let (account, region) = (it.accounts().first(), it.regions().first());
        let none = || malformed(STEPS, "a place without an account or a Region");
        let account = AccountId::new(account.ok_or_else(none)?)?;
        Scope::new(PROVIDER, account, Region::new(region.ok_or_else(none)?)?)
    });
    let status = told.step_status().ok_or_else(|| malformed(STEPS, "a step has no status"))?;
    Ok(AutomationStep {
        name: told.step_name().unwrap_or_default().to_owned(),
        action: told.action().unwrap_or_default().to_owned(),
        status: status.into(),
        failure: text(told.failure_message()),
        started: told.execution_start_time().and_then(timestamp),
        ended: told.execution_end_time().and_then(timestamp),
        place: place.transpose()?,
        execution: output("ExecutionId").and_then(|id| AutomationId::new(id).ok()),
        command: output("CommandId").and_then(|id| OperationId::new(id).ok()),
    })
}

fn child(told: &AutomationExecutionMetadata) -> Result<AutomationChild> {
    let id = told.automation_execution_id().unwrap_or_default();
    let status = told.automation_execution_status();
    Ok(AutomationChild {
        id: AutomationId::new(id).map_err(|_| malformed(CHILDREN, "an execution has no id"))?,
        target: text(told.target()),
        status: status.ok_or_else(|| malformed(CHILDREN, "an execution has no status"))?.into(),
        step: text(told.current_step_name()),
        failure: text(told.failure_message()),
        started: told.execution_start_time().and_then(timestamp),
        ended: told.execution_end_time().and_then(timestamp),
    })
}

fn text(told: Option<&str>) -> Option<String> {
    told.filter(|text| !text.is_empty()).map(str::to_owned)
}
