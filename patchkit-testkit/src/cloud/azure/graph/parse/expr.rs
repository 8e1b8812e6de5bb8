//! The expressions of a query.

use serde_json::Value;

use super::{
    super::{
        QueryError,
        ast::{Case, Compare, Expr, Literal, Math, Named, Place, Quantity, Sense, TextTest},
        lex::{Kind, unescape},
        time,
        value::Type,
    },
    Parser,
};

/// How strongly an operator binds, weakest first.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Binding {
    Or,
    And,
    Test,
    Sum,
    Product,
}

/// Operators that no expression takes for a column, unless in brackets.
const RESERVED: [&str; 6] = ["extend", "join", "project", "summarize", "union", "where"];

/// Links of one chain, such as `a + b + c`: they nest, so their number is limited.
const MAX_CHAIN: usize = 64;

impl<'t> Parser<'t> {
    pub(super) fn expr(&mut self) -> Result<Expr, QueryError> {
        self.nested(|parser| parser.binary(Binding::Or))
    }

    fn binary(&mut self, least: Binding) -> Result<Expr, QueryError> {
        let mut left = self.unary()?;
        let mut links = 0;
        while let Some((binding, word)) =
            self.operator_ahead().filter(|(binding, _)| *binding >= least)
        {
            links += 1;
            if links > MAX_CHAIN {
                return Err(self.unexpected());
            }
            left = match binding {
                Binding::Or => Expr::Or(self.chain(left, "or", Binding::And)?),
                Binding::And => Expr::And(self.chain(left, "and", Binding::Test)?),
                Binding::Test => self.test(left, word)?,
                Binding::Sum | Binding::Product => {
                    self.at += 1;
                    // A product's right side is one value; a sum's may be a product.
                    let right = if binding == Binding::Product {
                        self.unary()?
                    } else {
                        self.nested(|parser| parser.binary(Binding::Product))?
                    };
                    Expr::Math(math(word), Box::new(left), Box::new(right))
                }
            };
        }
        Ok(left)
    }

    /// The sides of a row of `and`s or `or`s: kept flat, so that a long one does not nest.
    fn chain(&mut self, first: Expr, word: &str, next: Binding) -> Result<Vec<Expr>, QueryError> {
        let mut sides = vec![first];
        while self.take_word(word).is_some() {
            sides.push(self.nested(|parser| parser.binary(next))?);
        }
        Ok(sides)
    }

    fn operator_ahead(&self) -> Option<(Binding, &'t str)> {
        let (binding, word) = match self.kind() {
            Kind::Sign(sign @ ("==" | "=~" | "!=" | "!~" | "<" | "<=" | ">" | ">=")) => {
                (Binding::Test, *sign)
            }
            Kind::Sign(sign @ ("+" | "-")) => (Binding::Sum, *sign),
            Kind::Sign(sign @ ("*" | "/" | "%")) => (Binding::Product, *sign),
            Kind::Word(word) => match *word {
                "or" => (Binding::Or, "or"),
                "and" => (Binding::And, "and"),
                word if is_test(word) => (Binding::Test, word),
                _ => return None,
            },
            _ => return None,
        };
        Some((binding, word))
    }

    fn test(&mut self, left: Expr, word: &str) -> Result<Expr, QueryError> {
        self.at += 1;
        let left = Box::new(left);
        if let Some(compare) = compare(word) {
            return Ok(Expr::Compare(compare, left, self.side()?));
        }
        let (sense, positive) = match word.strip_prefix('!') {
            Some(rest) => (Sense::IsNot, rest),
            None => (Sense::Is, word),
        };
        match positive {
            "in" => Ok(Expr::Within(Case::Kept, sense, left, self.values()?)),
            "in~" => Ok(Expr::Within(Case::Ignored, sense, left, self.values()?)),
            "has_any" => Ok(Expr::HasEach(Quantity::Any, left, self.values()?)),
            "has_all" => Ok(Expr::HasEach(Quantity::All, left, self.values()?)),
            "between" => {
                self.sign("(")?;
                let low = self.expr()?;
                self.sign("..")?;
                let high = self.expr()?;
                self.sign(")")?;
                Ok(Expr::Between(sense, left, Box::new(low), Box::new(high)))
            }
            "matches" => {
                self.word("regex")?;
                Ok(Expr::Matches(left, self.side()?))
            }
            _ => {
                let test = text_test(positive).ok_or_else(|| self.unexpected())?;
                Ok(Expr::Text(test, sense, left, self.side()?))
            }
        }
    }

