//! The query language, as far as it is served: `SELECT` of columns or `*`, and `WHERE` with `=`,
//! `!=`, `<>`, `<`, `<=`, `>`, `>=`, `IN`, `LIKE`, `AND`, `OR`, `NOT` and parentheses.
//!
//! It is read here and not by a parser of SQL: columns such as `configuration.AWS:Tag` are none of
//! SQL's, there is no `FROM`, and what is not served must be refused, which with a parser of all of
//! SQL is more work than to read this little.

use std::{cmp::Ordering, iter::Peekable, str::CharIndices};

use regex::Regex;
use serde_json::{Map, Value};

/// How deep conditions may nest.
const DEEPEST: usize = 32;

/// A query.
#[derive(Debug)]
pub(super) struct Select {
    /// The columns in their order; none: `*`.
    pub(super) columns: Vec<String>,
    condition: Condition,
}

#[derive(Debug)]
enum Condition {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Test { column: String, test: Test },
}

#[derive(Debug)]
enum Test {
    OneOf(Vec<Value>),
    Differs(Value),
    /// Compares so with a value.
    Order(&'static [Ordering], Value),
    Like(Regex),
}

impl Select {
    /// Reads a query.
    ///
    /// # Errors
    /// Where it is none, or goes beyond what is served.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
        let select = parser.select()?;
        match parser.next() {
            None => Ok(select),
            Some(token) => Err(format!("{} is not served here", token.shown())),
        }
    }

    /// All columns that it names.
    pub(super) fn named_columns(&self) -> Vec<&str> {
        let mut named: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        self.condition.collect(&mut named);
        named
    }

    /// The one value that a column must have for anything to be found, where there is one.
    pub(super) fn must_be(&self, column: &str) -> Option<&str> {
        self.condition.must_be(column)
    }

    pub(super) fn finds(&self, item: &Value) -> bool {
        self.condition.holds(item)
    }

    /// The columns of an item, as deep as they are in it.
    pub(super) fn pick(columns: &[&str], item: &Value) -> Value {
        let paths: Vec<Vec<&str>> = columns.iter().map(|it| it.split('.').collect()).collect();
        let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
        prune(item, &paths).unwrap_or_else(|| Value::Object(Map::new()))
    }
}

/// What of a value is at some paths.
fn prune(value: &Value, paths: &[&[&str]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value.clone());
    }
    match value {
        Value::Object(members) => {
            let mut picked = Map::new();
            for (name, member) in members {
                let under = paths.iter().filter(|path| path[0] == name).map(|path| &path[1..]);
                let under: Vec<&[&str]> = under.collect();
                if !under.is_empty()
                    && let Some(member) = prune(member, &under)
                {
                    picked.insert(name.clone(), member);
                }
            }
            Some(Value::Object(picked))
        }
        Value::Array(items) => items.iter().map(|item| prune(item, paths)).collect(),
        _ => None,
    }
}

impl Condition {
    fn collect<'c>(&'c self, into: &mut Vec<&'c str>) {
        match self {
            Self::All(all) | Self::Any(all) => all.iter().for_each(|it| it.collect(into)),
            Self::Not(it) => it.collect(into),
            Self::Test { column, .. } => into.push(column),
        }
    }

    fn must_be(&self, of: &str) -> Option<&str> {
        match self {
            Self::All(all) => all.iter().find_map(|it| it.must_be(of)),
            Self::Test { column, test: Test::OneOf(values) } if column == of => match &values[..] {
                [value] => value.as_str(),
                _ => None,
            },
            _ => None,
        }
    }

    fn holds(&self, item: &Value) -> bool {
        match self {
            Self::All(all) => all.iter().all(|it| it.holds(item)),
            Self::Any(all) => all.iter().any(|it| it.holds(item)),
            Self::Not(it) => !it.holds(item),
            Self::Test { column, test } => any(item, column, &|value| test.passes(value)),
        }
    }
}

/// Whether a value at a path is so: of a list, whether one of its items is.
fn any(value: &Value, path: &str, is: &dyn Fn(&Value) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| any(item, path, is)),
        _ if path.is_empty() => is(value),
        _ => {
            let (name, rest) = path.split_once('.').unwrap_or((path, ""));
            value.get(name).is_some_and(|value| any(value, rest, is))
        }
    }
}

