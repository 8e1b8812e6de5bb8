//! A page of a bucket's keys, in their order.
//!
//! s3s-fs 0.14 walks the whole bucket for each page, leaves out entity tags, and gives keys as they
//! are where `encoding-type=url` was asked for, which boto3 always does.

use std::{fs, io, path::Path, time::SystemTime, vec};

use super::names;

/// What tokens begin with, under their encoding: what begins otherwise is none.
const TOKEN: &str = "after:";

/// The token of the page after a key.
pub(super) fn token_of(key: &str) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(format!("{TOKEN}{key}"))
}

/// The key that a page begins after; none where the text is no token.
pub(super) fn key_of(token: &str) -> Option<String> {
    let text = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).ok()?;
    Some(String::from_utf8(text).ok()?.strip_prefix(TOKEN)?.to_owned())
}

/// What is asked for.
pub(super) struct Question {
    pub(super) after: Option<String>,
    pub(super) delimiter: Option<char>,
    pub(super) limit: usize,
    pub(super) prefix: String,
}

/// What is found.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<Found>,
    pub(super) prefixes: Vec<String>,
    /// The last of them all, where there is more.
    pub(super) next: Option<String>,
}

#[derive(Debug)]
pub(super) struct Found {
    /// The path of its file below the bucket's folder.
    pub(super) file: String,
    pub(super) key: String,
    pub(super) modified: SystemTime,
    pub(super) size: u64,
}

impl Question {
    /// The first keys of a bucket that answer it.
    ///
    /// # Behavior
    /// - Goes down only where answers may be, and stops at the last.
    /// - Keys with a delimiter behind the prefix are told once, up to the delimiter; what is so told
    ///   comes in order among the keys, and counts as one.
    pub(super) fn answer(&self, bucket: &Path) -> io::Result<Page> {
        let mut page = Page::default();
        let mut last = String::new();
        let mut open = vec![self.read(bucket, "", "")?];
        if self.limit == 0 {
            return Ok(page);
        }
        while let Some(folder) = open.last_mut() {
            let Some(Entry { key, file, is_folder }) = folder.next() else {
                open.pop();
                continue;
            };
            let common = self.common_prefix(&key);
            if common.is_none() && is_folder {
                open.push(self.read(bucket, &key, &file)?);
                continue;
            }
            let told = common.unwrap_or(&key);
            let is_told = told == last || self.after.as_deref().is_some_and(|after| told <= after);
            if is_told || (is_folder && !holds_file(&bucket.join(&file))?) {
                continue;
            }
            if page.objects.len() + page.prefixes.len() == self.limit {
                page.next = Some(last);
                break;
            }
            if common.is_some() {
                page.prefixes.push(told.to_owned());
            } else {
                let metadata = match fs::metadata(bucket.join(&file)) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    metadata => metadata?,
                };
                let (modified, size) = (metadata.modified()?, metadata.len());
                page.objects.push(Found { file, key: key.clone(), modified, size });
            }
            told.clone_into(&mut last);
        }
        Ok(page)
    }

    /// What a key is told as, if not as itself.
    fn common_prefix<'a>(&self, key: &'a str) -> Option<&'a str> {
        let rest = key.strip_prefix(&*self.prefix)?;
        let at = rest.find(self.delimiter?)?;
        // A delimiter is one byte.
        key.get(..=self.prefix.len() + at)
    }

    /// The entries of a folder that may hold answers, in the order of their keys; `path` is where it
    /// is below the bucket's.
    fn read(&self, bucket: &Path, folder: &str, path: &str) -> io::Result<vec::IntoIter<Entry>> {
        let entries = match fs::read_dir(bucket.join(path)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![].into_iter()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            // No request can name what is not UTF-8.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Some(segment) = names::unescaped(&name) else { continue };
            let is_folder = entry.file_type()?.is_dir();
            let end = if is_folder { "/" } else { "" };
            let (key, file) = (format!("{folder}{segment}{end}"), format!("{path}{name}{end}"));
            let inside = names::inner(&file);
            if is_folder && bucket.join(&inside).is_file() {
                let key = format!("{folder}{segment}");
                found.push(Entry { key, file: inside, is_folder: false });
            }
            found.push(Entry { key, file, is_folder });
        }
        found.retain(|entry| self.may_hold(entry));
        // With its slash, a folder stands where its keys do: `a.b` before `a/`.
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(found.into_iter())
    }

    fn may_hold(&self, Entry { key, is_folder, .. }: &Entry) -> bool {
        let within = key.starts_with(&*self.prefix);
        let over = *is_folder && self.prefix.starts_with(&**key);
        let is_past = self.after.as_deref().is_some_and(|after| {
            key.as_str() <= after && !(*is_folder && after.starts_with(&**key))
        });
        (within || over) && !is_past
    }
}

struct Entry {
    /// With a slash at its end for a folder.
    key: String,
    /// Its path below the bucket's folder, with the same slash.
    file: String,
    is_folder: bool,
}

/// Whether there is an object below a folder; the one whose path it is lies not below it.
fn holds_file(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_below = if entry.file_type()?.is_dir() {
            holds_any(&entry.path())?
        } else {
            entry.file_name().to_str().is_some_and(|it| names::unescaped(it).is_some())
        };
        if is_below {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether there is a file in a folder, of whatever object.
fn holds_any(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || holds_any(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{super::Root, *};

    /// All that is told, page by page, and each page's size.
    fn told(bucket: &Path, prefix: &str, delimiter: Option<char>, limit: usize) -> Vec<String> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let question = Question { after, delimiter, limit, prefix: prefix.to_owned() };
            let page = question.answer(bucket).unwrap();
            let mut told: Vec<String> = page.objects.into_iter().map(|found| found.key).collect();
            told.extend(page.prefixes);
            told.sort();
            assert!(told.len() <= limit);
            all.extend(told);
            match page.next {
                Some(next) => after = Some(next),
                None => return all,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn pages_tell_every_key_once_and_in_order(
            names in prop::collection::btree_set("(\\.object~?/?){0,1}[ab./-]{1,5}", 0..20),
            prefix in "[ab/]{0,2}",
            delimiter in prop::sample::select(vec![None, Some('/'), Some('-'), Some('a')]),
            limit in 1_usize..5,
        ) {
            let bucket = "example-bucket";
            let root = Root::open(None).unwrap();
            fs::create_dir(root.path().join(bucket)).unwrap();
            let mut keys = BTreeSet::new();
            for name in names.iter().filter(|name| super::super::guard::is_file_key(name)) {
                let file = root.make_room(bucket, name).unwrap();
                if !name.ends_with('/') {
                    fs::write(root.path().join(bucket).join(file), "x").unwrap();
                    keys.insert(name.clone());
                }
            }
            let expected: BTreeSet<String> = keys
                .iter()
                .filter_map(|key| {
                    let rest = key.strip_prefix(&*prefix)?;
                    let cut = delimiter.and_then(|delimiter| rest.find(delimiter));
                    Some(cut.map_or(key.clone(), |at| key[..=prefix.len() + at].to_owned()))
                })
                .collect();
            let expected: Vec<String> = expected.into_iter().collect();
            let bucket = root.path().join(bucket);
            prop_assert_eq!(told(&bucket, &prefix, delimiter, limit), expected);
        }
    }
}
