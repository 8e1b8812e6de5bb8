//! Machines as Azure knows them: more than a managed node has.

use patchkit_core::ManagedNode;
use serde::{Deserialize, Serialize};

use crate::MachineKind;

/// A machine of Azure, or connected to it, as Resource Graph showed it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Machine {
    /// What every provider tells of a node.
    pub node: ManagedNode,
    /// What it is.
    pub kind: MachineKind,
    /// The resource group that it is in.
    pub resource_group: String,
    /// The id in its firmware (SMBIOS), by which its own system knows it: a VM's `vmId`, an Arc machine's
    /// `vmUuid`.
    ///
    /// It stays through stops and moves, and is another one where a machine of the same name is made
    /// anew. Linux may show its first three groups with their bytes in the other order.
    pub hardware_id: Option<String>,
    /// The scale set that it is in: its id.
    pub scale_set: Option<String>,
    /// How it is paid for, where that is not the usual way: `Spot`, `Low`.
    pub priority: Option<String>,
    /// Who patches it, and how.
    pub patching: PatchSettings,
}

impl Machine {
    /// Whether Azure may take it away, and who pays for that is told so by its price.
    pub fn is_spot(&self) -> bool {
        self.priority.as_deref().is_some_and(is_spot)
    }
}

/// `Low` is the name that spot machines of scale sets had before (Compute API, priority types).
pub(crate) fn is_spot(priority: &str) -> bool {
    priority.eq_ignore_ascii_case("Spot") || priority.eq_ignore_ascii_case("Low")
}

/// How a machine is patched, by its own settings.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchSettings {
    /// Who installs patches; none where nothing is said.
    pub mode: Option<PatchMode>,
    /// Who looks for missing ones; none where nothing is said.
    pub assessment: Option<AssessmentMode>,
    /// Whether the platform leaves the times to the owner's schedules.
    pub schedules: Schedules,
}

impl PatchSettings {
    /// Whether a schedule of Update Manager patches a virtual machine. Where this is not so, one that is
    /// assigned to it does nothing, and nobody says so (Update Manager, "Schedule updates").
    ///
    /// An Arc machine needs no such settings.
    pub fn has_own_schedules(&self) -> bool {
        self.mode == Some(PatchMode::AutomaticByPlatform) && self.schedules == Schedules::Own
    }
}

/// Who decides when the platform installs patches
/// (`bypassPlatformSafetyChecksOnUserSchedule`).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedules {
    /// The platform, which patches by itself where the mode says so.
    #[default]
    Platform,
    /// The owner, by schedules of his own.
    Own,
}

macro_rules! mode {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$of])* $variant,)+
            /// One that PatchKit does not know, as it was spelled.
            Other(Box<str>),
        }

        impl $name {
            /// The API's word.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::convert::Infallible;

            fn from_str(word: &str) -> Result<Self, std::convert::Infallible> {
                $(if word.eq_ignore_ascii_case($word) {
                    return Ok(Self::$variant);
                })+
                Ok(Self::Other(word.into()))
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                let Ok(mode) = word.parse();
                mode
            }
        }

        impl From<$name> for String {
            fn from(mode: $name) -> Self {
                mode.as_str().to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(crate) use mode;

mode! {
    /// Who installs patches on a machine.
    PatchMode {
        /// Nobody but who asks for it (Windows).
        Manual = "Manual",
        /// Windows itself.
        AutomaticByOs = "AutomaticByOS",
        /// Azure.
        AutomaticByPlatform = "AutomaticByPlatform",
        /// Whatever its image says (Linux).
        ImageDefault = "ImageDefault",
    }
}

mode! {
    /// Who looks for missing patches on a machine.
    AssessmentMode {
        /// Nobody but who asks for it.
        ImageDefault = "ImageDefault",
        /// Azure, once a day.
        AutomaticByPlatform = "AutomaticByPlatform",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_mode_is_kept_and_a_known_one_read_in_any_case() {
        for (word, printed) in [
            ("automaticbyplatform", "AutomaticByPlatform"),
            ("AutomaticByOS", "AutomaticByOS"),
            ("LearnedLater", "LearnedLater"),
        ] {
            let mode = PatchMode::from(word.to_owned());
            assert_eq!(mode.to_string(), printed);
            let kept = serde_json::to_string(&mode).unwrap();
            assert_eq!(serde_json::from_str::<PatchMode>(&kept).unwrap(), mode);
        }
    }

    #[test]
    fn a_schedule_acts_only_where_both_settings_are_so() {
        let mut settings =
            PatchSettings { mode: Some(PatchMode::AutomaticByPlatform), ..Default::default() };
        assert!(!settings.has_own_schedules());
        settings.schedules = Schedules::Own;
        assert!(settings.has_own_schedules());
        settings.mode = Some(PatchMode::Manual);
        assert!(!settings.has_own_schedules());
    }
}
