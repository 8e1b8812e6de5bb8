//! Who may not do what: denials by caller, action and scope; and who may do these things alone.

use globset::{Glob, GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fault::Subject;

/// Denies an action to a caller. Without any, everyone may do everything.
///
/// ```
/// use patchkit_testkit::cloud::Denial;
///
/// let reader = Denial::of("ssm:SendCommand").to("*assumed-role/reader/*");
/// # let _ = reader;
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Denial {
    /// `ssm:SendCommand`, `arm:VirtualMachines_*`; a glob.
    pub action: String,
    /// The caller's ARN or application; a glob.
    #[serde(default = "everyone")]
    pub caller: String,
    /// The account's Region or the subscription; a glob.
    #[serde(default = "everyone")]
    pub scope: String,
}

fn everyone() -> String {
    "*".to_owned()
}

impl Denial {
    /// Denies an action to everyone everywhere; a glob such as `ssm:*`.
    pub fn of(action: impl Into<String>) -> Self {
        Self { action: action.into(), caller: everyone(), scope: everyone() }
    }

    /// Denies it only to callers of this name; a glob.
    #[must_use]
    pub fn to(mut self, caller: impl Into<String>) -> Self {
        self.caller = caller.into();
        self
    }

    /// Denies it only in one account's Region or subscription; a glob.
    #[must_use]
    pub fn in_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }
}

/// Allows a caller some actions of AWS, and nothing else: what an IAM policy with no other statement
/// does.
///
/// ```
/// use patchkit_testkit::cloud::Allowance;
///
/// let reader = Allowance::of(["ssm:Describe*", "ec2:DescribeInstances"]).to("*:user/patchkit");
/// # let _ = reader;
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Allowance {
    /// As IAM names actions: `s3:ListBucket`, `tag:GetResources`, `iam:PassRole`; `*` is any text.
    pub actions: Vec<String>,
    /// The caller's ARN; a glob. A role's callers have the ARN of their session.
    #[serde(default = "everyone")]
    pub caller: String,
}

impl Allowance {
    /// Allows everyone these actions, and nothing else.
    pub fn of<S: Into<String>>(actions: impl IntoIterator<Item = S>) -> Self {
        Self { actions: actions.into_iter().map(Into::into).collect(), caller: everyone() }
    }

    /// Binds only callers of this name; a glob.
    #[must_use]
    pub fn to(mut self, caller: impl Into<String>) -> Self {
        self.caller = caller.into();
        self
    }
}

#[derive(Debug, Default)]
pub(crate) struct Policy {
    denials: Vec<(Denial, [GlobMatcher; 3])>,
    allowances: Vec<(GlobMatcher, Vec<GlobMatcher>)>,
}

impl Policy {
    pub(crate) fn deny(&mut self, denial: Denial) -> Result<(), globset::Error> {
        let glob = |pattern: &str| Glob::new(pattern).map(|it| it.compile_matcher());
        let globs = [glob(&denial.action)?, glob(&denial.caller)?, glob(&denial.scope)?];
        self.denials.push((denial, globs));
        Ok(())
    }

    pub(crate) fn allow_only(&mut self, allowance: &Allowance) -> Result<(), globset::Error> {
        let caller = Glob::new(&allowance.caller)?.compile_matcher();
        let action = |pattern: &String| {
            let glob = GlobBuilder::new(pattern).case_insensitive(true).build();
            glob.map(|it| it.compile_matcher())
        };
        let actions = allowance.actions.iter().map(action).collect::<Result<_, _>>()?;
        self.allowances.push((caller, actions));
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.denials.clear();
        self.allowances.clear();
    }

    pub(crate) fn denials(&self) -> Vec<Denial> {
        self.denials.iter().map(|(denial, _)| denial.clone()).collect()
    }

    pub(crate) fn denies(&self, subject: &Subject<'_>) -> bool {
        if self.denials.is_empty() && self.allowances.is_empty() {
            return false;
        }
        let action = format!("{}:{}", subject.service, subject.operation);
        let needed = iam_actions(subject);
        let denied = self.denials.iter().any(|(_, [of, to, at])| {
            let named = of.is_match(&action) || needed.iter().any(|it| of.is_match(it));
            named && to.is_match(subject.caller) && at.is_match(subject.scope)
        });
        let mut bound = self.allowances.iter().filter(|(to, _)| to.is_match(subject.caller));
        denied
            || bound.any(|(_, allowed)| {
                needed.iter().any(|action| !allowed.iter().any(|it| it.is_match(action)))
            })
    }
}

/// The actions of IAM that a request needs. Most have their operation's name; the service
/// authorization reference has the others. None are needed of what nobody can be denied, nor outside
/// of AWS.
fn iam_actions(subject: &Subject<'_>) -> Vec<String> {
    let one = |service: &str, action: &str| vec![format!("{service}:{action}")];
    let mut needed = match (subject.service, subject.operation) {
        ("arm", _) | ("sts", "GetCallerIdentity") => Vec::new(),
        ("resourcegroupstaggingapi", operation) => one("tag", operation),
        ("s3", "ListObjects" | "ListObjectsV2" | "HeadBucket") => one("s3", "ListBucket"),
        ("s3", "HeadObject") => one("s3", "GetObject"),
        ("s3", "ListBuckets") => one("s3", "ListAllMyBuckets"),
        // Resource Groups API reference, ListGroupResources: "Minimum permissions".
        ("resource-groups", "ListGroupResources") => [
            "resource-groups:ListGroupResources",
            "cloudformation:DescribeStacks",
            "cloudformation:ListStackResources",
            "tag:GetResources",
        ]
        .map(str::to_owned)
        .to_vec(),
        (service, operation) => one(service, operation),
    };
    if subject.passes_role {
        needed.push("iam:PassRole".to_owned());
    }
    needed
}

