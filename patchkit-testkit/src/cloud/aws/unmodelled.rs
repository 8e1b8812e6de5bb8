//! Members of inputs that would change what comes of a request, and that this simulator does not
//! model: it refuses them, and does nothing else than was asked.
//!
//! What changes nothing here is taken: members that the services themselves reserve or no longer
//! look at, and tags where no operation gives them back.

use serde_json::Value;

/// By service and operation.
const MEMBERS: &[(&str, &str, &[&str])] = &[
    ("config", "GetComplianceDetailsByResource", &["ResourceEvaluationId"]),
    (
        "ec2",
        "AuthorizeSecurityGroupIngress",
        &["SourceSecurityGroupName", "SourceSecurityGroupOwnerId", "TagSpecifications"],
    ),
    (
        "ec2",
        "CreateVpcEndpoint",
        &["ResourceConfigurationArn", "ServiceNetworkArn", "ServiceRegion", "SubnetConfigurations"],
    ),
    (
        "ec2",
        "RevokeSecurityGroupIngress",
        &["SourceSecurityGroupName", "SourceSecurityGroupOwnerId"],
    ),
    (
        "iam",
        "SimulatePrincipalPolicy",
        &[
            "ContextEntries",
            "PolicyExclusionList",
            "ResourceHandlingOption",
            "ResourceOwner",
            "ResourcePolicy",
        ],
    ),
    ("sns", "CreateTopic", &["DataProtectionPolicy"]),
    ("sns", "Publish", &["MessageDeduplicationId", "PhoneNumber"]),
    ("ssm", "CreateAssociation", OF_ASSOCIATION),
    ("ssm", "CreateDocument", &["Attachments"]),
    ("ssm", "GetInventorySchema", &["SubType"]),
    ("ssm", "RegisterTaskWithMaintenanceWindow", &["AlarmConfiguration"]),
    ("ssm", "SendCommand", &["AlarmConfiguration"]),
    ("ssm", "StartAutomationExecution", &["AlarmConfiguration"]),
    ("ssm", "UpdateAssociation", OF_ASSOCIATION),
    ("ssm", "UpdateMaintenanceWindowTask", &["AlarmConfiguration"]),
    (
        "sts",
        "AssumeRole",
        &[
            "MinimumSessionTokenSize",
            "Policy",
            "PolicyArns",
            "ProvidedContexts",
            "SerialNumber",
            "TokenCode",
        ],
    ),
    (
        "sts",
        "AssumeRoleWithWebIdentity",
        &["MinimumSessionTokenSize", "Policy", "PolicyArns", "ProviderId"],
    ),
    ("sts", "GetSessionToken", &["MinimumSessionTokenSize", "SerialNumber", "TokenCode"]),
];

const OF_ASSOCIATION: &[&str] = &[
    "AlarmConfiguration",
    "AssociationDispatchAssumeRole",
    "AutomationTargetParameterName",
    "CalendarNames",
    "TargetLocations",
    "TargetMaps",
];

/// The first such member that an input has.
pub(super) fn given(service: &str, operation: &str, input: &Value) -> Option<&'static str> {
    let of_operation = MEMBERS.iter().find(|(of, name, _)| (*of, *name) == (service, operation));
    let (_, _, members) = of_operation?;
    members.iter().copied().find(|member| match &input[*member] {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cloud::aws::{services, testing::TestCloud};

    #[test]
    fn every_member_is_one_of_its_operations_input() {
        for (service, operation, members) in MEMBERS {
            let service = services().iter().find(|it| it.name == *service).unwrap();
            let input = service.model.operations[*operation].input.as_ref().unwrap();
            let shape = service.model.shape(input).unwrap();
            for member in *members {
                assert!(shape.members.contains_key(*member), "{operation} {member}");
            }
        }
    }

    #[test]
    fn a_request_with_such_a_member_is_refused_in_the_services_form() {
        let cloud = TestCloud::new(20);
        let command = json!({
            "DocumentName": "AWS-Noop",
            "Targets": [{"Key": "tag:none", "Values": ["none"]}],
            "AlarmConfiguration": {"Alarms": [{"Name": "alarm"}]},
        });
        let association = json!({
            "Name": "AWS-Noop",
            "Targets": [{"Key": "InstanceIds", "Values": ["*"]}],
            "CalendarNames": ["calendar"],
        });
        for (operation, input, member) in [
            ("SendCommand", &command, "AlarmConfiguration"),
            ("CreateAssociation", &association, "CalendarNames"),
        ] {
            let (name, message) = cloud.json(&format!("AmazonSSM.{operation}"), input).unwrap_err();
            assert_eq!(name, "ValidationException");
            let told = format!("The simulator does not model {member} of {operation}.");
            assert_eq!(message, told);
        }
        let associations = cloud.json("AmazonSSM.ListAssociations", &json!({})).unwrap();
        assert_eq!(associations["Associations"], json!([]));

        let assume = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=me&TokenCode=123456\
                      &RoleArn=arn:aws:iam::111122223333:role/any";
        let group = "Action=RevokeSecurityGroupIngress&Version=2016-11-15&GroupId=sg-1\
                     &SourceSecurityGroupName=other";
        let publish = "Action=Publish&Version=2010-03-31&Message=hello&PhoneNumber=%2B15555550100";
        for (service, form, code, member) in [
            ("sts", assume, "ValidationError", "TokenCode"),
            ("ec2", group, "UnsupportedOperation", "SourceSecurityGroupName"),
            ("sns", publish, "InvalidParameter", "PhoneNumber"),
        ] {
            let (status, answer) = cloud.query(service, "any", form);
            assert_eq!(status, 400, "{answer}");
            assert!(answer.contains(&format!("<Code>{code}</Code>")), "{answer}");
            assert!(answer.contains(&format!("does not model {member} of")), "{answer}");
        }
    }

    #[test]
    fn a_member_that_says_nothing_is_as_good_as_none() {
        for input in [json!({"CalendarNames": []}), json!({"CalendarNames": null})] {
            assert_eq!(given("ssm", "CreateAssociation", &input), None);
        }
        assert_eq!(given("ssm", "GetInventorySchema", &json!({"SubType": false})), None);
    }
}
