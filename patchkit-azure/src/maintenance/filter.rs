//! The filter of a dynamic scope: which machines it means.

use std::collections::{BTreeMap, BTreeSet};

use patchkit_core::{ManagedNode, PATCH_GROUP_TAGS, PatchGroupName, Result};
use serde_json::{Value, json};

use super::id::Part;
use crate::{
    MachineKind,
    error::malformed,
    ids::{MachineId, plain_location},
};

const TYPES: [&str; 2] = ["Microsoft.Compute/virtualMachines", "Microsoft.HybridCompute/machines"];

/// What a dynamic scope asks of a machine; an empty list asks nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Filter {
    types: Vec<String>,
    groups: Vec<String>,
    systems: Vec<String>,
    locations: Vec<String>,
    tags: BTreeMap<String, Vec<String>>,
    of_tags: Operator,
    /// Something that PatchKit does not know: it may take fewer machines than it seems.
    unknown: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Operator {
    #[default]
    All,
    Any,
}

impl Filter {
    pub(super) fn read(operation: &'static str, filter: &Value) -> Result<Self> {
        let mut read = Self::default();
        let Some(filter) = filter.as_object() else { return Ok(read) };
        let texts = |key: &str, value: &Value| match value {
            Value::Null => Ok(Vec::new()),
            Value::Array(many) => many
                .iter()
                .map(|it| it.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| malformed(operation, format!("filter.{key} is no list of texts"))),
            _ => Err(malformed(operation, format!("filter.{key} is no list"))),
        };
        for (key, value) in filter {
            match key.as_str() {
                "resourceTypes" => read.types = texts(key, value)?,
                "resourceGroups" => read.groups = texts(key, value)?,
                "osTypes" => read.systems = texts(key, value)?,
                "locations" => read.locations = texts(key, value)?,
                "tagSettings" => {
                    let any = value["filterOperator"].as_str().unwrap_or_default();
                    let any = any.eq_ignore_ascii_case("Any");
                    read.of_tags = if any { Operator::Any } else { Operator::All };
                    for (tag, values) in value["tags"].as_object().into_iter().flatten() {
                        read.tags.insert(tag.clone(), texts("tagSettings.tags", values)?);
                    }
                }
                _ if value.is_null() => {}
                _ => read.unknown.push(key.clone()),
            }
        }
        Ok(read)
    }

    /// The filter for a patch group's machines of one kind of operating system.
    pub(crate) fn of_group(group: &PatchGroupName, part: Part) -> Value {
        let values = [group.as_str()];
        let tags: BTreeMap<_, _> = PATCH_GROUP_TAGS.into_iter().map(|tag| (tag, values)).collect();
        json!({
            "resourceTypes": TYPES,
            "osTypes": [part.os_type()],
            "tagSettings": {"filterOperator": "Any", "tags": tags},
        })
    }

    /// The patch groups all of whose machines, of these [parts](Self::parts), it means; none where it asks
    /// for anything else.
    pub(crate) fn patch_groups(&self) -> BTreeSet<PatchGroupName> {
        let has = |wanted: &str| self.types.iter().any(|it| it.eq_ignore_ascii_case(wanted));
        let everywhere = self.groups.is_empty()
            && self.locations.is_empty()
            && self.unknown.is_empty()
            && (self.types.is_empty() || TYPES.into_iter().all(has));
        let by_one = self.of_tags == Operator::Any || self.tags.len() == 1;
        let is_group =
            |tag: &String| PATCH_GROUP_TAGS.iter().any(|it| it.eq_ignore_ascii_case(tag));
        let named = self.tags.iter().all(|(tag, values)| is_group(tag) && !values.is_empty());
        if !everywhere || !by_one || !named {
            return BTreeSet::new();
        }
        self.tags.values().flatten().filter_map(|name| PatchGroupName::new(name).ok()).collect()
    }

    /// The kinds of operating system that it means.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let has = |part: &Part| {
            self.systems.is_empty()
                || self.systems.iter().any(|it| it.eq_ignore_ascii_case(part.os_type()))
        };
        Part::ALL.into_iter().filter(has).collect()
    }

    /// Whether it means a machine. Where it asks for something that PatchKit does not know, it is taken to:
    /// who asks wants to know what may patch it.
    pub(super) fn means(&self, machine: &MachineId, node: &ManagedNode) -> bool {
        let kind = match machine.kind {
            MachineKind::Vm => TYPES[0],
            MachineKind::Arc => TYPES[1],
            MachineKind::ScaleSetInstance => return false,
        };
        let among = |list: &[String], own: &str| {
            list.is_empty() || list.iter().any(|it| it.eq_ignore_ascii_case(own))
        };
        let location = plain_location(node.id.scope().region().as_str());
        let located = self.locations.is_empty()
            || self.locations.iter().any(|it| plain_location(it) == location);
        let part = Part::of(&node.operating_system);
        let system = part.is_some_and(|part| among(&self.systems, part.os_type()));
        among(&self.types, kind)
            && among(&self.groups, &machine.group)
            && system
            && located
            && self.has_tags(node)
    }

    /// Azure tells tags apart without regard to case, and values with it.
    fn has_tags(&self, node: &ManagedNode) -> bool {
        let mut held = self.tags.iter().map(|(tag, values)| {
            let own = node.tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(tag));
            own.is_some_and(|(_, own)| values.is_empty() || values.contains(own))
        });
        match self.of_tags {
            _ if self.tags.is_empty() => true,
            Operator::Any => held.any(|it| it),
            Operator::All => held.all(|it| it),
        }
    }
}

#[cfg(test)]
mod tests;
