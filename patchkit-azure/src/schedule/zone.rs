//! The names that Windows has for time zones: a maintenance configuration takes no others.

use std::fmt;

use patchkit_core::{Result, ZoneName};
use serde::{Deserialize, Serialize};

use super::OPERATION;
use crate::error::{invalid, shown};

/// A time zone by the name that Windows has for it.
///
/// ```
/// use patchkit_azure::TimeZoneName;
///
/// let zone = TimeZoneName::new("Europe/Berlin")?;
/// assert_eq!(zone.as_str(), "W. Europe Standard Time");
/// assert_eq!(zone, TimeZoneName::new("W. Europe Standard Time")?);
/// assert_eq!(zone.iana(), Some("Europe/Berlin"));
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct TimeZoneName(Box<str>);

impl TimeZoneName {
    /// The zone of a name of Windows, or of the IANA name that stands for it.
    ///
    /// # Errors
    /// `InvalidInput` for another name. Several IANA zones share one of Windows; of them, the one that
    /// Unicode names first is known (`Europe/Berlin`, not `Europe/Vienna`).
    pub fn new(name: &str) -> Result<Self> {
        let none = || {
            let name = shown(name);
            let like = "no time zone of Windows, such as `W. Europe Standard Time`";
            invalid(OPERATION, format!("zone: {name:?} is {like}"))
        };
        ZoneName::new(name).windows().map(Self::kept).ok_or_else(none)
    }

    /// A name that the service gave, known or not.
    pub(crate) fn kept(name: &str) -> Self {
        Self(name.into())
    }

    /// The name that Windows has.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The IANA zone that stands for it; none for a name that PatchKit does not know.
    pub fn iana(&self) -> Option<&'static str> {
        ZoneName::new(&self.0).of_windows()
    }
}

impl From<&TimeZoneName> for ZoneName {
    fn from(name: &TimeZoneName) -> Self {
        Self::new(name.as_str())
    }
}

impl fmt::Display for TimeZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
