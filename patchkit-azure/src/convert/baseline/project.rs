//! As much of a baseline as Azure can carry out by itself.

use std::collections::BTreeSet;

use patchkit_core::{
    ApprovalRule, AutoApproval, AvailableUpdates, Classification, ComplianceLevel, PackageFamily,
    PatchBaseline, PatchFilter, PatchFilterKey, RejectedAction, UpdateScope,
};

use super::{Chosen, WINDOWS, covering, kb, knows_sources, masks::exact};
use crate::{baseline::Lack, maintenance::Part};

/// A class that Azure chooses by, as it is told from others.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Class {
    /// Of Linux: `Critical` and `Security`, which its agent takes for one.
    Security,
    /// Of Linux: all others.
    Other,
    /// Of Windows, by its place in the list.
    Windows(usize),
}

impl Class {
    fn all(part: Part) -> BTreeSet<Self> {
        match part {
            Part::Windows => (0..WINDOWS.len()).map(Self::Windows).collect(),
            Part::Linux => [Self::Security, Self::Other].into(),
        }
    }

    /// The classes all of whose patches a filter's value means.
    fn of(part: Part, value: &str) -> Option<Self> {
        match part {
            Part::Windows => {
                let Ok(named) = value.parse::<Classification>();
                let same = |(_, ours): &(&str, &str)| {
                    let Ok(known) = ours.parse::<Classification>();
                    known == named
                };
                WINDOWS.iter().position(same).map(Self::Windows)
            }
            Part::Linux if value.eq_ignore_ascii_case("Security") => Some(Self::Security),
            Part::Linux if value.eq_ignore_ascii_case("Other") => Some(Self::Other),
            Part::Linux => None,
        }
    }

    fn spelled(self) -> &'static [&'static str] {
        match self {
            Self::Security => &["Critical", "Security"],
            Self::Other => &["Other"],
            Self::Windows(at) => {
                WINDOWS.get(at).map_or(&[], |(azure, _)| std::slice::from_ref(azure))
            }
        }
    }
}

/// What of a baseline stands in Azure's own parameters, and what does not.
///
/// The parameters never choose a patch that the baseline does not approve: what Azure has no word for is
/// left out of them, and where leaving it out would choose more, what it restricts is left out too.
pub(crate) fn project(part: Part, baseline: &PatchBaseline) -> (Chosen, Vec<Lack>) {
    let mut it = Projection { part, baseline, lacks: Vec::new() };
    it.general();
    let allowed = it.global();
    let (exclude, sure) = it.exclude();
    let (mut classes, mut include) = (BTreeSet::new(), Vec::new());
    if sure {
        for (at, rule) in baseline.approval_rules.iter().enumerate() {
            classes.extend(it.rule(at, rule));
        }
        classes.retain(|class| allowed.as_ref().is_none_or(|allowed| allowed.contains(class)));
        include = it.include(allowed.as_ref());
    }
    let chosen = if classes.is_empty() && include.is_empty() {
        Chosen::nothing(part)
    } else {
        let classes = classes.iter().flat_map(|class| class.spelled());
        Chosen { classes: classes.map(|it| (*it).to_owned()).collect(), include, exclude }
    };
    (chosen, it.lacks)
}

struct Projection<'a> {
    part: Part,
    baseline: &'a PatchBaseline,
    lacks: Vec<Lack>,
}

