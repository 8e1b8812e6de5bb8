//! The aggregates of `summarize`.

use super::{
    super::{
        QueryError,
        ast::{Expr, Literal, Named},
        eval::Node,
        value::Type,
    },
    Column, Scope,
    expr::given_name,
    numbered,
};

/// Items of a list when nothing is said; Kusto's own limit.
const MAX_ITEMS: usize = 1_048_576;

/// One aggregate; those of several columns keep a row.
#[derive(Debug)]
pub(in super::super) struct Aggregate {
    pub(in super::super) kind: Kind,
    /// The condition of the `...if` forms.
    pub(in super::super) when: Option<Node>,
    pub(in super::super) value: Option<Node>,
    /// What `arg_max` and `take_any` return.
    pub(in super::super) row: Vec<Node>,
    pub(in super::super) value_kind: Type,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Kind {
    Count,
    Distinct,
    Sum,
    Min,
    Max,
    Average,
    List(usize),
    Set(usize),
    ArgMax,
    ArgMin,
    Any,
}

impl Aggregate {
    /// How many columns it makes.
    pub(in super::super) fn width(&self) -> usize {
        match self.kind {
            Kind::ArgMax | Kind::ArgMin => 1 + self.row.len(),
            Kind::Any => self.row.len(),
            _ => 1,
        }
    }
}

/// Whether a function aggregates.
pub(super) fn is_aggregate(name: &str) -> bool {
    matches!(
        name,
        "count"
            | "countif"
            | "dcount"
            | "dcountif"
            | "sum"
            | "sumif"
            | "min"
            | "minif"
            | "max"
            | "maxif"
            | "avg"
            | "avgif"
            | "make_list"
            | "makelist"
            | "make_list_if"
            | "make_set"
            | "makeset"
            | "make_set_if"
            | "arg_max"
            | "argmax"
            | "arg_min"
            | "argmin"
            | "any"
            | "take_any"
            | "anyif"
            | "take_anyif"
            | "count_distinct"
    )
}

/// Whether an expression has an aggregate in it.
pub(super) fn aggregates(expr: &Expr) -> bool {
    match expr {
        Expr::Call(name, arguments) => {
            is_aggregate(name) || arguments.iter().any(|argument| aggregates(&argument.expr))
        }
        Expr::Math(_, left, right) | Expr::Compare(_, left, right) => {
            aggregates(left) || aggregates(right)
        }
        Expr::And(sides) | Expr::Or(sides) => sides.iter().any(aggregates),
        Expr::Negate(inner) | Expr::Member(inner, _) | Expr::Index(inner, _) => aggregates(inner),
        _ => false,
    }
}

impl Scope<'_> {
    /// An aggregate and the columns it makes, named as Kusto names them.
    pub(super) fn aggregate(
        &self,
        name: &str,
        arguments: &[Named],
    ) -> Result<(Aggregate, Vec<Column>), QueryError> {
        let all: Vec<&Expr> = arguments.iter().map(|argument| &argument.expr).collect();
        let plain = |kind: Kind, value: Option<Node>, value_kind: Type| Aggregate {
            kind,
            when: None,
            value,
            row: Vec::new(),
            value_kind,
        };
        let base = name.strip_suffix("if").map_or(name, |base| base.trim_end_matches('_'));
        let (all, when) = match all.split_last() {
            Some((when, rest)) if base != name => (rest.to_vec(), Some(self.condition(when)?)),
            _ => (all, None),
        };
        let (mut aggregate, columns) = match (base, all.as_slice()) {
            ("count", []) if base == name || when.is_some() => {
                let column = Column::new(format!("{name}_"), Type::Long);
                (plain(Kind::Count, None, Type::Long), vec![column])
            }
            // The accuracy of the estimate; ours is exact.
            ("dcount" | "count_distinct", [value] | [value, Expr::Literal(Literal::Long(_))]) => {
                let (node, kind) = self.expr(value)?;
                let column = Column::new(after(name, value), Type::Long);
                (plain(Kind::Distinct, Some(node), kind), vec![column])
            }
            ("sum" | "avg", [value]) => {
                let (node, kind) = self.expr(value)?;
                let summed = kind.is_number() || (kind == Type::Span && base == "sum");
                require!(summed, format!("{name}(): argument #1 must be a number."));
                let (code, made) =
                    if base == "sum" { (Kind::Sum, kind) } else { (Kind::Average, Type::Real) };
                (plain(code, Some(node), kind), vec![Column::new(after(name, value), made)])
            }
            ("min" | "max", [value]) => {
                let (node, kind) = self.expr(value)?;
                ordered(name, kind)?;
                let code = if base == "min" { Kind::Min } else { Kind::Max };
                (plain(code, Some(node), kind), vec![Column::new(after(name, value), kind)])
            }
            ("make_list" | "makelist" | "make_set" | "makeset", [value, rest @ ..]) => {
                let most = match rest {
                    [] => MAX_ITEMS,
                    [Expr::Literal(Literal::Long(most))] => {
                        usize::try_from(*most).unwrap_or(MAX_ITEMS).min(MAX_ITEMS)
                    }
                    _ => return Err(arguments_error(name)),
                };
                let (node, kind) = self.expr(value)?;
                let (code, prefix) = if base.contains("list") {
                    (Kind::List(most), "list")
                } else {
                    (Kind::Set(most), "set")
                };
                let column = Column::new(after(prefix, value), Type::Dynamic);
                (plain(code, Some(node), kind), vec![column])
            }
            ("arg_max" | "argmax" | "arg_min" | "argmin", [value, rest @ ..]) if when.is_none() => {
                let (node, kind) = self.expr(value)?;
                ordered(name, kind)?;
                let code = if base.ends_with("max") { Kind::ArgMax } else { Kind::ArgMin };
                let first =
                    Column::new(given_name(value).unwrap_or_else(|| after(name, value)), kind);
                let (row, mut columns) = self.row(rest, Some(&*first.name))?;
                columns.insert(0, first);
                (Aggregate { row, ..plain(code, Some(node), kind) }, columns)
            }
            ("any" | "take_any", rest) if !rest.is_empty() => {
                let (row, mut columns) = self.row(rest, None)?;
                if base == "any" && !matches!(rest, [Expr::Star]) {
                    // The older name of take_any shows in its columns.
                    for column in &mut columns {
                        column.name = format!("any_{}", column.name).into();
                    }
                }
                (Aggregate { row, ..plain(Kind::Any, None, Type::Dynamic) }, columns)
            }
            _ => return Err(arguments_error(name)),
        };
        aggregate.when = when;
        Ok((aggregate, columns))
    }

