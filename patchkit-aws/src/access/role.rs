//! What the roles of nodes allow, read once for the many nodes that share one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{TryStreamExt, stream::BoxStream};
use jiff::Timestamp;
use patchkit_core::{ErrorKind, Result, paginate};
use percent_encoding::percent_decode_str;

use super::document::{Allowed, Document, allowed};
use crate::{client::Client, error::malformed};

/// What an agent needs to be managed and to patch: of each row one set of actions. The actions are
/// those of AmazonSSMManagedInstanceCore without which an agent does not register, is not sent
/// commands, or cannot patch; newer agents talk over `ssmmessages` alone (Systems Manager user guide,
/// "ec2messages, ssmmessages, and other API operations").
const NEEDED: [&[&[&str]]; 6] = [
    &[&["ssm:UpdateInstanceInformation"]],
    &[&["ssm:ListAssociations"], &["ssm:ListInstanceAssociations"]],
    &[&["ssm:GetDeployablePatchSnapshotForInstance"]],
    &[&["ssm:PutInventory"]],
    &[&["ssm:GetDocument"]],
    &[
        &[
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        ],
        &[
            "ec2messages:AcknowledgeMessage",
            "ec2messages:DeleteMessage",
            "ec2messages:FailMessage",
            "ec2messages:GetEndpoint",
            "ec2messages:GetMessages",
            "ec2messages:SendReply",
        ],
    ],
];

/// How long a role's verdict stands: a check of a fleet asks once for the nodes that share a role, and
/// a change that someone else makes is seen by the next check.
const FRESH: Duration = Duration::from_secs(30);

/// The role that a policy would be attached to.
pub(super) struct Holder {
    pub(super) role: String,
    pub(super) trusts_its_service: bool,
}

/// What a role lets an agent do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) exists: bool,
    /// Whether the agent's service may assume it.
    pub(crate) trusts: bool,
    /// What is needed and not allowed.
    pub(crate) missing: Vec<String>,
    /// What is allowed under conditions or on some resources only.
    pub(crate) doubtful: Vec<String>,
}