    fn side(&mut self) -> Result<Box<Expr>, QueryError> {
        Ok(Box::new(self.nested(|parser| parser.binary(Binding::Sum))?))
    }

    /// A list in parentheses.
    fn values(&mut self) -> Result<Vec<Expr>, QueryError> {
        self.sign("(")?;
        let values = self.list(Self::expr)?;
        self.sign(")")?;
        Ok(values)
    }

    fn unary(&mut self) -> Result<Expr, QueryError> {
        if self.take_sign("-").is_some() {
            let inner = self.nested(Self::unary)?;
            return Ok(match inner {
                Expr::Literal(Literal::Long(value)) => {
                    Expr::Literal(Literal::Long(value.wrapping_neg()))
                }
                Expr::Literal(Literal::Real(value)) => Expr::Literal(Literal::Real(-value)),
                inner => Expr::Negate(Box::new(inner)),
            });
        }
        if self.take_sign("+").is_some() {
            return self.nested(Self::unary);
        }
        let mut expr = self.primary()?;
        let mut links = 0;
        loop {
            if self.is_sign(".") {
                self.at += 1;
                expr = Expr::Member(Box::new(expr), self.member()?);
            } else if self.is_sign("[") {
                self.at += 1;
                let index = self.expr()?;
                self.sign("]")?;
                expr = match index {
                    Expr::Literal(Literal::Text(name)) => Expr::Member(Box::new(expr), name),
                    index => Expr::Index(Box::new(expr), Box::new(index)),
                };
            } else {
                return Ok(expr);
            }
            links += 1;
            if links > MAX_CHAIN {
                return Err(self.unexpected());
            }
        }
    }

    /// A property's name; `$type` and `['odata.type']` are names too.
    fn member(&mut self) -> Result<String, QueryError> {
        match self.kind() {
            Kind::Word(word) if word.starts_with('$') => {
                let name = (*word).to_owned();
                self.at += 1;
                Ok(name)
            }
            _ => self.name(),
        }
    }