    fn row(
        &self,
        exprs: &[&Expr],
        besides: Option<&str>,
    ) -> Result<(Vec<Node>, Vec<Column>), QueryError> {
        let mut row = Vec::new();
        let mut columns: Vec<Column> = Vec::new();
        for expr in exprs {
            if matches!(expr, Expr::Star) {
                self.touch_all();
                for (slot, column) in self.columns.iter().enumerate() {
                    if Some(&*column.name) != besides {
                        row.push(Node::Slot(slot));
                        columns.push(column.clone());
                    }
                }
                continue;
            }
            let (node, kind) = self.expr(expr)?;
            row.push(node);
            let number = columns.len() + 1;
            let name = given_name(expr).unwrap_or_else(|| format!("Column{number}"));
            columns.push(Column::new(name, kind));
        }
        Ok((row, columns))
    }
}

fn arguments_error(name: &str) -> QueryError {
    QueryError::semantic(format!("{name}(): wrong number or kind of arguments."))
}

fn ordered(name: &str, kind: Type) -> Result<(), QueryError> {
    let message = format!("{name}(): argument #1 is dynamic. Please use an explicit cast.");
    require!(kind != Type::Dynamic, message);
    Ok(())
}

fn after(prefix: &str, expr: &Expr) -> String {
    format!("{prefix}_{}", given_name(expr).unwrap_or_default())
}

/// Takes the aggregates out of an expression and puts names of their results in.
pub(super) fn lift(
    expr: &Expr,
    scope: &Scope<'_>,
    made: &mut Vec<Aggregate>,
    inner: &mut Vec<Column>,
) -> Result<Expr, QueryError> {
    let mut lift = |expr: &Expr| lift(expr, scope, made, inner);
    Ok(match expr {
        Expr::Call(name, arguments) if is_aggregate(name) => {
            let (aggregate, columns) = scope.aggregate(name, arguments)?;
            require!(aggregate.width() == 1, "summarize: the aggregate makes several columns.");
            let name = numbered(inner, "$made");
            let kind = columns.first().map_or(Type::Dynamic, |column| column.kind);
            inner.push(Column::new(name.clone(), kind));
            made.push(aggregate);
            Expr::Name(name)
        }
        Expr::Call(name, arguments) => {
            let lifted = arguments.iter().map(|argument| {
                Ok(Named { name: argument.name.clone(), expr: lift(&argument.expr)? })
            });
            Expr::Call(name.clone(), lifted.collect::<Result<_, QueryError>>()?)
        }
        Expr::Math(math, left, right) => {
            Expr::Math(*math, Box::new(lift(left)?), Box::new(lift(right)?))
        }
        Expr::Compare(compare, left, right) => {
            Expr::Compare(*compare, Box::new(lift(left)?), Box::new(lift(right)?))
        }
        Expr::And(sides) => Expr::And(sides.iter().map(lift).collect::<Result<_, _>>()?),
        Expr::Or(sides) => Expr::Or(sides.iter().map(lift).collect::<Result<_, _>>()?),
        Expr::Negate(one) => Expr::Negate(Box::new(lift(one)?)),
        Expr::Member(one, key) => Expr::Member(Box::new(lift(one)?), key.clone()),
        Expr::Index(one, at) => Expr::Index(Box::new(lift(one)?), at.clone()),
        other => other.clone(),
    })
}