impl Projection<'_> {
    fn lack(&mut self, field: impl Into<String>, problem: &str) {
        self.lacks.push(Lack { field: field.into(), problem: problem.to_owned() });
    }

    /// What changes nothing about which patches are chosen, but what becomes of them.
    fn general(&mut self) {
        let baseline = self.baseline;
        if self.part == Part::Linux && baseline.operating_system != Part::Linux.system() {
            self.lack("operating_system", "is one Linux, and Azure does not tell it from others");
        }
        let level = |level: ComplianceLevel| level != ComplianceLevel::Unspecified;
        if level(baseline.approved_patches_level) {
            self.lack("approved_patches_level", "is a weight, and Azure has none");
        }
        for (at, rule) in baseline.approval_rules.iter().enumerate() {
            if level(rule.compliance_level) {
                let field = format!("approval_rules[{at}].compliance_level");
                self.lack(field, "is a weight, and Azure has none");
            }
        }
        if !baseline.rejected_patches.is_empty() {
            match (self.part, baseline.rejected_action) {
                (Part::Linux, RejectedAction::AllowAsDependency) => self.lack(
                    "rejected_action",
                    "lets them come along with others, and Azure installs nothing that needs them",
                ),
                (Part::Windows, RejectedAction::Block) => self.lack(
                    "rejected_action",
                    "forbids them as dependencies, and Azure knows none of Windows",
                ),
                _ => {}
            }
        }
        if baseline.available_updates == AvailableUpdates::NonCompliant {
            self.lack("available_updates", "is a verdict, and Azure gives none");
        }
        if !baseline.sources.is_empty() {
            self.lack("sources", "are repositories, and Azure takes what the machine has");
        }
    }

    /// The classes that every patch must be of; none where that does not matter.
    fn global(&mut self) -> Option<BTreeSet<Class>> {
        let mut allowed: Option<BTreeSet<Class>> = None;
        for (at, filter) in self.baseline.global_filters.iter().enumerate() {
            if let Some(classes) = self.filter(&format!("global_filters[{at}]"), filter) {
                allowed = Some(match allowed {
                    None => classes,
                    Some(known) => known.intersection(&classes).copied().collect(),
                });
            }
        }
        allowed
    }

    /// The classes all of whose patches pass a filter; none where every patch does.
    fn filter(&mut self, field: &str, filter: &PatchFilter) -> Option<BTreeSet<Class>> {
        if let PatchFilterKey::Other(_) = filter.key {
            self.lack(field, "is of a property that nobody knows");
            return Some(BTreeSet::new());
        }
        if filter.values.iter().any(|it| it == "*") {
            return None;
        }
        if filter.key != PatchFilterKey::Classification {
            let problem = format!("is by {}, and Azure chooses by class and name", filter.key);
            self.lack(field, &problem);
            return Some(BTreeSet::new());
        }
        let mut classes = BTreeSet::new();
        for value in &filter.values {
            match Class::of(self.part, value) {
                Some(class) => {
                    classes.insert(class);
                }
                // The Linux agent takes it for one with `Security`.
                None if self.part == Part::Linux && value.eq_ignore_ascii_case("Critical") => {
                    if !filter.values.iter().any(|it| it.eq_ignore_ascii_case("Security")) {
                        self.lack(field, "is `Critical`, which Azure takes for all of `Security`");
                    }
                }
                None => {
                    let problem = format!("is {value:?}, which is no class of Azure");
                    self.lack(field, &crate::error::shown(&problem));
                }
            }
        }
        Some(classes)
    }

    /// The classes all of whose patches a rule approves now.
    fn rule(&mut self, at: usize, rule: &ApprovalRule) -> BTreeSet<Class> {
        let field = format!("approval_rules[{at}]");
        let mut classes = Class::all(self.part);
        for (of, filter) in rule.filters.iter().enumerate() {
            if let Some(passing) = self.filter(&format!("{field}.filters[{of}]"), filter) {
                classes.retain(|class| passing.contains(class));
            }
        }
        if knows_sources(&self.baseline.operating_system) && rule.scope == UpdateScope::SecurityOnly
        {
            classes.remove(&Class::Other);
        }
        match rule.approval {
            AutoApproval::Immediately | AutoApproval::AfterDays(0) => classes,
            AutoApproval::AfterDays(_) => {
                self.lack(format!("{field}.approval"), "is a delay, and Azure installs at once");
                BTreeSet::new()
            }
            _ => {
                self.lack(
                    format!("{field}.approval"),
                    "is a date, and Azure installs what is newer",
                );
                BTreeSet::new()
            }
        }
    }

    /// What is to be excluded, and whether that is all that is rejected.
    fn exclude(&mut self) -> (Vec<String>, bool) {
        let (mut masks, mut sure): (Vec<String>, _) = (Vec::new(), true);
        for (at, entry) in self.baseline.rejected_patches.iter().enumerate() {
            let field = format!("rejected_patches[{at}]");
            let added = match self.part {
                Part::Linux => covering(entry, self.baseline.operating_system.family()),
                Part::Windows => kb(entry).into_iter().collect(),
            };
            if added.is_empty() {
                self.lack(field, "is a bulletin, and Azure excludes by KB number alone");
                sure = false;
            } else if added != [entry.as_str()] && self.part == Part::Linux {
                self.lack(field, "may be more than a name, and Azure excludes by name alone");
            }
            for mask in added {
                if !masks.contains(&mask) {
                    masks.push(mask);
                }
            }
        }
        (masks, sure)
    }

    fn include(&mut self, allowed: Option<&BTreeSet<Class>>) -> Vec<String> {
        let baseline = self.baseline;
        if baseline.approved_patches.is_empty() {
            return Vec::new();
        }
        if allowed.is_some() {
            self.lack("approved_patches", "are filtered, and Azure filters no names");
            return Vec::new();
        }
        let gated = self.part == Part::Linux && knows_sources(&baseline.operating_system);
        if gated && baseline.approved_patches_scope == UpdateScope::SecurityOnly {
            let problem = "are of security sources only, and Azure takes a name from any";
            self.lack("approved_patches_scope", problem);
            return Vec::new();
        }
        let mut names = Vec::new();
        for (at, entry) in baseline.approved_patches.iter().enumerate() {
            let name = match self.part {
                Part::Windows => kb(entry),
                Part::Linux => exact(entry).filter(|it| {
                    // APT's lists know no `*`: an entry with one approves nothing.
                    baseline.operating_system.family() != PackageFamily::Apt || !it.contains('*')
                }),
            };
            match name {
                Some(name) => names.push(name),
                None => self.lack(format!("approved_patches[{at}]"), "is no name for Azure"),
            }
        }
        names
    }
}
