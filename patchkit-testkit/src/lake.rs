//! Sample lakes of Resource Data Sync, made from a seed, with the answers known beforehand.

use std::{collections::VecDeque, fs, io, path::Path};

use jiff::Timestamp;

mod answer;
mod catalogue;
mod dirt;
mod node;
mod objects;

mod rows;
#[cfg(test)]
mod tests;

pub use answer::{
    AnswerKey, DirtAnswer, GroupAnswer, InstanceStatus, NodeTruth, NotLive, PackageAnswer,
    TypeAnswer,
};
pub use dirt::Dirt;

use crate::rng::Rng;
use node::Node;

/// The recipe of a sample lake.
///
/// # Behavior
/// - The same recipe gives the same bytes, on every machine.
/// - Thirty-two nodes have every kind: Linux and Windows, hybrid, stopped, terminated, lost, and
///   some without compliance data. Counts are texts on some nodes and numbers on others, and
///   states come in both spellings.
/// - Dirt is laid over the same lake: what was not spoiled has the bytes it has without dirt.
///
/// # Example
/// ```
/// use patchkit_testkit::lake::SampleLake;
///
/// let lake = SampleLake::new().with_seed(7).with_nodes(40).with_accounts(3).with_regions(2);
/// let key = lake.answer_key();
/// assert_eq!(key.nodes.len(), 40);
/// assert!(lake.objects().any(|object| object.key.starts_with("AWS:PatchSummary/accountid=")));
/// ```
#[derive(Clone, Debug)]
pub struct SampleLake {
    seed: u64,
    nodes: usize,
    accounts: usize,
    regions: usize,
    prefix: String,
    taken_at: Timestamp,
    dirt: Vec<Dirt>,
    dirty_percent: u8,
}

/// One object of a lake.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LakeObject {
    /// Its key, with `/` between its segments.
    pub key: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// A lake's objects, made one node at a time; see [`SampleLake::objects`].
#[derive(Debug)]
pub struct Objects {
    lake: SampleLake,
    next: usize,
    ready: VecDeque<LakeObject>,
    spoiled: usize,
    key: AnswerKey,
}

impl Default for SampleLake {
    fn default() -> Self {
        Self {
            seed: 1,
            nodes: 100,
            accounts: 3,
            regions: 2,
            prefix: String::new(),
            // 2026-11-20T06:00:00Z: any fixed time does.
            taken_at: Timestamp::constant(1_795_154_400, 0),
            dirt: Vec::new(),
            dirty_percent: 0,
        }
    }
}

impl SampleLake {
    /// A clean lake of a hundred nodes in three accounts and two Regions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the seed that everything follows from.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets how many nodes there are.
    #[must_use]
    pub fn with_nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Sets how many accounts they are in: 1 to 100, the nearest of these is taken.
    #[must_use]
    pub fn with_accounts(mut self, accounts: usize) -> Self {
        self.accounts = accounts.clamp(1, 100);
        self
    }

    /// Sets how many Regions they are in: 1 to 8, the nearest of these is taken.
    #[must_use]
    pub fn with_regions(mut self, regions: usize) -> Self {
        self.regions = regions.clamp(1, catalogue::REGIONS.len());
        self
    }

    /// Puts the whole lake below a prefix: `sync/prod`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        self.prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        self
    }

    /// Sets the time from which the age of data counts back.
    #[must_use]
    pub fn with_taken_at(mut self, at: Timestamp) -> Self {
        self.taken_at = at;
        self
    }

    /// Spoils about so many of a hundred objects, each of `kinds` in turn.
    #[must_use]
    pub fn with_dirt(mut self, kinds: &[Dirt], percent: u8) -> Self {
        self.dirt = kinds.to_vec();
        self.dirty_percent = percent;
        self
    }

    /// The lake's objects one after the other, for whoever wants to put them elsewhere.
    pub fn objects(&self) -> Objects {
        Objects {
            lake: self.clone(),
            next: 0,
            ready: VecDeque::new(),
            spoiled: 0,
            key: AnswerKey::new(self.seed, self.taken_at),
        }
    }

    /// The answers, without writing anything.
    pub fn answer_key(&self) -> AnswerKey {
        let mut objects = self.objects();
        objects.by_ref().for_each(drop);
        objects.into_answer_key()
    }

    /// Writes the lake below a folder and gives the answers, which are not written.
    ///
    /// # Behavior
    /// - Keys become paths. They hold colons, which Windows' file systems refuse.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, folder: &Path) -> io::Result<AnswerKey> {
        let mut objects = self.objects();
        for object in &mut objects {
            let path = folder.join(&object.key);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, &object.bytes)?;
        }
        Ok(objects.into_answer_key())
    }
}

impl Iterator for Objects {
    type Item = LakeObject;

    fn next(&mut self) -> Option<LakeObject> {
        while self.ready.is_empty() && self.make_node() {}
        self.ready.pop_front()
    }
}

impl Objects {
    /// The answers for the nodes made so far; for all of them once the iterator has ended.
    pub fn into_answer_key(mut self) -> AnswerKey {
        self.key.finish();
        self.key
    }

    /// Makes the next node's objects; says whether there was one.
    fn make_node(&mut self) -> bool {
        if self.next >= self.lake.nodes {
            return false;
        }
        let node = Node::draw(&self.lake, self.next);
        self.next += 1;
        if node.index == 0 {
            self.add_write_test();
        }
        if node.index.is_multiple_of(16) {
            // The sync writes empty objects for types that a node has nothing of.
            let key = objects::key(&node, "AWS:Service", &self.lake.prefix);
            self.add_not_data(key, Vec::new());
        }
        let mut rng = Rng::stream(self.lake.seed, node::DIRT, node.index as u64);
        for draft in objects::of(&node, self.lake.seed, &self.lake.prefix) {
            let counted = self.key.types.entry(draft.data_type.to_owned()).or_default();
            counted.objects += 1;
            counted.rows += draft.rows.len() as u64;
            let object = if rng.percent(self.lake.dirty_percent) && !self.lake.dirt.is_empty() {
                let kind = self.lake.dirt[self.spoiled % self.lake.dirt.len()];
                self.spoiled += 1;
                let (object, answer) = dirt::spoil(kind, draft, &node.truth.id, &mut rng);
                self.key.dirt.push(answer);
                object
            } else {
                dirt::clean(&draft)
            };
            self.ready.push_back(object);
        }
        self.key.nodes.push(node.truth);
        true
    }

    /// The object by which the sync tries whether it may write; it belongs to no node.
    fn add_write_test(&mut self) {
        let account = node::account(0);
        let prefix = &self.lake.prefix;
        let key = format!("{prefix}AWS:InstanceInformation/accountid={account}/test.json");
        self.add_not_data(key, b"{\"test\":true}\n".to_vec());
    }

    fn add_not_data(&mut self, key: String, bytes: Vec<u8>) {
        self.key.not_data.push(key.clone());
        self.ready.push_back(LakeObject { key, bytes });
    }
}
