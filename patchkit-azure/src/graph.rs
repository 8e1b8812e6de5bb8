//! Resource Graph: one query over many subscriptions, a thousand rows at a time.

use std::{fmt, sync::Arc};

use azure_core::http::Method;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{AccountId, Result, listing::until_error, paginate};
use serde_json::{Value, json};

use crate::{
    client::Client,
    error::{Call, PROVIDER, malformed},
    limit::Charge,
    listing::rows,
};

const OPERATION: &str = "Resources";
const VERSION: &str = "2024-04-01";
const PATH: &str = "/providers/Microsoft.ResourceGraph/resources";

/// As many rows as an answer has ("Working with large Azure resource data sets").
pub(crate) const PAGE: u16 = 1_000;

/// Fewer subscriptions than 300 are to be named in a query ("Guidance for throttled requests in Azure
/// Resource Graph").
pub(crate) const BATCH: usize = 200;

impl Client {
    /// The rows of a query over some subscriptions.
    ///
    /// The query must project `id`: without it the service gives no token for a next page.
    pub(crate) fn graph(
        self: &Arc<Self>,
        query: String,
        subscriptions: &[AccountId],
    ) -> BoxStream<'static, Result<Value>> {
        self.query(query, subscriptions, BATCH, self.page.at_most(PAGE))
    }

    /// The rows of a query that summarizes, which have no `id` and come on one page: of so many
    /// subscriptions at once that they fit.
    pub(crate) fn summary(
        self: &Arc<Self>,
        query: String,
        subscriptions: &[AccountId],
        at_once: usize,
    ) -> BoxStream<'static, Result<Value>> {
        self.query(query, subscriptions, at_once.min(BATCH), PAGE)
    }

    fn query(
        self: &Arc<Self>,
        query: String,
        subscriptions: &[AccountId],
        at_once: usize,
        top: u16,
    ) -> BoxStream<'static, Result<Value>> {
        let query: Arc<str> = query.into();
        let batches: Vec<Arc<[String]>> = subscriptions
            .chunks(at_once.max(1))
            .map(|batch| batch.iter().map(ToString::to_string).collect())
            .collect();
        let client = Arc::clone(self);
        let pages = move |batch: Arc<[String]>| {
            let (client, query) = (Arc::clone(&client), Arc::clone(&query));
            paginate(PROVIDER, OPERATION, move |token| {
                let (client, query, batch) =
                    (Arc::clone(&client), Arc::clone(&query), Arc::clone(&batch));
                async move { client.graph_page(&query, &batch, top, token).await }
            })
        };
        until_error(stream::iter(batches).map(pages).flatten())
    }

    async fn graph_page(
        &self,
        query: &str,
        subscriptions: &[String],
        top: u16,
        token: Option<String>,
    ) -> Result<(Vec<Value>, Option<String>)> {
        let mut options = json!({"$top": top, "resultFormat": "objectArray"});
        if let Some(token) = token {
            options["$skipToken"] = token.into();
        }
        let body = json!({"subscriptions": subscriptions, "query": query, "options": options});
        let url = self.url(PATH, VERSION);
        let reply = self
            .send_json(Call::Read(OPERATION), Charge::graph(), Method::Post, url, &body)
            .await?;
        let mut page = reply.value(OPERATION)?;
        let rows = rows(OPERATION, page["data"].take())?;
        // A list that is `null` on a page that is said to have rows is one that was lost.
        if let Some(told) = page["count"].as_u64().filter(|told| *told > 0 && rows.is_empty()) {
            return Err(malformed(OPERATION, format!("a page of {told} rows has none")));
        }
        let next = page["$skipToken"].as_str().map(str::to_owned);
        // It comes as a text.
        let cut =
            page["resultTruncated"].as_str().is_some_and(|it| it.eq_ignore_ascii_case("true"));
        if cut && next.is_none() {
            let message = "the answer was cut, and there is no token for the rest";
            return Err(malformed(OPERATION, message));
        }
        Ok((rows, next))
    }
}

/// A text in a query, quoted so that it stays one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Literal<'a>(pub(crate) &'a str);

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\'' => f.write_str("\\'")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("'")
    }
}

/// Texts in a query, in parentheses as `in` wants them.
pub(crate) fn literals<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| Literal(text).to_string()).collect();
    format!("({})", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_itself() {
        for (text, literal) in [
            ("web", "'web'"),
            ("it's", r"'it\'s'"),
            (r"a\", r"'a\\'"),
            (r"\' or 1==1 //", r"'\\\' or 1==1 //'"),
            ("a\nb\u{1}", r"'a\nb\u0001'"),
            ("ü", "'ü'"),
        ] {
            assert_eq!(Literal(text).to_string(), literal);
        }
        assert_eq!(literals(["a", "b'"]), r"('a', 'b\'')");
    }
}
