//! Joins and unions, and how many of them there may be.

use std::cell::Cell as Flag;

use super::{
    super::{
        QueryError, Table,
        ast::{JoinKind, Pipeline, UnionKind},
        value::Type,
    },
    Column, Draft, Leg, MAX_TABLES, Planner, Step, new_name, unique,
};

impl Planner<'_> {
    pub(super) fn join(
        &self,
        draft: &mut Draft,
        kind: JoinKind,
        right: &Pipeline,
        on: &[(String, String)],
    ) -> Result<(), QueryError> {
        count_up(&self.tables, MAX_TABLES, "join")?;
        let right = self.pipeline(right)?;
        self.cross(draft.table, right.table)?;
        self.scope(draft, "join").touch_all();
        let (mut left_keys, mut right_keys) = (Vec::new(), Vec::new());
        for (left_name, right_name) in on {
            let find = |columns: &[Column], name: &str| {
                let slot = columns.iter().position(|column| column.is(name));
                slot.ok_or_else(|| QueryError::column("join", name))
            };
            let left_slot = find(&draft.columns, left_name)?;
            let right_slot = find(&right.columns, right_name)?;
            let kinds = (draft.columns[left_slot].kind, right.columns[right_slot].kind);
            require!(
                kinds.0 == kinds.1 && kinds.0 != Type::Dynamic,
                format!(
                    "join: the keys {left_name} and {right_name} have the types {} and {}. \
                     Please use an explicit cast.",
                    kinds.0.name(),
                    kinds.1.name()
                ),
            );
            left_keys.push(left_slot);
            right_keys.push(right_slot);
        }
        let kinds = |columns: &[Column]| columns.iter().map(|column| column.kind).collect();
        let widths = [kinds(&draft.columns), kinds(&right.columns)];
        let mut columns = draft.columns.clone();
        for column in &right.columns {
            // "Any duplicate column names from the joined table are appended with 1"
            // (query-language.md).
            let name = unique(&columns, &column.name);
            columns.push(Column::new(name, column.kind));
        }
        let right = Box::new(right);
        draft.close(Step::Join { kind, right, left_keys, right_keys, widths }, columns);
        Ok(())
    }

    /// Of the joins of a query, "one of which might be a cross-table `join`. If all cross-table `join`
    /// use is between Resource and ResourceContainers, then three" (query-language.md).
    fn cross(&self, left: Table, right: Table) -> Result<(), QueryError> {
        if left == right {
            return Ok(());
        }
        let mut crossed = self.crossed.borrow_mut();
        crossed.push([left, right]);
        let usual = [Table::Resources, Table::ResourceContainers];
        if crossed.len() > 1 && crossed.iter().flatten().any(|table| !usual.contains(table)) {
            return Err(remote_tables("The query joins more than one other table.".to_owned()));
        }
        Ok(())
    }

    pub(super) fn union(
        &self,
        draft: &mut Draft,
        kind: UnionKind,
        source: Option<&str>,
        legs: &[Pipeline],
    ) -> Result<(), QueryError> {
        self.scope(draft, "union").touch_all();
        let mut plans = Vec::new();
        for leg in legs {
            count_up(&self.tables, MAX_TABLES, "union")?;
            plans.push(self.pipeline(leg)?);
        }
        let mut columns: Vec<Column> = Vec::new();
        let all = || std::iter::once(&draft.columns).chain(plans.iter().map(|plan| &plan.columns));
        for column in all().flatten() {
            match columns.iter().find(|known| known.name == column.name) {
                None => columns.push(column.clone()),
                Some(known) => require!(
                    known.kind == column.kind,
                    format!("union: the column {} has two types.", column.name),
                ),
            }
        }
        if kind == UnionKind::Inner {
            columns.retain(|column| all().all(|leg| leg.contains(column)));
        }
        let leg = |at: usize, leg: &[Column]| {
            let find = |column: &Column| leg.iter().position(|own| own.name == column.name);
            Leg {
                source: source.map(|_| format!("union_arg{at}")),
                slots: columns.iter().map(find).collect(),
            }
        };
        let own = leg(0, &draft.columns);
        let legs = plans.into_iter().enumerate().map(|(at, plan)| {
            let leg = leg(at + 1, &plan.columns);
            (plan, leg)
        });
        let legs = legs.collect();
        let kinds = columns.iter().map(|column| column.kind).collect();
        if let Some(source) = source {
            new_name(&columns, source)?;
            columns.insert(0, Column::new(source, Type::Text));
        }
        draft.close(Step::Union { own, legs, kinds }, columns);
        Ok(())
    }
}

pub(super) fn count_up(count: &Flag<usize>, most: usize, operator: &str) -> Result<(), QueryError> {
    count.set(count.get() + 1);
    if count.get() > most {
        return Err(remote_tables(format!("The query has more than {most} {operator} operators.")));
    }
    Ok(())
}

/// The one code that public reports name for these limits.
fn remote_tables(message: String) -> QueryError {
    QueryError::limit("DisallowedMaxNumberOfRemoteTables", message)
}
