//! The least that IAM must allow for the features in use.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// What a caller does with this crate, as far as IAM minds.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Feature {
    /// Lists nodes and reads their states. Every feature that is about nodes needs it.
    Nodes,
    /// Reads what is known of nodes' patches.
    Compliance,
    /// Scans, installs, updates agents, applies associations again; follows and cancels.
    Patch,
    /// Starts and stops instances.
    Power,
    /// Checks whether nodes may talk to Systems Manager.
    AccessCheck,
    /// Attaches instance profiles and policies, and takes them back.
    AccessFix,
    /// Sets tags, and takes them back.
    Tags,
    /// Reads patch baselines and patch groups.
    Baselines,
    /// Writes patch baselines and registers them for patch groups.
    BaselinesWrite,
    /// Reads the output of commands.
    Output,
    /// Has Systems Manager tell a topic of commands, with a role that is passed to it; beside
    /// [`Patch`](Self::Patch).
    CommandNotify,
    /// Tells SNS topics how runs ended.
    Notify,
    /// Reads and writes compliance of other kinds, and asks the rules of AWS Config.
    OtherCompliance,
    /// Reads and writes maintenance windows and associations.
    Schedules,
    /// Registers, starts and follows runbooks. One that is started without a role of its own needs
    /// [`Patch`](Self::Patch) and [`Power`](Self::Power) as well: it works with the caller's rights.
    Automation,
    /// Selects by Resource Group.
    ResourceGroups,
    /// Reads what AWS Config recorded of nodes' compliance over time.
    ComplianceHistory,
    /// Lists activations and hybrid nodes that have fallen silent, and reads which machines they are.
    Hybrid,
    /// Makes and deletes activations, and gives hybrid nodes up.
    HybridWrite,
    /// Lists resource data syncs, and says whether they fill the lake.
    Lake,
    /// Makes and deletes resource data syncs.
    LakeWrite,
    /// Queries a lake through Athena: with the rights of whoever asks, Athena reads the tables of the
    /// Glue Data Catalog and the lake's objects, and writes the results. A bucket that is encrypted with a
    /// key of KMS, and a catalogue under Lake Formation, ask for more.
    Athena,
    /// Makes a lake's database, tables and views for Athena, and drops its tables; beside
    /// [`Athena`](Self::Athena).
    AthenaWrite,
    /// Checks what an account and Region is set up with.
    SetupCheck,
    /// Makes what a setup lacks; with [`SetupCheck`](Self::SetupCheck), for each step looks first.
    SetupFix,
    /// Opens other accounts and Regions: what the caller's own account must allow, and for
    /// `ec2:DescribeRegions` each account.
    Accounts,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::Nodes,
        Self::Compliance,
        Self::Patch,
        Self::Power,
        Self::AccessCheck,
        Self::AccessFix,
        Self::Tags,
        Self::Baselines,
        Self::BaselinesWrite,
        Self::Output,
        Self::CommandNotify,
        Self::Notify,
        Self::OtherCompliance,
        Self::Schedules,
        Self::Automation,
        Self::ResourceGroups,
        Self::ComplianceHistory,
        Self::Hybrid,
        Self::HybridWrite,
        Self::Lake,
        Self::LakeWrite,
        Self::Athena,
        Self::AthenaWrite,
        Self::SetupCheck,
        Self::SetupFix,
        Self::Accounts,
    ];

    /// The actions that it takes, as IAM names them.
    #[expect(clippy::too_many_lines, reason = "a table")]
    pub fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Nodes => &[
                "ec2:DescribeInstances",
                "ssm:DescribeInstanceInformation",
                "ssm:GetInventory",
                "tag:GetResources",
            ],
            Self::Compliance => &[
                "ssm:DescribeInstancePatchStates",
                "ssm:DescribeInstancePatches",
                "ssm:GetInventory",
            ],
            Self::Patch => &[
                "ssm:CancelCommand",
                "ssm:ListCommandInvocations",
                "ssm:ListCommands",
                "ssm:SendCommand",
            ],
            Self::Power => &["ec2:StartInstances", "ec2:StopInstances"],
            Self::AccessCheck => &[
                "iam:GetInstanceProfile",
                "iam:GetPolicy",
                "iam:GetPolicyVersion",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListRolePolicies",
                "ssm:GetServiceSetting",
            ],
            Self::AccessFix => &[
                "ec2:AssociateIamInstanceProfile",
                "ec2:DescribeIamInstanceProfileAssociations",
                "ec2:DisassociateIamInstanceProfile",
                "iam:AttachRolePolicy",
                "iam:DetachRolePolicy",
                "iam:PassRole",
            ],
            Self::Tags => &[
                "ec2:CreateTags",
                "ec2:DeleteTags",
                "ssm:AddTagsToResource",
                "ssm:ListTagsForResource",
                "ssm:RemoveTagsFromResource",
            ],
            Self::Baselines => &[
                "ssm:DescribePatchBaselines",
                "ssm:DescribePatchGroups",
                "ssm:GetDefaultPatchBaseline",
                "ssm:GetPatchBaseline",
                "ssm:GetPatchBaselineForPatchGroup",
            ],
            Self::BaselinesWrite => &[
                "ssm:CreatePatchBaseline",
                "ssm:DeletePatchBaseline",
                "ssm:DeregisterPatchBaselineForPatchGroup",
                "ssm:RegisterDefaultPatchBaseline",
                "ssm:RegisterPatchBaselineForPatchGroup",
                "ssm:UpdatePatchBaseline",
            ],
            Self::Output => &["s3:GetObject", "s3:ListBucket", "ssm:GetCommandInvocation"],
            Self::CommandNotify => &["iam:PassRole"],
            Self::Notify => &["sns:Publish"],
            Self::OtherCompliance => &[
                "config:DescribeConfigRules",
                "config:GetComplianceDetailsByConfigRule",
                "ssm:ListComplianceItems",
                "ssm:ListResourceComplianceSummaries",
                "ssm:PutComplianceItems",
            ],
            Self::Schedules => &[
                "iam:PassRole",
                "ssm:CreateAssociation",
                "ssm:CreateMaintenanceWindow",
                "ssm:DeleteAssociation",
                "ssm:DeleteMaintenanceWindow",
                "ssm:DescribeAssociation",
                "ssm:DescribeMaintenanceWindowTargets",
                "ssm:DescribeMaintenanceWindowTasks",
                "ssm:DescribeMaintenanceWindows",
                "ssm:GetMaintenanceWindow",
                "ssm:GetMaintenanceWindowTask",
                "ssm:ListAssociations",
                "ssm:RegisterTargetWithMaintenanceWindow",
                "ssm:RegisterTaskWithMaintenanceWindow",
            ],
            Self::Automation => &[
                "iam:PassRole",
                "ssm:CreateDocument",
                "ssm:DeleteDocument",
                "ssm:DescribeAutomationExecutions",
                "ssm:DescribeAutomationStepExecutions",
                "ssm:GetAutomationExecution",
                "ssm:GetDocument",
                "ssm:StartAutomationExecution",
                "ssm:StopAutomationExecution",
            ],
            // API reference, ListGroupResources: the service reads for the caller what the group's
            // query names.
            Self::ResourceGroups => &[
                "cloudformation:DescribeStacks",
                "cloudformation:ListStackResources",
                "resource-groups:ListGroupResources",
                "tag:GetResources",
            ],
            Self::ComplianceHistory => &["config:GetResourceConfigHistory"],
            Self::Hybrid => &[
                "ssm:DescribeActivations",
                "ssm:DescribeInstanceInformation",
                "ssm:ListInventoryEntries",
            ],
            Self::HybridWrite => &[
                "iam:PassRole",
                "ssm:CreateActivation",
                "ssm:DeleteActivation",
                "ssm:DeregisterManagedInstance",
            ],
            Self::Lake => &["ssm:ListResourceDataSync"],
            Self::LakeWrite => &["ssm:CreateResourceDataSync", "ssm:DeleteResourceDataSync"],
            // Step Functions developer guide, "IAM policies for Amazon Athena", less what makes and
            // changes things; Athena user guide, "Configure access to databases and tables in the AWS
            // Glue Data Catalog". Partitions that are projected are not asked for (Athena user guide,
            // "Use partition projection"): no glue:GetPartitions.
            Self::Athena => &[
                "athena:GetDataCatalog",
                "athena:GetQueryExecution",
                "athena:GetQueryResults",
                "athena:StartQueryExecution",
                "athena:StopQueryExecution",
                "glue:GetDatabase",
                "glue:GetTable",
                "s3:AbortMultipartUpload",
                "s3:GetBucketLocation",
                "s3:GetObject",
                "s3:ListBucket",
                "s3:ListBucketMultipartUploads",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
            ],
            // A view is a table to Glue, and one that is replaced is updated.
            Self::AthenaWrite => {
                &["glue:CreateDatabase", "glue:CreateTable", "glue:DeleteTable", "glue:UpdateTable"]
            }
            Self::SetupCheck => &[
                "config:DescribeConfigRules",
                "config:DescribeRemediationConfigurations",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeVpcEndpoints",
                "ec2:DescribeVpcs",
                "iam:GetInstanceProfile",
                "iam:GetPolicy",
                "iam:GetPolicyVersion",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListRolePolicies",
                "resource-groups:GetGroupQuery",
                "s3:GetBucketPolicy",
                "s3:ListBucket",
                "sns:GetTopicAttributes",
                "ssm:ListAssociations",
                "ssm:ListResourceDataSync",
            ],
            Self::SetupFix => &[
                "config:PutConfigRule",
                "config:PutRemediationConfigurations",
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:CreateSecurityGroup",
                "ec2:CreateVpcEndpoint",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSubnets",
                "iam:AddRoleToInstanceProfile",
                "iam:AttachRolePolicy",
                "iam:CreateInstanceProfile",
                "iam:CreateRole",
                "iam:PassRole",
                "iam:PutRolePolicy",
                "resource-groups:CreateGroup",
                "s3:CreateBucket",
                "s3:PutBucketPolicy",
                "sns:CreateTopic",
                "ssm:CreateAssociation",
                "ssm:CreateResourceDataSync",
            ],
            Self::Accounts => &[
                "ec2:DescribeRegions",
                "organizations:ListAccounts",
                "organizations:ListAccountsForParent",
                "organizations:ListOrganizationalUnitsForParent",
                "sts:AssumeRole",
            ],
        }
    }
}

