//! Ids of Resource Manager, taken apart.

use std::fmt;

use patchkit_core::{AccountId, NodeId, Region, Result, Scope};
use serde::{Deserialize, Serialize};

use crate::error::{PROVIDER, invalid};

/// The machines that Azure patches, or could.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MachineKind {
    /// A virtual machine, on its own or in a flexible scale set.
    Vm,
    /// An instance of a uniform scale set, which Azure Update Manager does not patch.
    ScaleSetInstance,
    /// A machine elsewhere, connected by Azure Arc.
    Arc,
}

/// The id of a machine, taken apart; the parts as they were spelled.
///
/// No part holds what would change an address that it is put into.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct MachineId {
    pub(crate) subscription: String,
    pub(crate) group: String,
    pub(crate) kind: MachineKind,
    /// The name of a machine, or of the scale set that it is in.
    pub(crate) name: String,
    /// Which one of its scale set.
    pub(crate) instance: Option<String>,
}

impl MachineId {
    /// Takes an id apart; the words of its types are read in any case.
    pub(crate) fn parse(operation: &'static str, id: &str) -> Result<Self> {
        let wrong = || invalid(operation, format!("{:?} is no id of a machine", bounded(id)));
        let parts: Vec<&str> =
            id.strip_prefix('/').map(|id| id.split('/').collect()).unwrap_or_default();
        let [
            subscriptions,
            subscription,
            groups,
            group,
            providers,
            namespace,
            kind,
            name,
            rest @ ..,
        ] = parts.as_slice()
        else {
            return Err(wrong());
        };
        let is = |part: &str, word: &str| part.eq_ignore_ascii_case(word);
        let frame = is(subscriptions, "subscriptions")
            && is(groups, "resourceGroups")
            && is(providers, "providers");
        let (kind, instance) = match rest {
            [] if is(namespace, "Microsoft.Compute") && is(kind, "virtualMachines") => {
                (MachineKind::Vm, None)
            }
            [] if is(namespace, "Microsoft.HybridCompute") && is(kind, "machines") => {
                (MachineKind::Arc, None)
            }
            [members, instance]
                if is(namespace, "Microsoft.Compute")
                    && is(kind, "virtualMachineScaleSets")
                    && is(members, "virtualMachines") =>
            {
                (MachineKind::ScaleSetInstance, Some(*instance))
            }
            _ => return Err(wrong()),
        };
        let names = [*subscription, *group, *name].into_iter().chain(instance);
        if !frame || !names.into_iter().all(is_name) {
            return Err(wrong());
        }
        Ok(Self {
            subscription: (*subscription).to_owned(),
            group: (*group).to_owned(),
            kind,
            name: (*name).to_owned(),
            instance: instance.map(str::to_owned),
        })
    }

    /// The machine of a node.
    pub(crate) fn of(operation: &'static str, node: &NodeId) -> Result<Self> {
        Self::parse(operation, node.resource()).map_err(|error| error.with_node(node.clone()))
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subscription, group, name, .. } = self;
        write!(f, "/subscriptions/{subscription}/resourceGroups/{group}/providers/")?;
        match (self.kind, &self.instance) {
            (MachineKind::Arc, _) => write!(f, "Microsoft.HybridCompute/machines/{name}"),
            (_, Some(instance)) => write!(
                f,
                "Microsoft.Compute/virtualMachineScaleSets/{name}/virtualMachines/{instance}"
            ),
            (_, None) => write!(f, "Microsoft.Compute/virtualMachines/{name}"),
        }
    }
}

/// Whether a part of an id can stand in an address: not empty, no way up the path, nothing encoded.
pub(crate) fn is_name(part: &str) -> bool {
    let wrong = |c: char| c.is_control() || matches!(c, '/' | '\\' | '?' | '#' | '%');
    !part.is_empty() && part.len() <= 256 && !matches!(part, "." | "..") && !part.contains(wrong)
}

/// A text for an error: quoted by its writer, and no longer than a line.
pub(crate) fn bounded(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The scope of a subscription's machines in a location.
pub(crate) fn scope(subscription: &AccountId, location: &str) -> Result<Scope> {
    Scope::new(PROVIDER, subscription.clone(), Region::new(plain_location(location))?)
}

/// A location as it is compared: `West Europe` is `westeurope`.
pub(crate) fn plain_location(location: &str) -> String {
    location.chars().filter(|c| *c != ' ').collect::<String>().to_ascii_lowercase()
}

/// The place of what is in a subscription and in none of its locations.
pub(crate) const EVERYWHERE: &str = "global";

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "/subscriptions/S-1/resourceGroups/Web/providers";

    #[test]
    fn ids_are_read_in_any_case_and_keep_their_spelling() {
        let id =
            "/SUBSCRIPTIONS/S-1/resourcegroups/Web/Providers/microsoft.compute/VIRTUALMACHINES/Vm1";
        let id = MachineId::parse("test", id).unwrap();
        assert_eq!(id.kind, MachineKind::Vm);
        assert_eq!(id.to_string(), format!("{GROUP}/Microsoft.Compute/virtualMachines/Vm1"));
    }

    #[test]
    fn each_kind_of_machine_is_told_apart_and_printed_back() {
        for (tail, kind) in [
            ("Microsoft.Compute/virtualMachines/vm1", MachineKind::Vm),
            ("Microsoft.HybridCompute/machines/srv.corp", MachineKind::Arc),
            (
                "Microsoft.Compute/virtualMachineScaleSets/web/virtualMachines/12",
                MachineKind::ScaleSetInstance,
            ),
        ] {
            let text = format!("{GROUP}/{tail}");
            let id = MachineId::parse("test", &text).unwrap();
            assert_eq!((id.kind, id.to_string()), (kind, text));
        }
    }

    #[test]
    fn what_would_lead_an_address_elsewhere_is_no_id() {
        for tail in [
            "Microsoft.Compute/virtualMachines/..",
            "Microsoft.Compute/virtualMachines/%2e%2e",
            "Microsoft.Compute/virtualMachines/vm?x=1",
            "Microsoft.Compute/virtualMachines/vm#",
            "Microsoft.Compute/virtualMachines/vm\\x",
            "Microsoft.Compute/virtualMachines/",
            "Microsoft.Compute/virtualMachines/vm/extensions",
            "Microsoft.Compute/disks/vm",
            "Microsoft.Compute/virtualMachines",
        ] {
            assert!(MachineId::parse("test", &format!("{GROUP}/{tail}")).is_err(), "{tail}");
        }
        assert!(MachineId::parse("test", "i-0abc").is_err());
        assert!(MachineId::parse("test", "").is_err());
    }
}
