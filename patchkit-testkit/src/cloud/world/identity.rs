//! An account's roles, policies and instance profiles, as far as they decide what a node may do.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use globset::GlobBuilder;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::clock::earlier;
use crate::rng::mix;

/// The policy that lets a node be managed by Systems Manager.
pub(crate) const CORE_POLICY: &str = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore";

/// The policy that lets a role publish to topics.
const TOPICS_POLICY: &str = "arn:aws:iam::aws:policy/AmazonSNSFullAccess";

/// The actions without which a node cannot be patched (user guide, "Configure instance permissions
/// required for Systems Manager").
pub(crate) const NEEDED: [&str; 4] = [
    "ssm:UpdateInstanceInformation",
    "ssm:ListInstanceAssociations",
    "ssm:GetDeployablePatchSnapshotForInstance",
    "ssmmessages:OpenControlChannel",
];

#[derive(Debug, Default)]
pub(crate) struct Identity {
    pub(crate) roles: BTreeMap<Arc<str>, Role>,
    pub(crate) profiles: BTreeMap<Arc<str>, InstanceProfile>,
    /// The account's own policies and AWS's, by ARN.
    pub(crate) policies: BTreeMap<Arc<str>, Policy>,
}

#[derive(Clone, Debug)]
pub(crate) struct Role {
    /// `AROA…`
    pub(crate) id: Box<str>,
    pub(crate) path: Box<str>,
    pub(crate) description: Option<Box<str>>,
    pub(crate) created: Timestamp,
    /// The trust policy.
    pub(crate) trust: Value,
    /// The ARNs of the attached policies.
    pub(crate) attached: Vec<Arc<str>>,
    pub(crate) inline: BTreeMap<Box<str>, Value>,
    pub(crate) max_session: u32,
    /// The policy that bounds what its policies allow, by ARN.
    pub(crate) boundary: Option<Arc<str>>,
    /// What is told of it and has no effect: tags and the like.
    pub(crate) told: Map<String, Value>,
}

#[derive(Clone, Debug)]
pub(crate) struct InstanceProfile {
    /// `AIPA…`
    pub(crate) id: Box<str>,
    pub(crate) path: Box<str>,
    pub(crate) created: Timestamp,
    /// A profile holds one role at most.
    pub(crate) role: Option<Arc<str>>,
    /// As of a role.
    pub(crate) told: Map<String, Value>,
}

#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) name: Box<str>,
    /// `ANPA…`
    pub(crate) id: Box<str>,
    pub(crate) path: Box<str>,
    pub(crate) version: &'static str,
    pub(crate) created: Timestamp,
    pub(crate) document: Value,
    /// As of a role.
    pub(crate) told: Map<String, Value>,
}

impl Identity {
    /// What an account of a made world has: four roles, two instance profiles, AWS's policies.
    pub(crate) fn made(seed: u64, account: &str, now: Timestamp) -> Self {
        let account = account.bytes().fold(seed, |sum, byte| mix(sum ^ u64::from(byte)));
        let id =
            |prefix: &str, n: u64| format!("{prefix}{:016X}", mix(account ^ n)).into_boxed_str();
        let created = earlier(now, Duration::from_hours(24 * 800));
        let mut identity = Self::default();
        for ((arn, actions), n) in managed_policies().into_iter().zip(100..) {
            let (path, name) = match arn.rsplit_once("policy") {
                Some((_, tail)) => tail.rsplit_once('/').unwrap_or(("", tail)),
                None => ("", arn),
            };
            let policy = Policy {
                name: name.into(),
                id: id("ANPA", n),
                path: format!("{path}/").into(),
                version: "v2",
                created,
                document: allow(&actions),
                told: Map::new(),
            };
            identity.policies.insert(arn.into(), policy);
        }
        let roles: [(&str, &str, Option<&str>); 4] = [
            ("patchkit-managed-node", "ec2.amazonaws.com", Some(CORE_POLICY)),
            (
                "patchkit-no-systems-manager",
                "ec2.amazonaws.com",
                Some("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"),
            ),
            ("patchkit-hybrid-node", "ssm.amazonaws.com", Some(CORE_POLICY)),
            // By it the service tells a topic of a command.
            ("patchkit-notifications", "ssm.amazonaws.com", Some(TOPICS_POLICY)),
        ];
        for ((name, service, policy), n) in roles.into_iter().zip(1..) {
            let role = Role {
                id: id("AROA", n),
                path: "/".into(),
                description: None,
                created,
                trust: trust(service),
                attached: policy.into_iter().map(Arc::from).collect(),
                inline: BTreeMap::new(),
                max_session: 3_600,
                boundary: None,
                told: Map::new(),
            };
            identity.roles.insert(name.into(), role);
            if service.starts_with("ec2") {
                let role = Some(Arc::from(name));
                let told = Map::new();
                let profile =
                    InstanceProfile { id: id("AIPA", n), path: "/".into(), created, role, told };
                identity.profiles.insert(name.into(), profile);
            }
        }
        identity
    }

