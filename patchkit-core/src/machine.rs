//! What tells one machine from another, whichever control plane is asked.

use std::{collections::BTreeSet, fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::Error;

/// What a control plane knows of the machine behind a node, by which another one's node can be
/// recognised as the same machine.
///
/// Names and addresses are reported by machines themselves, and are not to be trusted: they never
/// make two nodes one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(default)]
pub struct MachineIdentity {
    /// The cloud's own unique id of the machine, new with each machine of the same name: an Azure
    /// VM's `vmId`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_id: Option<MachineUuid>,
    /// The uuid that its firmware shows: an Arc machine's `vmUuid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smbios_uuid: Option<MachineUuid>,
    /// Its ARM id, compared without regard to case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// The name that its operating system has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub computer_name: Option<String>,
    /// Its addresses.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub ip_addresses: BTreeSet<IpAddr>,
}

impl MachineIdentity {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The uuids by which it may be known.
    pub fn uuids(&self) -> impl Iterator<Item = MachineUuid> {
        self.vm_id.into_iter().chain(self.smbios_uuid)
    }
}

/// The uuid of a machine.
///
/// Prints as it was given, in lower case with hyphens. Firmware may show the first three groups with
/// their bytes turned round (SMBIOS 2.6 stores them little-endian, and not every reader turns them
/// back), so that one machine has two spellings: compare by [`is_same`](Self::is_same).
///
/// ```
/// use patchkit_core::MachineUuid;
///
/// let told: MachineUuid = "5c3e1f60-9a2b-4d47-8f10-2b6f0c9d1e7a".parse()?;
/// let read: MachineUuid = "{601F3E5C-2B9A-474D-8F10-2B6F0C9D1E7A}".parse()?;
/// assert!(told.is_same(read) && told != read);
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MachineUuid(Uuid);

impl MachineUuid {
    /// Whether both name one machine, in either order of bytes.
    pub fn is_same(self, other: Self) -> bool {
        self.key() == other.key()
    }

    /// The same for both spellings of one machine's uuid.
    pub(crate) fn key(self) -> [u8; 16] {
        (*self.0.as_bytes()).min(self.0.to_bytes_le())
    }
}

impl FromStr for MachineUuid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = |why: &str| {
            let shown: String = text.chars().take(64).collect();
            Error::invalid("core", "parse", format!("machine uuid {shown:?} {why}"))
        };
        let uuid = Uuid::try_parse(text.trim()).map_err(|_| invalid("is no uuid"))?;
        // SMBIOS 7.2.1: all ones is "not present", all zeros "not set"; many machines share them.
        if uuid.is_nil() || uuid.is_max() {
            return Err(invalid("names no machine"));
        }
        Ok(Self(uuid))
    }
}

impl fmt::Display for MachineUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl fmt::Debug for MachineUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MachineUuid({self})")
    }
}

impl Serialize for MachineUuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MachineUuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_uuid_that_many_machines_share_names_none() {
        for shared in
            ["00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"]
        {
            assert!(shared.parse::<MachineUuid>().is_err());
        }
        assert!("Not Settable".parse::<MachineUuid>().is_err());
        assert!("web-1".parse::<MachineUuid>().is_err());
    }

    #[test]
    fn an_identity_of_which_nothing_is_known_is_written_as_nothing() {
        assert_eq!(serde_json::to_string(&MachineIdentity::default()).unwrap(), "{}");
        let known: MachineIdentity = serde_json::from_str(
            r#"{"vm_id":"5C3E1F60-9A2B-4D47-8F10-2B6F0C9D1E7A","ip_addresses":["10.0.0.4"]}"#,
        )
        .unwrap();
        assert_eq!(known.uuids().count(), 1);
        let written = serde_json::to_string(&known).unwrap();
        assert_eq!(serde_json::from_str::<MachineIdentity>(&written).unwrap(), known);
    }

    fn swapped(text: &str) -> String {
        let turn = |at: std::ops::Range<usize>| {
            let group: Vec<&str> = at.step_by(2).map(|at| &text[at..at + 2]).rev().collect();
            group.concat()
        };
        format!("{}-{}-{}{}", turn(0..8), turn(9..13), turn(14..18), &text[18..])
    }

    proptest! {
        #[test]
        fn both_orders_of_bytes_and_any_case_are_one_machine(
            text in "[1-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            other in "[1-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        ) {
            let told: MachineUuid = text.parse().unwrap();
            let read: MachineUuid = swapped(&text).to_uppercase().parse().unwrap();
            prop_assert!(told.is_same(read) && read.is_same(told));
            prop_assert_eq!(told.to_string(), text.clone());
            let other: MachineUuid = other.parse().unwrap();
            prop_assert_eq!(told.is_same(other), other == told || other == read);
            prop_assert_eq!(told.is_same(other), other.is_same(told));
        }
    }
}
