//! How many requests the AWS services take of an account in a Region, as far as they say so.

use super::super::throttle::Rate;

/// The documented rate of an operation; none where none is published.
///
/// - Systems Manager: AWS General Reference, "Systems Manager endpoints and quotas", requests in a
///   second. A bucket holds what comes in one second. Nothing is published for Run Command, nodes,
///   patches, compliance and inventory.
/// - EC2: EC2 developer guide, "Request throttling for the EC2 API", the categories of operations.
pub(super) fn documented(service: &str, operation: &str) -> Option<Rate> {
    match service {
        "ssm" => {
            let per_second = match operation {
                "DescribeEffectiveInstanceAssociations" => 1,
                "DeleteAssociation"
                | "DescribeAssociation"
                | "DescribeInstanceAssociationsStatus"
                | "StartAssociationsOnce" => 2,
                "CreateAssociation" | "UpdateAssociation" => 3,
                "DescribeAssociationExecutionTargets"
                | "DescribeAssociationExecutions"
                | "ListAssociations" => 4,
                _ => return None,
            };
            Some(Rate::per_second(f64::from(per_second), per_second))
        }
        "ec2" if operation.starts_with("Describe") => Some(Rate::per_second(20.0, 100)),
        "ec2" if operation == "StartInstances" => Some(Rate::per_second(2.0, 5)),
        "ec2" => Some(Rate::per_second(5.0, 50)),
        _ => None,
    }
}
