//! How far commands have come, and how they are stopped.

use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_ssm::types::{Command, CommandInvocation, CommandPlugin};
use futures::TryStreamExt;
use patchkit_core::{
    Error, ErrorKind, NodeOperation, OperationId, OperationStatus, PatchOperation, Result, paginate,
};

use super::status::{self, Complete};
use crate::{Ssm, convert::timestamp, error::PROVIDER};

/// Every command's id is a UUID in its long form (service model, `CommandId`).
const ID_LENGTH: usize = 36;

/// How much of a failed step's output an operation repeats. All of it: [`Ssm::output`].
const EXCERPT: usize = 300;

/// What stands in `CommandPlugin.Output` between what a step printed and its errors.
const ERRORS: &str = "----------ERROR-------";

/// Whether invocations are listed with their steps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Steps {
    Shown,
    Hidden,
}

impl Ssm {
    /// `Fleet::operation`.
    ///
    /// # Behavior
    /// - While a node is known to be at work: one call for each fifty nodes.
    /// - When all that are known have ended, or none is known yet, one call more, that tells how many
    ///   there are; invocations come late, and an act is over when none of them is missing.
    /// - When all have ended, once more with the steps, which tell the times and, of what failed, the
    ///   end of its output.
    pub(crate) async fn command(&self, id: &OperationId) -> Result<PatchOperation> {
        check(id, "ListCommandInvocations")?;
        let mut nodes = match self.invocations(id, Steps::Hidden).await {
            Ok(nodes) => nodes,
            // It may be too new for this listing: the other one decides.
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let mut complete = Complete::NotYet;
        if nodes.values().all(|node| node.status.is_final()) {
            let command = self.one_command(id).await?;
            if command.reached_nobody() {
                return Ok(PatchOperation::new(id.clone(), OperationStatus::Failed, Vec::new()));
            }
            complete = command.complete(&nodes);
            if complete == Complete::Yes
                && let Ok(closer) = self.invocations(id, Steps::Shown).await
            {
                // Between two calls nothing that has ended changes, but nodes may be left out.
                nodes.extend(closer);
            }
        }
        let nodes: Vec<NodeOperation> = nodes.into_values().collect();
        Ok(PatchOperation::new(id.clone(), status::whole(&nodes, complete), nodes))
    }

    /// `Fleet::cancel`.
    pub(crate) async fn cancel_command(&self, id: &OperationId) -> Result<()> {
        check(id, "CancelCommand")?;
        // Twice is as good as once.
        let request = self.client.ssm().cancel_command().command_id(id.as_str()).send();
        self.client.read("CancelCommand", request).await?;
        Ok(())
    }

    /// The command itself; `NotFound` where there is none.
    pub(super) async fn one_command(&self, id: &OperationId) -> Result<Command> {
        let request = self.client.ssm().list_commands().command_id(id.as_str()).send();
        let answer = self.client.read("ListCommands", request).await?;
        let mut commands = answer.commands.unwrap_or_default().into_iter();
        commands
            .find(|command| command.command_id() == Some(id.as_str()))
            .ok_or_else(|| Error::not_found(PROVIDER, "ListCommands", format!("command {id}")))
    }

    /// The act on each node that is told of, by the node's id.
    async fn invocations(
        &self,
        id: &OperationId,
        steps: Steps,
    ) -> Result<BTreeMap<String, NodeOperation>> {
        let (client, command) = (Arc::clone(&self.client), id.as_str().to_owned());
        let listing = paginate(PROVIDER, "ListCommandInvocations", move |token| {
            let client = Arc::clone(&client);
            let request = client
                .ssm()
                .list_command_invocations()
                .command_id(&command)
                .details(steps == Steps::Shown)
                .max_results(client.page.within(1, 50))
                .set_next_token(token);
            async move {
                let answer = client.read("ListCommandInvocations", request.send()).await?;
                Ok((answer.command_invocations.unwrap_or_default(), answer.next_token))
            }
        });
        let rows: Vec<CommandInvocation> = listing.try_collect().await?;
        rows.iter()
            .map(|row| {
                let node = self.client.node("ListCommandInvocations", row.instance_id())?;
                Ok((node.resource().to_owned(), node_operation(node, row)))
            })
            .collect()
    }
}

/// The questions that a command's own row answers.
trait Whole {
    fn reached_nobody(&self) -> bool;
    fn complete(&self, nodes: &BTreeMap<String, NodeOperation>) -> Complete;
}

impl Whole for Command {
    fn reached_nobody(&self) -> bool {
        let status = status::of(self.status().map(AsRef::as_ref), self.status_details());
        self.instance_ids().is_empty() && self.target_count() == 0 && status.is_final()
    }

