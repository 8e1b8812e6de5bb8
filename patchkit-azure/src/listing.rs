//! The pages of Resource Manager.

use std::sync::Arc;

use azure_core::http::Url;
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{Result, paginate};
use serde_json::Value;

use crate::{
    client::Client,
    error::{PROVIDER, malformed},
    limit::Charge,
};

impl Client {
    /// The items of a list of Resource Manager, over its pages.
    pub(crate) fn list(
        self: &Arc<Self>,
        operation: &'static str,
        charge: Charge,
        first: Url,
    ) -> BoxStream<'static, Result<Value>> {
        let client = Arc::clone(self);
        paginate(PROVIDER, operation, move |next| {
            let (client, charge, first) = (Arc::clone(&client), charge.clone(), first.clone());
            async move {
                let url = match next {
                    Some(link) => client.given(operation, &link)?,
                    None => first,
                };
                let mut page = client.get(operation, charge, url).await?.value(operation)?;
                let items = rows(operation, page["value"].take())?;
                Ok((items, page[NEXT].as_str().map(str::to_owned)))
            }
        })
    }
}

/// Where a page of Resource Manager has the address of the next one.
pub(crate) const NEXT: &str = "nextLink";

/// The rows of a page; a list that is `null` has none (azure-sdk-for-rust issue 1113).
pub(crate) fn rows(operation: &'static str, list: Value) -> Result<Vec<Value>> {
    match list {
        Value::Array(rows) => Ok(rows),
        Value::Null => Ok(Vec::new()),
        _ => Err(malformed(operation, "a page has something else than a list")),
    }
}

/// Lists what is in the lists of a listing, one by one.
pub(crate) fn spread<T: Send + 'static>(
    listing: impl Stream<Item = Result<Vec<T>>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let items = |list: Result<Vec<T>>| match list {
        Ok(items) => stream::iter(items).map(Ok).left_stream(),
        Err(error) => stream::iter([Err(error)]).right_stream(),
    };
    listing.flat_map(items).boxed()
}
