//! Uploads in parts: what s3s-fs 0.14 finds wrong with one too late, or in other words than S3's.
//!
//! It ends an upload before it looks at the parts, and knows one by its id alone. Where its files are is
//! known here: `.upload-<id>.json` tells whose an upload is, `.upload_id-<id>.part-<n>` holds a part.

use std::{fs, io, path::PathBuf};

use s3s::{
    S3Error, S3ErrorCode, S3Result,
    dto::{CompletedPart, ETag, Part},
    s3_error,
};
use uuid::Uuid;

use super::{Root, store::md5_of};

/// The least that a part has but for the last one: S3 user guide, "Amazon S3 multipart upload limits".
const LEAST: u64 = 5 << 20;

/// An upload that was begun, and is neither completed nor aborted.
pub(super) struct Upload<'a> {
    root: &'a Root,
    id: String,
}

impl<'a> Upload<'a> {
    /// The upload of an object.
    ///
    /// # Errors
    /// `NoSuchUpload`, and `NoSuchBucket`.
    pub(super) fn of(root: &'a Root, bucket: &str, key: &str, id: &str) -> S3Result<Self> {
        root.check_bucket(bucket)?;
        let none = || {
            let message = "The specified upload does not exist. The upload ID may be invalid, or \
                           the upload may have been aborted or completed.";
            s3_error!(NoSuchUpload, "{message}")
        };
        let id = Uuid::try_parse(id).map_err(|_| none())?.to_string();
        // What was said of the object when its upload began.
        let told = root.sidecar(bucket, key, &format!("upload-{id}.metadata"));
        let upload = Self { root, id };
        if upload.goes_on() && told.is_file() { Ok(upload) } else { Err(none()) }
    }

    /// Checks the parts that an object is to be made of.
    ///
    /// # Errors
    /// `InvalidPartOrder`, `InvalidPart` and `EntityTooSmall`.
    pub(super) fn check(&self, parts: &[CompletedPart]) -> S3Result<()> {
        let numbers = parts.iter().map(|it| it.part_number);
        if !numbers.is_sorted_by(|a, b| a < b) {
            let message = "The list of parts was not in ascending order. Parts must be ordered by \
                           part number.";
            return Err(s3_error!(InvalidPartOrder, "{message}"));
        }
        let last = parts.len().saturating_sub(1);
        for (place, part) in parts.iter().enumerate() {
            let found = part.part_number.map(|number| self.file(number));
            let found = found.and_then(|file| Some((fs::metadata(&file).ok()?.len(), file)));
            let (size, file) = found.ok_or_else(invalid)?;
            if let Some(tag) = &part.e_tag
                && tag.value() != md5_of(&file).map_err(S3Error::internal_error)?
            {
                return Err(invalid());
            }
            if place < last && size < LEAST {
                let message = "Your proposed upload is smaller than the minimum allowed size";
                return Err(s3_error!(EntityTooSmall, "{message}"));
            }
        }
        Ok(())
    }

    /// Numbers parts one after the other, which s3s-fs wants and S3 does not. Says what was exchanged.
    pub(super) fn renumber(&self, parts: &mut [CompletedPart]) -> io::Result<Vec<(i32, i32)>> {
        let mut exchanged = Vec::new();
        for (number, part) in (1..).zip(parts) {
            if let Some(from) = part.part_number.replace(number).filter(|it| *it != number) {
                self.exchange(from, number)?;
                exchanged.push((from, number));
            }
        }
        Ok(exchanged)
    }

    /// Whether it is neither completed nor aborted by now.
    pub(super) fn goes_on(&self) -> bool {
        self.root.path().join(format!(".upload-{}.json", self.id)).is_file()
    }

    /// Gives parts their numbers back.
    pub(super) fn restore(&self, exchanged: &[(i32, i32)]) -> io::Result<()> {
        exchanged.iter().rev().try_for_each(|(from, number)| self.exchange(*number, *from))
    }

    /// Gives a part another number, and one that has it already the part's own.
    fn exchange(&self, from: i32, number: i32) -> io::Result<()> {
        let (from, to) = (self.file(from), self.file(number));
        if !to.exists() {
            return fs::rename(from, to);
        }
        let aside = self.root.path().join(format!(".aside-{}", self.id));
        fs::rename(&to, &aside)?;
        fs::rename(&from, &to)?;
        fs::rename(aside, from)
    }

    /// The tag of a part.
    pub(super) fn tag(&self, part: &Part) -> io::Result<Option<ETag>> {
        let Some(number) = part.part_number else { return Ok(None) };
        md5_of(&self.file(number)).map(|tag| Some(ETag::Strong(tag)))
    }

    fn file(&self, part: i32) -> PathBuf {
        self.root.path().join(format!(".upload_id-{}.part-{part}", self.id))
    }
}

fn invalid() -> S3Error {
    let message = "One or more of the specified parts could not be found. The part may not have \
                   been uploaded, or the specified entity tag may not match the part's entity tag.";
    S3Error::with_message(S3ErrorCode::InvalidPart, message)
}
