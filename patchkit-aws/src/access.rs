//! Whether a node may talk to Systems Manager, and the changes that let it.

mod document;
mod role;

use aws_sdk_ec2::types::{Filter, HttpTokensState, IamInstanceProfileSpecification, Instance};
use aws_sdk_ssm::types::{InstanceInformation, PingStatus};
use patchkit_core::{
    AccessChange, AccessGrant, AccessStatus, Error, ErrorKind, NodeAccess, NodeId, Result,
};

use self::role::Holder;
pub(crate) use self::role::{Roles, Verdict};
use crate::{
    Ssm,
    error::{PROVIDER, malformed},
    fleet::is_hybrid,
};

/// The service setting that names the role of Default Host Management Configuration (Systems Manager
/// user guide, "Managing EC2 instances automatically with Default Host Management Configuration").
const HOST_ROLE: &str = "/ssm/managed-instance/default-ec2-instance-management-role";

/// Default Host Management Configuration needs an agent of this version or newer (the same page).
const HOST_ROLE_AGENT: [u64; 4] = [3, 2, 582, 0];

impl Ssm {
    /// Looks at what lets a node's agent talk: its instance profile, the role in it, the actions that
    /// the role's policies allow, and Default Host Management Configuration.
    pub(crate) async fn check_access(&self, node: &NodeId) -> Result<NodeAccess> {
        let named = |error: Error| error.with_node(node.clone());
        self.look(node).await.map(|look| look.access).map_err(named)
    }

    /// Attaches the profile to a node without one, or the policy to a role that lacks actions.
    pub(crate) async fn give_access(
        &self,
        node: &NodeId,
        grant: &AccessGrant,
    ) -> Result<AccessChange> {
        let named = |error: Error| error.with_node(node.clone());
        let look = self.look(node).await.map_err(named)?;
        let mut change = AccessChange::none(node.clone());
        match look.access.status {
            AccessStatus::NoIdentity => {
                self.attach_profile(node.resource(), &grant.identity).await.map_err(named)?;
                change.attached_identity = Some(grant.identity.clone());
            }
            AccessStatus::MissingPermissions => {
                let Some(policy) = &grant.policy else { return Ok(change) };
                let holder = look.holder.filter(|holder| holder.trusts_its_service);
                let Some(Holder { role, .. }) = holder else {
                    let message =
                        format!("no policy would help: {}", look.access.findings.join("; "));
                    return Err(named(conflict("AttachRolePolicy", message)));
                };
                self.attach_policy(&role, policy).await.map_err(named)?;
                change.attached_policy = Some(policy.clone());
                change.policy_holder = Some(role);
            }
            // Granted, or nobody knows: what is there already is left alone.
            _ => {}
        }
        Ok(change)
    }

    /// Takes a profile away only while it is the one that was attached, and a policy only from the
    /// role that it was attached to.
    pub(crate) async fn take_access_back(&self, change: &AccessChange) -> Result<()> {
        let named = |error: Error| error.with_node(change.node.clone());
        if let (Some(policy), Some(role)) = (&change.attached_policy, &change.policy_holder) {
            self.detach_policy(role, policy).await.map_err(named)?;
        }
        if let Some(profile) = &change.attached_identity {
            self.detach_profile(change.node.resource(), profile).await.map_err(named)?;
        }
        Ok(())
    }

    async fn look(&self, node: &NodeId) -> Result<Look> {
        let client = &self.client;
        let missing = || Error::not_found(PROVIDER, "access", "the node");
        if *node.scope() != client.scope {
            return Err(missing());
        }
        let id = node.resource();
        let ids = [id.to_owned()];
        let info = client.information_of(&ids).await?.remove(id);
        if is_hybrid(id) {
            let info = info.ok_or_else(missing)?;
            return self.look_at_hybrid(node, &info).await;
        }
        let instance = client.instances_by_id(&ids).await?.remove(id).ok_or_else(missing)?;
        let profile = instance.iam_instance_profile().and_then(|it| it.arn());
        match profile {
            Some(arn) => {
                let name = arn.rsplit('/').next().unwrap_or(arn);
                let look = match self.client.roles.of_profile(client, name).await? {
                    Some(role) => self.look_at_role(node, &role, "ec2.amazonaws.com").await?,
                    None => Look::new(node, AccessStatus::MissingPermissions)
                        .because(format!("instance profile {name} holds no role")),
                };
                // The default role serves where the profile's does not (the user guide's page).
                if look.access.status == AccessStatus::MissingPermissions {
                    let host = self.look_at_host_role(node, &instance, info.as_ref()).await?;
                    if host.access.status == AccessStatus::Granted {
                        return Ok(host);
                    }
                }
                Ok(look)
            }
            None => self.look_at_host_role(node, &instance, info.as_ref()).await,
        }
    }

