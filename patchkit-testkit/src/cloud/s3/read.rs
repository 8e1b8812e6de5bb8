//! What reads of an object have in common: where it is, and on which conditions it is read.

use std::future::Future;

use s3s::{
    S3, S3Error, S3Request, S3Response, S3Result,
    dto::{
        CopySource, ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput,
        HeadObjectOutput, Timestamp, TimestampFormat,
    },
    s3_error,
};
use s3s_fs::FileSystem;

use super::store::Store;

/// How often a read looks for an object that is moved meanwhile.
const MOST_LOOKS: usize = 5;

impl Store {
    /// Reads an object, or of it.
    pub(super) async fn read<I: Read>(
        &self,
        mut request: S3Request<I>,
    ) -> S3Result<S3Response<I::Output>> {
        let conditions = request.input.take_conditions();
        for _ in 0..MOST_LOOKS {
            let (bucket, key) = request.input.object();
            let file = self.root.file_of(bucket, key);
            let response = match self.check_object(bucket, &file) {
                Ok(()) => {
                    let mut there = request.clone();
                    there.input.set_key(file.clone());
                    I::carry_out(&self.files, there).await
                }
                Err(error) => Err(error),
            };
            // It may have become the folder of others while it was looked for, or read.
            if self.root.file_of(bucket, key) == file {
                let response = response?;
                let (tag, modified) = I::seen(&response.output);
                conditions.check(tag, modified)?;
                return Ok(response);
            }
        }
        Err(moved())
    }

    /// Copies an object from the file that it is in.
    pub(super) async fn copy<T, F>(
        &self,
        source: CopySource,
        carry_out: impl Fn(CopySource) -> F + Send + Sync,
    ) -> S3Result<T>
    where
        T: Send,
        F: Future<Output = S3Result<T>> + Send,
    {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return carry_out(source).await;
        };
        for _ in 0..MOST_LOOKS {
            let file = self.root.file_of(&bucket, &key);
            let copied = match self.check_object(&bucket, &file) {
                Ok(()) => {
                    let (bucket, version_id) = (bucket.clone(), version_id.clone());
                    let key = file.as_str().into();
                    carry_out(CopySource::Bucket { bucket, key, version_id }).await
                }
                Err(error) => Err(error),
            };
            // As a read may find it moved.
            if self.root.file_of(&bucket, &key) == file {
                return copied;
            }
        }
        Err(moved())
    }
}

fn moved() -> S3Error {
    s3_error!(InternalError, "We encountered an internal error. Please try again.")
}

/// GetObject or HeadObject.
pub(super) trait Read: Clone + Send {
    type Output: Send;

    /// The bucket and the key.
    fn object(&self) -> (&str, &str);

    fn set_key(&mut self, key: String);

    /// Takes the conditions out, so that s3s-fs does not look at them.
    fn take_conditions(&mut self) -> Conditions;

    fn carry_out(
        files: &FileSystem,
        request: S3Request<Self>,
    ) -> impl Future<Output = S3Result<S3Response<Self::Output>>> + Send;

    /// The object's tag and time.
    fn seen(output: &Self::Output) -> (Option<&ETag>, Option<&Timestamp>);
}

/// The two have the same members, but no type in common.
macro_rules! read {
    ($input:ty, $output:ty, $operation:ident) => {
        impl Read for $input {
            type Output = $output;

            fn object(&self) -> (&str, &str) {
                (&self.bucket, &self.key)
            }

            fn set_key(&mut self, key: String) {
                self.key = key;
            }

            fn take_conditions(&mut self) -> Conditions {
                Conditions {
                    matches: self.if_match.take(),
                    modified_since: self.if_modified_since.take(),
                    none_matches: self.if_none_match.take(),
                    unmodified_since: self.if_unmodified_since.take(),
                }
            }

            fn carry_out(
                files: &FileSystem,
                request: S3Request<Self>,
            ) -> impl Future<Output = S3Result<S3Response<$output>>> + Send {
                files.$operation(request)
            }

            fn seen(output: &$output) -> (Option<&ETag>, Option<&Timestamp>) {
                (output.e_tag.as_ref(), output.last_modified.as_ref())
            }
        }
    };
}

read!(GetObjectInput, GetObjectOutput, get_object);
read!(HeadObjectInput, HeadObjectOutput, head_object);

/// The conditions of a read.
pub(super) struct Conditions {
    matches: Option<ETagCondition>,
    modified_since: Option<Timestamp>,
    none_matches: Option<ETagCondition>,
    unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// Checks them in the order of RFC 9110, 13.2.2, as S3 does: `GetObject`, "Conditional reads".
    fn check(&self, tag: Option<&ETag>, modified: Option<&Timestamp>) -> S3Result<()> {
        let is_tag = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(wanted) => tag.is_some_and(|tag| tag.weak_cmp(wanted)),
        };
        // What a client knows of the time has whole seconds.
        let modified = modified.and_then(whole_seconds);
        let is_after = |time: &Timestamp| modified.as_ref().is_some_and(|modified| modified > time);
        let holds = match (&self.matches, &self.unmodified_since) {
            (Some(condition), _) => is_tag(condition),
            (None, Some(time)) => !is_after(time),
            (None, None) => true,
        };
        if !holds {
            let message = "At least one of the pre-conditions you specified did not hold";
            return Err(s3_error!(PreconditionFailed, "{message}"));
        }
        let is_news = match (&self.none_matches, &self.modified_since) {
            (Some(condition), _) => !is_tag(condition),
            (None, Some(time)) => is_after(time),
            (None, None) => true,
        };
        if is_news { Ok(()) } else { Err(s3_error!(NotModified, "Not Modified")) }
    }
}

fn whole_seconds(time: &Timestamp) -> Option<Timestamp> {
    let mut text = Vec::new();
    time.format(TimestampFormat::HttpDate, &mut text).ok()?;
    Timestamp::parse(TimestampFormat::HttpDate, std::str::from_utf8(&text).ok()?).ok()
}
