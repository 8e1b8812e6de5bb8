//! GetInventorySchema: the types and their attributes (user guide, "Metadata collected by
//! inventory").

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::super::{AwsError, Call, input, page::Page},
    no_such_type,
};

/// A type: its name, version and display name, and its attributes; those with a `#` are numbers.
type Schema = (&'static str, &'static str, &'static str, &'static str);

const SCHEMAS: &[Schema] = &[
    (
        "AWS:AWSComponent",
        "1.0",
        "AWS Component",
        "Name ApplicationType Publisher Version InstalledTime Architecture URL",
    ),
    (
        "AWS:Application",
        "1.1",
        "Application",
        "Name ApplicationType Publisher Version Release Epoch InstalledTime Architecture URL \
         Summary PackageId",
    ),
    ("AWS:BillingInfo", "1.0", "Billing Info", "BillingProductId"),
    (
        "AWS:ComplianceItem",
        "1.0",
        "Compliance Item",
        "ComplianceType ExecutionId ExecutionType ExecutionTime Id Title Status Severity \
         DocumentName DocumentVersion Classification PatchBaselineId PatchSeverity PatchState \
         PatchGroup InstalledTime InstallOverrideList DetailedText DetailedLink CVEIds",
    ),
    (
        "AWS:ComplianceSummary",
        "1.0",
        "Compliance Summary",
        "ComplianceType PatchGroup PatchBaselineId Status OverallSeverity ExecutionId \
         ExecutionType ExecutionTime CompliantCriticalCount# CompliantHighCount# \
         CompliantMediumCount# CompliantLowCount# CompliantInformationalCount# \
         CompliantUnspecifiedCount# NonCompliantCriticalCount# NonCompliantHighCount# \
         NonCompliantMediumCount# NonCompliantLowCount# NonCompliantInformationalCount# \
         NonCompliantUnspecifiedCount#",
    ),
    (
        "AWS:File",
        "1.0",
        "File",
        "Name Size Description FileVersion InstalledDate ModificationTime LastAccessTime \
         ProductName InstalledDir ProductLanguage CompanyName ProductVersion",
    ),
    (
        "AWS:InstanceDetailedInformation",
        "1.0",
        "Instance Detailed Information",
        "CPUModel CPUCores# CPUs# CPUSpeedMHz# CPUSockets# CPUHyperThreadEnabled OSServicePack \
         KernelVersion",
    ),
    (
        "AWS:InstanceInformation",
        "1.0",
        "Instance Information",
        "AgentType AgentVersion ComputerName IamRole InstanceId IpAddress PlatformName \
         PlatformType PlatformVersion ResourceType AgentStatus InstanceStatus",
    ),
    (
        "AWS:Network",
        "1.0",
        "Network",
        "Name SubnetMask Gateway DHCPServer DNSServer MacAddress IPV4 IPV6",
    ),
    (
        "AWS:PatchCompliance",
        "1.0",
        "Patch Compliance",
        "Title KBId Classification Severity State InstalledTime",
    ),
    (
        "AWS:PatchSummary",
        "1.0",
        "Patch Summary",
        "PatchGroup BaselineId SnapshotId OwnerInformation InstalledCount# \
         InstalledPendingRebootCount# InstalledOtherCount# InstalledRejectedCount# \
         NotApplicableCount# UnreportedNotApplicableCount# MissingCount# FailedCount# \
         AvailableSecurityUpdateCount# OperationType OperationStartTime OperationEndTime \
         InstallOverrideList RebootOption LastNoRebootInstallOperationTime ExecutionId \
         NonCompliantSeverity SecurityNonCompliantCount# CriticalNonCompliantCount# \
         OtherNonCompliantCount#",
    ),
    (
        "AWS:Process",
        "1.0",
        "Process",
        "StartTime CommandLine User FileName FileVersion FileDescription FileSize CompanyName \
         ProductName ProductVersion InstalledDate InstalledDir UsageId",
    ),
    ("AWS:ResourceGroup", "1.0", "Resource Group", "Name Arn"),
    (
        "AWS:Service",
        "1.0",
        "Service",
        "Name DisplayName ServiceType Status DependentServices ServicesDependedOn StartType",
    ),
    ("AWS:Tag", "1.0", "Tag", "Key Value"),
    ("AWS:WindowsRegistry", "1.0", "Windows Registry", "KeyPath ValueName ValueType Value"),
    (
        "AWS:WindowsRole",
        "1.0",
        "Windows Role",
        "Name DisplayName Path FeatureType DependsOn Description Installed InstalledState \
         SubFeatures ServerComponentDescriptor Parent",
    ),
    (
        "AWS:WindowsUpdate",
        "1.0",
        "Windows Update",
        "HotFixId Description InstalledTime InstalledBy",
    ),
];

