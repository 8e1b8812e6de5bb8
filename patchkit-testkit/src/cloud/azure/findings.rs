//! Which patches were found missing on which machine, and which were treated, side by side: to go
//! through all of them waits for no machine.

use std::sync::Arc;

/// Machines whose findings are copied together, when those of one change under a picture.
const PIECE: usize = 64;

/// A row of a table of patches, of one machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Finding {
    /// The place of its patch among those of the machine's system. Beyond all of them where it is the
    /// row of an installation.
    pub(super) place: u32,
    /// The number of the state in which an installation left the patch.
    pub(super) state: u8,
    /// Its place among these rows of the machine by id.
    pub(super) turn: u32,
}

impl Finding {
    const RESULT: u32 = u32::MAX;

    pub(super) fn result() -> Self {
        Self { place: Self::RESULT, state: 0, turn: 0 }
    }

    pub(super) fn is_result(self) -> bool {
        self.place == Self::RESULT
    }
}

/// Such rows of all machines of a folder. A copy costs nothing, and shares what has not changed since.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings(Arc<Vec<Arc<Piece>>>);

#[derive(Clone, Debug, Default)]
struct Piece {
    /// Where those of each machine end.
    ends: Vec<usize>,
    all: Vec<Finding>,
}

impl Piece {
    fn get(&self, at: usize) -> &[Finding] {
        let begin = at.checked_sub(1).and_then(|it| self.ends.get(it)).copied().unwrap_or(0);
        let found = self.ends.get(at).and_then(|end| self.all.get(begin..*end));
        found.unwrap_or_default()
    }

    fn push(&mut self, found: &[Finding]) {
        self.all.extend_from_slice(found);
        self.ends.push(self.all.len());
    }
}

impl Findings {
    /// Adds those of the next machine.
    pub(super) fn push(&mut self, found: &[Finding]) {
        let pieces = Arc::make_mut(&mut self.0);
        match pieces.last_mut() {
            Some(last) if last.ends.len() < PIECE => Arc::make_mut(last).push(found),
            _ => {
                let mut piece = Piece::default();
                piece.push(found);
                pieces.push(Arc::new(piece));
            }
        }
    }

    pub(super) fn get(&self, at: usize) -> &[Finding] {
        self.0.get(at / PIECE).map_or(&[], |piece| piece.get(at % PIECE))
    }

    /// Puts others in the place of those of a machine.
    pub(super) fn set(&mut self, at: usize, found: &[Finding]) {
        // What stays as it is need not be copied under a picture.
        if self.get(at) == found {
            return;
        }
        let Some(piece) = Arc::make_mut(&mut self.0).get_mut(at / PIECE) else { return };
        let mut renewed = Piece::default();
        for other in 0..piece.ends.len() {
            renewed.push(if other == at % PIECE { found } else { piece.get(other) });
        }
        *piece = Arc::new(renewed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(places: &[u32]) -> Vec<Finding> {
        places.iter().map(|place| Finding { place: *place, state: 0, turn: 0 }).collect()
    }

    #[test]
    fn a_copy_of_findings_does_not_see_what_changes_later() {
        let mut findings = Findings::default();
        let lists: Vec<Vec<Finding>> =
            (0..150).map(|at| found(&vec![at; at as usize % 4])).collect();
        for list in &lists {
            findings.push(list);
        }
        let copy = findings.clone();
        findings.set(70, &found(&[1, 2, 3, 4, 5]));
        findings.set(3, &lists[3]);
        findings.set(149, &[]);
        for (at, list) in lists.iter().enumerate() {
            assert_eq!(copy.get(at), &list[..]);
            match at {
                70 => assert_eq!(findings.get(at), found(&[1, 2, 3, 4, 5])),
                149 => assert_eq!(findings.get(at), []),
                at => assert_eq!(findings.get(at), &list[..]),
            }
        }
        assert_eq!((findings.get(150), findings.get(1_000)), (&[][..], &[][..]));
        // What did not change is still one.
        assert!(
            Arc::ptr_eq(&findings.0[0], &copy.0[0]) && !Arc::ptr_eq(&findings.0[1], &copy.0[1])
        );
    }
}
