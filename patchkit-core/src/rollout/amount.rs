//! Numbers of nodes, and shares of them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A number of nodes, or a share of them.
///
/// ```
/// use patchkit_core::Amount;
///
/// assert_eq!(Amount::Percent(10).of(25), 3); // rounds up
/// assert_eq!("10%".parse::<Amount>()?, Amount::Percent(10));
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// So many.
    Fixed(u32),
    /// So many in a hundred, rounded up.
    Percent(u8),
}

impl Amount {
    /// How many of `total` that is; never more than `total`.
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Fixed(n) => total.min(usize::try_from(n).unwrap_or(usize::MAX)),
            Self::Percent(p) => (total * usize::from(p.min(100))).div_ceil(100),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(n) => write!(f, "{n}"),
            Self::Percent(p) => write!(f, "{p}%"),
        }
    }
}

impl FromStr for Amount {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = match text.strip_suffix('%') {
            Some(number) => number.parse().ok().filter(|p| *p <= 100).map(Self::Percent),
            None => text.parse().ok().map(Self::Fixed),
        };
        parsed.ok_or_else(|| {
            Error::invalid("core", "parse", format!("amount {text:?} is neither 5 nor 10%"))
        })
    }
}