impl Test {
    fn passes(&self, value: &Value) -> bool {
        match self {
            Self::OneOf(values) => {
                values.iter().any(|it| compare(value, it) == Some(Ordering::Equal))
            }
            Self::Differs(other) => compare(value, other).is_some_and(Ordering::is_ne),
            Self::Order(wanted, other) => {
                compare(value, other).is_some_and(|it| wanted.contains(&it))
            }
            Self::Like(pattern) => value.as_str().is_some_and(|it| pattern.is_match(it)),
        }
    }
}

/// Values of different kinds do not compare.
fn compare(value: &Value, other: &Value) -> Option<Ordering> {
    match (value, other) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(&'static str),
}

impl Token {
    fn shown(&self) -> &str {
        match self {
            Self::Word(text) | Self::Text(text) => text,
            Self::Sign(sign) => sign,
        }
    }

    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(it) if it.eq_ignore_ascii_case(word))
    }
}

/// Longer ones come first.
const SIGNS: [&str; 11] = ["<=", ">=", "<>", "!=", "=", "<", ">", "(", ")", ",", "*"];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.peek().copied() {
        if letter.is_whitespace() {
            letters.next();
        } else if letter == '\'' {
            letters.next();
            tokens.push(Token::Text(quoted(&mut letters)?));
        } else if is_of_word(letter) {
            let mut word = String::new();
            while let Some((_, letter)) = letters.next_if(|(_, it)| is_of_word(*it)) {
                word.push(letter);
            }
            tokens.push(Token::Word(word));
        } else if let Some(sign) = SIGNS.into_iter().find(|it| text[at..].starts_with(it)) {
            sign.chars().for_each(|_| {
                letters.next();
            });
            tokens.push(Token::Sign(sign));
        } else {
            return Err(format!("{letter} is not served here"));
        }
    }
    Ok(tokens)
}

