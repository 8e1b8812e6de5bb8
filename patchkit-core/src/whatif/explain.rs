//! Why one node has its verdict.

use std::fmt;

use serde::Serialize;

use super::{
    change::Certainty,
    judge::{Doubt, Verdicts},
};
use crate::{
    BaselineId, ComplianceStatus, Explanation, JudgedPatch, NodeId, NodeVerdict, Presence,
};

/// Why a node has its verdict, patch by patch.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NodeExplanation {
    /// The node.
    pub node: NodeId,
    /// The verdict, with the counts of its patches.
    pub verdict: NodeVerdict,
    /// Why it is not known, where it is not.
    pub doubt: Option<Doubt>,
    /// The name of the baseline that it was held against.
    pub baseline: Option<String>,
    /// The id of that baseline, where it has one.
    pub baseline_id: Option<BaselineId>,
    /// Its patches, those first that are wrong.
    pub patches: Vec<PatchExplanation>,
}

/// Why one patch on a node is judged so.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchExplanation {
    /// Whether the patch is on the node.
    pub presence: Presence,
    /// Whether the node's report shows that.
    pub certainty: Certainty,
    /// The state that the baseline gives it; `None` where it is not reported.
    pub judged: Option<JudgedPatch>,
    /// What every part of the baseline says of it.
    pub why: Explanation,
}

impl PatchExplanation {
    /// Whether the patch is not as the baseline wants it, or may not be.
    pub fn is_wrong(&self) -> bool {
        self.judged.as_ref().is_some_and(|it| it.status == ComplianceStatus::NonCompliant)
    }
}

impl Verdicts<'_> {
    /// Explains the verdict on one node; `None` for a node that is not in the matrix.
    pub fn explain(&self, node: &NodeId) -> Option<NodeExplanation> {
        let place = self.matrix.place(node)?;
        let (cohort, row) = self.matrix.locate(place)?;
        let decided = self.table(place);
        let explained = |(number, presence, certainty): (usize, Presence, Certainty)| {
            let (decided, patch) = (decided?, &cohort.patches[number].patch);
            Some(PatchExplanation {
                presence,
                certainty,
                judged: decided.judge(number, patch, presence, self.scenario),
                why: decided.compiled.explain(patch, self.scenario.when),
            })
        };
        let reported =
            cohort.facts(row).map(|(number, presence)| (number, presence, Certainty::Reported));
        let possible =
            cohort.unseen.row(row).map(|number| (number, Presence::Absent, Certainty::Possible));
        let mut patches: Vec<_> = reported.chain(possible).filter_map(explained).collect();
        let level = |it: &PatchExplanation| it.judged.as_ref().map(|judged| judged.level);
        patches.sort_by(|a, b| {
            let rank = |it: &PatchExplanation| (!it.is_wrong(), it.certainty);
            (rank(a), level(b), &a.why.patch).cmp(&(rank(b), level(a), &b.why.patch))
        });
        let baseline = decided.map(|decided| decided.compiled.baseline());
        Some(NodeExplanation {
            node: node.clone(),
            verdict: self.verdict(node)?,
            doubt: self.doubt(node),
            baseline: baseline.map(|baseline| baseline.name.clone()),
            baseline_id: baseline.and_then(|baseline| baseline.id.clone()),
            patches,
        })
    }
}

impl fmt::Display for NodeExplanation {
    /// The verdict, then for each patch that is or may be wrong why the baseline decides so.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.node, self.verdict.status)?;
        if let Some(doubt) = self.doubt {
            write!(f, " ({doubt})")?;
        }
        match &self.baseline {
            Some(baseline) => write!(f, " under baseline {baseline:?}")?,
            None => f.write_str(": no baseline is for its operating system")?,
        }
        for patch in self.patches.iter().filter(|patch| patch.is_wrong()) {
            if let Some(judged) = &patch.judged {
                let state = judged.state.as_str();
                match patch.certainty {
                    Certainty::Reported => write!(f, "\n{state}: {}", patch.why)?,
                    Certainty::Possible => write!(f, "\nperhaps {state}: {}", patch.why)?,
                }
            }
        }
        let fine = self.patches.iter().filter(|patch| !patch.is_wrong()).count();
        write!(f, "\n{fine} other patches are as it wants them")
    }
}
