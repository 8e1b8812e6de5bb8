//! What a preflight finds, how grave it is, and what is to be done about it.

use std::fmt;

use patchkit_core::{Error, PowerState, Reachability};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{PatchMode, convert::node::text, error::shown};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PreflightVerdict {
    /// Nothing stands in the way.
    Ready,
    /// The machine can be patched, and something is to be known.
    Warned,
    /// Whether it can be patched could not be found out.
    Unclear,
    /// It would not be patched.
    Blocked,
}

impl fmt::Display for PreflightVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ready => "ready",
            Self::Warned => "warned",
            Self::Unclear => "unclear",
            Self::Blocked => "blocked",
        })
    }
}

/// Something that a preflight found on a machine.
///
/// It prints as what is so; [`advice`](Self::advice) is what to do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PreflightFinding {
    /// It is an instance of a uniform scale set, for which Azure has no patching.
    Unpatchable,
    /// It does not run.
    NotRunning {
        /// Its power.
        power: PowerState,
    },
    /// Its agent does not answer, or nothing is known of one.
    AgentNotReady {
        /// What is known of it.
        reachability: Reachability,
    },
    /// No schedule acts on it: its patch mode is another than `AutomaticByPlatform`.
    PatchMode {
        /// Its mode; none where nothing is said.
        mode: Option<PatchMode>,
    },
    /// No schedule acts on it: the platform has not been told to leave the times to its owner's
    /// schedules (`bypassPlatformSafetyChecksOnUserSchedule`).
    PlatformSchedules,
    /// Azure patches it of itself, whenever that suits.
    PatchedByPlatform,
    /// Windows patches itself, whenever that suits.
    PatchedBySystem,
    /// The maintenance configuration that is meant is not attached to it.
    NotScheduled {
        /// The configuration's id.
        configuration: String,
    },
    /// The maintenance configuration that is meant is attached to it, and its window never opens, or
    /// will not again.
    NeverOpens {
        /// The configuration's id.
        configuration: String,
    },
    /// A maintenance configuration other than the one that is meant is attached to it, and patches it
    /// one day.
    OtherSchedule {
        /// The configuration's id. Untrusted: escape before showing.
        configuration: String,
    },
    /// Nobody looks for missing patches daily: what is known of them is as old as the last time that
    /// someone asked.
    NoPeriodicAssessment,
    /// An extension failed.
    ExtensionFailed {
        /// Its name. Untrusted, as is all of this: escape before showing.
        name: String,
        /// Its type: `LinuxPatchExtension`.
        kind: String,
        /// What became of it: `Failed`.
        state: String,
        /// What its handler said, where that could be read.
        message: Option<String>,
    },
    /// Something could not be read.
    Unread {
        /// What.
        what: String,
        /// Why not. Holds Azure's words: escape before showing.
        error: String,
    },
}

/// The extensions by which Azure patches: of VMs, and of Arc machines.
const PATCHING: [&str; 4] = [
    "LinuxPatchExtension",
    "WindowsPatchExtension",
    "LinuxOsUpdateExtension",
    "WindowsOsUpdateExtension",
];

impl PreflightFinding {
    /// How grave it is.
    pub fn verdict(&self) -> PreflightVerdict {
        match self {
            Self::NotRunning { power: PowerState::Unknown }
            | Self::AgentNotReady { reachability: Reachability::Unknown }
            | Self::Unread { .. } => PreflightVerdict::Unclear,
            Self::Unpatchable
            | Self::NotRunning { .. }
            | Self::AgentNotReady { .. }
            | Self::PatchMode { .. }
            | Self::PlatformSchedules
            | Self::NotScheduled { .. }
            | Self::NeverOpens { .. } => PreflightVerdict::Blocked,
            Self::ExtensionFailed { kind, .. } if is_of_patching(kind) => PreflightVerdict::Blocked,
            Self::ExtensionFailed { .. }
            | Self::PatchedByPlatform
            | Self::PatchedBySystem
            | Self::OtherSchedule { .. }
            | Self::NoPeriodicAssessment => PreflightVerdict::Warned,
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unpatchable => "give its scale set a newer image",
            Self::NotRunning { .. } => "start it, or have the run start it",
            Self::AgentNotReady { .. } => {
                "see that the guest or Connected Machine agent runs and reaches its service"
            }
            Self::PatchMode { .. } | Self::PlatformSchedules => {
                "fix its patch settings: Customer Managed Schedules in the portal"
            }
            Self::PatchedByPlatform => {
                "choose Customer Managed Schedules, or let Azure patch it and leave it out"
            }
            Self::PatchedBySystem => {
                "set its patch mode to Manual or AutomaticByPlatform where it may not boot at any time"
            }
            Self::NotScheduled { .. } => "assign the configuration, or widen its dynamic scope",
            Self::NeverOpens { .. } => "give the configuration a window: schedule its baseline",
            Self::OtherSchedule { .. } => "remove the assignment, or leave the machine out",
            Self::NoPeriodicAssessment => {
                "switch the periodic assessment on, or scan before a report"
            }
            Self::ExtensionFailed { .. } => {
                "read its handler's log on the machine, and install it anew"
            }
            Self::Unread { .. } => "give the right to read it, and look again",
        }
    }

