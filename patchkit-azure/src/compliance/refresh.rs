//! Assessments that are made because the last ones are too old.

use std::{future::ready, time::Duration};

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use jiff::{SignedDuration, Timestamp};
use patchkit_core::{
    Error, Fleet, FleetExt, NodeCompliance, NodeId, NodeSelector, OperationId, PatchAction,
    PatchRequest, PowerState, Reachability, Result, RunId, SubmitToken,
};

use super::AT_ONCE;
use crate::{Machine, MachineKind, UpdateManager};

/// Which nodes were asked to be assessed, and which were not.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refresh {
    /// Nodes of which the last assessment is young enough.
    pub fresh: Vec<NodeCompliance>,
    /// The acts that assess the others, or why one was not begun; each with its nodes.
    pub submitted: Vec<(Vec<NodeId>, Result<OperationId>)>,
    /// What is known of nodes that cannot be assessed: they are off, their agent is silent, or Update
    /// Manager does not patch their like.
    pub unable: Vec<NodeCompliance>,
    /// Errors of single scopes, whose nodes are in none of these.
    pub problems: Vec<Error>,
}

impl UpdateManager {
    /// Lists the nodes of which nothing so young is known as is wanted.
    ///
    /// # Behavior
    /// - A node without an assessment is among them, and so is one on which something was installed
    ///   since and that was not looked at again.
    ///
    /// # Errors
    /// As [`summaries`](patchkit_core::ComplianceReport::summaries).
    pub fn outdated(
        &self,
        selector: &NodeSelector,
        limit: Duration,
    ) -> BoxStream<'static, Result<NodeCompliance>> {
        let (now, known) = (self.client.now(), self.assessed(selector));
        known
            .map_ok(|(_, known)| known)
            .try_filter(move |known| ready(!is_fresh(known, now, limit)))
            .boxed()
    }

    /// Has those nodes assessed of which nothing so young is known as is wanted.
    ///
    /// The acts go on by themselves: what they find is in
    /// [`summaries`](patchkit_core::ComplianceReport::summaries) when
    /// [`operation`](Fleet::operation) says that they are over.
    ///
    /// # Behavior
    /// - A node whose last assessment is young enough is left alone.
    /// - An act that cannot be begun is told, and the others are begun.
    /// - The token of an act is made of `run` and the time.
    ///
    /// # Errors
    /// Those of the listing that are about the whole of it; nothing is begun then.
    ///
    /// # Cancellation
    /// Acts that were begun go on.
    ///
    /// # Example
    /// ```no_run
    /// # async fn example(azure: patchkit_azure::UpdateManager) -> patchkit_core::Result<()> {
    /// use std::time::Duration;
    ///
    /// use patchkit_core::{NodeSelector, RunId};
    ///
    /// let (day, run) = (Duration::from_hours(24), RunId::new("daily")?);
    /// let refresh = azure.refresh(&NodeSelector::all(), day, &run).await?;
    /// println!("{} are known, {} cannot be", refresh.fresh.len(), refresh.unable.len());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn refresh(
        &self,
        selector: &NodeSelector,
        limit: Duration,
        run: &RunId,
    ) -> Result<Refresh> {
        let now = self.client.now();
        let (mut fresh, mut unable, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        let mut outdated = Vec::new();
        let mut known = self.assessed(selector);
        while let Some(row) = known.next().await {
            match row {
                Ok((_, known)) if is_fresh(&known, now, limit) => fresh.push(known),
                Ok((machine, _)) if can_be_assessed(&machine) => outdated.push(machine.node.id),
                Ok((_, known)) => unable.push(known),
                Err(error) if error.scope().is_some() => problems.push(error),
                Err(error) => return Err(error),
            }
        }
        let submit = |(number, nodes): (usize, Vec<NodeId>)| async move {
            let begun = match SubmitToken::stamped(&format!("{run}-assess-{number}"), now) {
                Ok(token) => {
                    let request = PatchRequest::new(token, nodes.clone(), PatchAction::Scan);
                    self.submit(request.with_run(run.clone())).await
                }
                Err(error) => Err(error),
            };
            (nodes, begun)
        };
        let chunks = self.chunks(&outdated).into_iter().enumerate();
        let submitted = stream::iter(chunks).map(submit).buffered(AT_ONCE).collect().await;
        Ok(Refresh { fresh, submitted, unable, problems })
    }
}

/// Whether what is known of a node is as young as is wanted, and says how it is.
fn is_fresh(known: &NodeCompliance, now: Timestamp, limit: Duration) -> bool {
    let limit = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
    let young = known.age(now).is_some_and(|age| age <= limit);
    young && known.status != patchkit_core::ComplianceStatus::Unknown
}

/// Whether Azure can look at a machine: it runs, and nobody says that its agent is silent.
fn can_be_assessed(machine: &Machine) -> bool {
    let node = &machine.node;
    let silent = matches!(node.reachability, Reachability::Lost | Reachability::Inactive);
    match machine.kind {
        MachineKind::Vm => node.power == PowerState::Running && !silent,
        MachineKind::Arc => !silent,
        MachineKind::ScaleSetInstance => false,
    }
}
