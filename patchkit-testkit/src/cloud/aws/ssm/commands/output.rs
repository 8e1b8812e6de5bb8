//! Commands, invocations and steps as the API shows them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Command, Invocation, Plugin, Stage, stamp, text};
use crate::cloud::aws::seconds;

/// `CommandPlugin.Output` holds no more, and ends with a mark where it was cut.
const SHORT: usize = 2_500;
const CUT: &str = "\n---Output truncated---";

pub(super) fn command(command: &Command, region: &str) -> Value {
    let request = &command.request;
    let bucket = request.bucket.as_deref();
    json!({
        "CommandId": &*command.id,
        "DocumentName": &*command.document.name,
        "DocumentVersion": request.document_version.as_deref().unwrap_or("$DEFAULT"),
        "Comment": request.comment.as_deref().unwrap_or_default(),
        "ExpiresAfter": seconds(command.expires),
        "Parameters": request.parameters,
        "InstanceIds": request.instance_ids,
        "Targets": request.targets,
        "RequestedDateTime": seconds(command.requested),
        "Status": command.stage.status(),
        "StatusDetails": command.stage.details(),
        "OutputS3Region": bucket.map(|_| request.bucket_region.as_deref().unwrap_or(region)),
        "OutputS3BucketName": bucket,
        "OutputS3KeyPrefix": request.prefix,
        "MaxConcurrency": request.max_concurrency.as_deref().unwrap_or("50"),
        "MaxErrors": request.max_errors.as_deref().unwrap_or("0"),
        "TargetCount": command.invocations.len(),
        "CompletedCount": command.completed,
        "ErrorCount": command.errors,
        "DeliveryTimedOutCount": command.delivery_timed_out,
        "ServiceRole": request.service_role_arn.as_deref().unwrap_or_default(),
        "NotificationConfig": notification(command),
        "CloudWatchOutputConfig": cloud_watch(command),
        "TimeoutSeconds": request.timeout_seconds.unwrap_or(3_600),
    })
}

pub(super) fn invocation(
    command: &Command,
    invocation: &Invocation,
    region: &str,
    details: Details,
) -> Value {
    let first = invocation.main_plugin();
    let url =
        |name| first.map_or(Value::Null, |plugin| url(command, invocation, plugin, region, name));
    let plugins = match details {
        Details::Shown if invocation.started.is_some() => {
            invocation.plugins.iter().map(|it| plugin(command, invocation, it, region)).collect()
        }
        _ => Vec::new(),
    };
    json!({
        "CommandId": &*command.id,
        "InstanceId": &*invocation.node,
        "InstanceName": &*invocation.name,
        "Comment": command.request.comment.as_deref().unwrap_or_default(),
        "DocumentName": &*command.document.name,
        "DocumentVersion": command.request.document_version.as_deref().unwrap_or("$DEFAULT"),
        "RequestedDateTime": seconds(command.requested),
        "Status": invocation.stage.status(),
        "StatusDetails": invocation.stage.details(),
        "StandardOutputUrl": url("stdout"),
        "StandardErrorUrl": url("stderr"),
        "CommandPlugins": plugins,
        "ServiceRole": command.request.service_role_arn.as_deref().unwrap_or_default(),
        "NotificationConfig": notification(command),
        "CloudWatchOutputConfig": cloud_watch(command),
    })
}

/// Whether a list of invocations shows their steps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Details {
    Hidden,
    Shown,
}

fn plugin(command: &Command, invocation: &Invocation, plugin: &Plugin, region: &str) -> Value {
    let bucket = command.request.bucket.as_deref();
    let mut output = plugin.stdout.clone();
    if !plugin.stderr.is_empty() {
        output.push_str("\n----------ERROR-------\n");
        output.push_str(&plugin.stderr);
    }
    json!({
        "Name": &*plugin.name,
        // An enumeration with fewer values than the invocation's.
        "Status": match plugin.stage {
            Stage::Delayed | Stage::Cancelling => "InProgress",
            stage => stage.status(),
        },
        "StatusDetails": plugin.stage.details(),
        "ResponseCode": plugin.code,
        "ResponseStartDateTime": plugin.started.map(seconds),
        "ResponseFinishDateTime": plugin.ended.map(seconds),
        "Output": cut(&output, SHORT, CUT),
        "StandardOutputUrl": url(command, invocation, plugin, region, "stdout"),
        "StandardErrorUrl": url(command, invocation, plugin, region, "stderr"),
        "OutputS3Region": bucket.map(|_| command.request.bucket_region.as_deref().unwrap_or(region)),
        "OutputS3BucketName": bucket,
        "OutputS3KeyPrefix": bucket.map(|_| {
            let key = text::key(command, invocation, plugin, "");
            key.trim_end_matches('/').to_owned()
        }),
    })
}

