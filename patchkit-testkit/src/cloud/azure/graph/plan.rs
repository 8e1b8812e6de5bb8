//! A query made ready to run: every name resolved, every type checked, once.

/// Refuses a query that has no meaning.
macro_rules! require {
    ($met:expr, $message:expr $(,)?) => {
        if !$met {
            return Err(QueryError::semantic($message));
        }
    };
}

pub(super) mod aggregate;
mod combine;
mod draft;
mod expr;
mod gist;
mod hint;
pub(super) mod lean;
pub(super) mod reads;
pub(super) mod shape;
pub(super) mod show;

use std::{
    cell::{Cell as Flag, RefCell},
    sync::{Arc, LazyLock},
};

use regex::Regex;

use self::{
    aggregate::{Aggregate, aggregates, is_aggregate, lift},
    combine::count_up,
    expr::{compile, given_name},
    reads::Load,
    show::Show,
};
use super::{
    Hints, QueryError, Table,
    ast::{
        Distinct, Expand, Expr, JoinKind, Named, Nulls, Operator, Order, Part, Pipeline, Script,
        SortKey,
    },
    eval::Node,
    value::Type,
};

/// The columns of every table, in the order of the service's documentation
/// (update-manager/query-logs.md lists them for the patch tables; `resources` has the same).
pub(super) const COLUMNS: [(&str, Type); 16] = [
    ("id", Type::Text),
    ("name", Type::Text),
    ("type", Type::Text),
    ("tenantId", Type::Text),
    ("kind", Type::Text),
    ("location", Type::Text),
    ("resourceGroup", Type::Text),
    ("subscriptionId", Type::Text),
    ("managedBy", Type::Text),
    ("sku", Type::Dynamic),
    ("plan", Type::Dynamic),
    ("properties", Type::Dynamic),
    ("tags", Type::Dynamic),
    ("identity", Type::Dynamic),
    ("zones", Type::Dynamic),
    ("extendedLocation", Type::Dynamic),
];

/// The same as the columns of a plan.
static OF_TABLES: LazyLock<Vec<Column>> =
    LazyLock::new(|| COLUMNS.iter().map(|(name, kind)| Column::new(*name, *kind)).collect());

/// Joins and unions of a query, and expansions of it (query-language.md: "limit of three").
const MAX_TABLES: usize = 3;
const MAX_EXPANDS: usize = 3;

/// Columns of a row; joins and unions add up.
const MAX_COLUMNS: usize = 500;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    /// A copy shares it.
    pub(super) name: Arc<str>,
    pub(super) kind: Type,
}

impl Column {
    fn new(name: impl Into<Arc<str>>, kind: Type) -> Self {
        Self { name: name.into(), kind }
    }

    pub(super) fn is(&self, name: &str) -> bool {
        &*self.name == name
    }
}

/// One table, what is read of it, and what is done with its rows.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) table: Table,
    pub(super) hints: Hints,
    /// The filters that stand before everything else, and the columns that they look at.
    leading: usize,
    pub(super) tests: Vec<Load>,
    /// The columns that the other steps look at or pass on.
    pub(super) loads: Vec<Load>,
    /// How rows are shown of which it is known that they are in the answer.
    pub(super) shows: Show,
    pub(super) steps: Vec<Step>,
    pub(super) columns: Vec<Column>,
}

#[derive(Debug)]
pub(super) enum Step {
    Where(Node),
    /// New values and the slots they go to, which may be behind the row's end.
    Extend(Vec<(usize, Node)>),
    Select(Vec<usize>),
    Project(Vec<Node>),
    Summarize {
        keys: Vec<Node>,
        aggregates: Vec<Aggregate>,
        outputs: Vec<Node>,
    },
    Count,
    Sort {
        keys: Vec<Key>,
        take: Option<usize>,
    },
    Take(usize),
    Expand {
        items: Vec<Item>,
        index: Option<usize>,
        limit: usize,
    },
    Parse {
        value: Node,
        pattern: Regex,
        columns: Vec<(usize, Type)>,
    },
    Join {
        kind: JoinKind,
        right: Box<Plan>,
        left_keys: Vec<usize>,
        right_keys: Vec<usize>,
        widths: [Vec<Type>; 2],
    },
    Union {
        own: Leg,
        legs: Vec<(Plan, Leg)>,
        kinds: Vec<Type>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) node: Node,
    pub(super) kind: Type,
    pub(super) order: Order,
    pub(super) nulls: Nulls,
}