/// The IAM policy that allows some features, and no more: one statement for each.
///
/// # Behavior
/// - Roles are passed to EC2 and Systems Manager alone.
/// - Resources are not narrowed: which instances, buckets and topics there are is the caller's to say.
///
/// # Example
/// ```
/// use patchkit_aws::{Feature, policy};
///
/// let document = policy([Feature::Nodes, Feature::Power]);
/// assert_eq!(document["Statement"][1]["Action"][0], "ec2:StartInstances");
/// ```
pub fn policy(features: impl IntoIterator<Item = Feature>) -> Value {
    let features: BTreeSet<Feature> = features.into_iter().collect();
    let mut statements = Vec::new();
    for feature in features {
        let (passing, others): (Vec<&str>, Vec<&str>) =
            feature.actions().iter().partition(|action| **action == "iam:PassRole");
        if !others.is_empty() {
            statements.push(json!({
                "Sid": format!("PatchKit{feature:?}"),
                "Effect": "Allow",
                "Action": others,
                "Resource": "*",
            }));
        }
        if !passing.is_empty() {
            statements.push(json!({
                "Sid": format!("PatchKit{feature:?}PassRole"),
                "Effect": "Allow",
                "Action": passing,
                "Resource": "*",
                "Condition": {
                    "StringEquals": {
                        "iam:PassedToService": ["ec2.amazonaws.com", "ssm.amazonaws.com"],
                    },
                },
            }));
        }
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}
