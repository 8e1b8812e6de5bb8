//! Resource Graph: the part of Kusto that is sent to it, run over the rows of a simulated world.
//!
//! What PatchKit and users of Azure Update Manager send is understood; everything else is refused
//! in the service's own words, never answered wrongly. The module knows no world: it asks
//! [`Rows`] for the rows of a [`Table`], which are JSON objects with the service's columns.
//!
//! # Behavior
//! - Operators: `where`, `extend`, `project` (`-away`, `-keep`, `-rename`, `-reorder`),
//!   `summarize`, `distinct`, `count`, `sort`/`order`, `take`/`limit`, `top`, `mv-expand`,
//!   `parse`, `join` (`inner`, `innerunique`, `leftouter`, `fullouter`), `union`, and `let` of
//!   scalar values. At most three joins and unions, and three `mv-expand`s of 128 rows each.
//! - A property of a document is of type dynamic: it is compared with a text or a number as it
//!   is, but groups, sorts and joins need `tostring` or another cast, as in Kusto.
//! - Names are case-sensitive, tables are not. `==` tells case apart, `=~` does not; the service
//!   writes `type` in lower case.
//! - Answers come in pages of at most 1,000 rows through a [`Pager`]; a further page needs the
//!   column `id` in the answer, as the service says.
//! - Where each row of an answer is made of one row of a table, or of one and another that is
//!   joined to it, a page is made when it is asked for, over rows that stay as they are; see
//!   [`Query::open`].
//!
//! # Errors
//! A [`QueryError`] has the details of a real refusal: `ParserFailure` with line and character for
//! what is no Kusto, `InvalidQueryLanguage` for operators that the service lacks,
//! `UnknownFunction`, `Operator_FailedToResolveEntity` for unknown columns,
//! `DisallowedLogicalTableName`, `UnsupportedJoinFlavor`. Type errors, of which no real reply was
//! seen, are `SemanticError`.
//!
//! # Example
//! ```
//! use jiff::Timestamp;
//! use patchkit_testkit::cloud::azure::graph::{Query, RowSet, Table};
//! use serde_json::json;
//!
//! let query = Query::parse(
//!     "resources
//!      | where type =~ 'Microsoft.Compute/virtualMachines'
//!      | summarize count() by tostring(properties.extended.instanceView.powerState.code)",
//! )?;
//! assert_eq!(query.wanted_types(Table::Resources).unwrap(), ["microsoft.compute/virtualmachines"]);
//!
//! let mut rows = RowSet::new();
//! rows.push(Table::Resources, json!({
//!     "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/a",
//!     "type": "microsoft.compute/virtualmachines",
//!     "properties": {"extended": {"instanceView": {"powerState": {"code": "PowerState/running"}}}},
//! }));
//! let answer = query.run(&rows, Timestamp::UNIX_EPOCH)?;
//! assert_eq!(answer.columns[0].0, "properties_extended_instanceView_powerState_code");
//! assert_eq!(answer.rows, [[json!("PowerState/running"), json!(1)]]);
//! # Ok::<(), patchkit_testkit::cloud::azure::graph::QueryError>(())
//! ```

mod ast;
mod error;
mod eval;
mod function;
mod lex;
mod numbers;
mod owns;
mod page;
mod parse;
mod partners;
mod plan;
mod route;
mod run;
mod source;
mod stencil;
mod stream;
mod text;
mod time;
mod value;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;

pub(super) use self::value::write_text;
pub use self::{
    error::{Detail, Position, QueryError},
    numbers::Numbers,
    owns::Owns,
    page::{Format, Options, Page, PageRequest, Pager, Rendered},
    partners::{Marks, Partners, Singles},
    source::{
        Alike, BLOCK_COLUMNS, Block, Field, Hints, IdText, Look, ORDERED_COLUMNS, Path, Pick,
        Piece, Record, RowSet, Rows, Scan, Texts,
    },
};
use self::{
    eval::{Node, Run},
    plan::{Plan, Step},
    run::Env,
    stream::{Made, Stream},
    value::{Cell, Type},
};

