//! The role of managed nodes, and the instance profile that holds it.

use std::sync::Arc;

use aws_smithy_types::retry::RetryConfig;
use patchkit_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use super::{SetupFinding, SetupItem, SetupStep};
use crate::{access::Verdict, client::Client};

const CORE_POLICY: &str = "AmazonSSMManagedInstanceCore";
const LOG_POLICY: &str = "PatchKitLogs";
/// Whom the nodes' roles trust: instances take theirs through EC2, hybrid nodes through Systems
/// Manager (user guide, "Create the IAM service role required for Systems Manager in hybrid and
/// multicloud environments").
const EC2: &str = "ec2.amazonaws.com";
const SSM: &str = "ssm.amazonaws.com";

/// What is so of the role, and of its access to the log bucket.
pub(super) async fn find(
    client: &Arc<Client>,
    role: &str,
    logs: Option<&str>,
) -> Vec<SetupFinding> {
    let item = SetupItem::Role(role.to_owned());
    let (found, is_there) = find_role(client, item, role, EC2).await;
    let mut findings = vec![found];
    if let Some(bucket) = logs {
        let item = SetupItem::LogAccess(role.to_owned());
        // A role that is not there has no policy: one call less.
        let has = if is_there { has_inline(client, role, LOG_POLICY).await } else { Ok(false) };
        findings.push(match has {
            Ok(true) => SetupFinding::present(item),
            Ok(false) => {
                let document = log_policy(client.partition(), bucket);
                let (role, name) = (role.to_owned(), LOG_POLICY.to_owned());
                let step = SetupStep::PutRolePolicy { role, name, document };
                SetupFinding::missing(item, vec![step])
            }
            Err(error) => SetupFinding::unknown(item, error.report()),
        });
    }
    findings
}

/// What is so of the role that hybrid nodes take by their activation.
pub(super) async fn find_hybrid(client: &Arc<Client>, role: &str) -> SetupFinding {
    find_role(client, SetupItem::HybridRole(role.to_owned()), role, SSM).await.0
}

/// What is so of a role, and whether it is there.
async fn find_role(
    client: &Arc<Client>,
    item: SetupItem,
    role: &str,
    service: &str,
) -> (SetupFinding, bool) {
    let arn = format!("arn:{}:iam::aws:policy/{CORE_POLICY}", client.partition());
    match client.roles.verdict(client, role, service).await {
        Ok(verdict) => (judge(item, role, service, &verdict, arn), verdict.exists),
        Err(error) => (SetupFinding::unknown(item, error.report()), false),
    }
}

/// Pure: what a role is worth.
fn judge(
    item: SetupItem,
    role: &str,
    service: &str,
    verdict: &Verdict,
    arn: String,
) -> SetupFinding {
    let attach = SetupStep::AttachPolicy { role: role.to_owned(), arn };
    if !verdict.exists {
        let create = SetupStep::CreateRole { role: role.to_owned(), service: service.to_owned() };
        return SetupFinding::missing(item, vec![create, attach]);
    }
    if !verdict.trusts {
        return SetupFinding::wrong(item, format!("{service} may not take it"));
    }
    if !verdict.missing.is_empty() {
        // The role is there; what is missing is the policy.
        return SetupFinding::missing(item, vec![attach]);
    }
    if !verdict.doubtful.is_empty() {
        let why = format!("allowed on conditions only: {}", verdict.doubtful.join(", "));
        return SetupFinding::wrong(item, why);
    }
    SetupFinding::present(item)
}

