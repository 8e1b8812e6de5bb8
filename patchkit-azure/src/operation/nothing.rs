//! An install that was not asked for, because its baseline has nothing for Azure to install.

use std::fmt;

use jiff::Timestamp;
use patchkit_core::{
    Error, NodeId, NodeOperation, OperationId, OperationStatus, PatchOperation, Result,
};
use serde_json::json;

use super::result::InstallResult;
use crate::{client::Client, error::PROVIDER};

const WORD: &str = "nothing";

/// The name of an install that was over before it began: `nothing/<seconds>-<unnamed>/<node>`.
///
/// It has all that there is to tell, so that every process knows how it ended, and nobody asks Azure
/// for an install without names, which would bring everything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Nothing {
    /// When it was decided, in whole seconds.
    at: Timestamp,
    /// How many patches are approved and have no name for Azure.
    unnamed: usize,
    node: NodeId,
}

impl Nothing {
    pub(super) fn new(at: Timestamp, unnamed: usize, node: &NodeId) -> Self {
        let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
        Self { at, unnamed, node: node.clone() }
    }

    /// Reads an id of ours; none for that of another act.
    ///
    /// # Errors
    /// `NotFound` for what begins like one and is none, and for a node of no subscription of ours.
    pub(super) fn read(
        client: &Client,
        operation: &'static str,
        id: &OperationId,
    ) -> Result<Option<Self>> {
        let Some(rest) = id.as_str().strip_prefix(WORD).and_then(|it| it.strip_prefix('/')) else {
            return Ok(None);
        };
        let unknown = || Error::not_found(PROVIDER, operation, format_args!("act {id}"));
        let nothing = Self::parse(rest).ok_or_else(unknown)?;
        client.machine(operation, &nothing.node).map_err(|_| unknown())?;
        Ok(Some(nothing))
    }

    fn parse(rest: &str) -> Option<Self> {
        let (decided, node) = rest.split_once('/')?;
        let (at, unnamed) = decided.split_once('-')?;
        let at = Timestamp::from_second(at.parse().ok()?).ok()?;
        Some(Self { at, unnamed: unnamed.parse().ok()?, node: node.parse().ok()? })
    }

    pub(super) fn to_id(&self) -> Result<OperationId> {
        OperationId::new(self.to_string())
    }

    /// How it ended. What is approved and cannot be asked for is missing still.
    pub(super) fn end(&self) -> NodeOperation {
        let (status, why) = match self.unnamed {
            0 => (
                OperationStatus::Succeeded,
                "the baseline approves nothing of what the last assessment found".to_owned(),
            ),
            count => (OperationStatus::Failed, unnamed(count)),
        };
        let why = format!("nothing was asked of Azure: {why}");
        let mut end = NodeOperation::new(self.node.clone(), status).with_detail(why);
        (end.started_at, end.ended_at) = (Some(self.at), Some(self.at));
        end
    }

    pub(super) fn operation(&self, id: &OperationId) -> PatchOperation {
        let end = self.end();
        PatchOperation::new(id.clone(), end.status, vec![end])
    }

    /// What an install of nothing did.
    pub(super) fn result(&self) -> InstallResult {
        let at = self.at.to_string();
        let told = json!({"status": "Succeeded", "startDateTime": at, "lastModifiedDateTime": at});
        InstallResult::read(&self.node, WORD, &told)
    }
}

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WORD}/{}-{}/{}", self.at.as_second(), self.unnamed, self.node)
    }
}

/// What is to be said of approved patches that have no name for Azure.
pub(super) fn unnamed(count: usize) -> String {
    format!("{count} approved without a name by which Azure could be asked for them")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "azure/s/westeurope//subscriptions/s/resourceGroups/Web/providers\
                        /Microsoft.Compute/virtualMachines/vm1";

    #[test]
    fn an_id_tells_a_process_that_knows_nothing_else_how_it_ended() {
        let at: Timestamp = "2026-11-24T02:00:00.7Z".parse().unwrap();
        for (unnamed, status) in [(0, OperationStatus::Succeeded), (3, OperationStatus::Failed)] {
            let nothing = Nothing::new(at, unnamed, &NODE.parse().unwrap());
            let id = nothing.to_id().unwrap();
            let rest = id.as_str().strip_prefix("nothing/").unwrap();
            assert_eq!(Nothing::parse(rest), Some(nothing.clone()), "{id}");
            let end = nothing.end();
            assert_eq!((end.status, end.installed.len()), (status, 0));
            assert_eq!(end.ended_at, Some("2026-11-24T02:00:00Z".parse().unwrap()));
            assert_eq!(end.detail.unwrap().contains("3 approved without a name"), unnamed == 3);
        }
        assert_eq!(Nothing::parse("x-0/azure/s/w/x"), None);
        assert_eq!(Nothing::parse("1763949600/azure/s/w/x"), None);
    }
}
