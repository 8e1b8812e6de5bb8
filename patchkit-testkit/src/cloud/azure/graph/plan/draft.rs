//! A pipeline in the making: its columns so far.

use super::{
    super::{QueryError, ast::Wildcard, value::Type},
    COLUMNS, Column, Draft, Step,
};

impl Draft {
    /// Adds a step whose rows are no longer the table's.
    pub(super) fn close(&mut self, step: Step, columns: Vec<Column>) {
        self.steps.push(step);
        self.columns = columns;
        self.open = false;
    }

    /// The slot of a column that is set anew.
    pub(super) fn place(&mut self, name: &str, kind: Type) -> usize {
        if let Some(slot) = self.columns.iter().position(|column| column.is(name)) {
            self.columns[slot].kind = kind;
            return slot;
        }
        self.columns.push(Column::new(name, kind));
        self.columns.len() - 1
    }

    /// Refuses names, not patterns, that no column has.
    pub(super) fn has_all(&self, operator: &str, patterns: &[Wildcard]) -> Result<(), QueryError> {
        let mut names =
            patterns.iter().map(|pattern| &pattern.0).filter(|name| !name.contains('*'));
        let missing = names.find(|name| !self.columns.iter().any(|column| column.is(name)));
        missing.map_or(Ok(()), |name| Err(QueryError::column(operator, name)))
    }

    pub(super) fn select(&mut self, keep: impl Fn(&str) -> bool) {
        let slots = (0..self.columns.len()).filter(|slot| keep(&self.columns[*slot].name));
        self.order(slots.collect());
    }

    pub(super) fn reorder(&mut self, patterns: &[Wildcard]) {
        let mut slots: Vec<usize> = Vec::new();
        let all = Wildcard("*".to_owned());
        for pattern in patterns.iter().chain([&all]) {
            for (slot, column) in self.columns.iter().enumerate() {
                if pattern.fits(&column.name) && !slots.contains(&slot) {
                    slots.push(slot);
                }
            }
        }
        self.order(slots);
    }

    fn order(&mut self, slots: Vec<usize>) {
        if self.open {
            let own = slots.iter().filter(|slot| **slot < COLUMNS.len());
            self.touched.borrow_mut().extend(own);
        }
        let columns = slots.iter().map(|slot| self.columns[*slot].clone()).collect();
        self.close(Step::Select(slots), columns);
    }
}

impl Wildcard {
    pub(super) fn fits(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
            return false;
        };
        let parts: Vec<&str> = parts.collect();
        let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
        let mut rest = rest;
        for part in middle {
            let Some(at) = rest.find(part) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    }
}