/// The attributes that GetInventory counts by (botocore ssm model, `GetInventorySchema`).
pub(super) const COUNTED: [&str; 3] = ["PlatformName", "PlatformType", "PlatformVersion"];

/// Whether a type of AWS has an attribute; none where there is no such type.
pub(super) fn has(type_name: &str, attribute: &str) -> Option<bool> {
    let (.., attributes) = SCHEMAS.iter().find(|(name, ..)| *name == type_name)?;
    Some(attributes.split_whitespace().any(|it| it.trim_end_matches('#') == attribute))
}

pub(super) fn is_type(name: &str) -> bool {
    SCHEMAS.iter().any(|(known, ..)| *known == name)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    type_name: Option<String>,
    aggregator: Option<bool>,
}

pub(super) fn get(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &value, 50)?;
    let Input { type_name, aggregator } = input(value)?;
    let wanted = type_name.as_deref().filter(|it| !it.is_empty());
    let counted = aggregator == Some(true);
    let wants = |attribute: &&str| !counted || COUNTED.contains(attribute);
    let mut schemas: Vec<Value> = SCHEMAS
        .iter()
        .filter(|(name, ..)| wanted.is_none_or(|it| it == *name))
        .map(|schema| of_aws(schema, wants))
        .collect();
    let custom = call.here().ssm.inventory.types();
    let custom = custom.filter(|(name, ..)| wanted.is_none_or(|it| it == *name));
    schemas.extend(custom.map(|(name, version, attributes)| of_client(name, version, &attributes)));
    if schemas.is_empty()
        && let Some(name) = wanted
    {
        return Err(no_such_type(name));
    }
    if counted {
        schemas.retain(|it| it["TypeName"] == "AWS:InstanceInformation");
    }
    let (schemas, next) = page.cut(schemas);
    Ok(json!({"Schemas": schemas, "NextToken": next}))
}

fn of_aws(schema: &Schema, wants: impl Fn(&&str) -> bool) -> Value {
    let (name, version, display, attributes) = schema;
    let attributes = attributes.split_whitespace().filter(wants);
    let attributes = attributes.map(|it| match it.strip_suffix('#') {
        Some(name) => json!({"Name": name, "DataType": "number"}),
        None => json!({"Name": it, "DataType": "string"}),
    });
    json!({
        "TypeName": name,
        "Version": version,
        "DisplayName": display,
        "Attributes": attributes.collect::<Vec<_>>(),
    })
}

fn of_client(name: &str, version: &str, attributes: &BTreeSet<&str>) -> Value {
    let attributes = attributes.iter().take(50);
    let attributes = attributes.map(|it| json!({"Name": it, "DataType": "string"}));
    json!({
        "TypeName": name,
        "Version": version,
        "Attributes": attributes.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::world::inventory::{INSTANCE_INFORMATION, Kind};

    #[test]
    fn every_type_that_agents_report_has_a_schema() {
        for kind in Kind::ALL {
            assert!(is_type(kind.name()), "{}", kind.name());
        }
        for name in INSTANCE_INFORMATION {
            assert_eq!(has("AWS:InstanceInformation", name), Some(true), "{name}");
        }
    }
}