#[derive(Debug)]
pub(super) struct Item {
    pub(super) value: Node,
    pub(super) slot: usize,
    pub(super) to: Type,
}

/// How a leg's row becomes a row of the union: its name first, if asked for.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) source: Option<String>,
    pub(super) slots: Vec<Option<usize>>,
}

/// What expressions may name.
pub(super) struct Scope<'s> {
    columns: &'s [Column],
    lets: &'s [(String, Type)],
    operator: &'static str,
    touched: &'s RefCell<Vec<usize>>,
    /// Whether the slots are still the table's own columns.
    open: bool,
}

impl Scope<'_> {
    fn slot(&self, name: &str) -> Option<usize> {
        let slot = self.columns.iter().position(|column| column.is(name))?;
        self.touch(slot);
        Some(slot)
    }

    fn touch(&self, slot: usize) {
        if self.open && slot < COLUMNS.len() {
            self.touched.borrow_mut().push(slot);
        }
    }

    fn touch_all(&self) {
        (0..self.columns.len()).for_each(|slot| self.touch(slot));
    }
}

/// The `let`s of a query in order, and its plan.
pub(super) fn plan(script: &Script) -> Result<(Vec<Node>, Plan), QueryError> {
    let touched = RefCell::new(Vec::new());
    let (mut lets, mut nodes) = (Vec::new(), Vec::new());
    for (name, expr) in &script.lets {
        let scope =
            Scope { columns: &[], lets: &lets, operator: "let", touched: &touched, open: false };
        let (node, kind) = scope.expr(expr)?;
        nodes.push(node);
        lets.push((name.clone(), kind));
    }
    let planner = Planner {
        lets: &lets,
        tables: Flag::new(0),
        expands: Flag::new(0),
        crossed: RefCell::default(),
    };
    let mut plan = planner.pipeline(&script.pipeline)?;
    plan.show_unseen();
    Ok((nodes, plan))
}

struct Planner<'s> {
    lets: &'s [(String, Type)],
    tables: Flag<usize>,
    expands: Flag<usize>,
    /// The pairs of tables that are joined across.
    crossed: RefCell<Vec<[Table; 2]>>,
}

/// A pipeline in the making.
struct Draft {
    table: Table,
    columns: Vec<Column>,
    steps: Vec<Step>,
    touched: RefCell<Vec<usize>>,
    open: bool,
}

