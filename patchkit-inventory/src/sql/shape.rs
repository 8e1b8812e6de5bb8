//! How long and how deep a query may be.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{Statement, visit_relations},
    dialect::GenericDialect,
    keywords::Keyword,
    parser::Parser,
    tokenizer::{Token, Tokenizer},
};
use patchkit_core::Result;

use super::error::refused;

/// Longest query accepted: far longer than people write, and short enough to plan in no time.
pub const MAX_QUERY_BYTES: usize = 64 << 10;

/// Most operators of a query. The engine walks `1 + 1 + …` step into step, in planning and in running,
/// on the stacks of the caller's runtime: 300 steps fill one of 2 MiB in a build that is not
/// optimized. The values of a list and the columns of a selection are not counted.
pub(super) const MAX_OPERATORS: usize = 128;

/// Most tables that a query names, for the same reason: each joins the one before it.
const MAX_TABLES: usize = 32;

/// Refuses what is too long or too deep to be planned; what is no SQL is left to the planner to tell.
pub(super) fn check(sql: &str) -> Result<()> {
    if sql.len() > MAX_QUERY_BYTES {
        return Err(refused(format!("the query is longer than {MAX_QUERY_BYTES} bytes")));
    }
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, sql).tokenize().unwrap_or_default();
    if tokens.iter().filter(|token| is_operator(token)).count() > MAX_OPERATORS {
        return Err(refused(format!("the query has more than {MAX_OPERATORS} operators")));
    }
    let statements: Vec<Statement> = Parser::parse_sql(&dialect, sql).unwrap_or_default();
    let mut tables = 0_usize;
    let walk = visit_relations(&statements, |_| {
        tables += 1;
        if tables > MAX_TABLES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match walk {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            Err(refused(format!("the query names more than {MAX_TABLES} tables")))
        }
    }
}

/// Whether a token may put one expression or query into another without a parenthesis; of those the
/// parser counts the depth itself.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::BETWEEN
                | Keyword::CASE
                | Keyword::COLLATE
                | Keyword::EXCEPT
                | Keyword::ILIKE
                | Keyword::IN
                | Keyword::INTERSECT
                | Keyword::IS
                | Keyword::JOIN
                | Keyword::LIKE
                | Keyword::NOT
                | Keyword::OR
                | Keyword::SELECT
                | Keyword::UNION
                | Keyword::VALUES
        ),
        Token::Comma
        | Token::LParen
        | Token::RParen
        | Token::Period
        | Token::Whitespace(_)
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::SemiColon
        | Token::EOF => false,
        _ => true,
    }
}
