//! Run Command: acts are sent once, found again by their tokens, and followed to their ends.

pub(crate) mod document;
mod ledger;
mod options;
mod output;
mod progress;
mod refusal;
mod status;
pub(crate) mod target;
pub(crate) mod token;

use std::{collections::BTreeSet, sync::Arc};

use aws_sdk_ssm::{
    error::BuildError,
    types::{
        Command, CommandFilter, CommandFilterKey, NotificationConfig, NotificationEvent,
        NotificationType, Target,
    },
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use patchkit_core::{
    Amount, Error, ErrorKind, NodeId, OperationId, PatchAction, PatchRequest, Result, Retry,
    SubmitToken, paginate,
};
use uuid::Uuid;

use self::{
    document::{Document, Parameters},
    ledger::{Begun, Freshness, Ledger, Row},
    token::Marker,
};
pub use self::{
    options::{
        CommandEvent, CommandNotification, CommandOptions, NotifyPer, OutputBucket, PatchHooks,
    },
    output::{CommandOutput, OutputSource, OutputText, StepOutput},
    target::{CommandTarget, TargetedRequest},
};
use crate::{
    Ssm,
    convert::timestamp,
    error::{PROVIDER, invalid},
};

/// The most ids that SendCommand takes (service model, `InstanceIds`).
pub(crate) const MOST_NODES: usize = 50;

/// How commands are sent, and what is known of those that were; clones share what is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commands {
    options: Arc<CommandOptions>,
    ledger: Arc<Ledger>,
}

/// What is to be sent, to whomever.
struct Order<'a> {
    token: &'a SubmitToken,
    action: PatchAction,
    snapshot: Uuid,
    nodes: Nodes<'a>,
    concurrency: Option<Amount>,
    max_errors: Option<Amount>,
    timeout: Option<std::time::Duration>,
}

