//! DescribeInstances and DescribeInstanceStatus.

use std::sync::Arc;

use patchkit_core::OperatingSystem;
use serde_json::{Value, json};

use super::{
    super::{
        AwsError, Call, Operations, object,
        page::{Page, answer},
        seconds, texts,
    },
    Instance, all, dry_run,
    filter::Filters,
    named, network,
};
use crate::cloud::world::machine::Power;

pub(super) const OPERATIONS: Operations = &[
    ("DescribeInstances", describe_instances),
    ("DescribeInstanceStatus", describe_instance_status),
];

const FILTERS: [&str; 22] = [
    "architecture",
    "availability-zone",
    "iam-instance-profile.arn",
    "image-id",
    "instance-id",
    "instance-state-code",
    "instance-state-name",
    "instance-type",
    "ip-address",
    "launch-time",
    "owner-id",
    "platform",
    "platform-details",
    "private-dns-name",
    "private-ip-address",
    "reservation-id",
    "subnet-id",
    "tag-key",
    "tag-value",
    "tenancy",
    "virtualization-type",
    "vpc-id",
];

fn describe_instances(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let ids = texts(&input["InstanceIds"]);
    check_paging(&input, &ids)?;
    let filters = Filters::of(&input, &FILTERS)?;
    let page = Page::of(call, &input, 1_000)?;
    let passes = |it: &Instance<'_>| filters.pass(&it.aws.tags, |name| values(call, it, name));
    let (found, next) = if ids.is_empty() {
        page.cut(all(call).filter(passes))
    } else {
        let places = named(call, &ids)?;
        let found = places.into_iter().filter_map(|at| Instance::of(call.state, at));
        (found.filter(passes).collect(), None)
    };
    let reservations: Vec<Value> = found.iter().map(|it| reservation(call, it)).collect();
    Ok(answer("Reservations", reservations, next))
}

/// Ids and pages exclude each other (API reference, DescribeInstances), and a page has 5 to 1,000.
fn check_paging(input: &Value, ids: &[String]) -> Result<(), AwsError> {
    let Some(size) = input["MaxResults"].as_i64() else { return Ok(()) };
    if !ids.is_empty() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(AwsError::new("InvalidParameterCombination", message));
    }
    if !(5..=1_000).contains(&size) {
        let message = format!(
            "Value ( {size} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000."
        );
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    Ok(())
}

/// An instance's values of a filter.
fn values(call: &Call<'_>, it: &Instance<'_>, name: &str) -> Vec<String> {
    let system = call.state.system_of(it.at);
    let (code, state) = state(it.machine.power);
    let one = match name {
        "architecture" => "x86_64".to_owned(),
        "availability-zone" => zone(call, it),
        "iam-instance-profile.arn" => match &it.ec2.profile {
            Some(association) => profile_arn(call, &association.profile),
            None => return Vec::new(),
        },
        "image-id" => image(it),
        "instance-id" => it.aws.id.to_string(),
        "instance-state-code" => code.to_string(),
        "instance-state-name" => state.to_owned(),
        "instance-type" => it.ec2.kind.to_owned(),
        "launch-time" => it.ec2.launched.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        "owner-id" => call.account_id().to_owned(),
        "platform" if system.is_windows() => "windows".to_owned(),
        "platform-details" => platform_details(&system.os).to_owned(),
        "private-dns-name" => private_dns_name(call, it),
        "private-ip-address" => it.machine.address(),
        "reservation-id" => reservation_id(it),
        "subnet-id" => network::subnet_id(call, it.ec2.zone),
        "tenancy" => "default".to_owned(),
        "virtualization-type" => "hvm".to_owned(),
        "vpc-id" => network::vpc_id(call),
        _ => return Vec::new(),
    };
    vec![one]
}

fn reservation(call: &Call<'_>, it: &Instance<'_>) -> Value {
    object([
        ("ReservationId", reservation_id(it).into()),
        ("OwnerId", call.account_id().into()),
        ("Groups", json!([])),
        ("Instances", vec![instance(call, it)].into()),
    ])
}

fn instance(call: &Call<'_>, it: &Instance<'_>) -> Value {
    let system = call.state.system_of(it.at);
    let windows = system.is_windows();
    let tag = |(key, value): &(Arc<str>, Arc<str>)| {
        object([("Key", (**key).into()), ("Value", (**value).into())])
    };
    let tags: Vec<Value> = it.aws.tags.iter().map(tag).collect();
    let profile = it.ec2.profile.as_ref().map(|association| {
        object([
            ("Arn", profile_arn(call, &association.profile).into()),
            ("Id", profile_id(call, &association.profile).into()),
        ])
    });
    let placement = object([
        ("AvailabilityZone", zone(call, it).into()),
        ("GroupName", "".into()),
        ("Tenancy", "default".into()),
    ]);
    object([
        ("InstanceId", (*it.aws.id).into()),
        ("ImageId", image(it).into()),
        ("State", state_value(it.machine.power)),
        ("StateTransitionReason", (*it.ec2.reason).into()),
        ("PrivateDnsName", private_dns_name(call, it).into()),
        ("PublicDnsName", "".into()),
        ("AmiLaunchIndex", 0.into()),
        ("InstanceType", it.ec2.kind.into()),
        ("LaunchTime", seconds(it.ec2.launched)),
        ("Placement", placement),
        ("Platform", windows.then_some("windows").into()),
        ("PlatformDetails", platform_details(&system.os).into()),
        ("Monitoring", object([("State", "disabled".into())])),
        ("SubnetId", network::subnet_id(call, it.ec2.zone).into()),
        ("VpcId", network::vpc_id(call).into()),
        ("PrivateIpAddress", it.machine.address().into()),
        ("Architecture", "x86_64".into()),
        ("RootDeviceType", "ebs".into()),
        ("RootDeviceName", "/dev/xvda".into()),
        ("VirtualizationType", "hvm".into()),
        ("Hypervisor", "xen".into()),
        ("EnaSupport", true.into()),
        ("EbsOptimized", false.into()),
        ("SecurityGroups", vec![network::security_group(call)].into()),
        ("SourceDestCheck", true.into()),
        ("IamInstanceProfile", profile.into()),
        (
            "MetadataOptions",
            object([
                ("State", "applied".into()),
                ("HttpTokens", "required".into()),
                ("HttpEndpoint", "enabled".into()),
                ("HttpPutResponseHopLimit", 2.into()),
                ("InstanceMetadataTags", "disabled".into()),
            ]),
        ),
        ("Tags", tags.into()),
    ])
}

