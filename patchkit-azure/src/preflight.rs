//! Preflight: what would keep a machine from being patched as it is meant to be.

mod finding;
mod judge;
mod survey;

use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryFutureExt, stream, stream::BoxStream};
use patchkit_core::{Error, NodeId, NodeSelector, PerNode, Result};
use serde::{Deserialize, Serialize};

pub use self::finding::{PreflightFinding, PreflightVerdict};
use self::{judge::judge, survey::Survey};
use crate::{
    Machine, PatchSettings, PatchSettingsChange, UpdateManager, client::Client, fleet::AT_ONCE,
};

/// How machines are meant to be patched; by this they are judged.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PatchIntent {
    /// By whoever asks for it, when he asks, as PatchKit's runs do.
    #[default]
    OnDemand,
    /// By Update Manager, on the schedule of a maintenance configuration: its resource id.
    Schedule(String),
}

/// What a preflight says of one machine.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodePreflight {
    /// The machine, as Resource Graph showed it.
    pub machine: Machine,
    /// What it is meant for.
    pub intent: PatchIntent,
    /// What stands in the way, and what is to be known; in the order in which it was looked at.
    pub findings: Vec<PreflightFinding>,
}

impl NodePreflight {
    /// The machine's node.
    pub fn node(&self) -> &NodeId {
        &self.machine.node.id
    }

    /// The gravest of the findings' verdicts.
    pub fn verdict(&self) -> PreflightVerdict {
        let verdicts = self.findings.iter().map(PreflightFinding::verdict);
        verdicts.max().unwrap_or(PreflightVerdict::Ready)
    }

    /// The patch settings that a [fix](UpdateManager::fix_preflight) would give the machine; none
    /// where no finding is about them. What they do not name stays as it is.
    pub fn fix(&self) -> Option<PatchSettings> {
        let mut settings = PatchSettings::default();
        for finding in &self.findings {
            match finding {
                PreflightFinding::PatchMode { .. } | PreflightFinding::PlatformSchedules => {
                    settings = settings.with_own_schedules();
                }
                PreflightFinding::NoPeriodicAssessment => {
                    settings = settings.with_periodic_assessment();
                }
                _ => {}
            }
        }
        (settings != PatchSettings::default()).then_some(settings)
    }
}

impl UpdateManager {
    /// Looks at machines before they are patched: whether they run, their agents answer, their patch
    /// settings are those that `intent` needs, which schedules are attached, whether extensions failed.
    ///
    /// # Behavior
    /// - Reads only. Machines and extensions come from Resource Graph: a query beside the listing;
    ///   schedules from two calls for each subscription. A machine itself is asked where the graph knows
    ///   nothing of its agent, or an extension on it failed.
    /// - A schedule is attached where it is assigned to the machine, or where the filter of a dynamic
    ///   scope takes it, as Update Manager evaluates that when it runs. One whose window never opens, as
    ///   that of a baseline which is registered, is told only where it is the one that is meant.
    /// - What could not be read is a finding of each machine that it is about, never a clean bill:
    ///   schedules that the caller may not read Resource Graph would leave out without a word. Of
    ///   extensions it does, and nobody can tell.
    ///
    /// # Errors
    /// As [`Fleet::nodes`](patchkit_core::Fleet::nodes).
    ///
    /// # Example
    /// ```no_run
    /// use futures::TryStreamExt;
    /// use patchkit_azure::{PatchIntent, PreflightVerdict, UpdateManager};
    /// use patchkit_core::NodeSelector;
    ///
    /// # async fn example(azure: UpdateManager) -> patchkit_core::Result<()> {
    /// let mut looked = azure.preflight(&NodeSelector::all(), &PatchIntent::OnDemand);
    /// while let Some(it) = looked.try_next().await? {
    ///     if it.verdict() == PreflightVerdict::Blocked {
    ///         for finding in &it.findings {
    ///             println!("{}: {finding}: {}", it.node(), finding.advice());
    ///         }
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn preflight(
        &self,
        selector: &NodeSelector,
        intent: &PatchIntent,
    ) -> BoxStream<'static, Result<NodePreflight>> {
        let (azure, selector, intent) = (self.clone(), selector.clone(), intent.clone());
        let looked = async move {
            let subscriptions = azure.client.asked(&selector);
            let survey = Arc::new(azure.client.survey(&subscriptions).await);
            let client = Arc::clone(&azure.client);
            let looked = azure.machines(&selector).map(move |machine| {
                let (client, survey) = (Arc::clone(&client), Arc::clone(&survey));
                let intent = intent.clone();
                async move { Ok(client.look_over(machine?, intent, &survey).await) }
            });
            Ok::<_, Error>(looked.buffered(AT_ONCE))
        };
        looked.boxed().try_flatten_stream().boxed()
    }

    /// Gives each machine the patch settings that its preflight found missing, and nothing else.
    ///
    /// # Behavior
    /// - One answer for each machine, in the order given. One without such a finding is left alone: its
    ///   change is empty.
    ///
    /// # Errors
    /// Per node, as [`set_patch_settings`](Self::set_patch_settings).
    pub async fn fix_preflight(&self, looked: &[NodePreflight]) -> PerNode<PatchSettingsChange> {
        let fix = |it: &NodePreflight| {
            let (node, settings) = (it.node().clone(), it.fix());
            async move {
                let done = match settings {
                    Some(settings) => self.set_patch_settings(&node, &settings).await,
                    None => Ok(PatchSettingsChange::none(node.clone())),
                };
                (node, done)
            }
        };
        stream::iter(looked.iter().map(fix)).buffered(AT_ONCE).collect().await
    }
}

impl Client {
    async fn look_over(
        self: &Arc<Self>,
        machine: Machine,
        intent: PatchIntent,
        survey: &Survey,
    ) -> NodePreflight {
        let mut findings = judge(&machine, &intent, survey);
        let silent = |finding: &PreflightFinding| {
            matches!(finding, PreflightFinding::ExtensionFailed { message: None, .. })
        };
        // The graph tells that a VM's extension failed, and its instance view why.
        if findings.iter().any(silent)
            && let Ok(view) = self.instance_view(&machine.node.id).await
        {
            for finding in findings.iter_mut().filter(|it| silent(it)) {
                finding.add_message(&view);
            }
        }
        NodePreflight { machine, intent, findings }
    }
}
