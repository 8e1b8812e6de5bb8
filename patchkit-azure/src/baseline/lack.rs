//! What Azure cannot express of a baseline.

use std::fmt;

use patchkit_core::PatchBaseline;
use serde::{Deserialize, Serialize};

use crate::{convert, maintenance::Part};

/// One thing in a baseline that Azure's own parameters do not hold.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Lack {
    /// The field: `approval_rules[0].approval`.
    pub field: String,
    /// What about it.
    pub problem: String,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.problem)
    }
}

/// Everything in a baseline that Azure's own parameters cannot hold, field by field; empty where a
/// schedule of Azure does all that the baseline says.
///
/// # Behavior
/// - PatchKit keeps the whole baseline all the same, and [chooses by it](crate::install_parameters). What
///   is lacking is lacking where Azure patches by a schedule of its own.
/// - Azure's parameters choose no patch that the baseline does not approve: a rule with a delay is not in
///   them at all. What they cannot do is tell one Linux from another, and keep back what a package needs.
///
/// # Example
/// ```
/// use patchkit_azure::what_azure_lacks;
/// use patchkit_core::{ApprovalRule, AutoApproval, OperatingSystem, PatchBaseline};
///
/// let baseline = PatchBaseline::new("web", OperatingSystem::Windows)
///     .with_rule(ApprovalRule::new(AutoApproval::AfterDays(7)));
/// let lacks = what_azure_lacks(&baseline);
/// assert_eq!(
///     lacks[0].to_string(),
///     "approval_rules[0].approval is a delay, and Azure installs at once",
/// );
/// ```
pub fn what_azure_lacks(baseline: &PatchBaseline) -> Vec<Lack> {
    if let Some(part) = Part::of(&baseline.operating_system) {
        return convert::baseline::project(part, baseline).1;
    }
    let problem = format!("is {}, which Azure does not patch", baseline.operating_system);
    vec![Lack { field: "operating_system".to_owned(), problem }]
}
