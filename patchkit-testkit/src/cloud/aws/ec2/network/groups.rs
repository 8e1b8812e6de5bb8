//! Security groups, and what they let in.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::{
    super::super::{AwsError, Call, Operations, texts},
    dry_run, endpoints, known_vpc, listed, new_tags, security_group, unknown_id, vpc_id,
};

pub(in super::super) const OPERATIONS: Operations = &[
    ("AuthorizeSecurityGroupIngress", authorize_security_group_ingress),
    ("CreateSecurityGroup", create_security_group),
    ("DeleteSecurityGroup", delete_security_group),
    ("DescribeSecurityGroups", describe_security_groups),
    ("RevokeSecurityGroupIngress", revoke_security_group_ingress),
];

/// How many rules a group has at most (VPC user guide, "Amazon VPC quotas").
const MOST_RULES: usize = 60;

/// What a group lets in from one source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Rule {
    id: String,
    protocol: String,
    ports: Option<(i64, i64)>,
    source: Source,
    description: Option<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Source {
    V4(String),
    V6(String),
    PrefixList(String),
    Group(String),
}

impl Rule {
    fn is_same(&self, other: &Self) -> bool {
        self.protocol == other.protocol && self.ports == other.ports && self.source == other.source
    }

    /// As the rule itself is described.
    fn value(&self, group: &str, owner: &str) -> Value {
        let mut value = json!({
            "SecurityGroupRuleId": self.id,
            "GroupId": group,
            "GroupOwnerId": owner,
            "IsEgress": false,
            "IpProtocol": self.protocol,
            "FromPort": self.ports.map_or(-1, |(from, _)| from),
            "ToPort": self.ports.map_or(-1, |(_, to)| to),
            "Description": self.description,
        });
        match &self.source {
            Source::V4(range) => value["CidrIpv4"] = json!(range),
            Source::V6(range) => value["CidrIpv6"] = json!(range),
            Source::PrefixList(list) => value["PrefixListId"] = json!(list),
            Source::Group(id) => {
                value["ReferencedGroupInfo"] = json!({"GroupId": id, "UserId": owner});
            }
        }
        value
    }
}

/// Rules as a group shows them: one permission for all sources of the same ports.
fn permissions(rules: &[Rule], owner: &str) -> Vec<Value> {
    let mut shown: Vec<(&Rule, Value)> = Vec::new();
    for rule in rules {
        let same =
            |(of, _): &(&Rule, Value)| (&of.protocol, of.ports) == (&rule.protocol, rule.ports);
        let at = shown.iter().position(same).unwrap_or_else(|| {
            let value = json!({
                "IpProtocol": rule.protocol,
                "FromPort": rule.ports.map(|(from, _)| from),
                "ToPort": rule.ports.map(|(_, to)| to),
                "IpRanges": [],
                "Ipv6Ranges": [],
                "PrefixListIds": [],
                "UserIdGroupPairs": [],
            });
            shown.push((rule, value));
            shown.len() - 1
        });
        let said = &rule.description;
        let (list, item) = match &rule.source {
            Source::V4(it) => ("IpRanges", json!({"CidrIp": it, "Description": said})),
            Source::V6(it) => ("Ipv6Ranges", json!({"CidrIpv6": it, "Description": said})),
            Source::PrefixList(it) => {
                ("PrefixListIds", json!({"PrefixListId": it, "Description": said}))
            }
            Source::Group(it) => {
                ("UserIdGroupPairs", json!({"GroupId": it, "UserId": owner, "Description": said}))
            }
        };
        if let Some(items) = shown[at].1[list].as_array_mut() {
            items.push(item);
        }
    }
    shown.into_iter().map(|(_, value)| value).collect()
}

/// The rules of a group: of the group of the start, what endpoints need.
fn rules(call: &Call<'_>, id: &str) -> Vec<Rule> {
    let network = &call.here().network;
    network.ingress.get(id).cloned().unwrap_or_else(|| {
        let of_start = security_group(call)["GroupId"] == id;
        let https = || Rule {
            id: format!("sgr-{}", super::id(call, 12)),
            protocol: "tcp".to_owned(),
            ports: Some((443, 443)),
            source: Source::V4("10.0.0.0/8".to_owned()),
            description: None,
        };
        of_start.then(https).into_iter().collect()
    })
}

