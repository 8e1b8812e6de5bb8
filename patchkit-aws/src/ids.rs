//! Names that Systems Manager gives to what is made here.

use std::{fmt, str::FromStr};

use patchkit_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::error::invalid;

/// The longest that any of them is.
const LONGEST: usize = 128;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes an id as the service spells it.
            ///
            /// # Errors
            /// `InvalidInput` for a text that is no id: empty, too long, or with odd characters.
            pub fn new(text: impl AsRef<str>) -> Result<Self> {
                let text = text.as_ref();
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
                if text.is_empty() || text.len() > LONGEST || !text.chars().all(plain) {
                    return Err(invalid("parse", format!("{text:?} is no id of {}", $noun)));
                }
                Ok(Self(text.into()))
            }

            /// The id as the service spells it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }
    };
}

id!(
    /// The id of an association.
    AssociationId,
    "an association"
);
id!(
    /// The id of one execution of a runbook.
    AutomationId,
    "an execution"
);
id!(
    /// The id of a maintenance window: `mw-…`.
    WindowId,
    "a maintenance window"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_refused_where_it_is_none() {
        for text in ["", "a b", "mw-ä", "../x", &"a".repeat(129)] {
            assert!(WindowId::new(text).is_err(), "{text}");
        }
        let id: WindowId = "mw-0c50858d01EXAMPLE".parse().unwrap();
        assert_eq!(id.to_string(), "mw-0c50858d01EXAMPLE");
    }
}
