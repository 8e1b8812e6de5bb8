//! Compliance that is written by us: kinds of one's own, and those of associations.

use aws_sdk_ssm::{
    error::BuildError,
    types::{
        ComplianceExecutionSummary, ComplianceItemEntry, ComplianceSeverity,
        ComplianceStatus as SdkStatus, ComplianceUploadType,
    },
};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use patchkit_core::{ComplianceStatus, NodeId, Result};
use sha2::{Digest, Sha256};

use super::{ComplianceEntry, ComplianceKind};
use crate::{Ssm, convert::hex, error::invalid};

const PUT: &str = "PutComplianceItems";

// Service model, PutComplianceItems.
const MOST_ITEMS: usize = 10_000;
const LONGEST_TITLE: usize = 500;
const LONGEST_NAME: usize = 64;
const LONGEST_VALUE: usize = 4_096;
/// What one item, and all of them, may hold: inventory's limit (general reference, Systems Manager
/// quotas).
const LARGEST: usize = 1_024 * 1_024;

/// What becomes of the items of the same kind that are there already.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Upload {
    /// They go: what is put is all there is.
    #[default]
    Complete,
    /// Those with other ids stay. Associations only (service model, `UploadType`).
    Partial,
}

/// Compliance items of one kind, to be put on a node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ComplianceUpload {
    /// What this is about: a kind of one's own, or associations.
    pub kind: ComplianceKind,
    /// The items. None at all, in a complete upload, takes the kind off the node.
    pub items: Vec<ComplianceEntry>,
    /// When this was found out.
    pub at: Timestamp,
    /// What becomes of the items that are there.
    pub upload: Upload,
}

impl ComplianceUpload {
    /// All items of a kind, found out at a time.
    pub fn new(
        kind: ComplianceKind,
        items: impl IntoIterator<Item = ComplianceEntry>,
        at: Timestamp,
    ) -> Self {
        Self { kind, items: items.into_iter().collect(), at, upload: Upload::Complete }
    }

    /// Sets what becomes of the items that are there.
    #[must_use]
    pub fn with_upload(mut self, upload: Upload) -> Self {
        self.upload = upload;
        self
    }

    fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(invalid(PUT, message));
        match (&self.kind, self.upload) {
            (ComplianceKind::Association, _) => {}
            (ComplianceKind::Custom(name), Upload::Complete) => {
                ComplianceKind::custom(name)?;
            }
            (ComplianceKind::Custom(_), Upload::Partial) => {
                return refuse("a kind of one's own is put whole, never in part".to_owned());
            }
            (kind, _) => return refuse(format!("{kind} is not for clients to put")),
        }
        if self.items.len() > MOST_ITEMS {
            return refuse(format!("{} items are more than {MOST_ITEMS}", self.items.len()));
        }
        let mut ids = std::collections::HashSet::new();
        let mut total = 0;
        for item in &self.items {
            if item.id.is_empty() || !ids.insert(item.id.as_str()) {
                return refuse(format!("the item {:?} has no id, or another's", item.id));
            }
            if item.status == ComplianceStatus::Unknown {
                // The service has no word for it, and must not be told another one.
                return refuse(format!("the item {:?} is neither compliant nor not", item.id));
            }
            let title = item.title.as_deref().unwrap_or_default();
            if title.chars().count() > LONGEST_TITLE {
                return refuse(format!(
                    "the title of {:?} is longer than {LONGEST_TITLE} characters",
                    item.id
                ));
            }
            let mut size = item.id.len() + title.len();
            for (name, value) in &item.details {
                if name.is_empty()
                    || name.chars().count() > LONGEST_NAME
                    || value.chars().count() > LONGEST_VALUE
                {
                    return refuse(format!(
                        "a detail of {:?} is longer than {LONGEST_VALUE} characters, or its name \
                         than {LONGEST_NAME}",
                        item.id
                    ));
                }
                size += name.len() + value.len();
            }
            total += size;
            if total > LARGEST {
                return refuse(format!("the items hold more than {LARGEST} bytes"));
            }
        }
        Ok(())
    }

    /// The hash of what is put, with the time: the service ignores a request with the hash of the
    /// one before, and a later finding of the same must not be ignored.
    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let mut feed = |part: &str| {
            hash.update(part.len().to_le_bytes());
            hash.update(part.as_bytes());
        };
        feed(&self.kind.to_string());
        feed(&self.at.to_string());
        feed(if self.upload == Upload::Partial { "partial" } else { "complete" });
        for item in &self.items {
            feed(&item.id);
            feed(item.title.as_deref().unwrap_or_default());
            feed(item.status.as_str());
            feed(item.level.as_str());
            feed(&item.details.len().to_string());
            for (name, value) in &item.details {
                feed(name);
                feed(value);
            }
        }
        hex(&hash.finalize())
    }
}

