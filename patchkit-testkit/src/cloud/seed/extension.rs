//! Extensions of Azure's machines.

use serde::{Deserialize, Serialize};

/// An extension on a VM or an Arc machine.
///
/// ```
/// use patchkit_testkit::cloud::ExtensionSpec;
///
/// let broken = ExtensionSpec::new("LinuxPatchExtension")
///     .of_publisher("Microsoft.CPlat.Core")
///     .failed("the handler did not report");
/// # let _ = broken;
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExtensionSpec {
    /// Its name, which is that of its type.
    pub name: String,
    /// Who publishes it; `Microsoft.CPlat.Core` where nothing is said.
    #[serde(default = "usual")]
    pub publisher: String,
    /// What its handler said when it failed; none where it is well.
    #[serde(default)]
    pub failure: Option<String>,
}

fn usual() -> String {
    "Microsoft.CPlat.Core".to_owned()
}

impl ExtensionSpec {
    /// One that is well.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), publisher: usual(), failure: None }
    }

    /// Sets who publishes it.
    #[must_use]
    pub fn of_publisher(mut self, publisher: impl Into<String>) -> Self {
        self.publisher = publisher.into();
        self
    }

    /// Makes it one that failed, with what its handler says.
    #[must_use]
    pub fn failed(mut self, message: impl Into<String>) -> Self {
        self.failure = Some(message.into());
        self
    }

    pub(crate) fn state(&self) -> &'static str {
        if self.failure.is_some() { "Failed" } else { "Succeeded" }
    }
}