impl Planner<'_> {
    fn pipeline(&self, pipeline: &Pipeline) -> Result<Plan, QueryError> {
        let table =
            Table::named(&pipeline.table).ok_or_else(|| QueryError::table(&pipeline.table))?;
        let mut draft = Draft {
            table,
            columns: OF_TABLES.clone(),
            steps: Vec::new(),
            touched: RefCell::default(),
            open: true,
        };
        for operator in &pipeline.operators {
            self.operator(&mut draft, operator)?;
            require!(draft.columns.len() <= MAX_COLUMNS, "The query has too many columns.");
        }
        self.scope(&draft, "project").touch_all();
        let mut touched = draft.touched.into_inner();
        touched.sort_unstable();
        touched.dedup();
        let hints = hint::hints(&pipeline.operators);
        let (steps, columns) = (draft.steps, draft.columns);
        let (leading, tests, loads) = (0, Vec::new(), Vec::new());
        let shows = Show::default();
        let mut plan = Plan { table, hints, leading, tests, loads, shows, steps, columns };
        plan.arrange(&touched);
        Ok(plan)
    }

    fn scope<'s>(&'s self, draft: &'s Draft, operator: &'static str) -> Scope<'s> {
        Scope {
            columns: &draft.columns,
            lets: self.lets,
            operator,
            touched: &draft.touched,
            open: draft.open,
        }
    }

    fn operator(&self, draft: &mut Draft, operator: &Operator) -> Result<(), QueryError> {
        // Before the work, which grows with the square of them.
        require!(operator.width() <= MAX_COLUMNS, "The query has too many columns.");
        match operator {
            Operator::Where(expr) => {
                let node = self.scope(draft, "where").condition(expr)?;
                draft.steps.push(Step::Where(node));
            }
            Operator::Extend(values) => self.extend(draft, values)?,
            Operator::Project(values) => {
                let (nodes, columns) = self.values(draft, "project", values)?;
                draft.close(Step::Project(nodes), columns);
            }
            Operator::ProjectAway(patterns) => {
                draft.has_all("project-away", patterns)?;
                draft.select(|name| !patterns.iter().any(|pattern| pattern.fits(name)));
            }
            Operator::ProjectKeep(patterns) => {
                draft.has_all("project-keep", patterns)?;
                draft.select(|name| patterns.iter().any(|pattern| pattern.fits(name)));
            }
            Operator::ProjectReorder(patterns) => {
                draft.has_all("project-reorder", patterns)?;
                draft.reorder(patterns);
            }
            Operator::ProjectRename(pairs) => {
                for (new, old) in pairs {
                    let slot = self.scope(draft, "project-rename").slot(old);
                    let slot = slot.ok_or_else(|| QueryError::column("project-rename", old))?;
                    new_name(&draft.columns, new)?;
                    draft.columns[slot].name = new.as_str().into();
                }
            }
            Operator::Summarize { values, by } => self.summarize(draft, values, by)?,
            Operator::Distinct(distinct) => {
                let (keys, columns) = match distinct {
                    Distinct::Of(values) => self.values(draft, "distinct", values)?,
                    Distinct::Everything => {
                        self.scope(draft, "distinct").touch_all();
                        let all = (0..draft.columns.len()).map(Node::Slot).collect();
                        (all, draft.columns.clone())
                    }
                };
                grouped(&columns)?;
                let outputs = (0..columns.len()).map(Node::Slot).collect();
                draft.close(Step::Summarize { keys, aggregates: Vec::new(), outputs }, columns);
            }
            Operator::Count => {
                draft.close(Step::Count, vec![Column::new("Count", Type::Long)]);
            }
            Operator::Sort(keys) => {
                let keys = self.sort_keys(draft, "order", keys)?;
                draft.steps.push(Step::Sort { keys, take: None });
            }
            Operator::Top(count, keys) => {
                let keys = self.sort_keys(draft, "top", keys)?;
                draft.steps.push(Step::Sort { keys, take: Some(*count) });
            }
            Operator::Take(count) => draft.steps.push(Step::Take(*count)),
            Operator::Expand { items, limit, index } => {
                self.expand(draft, items, *limit, index.as_deref())?;
            }
            Operator::Parse { value, pattern } => self.parse(draft, value, pattern)?,
            Operator::Join { kind, right, on } => self.join(draft, *kind, right, on)?,
            Operator::Union { kind, source, legs } => {
                self.union(draft, *kind, source.as_deref(), legs)?;
            }
        }
        Ok(())
    }

    /// Expressions that become the columns of a row.
    fn values(
        &self,
        draft: &Draft,
        operator: &'static str,
        values: &[Named],
    ) -> Result<(Vec<Node>, Vec<Column>), QueryError> {
        let scope = self.scope(draft, operator);
        let (mut nodes, mut columns) = (Vec::new(), Vec::new());
        for value in values {
            let (node, kind) = scope.expr(&value.expr)?;
            let name = column_name(&columns, value)?;
            nodes.push(node);
            columns.push(Column::new(name, kind));
        }
        Ok((nodes, columns))
    }

    fn extend(&self, draft: &mut Draft, values: &[Named]) -> Result<(), QueryError> {
        let scope = self.scope(draft, "extend");
        let mut made = Vec::new();
        let mut columns = draft.columns.clone();
        for value in values {
            let (node, kind) = scope.expr(&value.expr)?;
            let name = value.name.clone().or_else(|| given_name(&value.expr));
            let name = name.unwrap_or_else(|| numbered(&columns, "Column"));
            let slot = columns.iter().position(|column| column.is(&name));
            let slot = slot.unwrap_or(columns.len());
            if slot == columns.len() {
                columns.push(Column::new(name, kind));
            } else {
                columns[slot].kind = kind;
            }
            made.push((slot, node));
        }
        draft.columns = columns;
        draft.steps.push(Step::Extend(made));
        Ok(())
    }

    fn summarize(
        &self,
        draft: &mut Draft,
        values: &[Named],
        by: &[Named],
    ) -> Result<(), QueryError> {
        let (keys, key_columns) = self.values(draft, "summarize", by)?;
        grouped(&key_columns)?;
        let scope = self.scope(draft, "summarize");
        let mut made: Vec<Aggregate> = Vec::new();
        // The row the outputs are computed from: the keys, then what each aggregate makes.
        let mut inner = key_columns.clone();
        let mut outputs: Vec<Node> = (0..keys.len()).map(Node::Slot).collect();
        let mut columns = key_columns;
        for value in values {
            if let Expr::Call(name, arguments) = &value.expr
                && is_aggregate(name)
            {
                let (aggregate, made_columns) = scope.aggregate(name, arguments)?;
                for (at, column) in made_columns.into_iter().enumerate() {
                    let name = match &value.name {
                        Some(name) if at == 0 => new_name(&columns, name)?.to_owned(),
                        _ => unique(&columns, &column.name),
                    };
                    outputs.push(Node::Slot(inner.len()));
                    inner.push(Column::new(numbered(&inner, "$made"), column.kind));
                    columns.push(Column::new(name, column.kind));
                }
                made.push(aggregate);
                continue;
            }
            if !aggregates(&value.expr) {
                // A misspelt aggregate is an unknown function before it is none.
                scope.expr(&value.expr)?;
            }
            require!(aggregates(&value.expr), "summarize: the value must be an aggregate.");
            let expr = lift(&value.expr, &scope, &mut made, &mut inner)?;
            let outer = Scope {
                columns: &inner,
                lets: self.lets,
                operator: "summarize",
                touched: &draft.touched,
                open: false,
            };
            let (node, kind) = outer.expr(&expr)?;
            let name =
                column_name(&columns, &Named { name: value.name.clone(), expr: Expr::Star })?;
            outputs.push(node);
            columns.push(Column::new(name, kind));
        }
        draft.close(Step::Summarize { keys, aggregates: made, outputs }, columns);
        Ok(())
    }

    fn sort_keys(
        &self,
        draft: &Draft,
        operator: &'static str,
        keys: &[SortKey],
    ) -> Result<Vec<Key>, QueryError> {
        let scope = self.scope(draft, operator);
        keys.iter()
            .map(|key| {
                let (node, kind) = scope.expr(&key.expr)?;
                require!(kind != Type::Dynamic,
                    format!("{operator}: a sort key cannot be of type dynamic. Please use an explicit cast."),
                );
                Ok(Key { node, kind, order: key.order, nulls: key.nulls })
            })
            .collect()
    }

    fn expand(
        &self,
        draft: &mut Draft,
        items: &[Expand],
        limit: usize,
        index: Option<&str>,
    ) -> Result<(), QueryError> {
        count_up(&self.expands, MAX_EXPANDS, "mv-expand")?;
        let mut made = Vec::new();
        for item in items {
            let (value, kind) = self.scope(draft, "mv-expand").expr(&item.value.expr)?;
            require!(kind == Type::Dynamic, "mv-expand: expanded expression must be dynamic.");
            let name = item.value.name.clone().or_else(|| given_name(&item.value.expr));
            let name = name.unwrap_or_else(|| numbered(&draft.columns, "Column"));
            let to = item.to.unwrap_or(Type::Dynamic);
            let slot = draft.place(&name, to);
            made.push(Item { value, slot, to });
        }
        let index = index.map(|name| draft.place(name, Type::Long));
        draft.steps.push(Step::Expand { items: made, index, limit });
        Ok(())
    }

    fn parse(&self, draft: &mut Draft, value: &Expr, parts: &[Part]) -> Result<(), QueryError> {
        let (value, kind) = self.scope(draft, "parse").expr(value)?;
        require!(
            matches!(kind, Type::Text | Type::Dynamic),
            "parse: the parsed expression must be a string.",
        );
        let mut pattern = String::from("(?s)^");
        let mut columns = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let next_is_text = matches!(parts.get(at + 1), Some(Part::Text(_)) | None);
            match part {
                Part::Text(text) => pattern.push_str(&regex::escape(text)),
                // Two open parts next to each other have no one meaning.
                Part::Any | Part::Column(_, Type::Text) if !next_is_text => {
                    return Err(QueryError::semantic("parse: a text must stand between columns."));
                }
                Part::Any => pattern.push_str(".*?"),
                Part::Column(name, kind) => {
                    pattern.push_str(match kind {
                        Type::Long => r"\s*([-+]?\d+)",
                        Type::Real => r"\s*([-+]?\d+(?:\.\d+)?)",
                        _ => "(.*?)",
                    });
                    columns.push((draft.place(name, *kind), *kind));
                }
            }
        }
        pattern.push('$');
        draft.steps.push(Step::Parse { value, pattern: compile(&pattern)?, columns });
        Ok(())
    }
}

