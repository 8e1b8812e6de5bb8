//! What compliance is about: patches, associations, or what someone defined himself.

use std::{fmt, str::FromStr};

use patchkit_core::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::invalid;

/// What compliance is about.
///
/// ```
/// use patchkit_aws::ComplianceKind;
///
/// let own: ComplianceKind = "Custom:Antivirus".parse()?;
/// assert_eq!(own, ComplianceKind::custom("Antivirus")?);
/// assert_eq!(ComplianceKind::Patch.to_string(), "Patch");
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ComplianceKind {
    /// Patches, held against a baseline.
    Patch,
    /// State Manager's associations.
    Association,
    /// What someone defined himself; without the `Custom:` that the API writes before it.
    Custom(Box<str>),
    /// A kind that PatchKit does not know.
    Other(Box<str>),
}

/// What a kind of one's own begins with.
const CUSTOM: &str = "Custom:";
/// The longest name (service model, `ComplianceTypeName`).
const LONGEST: usize = 100;

impl ComplianceKind {
    /// A kind of one's own.
    ///
    /// # Errors
    /// `InvalidInput` for a name that the API would refuse: it has two characters or more, letters,
    /// digits and `_`; the first may be a `-` too; with `Custom:` it has at most 100.
    pub fn custom(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut letters = name.chars();
        let begins = letters.next().is_some_and(|c| word(c) || c == '-');
        let goes_on = !letters.as_str().is_empty() && letters.all(word);
        if !begins || !goes_on || CUSTOM.len() + name.len() > LONGEST {
            return Err(invalid(
                "PutComplianceItems",
                format!("{name:?} is no name of a kind of compliance"),
            ));
        }
        Ok(Self::Custom(name.into()))
    }
}

impl fmt::Display for ComplianceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Patch => f.pad("Patch"),
            Self::Association => f.pad("Association"),
            Self::Custom(name) => write!(f, "{CUSTOM}{name}"),
            Self::Other(name) => f.pad(name),
        }
    }
}

impl FromStr for ComplianceKind {
    type Err = Error;

    /// Reads the API's spelling; what is not known is kept.
    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "Patch" => Self::Patch,
            "Association" => Self::Association,
            "" => return Err(invalid("compliance", "a kind of compliance has a name")),
            other => match other.strip_prefix(CUSTOM) {
                Some(name) => Self::Custom(name.into()),
                None => Self::Other(other.into()),
            },
        })
    }
}

impl Serialize for ComplianceKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ComplianceKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_print_and_parse_back() {
        for text in ["Patch", "Association", "Custom:Antivirus", "Custom:-a", "LearnedLater"] {
            assert_eq!(text.parse::<ComplianceKind>().unwrap().to_string(), text);
        }
        assert!("".parse::<ComplianceKind>().is_err());
    }

    #[test]
    fn a_name_that_the_model_refuses_is_refused_here() {
        for name in ["", "a", "a b", "a:b", "a-b", "ä1", &"a".repeat(94)] {
            assert!(ComplianceKind::custom(name).is_err(), "{name}");
        }
        for name in ["ab", "-b", "Anti_Virus2", &"a".repeat(93)] {
            ComplianceKind::custom(name).unwrap();
        }
    }
}
