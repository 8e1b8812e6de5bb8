//! What nodes are grouped by, for waves and budgets.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, ManagedNode, Result};

/// What nodes are grouped by.
///
/// Prints and parses as `zone`, `patch_group`, `account`, `region`, `scope`, `provider`,
/// `operating_system` or `tag:<name>`. Another text is refused: a budget by a key that this version
/// does not know could not be kept to.
///
/// ```
/// use patchkit_core::NodeKey;
///
/// assert_eq!("tag:App".parse::<NodeKey>()?, NodeKey::Tag("App".to_owned()));
/// assert!("rack".parse::<NodeKey>().is_err());
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum NodeKey {
    /// The zone of its Region: see [`ManagedNode::zone`].
    Zone,
    /// Its patch group.
    PatchGroup,
    /// Its account or subscription.
    Account,
    /// Its Region or location.
    Region,
    /// Its account and Region, with their provider.
    Scope,
    /// Its provider.
    Provider,
    /// Its operating system.
    OperatingSystem,
    /// The value that a tag of this name has.
    Tag(String),
}

impl NodeKey {
    const NAMES: [(Self, &'static str); 7] = [
        (Self::Zone, "zone"),
        (Self::PatchGroup, "patch_group"),
        (Self::Account, "account"),
        (Self::Region, "region"),
        (Self::Scope, "scope"),
        (Self::Provider, "provider"),
        (Self::OperatingSystem, "operating_system"),
    ];

    /// The group that `node` is in; `None` where it has no zone, no patch group or no such tag.
    pub fn of(&self, node: &ManagedNode) -> Option<String> {
        let scope = node.id.scope();
        match self {
            Self::Zone => node.zone.clone(),
            Self::PatchGroup => node.patch_group().map(|group| group.to_string()),
            Self::Account => Some(scope.account().to_string()),
            Self::Region => Some(scope.region().to_string()),
            Self::Scope => Some(scope.to_string()),
            Self::Provider => Some(scope.provider().to_owned()),
            Self::OperatingSystem => Some(node.operating_system.to_string()),
            Self::Tag(name) => node.tags.get(name).cloned(),
        }
    }
}

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(name) => write!(f, "tag:{name}"),
            key => {
                let name = Self::NAMES.iter().find(|(known, _)| known == key);
                f.write_str(name.map_or("", |(_, name)| name))
            }
        }
    }
}

impl FromStr for NodeKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(name) = text.strip_prefix("tag:").filter(|name| !name.is_empty()) {
            return Ok(Self::Tag(name.to_owned()));
        }
        let known = Self::NAMES.iter().find(|(_, name)| *name == text).map(|(key, _)| key.clone());
        known.ok_or_else(|| {
            let names: Vec<_> = Self::NAMES.iter().map(|(_, name)| *name).collect();
            let names = names.join(", ");
            Error::invalid("core", "parse", format!("key {text:?} is not {names} or tag:<name>"))
        })
    }
}

impl Serialize for NodeKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
