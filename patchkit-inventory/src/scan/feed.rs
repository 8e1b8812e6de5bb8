//! The rows of one object on their way to a visitor.

use crate::{Consider, InventoryRecord, PlainRow, RowSink, Visitor};

/// Leads the rows of one object to the visitor.
pub(super) struct Feed<'a, V: Visitor> {
    pub(super) visitor: &'a mut V,
    pub(super) object: &'a mut V::Object,
}

impl<V: Visitor> RowSink for Feed<'_, V> {
    fn consider(&mut self, line: &[u8]) -> Consider {
        self.visitor.consider(self.object, line)
    }

    fn next_candidate(&mut self, lines: &[u8]) -> Option<usize> {
        self.visitor.next_candidate(self.object, lines)
    }

    fn row(&mut self, line: u64, row: &InventoryRecord<'_>) {
        self.visitor.row(self.object, line, row);
    }

    fn plain_row(&mut self, line: u64, row: &PlainRow<'_>) {
        self.visitor.plain_row(self.object, line, row);
    }
}
