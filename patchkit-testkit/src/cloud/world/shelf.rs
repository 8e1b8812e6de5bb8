//! The patch baselines of one account's Region, and which of them applies to whom.

use std::{collections::BTreeMap, sync::Arc};

use patchkit_core::{OperatingSystem, predefined};

use super::{judge::BaselineRef, machine::Tags};

/// The account that owns AWS's own baselines in us-east-1; used here for every Region.
const OWNER: &str = "075727635805";

#[derive(Debug)]
pub(crate) struct Shelf {
    /// Those that AWS provides, the first of an operating system being its default.
    pub(crate) provided: Vec<Arc<BaselineRef>>,
    pub(crate) own: BTreeMap<Arc<str>, Arc<BaselineRef>>,
    /// The ids of the defaults that someone chose, by operating system.
    pub(crate) chosen: BTreeMap<Box<str>, Arc<str>>,
    /// The ids, by patch group and operating system.
    pub(crate) registrations: BTreeMap<(Arc<str>, Box<str>), Arc<str>>,
}

impl Shelf {
    pub(crate) fn new(region: &str, id: impl Fn(u64) -> String) -> Self {
        let provided = predefined().into_iter().zip(0u64..).map(|(baseline, n)| {
            let id = format!("arn:aws:ssm:{region}:{OWNER}:patchbaseline/pb-{}", id(n));
            Arc::new(BaselineRef { id: id.into(), revision: 0, baseline })
        });
        Self {
            provided: provided.collect(),
            own: BTreeMap::new(),
            chosen: BTreeMap::new(),
            registrations: BTreeMap::new(),
        }
    }

    /// A baseline by its id; AWS's own also by the `pb-` part of their ARN.
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<BaselineRef>> {
        self.own.get(id).or_else(|| {
            self.provided.iter().find(|it| *it.id == *id || it.id.rsplit('/').next() == Some(id))
        })
    }

    /// All of them, AWS's own first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<BaselineRef>> {
        self.provided.iter().chain(self.own.values())
    }

    pub(crate) fn default_of(&self, os: &OperatingSystem) -> Option<&Arc<BaselineRef>> {
        let chosen = self.chosen.get(os.as_str()).and_then(|id| self.get(id));
        chosen.or_else(|| self.provided.iter().find(|it| it.baseline.operating_system == *os))
    }

    /// The baseline of a group; none where the group has none for this operating system.
    pub(crate) fn of_group(&self, group: &str, os: &OperatingSystem) -> Option<&Arc<BaselineRef>> {
        let key = (Arc::from(group), Box::from(os.as_str()));
        self.registrations.get(&key).and_then(|id| self.get(id))
    }

    /// The baseline that a machine is patched by.
    pub(crate) fn of_machine(
        &self,
        tags: &Tags,
        os: &OperatingSystem,
    ) -> Option<&Arc<BaselineRef>> {
        let registered = group_of(tags).and_then(|group| self.of_group(group, os));
        registered.or_else(|| self.default_of(os))
    }
}

/// The patch group of a machine. Where both spellings of the tag are there, AWS documents nothing;
/// this world takes the one with the space, which is the older.
pub(crate) fn group_of(tags: &Tags) -> Option<&Arc<str>> {
    let tag = |name: &str| tags.iter().find(|(key, _)| **key == *name).map(|(_, value)| value);
    tag("Patch Group").or_else(|| tag("PatchGroup"))
}