    fn primary(&mut self) -> Result<Expr, QueryError> {
        let literal = match self.kind() {
            Kind::Text(text) => Literal::Text(text.to_string()),
            Kind::Long(value) => Literal::Long(*value),
            Kind::Real(value) => Literal::Real(*value),
            Kind::Span(value) => Literal::Span(*value),
            Kind::Literal(kind, inside) => {
                raw_literal(kind, inside).ok_or_else(|| self.unexpected())?
            }
            Kind::Sign("(") => {
                self.at += 1;
                let inner = self.expr()?;
                self.sign(")")?;
                return Ok(inner);
            }
            Kind::Sign("*") => {
                self.at += 1;
                return Ok(Expr::Star);
            }
            Kind::Word(word) => match *word {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                _ => return self.name_or_call(),
            },
            Kind::Sign("[") => return Ok(Expr::Name(self.name()?)),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(Expr::Literal(literal))
    }

    fn name_or_call(&mut self) -> Result<Expr, QueryError> {
        // The operators that are words must not pass as columns.
        if let Kind::Word(word) = self.kind()
            && (is_test(word) || matches!(*word, "and" | "or" | "by" | "with" | "on"))
        {
            return Err(self.unexpected());
        }
        let start = self.at;
        let name = self.name()?;
        if RESERVED.contains(&name.as_str()) {
            // The service reads the keyword and fails behind it: "where where" fails at its end
            // (Azure/azure-powershell, the query error test of Search-AzGraph).
            return Err(self.unexpected());
        }
        if !self.is_sign("(") {
            return Ok(Expr::Name(name));
        }
        if name == "typeof" {
            self.at = start;
            return Ok(Expr::Literal(Literal::Null(self.type_of()?)));
        }
        self.at += 1;
        if self.take_sign(")").is_some() {
            return Ok(Expr::Call(name, Vec::new()));
        }
        let arguments: Vec<Named> = self.list(|parser| parser.nested(Self::named))?;
        self.sign(")")?;
        Ok(typed_literal(&name, &arguments).unwrap_or(Expr::Call(name, arguments)))
    }
}

fn math(sign: &str) -> Math {
    match sign {
        "+" => Math::Add,
        "-" => Math::Subtract,
        "*" => Math::Multiply,
        "/" => Math::Divide,
        _ => Math::Modulo,
    }
}

fn compare(sign: &str) -> Option<Compare> {
    Some(match sign {
        "==" => Compare::Equal,
        "!=" => Compare::NotEqual,
        "=~" => Compare::Alike,
        "!~" => Compare::NotAlike,
        "<" => Compare::Less,
        "<=" => Compare::LessOrEqual,
        ">" => Compare::Greater,
        ">=" => Compare::GreaterOrEqual,
        _ => return None,
    })
}

/// `int(5)`, `long(null)`, `bool(true)`: literals in the form of calls.
fn typed_literal(name: &str, arguments: &[Named]) -> Option<Expr> {
    let known = match name {
        "int" | "long" => Type::Long,
        "real" | "double" => Type::Real,
        "bool" | "boolean" => Type::Bool,
        _ => return None,
    };
    let [Named { name: None, expr }] = arguments else { return None };
    let literal = match (known, expr) {
        (known, Expr::Name(name)) if name == "null" => Literal::Null(known),
        (Type::Long, Expr::Literal(Literal::Long(value))) => Literal::Long(*value),
        #[expect(clippy::cast_precision_loss, reason = "a real literal without a point")]
        (Type::Real, Expr::Literal(Literal::Long(value))) => Literal::Real(*value as f64),
        (Type::Real, Expr::Literal(Literal::Real(value))) => Literal::Real(*value),
        (Type::Bool, Expr::Literal(Literal::Bool(value))) => Literal::Bool(*value),
        _ => return None,
    };
    Some(Expr::Literal(literal))
}

fn raw_literal(kind: &str, inside: &str) -> Option<Literal> {
    let unquoted = inside.trim_matches(['"', '\'']);
    match kind {
        "datetime" | "date" if inside == "null" => Some(Literal::Null(Type::Time)),
        "datetime" | "date" => time::instant(unquoted).map(Literal::Time),
        "timespan" | "time" if inside == "null" => Some(Literal::Null(Type::Span)),
        "timespan" | "time" => time::span(unquoted).map(Literal::Span),
        "guid" => Some(Literal::Text(unquoted.to_owned())),
        _ if inside == "null" => Some(Literal::Null(Type::Dynamic)),
        _ => dynamic(inside).map(Literal::Dynamic),
    }
}

/// A dynamic literal: JSON, and single quotes are as good as double ones.
fn dynamic(inside: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(inside) {
        return Some(value);
    }
    let mut json = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = rest.find(['\'', '"']) {
        let quote = rest.get(at..)?.chars().next()?;
        json.push_str(rest.get(..at)?);
        let (text, len) = unescape(rest.get(at + 1..)?, quote)?;
        json.push_str(&Value::from(text).to_string());
        rest = rest.get(at + 1 + len..)?;
    }
    json.push_str(rest);
    serde_json::from_str(&json).ok()
}

fn is_test(word: &str) -> bool {
    let positive = word.strip_prefix('!').unwrap_or(word);
    matches!(positive, "in" | "in~" | "between")
        || matches!(word, "has_any" | "has_all" | "matches")
        || text_test(positive).is_some()
}

fn text_test(word: &str) -> Option<TextTest> {
    let (word, case) = match word.strip_suffix("_cs") {
        Some(word) => (word, Case::Kept),
        None => (word, Case::Ignored),
    };
    let place = match word {
        "contains" => Place::Anywhere,
        "startswith" => Place::Start,
        "endswith" => Place::End,
        "has" => Place::Term,
        "hasprefix" => Place::TermStart,
        "hassuffix" => Place::TermEnd,
        _ => return None,
    };
    Some(TextTest { place, case })
}