    pub(super) fn unread(what: &str, error: &Error) -> Self {
        Self::Unread { what: what.to_owned(), error: error.report() }
    }

    /// Adds what the instance view of a VM says of an extension that failed.
    pub(super) fn add_message(&mut self, view: &Value) {
        let Self::ExtensionFailed { name, message, .. } = self else { return };
        let all = view["extensions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let its = all
            .iter()
            .find(|it| text(it, "/name").is_some_and(|other| other.eq_ignore_ascii_case(name)));
        let statuses = its.and_then(|it| it["statuses"].as_array());
        *message = statuses.into_iter().flatten().find_map(message_of);
    }
}

fn is_of_patching(kind: &str) -> bool {
    PATCHING.iter().any(|it| it.eq_ignore_ascii_case(kind))
}

/// What a status of an extension says went wrong.
pub(super) fn message_of(status: &Value) -> Option<String> {
    let wrong = text(status, "/level").is_some_and(|level| level.eq_ignore_ascii_case("Error"));
    let said = text(status, "/message").or_else(|| text(status, "/displayStatus"));
    said.filter(|_| wrong).map(shown)
}

impl fmt::Display for PreflightFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpatchable => f.write_str("it is an instance of a uniform scale set"),
            Self::NotRunning { power } => write!(f, "its power is {power}"),
            Self::AgentNotReady { reachability } => write!(f, "its agent is {reachability}"),
            Self::PatchMode { mode: Some(mode) } => {
                write!(f, "its patch mode {mode} keeps schedules from acting")
            }
            Self::PatchMode { mode: None } => {
                f.write_str("it has no patch mode, which keeps schedules from acting")
            }
            Self::PlatformSchedules => f.write_str(
                "bypassPlatformSafetyChecksOnUserSchedule is off, which keeps schedules from acting",
            ),
            Self::PatchedByPlatform => f.write_str("Azure patches it at times of its own"),
            Self::PatchedBySystem => f.write_str("Windows patches it at times of its own"),
            Self::NotScheduled { configuration } => {
                write!(f, "{} is not attached", last(configuration))
            }
            Self::NeverOpens { configuration } => {
                write!(f, "the window of {} never opens", last(configuration))
            }
            Self::OtherSchedule { configuration } => {
                write!(f, "{} is attached too", last(configuration))
            }
            Self::NoPeriodicAssessment => f.write_str("missing patches are not looked for daily"),
            Self::ExtensionFailed { name, state, message, .. } => {
                write!(f, "extension {name} is {state}")?;
                message.as_ref().map_or(Ok(()), |message| write!(f, ": {message}"))
            }
            Self::Unread { what, error } => write!(f, "{what} could not be read: {error}"),
        }
    }
}

/// The name at the end of an id.
fn last(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failed(kind: &str) -> PreflightFinding {
        PreflightFinding::ExtensionFailed {
            name: "patch".to_owned(),
            kind: kind.to_owned(),
            state: "Failed".to_owned(),
            message: None,
        }
    }

    #[test]
    fn an_extension_that_patches_blocks_and_another_one_warns() {
        assert_eq!(failed("linuxpatchextension").verdict(), PreflightVerdict::Blocked);
        assert_eq!(failed("AzureMonitorLinuxAgent").verdict(), PreflightVerdict::Warned);
    }

    #[test]
    fn what_an_extension_said_is_in_the_view_under_its_name() {
        let mut finding = failed("LinuxPatchExtension");
        finding.add_message(&json!({"extensions": [
            {"name": "other", "statuses": [{"level": "Error", "message": "no"}]},
            {"name": "PATCH", "statuses": [
                {"level": "Info", "message": "well"},
                {"level": "Error", "displayStatus": "x", "message": "see https://x.example/?sig=secret"},
            ]},
        ]}));
        assert_eq!(finding.to_string(), "extension patch is Failed: see https://x.example/…");
        let mut silent = failed("LinuxPatchExtension");
        silent.add_message(&json!({}));
        assert_eq!(silent, failed("LinuxPatchExtension"));
    }
}