/// All groups, as they are described.
fn all(call: &Call<'_>) -> Vec<Value> {
    let first = security_group(call);
    let network = &call.here().network;
    let first = json!({
        "GroupId": first["GroupId"],
        "GroupName": first["GroupName"],
        "Description": "Managed nodes: HTTPS in and out, between them and Systems Manager's endpoints",
        "VpcId": vpc_id(call),
        "OwnerId": call.account_id(),
        "SecurityGroupArn": arn(call, first["GroupId"].as_str().unwrap_or_default()),
        "IpPermissionsEgress": [{
            "IpProtocol": "tcp",
            "FromPort": 443,
            "ToPort": 443,
            "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
            "Ipv6Ranges": [],
            "PrefixListIds": [],
            "UserIdGroupPairs": [],
        }],
        "Tags": [],
    });
    let mut groups: Vec<Value> =
        std::iter::once(first).chain(network.groups.iter().cloned()).collect();
    for group in &mut groups {
        let rules = rules(call, group["GroupId"].as_str().unwrap_or_default());
        group["IpPermissions"] = json!(permissions(&rules, call.account_id()));
    }
    groups
}

fn arn(call: &Call<'_>, id: &str) -> String {
    format!("arn:aws:ec2:{}:{}:security-group/{id}", call.region(), call.account_id())
}

/// Groups as endpoints name them.
pub(super) fn named(call: &Call<'_>, ids: &[String]) -> Result<Vec<Value>, AwsError> {
    let all = all(call);
    ids.iter()
        .map(|id| {
            let group = all.iter().find(|it| it["GroupId"] == **id);
            let group = group.ok_or_else(|| unknown_id("GroupId", id))?;
            Ok(json!({"GroupId": group["GroupId"], "GroupName": group["GroupName"]}))
        })
        .collect()
}

fn describe_security_groups(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let mut groups = all(call);
    let names = texts(&input["GroupNames"]);
    if let Some(name) = names.iter().find(|it| !groups.iter().any(|of| of["GroupName"] == ***it)) {
        return Err(unknown_id("GroupId", name));
    }
    groups.retain(|it| names.is_empty() || names.iter().any(|name| it["GroupName"] == **name));
    let filters = ["description", "group-id", "group-name", "owner-id", "tag-key", "vpc-id"];
    listed(call, &input, "SecurityGroups", "GroupIds", "GroupId", &filters, groups)
}