    /// Whether a role's policies allow an action on everything: an explicit deny wins, and what its
    /// boundary does not allow is not allowed.
    pub(crate) fn allows(&self, role: &str, action: &str) -> bool {
        let Some(role) = self.roles.get(role) else { return false };
        let bounded = self
            .boundary(role)
            .is_none_or(|boundary| decides(boundary, action) == Some(Effect::Allow));
        bounded && all_decide(self.documents(role), action) == Some(Effect::Allow)
    }

    /// What a role's policies say.
    pub(crate) fn documents<'a>(&'a self, role: &'a Role) -> impl Iterator<Item = &'a Value> {
        let attached = role.attached.iter().filter_map(|arn| self.policies.get(arn));
        attached.map(|policy| &policy.document).chain(role.inline.values())
    }

    /// What a role's permissions boundary says.
    pub(crate) fn boundary(&self, role: &Role) -> Option<&Value> {
        self.policies.get(role.boundary.as_ref()?).map(|policy| &policy.document)
    }

    /// The name of the role with this ARN or name, where the account has it and a service can assume
    /// it.
    pub(crate) fn role_for<'r>(
        &self,
        service: &str,
        account: &str,
        role: &'r str,
    ) -> Option<&'r str> {
        let arn = role.strip_prefix("arn:");
        let name = role.rsplit('/').next()?;
        let known = self.roles.get(name)?;
        let own = || format!("aws:iam::{account}:role{}{name}", known.path);
        let is_it = arn.is_none_or(|arn| arn == own());
        (is_it && known.trusts("sts:AssumeRole", &Asking::Service(service))).then_some(name)
    }

    /// Whether a node with this role can be managed and patched.
    pub(crate) fn manages(&self, role: &str) -> bool {
        NEEDED.iter().all(|action| self.allows(role, action))
    }

    /// Whether an instance with this profile can be managed and patched.
    pub(crate) fn profile_manages(&self, profile: &str) -> bool {
        let role = self.profiles.get(profile).and_then(|profile| profile.role.as_deref());
        role.is_some_and(|role| self.manages(role))
    }
}

