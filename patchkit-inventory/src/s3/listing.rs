//! The keys of a bucket, listed by many at once.
//!
//! A listing goes page after page, each begun where the one before it ended: 100,000 objects take 29
//! seconds so. The lake's own folders are what splits it: they are found first, and their pages then
//! come side by side.

use std::{collections::VecDeque, sync::Arc};

use aws_sdk_s3::{
    operation::list_objects_v2::ListObjectsV2Output,
    types::{CommonPrefix, Object},
};
use futures::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use patchkit_core::{Error, ErrorKind, Page, Result, paginate};

use super::{S3Source, client::classify};
use crate::{ChangeMark, InventoryType, ListEntry};

/// How many folders are listed at once: a page takes some 0.3 s, so these give 100 pages a second.
const LISTERS: usize = 32;

/// Most folders that one folder of unknown use is split into. A request for each is worth it for the
/// few that stand above a lake, and not for the hundred thousand that commands write their output to.
const MOST_UNKNOWN: usize = 100;

/// How deep folders of unknown use are looked into for those of a lake.
const MOST_DEEP: usize = 4;

/// A folder that is still to be listed.
#[derive(Debug)]
struct Folder {
    /// What its keys begin with, with the slash.
    start: String,
    split: Split,
}

/// How a folder is listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Split {
    /// One of the lake above its leaves: its folders are listed by themselves.
    Always,
    /// One of unknown use, so many folders down: split where it has few folders.
    IfFew(usize),
    /// Whole, page by page.
    Never,
}

/// What a page of a listing holds.
enum Found {
    Object(ListEntry),
    Folder(Folder),
}

impl Split {
    /// How the folder of that name is listed, inside one that is listed so.
    fn of(self, name: &str) -> Self {
        let partition = name.split_once('=').map(|(partition, _)| partition);
        let is = |wanted: &str| partition.is_some_and(|name| name.eq_ignore_ascii_case(wanted));
        match self {
            _ if InventoryType::is_type_segment(name) || is("accountid") => Self::Always,
            Self::Always if is("region") => Self::Always,
            Self::IfFew(depth) if depth < MOST_DEEP => Self::IfFew(depth + 1),
            _ => Self::Never,
        }
    }
}

