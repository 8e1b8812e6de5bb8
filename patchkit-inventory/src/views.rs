//! The views over a lake, each written once for every engine.

use std::fmt;

mod compliance;
mod node;
mod word;

/// The engine that a view is for: what little SQL differs between them is in here.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Dialect {
    /// DataFusion, with the functions that feature `sql` gives it.
    DataFusion,
    /// Amazon Athena, engine version 3.
    Athena,
}

impl Dialect {
    /// The point in time that a text names; null where it names none. An offset that is not UTC is
    /// taken into account.
    fn time(self, text: &str) -> String {
        match self {
            Self::DataFusion => format!("iso_time({text})"),
            // A view of Athena holds no time with an offset: Athena user guide, "Considerations and
            // limitations for views".
            Self::Athena => format!(
                "CAST(try(from_iso8601_timestamp(trim({text}))) AT TIME ZONE 'UTC' AS timestamp)"
            ),
        }
    }

    /// Every row of `many`, with what `few` has for it.
    ///
    /// Both engines build a table of one side of a join in memory: DataFusion of the left one (it
    /// turns the sides only where it knows their sizes), Athena of the right one (Athena user guide,
    /// "Optimize joins").
    fn outer_join(self, many: &str, few: &str, on: &str) -> String {
        match self {
            Self::DataFusion => format!("{few} RIGHT JOIN {many} ON {on}"),
            Self::Athena => format!("{many} LEFT JOIN {few} ON {on}"),
        }
    }

    /// A relation with the key columns of every node.
    fn known_nodes(self) -> &'static str {
        match self {
            Self::DataFusion => "lake_nodes",
            // Athena has no listing. The types with a row or a few for each node name the nodes
            // without reading all of the lake.
            Self::Athena => {
                "(SELECT account_id, region, node_id FROM aws_instance_information \
                 UNION SELECT account_id, region, node_id FROM aws_compliance_summary \
                 UNION SELECT account_id, region, node_id FROM aws_patch_summary \
                 UNION SELECT account_id, region, node_id FROM aws_tag)"
            }
        }
    }
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ColumnKind {
    /// Text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// True or false.
    Boolean,
    /// A point in time, in UTC.
    Time,
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Time => "time",
        })
    }
}

/// One column of a view.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ViewColumn {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: ColumnKind,
    /// What it says.
    pub about: &'static str,
}

const fn text(name: &'static str, about: &'static str) -> ViewColumn {
    ViewColumn { name, kind: ColumnKind::Text, about }
}

const fn integer(name: &'static str, about: &'static str) -> ViewColumn {
    ViewColumn { name, kind: ColumnKind::Integer, about }
}

const fn boolean(name: &'static str, about: &'static str) -> ViewColumn {
    ViewColumn { name, kind: ColumnKind::Boolean, about }
}

const fn time(name: &'static str, about: &'static str) -> ViewColumn {
    ViewColumn { name, kind: ColumnKind::Time, about }
}

/// A view over the tables of a lake.
///
/// # Behavior
/// - One definition gives the SQL of every [`Dialect`], so that the engines cannot come to differ.
/// - Nodes are joined with their liveness before they are counted: Resource Data Sync never deletes,
///   so the data of a terminated node stays as it was. Only a live node is `compliant` or
///   `non_compliant`; every other, and one without data, is `unknown`.
///
/// ```
/// use patchkit_inventory::{Dialect, View};
///
/// let view = View::named("last_verdicts").expect("one of the views");
/// assert!(view.columns().iter().any(|column| column.name == "status"));
/// assert!(view.sql(Dialect::Athena).contains("from_iso8601_timestamp"));
/// ```
#[derive(Clone, Copy)]
pub struct View {
    name: &'static str,
    about: &'static str,
    columns: &'static [ViewColumn],
    sql: fn(Dialect) -> String,
}

impl View {
    /// Every view, each behind those that it is made of.
    pub const ALL: &[Self] = &[
        node::NODES,
        node::APPLICATIONS,
        node::PATCH_GROUPS,
        compliance::VERDICTS,
        compliance::PATCH_COMPLIANCE,
        compliance::BY_GROUP,
        compliance::PATCHES,
        compliance::ASSOCIATIONS,
    ];

    /// The view of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|view| view.name == name)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What a row of it is.
    pub fn about(&self) -> &'static str {
        self.about
    }

    /// Its columns in their order.
    pub fn columns(&self) -> &'static [ViewColumn] {
        self.columns
    }

    /// The query that it stands for.
    pub fn sql(&self, dialect: Dialect) -> String {
        (self.sql)(dialect)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
