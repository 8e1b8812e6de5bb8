//! Which call of a hook an event is about.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{NodeId, operator::Plain};

/// A moment of a run at which hooks are called.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HookPoint {
    /// Before the first wave of a run.
    BeforeRun,
    /// Before the first node of a wave.
    BeforeWave,
    /// Before a node is started or given an act.
    BeforeNode,
    /// After a node's part is over, and it is put back.
    AfterNode,
    /// After the last node of a wave.
    AfterWave,
    /// After the last wave of a run.
    AfterRun,
}

impl HookPoint {
    /// The word used in journals and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeRun => "before_run",
            Self::BeforeWave => "before_wave",
            Self::BeforeNode => "before_node",
            Self::AfterNode => "after_node",
            Self::AfterWave => "after_wave",
            Self::AfterRun => "after_run",
        }
    }

    /// The moment that ends what this one begins; itself where it is an end.
    #[must_use]
    pub fn after(self) -> Self {
        match self {
            Self::BeforeRun | Self::AfterRun => Self::AfterRun,
            Self::BeforeWave | Self::AfterWave => Self::AfterWave,
            Self::BeforeNode | Self::AfterNode => Self::AfterNode,
        }
    }
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One call of a hook: the same for a call that is made again.
///
/// It prints as `name before_node aws/111122223333/eu-west-1/i-01`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub struct HookMark {
    /// The hook's name.
    pub name: String,
    /// When it is called.
    pub point: HookPoint,
    /// The place of the wave in the plan, from 0, where it is called for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u32>,
    /// The node, where it is called for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
}

impl HookMark {
    /// A call for a run.
    pub fn new(name: impl Into<String>, point: HookPoint) -> Self {
        Self { name: name.into(), point, wave: None, node: None }
    }

    /// The call that ends what this one begins.
    #[must_use]
    pub fn after(mut self) -> Self {
        self.point = self.point.after();
        self
    }
}

impl fmt::Display for HookMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Plain(&self.name), self.point)?;
        if let Some(wave) = self.wave {
            write!(f, " {}", wave.saturating_add(1))?;
        }
        match &self.node {
            Some(node) => write!(f, " {node}"),
            None => Ok(()),
        }
    }
}