/// Whether a request hands a role to a service, for which its caller needs `iam:PassRole`: IAM user
/// guide, "Grant a user permissions to pass a role to an AWS service"; Systems Manager user guide,
/// on notifications of Run Command, on maintenance windows, on automations with a service role and
/// on hybrid activations; IAM API reference, AddRoleToInstanceProfile.
pub(crate) fn passes_role(service: &str, operation: &str, input: &Value) -> bool {
    let names = |pointer: &str| {
        input.pointer(pointer).is_some_and(|it| !it.is_null() && it.as_str() != Some(""))
    };
    match (service, operation) {
        ("ec2", "AssociateIamInstanceProfile" | "ReplaceIamInstanceProfileAssociation")
        | ("iam", "AddRoleToInstanceProfile") => true,
        ("ssm", "CreateActivation" | "UpdateManagedInstanceRole") => names("/IamRole"),
        ("ssm", "CreateAssociation" | "StartAutomationExecution") => {
            names("/Parameters/AutomationAssumeRole")
        }
        ("ssm", "SendCommand") => names("/ServiceRoleArn"),
        ("ssm", "RegisterTaskWithMaintenanceWindow" | "UpdateMaintenanceWindowTask") => {
            names("/ServiceRoleArn")
                || names("/TaskInvocationParameters/RunCommand/ServiceRoleArn")
                || names("/TaskInvocationParameters/Automation/Parameters/AutomationAssumeRole")
        }
        ("config", "PutConfigurationRecorder") => names("/ConfigurationRecorder/roleARN"),
        ("config", "PutRemediationConfigurations") => {
            let all = input["RemediationConfigurations"].as_array();
            let role = |it: &Value| !it["Parameters"]["AutomationAssumeRole"].is_null();
            all.is_some_and(|it| it.iter().any(role))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn subject<'a>(service: &'a str, operation: &'a str) -> Subject<'a> {
        Subject {
            service,
            operation,
            caller: "arn:aws:iam::111122223333:user/patchkit",
            scope: "111122223333/eu-west-1",
            ids: &[],
            page: None,
            passes_role: false,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn asks(policy: &Policy, service: &str, operation: &str) -> bool {
        !policy.denies(&subject(service, operation))
    }

    #[test]
    fn an_allowance_binds_its_caller_to_its_actions() {
        let mut policy = Policy::default();
        let allowance = Allowance::of(["ssm:Describe*", "tag:GetResources", "s3:ListBucket"]);
        policy.allow_only(&allowance.to("*:user/patchkit")).unwrap();
        assert!(asks(&policy, "ssm", "DescribeInstanceInformation"));
        assert!(asks(&policy, "resourcegroupstaggingapi", "GetResources"));
        assert!(asks(&policy, "s3", "ListObjectsV2"));
        assert!(asks(&policy, "sts", "GetCallerIdentity"), "which nobody can be denied");
        assert!(!asks(&policy, "ssm", "SendCommand"));
        policy.clear();
        policy.allow_only(&Allowance::of(["sns:*"]).to("*:user/other")).unwrap();
        assert!(asks(&policy, "ssm", "SendCommand"), "who is not bound may do all");
    }

    #[test]
    fn to_hand_a_role_to_a_service_is_an_action_of_its_own() {
        let mut policy = Policy::default();
        policy.allow_only(&Allowance::of(["ec2:*", "ssm:*"])).unwrap();
        let role = json!("arn:aws:iam::111122223333:role/patchkit");
        for (service, operation, input, passes) in [
            ("ec2", "AssociateIamInstanceProfile", json!({}), true),
            ("ec2", "DescribeInstances", json!({}), false),
            ("ssm", "SendCommand", json!({"ServiceRoleArn": role}), true),
            ("ssm", "SendCommand", json!({"ServiceRoleArn": ""}), false),
            ("ssm", "SendCommand", json!({"Comment": role}), false),
            ("ssm", "CreateActivation", json!({"IamRole": "hybrid"}), true),
            (
                "ssm",
                "StartAutomationExecution",
                json!({"Parameters": {"AutomationAssumeRole": [role]}}),
                true,
            ),
            ("ssm", "RegisterTaskWithMaintenanceWindow", json!({"ServiceRoleArn": role}), true),
            (
                "ssm",
                "RegisterTaskWithMaintenanceWindow",
                json!({"TaskInvocationParameters": {"RunCommand": {"ServiceRoleArn": role}}}),
                true,
            ),
            ("ssm", "RegisterTaskWithMaintenanceWindow", json!({"TaskArn": "x"}), false),
        ] {
            let passes_role = passes_role(service, operation, &input);
            assert_eq!(passes_role, passes, "{operation} {input}");
            let subject = Subject { passes_role, ..subject(service, operation) };
            assert_eq!(policy.denies(&subject), passes, "{operation} {input}");
        }
    }

    #[test]
    fn to_list_a_groups_members_is_to_read_what_its_query_reads() {
        let actions = [
            "resource-groups:ListGroupResources",
            "cloudformation:DescribeStacks",
            "cloudformation:ListStackResources",
            "tag:GetResources",
        ];
        for left_out in [None, Some(0), Some(1), Some(2), Some(3)] {
            let mut policy = Policy::default();
            let kept = actions.iter().enumerate().filter(|(at, _)| Some(*at) != left_out);
            policy.allow_only(&Allowance::of(kept.map(|(_, it)| *it))).unwrap();
            let may = asks(&policy, "resource-groups", "ListGroupResources");
            assert_eq!(may, left_out.is_none(), "{left_out:?}");
        }
    }
}
