//! The policy of the central bucket: how it is written, and what one that is there lets in. Pure.

use globset::GlobBuilder;
use patchkit_core::AccountId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::LakeOwner;
use crate::LakeSharing;

const SERVICE: &str = "ssm.amazonaws.com";

/// Whom a bucket is to let in: the syncs of these accounts, each to its own folders.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LakeAccess {
    /// The accounts.
    pub accounts: Vec<AccountId>,
    /// `aws`, `aws-cn`, `aws-us-gov`
    pub partition: String,
    /// What all keys begin with, without slashes around it.
    pub prefix: String,
    /// Whether objects carry tags, as those of an organization's syncs do.
    pub tagged: Tagged,
    /// The organization all of whose accounts are let in, those that join later too: `o-…`.
    #[serde(default)]
    pub organization: Option<String>,
}

/// Whether the objects of a lake carry tags.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Tagged {
    /// They carry the organization's id.
    WithOrganization,
    /// They carry none.
    No,
}

impl LakeAccess {
    pub(super) fn new(owner: &LakeOwner, partition: &str) -> Self {
        let to = &owner.expected.destination;
        let tagged = match to.sharing {
            LakeSharing::Organization => Tagged::WithOrganization,
            _ => Tagged::No,
        };
        let prefix = to.prefix.as_deref().unwrap_or_default().trim_matches('/').to_owned();
        Self {
            accounts: owner.accounts.clone(),
            partition: partition.to_owned(),
            prefix,
            tagged,
            organization: owner.organization.clone(),
        }
    }

    fn folder(&self) -> String {
        if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) }
    }

    /// The document (Systems Manager user guide, "Creating a resource data sync for Inventory").
    pub(super) fn document(&self, bucket: &str) -> String {
        let Self { accounts, partition, .. } = self;
        let folder = self.folder();
        let each = |of: &dyn Fn(&str) -> String| -> Vec<String> {
            match &self.organization {
                Some(_) => vec![of("*")],
                None => accounts.iter().map(|it| of(it.as_str())).collect(),
            }
        };
        let objects =
            each(&|it| format!("arn:{partition}:s3:::{bucket}/{folder}*/accountid={it}/*"));
        let syncs = each(&|it| format!("arn:{partition}:ssm:*:{it}:resource-data-sync/*"));
        // These keep a stranger from having the service write here for him.
        let source = match &self.organization {
            Some(organization) => json!({"aws:SourceOrgID": organization}),
            None => json!({"aws:SourceAccount": accounts}),
        };
        let mut delivery = source.clone();
        delivery["s3:x-amz-acl"] = json!("bucket-owner-full-control");
        let principal = json!({"Service": SERVICE});
        let mut statements = vec![
            json!({
                "Sid": "PatchKitLakeCheck",
                "Effect": "Allow",
                "Principal": principal,
                "Action": "s3:GetBucketAcl",
                "Resource": format!("arn:{partition}:s3:::{bucket}"),
                "Condition": {"StringEquals": source},
            }),
            json!({
                "Sid": "PatchKitLakeDelivery",
                "Effect": "Allow",
                "Principal": principal,
                "Action": "s3:PutObject",
                "Resource": objects,
                "Condition": {"StringEquals": delivery, "ArnLike": {"aws:SourceArn": syncs}},
            }),
        ];
        if self.tagged == Tagged::WithOrganization {
            statements.push(json!({
                "Sid": "PatchKitLakeTags",
                "Effect": "Allow",
                "Principal": principal,
                "Action": "s3:PutObjectTagging",
                "Resource": objects,
                "Condition": {"StringEquals": source},
            }));
        }
        json!({"Version": "2012-10-17", "Statement": statements}).to_string()
    }

    /// What a bucket's policy does not let in; empty where all is well.
    ///
    /// Conditions of other kinds than those that [`document`](Self::document) writes are taken to be
    /// met: they are another's, and whether the sync succeeds is told by its status.
    pub(super) fn lacks(&self, bucket: &str, policy: &str) -> Vec<String> {
        let Ok(policy) = serde_json::from_str::<Value>(policy) else {
            return vec!["the policy is not JSON".to_owned()];
        };
        let statements = items(&policy["Statement"]);
        let root = format!("arn:{}:s3:::{bucket}", self.partition);
        let mut lacks = Vec::new();
        let mut ask = |action: &str, resource: &str, from: Source<'_>| {
            if !lets(&statements, action, resource, from) {
                lacks.push(format!("it does not let {SERVICE} do {action} on {resource}"));
            }
        };
        let organization = self.organization.as_deref();
        let from = |account| Source { account: Some(account), organization };
        // Of an organization, also an account that nobody has named yet.
        let strangers = organization.map(|_| Source { account: None, organization });
        let named = self.accounts.iter().map(|it| from(it.as_str()));
        let sources: Vec<Source<'_>> = strangers.into_iter().chain(named).collect();
        if let Some(first) = sources.first() {
            ask("s3:GetBucketAcl", &root, *first);
        }
        for from in sources {
            // Some object of this account.
            let object = format!(
                "{root}/{}AWS:InstanceInformation/accountid={}/test.json",
                self.folder(),
                from.account.unwrap_or(UNNAMED)
            );
            ask("s3:PutObject", &object, from);
            if self.tagged == Tagged::WithOrganization {
                ask("s3:PutObjectTagging", &object, from);
            }
        }
        lacks
    }
}

/// An account that is in no policy.
const UNNAMED: &str = "000000000000";