/// Who asks for a role.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asking<'a> {
    /// Someone with credentials of an account.
    Caller { account: &'a str, arn: &'a str, external_id: Option<&'a str> },
    /// Someone whom a provider of identities knows, by the provider's name.
    WebIdentity { provider: &'a str },
    /// A service of AWS, by its principal: `ssm.amazonaws.com`.
    Service(&'a str),
}

impl Role {
    /// Whether its trust policy lets someone assume it: an explicit deny wins.
    ///
    /// Of the conditions, that on `sts:ExternalId` is held; others are taken as met.
    pub(crate) fn trusts(&self, action: &str, asking: &Asking<'_>) -> bool {
        let mut trusted = false;
        for statement in one_or_many(&self.trust["Statement"]) {
            let alone = json!({"Statement": statement});
            match decides(&alone, action) {
                Some(effect) if asking.is_named(statement) => match effect {
                    Effect::Deny => return false,
                    Effect::Allow => trusted = true,
                },
                _ => {}
            }
        }
        trusted
    }
}

impl Asking<'_> {
    /// Whether a statement of a trust policy is about them.
    fn is_named(&self, statement: &Value) -> bool {
        let principal = &statement["Principal"];
        let named = |kind: &str, is: &dyn Fn(&str) -> bool| {
            principal == "*" || one_or_many(&principal[kind]).filter_map(Value::as_str).any(is)
        };
        match *self {
            Self::Service(name) => named("Service", &|it| it == name),
            Self::Caller { account, arn, external_id } => {
                let wanted = &statement["Condition"]["StringEquals"]["sts:ExternalId"];
                let has_id = wanted.is_null()
                    || one_or_many(wanted).any(|it| external_id.is_some_and(|id| it == id));
                has_id && named("AWS", &|it| is_caller(it, account, arn))
            }
            Self::WebIdentity { provider } => named("Federated", &|it| {
                it == provider
                    || it.rsplit_once(":oidc-provider/").is_some_and(|(_, it)| it == provider)
            }),
        }
    }
}

/// Whether a principal is a caller: everyone, their account, they themselves, or the role that they
/// are a session of.
fn is_caller(principal: &str, account: &str, arn: &str) -> bool {
    let of_account =
        principal.strip_prefix("arn:aws:iam::").and_then(|it| it.strip_suffix(":root"));
    if principal == "*" || principal == arn || of_account.unwrap_or(principal) == account {
        return true;
    }
    let session = arn.split_once(":assumed-role/").and_then(|(_, it)| it.split_once('/'));
    let role = principal.strip_prefix("arn:aws:iam::").and_then(|it| it.split_once(":role/"));
    session.zip(role).is_some_and(|((name, _), (of, role))| {
        of == account && role.rsplit('/').next() == Some(name)
    })
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// What several policy documents say of an action: an explicit deny wins.
pub(crate) fn all_decide<'a>(
    documents: impl IntoIterator<Item = &'a Value>,
    action: &str,
) -> Option<Effect> {
    let mut decided = None;
    for document in documents {
        match decides(document, action) {
            Some(Effect::Deny) => return Some(Effect::Deny),
            Some(Effect::Allow) => decided = Some(Effect::Allow),
            None => {}
        }
    }
    decided
}

/// What a policy document says of an action; conditions and resources are taken as met.
pub(crate) fn decides(document: &Value, action: &str) -> Option<Effect> {
    let mut decided = None;
    for statement in one_or_many(&document["Statement"]) {
        let named = one_or_many(&statement["Action"]).any(|it| matches(it, action));
        let excepted = !statement["NotAction"].is_null()
            && !one_or_many(&statement["NotAction"]).any(|it| matches(it, action));
        if !(named || excepted) {
            continue;
        }
        if statement["Effect"] == "Deny" {
            return Some(Effect::Deny);
        }
        decided = Some(Effect::Allow);
    }
    decided
}

fn matches(pattern: &Value, action: &str) -> bool {
    let Some(pattern) = pattern.as_str() else { return false };
    // Most patterns are plain names; a glob costs a thousand times as much.
    if pattern == "*" || pattern.eq_ignore_ascii_case(action) {
        return true;
    }
    if !pattern.contains(['*', '?']) {
        return false;
    }
    let glob = GlobBuilder::new(pattern).case_insensitive(true).literal_separator(false).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(action))
}

fn one_or_many(value: &Value) -> impl Iterator<Item = &Value> {
    match value {
        Value::Array(many) => many.iter(),
        Value::Null => [].iter(),
        one => std::slice::from_ref(one).iter(),
    }
}

/// The trust policy of a role that a service assumes.
pub(crate) fn trust(service: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sts:AssumeRole",
        }],
    })
}

/// AWS's own policies that matter here: their actions (IAM console, version 2 of the core policy).
pub(crate) fn managed_policies() -> Vec<(&'static str, Vec<&'static str>)> {
    let channels = [
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
        "ec2messages:AcknowledgeMessage",
        "ec2messages:DeleteMessage",
        "ec2messages:FailMessage",
        "ec2messages:GetEndpoint",
        "ec2messages:GetMessages",
        "ec2messages:SendReply",
    ];
    let node = [
        "ssm:DescribeAssociation",
        "ssm:GetDeployablePatchSnapshotForInstance",
        "ssm:GetDocument",
        "ssm:DescribeDocument",
        "ssm:GetManifest",
        "ssm:ListAssociations",
        "ssm:ListInstanceAssociations",
        "ssm:PutInventory",
        "ssm:PutComplianceItems",
        "ssm:PutConfigurePackageResult",
        "ssm:UpdateAssociationStatus",
        "ssm:UpdateInstanceAssociationStatus",
        "ssm:UpdateInstanceInformation",
    ];
    let parameters = ["ssm:GetParameter", "ssm:GetParameters"];
    let core: Vec<_> = node.iter().chain(&parameters).chain(&channels).copied().collect();
    let host: Vec<_> = node.iter().chain(&channels).copied().collect();
    vec![
        (CORE_POLICY, core.clone()),
        ("arn:aws:iam::aws:policy/AmazonSSMManagedEC2InstanceDefaultPolicy", host.clone()),
        (
            "arn:aws:iam::aws:policy/service-role/AmazonEC2RoleforSSM",
            host.iter()
                .copied()
                .chain(["ssm:GetParameters", "s3:GetObject", "s3:PutObject"])
                .collect(),
        ),
        (
            "arn:aws:iam::aws:policy/AmazonSSMPatchAssociation",
            vec![
                "ssm:DescribeEffectivePatchesForPatchBaseline",
                "ssm:GetPatchBaseline",
                "ssm:DescribePatchBaselines",
                "tag:GetResources",
            ],
        ),
        (
            "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
            vec!["s3:Get*", "s3:List*", "s3:Describe*"],
        ),
        (
            "arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy",
            vec!["cloudwatch:PutMetricData", "ec2:DescribeTags", "logs:PutLogEvents"],
        ),
        (TOPICS_POLICY, vec!["sns:*"]),
    ]
}

