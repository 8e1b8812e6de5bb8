//! What was asked of the lake and what it answered, before it is written in any form.

use std::sync::Arc;

use patchkit_core::ComplianceStatus;
use patchkit_examples::{Exit, Failure};
use patchkit_inventory::{
    Dimension, InventoryKey, InventoryType, LakeNode, LakeReading, LakeReport, ObjectSource,
    PatchGap, Repaired, Skipped,
};

use super::{
    apps::{Found, Question},
    args::Args,
    kept,
    lake::Lake,
    source::{Later, Seen},
};

/// One run's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) lake: String,
    pub(crate) by: Vec<Dimension>,
    pub(crate) top: usize,
    pub(crate) report: LakeReport,
    pub(crate) rows: Rows,
    /// The patches that live nodes lack, most first; `None` where patches were not read.
    pub(crate) gaps: Option<Vec<PatchGap>>,
    /// Whether all of the lake was read, so that a further pass finds no further dirt.
    whole: Whole,
}

/// How much of the lake was read for the report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Whole {
    All,
    Needed,
}

/// The rows that were asked for.
#[derive(Debug)]
pub(crate) enum Rows {
    None,
    NonCompliant,
    Packages(Arc<Question>, Found),
}

impl Answer {
    pub(crate) async fn find(args: &Args, lake: &Lake) -> Result<Self, Failure> {
        // A pattern that is wrong is told before the lake is read.
        let question = match &args.app {
            Some(pattern) => {
                Some(Arc::new(Question::new(pattern, args.below.as_deref(), args.nodes())?))
            }
            None => None,
        };
        let later = if question.is_some() { Later::Packages } else { Later::Nothing };
        let source = Arc::new(Seen::new(Arc::clone(&lake.source), later));
        let bar = source.bar();
        let found = Self::read(args, lake, source, question).await;
        bar.finish_and_clear();
        found
    }

    async fn read(
        args: &Args,
        lake: &Lake,
        source: Arc<Seen>,
        question: Option<Arc<Question>>,
    ) -> Result<Self, Failure> {
        let source = source as Arc<dyn ObjectSource>;
        let report = match &args.snapshot {
            Some(folder) => kept::report(folder, source, args.options()).await?,
            None => LakeReport::load(source, args.options()).await?,
        };
        if report.nodes().next().is_none() {
            return Err(no_inventory(&lake.name, report.reading()));
        }
        let rows = match question {
            Some(question) => {
                let found = question.ask(&report).await?;
                Rows::Packages(question, found)
            }
            None if args.non_compliant => Rows::NonCompliant,
            None => Rows::None,
        };
        Ok(Self {
            lake: lake.name.clone(),
            by: args.by(),
            top: args.top,
            gaps: report.most_missing(usize::MAX),
            report,
            rows,
            whole: if args.quick { Whole::Needed } else { Whole::All },
        })
    }

    /// The live nodes that are not compliant, worst first.
    pub(crate) fn non_compliant(&self) -> Vec<&LakeNode> {
        self.report.worst(usize::MAX)
    }

    /// The readings that the answer rests on.
    pub(crate) fn readings(&self) -> impl Iterator<Item = &LakeReading> {
        let packages = match (&self.rows, self.whole) {
            (Rows::Packages(_, found), Whole::Needed) => Some(&found.reading),
            _ => None,
        };
        std::iter::once(self.report.reading()).chain(packages)
    }

    /// How much was lost.
    pub(crate) fn lost(&self) -> u64 {
        self.readings().map(|reading| reading.skipped.total()).sum()
    }

    /// How much was put right.
    pub(crate) fn repaired(&self) -> u64 {
        self.readings().map(|reading| reading.repaired.total()).sum()
    }

    /// What was lost, as far as it is listed, by key and line.
    pub(crate) fn lost_entries(&self) -> Vec<&Skipped> {
        let mut entries: Vec<_> =
            self.readings().flat_map(|reading| reading.skipped.entries()).collect();
        entries.sort_unstable();
        entries
    }

    /// What was put right, as far as it is listed, by key and line.
    pub(crate) fn repaired_entries(&self) -> Vec<&Repaired> {
        let mut entries: Vec<_> =
            self.readings().flat_map(|reading| reading.repaired.entries()).collect();
        entries.sort_unstable();
        entries
    }

    /// Whether data was lost that the answer rests on; what has no inventory key may be any.
    fn is_incomplete(&self) -> bool {
        let packages = matches!(self.rows, Rows::Packages(..));
        let matters = |skipped: &Skipped| match skipped.key.parse::<InventoryKey>() {
            Ok(key) => match key.inventory_type() {
                InventoryType::Application => packages,
                InventoryType::InstanceInformation
                | InventoryType::ComplianceSummary
                | InventoryType::ComplianceItem
                | InventoryType::PatchSummary
                | InventoryType::Tag => true,
                _ => false,
            },
            Err(_) => true,
        };
        let entries = self.lost_entries();
        self.lost() > entries.len() as u64 || entries.into_iter().any(matters)
    }

    /// What the process ends with: data that was lost may hide anything, so it is no clean end.
    pub(crate) fn exit(&self) -> Exit {
        let is_wrong = match &self.rows {
            Rows::None | Rows::NonCompliant => {
                self.report.nodes().any(|node| node.status() == ComplianceStatus::NonCompliant)
            }
            Rows::Packages(question, found) => {
                question.below.is_some()
                    && !(found.rows.is_empty() && found.not_comparable.is_empty())
            }
        };
        if is_wrong || self.is_incomplete() { Exit::Findings } else { Exit::Clean }
    }
}

/// Says what a lake looks like, to whoever pointed at something else.
fn no_inventory(lake: &str, reading: &LakeReading) -> Failure {
    let seen = match reading.skipped.entries().first() {
        Some(first) => format!(
            "none of its {} objects has such a key; {:?}: {}",
            reading.listed, first.key, first.reason
        ),
        None => format!("it lists {} objects", reading.listed),
    };
    Failure::new(format!(
        "{lake} holds no inventory ({seen}). Give the place where the resource data sync writes: the \
         folder or prefix above keys such as \
         AWS:InstanceInformation/accountid=111122223333/region=eu-west-1/\
         resourcetype=ManagedInstanceInventory/i-0abc.json"
    ))
}