    fn complete(&self, nodes: &BTreeMap<String, NodeOperation>) -> Complete {
        let all = if self.instance_ids().is_empty() {
            // How many the service found is only sure when it has done with them.
            let status = status::of(self.status().map(AsRef::as_ref), self.status_details());
            let count = usize::try_from(self.target_count()).unwrap_or(usize::MAX);
            status.is_final() && nodes.len() >= count
        } else {
            self.instance_ids().iter().all(|id| nodes.contains_key(id))
        };
        if all { Complete::Yes } else { Complete::NotYet }
    }
}

/// What is no command's id names no command; the service would call it malformed.
fn check(id: &OperationId, operation: &'static str) -> Result<()> {
    let text = id.as_str();
    let known = |c: char| c.is_ascii_hexdigit() || c == '-';
    if text.len() == ID_LENGTH && text.chars().all(known) {
        return Ok(());
    }
    Err(Error::not_found(PROVIDER, operation, format!("command {id}")))
}

fn node_operation(node: patchkit_core::NodeId, row: &CommandInvocation) -> NodeOperation {
    let status = status::of(row.status().map(AsRef::as_ref), row.status_details());
    let mut act = NodeOperation::new(node, status);
    let steps = row.command_plugins();
    let times = |time: fn(&CommandPlugin) -> Option<&aws_smithy_types::DateTime>| {
        steps.iter().filter_map(time).filter_map(timestamp)
    };
    act.started_at = times(CommandPlugin::response_start_date_time).min();
    if status.is_final() {
        act.ended_at = times(CommandPlugin::response_finish_date_time).max();
    }
    act.detail = detail(status, row);
    act
}

/// The service's word where it says more than the status, and the end of what a failed step printed.
fn detail(status: OperationStatus, row: &CommandInvocation) -> Option<String> {
    let plain = ["pending", "inprogress", "cancelling", "success", "failed", "cancelled"];
    let word = row.status_details().or(row.status().map(AsRef::as_ref)).filter(|word| {
        let folded = word.replace(' ', "").to_ascii_lowercase();
        !folded.is_empty() && !plain.contains(&folded.as_str())
    });
    let output = matches!(status, OperationStatus::Failed | OperationStatus::TimedOut)
        .then(|| row.command_plugins().iter().find(|step| has_failed(step)))
        .flatten()
        .and_then(CommandPlugin::output)
        .map(excerpt)
        .filter(|text| !text.is_empty());
    match (word, output) {
        (Some(word), Some(output)) => Some(format!("{word}: {output}")),
        (Some(word), None) => Some(word.to_owned()),
        (None, output) => output,
    }
}

fn has_failed(step: &CommandPlugin) -> bool {
    let status = status::of(step.status().map(AsRef::as_ref), step.status_details());
    matches!(status, OperationStatus::Failed | OperationStatus::TimedOut)
}

/// The end of what a step printed, of its errors where it printed any, on one line.
fn excerpt(output: &str) -> String {
    let errors = output.split_once(ERRORS).map(|(_, errors)| errors);
    let text = errors.filter(|errors| !errors.trim().is_empty()).unwrap_or(output);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let surplus = line.chars().count().saturating_sub(EXCERPT);
    match line.char_indices().nth(surplus) {
        Some((from, _)) if surplus > 0 => format!("…{}", &line[from..]),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_the_end_of_the_errors_on_one_line() {
        let output = "all well\n----------ERROR-------\nE: no lock\nfailed to run commands: 1\n";
        assert_eq!(excerpt(output), "E: no lock failed to run commands: 1");
        assert_eq!(excerpt("printed\n----------ERROR-------\n"), "printed ----------ERROR-------");
        let long = excerpt(&format!("{}ende", "ä ".repeat(1_000)));
        assert_eq!(long.chars().count(), EXCERPT + 1);
        assert!(long.starts_with('…') && long.ends_with("ende"));
    }

    #[test]
    fn what_is_no_id_of_a_command_names_none() {
        for id in ["x", "act-0000000000000000000000000000001", "ÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄ"]
        {
            let error = check(&id.parse().unwrap(), "CancelCommand").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{id}");
        }
        check(&"0831e1a8-a1ac-4257-a1fd-c831b48c4107".parse().unwrap(), "CancelCommand").unwrap();
    }
}