fn describe_instance_status(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let ids = texts(&input["InstanceIds"]);
    check_paging(&input, &ids)?;
    let known = [
        "availability-zone",
        "instance-state-code",
        "instance-state-name",
        "instance-status.status",
        "system-status.status",
    ];
    let filters = Filters::of(&input, &known)?;
    let page = Page::of(call, &input, 100)?;
    // Only running instances, unless all are asked for (API reference, DescribeInstanceStatus).
    let every = input["IncludeAllInstances"] == true;
    let passes = |it: &Instance<'_>| {
        let value = |name: &str| match name {
            "instance-status.status" | "system-status.status" => {
                vec![health(it.machine.power).to_owned()]
            }
            name => values(call, it, name),
        };
        (every || it.machine.power == Power::Running) && filters.pass(&Vec::new(), value)
    };
    let (found, next) = if ids.is_empty() {
        page.cut(all(call).filter(passes))
    } else {
        let places = named(call, &ids)?;
        let found = places.into_iter().filter_map(|at| Instance::of(call.state, at));
        (found.filter(passes).collect(), None)
    };
    let statuses: Vec<Value> = found
        .iter()
        .map(|it| {
            let health = health(it.machine.power);
            let details = match health {
                "ok" => json!([{"Name": "reachability", "Status": "passed"}]),
                _ => Value::Null,
            };
            json!({
                "InstanceId": it.aws.id,
                "AvailabilityZone": zone(call, it),
                "InstanceState": state_value(it.machine.power),
                "InstanceStatus": {"Status": health, "Details": details},
                "SystemStatus": {"Status": health, "Details": details},
            })
        })
        .collect();
    Ok(answer("InstanceStatuses", statuses, next))
}

fn health(power: Power) -> &'static str {
    match power {
        Power::Running => "ok",
        Power::Starting => "initializing",
        _ => "not-applicable",
    }
}

/// A state as EC2 numbers and names it.
pub(super) fn state(power: Power) -> (u16, &'static str) {
    match power {
        Power::Starting => (0, "pending"),
        Power::Running => (16, "running"),
        Power::Stopping | Power::Deallocating => (64, "stopping"),
        Power::Stopped | Power::Deallocated => (80, "stopped"),
        Power::Terminated => (48, "terminated"),
    }
}

pub(super) fn state_value(power: Power) -> Value {
    let (code, name) = state(power);
    object([("Code", code.into()), ("Name", name.into())])
}

pub(super) fn profile_arn(call: &Call<'_>, name: &str) -> String {
    let account = call.account();
    let path = account.identity.profiles.get(name).map_or("/", |it| &it.path);
    format!("arn:aws:iam::{}:instance-profile{path}{name}", account.id)
}

pub(super) fn profile_id(call: &Call<'_>, name: &str) -> Option<String> {
    call.account().identity.profiles.get(name).map(|it| it.id.to_string())
}

/// EC2 user guide, "AMI billing information fields": systems that are licensed by the hour have names
/// of their own.
fn platform_details(os: &OperatingSystem) -> &'static str {
    match os {
        OperatingSystem::Windows => "Windows",
        OperatingSystem::RedHatEnterpriseLinux => "Red Hat Enterprise Linux",
        OperatingSystem::Suse => "SUSE Linux",
        _ => "Linux/UNIX",
    }
}

fn zone(call: &Call<'_>, it: &Instance<'_>) -> String {
    format!("{}{}", call.region(), it.ec2.zone)
}

fn image(it: &Instance<'_>) -> String {
    format!("ami-0{:016x}", u64::from(it.machine.system.0) * 0x1234_5678_9ABC)
}

fn reservation_id(it: &Instance<'_>) -> String {
    format!("r-{}", it.aws.id.trim_start_matches("i-"))
}

fn private_dns_name(call: &Call<'_>, it: &Instance<'_>) -> String {
    let [a, b, c, d] = it.machine.address;
    match call.region() {
        "us-east-1" => format!("ip-{a}-{b}-{c}-{d}.ec2.internal"),
        region => format!("ip-{a}-{b}-{c}-{d}.{region}.compute.internal"),
    }
}