/// A table of the graph that the simulated world fills.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Table {
    /// `resources`: virtual machines, Arc machines, scale sets, maintenance configurations, extensions,
    /// network interfaces.
    Resources,
    /// `resourcecontainers`: subscriptions and resource groups.
    ResourceContainers,
    /// `patchassessmentresources`: assessments and the patches they found.
    PatchAssessmentResources,
    /// `patchinstallationresources`: installation runs and their patches.
    PatchInstallationResources,
    /// `maintenanceresources`: configuration assignments and maintenance runs.
    MaintenanceResources,
}

impl Table {
    /// Every table, in the order of their declaration.
    pub const ALL: [Self; 5] = [
        Self::Resources,
        Self::ResourceContainers,
        Self::PatchAssessmentResources,
        Self::PatchInstallationResources,
        Self::MaintenanceResources,
    ];

    /// Its name in a query, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resources => "resources",
            Self::ResourceContainers => "resourcecontainers",
            Self::PatchAssessmentResources => "patchassessmentresources",
            Self::PatchInstallationResources => "patchinstallationresources",
            Self::MaintenanceResources => "maintenanceresources",
        }
    }

    /// The table of a name; the service does not tell case apart here.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name().eq_ignore_ascii_case(name))
    }
}

/// The type of a column of an answer, as the service names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ColumnType {
    /// `string`, timespans too.
    String,
    /// `integer`.
    Integer,
    /// `number`.
    Number,
    /// `boolean`.
    Boolean,
    /// `object`: any JSON.
    Object,
    /// `datetime`.
    DateTime,
}

impl ColumnType {
    /// Its name in an answer of format `table`.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Object => "object",
            Self::DateTime => "datetime",
        }
    }
}

impl From<Type> for ColumnType {
    fn from(kind: Type) -> Self {
        match kind {
            Type::Text | Type::Span => Self::String,
            Type::Long => Self::Integer,
            Type::Real => Self::Number,
            Type::Bool => Self::Boolean,
            Type::Dynamic => Self::Object,
            Type::Time => Self::DateTime,
        }
    }
}

/// All rows that a query answers with.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// Names and types of the columns.
    pub columns: Vec<(String, ColumnType)>,
    /// The rows; each has one value per column.
    pub rows: Vec<Vec<Value>>,
}

/// How a plan is run over all rows.
type Way = fn(&Plan, Env<'_>, &mut dyn FnMut(&[Cell<'_>]));

/// A query that was understood.
pub struct Query {
    text: String,
    lets: Lets,
    plan: Plan,
}

/// The values of a query's `let`s, in their order.
struct Lets(Vec<Node>);

impl Lets {
    /// What a run knows before its first row.
    fn begin(&self, now: Timestamp) -> Run {
        let mut run = Run::new(now);
        for node in &self.0 {
            let value = node.eval(&[], &run).detach();
            run.lets.push(value);
        }
        run
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").field("text", &self.text).finish_non_exhaustive()
    }
}