    /// The agent of a hybrid node has the role of its activation.
    async fn look_at_hybrid(&self, node: &NodeId, info: &InstanceInformation) -> Result<Look> {
        if info.ping_status() == Some(&PingStatus::Online) {
            let look = Look::new(node, AccessStatus::Granted);
            return Ok(look.because("its agent is online".to_owned()));
        }
        match info.iam_role() {
            Some(role) => {
                let name = role.rsplit('/').next().unwrap_or(role);
                self.look_at_role(node, name, "ssm.amazonaws.com").await
            }
            None => Ok(Look::new(node, AccessStatus::Unknown)
                .because("Systems Manager names no role of this hybrid node".to_owned())),
        }
    }

    async fn look_at_role(&self, node: &NodeId, role: &str, service: &str) -> Result<Look> {
        let Verdict { missing, doubtful, trusts, exists } =
            self.client.roles.verdict(&self.client, role, service).await?;
        let status = if !exists || !trusts || !missing.is_empty() {
            AccessStatus::MissingPermissions
        } else if doubtful.is_empty() {
            AccessStatus::Granted
        } else {
            AccessStatus::Unknown
        };
        let mut look = Look::new(node, status);
        if exists {
            if status == AccessStatus::Granted {
                look = look.because(format!("role {role} allows what the agent needs"));
            }
            if !trusts {
                let why =
                    format!("the trust policy of role {role} does not let {service} assume it");
                look = look.because(why);
            }
            if !missing.is_empty() {
                look = look.because(format!("role {role} does not allow {}", missing.join(", ")));
            }
            if !doubtful.is_empty() {
                let actions = doubtful.join(", ");
                let why = format!(
                    "role {role} allows {actions} under conditions or on some resources only"
                );
                look = look.because(why);
            }
            look.holder = Some(Holder { role: role.to_owned(), trusts_its_service: trusts });
        } else {
            look = look.because(format!("role {role} does not exist"));
        }
        Ok(look)
    }