/// Lists everything below the start of the lake.
pub(super) fn list(source: &S3Source) -> BoxStream<'static, Result<ListEntry>> {
    let root = Folder { start: source.location.start(), split: Split::IfFew(0) };
    let walk =
        Walk { source: source.clone(), pending: VecDeque::from([root]), running: SelectAll::new() };
    stream::unfold(Some(walk), |walk| async {
        let mut walk = walk?;
        match walk.next().await? {
            Ok(entry) => Some((Ok(entry), Some(walk))),
            // Without one folder the listing is not whole, whatever the others would give.
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

struct Walk {
    source: S3Source,
    pending: VecDeque<Folder>,
    running: SelectAll<BoxStream<'static, Result<Found>>>,
}

impl Walk {
    async fn next(&mut self) -> Option<Result<ListEntry>> {
        loop {
            while self.running.len() < LISTERS
                && let Some(folder) = self.pending.pop_front()
            {
                self.running.push(listed(self.source.clone(), folder));
            }
            match self.running.next().await? {
                Ok(Found::Object(entry)) => return Some(Ok(entry)),
                // The deepest first, so that few wait.
                Ok(Found::Folder(folder)) => self.pending.push_front(folder),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The objects of one folder, and the folders in it that are listed by themselves.
fn listed(source: S3Source, folder: Folder) -> BoxStream<'static, Result<Found>> {
    match folder.split {
        Split::Always | Split::Never => pages(source, folder),
        Split::IfFew(_) => stream::once(async move {
            let page = source.page(&folder, None).await;
            match page {
                Err(error) => stream::iter([Err(error)]).boxed(),
                Ok((found, rest)) => {
                    let folders = found.iter().filter(|it| matches!(it, Found::Folder(_))).count();
                    if rest.is_none() && folders <= MOST_UNKNOWN {
                        return stream::iter(found).map(Ok).boxed();
                    }
                    pages(source, Folder { split: Split::Never, ..folder })
                }
            }
        })
        .flatten()
        .boxed(),
    }
}

fn pages(source: S3Source, folder: Folder) -> BoxStream<'static, Result<Found>> {
    let folder = Arc::new(folder);
    paginate("s3", "list", move |token| {
        let (source, folder) = (source.clone(), Arc::clone(&folder));
        async move { source.page(&folder, token).await }
    })
}

impl S3Source {
    async fn page(&self, folder: &Folder, token: Option<String>) -> Result<Page<Found>> {
        let delimiter = (folder.split != Split::Never).then(|| "/".to_owned());
        let request = self
            .client
            .list_objects_v2()
            .bucket(self.location.bucket())
            .set_prefix(Some(folder.start.clone()).filter(|start| !start.is_empty()))
            .set_delimiter(delimiter)
            .set_continuation_token(token);
        let shown = self.location.to_string();
        let page = request.send().await.map_err(|e| classify("list", &shown, e))?;
        let token = page.next_continuation_token.clone().filter(|token| !token.is_empty());
        if page.is_truncated == Some(true) && token.is_none() {
            let message = "the service said that more objects come, and not from where on";
            return Err(Error::new(ErrorKind::Malformed, "s3", "list", message));
        }
        Ok((self.found(folder, page)?, token))
    }

    fn found(&self, folder: &Folder, page: ListObjectsV2Output) -> Result<Vec<Found>> {
        // The listing asks for the prefix, so every key begins with it.
        let skip = self.location.start().len();
        let objects = page.contents.unwrap_or_default();
        let objects = objects.iter().filter_map(|object| entry(object, skip));
        let mut found: Vec<_> = objects.map(Found::Object).collect();
        for CommonPrefix { prefix, .. } in page.common_prefixes.unwrap_or_default() {
            let start = prefix.unwrap_or_default();
            let name = start.strip_prefix(&folder.start).and_then(|name| name.strip_suffix('/'));
            let Some(name) = name else {
                // To go on with it would be to list for ever, to pass it over to lose its objects.
                let message = format!("the service named a folder {start:?} outside the one asked");
                return Err(Error::new(ErrorKind::Malformed, "s3", "list", message));
            };
            let split = folder.split.of(name);
            found.push(Found::Folder(Folder { start, split }));
        }
        Ok(found)
    }
}

fn entry(object: &Object, skip: usize) -> Option<ListEntry> {
    let size = object.size.and_then(|size| u64::try_from(size).ok());
    let mark = mark(object);
    let key = object.key.as_deref().and_then(|key| key.get(skip..))?;
    (!key.is_empty()).then(|| ListEntry::Object { key: key.into(), size, mark })
}

/// The object's ETag with its time: an object may be written over between the listing and the reading
/// and then be given its old bytes back, and with them its old ETag.
fn mark(object: &Object) -> Option<ChangeMark> {
    let etag = object.e_tag.as_deref().filter(|etag| !etag.is_empty())?;
    let at = object.last_modified.map(|at| at.as_nanos()).unwrap_or_default();
    Some(ChangeMark::new(format!("{etag} {at:x} {:x}", object.size.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_folders_of_a_lake_are_split_without_end() {
        let root = Split::IfFew(0);
        let of = |path: &str| path.split('/').fold(root, Split::of);
        for (path, split) in [
            ("AWS:Tag", Split::Always),
            ("sync", Split::IfFew(1)),
            ("sync/prod/Custom:Rack", Split::Always),
            ("AWS:Tag/accountid=111122223333/region=eu-west-1", Split::Always),
            ("AWS:Tag/accountid=1/region=r/resourcetype=ManagedInstanceInventory", Split::Never),
            ("AWS:Tag/AccountId=1/other=2", Split::Never),
            ("a/b/c/d", Split::IfFew(4)),
            ("a/b/c/d/e", Split::Never),
        ] {
            assert_eq!(of(path), split, "{path}");
        }
    }

    #[test]
    fn without_an_etag_there_is_no_mark() {
        assert_eq!(mark(&Object::builder().size(7).build()), None);
        assert_eq!(mark(&Object::builder().e_tag("").build()), None);
        let tagged = mark(&Object::builder().e_tag("\"a\"").size(7).build()).unwrap();
        let other = mark(&Object::builder().e_tag("\"a\"").size(8).build()).unwrap();
        assert_ne!(tagged, other);
    }
}
