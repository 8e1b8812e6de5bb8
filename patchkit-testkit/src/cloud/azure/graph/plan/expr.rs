//! Expressions, from names to places and from words to code.

use jiff::Timestamp;
use regex::{Regex, RegexBuilder};

use super::{
    super::{
        QueryError,
        ast::{Case, Compare, Expr, Literal, Math, Named, Place, Quantity, Sense, TextTest},
        eval::{Node, Operands, Set},
        function::{self, Naming, Returns},
        route::{Route, Step},
        text::Needle,
        time::{self, Unit},
        value::{Cell, Type},
    },
    Scope,
};

/// The memory a compiled pattern may take: a hostile one is refused, not run.
const MAX_PATTERN: usize = 1 << 20;

impl Scope<'_> {
    /// The code of an expression, and its type.
    pub(super) fn expr(&self, expr: &Expr) -> Result<(Node, Type), QueryError> {
        match expr {
            Expr::Literal(literal) => Ok(constant(literal)),
            Expr::Name(name) => self.name(name),
            Expr::Member(..) => self.path(expr),
            Expr::Index(_, index) if step(index).is_some() => self.path(expr),
            Expr::Index(base, index) => {
                let (base, kind) = self.expr(base)?;
                require!(kind == Type::Dynamic, "Path expressions need a dynamic value.");
                let (index, kind) = self.expr(index)?;
                require!(
                    matches!(kind, Type::Long | Type::Text | Type::Dynamic),
                    "An index must be a number or a string.",
                );
                Ok((Node::Index(Box::new(base), Box::new(index)), Type::Dynamic))
            }
            Expr::Call(name, arguments) => self.call(name, arguments),
            Expr::Negate(inner) => {
                let (inner, kind) = self.expr(inner)?;
                require!(kind.is_number() || kind == Type::Span, "Only numbers can be negated.");
                Ok((Node::Negate(Box::new(inner)), kind))
            }
            Expr::And(sides) => Ok((Node::All(self.conditions(sides)?), Type::Bool)),
            Expr::Or(sides) => Ok((Node::Any(self.conditions(sides)?), Type::Bool)),
            Expr::Compare(compare, left, right) => self.compare(*compare, left, right),
            Expr::Math(math, left, right) => self.math(*math, left, right),
            Expr::Text(test, sense, hay, needle) => {
                let hay = Box::new(self.expr(hay)?.0);
                let node = match self.expr(needle)? {
                    (Node::Const(text), _) => {
                        Node::Text(Needle::new(*test, &text.as_text()), *sense, hay)
                    }
                    (needle, _) => Node::TextBy(*test, *sense, hay, Box::new(needle)),
                };
                Ok((node, Type::Bool))
            }
            Expr::Matches(text, pattern) => {
                let pattern = self.pattern(pattern)?;
                Ok((Node::Matches(pattern, Box::new(self.expr(text)?.0)), Type::Bool))
            }
            Expr::Within(case, sense, value, values) => self.within(*case, *sense, value, values),
            Expr::HasEach(quantity, hay, values) => self.has_each(*quantity, hay, values),
            Expr::Between(sense, value, low, high) => {
                let (value, kind) = self.expr(value)?;
                let (low, low_kind) = self.expr(low)?;
                let (high, high_kind) = self.expr(high)?;
                let common = comparable(kind, low_kind)?;
                require!(common == comparable(kind, high_kind)?, "The bounds differ in type.");
                let nodes = Box::new([value, low, high]);
                Ok((Node::Between(common, *sense, nodes), Type::Bool))
            }
            Expr::Star => Err(QueryError::semantic("'*' is not an expression.")),
        }
    }

    fn name(&self, name: &str) -> Result<(Node, Type), QueryError> {
        // A column hides a `let` of its name.
        if let Some(slot) = self.slot(name) {
            return Ok((Node::Slot(slot), self.columns[slot].kind));
        }
        let index = self.lets.iter().rposition(|(let_name, _)| let_name == name);
        let index = index.ok_or_else(|| QueryError::column(self.operator, name))?;
        Ok((Node::Let(index), self.lets[index].1))
    }

    /// The code of members of members, and so on.
    fn path(&self, expr: &Expr) -> Result<(Node, Type), QueryError> {
        let (mut base, mut steps) = (expr, Vec::new());
        loop {
            let (inner, step) = match base {
                Expr::Member(inner, key) => (inner, Some(Step::Key(key.clone()))),
                Expr::Index(inner, index) => (inner, step(index)),
                _ => break,
            };
            let Some(step) = step else { break };
            steps.push(step);
            base = inner;
        }
        let splits = matches!(base, Expr::Call(name, _) if name == "split");
        let (mut base, kind) = self.expr(base)?;
        require!(kind == Type::Dynamic, "Path expressions need a dynamic value.");
        // Of a text that is split mostly one piece is wanted: the others are not made.
        if let Node::Call(_, nodes) = &mut base
            && let Some(piece) = steps.last().filter(|_| splits).and_then(|it| piece(nodes, it))
        {
            steps.pop();
            base = piece;
        }
        if steps.is_empty() {
            return Ok((base, Type::Dynamic));
        }
        let route = Route::new(steps.into_iter().rev());
        Ok((Node::Path(Box::new(base), route), Type::Dynamic))
    }

    /// The code of an expression that is true or false.
    pub(super) fn condition(&self, expr: &Expr) -> Result<Node, QueryError> {
        let (node, kind) = self.expr(expr)?;
        require!(
            matches!(kind, Type::Bool | Type::Dynamic),
            format!("The '{}' operator needs a condition of type bool.", self.operator),
        );
        Ok(node)
    }

    fn conditions(&self, sides: &[Expr]) -> Result<Vec<Node>, QueryError> {
        sides.iter().map(|side| self.condition(side)).collect()
    }

    fn compare(
        &self,
        compare: Compare,
        left: &Expr,
        right: &Expr,
    ) -> Result<(Node, Type), QueryError> {
        let (left, left_kind) = self.expr(left)?;
        let (right, right_kind) = self.expr(right)?;
        let kind = if matches!(compare, Compare::Alike | Compare::NotAlike) {
            let texts = [left_kind, right_kind]
                .iter()
                .all(|kind| matches!(kind, Type::Text | Type::Dynamic));
            require!(texts, "=~ and !~ compare strings.");
            Type::Text
        } else {
            comparable(left_kind, right_kind)?
        };
        Ok((Node::Compare(compare, kind, Box::new(left), Box::new(right)), Type::Bool))
    }

    fn math(&self, math: Math, left: &Expr, right: &Expr) -> Result<(Node, Type), QueryError> {
        use Type::{Long, Real, Span, Time};
        let (left, left_kind) = self.expr(left)?;
        let (right, right_kind) = self.expr(right)?;
        let (operands, kind) = match (left_kind, math, right_kind) {
            (Long, _, Long) => (Operands::Longs, Long),
            (Long | Real, _, Long | Real) => (Operands::Reals, Real),
            (Time, Math::Add | Math::Subtract, Span) | (Span, Math::Add, Time) => {
                (Operands::TimeAndSpan, Time)
            }
            (Time, Math::Subtract, Time) => (Operands::Times, Span),
            (Span, Math::Add | Math::Subtract, Span) => (Operands::Spans, Span),
            (Span, Math::Divide, Span) => (Operands::Spans, Real),
            (Span, Math::Multiply | Math::Divide, Long | Real)
            | (Long | Real, Math::Multiply, Span) => (Operands::SpanAndNumber, Span),
            (left, _, right) => {
                return Err(QueryError::semantic(format!(
                    "Arithmetic between types {} and {} is not possible. Try adding explicit casts.",
                    left.name(),
                    right.name()
                )));
            }
        };
        Ok((Node::Math(math, operands, Box::new(left), Box::new(right)), kind))
    }

    /// The constants of a list; a dynamic array counts as its items.
    fn constants(&self, values: &[Expr]) -> Result<Vec<(Cell<'static>, Type)>, QueryError> {
        let mut constants = Vec::new();
        for value in values {
            match self.expr(value)? {
                (Node::Const(Cell::Dynamic(list)), _) if list.is_array() => {
                    let items = list.as_array().into_iter().flatten().cloned();
                    constants.extend(items.map(|item| (Cell::owned(item), Type::Dynamic)));
                }
                (Node::Const(value), kind) => constants.push((value, kind)),
                _ => {
                    return Err(QueryError::semantic("The values of a list must be constants."));
                }
            }
        }
        Ok(constants)
    }

    fn within(
        &self,
        case: Case,
        sense: Sense,
        value: &Expr,
        values: &[Expr],
    ) -> Result<(Node, Type), QueryError> {
        let (value, kind) = self.expr(value)?;
        let constants = self.constants(values)?;
        let texts = || constants.iter().map(|(value, _)| value.as_text().into_owned());
        let set = if case == Case::Ignored {
            require!(matches!(kind, Type::Text | Type::Dynamic), "in~ compares strings.");
            Set::Folded(texts().map(|text| text.to_lowercase()).collect())
        } else if constants.iter().all(|(_, kind)| matches!(kind, Type::Text | Type::Dynamic))
            && matches!(kind, Type::Text | Type::Dynamic)
        {
            Set::Texts(texts().collect())
        } else {
            let mut common = kind;
            for (_, constant) in &constants {
                common = comparable(common, *constant)?;
            }
            Set::Values(common, constants.into_iter().map(|(value, _)| value).collect())
        };
        Ok((Node::Within(set, sense, Box::new(value)), Type::Bool))
    }

    fn has_each(
        &self,
        quantity: Quantity,
        hay: &Expr,
        values: &[Expr],
    ) -> Result<(Node, Type), QueryError> {
        let test = TextTest { place: Place::Term, case: Case::Ignored };
        let constants = self.constants(values)?;
        let needles = constants.iter().map(|(value, _)| Needle::new(test, &value.as_text()));
        let needles = needles.collect();
        Ok((Node::HasEach(quantity, needles, Box::new(self.expr(hay)?.0)), Type::Bool))
    }

    fn constant_text(&self, expr: &Expr) -> Result<String, QueryError> {
        match self.expr(expr)? {
            (Node::Const(text), Type::Text) => Ok(text.as_text().into_owned()),
            _ => Err(QueryError::semantic("The argument must be a constant string.")),
        }
    }

    fn pattern(&self, expr: &Expr) -> Result<Regex, QueryError> {
        compile(&self.constant_text(expr)?)
    }

    fn call(&self, name: &str, arguments: &[Named]) -> Result<(Node, Type), QueryError> {
        let all: Vec<&Expr> = arguments.iter().map(|argument| &argument.expr).collect();
        let boxed = |expr: &Expr| Ok::<_, QueryError>(Box::new(self.expr(expr)?.0));
        let unit = |expr: &Expr| {
            let name = self.constant_text(expr)?;
            Unit::named(&name)
                .ok_or_else(|| QueryError::semantic(format!("Unknown part of a date: '{name}'.")))
        };
        let time = |expr: &Expr| {
            let (node, kind) = self.expr(expr)?;
            require!(kind == Type::Time, "The argument must be a datetime.");
            Ok::<_, QueryError>(Box::new(node))
        };
        match (name, all.as_slice()) {
            ("not", [inner]) => Ok((Node::Not(Box::new(self.condition(inner)?)), Type::Bool)),
            ("iff" | "iif", [when, then, rest]) => self.case(&[when, then, rest]),
            ("case", all) if all.len() >= 3 && all.len() % 2 == 1 => self.case(all),
            ("coalesce", all) if (2..=64).contains(&all.len()) => {
                let nodes = all.iter().map(|one| self.expr(one)).collect::<Result<Vec<_>, _>>()?;
                let kind = common(nodes.iter().map(|(_, kind)| *kind))?;
                Ok((Node::Coalesce(nodes.into_iter().map(|(node, _)| node).collect(), kind), kind))
            }
            ("now", []) => Ok((Node::Now(None, Sense::Is), Type::Time)),
            ("now" | "ago", [offset]) => {
                let (offset, kind) = self.expr(offset)?;
                require!(kind == Type::Span, "The argument must be a timespan.");
                let sense = if name == "now" { Sense::Is } else { Sense::IsNot };
                Ok((Node::Now(Some(Box::new(offset)), sense), Type::Time))
            }
            ("datetime_diff", [part, later, earlier]) => {
                Ok((Node::Difference(unit(part)?, time(later)?, time(earlier)?), Type::Long))
            }
            ("datetime_add", [part, count, at]) => {
                let (count, kind) = self.expr(count)?;
                require!(kind == Type::Long, "The amount must be a whole number.");
                Ok((Node::AddTime(unit(part)?, Box::new(count), time(at)?), Type::Time))
            }
            ("datetime_part", [part, at]) => {
                Ok((Node::TimePart(unit(part)?, time(at)?), Type::Long))
            }
            ("extract", [pattern, group, text]) => Ok((
                Node::Extract(self.pattern(pattern)?, boxed(group)?, boxed(text)?, Type::Text),
                Type::Text,
            )),
            ("extract", [pattern, group, text, Expr::Literal(Literal::Null(kind))]) => Ok((
                Node::Extract(self.pattern(pattern)?, boxed(group)?, boxed(text)?, *kind),
                *kind,
            )),
            ("replace_regex", [text, pattern, by]) | ("replace", [pattern, by, text]) => {
                let by = rewrite(&self.constant_text(by)?);
                let (pattern, text) = (self.pattern(pattern)?, boxed(text)?);
                Ok((Node::Replace { pattern, by, text }, Type::Text))
            }
            ("trim" | "trim_start" | "trim_end", [pattern, text]) => {
                let pattern = self.constant_text(pattern)?;
                // One match is cut, not all: the portal cuts the last part of an id with it.
                let pattern = match name {
                    "trim_start" => format!("^(?:{pattern})"),
                    "trim_end" => format!("(?:{pattern})$"),
                    _ => format!("^(?:{pattern})|(?:{pattern})$"),
                };
                Ok((Node::Trim(compile(&pattern)?, boxed(text)?), Type::Text))
            }
            ("format_datetime", [_, picture]) => {
                let known = time::format(Timestamp::UNIX_EPOCH, &self.constant_text(picture)?);
                require!(known.is_some(), "format_datetime(): unknown format specifier.");
                self.plain_call(name, &all)
            }
            _ => self.plain_call(name, &all),
        }
    }

    fn case(&self, all: &[&Expr]) -> Result<(Node, Type), QueryError> {
        let mut kinds = Vec::new();
        let mut arms = Vec::new();
        let mut rest = Node::Const(Cell::Null);
        for pair in all.chunks(2) {
            if let [when, then] = pair {
                let (then, kind) = self.expr(then)?;
                kinds.push(kind);
                arms.push((self.condition(when)?, then));
            } else if let [other] = pair {
                let (other, kind) = self.expr(other)?;
                kinds.push(kind);
                rest = other;
            }
        }
        let kind = common(kinds.into_iter())?;
        Ok((Node::Case(arms, Box::new(rest), kind), kind))
    }

    fn plain_call(&self, name: &str, all: &[&Expr]) -> Result<(Node, Type), QueryError> {
        let function = function::named(name);
        let Some(function) = function else {
            let known = [
                "not",
                "iff",
                "iif",
                "case",
                "coalesce",
                "now",
                "ago",
                "datetime_diff",
                "datetime_add",
                "datetime_part",
                "extract",
                "replace_regex",
                "replace",
                "trim",
                "trim_start",
                "trim_end",
            ];
            return Err(if known.contains(&name) {
                QueryError::semantic(format!("{name}(): wrong number or kind of arguments."))
            } else {
                QueryError::function(name)
            });
        };
        require!(
            (function.least..=function.most).contains(&all.len()),
            format!(
                "{name}(): function expects {} to {} argument(s).",
                function.least, function.most
            ),
        );
        let mut nodes = Vec::new();
        let mut first = Type::Dynamic;
        for (at, argument) in all.iter().enumerate() {
            let (node, kind) = self.expr(argument)?;
            // The last parameter stands for all further ones.
            let takes = function.takes.get(at).or(function.takes.last());
            require!(
                takes.is_some_and(|takes| takes.accepts(kind)),
                format!("{name}(): argument #{} has type {}.", at + 1, kind.name()),
            );
            if at == 0 {
                first = kind;
            } else if matches!(name, "bin" | "floor") {
                let spans = matches!(first, Type::Time | Type::Span) && kind == Type::Span;
                require!(
                    spans || (first.is_number() && kind.is_number()),
                    format!("{name}(): cannot round {} by {}.", first.name(), kind.name()),
                );
                if kind == Type::Real {
                    first = Type::Real;
                }
            }
            nodes.push(node);
        }
        let kind = match function.returns {
            Returns::This(kind) => kind,
            Returns::First => first,
        };
        let node = match (name, nodes.len()) {
            (
                "tostring" | "toguid" | "tolong" | "todouble" | "toreal" | "tobool" | "toboolean"
                | "todatetime",
                1,
            ) => Node::Cast(kind, Box::new(nodes.remove(0))),
            ("tolower", 1) => Node::Lower(Box::new(nodes.remove(0))),
            _ => Node::Call(function.call, nodes),
        };
        Ok((node, kind))
    }
}

