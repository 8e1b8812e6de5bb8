//! Events as sentences.

use std::fmt;

use super::{Change, Event};
use crate::operator::Plain;

/// How many nodes of an act are named.
const NAMED: usize = 3;

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunStarted { workflow, plan_hash, plan } => {
                let nodes = plan.get("nodes").and_then(|nodes| nodes.as_array()).map(Vec::len);
                write!(f, "the run began: {}", Plain(workflow))?;
                if let Some(nodes) = nodes {
                    write!(f, ", {nodes} nodes")?;
                }
                if !plan_hash.is_empty() {
                    let short: String = plan_hash.chars().take(12).collect();
                    write!(f, ", plan {}", Plain(&short))?;
                }
                Ok(())
            }
            Self::ChangeIntent { change } => write!(f, "about to {change}"),
            Self::ChangeDone { change } => write!(f, "accepted: {change}"),
            Self::ChangeRefused { change, error } => {
                write!(f, "refused: {change}: {}", Plain(error))
            }
            Self::Undone { change } => write!(f, "taken back: {change}"),
            Self::UndoFailed { change, error } => {
                write!(f, "UNDO FAILED: {change}: {}", Plain(error))
            }
            Self::SubmitIntent { token, action, nodes } => {
                write!(f, "about to submit {action} as {token} on {} nodes: ", nodes.len())?;
                for (at, node) in nodes.iter().take(NAMED).enumerate() {
                    write!(f, "{}{node}", if at == 0 { "" } else { ", " })?;
                }
                if nodes.len() > NAMED { f.write_str(", …") } else { Ok(()) }
            }
            Self::Submitted { token, operation } => write!(f, "accepted: {token} is {operation}"),
            Self::SubmitFailed { token, error } => write!(f, "refused: {token}: {}", Plain(error)),
            Self::NodeFinished { node, outcome } => {
                let word = outcome.get("outcome").and_then(|word| word.as_str());
                write!(f, "{node} ended: {}", Plain(word.unwrap_or("in a way that is not known")))?;
                let notes = outcome.get("notes").and_then(|notes| notes.as_array());
                for note in notes.into_iter().flatten().filter_map(|note| note.as_str()) {
                    write!(f, "; {}", Plain(note))?;
                }
                Ok(())
            }
            Self::HookIntent { hook } => write!(f, "about to call hook {hook}"),
            Self::HookOwed { hook } => write!(f, "to be called later: hook {hook}"),
            Self::HookDone { hook } => write!(f, "called: hook {hook}"),
            Self::HookFailed { hook, error } => write!(f, "FAILED: hook {hook}: {}", Plain(error)),
            Self::WaveJudged { wave, health } => {
                write!(f, "wave {} is {health}", wave.saturating_add(1))
            }
            Self::RunResumed { holder } => write!(f, "{} goes on with the run", Plain(holder)),
            Self::RunAbandoned { by, reason } => {
                write!(f, "the run was given up by {}: {}", Plain(by), Plain(reason))
            }
            Self::RunFinished => f.write_str("the run is over"),
            Self::Torn { detail } => write!(f, "TORN: {}", Plain(detail)),
            Self::Other(event) => write!(f, "an event that this version does not know: {event}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { node, before } => write!(f, "start {node}, which was {before}"),
            Self::Access(change) => write!(f, "grant access to {}", change.node),
            Self::Tags(change) => write!(f, "merge tags into {}", change.node),
        }
    }
}
