//! The tabular operators of a query.
//!
//! The parser is our own: what is refused is refused at the line and character that the service
//! names, and nesting is bounded, whoever sends the query.

mod expr;

use super::{
    QueryError,
    ast::{
        Distinct, Expand, JoinKind, Named, Nulls, Operator, Order, Part, Pipeline, Script, SortKey,
        UnionKind, Wildcard,
    },
    lex::{Kind, Token, failure, lex},
    value::Type,
};

/// Deeper nesting than anyone writes, and shallow enough for any thread's stack.
const MAX_DEPTH: usize = 48;

/// Operators of one query, those of its joined tables included.
const MAX_OPERATORS: usize = 200;

/// What begins a query that has no table in front: it is then `resources` (query-language.md).
const OPERATORS: [&str; 22] = [
    "count",
    "distinct",
    "extend",
    "join",
    "limit",
    "mv-expand",
    "mvexpand",
    "order",
    "parse",
    "project",
    "project-away",
    "project-keep",
    "project-rename",
    "project-reorder",
    "sort",
    "summarize",
    "take",
    "top",
    "union",
    "where",
    "filter",
    "let",
];

/// Operators of Kusto that Resource Graph does not have: refused by name, not by position.
const FOREIGN: [&str; 35] = [
    "as",
    "consume",
    "datatable",
    "evaluate",
    "externaldata",
    "facet",
    "find",
    "fork",
    "getschema",
    "graph-match",
    "invoke",
    "lookup",
    "macro-expand",
    "make-graph",
    "make-series",
    "mv-apply",
    "parse-kv",
    "parse-where",
    "partition",
    "print",
    "project-by-names",
    "range",
    "reduce",
    "render",
    "sample",
    "sample-distinct",
    "scan",
    "search",
    "serialize",
    "top-hitters",
    "top-nested",
    "materialize",
    "declare",
    "set",
    "restrict",
];

pub(super) fn parse(text: &str) -> Result<Script, QueryError> {
    let tokens = lex(text)?;
    let mut parser = Parser { text, tokens, at: 0, depth: 0, operators: 0 };
    parser.script()
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token<'t>>,
    at: usize,
    depth: usize,
    operators: usize,
}