/// The name Kusto gives a column that was given none.
pub(super) fn given_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Name(name) => Some(name.clone()),
        Expr::Member(base, key) => Some(format!("{}_{key}", path_name(base)?)),
        Expr::Index(base, index) => match index.as_ref() {
            Expr::Literal(Literal::Long(at)) => Some(format!("{}_{at}", path_name(base)?)),
            _ => None,
        },
        Expr::Call(name, arguments) => {
            let first = arguments.first()?;
            let argument = || first.name.clone().or_else(|| given_name(&first.expr));
            match function::named(name)?.naming {
                Naming::Argument => argument(),
                Naming::Both => Some(format!("{name}_{}", argument().unwrap_or_default())),
                Naming::Number => None,
            }
        }
        _ => None,
    }
}

fn path_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Name(_) | Expr::Member(..) | Expr::Index(..) => given_name(expr),
        _ => None,
    }
}

/// The step that an index is, where it is always the same.
fn step(index: &Expr) -> Option<Step> {
    match index {
        Expr::Literal(Literal::Long(at)) => Some(Step::At(*at)),
        _ => None,
    }
}

/// One piece of a text, out of the arguments of `split`; none where it may be anything else.
fn piece(arguments: &mut Vec<Node>, step: &Step) -> Option<Node> {
    let (Step::At(at), [_, Node::Const(Cell::Text(delimiter))]) = (step, arguments.as_slice())
    else {
        return None;
    };
    let at = usize::try_from(*at).ok().filter(|_| !delimiter.is_empty())?;
    let delimiter = delimiter.clone().into_owned();
    Some(Node::Piece(Box::new(arguments.swap_remove(0)), delimiter, at))
}