impl Ssm {
    /// Puts compliance items of one's own on a node; Systems Manager then reports them as it does
    /// its own.
    ///
    /// # Behavior
    /// - The same upload twice comes to the same as once: the service is given a hash of it, and
    ///   ignores the second.
    /// - What is not within the API's limits is refused before any call: 10,000 items, 1 MiB of text,
    ///   titles of 500 characters, details of 4,096.
    /// - An item that is `Unknown` is refused: the API has no word for it.
    ///
    /// # Errors
    /// `InvalidInput`, `NotFound` (no such managed node), `PermissionDenied`, `Throttled`.
    ///
    /// # Example
    /// ```no_run
    /// # async fn put(ssm: patchkit_aws::Ssm, node: patchkit_core::NodeId) -> patchkit_core::Result<()> {
    /// use patchkit_aws::{ComplianceEntry, ComplianceKind, ComplianceUpload};
    /// use patchkit_core::{ComplianceLevel, ComplianceStatus};
    ///
    /// let stale = ComplianceEntry::new("signatures", ComplianceStatus::NonCompliant)
    ///     .with_title("Signatures of last week")
    ///     .with_level(ComplianceLevel::High);
    /// let kind = ComplianceKind::custom("Antivirus")?;
    /// ssm.put_compliance(&node, ComplianceUpload::new(kind, [stale], jiff::Timestamp::now())).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn put_compliance(&self, node: &NodeId, upload: ComplianceUpload) -> Result<()> {
        if node.scope() != self.scope() {
            return Err(invalid(PUT, format!("node {node} is of another scope")));
        }
        upload.check()?;
        let hash = upload.hash();
        let at = DateTime::from_nanos(upload.at.as_nanosecond())
            .map_err(|error| invalid(PUT, error.to_string()))?;
        let wrong = |error: BuildError| invalid(PUT, error.to_string());
        let execution =
            ComplianceExecutionSummary::builder().execution_time(at).build().map_err(wrong)?;
        let how = match (&upload.kind, upload.upload) {
            (ComplianceKind::Association, Upload::Partial) => Some(ComplianceUploadType::Partial),
            _ => None,
        };
        let kind = upload.kind.to_string();
        let items = upload.items.into_iter().map(to_sdk).collect::<Result<Vec<_>, _>>();
        let request = self
            .client
            .ssm()
            .put_compliance_items()
            .resource_id(node.resource())
            .resource_type("ManagedInstance")
            .compliance_type(kind)
            .execution_summary(execution)
            .set_items(Some(items.map_err(wrong)?))
            .item_content_hash(hash)
            .set_upload_type(how);
        // The hash, and the ids in it, make the second of two the first.
        let put = self.client.read(PUT, request.send()).await;
        put.map(drop).map_err(|error| error.with_node(node.clone()))
    }
}

fn to_sdk(item: ComplianceEntry) -> Result<ComplianceItemEntry, BuildError> {
    let status = match item.status {
        ComplianceStatus::Compliant => SdkStatus::Compliant,
        _ => SdkStatus::NonCompliant,
    };
    ComplianceItemEntry::builder()
        .id(item.id)
        .set_title(item.title)
        .severity(ComplianceSeverity::from(item.level.as_str()))
        .status(status)
        .set_details(Some(item.details.into_iter().collect()))
        .build()
}

#[cfg(test)]
mod tests {
    use patchkit_core::ErrorKind;

    use super::*;

    fn upload(items: Vec<ComplianceEntry>) -> ComplianceUpload {
        let kind = ComplianceKind::custom("Antivirus").unwrap();
        ComplianceUpload::new(kind, items, Timestamp::UNIX_EPOCH)
    }

    fn item(id: &str) -> ComplianceEntry {
        ComplianceEntry::new(id, ComplianceStatus::Compliant)
    }

    #[test]
    fn what_the_service_would_refuse_is_refused_before_a_call() {
        let many = (0..=MOST_ITEMS).map(|n| item(&n.to_string())).collect();
        let big = (0..300).map(|n| item(&n.to_string()).with_detail("text", "x".repeat(4_000)));
        for wrong in [
            upload(many),
            upload(big.collect()),
            upload(vec![item("")]),
            upload(vec![item("a"), item("a")]),
            upload(vec![ComplianceEntry::new("a", ComplianceStatus::Unknown)]),
            upload(vec![item("a").with_title("x".repeat(501))]),
            upload(vec![item("a").with_detail("", "x")]),
            upload(vec![item("a").with_detail("n".repeat(65), "x")]),
            upload(vec![item("a").with_detail("n", "x".repeat(4_097))]),
            upload(vec![item("a")]).with_upload(Upload::Partial),
            ComplianceUpload::new(ComplianceKind::Patch, [item("a")], Timestamp::UNIX_EPOCH),
        ] {
            let error = wrong.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
        upload((0..MOST_ITEMS).map(|n| item(&n.to_string())).collect()).check().unwrap();
        upload(vec![]).check().unwrap();
    }

    #[test]
    fn the_hash_tells_every_difference() {
        let base = upload(vec![item("a").with_detail("n", "v")]);
        let mut later = base.clone();
        later.at = Timestamp::MAX;
        let others = [
            later,
            upload(vec![item("a").with_detail("nv", "")]),
            upload(vec![item("a").with_title("n")]),
            upload(vec![item("a"), item("n")]),
        ];
        assert!(others.iter().all(|it| it.hash() != base.hash()));
        assert_eq!(base.hash(), base.clone().hash());
    }
}
