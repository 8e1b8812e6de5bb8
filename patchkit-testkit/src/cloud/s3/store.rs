//! The objects: s3s-fs, and what it lacks.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use futures::TryStreamExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{
    Body, S3, S3Error, S3Request, S3Response, S3Result,
    crypto::{Checksum, Md5},
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CommonPrefix,
        CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyObjectInput,
        CopyObjectOutput, CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput,
        CreateMultipartUploadOutput, DeleteBucketInput, DeleteBucketOutput,
        DeleteBucketPolicyInput, DeleteBucketPolicyOutput, DeleteObjectInput, DeleteObjectOutput,
        DeleteObjectsInput, DeleteObjectsOutput, ETag, EncodingType, GetBucketLocationInput,
        GetBucketLocationOutput, GetBucketPolicyInput, GetBucketPolicyOutput, GetObjectInput,
        GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
        ListBucketsInput, ListBucketsOutput, ListObjectsInput, ListObjectsOutput,
        ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, Object,
        ObjectStorageClass, PutBucketPolicyInput, PutBucketPolicyOutput, PutObjectInput,
        PutObjectOutput, StreamingBlob, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput,
        UploadPartOutput,
    },
    s3_error,
};
use s3s_fs::FileSystem;
use tokio::sync::Mutex;

use super::{
    Root,
    listing::{self, Found, Page, Question},
    location,
    names::is_absent,
    uploads::Upload,
};
use crate::cloud::aws::sigv4::hex;

/// What `encoding-type=url` leaves as it is.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

pub(super) struct Store {
    pub(super) files: FileSystem,
    pub(super) root: Arc<Root>,
    /// Held while an object is written on a condition.
    condition: Mutex<()>,
}

impl Store {
    pub(super) fn new(files: FileSystem, root: Arc<Root>) -> Self {
        Self { files, root, condition: Mutex::new(()) }
    }

    /// Where the policy of a bucket is kept.
    fn policy(&self, bucket: &str) -> PathBuf {
        self.root.sidecar(bucket, "", "policy")
    }

    /// Refuses to read what is no object, where its file would be this one: s3s-fs takes folders for
    /// objects, and an unknown bucket for an unknown key.
    pub(super) fn check_object(&self, bucket: &str, file: &str) -> S3Result<()> {
        self.root.check_bucket(bucket)?;
        match fs::metadata(self.root.path().join(bucket).join(file)) {
            Ok(found) if found.is_file() => Ok(()),
            _ => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
        }
    }

    /// The path of the file of an object that is to be written, with the folders that it needs.
    fn new_file(&self, bucket: &str, key: &str) -> S3Result<String> {
        self.root.check_bucket(bucket)?;
        self.root.make_room(bucket, key).map_err(S3Error::internal_error)
    }

