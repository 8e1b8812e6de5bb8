//! The lake of a snapshot that was opened without it.

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{Error, ErrorKind, Result};

use crate::{ListEntry, ObjectBody, ObjectSource};

/// A lake that is not at hand: only its place is known.
#[derive(Debug)]
pub(super) struct Absent(pub(super) Option<String>);

fn absent(operation: &'static str) -> Error {
    let message = "the snapshot was opened without its lake";
    Error::new(ErrorKind::Unsupported, "lake", operation, message)
}

#[async_trait]
impl ObjectSource for Absent {
    fn list(&self) -> BoxStream<'static, Result<ListEntry>> {
        stream::iter([Err(absent("list"))]).boxed()
    }

    async fn get(&self, _: &str) -> Result<ObjectBody> {
        Err(absent("get"))
    }

    fn in_flight(&self) -> usize {
        1
    }

    fn place(&self) -> Option<String> {
        self.0.clone()
    }
}