impl Query {
    /// Reads a query and makes it ready to run.
    ///
    /// # Errors
    /// Whatever the service refuses; see the [module](self).
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let (lets, plan) = plan::plan(&parse::parse(text)?)?;
        Ok(Self { text: text.to_owned(), lets: Lets(lets), plan })
    }

    /// Its text, as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The tables it reads, each once.
    pub fn tables(&self) -> Vec<Table> {
        let mut tables: Vec<Table> = self.scans().iter().map(|(table, _)| *table).collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }

    /// Every scan it makes, its own first: what to have ready before it runs.
    pub fn scans(&self) -> Vec<(Table, &Hints)> {
        let mut scans = Vec::new();
        self.plan.scans(&mut scans);
        scans
    }

    /// The values of `type` it can use of a table, in lower case; none if it can use any.
    pub fn wanted_types(&self, table: Table) -> Option<Vec<String>> {
        let mut wanted = Vec::new();
        for (_, hints) in self.scans().into_iter().filter(|(scanned, _)| *scanned == table) {
            wanted.extend(hints.types.clone()?);
        }
        wanted.sort_unstable();
        wanted.dedup();
        Some(wanted)
    }

    /// Names and types of the columns it answers with.
    pub fn columns(&self) -> Vec<(String, ColumnType)> {
        let columns = self.plan.columns.iter();
        columns.map(|column| (column.name.to_string(), column.kind.into())).collect()
    }

    /// Whether its answer depends on the rows alone and not on the time.
    pub fn is_timeless(&self) -> bool {
        // A name with these letters in it only costs a run.
        !self.text.contains("now") && !self.text.contains("ago")
    }

    /// Whether its answer can be paged: the service needs the column `id` for that.
    fn has_id(&self) -> bool {
        self.plan.columns.iter().any(|column| column.is("id"))
    }

    /// Whether it limits its rows itself; `$skip` is then ignored (work-with-data.md).
    fn takes(&self) -> bool {
        self.plan.steps.iter().any(|step| matches!(step, Step::Take(_)))
    }

    /// Runs it over all rows at a time.
    ///
    /// # Errors
    /// An answer, or a value on the way to it, that is too large.
    pub fn run(&self, rows: &dyn Rows, now: Timestamp) -> Result<Answer, QueryError> {
        let mut out = Vec::new();
        let mut keep = |row: &[Cell<'_>]| out.push(row.iter().map(Cell::render).collect());
        self.each(run::each, rows, now, &mut keep)?;
        Ok(Answer { columns: self.columns(), rows: out })
    }

    /// Runs it and writes its rows as the bytes of an answer, all of them at once.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub fn render(
        &self,
        rows: &dyn Rows,
        now: Timestamp,
        format: Format,
    ) -> Result<Rendered, QueryError> {
        self.render_by(run::each, rows, now, format)
    }

    fn render_by(
        &self,
        way: Way,
        rows: &dyn Rows,
        now: Timestamp,
        format: Format,
    ) -> Result<Rendered, QueryError> {
        let mut rendered = Rendered::new(self, format);
        self.each(way, rows, now, &mut |row| rendered.push(row))?;
        if rendered.is_full() { Err(QueryError::too_large()) } else { Ok(rendered) }
    }

    /// Answers it over rows that stay as they are: like [`render`](Self::render), but where each
    /// row is made of one row of a table, or of two of which one is joined to the other, and the
    /// rows tell their [blocks](Rows::blocks), each page is made when it is asked for. Filters,
    /// sorts and joins are then carried out first, on what they look at and nothing else.
    ///
    /// # Errors
    /// Those of [`run`](Self::run); a page that is made later may fail with them, too.
    pub fn open(
        self,
        rows: &Arc<dyn Rows + Send + Sync>,
        now: Timestamp,
        format: Format,
    ) -> Result<Rendered, QueryError> {
        let Some(made) = Made::of(&self, rows.as_ref(), now) else {
            return self.render_by(run::gather, rows.as_ref(), now, format);
        };
        let rendered = Rendered::new(&self, format);
        Ok(rendered.with_stream(Stream::new(self, Arc::clone(rows), now, made)))
    }

    fn each(
        &self,
        way: Way,
        rows: &dyn Rows,
        now: Timestamp,
        each: &mut dyn FnMut(&[Cell<'_>]),
    ) -> Result<(), QueryError> {
        let run = self.lets.begin(now);
        way(&self.plan, Env { rows, run: &run }, each);
        if run.gave_up() { Err(QueryError::too_large()) } else { Ok(()) }
    }
}

impl Plan {
    fn scans<'p>(&'p self, scans: &mut Vec<(Table, &'p Hints)>) {
        scans.push((self.table, &self.hints));
        for step in &self.steps {
            match step {
                Step::Join { right, .. } => right.scans(scans),
                Step::Union { legs, .. } => legs.iter().for_each(|(plan, _)| plan.scans(scans)),
                _ => {}
            }
        }
    }
}