    /// A page of a bucket, and the last that it tells where there are more.
    async fn list(
        &self,
        input: ListObjectsV2Input,
    ) -> S3Result<(ListObjectsV2Output, Option<String>)> {
        self.root.check_bucket(&input.bucket)?;
        let folder = self.root.path().join(&input.bucket);
        // A page has at most 1,000: S3 API reference, `ListObjectsV2`.
        let limit = input.max_keys.unwrap_or(1000).min(1000);
        let question = Question {
            after: input.start_after.clone(),
            delimiter: input.delimiter.as_deref().and_then(|text| text.chars().next()),
            limit: usize::try_from(limit).map_err(|_| s3_error!(InvalidArgument))?,
            prefix: input.prefix.clone().unwrap_or_default(),
        };
        let (root, bucket) = (Arc::clone(&self.root), input.bucket.clone());
        let read = move || {
            let page = question.answer(&folder)?;
            let Page { objects, prefixes, next } = page;
            let objects: io::Result<Vec<Object>> =
                objects.into_iter().map(|found| listed(&root, &bucket, found)).collect();
            Ok::<_, io::Error>((objects?, prefixes, next))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(S3Error::internal_error)?;
        let (mut objects, prefixes, next) = read.map_err(S3Error::internal_error)?;
        let encoding = input.encoding_type.clone();
        let shown = |text| encoded(encoding.as_ref(), text);
        for object in &mut objects {
            object.key = object.key.take().map(shown);
        }
        let prefixes: Vec<CommonPrefix> = prefixes
            .into_iter()
            .map(|prefix| CommonPrefix { prefix: Some(shown(prefix)) })
            .collect();
        let output = ListObjectsV2Output {
            key_count: i32::try_from(objects.len() + prefixes.len()).ok(),
            common_prefixes: (!prefixes.is_empty()).then_some(prefixes),
            contents: (!objects.is_empty()).then_some(objects),
            delimiter: input.delimiter.map(shown),
            encoding_type: input.encoding_type,
            is_truncated: Some(next.is_some()),
            max_keys: Some(limit),
            name: Some(input.bucket),
            prefix: Some(shown(input.prefix.unwrap_or_default())),
            start_after: input.start_after.map(shown),
            ..ListObjectsV2Output::default()
        };
        Ok((output, next))
    }
}

/// An object in a listing, with the tag that reading it gives.
fn listed(root: &Root, bucket: &str, found: Found) -> io::Result<Object> {
    let tag = match stored_tag(&root.sidecar(bucket, &found.file, "internal")) {
        Some(tag) => tag,
        None => md5_of(&root.path().join(bucket).join(&found.file))?,
    };
    Ok(Object {
        e_tag: Some(ETag::Strong(tag)),
        key: Some(found.key),
        last_modified: Some(found.modified.into()),
        size: i64::try_from(found.size).ok(),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Object::default()
    })
}

fn encoded(encoding: Option<&EncodingType>, text: String) -> String {
    if encoding.is_some_and(|it| it.as_str() == EncodingType::URL) {
        return utf8_percent_encode(&text, ENCODED).to_string();
    }
    text
}

fn stored_tag(sidecar: &Path) -> Option<String> {
    let info: serde_json::Value = serde_json::from_slice(&fs::read(sidecar).ok()?).ok()?;
    Some(info.get("e_tag")?.as_str()?.to_owned())
}

pub(super) fn md5_of(path: &Path) -> io::Result<String> {
    let mut md5 = Md5::new();
    let mut file = fs::File::open(path)?;
    let mut piece = vec![0; 64 << 10];
    loop {
        match io::Read::read(&mut file, &mut piece)? {
            0 => return Ok(hex(&md5.finalize())),
            count => md5.update(&piece[..count]),
        }
    }
}

#[async_trait]
impl S3 for Store {
    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let AbortMultipartUploadInput { bucket, key, upload_id, .. } = &request.input;
        Upload::of(&self.root, bucket, key, upload_id)?;
        self.files.abort_multipart_upload(request).await
    }

    async fn complete_multipart_upload(
        &self,
        mut request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let _held = self.condition.lock().await;
        let input = &mut request.input;
        let upload = Upload::of(&self.root, &input.bucket, &input.key, &input.upload_id)?;
        let mut exchanged = Vec::new();
        if let Some(parts) = input.multipart_upload.as_mut().and_then(|it| it.parts.as_mut()) {
            upload.check(parts)?;
            exchanged = upload.renumber(parts).map_err(S3Error::internal_error)?;
        }
        let file = self.new_file(&input.bucket, &input.key)?;
        let key = std::mem::replace(&mut input.key, file);
        // What was said of the object when its upload began is there under its key.
        let kind = format!("upload-{}.metadata", input.upload_id);
        let told = [&key, &input.key].map(|key| self.root.sidecar(&input.bucket, key, &kind));
        match fs::rename(&told[0], &told[1]) {
            Err(e) if !is_absent(&e) => return Err(S3Error::internal_error(e)),
            _ => {}
        }
        let completed = self.files.complete_multipart_upload(request).await;
        if completed.is_err() && upload.goes_on() {
            let restored = upload.restore(&exchanged);
            restored
                .and_then(|()| fs::rename(&told[1], &told[0]))
                .map_err(S3Error::internal_error)?;
        }
        let mut response = completed?;
        if let Some(later) = response.output.future.take() {
            response.output = later.await?;
        }
        response.output.key = Some(key);
        Ok(response)
    }