fn log_policy(partition: &str, bucket: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": format!("arn:{partition}:s3:::{bucket}/*"),
        }],
    })
    .to_string()
}

pub(super) async fn find_profile(client: &Client, name: &str) -> SetupFinding {
    let item = SetupItem::InstanceProfile(name.to_owned());
    match profile(client, name).await {
        Ok(seen) => judge_profile(item, name, seen.as_ref()),
        Err(error) => SetupFinding::unknown(item, error.report()),
    }
}

/// Pure: what a profile is worth.
fn judge_profile(item: SetupItem, name: &str, seen: Option<&Option<String>>) -> SetupFinding {
    let profile = name.to_owned();
    let add = SetupStep::AddRole { profile: profile.clone(), role: name.to_owned() };
    match seen {
        None => SetupFinding::missing(item, vec![SetupStep::CreateProfile { profile }, add]),
        Some(None) => SetupFinding::missing(item, vec![add]),
        Some(Some(role)) if role == name => SetupFinding::present(item),
        Some(Some(role)) => SetupFinding::wrong(item, format!("it holds the role {role}")),
    }
}

/// The role in a profile; none without the profile.
pub(super) async fn profile(client: &Client, name: &str) -> Result<Option<Option<String>>> {
    let request = client.iam().get_instance_profile().instance_profile_name(name);
    let answer = found(client.read("GetInstanceProfile", request.send()).await)?;
    Ok(answer
        .and_then(|it| it.instance_profile)
        .map(|profile| profile.roles.into_iter().next().map(|role| role.role_name)))
}

pub(super) async fn exists(client: &Client, role: &str) -> Result<bool> {
    let request = client.iam().get_role().role_name(role);
    Ok(found(client.read("GetRole", request.send()).await)?.is_some())
}

pub(super) async fn has_policy(client: &Client, role: &str, arn: &str) -> Result<bool> {
    // A role has 20 attached policies at most: they fit on a page (IAM user guide, "IAM and AWS STS
    // quotas").
    let request = client.iam().list_attached_role_policies().role_name(role);
    let page = client.read("ListAttachedRolePolicies", request.send()).await?;
    Ok(page.attached_policies().iter().any(|it| it.policy_arn() == Some(arn)))
}

pub(super) async fn has_inline(client: &Client, role: &str, name: &str) -> Result<bool> {
    let request = client.iam().get_role_policy().role_name(role).policy_name(name);
    Ok(found(client.read("GetRolePolicy", request.send()).await)?.is_some())
}

pub(super) async fn create(client: &Client, role: &str, service: &str) -> Result<()> {
    let trust = trust(client.partition(), client.scope.account().as_str(), service);
    let request = client
        .iam()
        .create_role()
        .role_name(role)
        .description("Managed nodes of Systems Manager; made by PatchKit")
        .assume_role_policy_document(trust.to_string())
        .customize()
        .config_override(once());
    client.roles.forget(role);
    client.write("CreateRole", request.send()).await.map(drop)
}

/// Pure: who may take a role. Systems Manager takes it for this account's activations alone: another
/// account cannot have it take the role for its own (the same page of the user guide).
fn trust(partition: &str, account: &str, service: &str) -> Value {
    let mut statement = json!({
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    });
    if service == SSM {
        statement["Condition"] = json!({
            "StringEquals": {"aws:SourceAccount": account},
            "ArnLike": {"aws:SourceArn": format!("arn:{partition}:ssm:*:{account}:*")},
        });
    }
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

pub(super) async fn attach(client: &Client, role: &str, arn: &str) -> Result<()> {
    let request = client.iam().attach_role_policy().role_name(role).policy_arn(arn);
    client.roles.forget(role);
    let request = request.customize().config_override(once());
    client.write("AttachRolePolicy", request.send()).await.map(drop)
}

pub(super) async fn put_inline(
    client: &Client,
    role: &str,
    name: &str,
    document: &str,
) -> Result<()> {
    let request =
        client.iam().put_role_policy().role_name(role).policy_name(name).policy_document(document);
    client.roles.forget(role);
    let request = request.customize().config_override(once());
    client.write("PutRolePolicy", request.send()).await.map(drop)
}

pub(super) async fn create_profile(client: &Client, name: &str) -> Result<()> {
    let request = client.iam().create_instance_profile().instance_profile_name(name);
    let request = request.customize().config_override(once());
    client.write("CreateInstanceProfile", request.send()).await.map(drop)
}

pub(super) async fn add(client: &Client, profile: &str, role: &str) -> Result<()> {
    let request = client
        .iam()
        .add_role_to_instance_profile()
        .instance_profile_name(profile)
        .role_name(role)
        .customize()
        .config_override(once());
    client.write("AddRoleToInstanceProfile", request.send()).await.map(drop)
}

fn found<T>(answer: Result<T, Error>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn once() -> aws_sdk_iam::config::Builder {
    aws_sdk_iam::Config::builder().retry_config(RetryConfig::disabled())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SetupState;

    fn of(verdict: &Verdict) -> SetupFinding {
        judge(SetupItem::Role("node".to_owned()), "node", EC2, verdict, "arn".to_owned())
    }

    #[test]
    fn a_role_that_is_there_is_given_what_it_lacks_and_its_trust_is_left_alone() {
        let good = Verdict { exists: true, trusts: true, ..Verdict::default() };
        assert_eq!(of(&good).state, SetupState::Present);
        assert_eq!(of(&Verdict::default()).fix.len(), 2);
        let bare = Verdict { missing: vec!["ssm:PutInventory".to_owned()], ..good.clone() };
        assert!(matches!(of(&bare).fix[..], [SetupStep::AttachPolicy { .. }]));
        let strange = Verdict { trusts: false, ..bare };
        assert!(matches!(of(&strange).state, SetupState::Wrong { .. }));
        assert!(of(&strange).fix.is_empty());
    }

    #[test]
    fn a_role_for_hybrid_nodes_is_taken_for_this_account_alone() {
        let of = |service| trust("aws", "111122223333", service)["Statement"][0].clone();
        assert_eq!(of(SSM)["Principal"]["Service"], SSM);
        assert_eq!(of(SSM)["Condition"]["StringEquals"]["aws:SourceAccount"], "111122223333");
        assert!(of(EC2)["Condition"].is_null());
    }

    #[test]
    fn a_profile_with_another_role_is_left_alone() {
        let item = || SetupItem::InstanceProfile("node".to_owned());
        let seen = |role: &str| judge_profile(item(), "node", Some(&Some(role.to_owned())));
        assert_eq!(seen("node").state, SetupState::Present);
        assert!(
            matches!(seen("other").state, SetupState::Wrong { .. }) && seen("other").fix.is_empty()
        );
        assert_eq!(judge_profile(item(), "node", Some(&None)).fix.len(), 1);
        assert_eq!(judge_profile(item(), "node", None).fix.len(), 2);
    }
}