/// The verdicts on the roles of one account.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    verdicts: Mutex<HashMap<(String, String), (Timestamp, Verdict)>>,
    profiles: Mutex<HashMap<String, (Timestamp, Option<String>)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Roles {
    /// Forgets a role, before it is changed.
    pub(crate) fn forget(&self, role: &str) {
        lock(&self.verdicts).retain(|(name, _), _| name != role);
    }

    /// The role in an instance profile, where there is one.
    pub(crate) async fn of_profile(&self, client: &Client, name: &str) -> Result<Option<String>> {
        let fresh = |at: Timestamp| client.now().duration_since(at).unsigned_abs() < FRESH;
        if let Some((at, role)) = lock(&self.profiles).get(name).cloned()
            && fresh(at)
        {
            return Ok(role);
        }
        let request = client.iam().get_instance_profile().instance_profile_name(name);
        let role = match client.read("GetInstanceProfile", request.send()).await {
            Ok(answer) => answer
                .instance_profile
                .and_then(|it| it.roles.into_iter().next())
                .map(|role| role.role_name),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        lock(&self.profiles).insert(name.to_owned(), (client.now(), role.clone()));
        Ok(role)
    }

    pub(crate) async fn verdict(
        &self,
        client: &Arc<Client>,
        role: &str,
        service: &str,
    ) -> Result<Verdict> {
        let key = (role.to_owned(), service.to_owned());
        if let Some((at, verdict)) = lock(&self.verdicts).get(&key).cloned()
            && client.now().duration_since(at).unsigned_abs() < FRESH
        {
            return Ok(verdict);
        }
        let verdict = judge(client, role, service).await?;
        lock(&self.verdicts).insert(key, (client.now(), verdict.clone()));
        Ok(verdict)
    }
}

async fn judge(client: &Arc<Client>, role: &str, service: &str) -> Result<Verdict> {
    let request = client.iam().get_role().role_name(role);
    let found = match client.read("GetRole", request.send()).await {
        Ok(answer) => answer.role,
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let Some(found) = found else { return Ok(Verdict::default()) };
    let trusts = match found.assume_role_policy_document() {
        Some(text) => read("GetRole", text)?.trusts(service),
        None => false,
    };
    let granted = documents(client, role).await?;
    let boundary = match found.permissions_boundary().and_then(|it| it.permissions_boundary_arn()) {
        Some(arn) => Some([managed_document(client, arn).await?]),
        None => None,
    };
    let may = |action: &str| {
        let granted = allowed(&granted, action);
        let bounded = boundary.as_ref().map_or(Allowed::Yes, |it| allowed(it, action));
        granted.min(bounded)
    };
    let (mut missing, mut doubtful) = (Vec::new(), Vec::new());
    for ways in NEEDED {
        let of_way = |way: &&[&str]| way.iter().map(|action| may(action)).min();
        match ways.iter().filter_map(of_way).max() {
            Some(Allowed::Yes) | None => {}
            Some(reach) => {
                let wanted = if reach == Allowed::No { &mut missing } else { &mut doubtful };
                // Of several ways the first is the one to go.
                let actions = ways[0].iter().filter(|action| may(action) == reach);
                wanted.extend(actions.map(|action| (*action).to_owned()));
            }
        }
    }
    Ok(Verdict { exists: true, trusts, missing, doubtful })
}

/// The documents of all policies of a role, attached and inline.
async fn documents(client: &Arc<Client>, role: &str) -> Result<Vec<Document>> {
    let arns: Vec<String> = attached(client, role).try_collect().await?;
    let mut documents = Vec::with_capacity(arns.len());
    for arn in arns {
        documents.push(managed_document(client, &arn).await?);
    }
    let names: Vec<String> = inline(client, role).try_collect().await?;
    for name in names {
        let request = client.iam().get_role_policy().role_name(role).policy_name(name);
        let policy = client.read("GetRolePolicy", request.send()).await?;
        documents.push(read("GetRolePolicy", policy.policy_document())?);
    }
    Ok(documents)
}

fn attached(client: &Arc<Client>, role: &str) -> BoxStream<'static, Result<String>> {
    let (client, role) = (Arc::clone(client), role.to_owned());
    paginate("aws", "ListAttachedRolePolicies", move |token| {
        let (client, role) = (Arc::clone(&client), role.clone());
        async move {
            let request =
                client.iam().list_attached_role_policies().role_name(role).set_marker(token);
            let page = client.read("ListAttachedRolePolicies", request.send()).await?;
            let policies = page.attached_policies.unwrap_or_default().into_iter();
            let arns = policies.filter_map(|policy| policy.policy_arn).collect();
            Ok((arns, page.marker.filter(|_| page.is_truncated)))
        }
    })
}

fn inline(client: &Arc<Client>, role: &str) -> BoxStream<'static, Result<String>> {
    let (client, role) = (Arc::clone(client), role.to_owned());
    paginate("aws", "ListRolePolicies", move |token| {
        let (client, role) = (Arc::clone(&client), role.clone());
        async move {
            let request = client.iam().list_role_policies().role_name(role).set_marker(token);
            let page = client.read("ListRolePolicies", request.send()).await?;
            Ok((page.policy_names, page.marker.filter(|_| page.is_truncated)))
        }
    })
}

async fn managed_document(client: &Client, arn: &str) -> Result<Document> {
    let request = client.iam().get_policy().policy_arn(arn);
    let policy = client.read("GetPolicy", request.send()).await?;
    let version = policy
        .policy
        .and_then(|policy| policy.default_version_id)
        .ok_or_else(|| malformed("GetPolicy", format!("policy {arn} has no default version")))?;
    let request = client.iam().get_policy_version().policy_arn(arn).version_id(version);
    let version = client.read("GetPolicyVersion", request.send()).await?;
    let text = version
        .policy_version
        .and_then(|version| version.document)
        .ok_or_else(|| malformed("GetPolicyVersion", format!("policy {arn} has no document")))?;
    read("GetPolicyVersion", &text)
}

/// IAM hands documents out percent-encoded (IAM API reference, GetPolicyVersion).
fn read(operation: &'static str, text: &str) -> Result<Document> {
    let unreadable = |error: String| malformed(operation, format!("a policy document: {error}"));
    let json =
        percent_decode_str(text).decode_utf8().map_err(|error| unreadable(error.to_string()))?;
    Document::read(&json).map_err(|error| unreadable(error.to_string()))
}