fn constant(literal: &Literal) -> (Node, Type) {
    let (cell, kind) = match literal {
        Literal::Null(kind) => (Cell::none(*kind), *kind),
        Literal::Bool(value) => (Cell::Bool(*value), Type::Bool),
        Literal::Long(value) => (Cell::Long(*value), Type::Long),
        Literal::Real(value) => (Cell::Real(*value), Type::Real),
        Literal::Text(text) => (Cell::text(text.clone()), Type::Text),
        Literal::Time(at) => (Cell::Time(*at), Type::Time),
        Literal::Span(span) => (Cell::Span(*span), Type::Span),
        Literal::Dynamic(value) => (Cell::owned(value.clone()), Type::Dynamic),
    };
    (Node::Const(cell), kind)
}

/// The type two values are compared as. A dynamic takes the other's; two of them are not compared.
fn comparable(left: Type, right: Type) -> Result<Type, QueryError> {
    match (left, right) {
        (Type::Dynamic, other) | (other, Type::Dynamic) if other != Type::Dynamic => Ok(other),
        (left, right) if left == right && left != Type::Dynamic => Ok(left),
        (left, right) if left.is_number() && right.is_number() => Ok(Type::Real),
        (left, right) => Err(QueryError::semantic(format!(
            "Cannot compare values of types {} and {}. Try adding explicit casts.",
            left.name(),
            right.name()
        ))),
    }
}