impl Operator {
    /// How many columns it names.
    fn width(&self) -> usize {
        match self {
            Self::Extend(values) | Self::Project(values) | Self::Distinct(Distinct::Of(values)) => {
                values.len()
            }
            Self::ProjectAway(all) | Self::ProjectKeep(all) | Self::ProjectReorder(all) => {
                all.len()
            }
            Self::ProjectRename(pairs) | Self::Join { on: pairs, .. } => pairs.len(),
            Self::Summarize { values, by } => values.len() + by.len(),
            Self::Sort(keys) | Self::Top(_, keys) => keys.len(),
            Self::Expand { items, .. } => items.len(),
            Self::Parse { pattern, .. } => pattern.len(),
            Self::Where(_)
            | Self::Count
            | Self::Take(_)
            | Self::Union { .. }
            | Self::Distinct(Distinct::Everything) => 0,
        }
    }
}

/// Groups and distinct rows need values that can be told apart.
fn grouped(columns: &[Column]) -> Result<(), QueryError> {
    let dynamic = columns.iter().find(|column| column.kind == Type::Dynamic);
    dynamic.map_or(Ok(()), |column| {
        Err(QueryError::semantic(format!(
            "Summarize group key '{}' is of a 'dynamic' type. Please use an explicit cast as \
             grouping by a 'dynamic' type isn't supported.",
            column.name
        )))
    })
}

/// A name that no column has yet, or a refusal.
fn new_name<'n>(columns: &[Column], name: &'n str) -> Result<&'n str, QueryError> {
    let taken = columns.iter().any(|column| column.is(name));
    require!(!taken, format!("A column named '{name}' already exists."));
    Ok(name)
}

fn column_name(columns: &[Column], value: &Named) -> Result<Arc<str>, QueryError> {
    if let Some(name) = &value.name {
        return new_name(columns, name).map(Arc::from);
    }
    let given = given_name(&value.expr);
    let name = given.map_or_else(|| numbered(columns, "Column"), |name| unique(columns, &name));
    Ok(name.into())
}

/// The name itself, or with the first number that makes it new.
fn unique(columns: &[Column], name: &str) -> String {
    if columns.iter().any(|column| column.is(name)) {
        numbered(columns, name)
    } else {
        name.to_owned()
    }
}

fn numbered(columns: &[Column], name: &str) -> String {
    let taken = |name: &String| columns.iter().any(|column| column.is(name));
    let mut names = (1..).map(|number| format!("{name}{number}"));
    names.find(|name| !taken(name)).unwrap_or_default()
}
