//! The filters of DescribeInstanceInformation, in both forms.

use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{
        super::{AwsError, Call, input},
        associations::Standing,
    },
    source_type,
};
use crate::cloud::world::{
    State,
    machine::{AwsKind, AwsSide, MachineIx, ScopeIx},
};

/// Filters: all of them must let a node pass, each by any of its values.
#[derive(Debug)]
pub(super) struct Filters(Vec<(Key, Vec<String>)>);

#[derive(Debug, PartialEq)]
enum Key {
    ActivationIds,
    AgentVersion,
    AssociationStatus,
    IamRole,
    InstanceIds,
    PingStatus,
    PlatformType,
    ResourceType,
    SourceIds,
    SourceTypes,
    /// `tag-key`
    HasTag,
    /// `tag:<key>`
    Tag(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    instance_information_filter_list: Vec<Filter>,
}

#[derive(Deserialize)]
struct Filter {
    #[serde(alias = "Key")]
    key: String,
    #[serde(alias = "Values", alias = "valueSet")]
    values: Vec<String>,
}

impl Filters {
    pub(super) fn read(call: &Call<'_>, value: &Value) -> Result<Self, AwsError> {
        let Input { filters, instance_information_filter_list: old } = input(value.clone())?;
        if !filters.is_empty() && !old.is_empty() {
            // botocore ssm model: "Attempting to use InstanceInformationFilterList and Filters
            // leads to an exception error"; it does not say which.
            return Err(AwsError::validation(
                "InstanceInformationFilterList and Filters cannot be used together.",
            ));
        }
        let mut read = Vec::new();
        for filter in filters.into_iter().chain(old) {
            let key = Key::read(&filter.key)?;
            key.check(call, &filter.values)?;
            read.push((key, filter.values));
        }
        let tags = read.iter().filter(|(key, _)| key.is_tag()).count();
        if tags > 0 && tags < read.len() {
            return Err(AwsError::new(
                "InvalidFilterKey",
                "Tag filters can't be combined with other filter types.",
            ));
        }
        Ok(Self(read))
    }

    /// The nodes that a filter names, in the order of all listings: far fewer than there are.
    pub(super) fn named(&self, state: &State, scope: ScopeIx) -> Option<Vec<MachineIx>> {
        let (_, ids) = self.0.iter().find(|(key, _)| *key == Key::InstanceIds)?;
        let mut ids: Vec<&String> = ids.iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Some(ids.into_iter().filter_map(|id| state.find(scope, id)).collect())
    }

    pub(super) fn let_pass(&self, state: &State, at: MachineIx) -> bool {
        let Some(aws) = &state.machine(at).aws else { return false };
        self.0.iter().all(|(key, values)| key.lets(state, at, aws, values))
    }
}

impl Key {
    fn read(text: &str) -> Result<Self, AwsError> {
        Ok(match text {
            "ActivationIds" => Self::ActivationIds,
            "AgentVersion" => Self::AgentVersion,
            "AssociationStatus" => Self::AssociationStatus,
            "IamRole" => Self::IamRole,
            "InstanceIds" => Self::InstanceIds,
            "PingStatus" => Self::PingStatus,
            // The old form's enum has the plural, the new form's documentation the singular.
            "PlatformType" | "PlatformTypes" => Self::PlatformType,
            "ResourceType" => Self::ResourceType,
            "SourceIds" => Self::SourceIds,
            "SourceTypes" => Self::SourceTypes,
            "tag-key" => Self::HasTag,
            other => match other.strip_prefix("tag:") {
                Some(key) if !key.is_empty() => Self::Tag(key.to_owned()),
                _ => {
                    let message = format!("{text} is not a valid filter key.");
                    return Err(AwsError::new("InvalidFilterKey", message));
                }
            },
        })
    }

    fn is_tag(&self) -> bool {
        matches!(self, Self::HasTag | Self::Tag(_))
    }

    fn check(&self, call: &Call<'_>, values: &[String]) -> Result<(), AwsError> {
        let (name, valid): (_, &[&str]) = match self {
            Self::InstanceIds => {
                let unknown = values.iter().find(|id| call.state.find(call.scope, id).is_none());
                return match unknown {
                    // API reference, DescribeInstanceInformation: an id that is not valid, or not
                    // yours, is an error for the whole call.
                    Some(id) => Err(AwsError::new(
                        "InvalidInstanceId",
                        format!("The instance ID '{id}' is not valid or not yours."),
                    )),
                    None => Ok(()),
                };
            }
            Self::AssociationStatus => ("AssociationStatus", &["Failed", "Pending", "Success"]),
            Self::PingStatus => ("PingStatus", &["ConnectionLost", "Inactive", "Online"]),
            Self::PlatformType => ("PlatformType", &["Linux", "MacOS", "Windows"]),
            Self::ResourceType => ("ResourceType", &["EC2Instance", "ManagedInstance"]),
            Self::SourceTypes => (
                "SourceType",
                &["AWS::EC2::Instance", "AWS::IoT::Thing", "AWS::SSM::ManagedInstance"],
            ),
            _ => return Ok(()),
        };
        if values.iter().all(|it| valid.contains(&it.as_str())) {
            return Ok(());
        }
        // The service's own words, as aws/aws-sdk issue 130 shows them.
        let message = format!("{name} filter is invalid, valid values are {}", valid.join(", "));
        Err(AwsError::new("InvalidInstanceInformationFilterValue", message))
    }

    fn lets(&self, state: &State, at: MachineIx, aws: &AwsSide, values: &[String]) -> bool {
        let among = |actual: &str| values.iter().any(|it| it == actual);
        let hybrid = match &aws.side {
            AwsKind::Hybrid(hybrid) => Some(hybrid),
            AwsKind::Ec2(_) => None,
        };
        match self {
            Self::ActivationIds => hybrid.is_some_and(|it| among(&it.activation)),
            Self::AgentVersion => among(&aws.agent_version),
            Self::AssociationStatus => {
                Standing::of(state, aws.scope, &aws.id).is_some_and(|it| among(it.status))
            }
            Self::IamRole => hybrid.is_some_and(|it| among(&it.role)),
            Self::InstanceIds | Self::SourceIds => among(&aws.id),
            Self::PingStatus => among(state.ping_status(at)),
            Self::PlatformType => among(state.system_of(at).platform_type()),
            Self::ResourceType => among(aws.side.resource_type()),
            Self::SourceTypes => among(source_type(&aws.side)),
            Self::HasTag => aws.tags.iter().any(|(key, _)| among(key)),
            Self::Tag(name) => aws.tags.iter().any(|(key, it)| **key == **name && among(it)),
        }
    }
}
