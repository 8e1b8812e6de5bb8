//! The steps of a fix as data, and how a person takes each of them back.

use std::fmt;

use serde::{Deserialize, Serialize};

#[cfg(feature = "resource-groups")]
use super::TagGroup;
use super::{LakeAccess, inventory};
#[cfg(feature = "config")]
use super::{ManagedRule, RuleRemediation};
use crate::LakeDestination;

/// One thing that a fix does.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum SetupStep {
    /// Makes a bucket in this Region.
    CreateBucket {
        /// The bucket.
        bucket: String,
    },
    /// Gives a bucket that has no policy its first one.
    PutBucketPolicy {
        /// The bucket.
        bucket: String,
        /// Whom it is to let in.
        access: LakeAccess,
    },
    /// Makes a role.
    CreateRole {
        /// The role.
        role: String,
        /// The service that may take it.
        service: String,
    },
    /// Attaches a managed policy to a role.
    AttachPolicy {
        /// The role.
        role: String,
        /// The policy.
        arn: String,
    },
    /// Gives a role an inline policy.
    PutRolePolicy {
        /// The role.
        role: String,
        /// The name of the policy.
        name: String,
        /// What it allows.
        document: String,
    },
    /// Makes an instance profile.
    CreateProfile {
        /// The profile.
        profile: String,
    },
    /// Puts a role into an instance profile that holds none.
    AddRole {
        /// The profile.
        profile: String,
        /// The role.
        role: String,
    },
    /// Makes the security group of endpoints in a VPC, which lets HTTPS in.
    CreateEndpointGroup {
        /// The VPC.
        vpc: String,
        /// From these addresses.
        ranges: Vec<String>,
    },
    /// Makes the endpoint of a service in a VPC.
    CreateEndpoint {
        /// The VPC.
        vpc: String,
        /// `ssm`, `ssmmessages`, `ec2messages`, `s3`
        service: String,
    },
    /// Makes a Resource Group.
    #[cfg(feature = "resource-groups")]
    CreateGroup {
        /// The group.
        group: TagGroup,
    },
    /// Makes a topic.
    #[cfg(feature = "sns")]
    CreateTopic {
        /// Its name.
        topic: String,
    },
    /// Makes a rule of AWS Config, where something records.
    #[cfg(feature = "config")]
    PutConfigRule {
        /// The rule.
        rule: ManagedRule,
    },
    /// Gives a rule of AWS Config that has none its remediation.
    #[cfg(feature = "config")]
    PutRemediation {
        /// What is started, and for which rule.
        remediation: RuleRemediation,
    },
    /// Has all nodes gather their inventory.
    AssociateInventory {
        /// How often.
        schedule: String,
    },
    /// Makes a resource data sync.
    CreateSync {
        /// Its name.
        name: String,
        /// Where it writes.
        destination: LakeDestination,
    },
}

impl fmt::Display for SetupStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateBucket { bucket } => write!(f, "make the bucket {bucket}"),
            Self::PutBucketPolicy { bucket, .. } => {
                write!(f, "give the bucket {bucket} a policy that lets Systems Manager write")
            }
            Self::CreateRole { role, service } => {
                write!(f, "make the role {role}, which {service} may take")
            }
            Self::AttachPolicy { role, arn } => write!(f, "attach {arn} to the role {role}"),
            Self::PutRolePolicy { role, name, .. } => {
                write!(f, "give the role {role} the inline policy {name}")
            }
            Self::CreateProfile { profile } => write!(f, "make the instance profile {profile}"),
            Self::AddRole { profile, role } => {
                write!(f, "put the role {role} into the instance profile {profile}")
            }
            Self::CreateEndpointGroup { vpc, ranges } => {
                let ranges = ranges.join(", ");
                write!(f, "make a security group in {vpc} that lets HTTPS in from {ranges}")
            }
            Self::CreateEndpoint { vpc, service } => {
                write!(f, "make the endpoint of {service} in {vpc}")
            }
            #[cfg(feature = "resource-groups")]
            Self::CreateGroup { group } => write!(f, "make the Resource Group {}", group.name),
            #[cfg(feature = "sns")]
            Self::CreateTopic { topic } => write!(f, "make the topic {topic}"),
            #[cfg(feature = "config")]
            Self::PutConfigRule { rule } => {
                write!(f, "make the rule {} of AWS Config", rule.identifier())
            }
            #[cfg(feature = "config")]
            Self::PutRemediation { remediation: RuleRemediation { rule, document, .. } } => {
                let rule = rule.identifier();
                write!(f, "have {document} remedy what the rule {rule} of AWS Config finds")
            }
            Self::AssociateInventory { schedule } => {
                write!(f, "have all nodes gather their inventory, {schedule}")
            }
            Self::CreateSync { name, destination } => {
                write!(f, "make the resource data sync {name} to {}", destination.bucket)
            }
        }
    }
}

/// How a person takes a step back.
pub(super) fn undo(step: &SetupStep) -> String {
    match step {
        SetupStep::CreateBucket { bucket } => {
            format!("aws s3api delete-bucket --bucket {bucket} (once it is empty)")
        }
        SetupStep::PutBucketPolicy { bucket, .. } => {
            format!("aws s3api delete-bucket-policy --bucket {bucket}")
        }
        SetupStep::CreateRole { role, .. } => format!("aws iam delete-role --role-name {role}"),
        SetupStep::AttachPolicy { role, arn } => {
            format!("aws iam detach-role-policy --role-name {role} --policy-arn {arn}")
        }
        SetupStep::PutRolePolicy { role, name, .. } => {
            format!("aws iam delete-role-policy --role-name {role} --policy-name {name}")
        }
        SetupStep::CreateProfile { profile } => {
            format!("aws iam delete-instance-profile --instance-profile-name {profile}")
        }
        SetupStep::AddRole { profile, role } => format!(
            "aws iam remove-role-from-instance-profile --instance-profile-name {profile} \
             --role-name {role}"
        ),
        SetupStep::CreateEndpointGroup { vpc, .. } => format!(
            "aws ec2 delete-security-group --group-id <that of patchkit-endpoints in {vpc}> (once \
             no endpoint has it)"
        ),
        SetupStep::CreateEndpoint { vpc, service } => {
            format!("aws ec2 delete-vpc-endpoints --vpc-endpoint-ids <that of {service} in {vpc}>")
        }
        #[cfg(feature = "resource-groups")]
        SetupStep::CreateGroup { group } => {
            format!("aws resource-groups delete-group --group {}", group.name)
        }
        #[cfg(feature = "sns")]
        SetupStep::CreateTopic { topic } => {
            format!("aws sns delete-topic --topic-arn <that of {topic}>")
        }
        #[cfg(feature = "config")]
        SetupStep::PutConfigRule { rule } => {
            format!("aws configservice delete-config-rule --config-rule-name {}", rule.name())
        }
        #[cfg(feature = "config")]
        SetupStep::PutRemediation { remediation } => format!(
            "aws configservice delete-remediation-configuration --config-rule-name <that of {}>",
            remediation.rule.identifier()
        ),
        SetupStep::AssociateInventory { .. } => format!(
            "aws ssm delete-association --association-id <that of {}>",
            inventory::ASSOCIATION
        ),
        SetupStep::CreateSync { name, .. } => {
            format!("aws ssm delete-resource-data-sync --sync-name {name}")
        }
    }
}