fn create_security_group(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    if input["VpcId"].is_null() {
        let message = "No default VPC for this user";
        return Err(AwsError::new("VPCIdNotSpecified", message));
    }
    let vpc = known_vpc(call, &input)?;
    let tags = new_tags(&input, "security-group")?;
    let name = input["GroupName"].as_str().unwrap_or_default();
    if name.starts_with("sg-") {
        let message = "Invalid security group name. Group names may not be in the format sg-*.";
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    if all(call).iter().any(|it| it["GroupName"] == name) {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(AwsError::new("InvalidGroup.Duplicate", message));
    }
    let id = format!("sg-{}", call.state.new_hex());
    let arn = arn(call, &id);
    let group = json!({
        "GroupId": id,
        "GroupName": name,
        "Description": input["Description"],
        "VpcId": vpc,
        "OwnerId": call.account_id(),
        "SecurityGroupArn": arn,
        // A new one lets everything out (VPC user guide, "Default rules").
        "IpPermissionsEgress": [{
            "IpProtocol": "-1",
            "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
            "Ipv6Ranges": [],
            "PrefixListIds": [],
            "UserIdGroupPairs": [],
        }],
        "Tags": tags,
    });
    call.here_mut().network.groups.push(group);
    Ok(json!({"GroupId": id, "SecurityGroupArn": arn, "Tags": tags}))
}

fn delete_security_group(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let id = group_id(call, &input)?;
    let in_endpoint = endpoints::all(call).iter().any(|it| {
        let groups = it["Groups"].as_array().map(Vec::as_slice).unwrap_or_default();
        groups.iter().any(|group| group["GroupId"] == *id)
    });
    let groups = all(call);
    let others = groups.iter().filter_map(|it| it["GroupId"].as_str()).filter(|it| *it != id);
    let in_rule =
        others.flat_map(|it| rules(call, it)).any(|it| it.source == Source::Group(id.clone()));
    // All instances are in the group of the start.
    if in_endpoint || in_rule || security_group(call)["GroupId"] == *id {
        let message = format!("resource {id} has a dependent object");
        return Err(AwsError::new("DependencyViolation", message));
    }
    let network = &mut call.here_mut().network;
    network.groups.retain(|it| it["GroupId"] != *id);
    network.ingress.remove(&id);
    Ok(json!({"Return": true, "GroupId": id}))
}

/// The group that an input names by its id or its name.
fn group_id(call: &Call<'_>, input: &Value) -> Result<String, AwsError> {
    let (id, name) = (input["GroupId"].as_str(), input["GroupName"].as_str());
    let Some(wanted) = id.or(name) else {
        let message = "The request must contain the parameter groupName or groupId";
        return Err(AwsError::new("MissingParameter", message));
    };
    let member = if id.is_some() { "GroupId" } else { "GroupName" };
    let groups = all(call);
    let found = groups.iter().find(|it| it[member] == wanted);
    let found = found.and_then(|it| it["GroupId"].as_str());
    found.map(ToOwned::to_owned).ok_or_else(|| unknown_id("GroupId", wanted))
}

fn authorize_security_group_ingress(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let group = group_id(call, &input)?;
    let mut has = rules(call, &group);
    let mut new = asked(call, &input)?;
    for rule in &mut new {
        if has.iter().any(|it| it.is_same(rule)) {
            let message = "the specified rule already exists";
            return Err(AwsError::new("InvalidPermission.Duplicate", message));
        }
        rule.id = format!("sgr-{}", call.state.new_hex());
        has.push(rule.clone());
    }
    if has.len() > MOST_RULES {
        let message = "The maximum number of rules per security group has been reached.";
        return Err(AwsError::new("RulesPerSecurityGroupLimitExceeded", message));
    }
    let owner = call.account_id();
    let shown: Vec<Value> = new.iter().map(|it| it.value(&group, owner)).collect();
    call.here_mut().network.ingress.insert(group, has);
    Ok(json!({"Return": true, "SecurityGroupRules": shown}))
}

fn revoke_security_group_ingress(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let group = group_id(call, &input)?;
    let has = rules(call, &group);
    let ids = texts(&input["SecurityGroupRuleIds"]);
    if let Some(id) = ids.iter().find(|id| !has.iter().any(|it| it.id == **id)) {
        let message = format!("The security group rule ID '{id}' does not exist");
        return Err(AwsError::new("InvalidSecurityGroupRuleId.NotFound", message));
    }
    let doomed = if ids.is_empty() { asked(call, &input)? } else { Vec::new() };
    // In a VPC all of them have to be there (EC2 API reference, RevokeSecurityGroupIngress).
    if doomed.iter().any(|it| !has.iter().any(|of| of.is_same(it))) {
        let message = "The specified rule does not exist in this security group.";
        return Err(AwsError::new("InvalidPermission.NotFound", message));
    }
    let (gone, left): (Vec<Rule>, Vec<Rule>) = has
        .into_iter()
        .partition(|it| ids.contains(&it.id) || doomed.iter().any(|of| of.is_same(it)));
    let shown: Vec<Value> = gone
        .iter()
        .map(|it| {
            let mut value = it.value(&group, call.account_id());
            if let Some(members) = value.as_object_mut() {
                for name in ["GroupOwnerId", "ReferencedGroupInfo"] {
                    members.remove(name);
                }
                if let Source::Group(id) = &it.source {
                    members.insert("ReferencedGroupId".to_owned(), json!(id));
                }
            }
            value
        })
        .collect();
    call.here_mut().network.ingress.insert(group, left);
    Ok(json!({"Return": true, "RevokedSecurityGroupRules": shown}))
}

/// The rules that an input gives, as a list or as one.
fn asked(call: &Call<'_>, input: &Value) -> Result<Vec<Rule>, AwsError> {
    let list = input["IpPermissions"].as_array().filter(|it| !it.is_empty());
    let permissions = match list {
        Some(list) => list.clone(),
        None if input["IpProtocol"].is_null() => {
            let message = "The request must contain the parameter ipProtocol";
            return Err(AwsError::new("MissingParameter", message));
        }
        None => vec![json!({
            "IpProtocol": input["IpProtocol"],
            "FromPort": input["FromPort"],
            "ToPort": input["ToPort"],
            "IpRanges": [{"CidrIp": input["CidrIp"]}],
        })],
    };
    let mut rules = Vec::new();
    for permission in &permissions {
        let (protocol, ports) = ports(permission)?;
        let before = rules.len();
        for (list, member) in [
            ("IpRanges", "CidrIp"),
            ("Ipv6Ranges", "CidrIpv6"),
            ("PrefixListIds", "PrefixListId"),
            ("UserIdGroupPairs", "GroupId"),
        ] {
            for item in permission[list].as_array().map(Vec::as_slice).unwrap_or_default() {
                let text = item[member].as_str().unwrap_or_default().to_owned();
                let source = source(call, member, text)?;
                let description = item["Description"].as_str().map(ToOwned::to_owned);
                let protocol = protocol.clone();
                rules.push(Rule { id: String::new(), protocol, ports, source, description });
            }
        }
        if rules.len() == before {
            let message = "Must specify a source for each permission";
            return Err(AwsError::new("MissingParameter", message));
        }
    }
    Ok(rules)
}

type Ports = Option<(i64, i64)>;

fn ports(permission: &Value) -> Result<(String, Ports), AwsError> {
    let given = permission["IpProtocol"].as_str().unwrap_or_default();
    let protocol = match given {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        other => other,
    };
    match protocol {
        "-1" => return Ok(("-1".to_owned(), None)),
        "tcp" | "udp" | "icmp" | "icmpv6" => {}
        _ => {
            let message = format!("Invalid value '{given}' for IP protocol. Unknown protocol.");
            return Err(AwsError::new("InvalidParameterValue", message));
        }
    }
    let (Some(from), Some(to)) = (permission["FromPort"].as_i64(), permission["ToPort"].as_i64())
    else {
        let message =
            "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.";
        return Err(AwsError::new("InvalidParameterValue", message));
    };
    let is_port = |it: i64| (0..=65_535).contains(&it);
    if protocol.starts_with("icmp") || is_port(from) && is_port(to) && from <= to {
        return Ok((protocol.to_owned(), Some((from, to))));
    }
    let message = format!("Invalid TCP/UDP port range ({from}:{to})");
    Err(AwsError::new("InvalidParameterValue", message))
}

fn source(call: &Call<'_>, member: &str, text: String) -> Result<Source, AwsError> {
    let range = |most: u8, address: fn(&str) -> bool| {
        let parts = text.split_once('/');
        let bits = |it: &str| it.parse::<u8>().is_ok_and(|bits| bits <= most);
        parts.is_some_and(|(start, length)| address(start) && bits(length))
    };
    let good = match member {
        "CidrIp" => range(32, |it| it.parse::<Ipv4Addr>().is_ok()),
        "CidrIpv6" => range(128, |it| it.parse::<Ipv6Addr>().is_ok()),
        _ => true,
    };
    if !good {
        let message = format!("CIDR block {text} is malformed");
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    Ok(match member {
        "CidrIp" => Source::V4(text),
        "CidrIpv6" => Source::V6(text),
        "PrefixListId" => Source::PrefixList(text),
        _ => {
            named(call, std::slice::from_ref(&text))?;
            Source::Group(text)
        }
    })
}