    async fn copy_object(
        &self,
        mut request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = &mut request.input;
        input.key = self.new_file(&input.bucket, &input.key)?;
        let source = input.copy_source.clone();
        self.copy(source, |source| {
            let mut there = request.clone();
            there.input.copy_source = source;
            self.files.copy_object(there)
        })
        .await
    }

    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        // The caller's own: S3 API reference, `CreateBucket`.
        if self.root.check_bucket(&request.input.bucket).is_ok() {
            let message = "Your previous request to create the named bucket succeeded and you \
                           already own it.";
            return Err(s3_error!(BucketAlreadyOwnedByYou, "{message}"));
        }
        let bucket = request.input.bucket.clone();
        let wanted = request.input.create_bucket_configuration.as_ref();
        let wanted = wanted.and_then(|it| it.location_constraint.as_ref());
        let wanted = wanted.map(location::asked).transpose()?.map(ToOwned::to_owned);
        let answer = self.files.create_bucket(request).await?;
        if let Some(region) = wanted {
            let file = self.root.sidecar(&bucket, "", "location");
            tokio::fs::write(file, region).await.map_err(S3Error::internal_error)?;
        }
        Ok(answer)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.root.check_bucket(&request.input.bucket)?;
        self.files.create_multipart_upload(request).await
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let bucket = request.input.bucket.clone();
        if holds_a_file(&self.root.path().join(&bucket)) {
            return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
        }
        let answer = self.files.delete_bucket(request).await?;
        // Most buckets have neither.
        for kind in ["location", "policy"] {
            drop(tokio::fs::remove_file(self.root.sidecar(&bucket, "", kind)).await);
        }
        Ok(answer)
    }

    async fn delete_bucket_policy(
        &self,
        request: S3Request<DeleteBucketPolicyInput>,
    ) -> S3Result<S3Response<DeleteBucketPolicyOutput>> {
        let bucket = &request.input.bucket;
        self.root.check_bucket(bucket)?;
        // Deleted is what is not there, too.
        drop(tokio::fs::remove_file(self.policy(bucket)).await);
        Ok(S3Response::new(DeleteBucketPolicyOutput {}))
    }

    async fn get_bucket_policy(
        &self,
        request: S3Request<GetBucketPolicyInput>,
    ) -> S3Result<S3Response<GetBucketPolicyOutput>> {
        let bucket = &request.input.bucket;
        self.root.check_bucket(bucket)?;
        let Ok(policy) = tokio::fs::read_to_string(self.policy(bucket)).await else {
            return Err(s3_error!(NoSuchBucketPolicy, "The bucket policy does not exist"));
        };
        Ok(S3Response::new(GetBucketPolicyOutput { policy: Some(policy) }))
    }

    async fn put_bucket_policy(
        &self,
        request: S3Request<PutBucketPolicyInput>,
    ) -> S3Result<S3Response<PutBucketPolicyOutput>> {
        let PutBucketPolicyInput { bucket, policy, .. } = request.input;
        self.root.check_bucket(&bucket)?;
        let read: Option<serde_json::Value> = serde_json::from_str(&policy).ok();
        if !read.is_some_and(|it| it["Statement"].is_array() || it["Statement"].is_object()) {
            return Err(s3_error!(MalformedPolicy, "Missing required field Statement"));
        }
        tokio::fs::write(self.policy(&bucket), policy).await.map_err(S3Error::internal_error)?;
        Ok(S3Response::new(PutBucketPolicyOutput {}))
    }

    async fn delete_object(
        &self,
        mut request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = &mut request.input;
        input.key = self.root.file_of(&input.bucket, &input.key);
        self.files.delete_object(request).await
    }

    async fn delete_objects(
        &self,
        mut request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = &mut request.input;
        self.root.check_bucket(bucket)?;
        let mut keys = Vec::new();
        for object in &mut delete.objects {
            let file = self.root.file_of(bucket, &object.key);
            keys.push(std::mem::replace(&mut object.key, file));
        }
        let mut response = self.files.delete_objects(request).await?;
        // It tells those that it deleted in the order in which they were asked for.
        for (told, key) in response.output.deleted.iter_mut().flatten().zip(keys) {
            told.key = Some(key);
        }
        Ok(response)
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let bucket = &request.input.bucket;
        self.root.check_bucket(bucket)?;
        let location_constraint = self.root.location(bucket).map(Into::into);
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.read(request).await
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        let region = self.root.region(&request.input.bucket);
        let mut answer = self.files.head_bucket(request).await?;
        answer.output.bucket_region = Some(region);
        Ok(answer)
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.read(request).await
    }

    async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        self.files.list_buckets(request).await
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let marker = request.input.marker.clone();
        let (second, next) = self.list(request.input.into()).await?;
        let next = next.map(|next| encoded(second.encoding_type.as_ref(), next));
        Ok(S3Response::new(ListObjectsOutput {
            common_prefixes: second.common_prefixes,
            contents: second.contents,
            delimiter: second.delimiter,
            encoding_type: second.encoding_type,
            is_truncated: second.is_truncated,
            marker,
            max_keys: second.max_keys,
            name: second.name,
            next_marker: next,
            prefix: second.prefix,
            ..ListObjectsOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let mut input = request.input;
        let token = input.continuation_token.take();
        if let Some(token) = &token {
            let after = listing::key_of(token).ok_or_else(|| {
                s3_error!(InvalidArgument, "The continuation token provided is incorrect")
            })?;
            // It goes before a start that is given too: S3 API reference, `ListObjectsV2`.
            input.start_after = Some(after);
        }
        let (mut output, next) = self.list(input).await?;
        output.start_after = output.start_after.filter(|_| token.is_none());
        output.continuation_token = token;
        output.next_continuation_token = next.as_deref().map(listing::token_of);
        Ok(S3Response::new(output))
    }

    async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        let ListPartsInput { bucket, key, upload_id, .. } = &request.input;
        let upload = Upload::of(&self.root, bucket, key, upload_id)?;
        let (limit, marker) = (request.input.max_parts, request.input.part_number_marker);
        let whole = self.files.list_parts(request).await?;
        // By number, and a thousand at most: S3 API reference, `ListParts`. s3s-fs gives all of
        // them as the folder has them.
        let limit = limit.unwrap_or(1000).min(1000);
        let most = usize::try_from(limit).map_err(|_| s3_error!(InvalidArgument))?;
        let whole = whole.output;
        let mut parts = whole.parts.unwrap_or_default();
        parts.retain(|it| it.part_number > marker);
        parts.sort_by_key(|it| it.part_number);
        let is_truncated = most > 0 && parts.len() > most;
        parts.truncate(most);
        for part in &mut parts {
            part.e_tag = upload.tag(part).map_err(S3Error::internal_error)?;
        }
        Ok(S3Response::new(ListPartsOutput {
            is_truncated: Some(is_truncated),
            max_parts: Some(limit),
            next_part_number_marker: parts.last().and_then(|it| it.part_number),
            part_number_marker: Some(marker.unwrap_or_default()),
            parts: Some(parts),
            ..whole
        }))
    }

    async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &mut request.input;
        if input.if_match.is_none() && input.if_none_match.is_none() {
            input.key = self.new_file(&input.bucket, &input.key)?;
            return self.files.put_object(request).await;
        }
        // s3s-fs looks, and then writes: two that look at one time would both write. The body is
        // read first, so that no client can hold up the others.
        if let Some(body) = input.body.take() {
            let pieces: Vec<bytes::Bytes> = body
                .try_collect()
                .await
                .map_err(|e| S3Error::with_source(s3s::S3ErrorCode::IncompleteBody, e))?;
            input.body = Some(StreamingBlob::from(Body::from(pieces.concat())));
        }
        let _held = self.condition.lock().await;
        input.key = self.new_file(&input.bucket, &input.key)?;
        self.files.put_object(request).await
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let UploadPartInput { bucket, key, upload_id, .. } = &request.input;
        Upload::of(&self.root, bucket, key, upload_id)?;
        self.files.upload_part(request).await
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let UploadPartCopyInput { bucket, key, upload_id, copy_source, .. } = &request.input;
        Upload::of(&self.root, bucket, key, upload_id)?;
        self.copy(copy_source.clone(), |source| {
            let mut there = request.clone();
            there.input.copy_source = source;
            self.files.upload_part_copy(there)
        })
        .await
    }
}

/// Whether anything is left in a folder but folders.
fn holds_a_file(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|it| it.path()).any(|it| if it.is_dir() { holds_a_file(&it) } else { true })
}