/// A text up to its closing quote; two quotes in it are one.
fn quoted(letters: &mut Peekable<CharIndices<'_>>) -> Result<String, String> {
    let mut text = String::new();
    while let Some((_, letter)) = letters.next() {
        if letter != '\'' || letters.next_if(|(_, it)| *it == '\'').is_some() {
            text.push(letter);
        } else {
            return Ok(text);
        }
    }
    Err("a text has no end".to_owned())
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '.' | ':' | '-' | '/')
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += usize::from(token.is_some());
        token
    }

    /// Takes a word or a sign, where it comes next.
    fn take(&mut self, wanted: &str) -> bool {
        let is = self
            .peek()
            .is_some_and(|it| it.is(wanted) || matches!(it, Token::Sign(sign) if *sign == wanted));
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        if self.take(wanted) {
            return Ok(());
        }
        Err(format!("{wanted} is expected, not {}", self.peek().map_or("the end", Token::shown)))
    }

    fn select(&mut self) -> Result<Select, String> {
        self.expect("SELECT")?;
        let mut columns = Vec::new();
        if !self.take("*") {
            columns.push(self.column()?);
            while self.take(",") {
                columns.push(self.column()?);
            }
        }
        let condition =
            if self.take("WHERE") { self.any_of()? } else { Condition::All(Vec::new()) };
        Ok(Select { columns, condition })
    }

    fn column(&mut self) -> Result<String, String> {
        const KEYWORDS: [&str; 8] = ["AND", "FROM", "IN", "LIKE", "NOT", "OR", "SELECT", "WHERE"];
        match self.next() {
            Some(Token::Word(word)) if !KEYWORDS.iter().any(|it| word.eq_ignore_ascii_case(it)) => {
                Ok(word)
            }
            other => {
                let other = other.as_ref().map_or("the end", Token::shown);
                Err(format!("a column is expected, not {other}"))
            }
        }
    }

    fn any_of(&mut self) -> Result<Condition, String> {
        let mut any = vec![self.all_of()?];
        while self.take("OR") {
            any.push(self.all_of()?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Condition::Any(any) })
    }

    fn all_of(&mut self) -> Result<Condition, String> {
        let mut all = vec![self.one()?];
        while self.take("AND") {
            all.push(self.one()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::All(all) })
    }

    fn one(&mut self) -> Result<Condition, String> {
        if self.depth >= DEEPEST {
            return Err("the conditions nest too deep".to_owned());
        }
        self.depth += 1;
        let condition = if self.take("NOT") {
            Condition::Not(Box::new(self.one()?))
        } else if self.take("(") {
            let inner = self.any_of()?;
            self.expect(")")?;
            inner
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn test(&mut self) -> Result<Condition, String> {
        use Ordering::{Equal, Greater, Less};
        let column = self.column()?;
        let negated = self.take("NOT");
        let test = if self.take("IN") {
            self.expect("(")?;
            let mut values = vec![self.value()?];
            while self.take(",") {
                values.push(self.value()?);
            }
            self.expect(")")?;
            Test::OneOf(values)
        } else if self.take("LIKE") {
            match self.value()? {
                Value::String(pattern) => Test::Like(like(&pattern)?),
                _ => return Err("LIKE needs a text".to_owned()),
            }
        } else {
            let sign = match self.next() {
                Some(Token::Sign(sign)) if !negated => sign,
                other => {
                    let other = other.as_ref().map_or("the end", Token::shown);
                    return Err(format!("{other} is not served here"));
                }
            };
            let value = self.value()?;
            match sign {
                "=" => Test::OneOf(vec![value]),
                "!=" | "<>" => Test::Differs(value),
                "<" => Test::Order(&[Less], value),
                "<=" => Test::Order(&[Less, Equal], value),
                ">" => Test::Order(&[Greater], value),
                ">=" => Test::Order(&[Greater, Equal], value),
                other => return Err(format!("{other} is not served here")),
            }
        };
        let test = Condition::Test { column, test };
        Ok(if negated { Condition::Not(Box::new(test)) } else { test })
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.next() {
            Some(Token::Text(text)) => Ok(Value::String(text)),
            Some(token) if token.is("true") => Ok(Value::Bool(true)),
            Some(token) if token.is("false") => Ok(Value::Bool(false)),
            Some(Token::Word(word)) => {
                let number = word.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
                number.map(Value::Number).ok_or_else(|| format!("{word} is not a value"))
            }
            other => {
                let other = other.as_ref().map_or("the end", Token::shown);
                Err(format!("a value is expected, not {other}"))
            }
        }
    }
}

/// `%` is any text, `_` any letter.
fn like(pattern: &str) -> Result<Regex, String> {
    let pattern = regex::escape(pattern).replace('%', ".*").replace('_', ".");
    Regex::new(&format!("(?s)^{pattern}$")).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn finds(condition: &str) -> bool {
        let item = json!({
            "resourceId": "i-1",
            "size": 4,
            "tags": [{"key": "Env", "value": "prod"}, {"key": "Owner", "value": "a'b"}],
        });
        Select::read(&format!("select * where {condition}")).unwrap().finds(&item)
    }

    #[test]
    fn and_binds_before_or_and_a_list_matches_by_any_item() {
        assert!(finds("resourceId = 'i-1' OR size = 9 AND size = 8"));
        assert!(!finds("(resourceId = 'i-1' OR size = 9) AND size = 8"));
        assert!(finds("tags.value = 'prod' AND tags.value = 'a''b'"));
        assert!(finds("size >= 4 AND size < 4.5 AND NOT size > 4"));
        assert!(finds("resourceId LIKE 'i-%' AND resourceId NOT LIKE '_'"));
        assert!(finds("resourceId IN ('i-2', 'i-1') AND resourceId NOT IN ('i-2')"));
        assert!(!finds("absent <> 'x'"));
    }

    #[test]
    fn only_the_columns_that_are_named_are_picked_as_deep_as_they_are() {
        let item = json!({"a": {"b": [{"c": 1, "d": 2}, {"c": 3}], "e": 4}, "f": 5});
        let picked = Select::pick(&["a.b.c", "f"], &item);
        assert_eq!(picked, json!({"a": {"b": [{"c": 1}, {"c": 3}]}, "f": 5}));
    }

    #[test]
    fn what_is_not_served_is_refused_and_nothing_nests_without_end() {
        for text in [
            "",
            "select",
            "select from x",
            "select count(*)",
            "select a from b",
            "select a group by a",
            "select a where b",
            "select a where b = 'x",
            "select a where b = c",
            "select a where b = 'x' order by b",
            "select a where b not = 'x'",
            "delete a",
            "select a; select b",
        ] {
            assert!(Select::read(text).is_err(), "{text}");
        }
        for deep in ["(", "NOT "] {
            let text = format!("select a where {}b = 'x'", deep.repeat(10_000));
            assert!(Select::read(&text).is_err());
        }
    }
}