enum Nodes<'a> {
    Named(&'a [NodeId]),
    Sought(&'a [CommandTarget]),
}

/// What is sent, after all that can be checked before.
struct Envelope {
    marker: Marker,
    comment: String,
    document: Document,
    parameters: Parameters,
    ids: Option<Vec<String>>,
    targets: Option<Vec<Target>>,
    concurrency: Option<String>,
    max_errors: Option<String>,
    delivery: Option<i32>,
    notification: Option<NotificationConfig>,
}

impl Ssm {
    /// The same account and Region with other options for commands.
    #[must_use]
    pub fn with_command_options(&self, options: CommandOptions) -> Self {
        let mut other = self.clone();
        other.commands.options = Arc::new(options);
        other
    }

    /// Sends an act to the nodes that Systems Manager finds by tags or in a Resource Group.
    ///
    /// [`operation`](patchkit_core::Fleet::operation), `find_operation` and `cancel` work as for any
    /// other act.
    ///
    /// # Behavior
    /// - **Systems Manager looks for the nodes itself, when it gets the command**: no plan names them
    ///   beforehand, no lease holds them, and one that gets the tag meanwhile is in. What a group
    ///   holds then is what is patched. Use ids where it matters which nodes they are.
    /// - Nodes that are stopped fit as well; they end as `Undeliverable`.
    /// - The same token twice is one act.
    /// - An act that no node fits ends as `Failed`: nothing was done.
    ///
    /// # Errors
    /// `InvalidInput` (no target, more than 5, more than 50 values in one), `Unsupported`,
    /// `PermissionDenied`, `Throttled` (nothing was started), `Timeout` (unknown).
    ///
    /// # Example
    /// ```no_run
    /// # async fn scan_web(ssm: patchkit_aws::Ssm) -> patchkit_core::Result<()> {
    /// use patchkit_aws::{CommandTarget, TargetedRequest};
    /// use patchkit_core::{Fleet, PatchAction};
    ///
    /// let web = [CommandTarget::tag("Patch Group", ["web"])];
    /// let request = TargetedRequest::new("web-scan-47".parse()?, web, PatchAction::Scan);
    /// let id = ssm.submit_to_targets(request).await?;
    /// println!("{:?}", ssm.operation(&id).await?.status);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn submit_to_targets(&self, request: TargetedRequest) -> Result<OperationId> {
        let name = request.run.as_ref().map_or(request.token.as_str(), |run| run.as_str());
        let order = Order {
            token: &request.token,
            action: request.action,
            snapshot: token::snapshot(name),
            nodes: Nodes::Sought(&request.targets),
            concurrency: request.concurrency,
            max_errors: request.max_errors,
            timeout: request.timeout,
        };
        self.send(&order).await
    }

    /// `Fleet::submit`.
    ///
    /// # Behavior
    /// - The token stands in the command's comment, hashed, for SendCommand has no token of its own.
    ///   Before a command is sent, those of its document are listed that this process does not know
    ///   of yet, at most once in 5 s: one call in most cases. The first listing goes back as far as
    ///   Systems Manager keeps commands, thirty days ([`CommandOptions::lookback`]): a page for each
    ///   fifty of them.
    /// - Where that listing fails, nothing is sent: `Throttled`, to be tried again.
    /// - A token whose answer was lost is never sent again by this process. A command that was refused
    ///   at the door, for its credentials had ended, is: nobody has looked at it.
    /// - Without limits of its own a request has all its nodes worked on at once, and bears all
    ///   failures: whoever chose the nodes has a budget of his own, and Systems Manager's (none
    ///   borne) would leave nodes out of an act that was planned for them.
    pub(crate) async fn submit_command(&self, request: PatchRequest) -> Result<OperationId> {
        let order = Order {
            token: &request.token,
            action: request.action,
            snapshot: token::snapshot_of(&request),
            nodes: Nodes::Named(&request.nodes),
            concurrency: request.concurrency,
            max_errors: request.max_errors,
            timeout: request.timeout,
        };
        self.send(&order).await
    }

    /// `Fleet::find_operation`.
    ///
    /// # Behavior
    /// - Lists the commands of the one document where this process sent the token, else of all that
    ///   we use; what was listed before is not listed again.
    pub(crate) async fn find_command(&self, token: &SubmitToken) -> Result<Option<OperationId>> {
        let ledger = &self.commands.ledger;
        let marker = Marker::of(token);
        let known = |document| ledger.find(document, marker);
        if let Some(id) = Document::ALL.into_iter().find_map(known) {
            return Ok(Some(id));
        }
        let documents = match ledger.open(marker) {
            Some(document) => vec![document],
            None => Document::ALL.to_vec(),
        };
        for document in documents {
            self.catch_up(document, Freshness::Now).await?;
            if let Some(id) = ledger.find(document, marker) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    async fn send(&self, order: &Order<'_>) -> Result<OperationId> {
        let envelope = self.envelope(order)?;
        let Envelope { marker, document, .. } = envelope;
        let ledger = &self.commands.ledger;
        if let Some(id) = ledger.find(document, marker) {
            return Ok(id);
        }
        let freshness = match ledger.open(marker) {
            None => Freshness::Recent,
            Some(_) => Freshness::Now,
        };
        self.catch_up(document, freshness).await.map_err(not_looked)?;
        if let Some(id) = ledger.find(document, marker) {
            return Ok(id);
        }
        if ledger.begin(document, marker) == Begun::Again {
            return Err(Error::new(
                ErrorKind::Timeout,
                PROVIDER,
                "SendCommand",
                "a command with this token is under way, or its answer was lost; it is not sent again",
            ));
        }
        let sent = self.client.now();
        match self.post(envelope).await {
            Ok(id) => {
                ledger.accepted(document, Row { marker, id: id.clone(), sent });
                Ok(id)
            }
            Err(error) if error.kind() == ErrorKind::Timeout => Err(error),
            Err(error) => {
                ledger.refused(marker);
                match order.nodes {
                    Nodes::Named(nodes) => Err(self.name_node(error, nodes).await),
                    Nodes::Sought(_) => Err(error),
                }
            }
        }
    }

    /// All that can be known to be wrong with an order is said here, before any call.
    fn envelope(&self, order: &Order<'_>) -> Result<Envelope> {
        let options = &*self.commands.options;
        options.check()?;
        let (document, mut parameters) = document::of(order.action, options, order.snapshot)?;
        let (ids, targets) = match order.nodes {
            Nodes::Named(nodes) => (Some(self.ids(nodes)?), None),
            Nodes::Sought(targets) => {
                target::check(targets)?;
                (None, Some(targets.iter().map(CommandTarget::to_sdk).collect()))
            }
        };
        let named = ids.as_ref().map(Vec::len);
        let delivery = document::split_timeout(order.timeout, document, &mut parameters, options)?;
        let marker = Marker::of(order.token);
        Ok(Envelope {
            marker,
            comment: marker.comment(order.token),
            document,
            parameters,
            ids,
            targets,
            concurrency: document::max_concurrency(order.concurrency, named)?,
            max_errors: document::max_errors(order.max_errors, named),
            delivery,
            notification: options.notification.as_ref().map(notification),
        })
    }

    fn ids(&self, nodes: &[NodeId]) -> Result<Vec<String>> {
        let refuse = |message: String| Err(invalid("SendCommand", message));
        if nodes.is_empty() || nodes.len() > MOST_NODES {
            return refuse(format!(
                "a command goes to 1 to {MOST_NODES} nodes, not {}",
                nodes.len()
            ));
        }
        let mut seen = BTreeSet::new();
        for node in nodes {
            if node.scope() != self.scope() {
                return refuse(format!("node {node} is not of {}", self.scope()));
            }
            if !seen.insert(node.resource()) {
                return refuse(format!("node {node} is given twice"));
            }
        }
        Ok(nodes.iter().map(|node| node.resource().to_owned()).collect())
    }

    async fn post(&self, envelope: Envelope) -> Result<OperationId> {
        let options = &*self.commands.options;
        let output = options.output.as_ref();
        let role = options.notification.as_ref().map(|it| it.role.clone());
        let request = self
            .client
            .ssm_once()
            .send_command()
            .document_name(envelope.document.name())
            .comment(envelope.comment)
            .set_instance_ids(envelope.ids)
            .set_targets(envelope.targets)
            .set_parameters(Some(envelope.parameters).filter(|it| !it.is_empty()))
            .set_max_concurrency(envelope.concurrency)
            .set_max_errors(envelope.max_errors)
            .set_timeout_seconds(envelope.delivery)
            .set_output_s3_bucket_name(output.map(|it| it.bucket.clone()))
            .set_output_s3_key_prefix(output.and_then(|it| it.prefix.clone()))
            .set_output_s3_region(output.and_then(|it| it.region.clone()))
            .set_notification_config(envelope.notification)
            .set_service_role_arn(role);
        let answer = self.client.write("SendCommand", request.send()).await?;
        let id = answer.command.and_then(|command| command.command_id);
        id.and_then(|id| OperationId::new(id).ok()).ok_or_else(|| {
            // It was accepted: what cannot be read of the answer is lost.
            let message = "the answer names no command";
            Error::new(ErrorKind::Timeout, PROVIDER, "SendCommand", message)
        })
    }

    /// Lists the commands of a document that are not known yet.
    async fn catch_up(&self, document: Document, freshness: Freshness) -> Result<()> {
        let (ledger, lookback) = (&self.commands.ledger, self.commands.options.lookback);
        let now = self.client.now();
        let Some(since) = ledger.missing_since(document, now, lookback, freshness) else {
            return Ok(());
        };
        let filters = vec![
            filter(
                CommandFilterKey::InvokedAfter,
                since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            )?,
            filter(CommandFilterKey::DocumentName, document.name().to_owned())?,
        ];
        let row = |command: Command| {
            let marker = Marker::read(command.comment.as_deref()?)?;
            let id = OperationId::new(command.command_id?).ok()?;
            let sent = command.requested_date_time.as_ref().and_then(timestamp).unwrap_or(now);
            Some(Row { marker, id, sent })
        };
        let rows = self
            .commands_of(filters)
            .try_filter_map(|command| std::future::ready(Ok(row(command))))
            .try_collect()
            .await?;
        ledger.keep(document, rows, now, lookback);
        Ok(())
    }

    fn commands_of(&self, filters: Vec<CommandFilter>) -> BoxStream<'static, Result<Command>> {
        let client = Arc::clone(&self.client);
        paginate(PROVIDER, "ListCommands", move |token| {
            let client = Arc::clone(&client);
            let request = client
                .ssm()
                .list_commands()
                .max_results(client.page.within(1, 50))
                .set_filters(Some(filters.clone()))
                .set_next_token(token);
            async move {
                let answer = client.read("ListCommands", request.send()).await?;
                Ok((answer.commands.unwrap_or_default(), answer.next_token))
            }
        })
        .boxed()
    }
}

/// What looking for a token ends with where it fails: nothing was sent, so it may be tried again.
fn not_looked(error: Error) -> Error {
    match error.kind() {
        // The service may be asked again, whatever has become of this question.
        ErrorKind::Timeout | ErrorKind::Unexpected | ErrorKind::Malformed => {
            let message =
                "whether the token was sent before could not be read, and nothing was sent";
            Error::new(ErrorKind::Throttled, PROVIDER, "ListCommands", message)
                .with_retry(Retry::Backoff)
                .with_source(error)
        }
        _ => error,
    }
}

fn filter(key: CommandFilterKey, value: String) -> Result<CommandFilter> {
    let built = CommandFilter::builder().key(key).value(value).build();
    built.map_err(|error: BuildError| invalid("ListCommands", error.to_string()))
}

pub(crate) fn notification(wanted: &CommandNotification) -> NotificationConfig {
    let events = wanted.events.iter().map(|event| match event {
        CommandEvent::InProgress => NotificationEvent::InProgress,
        CommandEvent::Success => NotificationEvent::Success,
        CommandEvent::TimedOut => NotificationEvent::TimedOut,
        CommandEvent::Cancelled => NotificationEvent::Cancelled,
        CommandEvent::Failed => NotificationEvent::Failed,
    });
    let mut events: Vec<NotificationEvent> = events.collect();
    if events.is_empty() {
        events.push(NotificationEvent::All);
    }
    let per = match wanted.per {
        NotifyPer::Command => NotificationType::Command,
        NotifyPer::Node => NotificationType::Invocation,
    };
    NotificationConfig::builder()
        .notification_arn(&wanted.topic)
        .set_notification_events(Some(events))
        .notification_type(per)
        .build()
}