    /// With Default Host Management Configuration an instance is managed without a profile.
    async fn look_at_host_role(
        &self,
        node: &NodeId,
        instance: &Instance,
        info: Option<&InstanceInformation>,
    ) -> Result<Look> {
        let none = |why: String| Ok(Look::new(node, AccessStatus::NoIdentity).because(why));
        let request = self.client.ssm().get_service_setting().setting_id(HOST_ROLE);
        let setting = match self.client.read("GetServiceSetting", request.send()).await {
            Ok(answer) => answer.service_setting,
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        // A setting that nobody set has the status Default, and no role for its value.
        let role = setting
            .filter(|it| it.status() != Some("Default"))
            .and_then(|it| it.setting_value)
            .filter(|role| !role.is_empty() && role != "$None");
        let Some(role) = role else {
            return none(
                "no instance profile, and Default Host Management Configuration is off".into(),
            );
        };
        let metadata = instance.metadata_options();
        if metadata.and_then(|it| it.http_endpoint()).is_some_and(|it| it.as_str() == "disabled") {
            return none(format!(
                "no instance profile, and {role} cannot reach it: its metadata service is off"
            ));
        }
        let look = Look::new(node, AccessStatus::Granted)
            .because(format!("Default Host Management Configuration gives it {role}"));
        let version = info.and_then(|it| it.agent_version());
        Ok(match version.map(agent_version) {
            Some(version) if version < HOST_ROLE_AGENT => Look::new(node, AccessStatus::NoIdentity)
                .because(
                    "no instance profile, and its agent is too old for Default Host Management \
                     Configuration (3.2.582.0)"
                        .to_owned(),
                ),
            _ if metadata.and_then(|it| it.http_tokens()) == Some(&HttpTokensState::Optional) => {
                look.because("its metadata service allows IMDSv1 too".to_owned())
            }
            _ => look,
        })
    }

    async fn attach_profile(&self, instance: &str, profile: &str) -> Result<()> {
        let client = &self.client;
        let mut specification = IamInstanceProfileSpecification::builder();
        specification = if profile.starts_with("arn:") {
            specification.arn(profile)
        } else {
            specification.name(profile)
        };
        let request = client
            .ec2_once()
            .associate_iam_instance_profile()
            .instance_id(instance)
            .iam_instance_profile(specification.build());
        client.write("AssociateIamInstanceProfile", request.send()).await.map(drop)
    }

    async fn detach_profile(&self, instance: &str, profile: &str) -> Result<()> {
        let client = &self.client;
        let name = profile.rsplit('/').next().unwrap_or(profile);
        let request = client
            .ec2()
            .describe_iam_instance_profile_associations()
            .filters(Filter::builder().name("instance-id").values(instance).build());
        let operation = "DescribeIamInstanceProfileAssociations";
        let answer = client.read(operation, request.send()).await?;
        for it in answer.iam_instance_profile_associations() {
            let arn = it.iam_instance_profile().and_then(|it| it.arn()).unwrap_or_default();
            let going = it.state().is_some_and(|state| state.as_str().starts_with("disassociat"));
            if going || arn.rsplit('/').next() != Some(name) {
                continue;
            }
            let id = it
                .association_id()
                .ok_or_else(|| malformed(operation, "an association has no id"))?;
            let request = client.ec2_once().disassociate_iam_instance_profile().association_id(id);
            match client.write("DisassociateIamInstanceProfile", request.send()).await {
                // Someone was quicker.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                done => drop(done?),
            }
        }
        Ok(())
    }

    async fn attach_policy(&self, role: &str, policy: &str) -> Result<()> {
        let client = &self.client;
        client.roles.forget(role);
        let arn = self.policy_arn(policy).await?;
        let request = client.iam().attach_role_policy().role_name(role).policy_arn(arn);
        client.read("AttachRolePolicy", request.send()).await.map(drop)
    }

    async fn detach_policy(&self, role: &str, policy: &str) -> Result<()> {
        let client = &self.client;
        client.roles.forget(role);
        let arn = self.policy_arn(policy).await?;
        let request = client.iam().detach_role_policy().role_name(role).policy_arn(arn);
        match client.read("DetachRolePolicy", request.send()).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done.map(drop),
        }
    }

    /// A policy may be named by its ARN, or by its name: the account's own, else one of AWS's.
    async fn policy_arn(&self, policy: &str) -> Result<String> {
        if policy.starts_with("arn:") {
            return Ok(policy.to_owned());
        }
        let client = &self.client;
        let partition = client.partition();
        let own = format!("arn:{partition}:iam::{}:policy/{policy}", client.scope.account());
        let request = client.iam().get_policy().policy_arn(&own);
        match client.read("GetPolicy", request.send()).await {
            Ok(_) => Ok(own),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(format!("arn:{partition}:iam::aws:policy/{policy}"))
            }
            Err(error) => Err(error),
        }
    }
}

/// What was seen of a node's access, and the role that a policy would be attached to.
struct Look {
    access: NodeAccess,
    holder: Option<Holder>,
}

impl Look {
    fn new(node: &NodeId, status: AccessStatus) -> Self {
        Self { access: NodeAccess::new(node.clone(), status), holder: None }
    }

    fn because(mut self, why: String) -> Self {
        self.access.findings.push(why);
        self
    }
}

fn conflict(operation: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Conflict, PROVIDER, operation, message)
}

/// An agent's version, to be compared; what is not a number counts as the oldest.
fn agent_version(text: &str) -> [u64; 4] {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_compared_by_number() {
        assert!(agent_version("3.2.582.0") >= HOST_ROLE_AGENT);
        assert!(agent_version("3.10.0.0") >= HOST_ROLE_AGENT);
        assert!(agent_version("3.2.99.0") < HOST_ROLE_AGENT);
        assert!(agent_version("") < HOST_ROLE_AGENT);
    }
}
