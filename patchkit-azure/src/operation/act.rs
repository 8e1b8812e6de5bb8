//! What an act is called: its kind, its activity and its machine, in one readable id.

use std::fmt;

use patchkit_core::{Error, NodeId, OperationId, Result};

use crate::{client::Client, error::PROVIDER};

/// What Azure does on a machine.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Kind {
    Scan,
    Install,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Scan, Self::Install];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Install => "install",
        }
    }
}

/// The name of an act: `install/<activity>/<node>`.
///
/// It has all that is needed to read the act again where its signed address is not known any more,
/// and nothing that opens anything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ActId {
    pub(super) kind: Kind,
    /// In lower case.
    pub(super) activity: String,
    pub(super) node: NodeId,
}

impl ActId {
    pub(super) fn new(kind: Kind, activity: &str, node: &NodeId) -> Self {
        Self { kind, activity: activity.to_ascii_lowercase(), node: node.clone() }
    }

    /// Reads an id of ours.
    ///
    /// # Errors
    /// `NotFound` for any other text, and for a node of no subscription of ours.
    pub(super) fn read(client: &Client, operation: &'static str, id: &OperationId) -> Result<Self> {
        let unknown = || Error::not_found(PROVIDER, operation, format_args!("act {id}"));
        let act = Self::parse(id.as_str()).ok_or_else(unknown)?;
        client.machine(operation, &act.node).map_err(|_| unknown())?;
        Ok(act)
    }

    fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once('/')?;
        let (activity, node) = rest.split_once('/')?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word)?;
        let sound = !activity.is_empty() && activity_in(activity) == activity;
        sound.then(|| Some(Self::new(kind, activity, &node.parse().ok()?))).flatten()
    }

    pub(super) fn to_id(&self) -> Result<OperationId> {
        OperationId::new(self.to_string())
    }
}

impl fmt::Display for ActId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind.word(), self.activity, self.node)
    }
}

/// The id that a text begins with.
pub(super) fn activity_in(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "azure/s/westeurope//subscriptions/s/resourceGroups/Web/providers\
                        /Microsoft.Compute/virtualMachines/vm1";

    #[test]
    fn an_id_prints_and_is_read_back() {
        for kind in Kind::ALL {
            let act = ActId::new(kind, "CFC8b1b5-32f3", &NODE.parse().unwrap());
            let id = act.to_id().unwrap();
            assert_eq!(id.as_str(), format!("{}/cfc8b1b5-32f3/{NODE}", kind.word()));
            assert_eq!(ActId::parse(id.as_str()), Some(act));
        }
    }

    #[test]
    fn what_is_no_id_of_an_act_names_none() {
        for text in [
            "x",
            "0831e1a8-a1ac-4257-a1fd-c831b48c4107",
            "scan//azure/s/w/x",
            "scan/a b/azure/s/w/x",
            "scan/a/azure",
            "stop/a/azure/s/w/x",
        ] {
            assert_eq!(ActId::parse(text), None, "{text}");
        }
    }
}
