//! Differences of plans in words.

use std::fmt;

use super::{NodeChange, NodeDiff, NodePart, PlanChange, PlanDiff, PlanStep};
use crate::{operator::Plain, workflow::plan::BaselineVersion};

impl fmt::Display for PlanDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "no difference");
        }
        for change in &self.plan {
            writeln!(f, "{change}")?;
        }
        for node in &self.nodes {
            writeln!(f, "{node}")?;
        }
        let drifted = self.drifted().count();
        writeln!(f, "{} nodes differ, {drifted} of them in what would be done", self.nodes.len())
    }
}

impl fmt::Display for PlanChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workflow { before, after } => {
                write!(f, "workflow: {} → {}", Plain(before), Plain(after))
            }
            Self::Option { option, before, after } => {
                write!(f, "option {}: {before} → {after}", Plain(option))
            }
            Self::Waves { before, after } => {
                write!(f, "waves: {} → {}", Names(before), Names(after))
            }
            Self::Unlisted { failure } => {
                write!(f, "no more listed: {}", Plain(&failure.to_string()))
            }
            Self::Listed { failure } => {
                write!(f, "listed again: {}", Plain(&failure.scope.to_string()))
            }
            Self::Baseline { before, after } => {
                let Some(version) = before.as_ref().or(after.as_ref()) else { return Ok(()) };
                write!(f, "baseline {} in {}: ", version.id, version.scope)?;
                write!(f, "{} → {}", Version(before.as_ref()), Version(after.as_ref()))
            }
        }
    }
}

impl fmt::Display for NodeDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match (self.before, self.after) {
            (None, Some(NodePart::Patched)) => "+ {}: new, to be patched",
            (None, _) => "+ {}: new, skipped",
            (Some(NodePart::Patched), None) => "- {}: no more there, was to be patched",
            (Some(_), None) => "- {}: no more there, was skipped",
            (Some(NodePart::Patched), Some(NodePart::Skipped)) => "- {}: skipped now",
            (Some(NodePart::Skipped), Some(NodePart::Patched)) => "+ {}: patched now, not skipped",
            (Some(_), Some(_)) => "~ {}",
        };
        let (mark, words) = word.split_once("{}").unwrap_or((word, ""));
        write!(f, "{mark}{}{words}", Plain(&self.node.to_string()))?;
        for (at, change) in self.changes.iter().enumerate() {
            write!(f, "{}{change}", if at == 0 && words.is_empty() { ": " } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for NodeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wave { before, after } => write!(f, "wave {} → {}", Or(before), Or(after)),
            Self::Power { before, after } => write!(f, "power {before} → {after}"),
            Self::Reachability { before, after } => write!(f, "agent {before} → {after}"),
            Self::Status { before, after } => write!(f, "{before} → {after}"),
            Self::Missing { before, after } => write!(f, "missing {before} → {after}"),
            Self::Scanned { before, after } => {
                write!(f, "scanned {} → {}", Or(before), Or(after))
            }
            Self::Baseline { before, after } => {
                write!(f, "baseline {} → {}", Or(before), Or(after))
            }
            Self::BaselineContent => f.write_str("its baseline has changed"),
            Self::Steps { before, after } => {
                write!(f, "steps {} → {}", Steps(before), Steps(after))
            }
            Self::Reason { before: None, after: Some(after) } => write!(f, "{}", Plain(after)),
            Self::Reason { before, after } => write!(f, "reason {} → {}", Or(before), Or(after)),
            Self::Field { field, before, after } => {
                write!(f, "{} {before} → {after}", Plain(field))
            }
        }
    }
}

/// A text that may be missing.
struct Or<'a, T>(&'a Option<T>);

impl<T: fmt::Display> fmt::Display for Or<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) => write!(f, "{}", Plain(&text.to_string())),
            None => f.write_str("none"),
        }
    }
}

struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", Plain(&self.0.join("; ")))
    }
}

struct Steps<'a>(&'a [PlanStep]);

impl fmt::Display for Steps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        write!(f, "[{}]", steps.join(", "))
    }
}

struct Version<'a>(Option<&'a BaselineVersion>);

impl fmt::Display for Version<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("in no node's use"),
            Some(version) => write!(f, "{version}"),
        }
    }
}