/// Whose sync asks.
#[derive(Clone, Copy)]
struct Source<'a> {
    /// None for one that nobody has named.
    account: Option<&'a str>,
    /// Its organization, where that is known.
    organization: Option<&'a str>,
}

fn lets(statements: &[&Value], action: &str, resource: &str, from: Source<'_>) -> bool {
    let applies = |it: &&&Value, effect: &str| {
        it["Effect"] == effect
            && names_service(&it["Principal"])
            && items(&it["Action"]).iter().any(|it| matches(it, action, Case::Ignored))
            && items(&it["Resource"]).iter().any(|it| matches(it, resource, Case::Kept))
    };
    let denied = statements.iter().any(|it| applies(&it, "Deny") && it["Condition"].is_null());
    let allowed = statements
        .iter()
        .any(|it| applies(&it, "Allow") && is_for(&it["Condition"]["StringEquals"], from));
    allowed && !denied
}

/// Whether a condition on the account and one on its organization let this one pass; what is not
/// known of it is taken to be so. The names of keys have no case.
fn is_for(equals: &Value, from: Source<'_>) -> bool {
    let named = |name: &str| {
        let keys = equals.as_object()?;
        keys.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, values)| values)
    };
    let has = |values: &Value, it: &str| items(values).iter().any(|of| of.as_str() == Some(it));
    named("aws:SourceAccount").is_none_or(|them| from.account.is_some_and(|it| has(them, it)))
        && named("aws:SourceOrgID")
            .is_none_or(|them| from.organization.is_none_or(|it| has(them, it)))
}

fn names_service(principal: &Value) -> bool {
    let any = |value: &Value| items(value).iter().any(|it| *it == "*");
    any(principal)
        || any(&principal["AWS"])
        || items(&principal["Service"]).iter().any(|it| *it == SERVICE)
}

/// One or many.
fn items(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

#[derive(Clone, Copy)]
enum Case {
    Kept,
    Ignored,
}

/// IAM's wildcards are those of globs, in which a star also stands for slashes.
fn matches(pattern: &Value, text: &str, case: Case) -> bool {
    let Some(pattern) = pattern.as_str() else { return false };
    let ignored = matches!(case, Case::Ignored);
    let glob = GlobBuilder::new(pattern).case_insensitive(ignored).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LakeDestination, LakeExpectation};

    fn access(accounts: &[&str]) -> LakeAccess {
        let accounts: Vec<AccountId> = accounts.iter().map(|it| it.parse().unwrap()).collect();
        let to = LakeDestination::new("lake", "eu-west-1".parse().unwrap()).with_prefix("all/");
        let mut owner = LakeOwner::new(accounts[0].clone(), LakeExpectation::new(to));
        owner.accounts = accounts;
        LakeAccess::new(&owner, "aws")
    }

    #[test]
    fn an_organization_is_let_in_with_accounts_that_nobody_has_named_and_no_other_is() {
        let mut whole = access(&["111122223333"]);
        whole.organization = Some("o-0123456789".to_owned());
        let written = whole.document("lake");
        assert!(!written.contains("111122223333"), "{written}");
        assert_eq!(whole.lacks("lake", &written), Vec::<String>::new());
        let other = LakeAccess { organization: Some("o-9876543210".to_owned()), ..whole.clone() };
        assert_eq!(other.lacks("lake", &written).len(), 3);
        // A policy that names accounts holds only for these.
        let named = access(&["111122223333"]);
        let lacks = whole.lacks("lake", &named.document("lake"));
        assert!(
            matches!(&lacks[..], [acl, put] if acl.contains("GetBucketAcl")
            && put.contains("accountid=000000000000")),
            "{lacks:?}"
        );
        // One for the organization will do for its accounts.
        assert_eq!(named.lacks("lake", &written), Vec::<String>::new());
    }

    #[test]
    fn what_is_written_lets_in_each_account_and_no_other() {
        let two = access(&["111122223333", "444455556666"]);
        let written = two.document("lake");
        assert_eq!(two.lacks("lake", &written), Vec::<String>::new());
        let three = access(&["111122223333", "444455556666", "777788889999"]);
        let lacks = three.lacks("lake", &written);
        assert!(matches!(&lacks[..], [one] if one.contains("accountid=777788889999")), "{lacks:?}");
        assert_eq!(two.lacks("other", &written).len(), 3);
    }

    #[test]
    fn an_organizations_objects_are_tagged() {
        let mut tagged = access(&["111122223333"]);
        let untagged = tagged.document("lake");
        tagged.tagged = Tagged::WithOrganization;
        assert_eq!(tagged.lacks("lake", &untagged).len(), 1);
        assert!(tagged.lacks("lake", &tagged.document("lake")).is_empty());
    }

    #[test]
    fn another_hands_wider_policy_will_do_and_a_deny_will_not() {
        let one = access(&["111122223333"]);
        let wide = json!({"Effect": "Allow", "Principal": {"Service": ["ssm.amazonaws.com"]},
            "Action": ["S3:Put*", "s3:Get*"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/*"]});
        let policy = |statements: &[&Value]| json!({"Statement": statements}).to_string();
        assert!(one.lacks("lake", &policy(&[&wide])).is_empty());
        let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::lake/*"});
        assert_eq!(one.lacks("lake", &policy(&[&wide, &deny])).len(), 1);
        for text in ["", "{}", "[]", r#"{"Statement":7}"#, r#"{"Statement":[{"Effect":"Allow"}]}"#]
        {
            assert!(!one.lacks("lake", text).is_empty(), "{text}");
        }
    }
}
