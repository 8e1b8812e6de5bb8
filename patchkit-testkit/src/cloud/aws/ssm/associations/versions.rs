//! What associations were made of before they were changed.

#![expect(clippy::needless_pass_by_value, reason = "all operations have one signature")]

use serde_json::{Value, json};

use super::{Association, Version, unknown};
use crate::cloud::aws::{
    AwsError, Call,
    page::{Page, answer},
    seconds,
};

const PAGE: usize = 50;

/// "Each association has a limit of 1,000 versions" (botocore ssm model,
/// `AssociationVersionLimitExceeded`).
const MOST: usize = 1_000;

impl Association {
    /// Each of its versions, with its number; the latest first.
    fn versions(&self) -> impl Iterator<Item = (usize, Version)> {
        let latest = Version { definition: self.definition.clone(), created: self.updated };
        let old = (1..).zip(self.old.iter().cloned()).collect::<Vec<_>>();
        std::iter::once((self.version(), latest)).chain(old.into_iter().rev())
    }

    /// The version that a request names by its number, by `$LATEST` or by nothing.
    pub(super) fn version_of(&self, asked: Option<&str>) -> Result<(usize, Version), AwsError> {
        let asked = asked.filter(|it| *it != "$LATEST");
        let found = self.versions().find(|(n, _)| asked.is_none_or(|it| it == n.to_string()));
        found.ok_or_else(|| {
            let message = "The association has no such version.";
            AwsError::new("InvalidAssociationVersion", message)
        })
    }

    /// Whether it can have one more.
    pub(super) fn check_versions(&self) -> Result<(), AwsError> {
        if self.version() >= MOST {
            let message = format!("You have reached the {MOST} versions of an association.");
            return Err(AwsError::new("AssociationVersionLimitExceeded", message));
        }
        Ok(())
    }
}

pub(super) fn list_association_versions(
    call: &mut Call<'_>,
    value: Value,
) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, PAGE)?;
    let id = value["AssociationId"].as_str().unwrap_or_default();
    let association = call.state.association(call.scope, id).ok_or_else(|| unknown(id))?;
    let (versions, next) = page.cut(association.versions());
    let described = versions.into_iter().map(|(number, Version { definition, created })| {
        let mut value = json!(definition);
        // Of a version it is told as a target.
        value["InstanceId"].take();
        value["AssociationId"] = json!(id);
        value["AssociationVersion"] = json!(number.to_string());
        value["CreatedDate"] = seconds(created);
        value["Targets"] = json!(definition.targets());
        value
    });
    Ok(answer("AssociationVersions", described.collect(), next))
}