/// A document that allows actions on everything.
pub(crate) fn allow(actions: &[&str]) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_trusts_whom_its_policy_names_and_asks_for_the_external_id() {
        let role = |principal: Value, condition: Value| Role {
            id: "AROA".into(),
            path: "/".into(),
            description: None,
            created: Timestamp::UNIX_EPOCH,
            trust: json!({"Statement": {
                "Effect": "Allow",
                "Principal": principal,
                "Action": ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"],
                "Condition": condition,
            }}),
            attached: Vec::new(),
            inline: BTreeMap::new(),
            max_session: 3_600,
            boundary: None,
            told: Map::new(),
        };
        let arn = "arn:aws:sts::111122223333:assumed-role/patcher/one";
        let caller = |external_id| Asking::Caller { account: "111122223333", arn, external_id };
        let trusts = |principal: Value| {
            role(json!({"AWS": principal}), json!({})).trusts("sts:AssumeRole", &caller(None))
        };
        assert!(trusts(json!("*")));
        assert!(trusts(json!("111122223333")));
        assert!(trusts(json!(["444455556666", "arn:aws:iam::111122223333:root"])));
        assert!(trusts(json!("arn:aws:iam::111122223333:role/path/patcher")));
        assert!(!trusts(json!("arn:aws:iam::444455556666:role/patcher")));
        assert!(!trusts(json!("arn:aws:iam::444455556666:root")));

        let condition = json!({"StringEquals": {"sts:ExternalId": "secret"}});
        let role_with_id = role(json!("*"), condition);
        assert!(role_with_id.trusts("sts:AssumeRole", &caller(Some("secret"))));
        assert!(!role_with_id.trusts("sts:AssumeRole", &caller(Some("other"))));
        assert!(!role_with_id.trusts("sts:AssumeRole", &caller(None)));

        let provider = "arn:aws:iam::111122223333:oidc-provider/token.example.com";
        let service = role(json!({"Service": ["ec2.amazonaws.com"]}), Value::Null);
        assert!(service.trusts("sts:AssumeRole", &Asking::Service("ec2.amazonaws.com")));
        assert!(!service.trusts("sts:AssumeRole", &Asking::Service("ssm.amazonaws.com")));

        let federated = role(json!({"Federated": provider}), Value::Null);
        let of = |provider| Asking::WebIdentity { provider };
        let action = "sts:AssumeRoleWithWebIdentity";
        assert!(federated.trusts(action, &of("token.example.com")));
        assert!(!federated.trusts(action, &of("other.example.com")));
        assert!(!federated.trusts("sts:AssumeRole", &caller(None)));
    }

    #[test]
    fn a_deny_beats_an_allow_and_a_star_reaches_over_all_names() {
        let allow = json!({"Statement": {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}});
        assert_eq!(decides(&allow, "ssm:PutInventory"), Some(Effect::Allow));
        assert_eq!(decides(&allow, "SSM:putinventory"), Some(Effect::Allow));
        assert_eq!(decides(&allow, "s3:GetObject"), None);
        let both = json!({"Statement": [
            {"Effect": "Allow", "Action": ["*"], "Resource": "*"},
            {"Effect": "Deny", "Action": ["ssm:Put*"], "Resource": "*"},
        ]});
        assert_eq!(decides(&both, "ssm:PutInventory"), Some(Effect::Deny));
        assert_eq!(decides(&both, "ssm:GetDocument"), Some(Effect::Allow));
    }
}
