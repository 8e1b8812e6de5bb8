//! What a fleet is held against: baselines, a time, and what would have been installed.

use jiff::Timestamp;

use crate::{ApprovalBoundary, OperatingSystem, OperationKind, PatchBaseline, PatchGroupName};

/// The baselines of a fleet: one for each operating system, and for each where a patch group has
/// its own.
///
/// # Behavior
/// - An override stands over all else for its operating system, as the `BaselineOverride` of a run
///   does; where there is none for a node's system, its own baseline stays.
/// - Without an override it is the group's baseline for the operating system, and without that the
///   operating system's default. A node without any is not judged.
/// - The last one given for a place is the one that counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BaselineSet {
    defaults: Vec<PatchBaseline>,
    groups: Vec<(PatchGroupName, PatchBaseline)>,
    overrides: Vec<PatchBaseline>,
}

impl BaselineSet {
    /// A set without any baseline.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the default of its operating system.
    #[must_use]
    pub fn with_default(mut self, baseline: PatchBaseline) -> Self {
        self.defaults.push(baseline);
        self
    }

    /// Adds a patch group's baseline for its operating system.
    #[must_use]
    pub fn with_group(mut self, group: PatchGroupName, baseline: PatchBaseline) -> Self {
        self.groups.push((group, baseline));
        self
    }

    /// Adds a baseline that stands over all others of its operating system.
    #[must_use]
    pub fn with_override(mut self, baseline: PatchBaseline) -> Self {
        self.overrides.push(baseline);
        self
    }

    /// The baseline that nodes of an operating system and patch group are held against.
    pub fn baseline_for(
        &self,
        os: &OperatingSystem,
        group: Option<&PatchGroupName>,
    ) -> Option<&PatchBaseline> {
        let is_for = |baseline: &&PatchBaseline| baseline.operating_system == *os;
        let own = |(of, _): &&(PatchGroupName, PatchBaseline)| Some(of) == group;
        self.overrides
            .iter()
            .rfind(is_for)
            .or_else(|| self.groups.iter().filter(own).map(|(_, it)| it).rfind(is_for))
            .or_else(|| self.defaults.iter().rfind(is_for))
    }

    /// Every baseline in it, whether any node is held against it or not.
    pub fn baselines(&self) -> impl Iterator<Item = &PatchBaseline> {
        let groups = self.groups.iter().map(|(_, baseline)| baseline);
        self.defaults.iter().chain(groups).chain(&self.overrides)
    }

    /// Every baseline in it, to change: the same with other rules is the usual question.
    pub fn baselines_mut(&mut self) -> impl Iterator<Item = &mut PatchBaseline> {
        let groups = self.groups.iter_mut().map(|(_, baseline)| baseline);
        self.defaults.iter_mut().chain(groups).chain(&mut self.overrides)
    }
}

impl From<PatchBaseline> for BaselineSet {
    /// A set with one default.
    fn from(baseline: PatchBaseline) -> Self {
        Self::new().with_default(baseline)
    }
}

impl FromIterator<PatchBaseline> for BaselineSet {
    /// A set of defaults.
    fn from_iter<I: IntoIterator<Item = PatchBaseline>>(baselines: I) -> Self {
        baselines.into_iter().fold(Self::new(), Self::with_default)
    }
}

/// Baselines at a time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Scenario {
    /// The baselines.
    pub baselines: BaselineSet,
    /// The time: delays that are over by then are over.
    pub when: Timestamp,
    /// When in the last day of its delay a patch is approved.
    pub boundary: ApprovalBoundary,
    /// The operation after which is judged: what is approved and absent is missing after a scan,
    /// and has failed after an install.
    pub operation: OperationKind,
    /// Names as an `InstallOverrideList` has them: what is absent of these counts as installed.
    pub installs: Vec<String>,
}

impl Scenario {
    /// These baselines at this time, after a scan.
    pub fn new(baselines: impl Into<BaselineSet>, when: Timestamp) -> Self {
        Self {
            baselines: baselines.into(),
            when,
            boundary: ApprovalBoundary::default(),
            operation: OperationKind::Scan,
            installs: Vec::new(),
        }
    }

    /// Sets when in the last day of its delay a patch is approved.
    #[must_use]
    pub fn with_boundary(mut self, boundary: ApprovalBoundary) -> Self {
        self.boundary = boundary;
        self
    }

    /// Sets the operation after which is judged.
    #[must_use]
    pub fn with_operation(mut self, operation: OperationKind) -> Self {
        self.operation = operation;
        self
    }

    /// Supposes that a run with this install override list has gone well.
    ///
    /// Names are those of an approved list: the list is a baseline that approves what it names and
    /// nothing else, from any source. It installs even what is rejected (AWS's patch payload for
    /// Linux), and compliance stays the baseline's to judge.
    #[must_use]
    pub fn with_installs<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.installs.extend(names.into_iter().map(Into::into));
        self
    }
}