impl<'t> Parser<'t> {
    fn kind(&self) -> &Kind<'t> {
        self.ahead(0)
    }

    fn ahead(&self, count: usize) -> &Kind<'t> {
        self.tokens.get(self.at + count).map_or(&Kind::End, |token| &token.kind)
    }

    /// The refusal of the token that is next.
    fn unexpected(&self) -> QueryError {
        let Some(token) = self.tokens.get(self.at) else {
            return failure(self.text, self.text.len(), "<EOF>");
        };
        let shown = match token.kind {
            Kind::End => "<EOF>",
            _ => self.text.get(token.start..token.end).unwrap_or_default(),
        };
        failure(self.text, token.start, shown)
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.kind(), Kind::Sign(next) if *next == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.kind(), Kind::Word(next) if *next == word)
    }

    fn take_sign(&mut self, sign: &str) -> Option<()> {
        self.is_sign(sign).then(|| self.at += 1)
    }

    fn take_word(&mut self, word: &str) -> Option<()> {
        self.is_word(word).then(|| self.at += 1)
    }

    fn sign(&mut self, sign: &str) -> Result<(), QueryError> {
        self.take_sign(sign).ok_or_else(|| self.unexpected())
    }

    fn word(&mut self, word: &str) -> Result<(), QueryError> {
        self.take_word(word).ok_or_else(|| self.unexpected())
    }

    fn name(&mut self) -> Result<String, QueryError> {
        let (name, tokens) = self.name_ahead().ok_or_else(|| self.unexpected())?;
        let name = name.to_owned();
        self.at += tokens;
        Ok(name)
    }

    /// The name that is next, and how many tokens it is.
    fn name_ahead(&self) -> Option<(&str, usize)> {
        match self.kind() {
            Kind::Word(word) if !word.starts_with(['!', '$']) && !word.ends_with('~') => {
                Some((word, 1))
            }
            // A bracketed name may be any text: ['type'].
            Kind::Sign("[") => match (self.ahead(1), self.ahead(2)) {
                (Kind::Text(name), Kind::Sign("]")) => Some((name, 3)),
                _ => None,
            },
            _ => None,
        }
    }

    fn number(&mut self) -> Result<usize, QueryError> {
        let Kind::Long(count) = *self.kind() else { return Err(self.unexpected()) };
        let count = usize::try_from(count).map_err(|_| self.unexpected())?;
        self.at += 1;
        Ok(count)
    }

    /// One level deeper, if there is room.
    fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.unexpected());
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, QueryError>,
    ) -> Result<Vec<T>, QueryError> {
        let mut items = vec![item(self)?];
        while self.take_sign(",").is_some() {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn script(&mut self) -> Result<Script, QueryError> {
        let mut lets = Vec::new();
        while self.take_word("let").is_some() {
            let name = self.name()?;
            self.sign("=")?;
            lets.push((name, self.expr()?));
            self.sign(";")?;
        }
        let pipeline = self.pipeline()?;
        // One statement; a semicolon may end it.
        while self.take_sign(";").is_some() {}
        match self.kind() {
            Kind::End => Ok(Script { lets, pipeline }),
            _ => Err(self.unexpected()),
        }
    }

    /// An operator's name, hyphens included, if one is next: the name and its count of tokens.
    fn operator_name(&self) -> Option<(&'t str, usize)> {
        let Kind::Word(first) = self.kind() else { return None };
        let mut len = 1;
        // A hyphen belongs to the name only without spaces: `project-away`, not `a - b`.
        let touches = |at: usize| {
            matches!(
                (self.tokens.get(self.at + at), self.tokens.get(self.at + at + 1)),
                (Some(left), Some(right)) if left.end == right.start
            )
        };
        while matches!(self.ahead(len), Kind::Sign("-")) && touches(len - 1) && touches(len) {
            let Kind::Word(_) = self.ahead(len + 1) else { break };
            len += 2;
        }
        let ends = [self.tokens.get(self.at)?.start, self.tokens.get(self.at + len - 1)?.end];
        let name = if len == 1 { first } else { self.text.get(ends[0]..ends[1])? };
        Some((name, len))
    }

    fn pipeline(&mut self) -> Result<Pipeline, QueryError> {
        let mut operators = Vec::new();
        let (name, len) = self.operator_name().ok_or_else(|| self.unexpected())?;
        let next = self.ahead(len);
        let headless = OPERATORS.contains(&name)
            && (name == "count" || !matches!(next, Kind::Sign("|" | ")") | Kind::End));
        let table = if headless {
            if name == "union" {
                // The service takes `union` only behind a table.
                self.at += 1;
                let table = self.subquery()?.table;
                return Err(QueryError::leading_union(&table));
            }
            operators.push(self.operator()?);
            "resources".to_owned()
        } else if FOREIGN.contains(&name) && !matches!(next, Kind::Sign("|") | Kind::End) {
            return Err(QueryError::language(name));
        } else {
            self.at += 1;
            name.to_owned()
        };
        while self.take_sign("|").is_some() {
            operators.push(self.operator()?);
        }
        Ok(Pipeline { table, operators })
    }

    fn operator(&mut self) -> Result<Operator, QueryError> {
        self.operators += 1;
        if self.operators > MAX_OPERATORS {
            return Err(QueryError::option("QueryTooLong", "The query has too many operators."));
        }
        let (name, len) = self.operator_name().ok_or_else(|| self.unexpected())?;
        if FOREIGN.contains(&name) {
            return Err(QueryError::language(name));
        }
        if !OPERATORS.contains(&name) || name == "let" {
            return Err(self.unexpected());
        }
        self.at += len;
        match name {
            "where" | "filter" => Ok(Operator::Where(self.expr()?)),
            "extend" => Ok(Operator::Extend(self.list(Self::named)?)),
            "project" => Ok(Operator::Project(self.list(Self::named)?)),
            "project-away" => Ok(Operator::ProjectAway(self.list(Self::wildcard)?)),
            "project-keep" => Ok(Operator::ProjectKeep(self.list(Self::wildcard)?)),
            "project-reorder" => Ok(Operator::ProjectReorder(self.list(Self::wildcard)?)),
            "project-rename" => Ok(Operator::ProjectRename(self.list(|parser| {
                let new = parser.name()?;
                parser.sign("=")?;
                Ok((new, parser.name()?))
            })?)),
            "summarize" => self.summarize(),
            "distinct" if self.take_sign("*").is_some() => {
                Ok(Operator::Distinct(Distinct::Everything))
            }
            "distinct" => Ok(Operator::Distinct(Distinct::Of(self.list(Self::named)?))),
            "count" => Ok(Operator::Count),
            "order" | "sort" => {
                self.word("by")?;
                Ok(Operator::Sort(self.list(Self::sort_key)?))
            }
            "take" | "limit" => Ok(Operator::Take(self.number()?)),
            "top" => {
                let count = self.number()?;
                self.word("by")?;
                Ok(Operator::Top(count, self.list(Self::sort_key)?))
            }
            "mv-expand" | "mvexpand" => self.expand(),
            "parse" => self.parse_operator(),
            "join" => self.join(),
            _ => self.union(),
        }
    }

    fn named(&mut self) -> Result<Named, QueryError> {
        let ahead = self.name_ahead().map(|(_, tokens)| tokens);
        let has_name = ahead.is_some_and(|it| matches!(self.ahead(it), Kind::Sign("=")));
        let name = if has_name { Some(self.name()?) } else { None };
        self.at += usize::from(has_name);
        Ok(Named { name, expr: self.expr()? })
    }

    fn wildcard(&mut self) -> Result<Wildcard, QueryError> {
        let start = self.at;
        let mut pattern = String::new();
        loop {
            let touches = self.at == start
                || self.tokens.get(self.at - 1).map(|token| token.end)
                    == self.tokens.get(self.at).map(|token| token.start);
            if touches && self.take_sign("*").is_some() {
                pattern.push('*');
            } else if touches && (self.is_sign("[") || matches!(self.kind(), Kind::Word(_))) {
                pattern.push_str(&self.name()?);
            } else {
                break;
            }
        }
        if pattern.is_empty() { Err(self.unexpected()) } else { Ok(Wildcard(pattern)) }
    }

    fn summarize(&mut self) -> Result<Operator, QueryError> {
        let values = if self.is_word("by") { Vec::new() } else { self.list(Self::named)? };
        let by = match self.take_word("by") {
            Some(()) => self.list(Self::named)?,
            None => Vec::new(),
        };
        Ok(Operator::Summarize { values, by })
    }

    fn sort_key(&mut self) -> Result<SortKey, QueryError> {
        let expr = self.expr()?;
        let order = if self.take_word("asc").is_some() {
            Order::Ascending
        } else {
            // Kusto sorts downwards when nothing is said.
            let _said = self.take_word("desc");
            Order::Descending
        };
        let nulls = if self.take_word("nulls").is_none() {
            match order {
                Order::Ascending => Nulls::First,
                Order::Descending => Nulls::Last,
            }
        } else if self.take_word("first").is_some() {
            Nulls::First
        } else {
            self.word("last")?;
            Nulls::Last
        };
        Ok(SortKey { expr, order, nulls })
    }

    fn expand(&mut self) -> Result<Operator, QueryError> {
        let mut index = None;
        while let (Kind::Word(word), Kind::Sign("=")) = (self.kind(), self.ahead(1)) {
            match *word {
                "bagexpansion" | "kind" => {
                    self.at += 2;
                    match self.name()?.as_str() {
                        "bag" => {}
                        other => return Err(QueryError::language(other)),
                    }
                }
                "with_itemindex" => {
                    self.at += 2;
                    index = Some(self.name()?);
                }
                _ => break,
            }
        }
        let items = self.list(|parser| {
            let value = parser.named()?;
            let to = match parser.take_word("to") {
                Some(()) => Some(parser.type_of()?),
                None => None,
            };
            Ok(Expand { value, to })
        })?;
        // Resource Graph expands a row to 128 rows unless asked, and to 2,000 at most
        // (query-language.md, supported tabular operators).
        let mut limit = 128;
        if self.take_word("limit").is_some() {
            limit = self.number()?;
            if limit > 2_000 {
                let message = "The row limit of mv-expand must not exceed 2000.";
                return Err(QueryError::limit("DisallowedMvExpandRowLimit", message));
            }
        }
        Ok(Operator::Expand { items, limit, index })
    }

    /// `typeof(string)`.
    fn type_of(&mut self) -> Result<Type, QueryError> {
        self.word("typeof")?;
        // `typeof(datetime)` has the form of a literal only where the type is followed by `(`.
        self.sign("(")?;
        let known = self.type_name()?;
        self.sign(")")?;
        Ok(known)
    }

    fn type_name(&mut self) -> Result<Type, QueryError> {
        let Kind::Word(word) = self.kind() else { return Err(self.unexpected()) };
        let known = Type::named(word).ok_or_else(|| self.unexpected())?;
        self.at += 1;
        Ok(known)
    }

    fn parse_operator(&mut self) -> Result<Operator, QueryError> {
        if self.is_word("kind") && matches!(self.ahead(1), Kind::Sign("=")) {
            self.at += 2;
            let kind = self.name()?;
            if kind != "simple" {
                return Err(QueryError::language(&kind));
            }
        }
        let value = self.expr()?;
        self.word("with")?;
        let mut pattern = Vec::new();
        loop {
            match self.kind() {
                Kind::Sign("*") => {
                    self.at += 1;
                    pattern.push(Part::Any);
                }
                Kind::Text(text) => {
                    pattern.push(Part::Text(text.to_string()));
                    self.at += 1;
                }
                Kind::Word(_) | Kind::Sign("[") => {
                    let name = self.name()?;
                    let kind = match self.take_sign(":") {
                        Some(()) => self.type_name()?,
                        None => Type::Text,
                    };
                    pattern.push(Part::Column(name, kind));
                }
                _ if pattern.is_empty() => return Err(self.unexpected()),
                _ => return Ok(Operator::Parse { value, pattern }),
            }
        }
    }

    /// A table, or a pipeline in parentheses.
    fn subquery(&mut self) -> Result<Pipeline, QueryError> {
        if self.take_sign("(").is_some() {
            let inner = self.nested(Self::pipeline)?;
            self.sign(")")?;
            return Ok(inner);
        }
        Ok(Pipeline { table: self.name()?, operators: Vec::new() })
    }

    fn join(&mut self) -> Result<Operator, QueryError> {
        let mut kind = JoinKind::InnerUnique;
        if self.is_word("kind") {
            self.at += 1;
            self.sign("=")?;
            let name = self.name()?;
            kind = match name.as_str() {
                "inner" => JoinKind::Inner,
                "innerunique" => JoinKind::InnerUnique,
                "leftouter" => JoinKind::LeftOuter,
                "fullouter" => JoinKind::FullOuter,
                "leftanti" | "anti" | "leftantisemi" => {
                    return Err(QueryError::join_kind("LeftAnti"));
                }
                "leftsemi" => return Err(QueryError::join_kind("LeftSemi")),
                "rightanti" | "rightantisemi" => return Err(QueryError::join_kind("RightAnti")),
                "rightsemi" => return Err(QueryError::join_kind("RightSemi")),
                "rightouter" => return Err(QueryError::join_kind("RightOuter")),
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected());
                }
            };
        }
        if self.is_word("hint") {
            // "Custom join strategies aren't allowed" (query-language.md).
            return Err(QueryError::language("hint"));
        }
        let right = self.subquery()?;
        self.word("on")?;
        let mut on = Vec::new();
        loop {
            on.push(self.join_key()?);
            if self.take_sign(",").is_none() && self.take_word("and").is_none() {
                return Ok(Operator::Join { kind, right, on });
            }
        }
    }

    fn join_key(&mut self) -> Result<(String, String), QueryError> {
        let side = |parser: &mut Self| -> Result<(&'t str, String), QueryError> {
            let Kind::Word(side) = parser.kind() else { return Err(parser.unexpected()) };
            let side = *side;
            parser.at += 1;
            parser.sign(".")?;
            Ok((side, parser.name()?))
        };
        if !matches!(self.kind(), Kind::Word("$left" | "$right")) {
            let name = self.name()?;
            return Ok((name.clone(), name));
        }
        let start = self.at;
        let first = side(self)?;
        self.sign("==")?;
        let second = side(self)?;
        match (first.0, second.0) {
            ("$left", "$right") => Ok((first.1, second.1)),
            ("$right", "$left") => Ok((second.1, first.1)),
            _ => {
                self.at = start;
                Err(self.unexpected())
            }
        }
    }

    fn union(&mut self) -> Result<Operator, QueryError> {
        let (mut kind, mut source) = (UnionKind::Outer, None);
        while let (Kind::Word(word), Kind::Sign("=")) = (self.kind(), self.ahead(1)) {
            match *word {
                "kind" => {
                    self.at += 2;
                    kind = match self.name()?.as_str() {
                        "inner" => UnionKind::Inner,
                        "outer" => UnionKind::Outer,
                        _ => {
                            self.at -= 1;
                            return Err(self.unexpected());
                        }
                    };
                }
                "withsource" => {
                    self.at += 2;
                    source = Some(self.name()?);
                }
                // "Fuzzy resolution of union leg tables isn't allowed" (query-language.md).
                other => return Err(QueryError::language(other)),
            }
        }
        Ok(Operator::Union { kind, source, legs: self.list(Self::subquery)? })
    }
}
