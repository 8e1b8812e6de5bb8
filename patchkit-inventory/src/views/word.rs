//! Words of the service in SQL, taken from the types of core so that both read them alike.

use patchkit_core::{ComplianceStatus, PatchState};

use crate::Liveness;

/// A text without regard to case and to what divides its words.
fn folded(text: &str) -> String {
    format!("upper(replace(replace(replace({text}, '_', ''), '-', ''), ' ', ''))")
}

/// The verdict that a text names: `compliant`, `non_compliant` or `unknown`.
pub(super) fn status(text: &str) -> String {
    let [compliant, wrong, unknown] = [
        ComplianceStatus::Compliant.as_str(),
        ComplianceStatus::NonCompliant.as_str(),
        ComplianceStatus::Unknown.as_str(),
    ];
    format!(
        "CASE {} WHEN 'COMPLIANT' THEN '{compliant}' WHEN 'NONCOMPLIANT' THEN '{wrong}' \
         ELSE '{unknown}' END",
        folded(text)
    )
}

/// How bad a verdict is, so that of two of one time the worse counts.
pub(super) fn badness(status: &str) -> String {
    format!("CASE {status} WHEN 'non_compliant' THEN 2 WHEN 'unknown' THEN 1 ELSE 0 END")
}

/// Whether a node still exists, by the service's word for it.
pub(super) fn liveness(text: &str) -> String {
    let words = ["Active", "ConnectionLost", "Stopped", "Terminated"].map(|word| {
        format!("WHEN '{}' THEN '{}'", word.to_lowercase(), Liveness::from_wire(word).as_str())
    });
    format!(
        "CASE lower(trim({text})) {} ELSE '{}' END",
        words.join(" "),
        Liveness::Unknown.as_str()
    )
}

/// The words of which a node's liveness makes it count.
pub(super) fn is_live(liveness: &str) -> String {
    let live = [Liveness::Active, Liveness::ConnectionLost].map(|it| format!("'{it}'"));
    format!("coalesce({liveness} IN ({}), false)", live.join(", "))
}

const STATES: [PatchState; 12] = [
    PatchState::Installed,
    PatchState::InstalledOther,
    PatchState::InstalledPendingReboot,
    PatchState::InstalledRejected,
    PatchState::Missing,
    PatchState::NotApplicable,
    PatchState::Failed,
    PatchState::AvailableSecurityUpdate,
    PatchState::Excluded,
    PatchState::NotSelected,
    PatchState::Pending,
    PatchState::Available,
];

/// The state of a patch in its canonical spelling; one that is not known as it came.
pub(super) fn state(text: &str) -> String {
    let known = STATES.map(|state| {
        let name = state.as_str();
        format!("WHEN '{}' THEN '{name}'", name.replace('_', ""))
    });
    // The documentation spells this one in the plural too.
    let plural = "WHEN 'AVAILABLESECURITYUPDATES' THEN 'AVAILABLE_SECURITY_UPDATE'";
    format!("CASE {} {} {plural} ELSE {text} END", folded(text), known.join(" "))
}

/// What a canonical state means where the row has no verdict of its own.
pub(super) fn meaning(state: &str) -> String {
    let words = STATES.map(|known| {
        let status = known.compliance(ComplianceStatus::Unknown);
        format!("WHEN '{}' THEN '{status}'", known.as_str())
    });
    format!("CASE {state} {} ELSE 'unknown' END", words.join(" "))
}
