//! Pages: a token is a place in a listing, and good for that listing alone.

use base64_simd::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{AwsError, Call, object};
use crate::rng::mix;

/// A page of a listing: where it begins, and how many items it may hold.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    start: usize,
    size: usize,
    listing: u64,
}

impl Page {
    /// The page that an input asks for by `NextToken` and `MaxResults`.
    ///
    /// # Errors
    /// `InvalidNextToken` where the token was not given out for the same listing.
    pub(crate) fn of(call: &Call<'_>, input: &Value, usual: usize) -> Result<Self, AwsError> {
        Self::named(call, input, usual, ["NextToken", "MaxResults"])
    }

    /// The page that an input asks for by members of other names.
    pub(crate) fn named(
        call: &Call<'_>,
        input: &Value,
        usual: usize,
        [token, limit]: [&str; 2],
    ) -> Result<Self, AwsError> {
        let size = input[limit].as_u64().and_then(|it| usize::try_from(it).ok()).unwrap_or(usual);
        let listing = listing(call, input, [token, limit]);
        let start = match input[token].as_str() {
            None | Some("") => 0,
            Some(token) => read(token, listing).ok_or_else(AwsError::next_token)?,
        };
        call.page.set(Some(Place { listing, start }));
        Ok(Self { start, size, listing })
    }

    /// The items of the page, and the token of the next one.
    pub(crate) fn cut<T>(&self, items: impl IntoIterator<Item = T>) -> (Vec<T>, Option<String>) {
        let mut items = items.into_iter().skip(self.start);
        let page: Vec<T> = items.by_ref().take(self.size).collect();
        let more = items.next().is_some();
        (page, more.then(|| write(self.start + self.size, self.listing)))
    }
}

/// The answer of a listing: its items, which `json!` would copy, and the token of the next page.
pub(crate) fn answer(name: &str, items: Vec<Value>, next: Option<String>) -> Value {
    object([(name, items.into()), ("NextToken", next.into())])
}

/// Where a page begins, in which listing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    listing: u64,
    start: usize,
}

impl Place {
    /// A token for a place so many items on in the same listing. It differs from every other token
    /// of the place where `again` does.
    pub(crate) fn token(self, items: usize, again: u64) -> String {
        let token = format!("{:016x}:{}:{again}", self.listing, self.start + items);
        URL_SAFE_NO_PAD.encode_to_string(token)
    }

    /// How often the place was already asked for in vain, by its token.
    pub(crate) fn again(token: &str) -> u64 {
        let bytes = URL_SAFE_NO_PAD.decode_to_vec(token).unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap_or_default();
        text.splitn(3, ':').nth(2).and_then(|it| it.parse().ok()).unwrap_or(0)
    }
}

/// A number that differs between listings: the operation, the scope and all that was asked.
fn listing(call: &Call<'_>, input: &Value, paging: [&str; 2]) -> u64 {
    let mut sum = mix(u64::from(call.scope.0));
    let mut add = |text: &str| {
        for byte in text.bytes() {
            sum = mix(sum ^ u64::from(byte));
        }
    };
    add(call.operation);
    if let Value::Object(members) = input {
        for (name, value) in members {
            if !paging.contains(&name.as_str()) {
                add(name);
                add(&value.to_string());
            }
        }
    }
    sum
}

fn write(start: usize, listing: u64) -> String {
    URL_SAFE_NO_PAD.encode_to_string(format!("{listing:016x}:{start}"))
}

fn read(token: &str, listing: u64) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(token).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?;
    let (of, start) = text.split_once(':')?;
    let start = start.split_once(':').map_or(start, |(start, _)| start);
    (of == format!("{listing:016x}")).then(|| start.parse().ok())?
}