/// The one type of the arms of a `case`.
fn common(kinds: impl Iterator<Item = Type>) -> Result<Type, QueryError> {
    let mut kinds = kinds;
    let mut common = kinds.next().unwrap_or(Type::Dynamic);
    for kind in kinds {
        common = match (common, kind) {
            (left, right) if left == right => left,
            (left, right) if left.is_number() && right.is_number() => Type::Real,
            // A dynamic arm makes the whole dynamic.
            (Type::Dynamic, _) | (_, Type::Dynamic) => Type::Dynamic,
            (left, right) => {
                return Err(QueryError::semantic(format!(
                    "The arguments have the types {} and {}. Try adding explicit casts.",
                    left.name(),
                    right.name()
                )));
            }
        };
    }
    Ok(common)
}

pub(super) fn compile(pattern: &str) -> Result<Regex, QueryError> {
    let built =
        RegexBuilder::new(pattern).size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build();
    // Kusto escapes a slash, which is not special; Rust's syntax takes that too.
    built.map_err(|_| QueryError::semantic("Regex pattern is ill-formed."))
}

/// Kusto writes a group as `\1`, the regex library as `${1}`.
fn rewrite(by: &str) -> String {
    let mut out = String::new();
    let mut chars = by.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '$' => out.push_str("$$"),
            '\\' => match chars.peek() {
                Some(digit) if digit.is_ascii_digit() => {
                    out.push_str("${");
                    out.push(*digit);
                    out.push('}');
                    chars.next();
                }
                Some('\\') => {
                    out.push('\\');
                    chars.next();
                }
                _ => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}
