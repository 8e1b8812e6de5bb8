//! Who may not do what: denials by caller, action and scope; and who may do these things alone.

mod arm;

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
    /// `ssm:SendCommand`, `arm:VirtualMachines_*`, `Microsoft.Compute/virtualMachines/*/action`; a glob,
    /// in any case.
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

/// Allows a caller some actions, and nothing else: what an IAM policy with no other statement does, or
/// a role of Azure that is his only one.
///
/// ```
/// use patchkit_testkit::cloud::Allowance;
///
/// let reader = Allowance::of(["ssm:Describe*", "ec2:DescribeInstances"]).to("*:user/patchkit");
/// let starter = Allowance::of(["Microsoft.Compute/virtualMachines/start/action"]).to("patchkit");
/// # let _ = (reader, starter);
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Allowance {
    /// As IAM names actions: `s3:ListBucket`, `tag:GetResources`, `iam:PassRole`; and as Azure does:
    /// `Microsoft.Compute/virtualMachines/read`. `*` is any text.
    pub actions: Vec<String>,
    /// The caller's ARN or application; a glob. A role's callers have the ARN of their session.
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
    allowances: Vec<(Allowance, GlobMatcher, Vec<GlobMatcher>)>,
}

impl Policy {
    pub(crate) fn deny(&mut self, denial: Denial) -> Result<(), globset::Error> {
        let glob = |pattern: &str| Glob::new(pattern).map(|it| it.compile_matcher());
        let globs = [action_glob(&denial.action)?, glob(&denial.caller)?, glob(&denial.scope)?];
        self.denials.push((denial, globs));
        Ok(())
    }

    pub(crate) fn allow_only(&mut self, allowance: &Allowance) -> Result<(), globset::Error> {
        let caller = Glob::new(&allowance.caller)?.compile_matcher();
        let actions = allowance.actions.iter().map(|it| action_glob(it));
        let actions = actions.collect::<Result<_, _>>()?;
        self.allowances.push((allowance.clone(), caller, actions));
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.denials.clear();
        self.allowances.clear();
    }

    pub(crate) fn denials(&self) -> Vec<Denial> {
        self.denials.iter().map(|(denial, _)| denial.clone()).collect()
    }

    pub(crate) fn allowances(&self) -> Vec<Allowance> {
        self.allowances.iter().map(|(allowance, ..)| allowance.clone()).collect()
    }

    pub(crate) fn denies(&self, subject: &Subject<'_>) -> bool {
        if self.denials.is_empty() && self.allowances.is_empty() {
            return false;
        }
        let action = format!("{}:{}", subject.service, subject.operation);
        let needed = actions(subject);
        let named: Vec<&str> =
            std::iter::once(action.as_str()).chain(needed.iter().map(String::as_str)).collect();
        // Of a request over several scopes those are left out that its caller is denied.
        let is_denied = match subject.scopes {
            [] => self.is_denied(&named, subject.caller, subject.scope),
            all => all.iter().all(|it| self.is_denied(&named, subject.caller, it)),
        };
        is_denied || needed.iter().any(|action| !self.is_allowed(action, subject.caller))
    }

    /// Whether Resource Graph shows a caller nothing of a type of resources in a subscription.
    pub(crate) fn hides(&self, kind: &str, caller: &str, subscription: &str) -> bool {
        if self.denials.is_empty() && self.allowances.is_empty() {
            return false;
        }
        let action = arm::of_rows(kind);
        // Who is denied all that there is in a subscription has nothing to query in it.
        self.is_denied(&["arm:Resources", &action], caller, subscription)
            || !self.is_allowed(&action, caller)
    }

    fn is_denied(&self, actions: &[&str], caller: &str, scope: &str) -> bool {
        self.denials.iter().any(|(_, [of, to, at])| {
            to.is_match(caller)
                && at.is_match(scope)
                && actions.iter().any(|action| of.is_match(action))
        })
    }

    fn is_allowed(&self, action: &str, caller: &str) -> bool {
        let mut bound = self.allowances.iter().filter(|(_, to, _)| to.is_match(caller));
        bound.all(|(.., allowed)| allowed.iter().any(|it| it.is_match(action)))
    }
}

/// Both clouds name actions in any case.
fn action_glob(pattern: &str) -> Result<GlobMatcher, globset::Error> {
    GlobBuilder::new(pattern).case_insensitive(true).build().map(|it| it.compile_matcher())
}

/// The first action that a request to Azure needs, as its refusal names it.
pub(crate) fn arm_action(operation: &str) -> &str {
    arm::of_operation(operation).and_then(|it| it.first().copied()).unwrap_or(operation)
}

/// The actions that a request needs. Most of IAM's have their operation's name; the service
/// authorization reference has the others. None are needed of what nobody can be denied.
fn actions(subject: &Subject<'_>) -> Vec<String> {
    let one = |service: &str, action: &str| vec![format!("{service}:{action}")];
    let mut needed = match (subject.service, subject.operation) {
        ("sts", "GetCallerIdentity") => Vec::new(),
        // Of what nobody has told the actions only who may do everything may do anything.
        ("arm", operation) => match arm::of_operation(operation) {
            Some(actions) => actions.iter().map(|it| (*it).to_owned()).collect(),
            None => vec![operation.to_owned()],
        },
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
            scopes: &[],
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
    fn an_action_of_azure_is_allowed_and_denied_by_its_own_name() {
        let mut policy = Policy::default();
        let allowance = Allowance::of(["microsoft.compute/virtualMachines/*/action"]);
        policy.allow_only(&allowance.to("*:user/patchkit")).unwrap();
        assert!(asks(&policy, "arm", "VirtualMachines_Start"));
        assert!(asks(&policy, "arm", "Subscriptions_List"), "which shows what may be read");
        assert!(!asks(&policy, "arm", "VirtualMachines_Update"));
        assert!(!asks(&policy, "arm", "NobodyKnows"));
        policy.clear();
        policy.deny(Denial::of("Microsoft.Compute/virtualMachines/start/action")).unwrap();
        assert!(!asks(&policy, "arm", "VirtualMachines_Start"));
        assert!(asks(&policy, "arm", "VirtualMachines_PowerOff"));
    }

    #[test]
    fn resource_graph_hides_the_rows_whose_type_may_not_be_read() {
        let mut policy = Policy::default();
        let hides = |policy: &Policy, kind| policy.hides(kind, "patchkit", "sub-1");
        let results = "microsoft.compute/virtualmachines/patchassessmentresults";
        assert!(!hides(&policy, results));
        let latest = "Microsoft.Compute/virtualMachines/patchAssessmentResults/latest/read";
        policy.allow_only(&Allowance::of([latest])).unwrap();
        assert!(hides(&policy, results), "which is another action");
        policy.clear();
        let all = "Microsoft.Compute/virtualMachines/patchAssessmentResults/*";
        policy.allow_only(&Allowance::of([all])).unwrap();
        assert!(!hides(&policy, results));
        assert!(hides(&policy, "microsoft.compute/virtualmachines"));
        policy.clear();
        policy.deny(Denial::of("*").in_scope("sub-1")).unwrap();
        assert!(hides(&policy, results) && !policy.hides(results, "patchkit", "sub-2"));
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
