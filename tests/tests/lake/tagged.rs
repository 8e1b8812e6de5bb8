//! Listings as S3 answers them and s3s-fs does not: with ETags, and without walking the whole bucket for
//! the page of one folder.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::SystemTime,
};

use s3s::{
    S3, S3Request, S3Response, S3Result,
    dto::{
        CommonPrefix, CreateBucketInput, CreateBucketOutput, ETag, GetObjectInput, GetObjectOutput,
        ListObjectsV2Input, ListObjectsV2Output, Object, PutObjectInput, PutObjectOutput,
        Timestamp,
    },
};
use s3s_fs::FileSystem;

pub(crate) struct Tagged {
    files: FileSystem,
    root: PathBuf,
}

impl Tagged {
    pub(crate) fn new(files: FileSystem, root: &Path) -> Self {
        Self { files, root: root.to_owned() }
    }
}

/// What a listing shows of a key: an object, or all that is below a folder.
enum Shown {
    Object(u64, SystemTime),
    Folder,
}

fn etag(key: &str, size: u64, modified: SystemTime) -> ETag {
    let mut hasher = DefaultHasher::new();
    (key, size, modified).hash(&mut hasher);
    ETag::Strong(format!("{:016x}", hasher.finish()))
}

/// Everything in a folder, or one level of it.
fn walk(folder: &Path, start: &str, levels: usize, shown: &mut BTreeMap<String, Shown>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(Result::unwrap) {
        let key = format!("{start}{}", entry.file_name().to_str().unwrap());
        let metadata = entry.metadata().unwrap();
        if !metadata.is_dir() {
            shown.insert(key, Shown::Object(metadata.len(), metadata.modified().unwrap()));
        } else if levels == 1 {
            shown.insert(format!("{key}/"), Shown::Folder);
        } else {
            walk(&entry.path(), &format!("{key}/"), levels - 1, shown);
        }
    }
}

#[async_trait::async_trait]
impl S3 for Tagged {
    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = &request.input;
        let prefix = input.prefix.clone().unwrap_or_default();
        let bucket = self.root.join(&input.bucket);
        // What is not a folder of a bucket that is there, s3s-fs answers.
        if !bucket.is_dir() || !(prefix.is_empty() || prefix.ends_with('/')) {
            return self.files.list_objects_v2(request).await;
        }
        let mut shown = BTreeMap::new();
        let levels = if input.delimiter.is_some() { 1 } else { usize::MAX };
        walk(&bucket.join(&prefix), &prefix, levels, &mut shown);
        let after = input.continuation_token.clone().unwrap_or_default();
        let mut rest = shown.into_iter().skip_while(|(key, _)| *key <= after).peekable();
        let (mut contents, mut folders, mut last) = (Vec::new(), Vec::new(), None);
        for (key, what) in rest.by_ref().take(1_000) {
            last = Some(key.clone());
            match what {
                Shown::Folder => folders.push(CommonPrefix { prefix: Some(key) }),
                Shown::Object(size, modified) => contents.push(Object {
                    e_tag: Some(etag(&key, size, modified)),
                    key: Some(key),
                    last_modified: Some(Timestamp::from(modified)),
                    size: Some(i64::try_from(size).unwrap()),
                    ..Object::default()
                }),
            }
        }
        let more = rest.peek().is_some();
        Ok(S3Response::new(ListObjectsV2Output {
            contents: Some(contents),
            common_prefixes: Some(folders),
            is_truncated: Some(more),
            next_continuation_token: last.filter(|_| more),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        self.files.create_bucket(request).await
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.files.put_object(request).await
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.files.get_object(request).await
    }
}
