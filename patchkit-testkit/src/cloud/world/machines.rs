//! All machines of the world, in a list of which a picture can be kept while it changes.

use std::{
    mem::size_of,
    ops::{Index, IndexMut},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use fixedbitset::FixedBitSet;

use super::machine::{Machine, MachineIx};

/// Items that are copied together, when one of them changes under a picture.
pub(crate) const CHUNK: usize = 64;

/// What a machine holds beside itself, by rule of thumb: names, tags, what is installed, and what is
/// kept of it for answers.
const BESIDE: usize = 5 << 10;

/// A list whose copy costs nothing, and shares all chunks that neither side has changed since.
#[derive(Clone, Debug)]
pub(crate) struct Chunks<T>(Arc<Vec<Arc<Vec<T>>>>);

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Chunks<T> {
    pub(crate) fn push(&mut self, item: T) {
        let chunks = Arc::make_mut(&mut self.0);
        match chunks.last_mut() {
            Some(last) if last.len() < CHUNK => Arc::make_mut(last).push(item),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(item);
                chunks.push(Arc::new(chunk));
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        // Every chunk but the last is full.
        self.0.last().map_or(0, |last| (self.0.len() - 1) * CHUNK + last.len())
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.0.get(at / CHUNK)?.get(at % CHUNK)
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let chunks = Arc::make_mut(&mut self.0);
        Arc::make_mut(chunks.get_mut(at / CHUNK)?).get_mut(at % CHUNK)
    }

    /// Those from a place on.
    pub(crate) fn starting_at(&self, at: usize) -> impl Iterator<Item = &T> {
        let first = self.0.get(at / CHUNK).and_then(|it| it.get(at % CHUNK..));
        let others = self.0.get(at / CHUNK + 1..).unwrap_or_default();
        first.into_iter().flatten().chain(others.iter().flat_map(|it| it.iter()))
    }
}

impl<T: Clone> FromIterator<T> for Chunks<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut chunks = Self::default();
        items.into_iter().for_each(|it| chunks.push(it));
        chunks
    }
}

/// The machines, by their place.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    all: Chunks<Arc<Machine>>,
    /// How many were copied because a picture still shows them as they were.
    copied: Arc<AtomicUsize>,
    touched: Touched,
}

/// The machines that may have changed since someone last looked.
#[derive(Debug, Default)]
struct Touched {
    places: Vec<MachineIx>,
    known: FixedBitSet,
}

impl Machines {
    pub(crate) fn push(&mut self, machine: Machine) {
        self.all.push(Arc::new(machine));
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Machine> {
        self.all.starting_at(0).map(AsRef::as_ref)
    }

    /// The machines as they are now: what happens later does not show in it.
    pub(crate) fn picture(&self) -> Self {
        Self {
            all: self.all.clone(),
            copied: Arc::clone(&self.copied),
            touched: Touched::default(),
        }
    }

    /// How many were ever copied because of a picture.
    pub(crate) fn copied(&self) -> usize {
        self.copied.load(Ordering::Relaxed)
    }

    /// About how many bytes so many copies take.
    pub(crate) fn weight(copies: usize) -> usize {
        copies.saturating_mul(size_of::<Machine>() + BESIDE)
    }

    /// The machines that may have changed since this was last asked, each once.
    pub(crate) fn take_touched(&mut self) -> Vec<MachineIx> {
        self.touched.known.clear();
        std::mem::take(&mut self.touched.places)
    }
}

impl Index<usize> for Machines {
    type Output = Machine;

    fn index(&self, at: usize) -> &Machine {
        let len = self.len();
        // A place is given out by the world alone; a wrong one is a fault as it is in a vector.
        self.all.get(at).unwrap_or_else(|| panic!("machine {at} of {len}"))
    }
}

impl IndexMut<usize> for Machines {
    fn index_mut(&mut self, at: usize) -> &mut Machine {
        let len = self.len();
        if let Ok(place) = u32::try_from(at) {
            self.touched.known.grow(len);
            if at < len && !self.touched.known.put(at) {
                self.touched.places.push(MachineIx(place));
            }
        }
        let found = self.all.get_mut(at).unwrap_or_else(|| panic!("machine {at} of {len}"));
        if Arc::strong_count(found) > 1 {
            self.copied.fetch_add(1, Ordering::Relaxed);
        }
        Arc::make_mut(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_a_list_does_not_see_what_changes_later() {
        let mut list: Chunks<usize> = (0..200).collect();
        let copy = list.clone();
        *list.get_mut(70).unwrap() = 7;
        list.push(200);
        assert_eq!((list.len(), copy.len()), (201, 200));
        assert_eq!((list.get(70), copy.get(70)), (Some(&7), Some(&70)));
        assert!(copy.starting_at(0).copied().eq(0..200));
        assert!(copy.starting_at(130).copied().eq(130..200));
        assert_eq!((copy.starting_at(200).count(), copy.get(200)), (0, None));
        // What did not change is still one.
        assert!(Arc::ptr_eq(&list.0[0], &copy.0[0]) && !Arc::ptr_eq(&list.0[1], &copy.0[1]));
    }
}