/// The answer of GetCommandInvocation for one step; without one, for a document of several.
pub(super) fn detail(
    command: &Command,
    invocation: &Invocation,
    plugin: Option<&Plugin>,
    region: &str,
) -> Value {
    let started = plugin.map_or(invocation.started, |it| it.started);
    let ended = plugin.map_or(invocation.ended, |it| it.ended);
    let elapsed = match (started, ended) {
        (Some(started), Some(ended)) => {
            let took = ended.as_millisecond() - started.as_millisecond();
            format!("PT{}.{:03}S", took / 1_000, took % 1_000)
        }
        _ => String::new(),
    };
    let code = plugin.map_or_else(|| invocation.code(), |it| it.code);
    let (out, err) = plugin.map_or(("", ""), |it| (it.stdout.as_str(), it.stderr.as_str()));
    json!({
        "CommandId": &*command.id,
        "InstanceId": &*invocation.node,
        "Comment": command.request.comment.as_deref().unwrap_or_default(),
        "DocumentName": &*command.document.name,
        "DocumentVersion": command.request.document_version.as_deref().unwrap_or("$DEFAULT"),
        "PluginName": plugin.map(|it| &*it.name).unwrap_or_default(),
        "ResponseCode": code,
        "ExecutionStartDateTime": time(started),
        "ExecutionElapsedTime": elapsed,
        "ExecutionEndDateTime": time(ended),
        "Status": invocation.stage.status(),
        "StatusDetails": invocation.stage.details(),
        // The service cuts both (API reference, GetCommandInvocation).
        "StandardOutputContent": cut(out, 24_000, ""),
        "StandardOutputUrl": plugin.map_or_else(
            || json!(""),
            |it| url(command, invocation, it, region, "stdout"),
        ),
        "StandardErrorContent": cut(err, 8_000, ""),
        "StandardErrorUrl": plugin.map_or_else(
            || json!(""),
            |it| url(command, invocation, it, region, "stderr"),
        ),
        "CloudWatchOutputConfig": cloud_watch(command),
    })
}

impl Invocation {
    /// The step whose output stands for the whole: the one that ran longest.
    fn main_plugin(&self) -> Option<&Plugin> {
        let lasted = |it: &&Plugin| {
            let span = it.started.zip(it.ended.or(it.started));
            span.map(|(started, ended)| ended.as_millisecond() - started.as_millisecond())
        };
        self.plugins.iter().max_by_key(lasted)
    }
}

fn url(
    command: &Command,
    invocation: &Invocation,
    plugin: &Plugin,
    region: &str,
    name: &str,
) -> Value {
    let Some(bucket) = &command.request.bucket else { return json!("") };
    let region = command.request.bucket_region.as_deref().unwrap_or(region);
    let key = text::key(command, invocation, plugin, name);
    json!(format!("https://s3.{region}.amazonaws.com/{bucket}/{key}"))
}

fn notification(command: &Command) -> Value {
    match &command.request.notification_config {
        Some(config) => json!(config),
        None => {
            json!({"NotificationArn": "", "NotificationEvents": [], "NotificationType": null})
        }
    }
}

fn cloud_watch(command: &Command) -> Value {
    match &command.request.cloud_watch_output_config {
        Some(config) => config.clone(),
        None => json!({"CloudWatchLogGroupName": null, "CloudWatchOutputEnabled": false}),
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map(stamp).unwrap_or_default()
}

/// At most so many characters, the mark included.
fn cut(text: &str, most: usize, mark: &str) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept = most - mark.chars().count();
    text.chars().take(kept).chain(mark.chars()).collect()
}
