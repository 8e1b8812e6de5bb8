"""The operations of AWS that the simulator serves, by service: the one list of them in Python."""

SSM = """
    DescribeInstanceInformation DescribeInstanceProperties
    GetInventory GetInventorySchema ListInventoryEntries PutInventory
    DescribeInstancePatchStates DescribeInstancePatchStatesForPatchGroup DescribeInstancePatches
    CreatePatchBaseline GetPatchBaseline UpdatePatchBaseline DeletePatchBaseline
    DescribePatchBaselines GetDefaultPatchBaseline RegisterDefaultPatchBaseline
    RegisterPatchBaselineForPatchGroup DeregisterPatchBaselineForPatchGroup
    DescribePatchGroups DescribePatchGroupState GetPatchBaselineForPatchGroup
    DescribeAvailablePatches DescribeEffectivePatchesForPatchBaseline DescribePatchProperties
    ListComplianceItems ListComplianceSummaries ListResourceComplianceSummaries PutComplianceItems
    SendCommand ListCommands ListCommandInvocations GetCommandInvocation CancelCommand
    CreateAssociation ListAssociations DescribeAssociation UpdateAssociation DeleteAssociation
    ListAssociationVersions
    StartAssociationsOnce DescribeAssociationExecutions DescribeAssociationExecutionTargets
    DescribeInstanceAssociationsStatus DescribeEffectiveInstanceAssociations
    CreateMaintenanceWindow GetMaintenanceWindow UpdateMaintenanceWindow DeleteMaintenanceWindow
    DescribeMaintenanceWindows
    RegisterTargetWithMaintenanceWindow DeregisterTargetFromMaintenanceWindow
    DescribeMaintenanceWindowTargets UpdateMaintenanceWindowTarget
    RegisterTaskWithMaintenanceWindow DeregisterTaskFromMaintenanceWindow
    DescribeMaintenanceWindowTasks GetMaintenanceWindowTask UpdateMaintenanceWindowTask
    GetMaintenanceWindowExecution DescribeMaintenanceWindowExecutions
    DescribeMaintenanceWindowExecutionTasks DescribeMaintenanceWindowExecutionTaskInvocations
    DescribeMaintenanceWindowSchedule DescribeMaintenanceWindowsForTarget
    StartAutomationExecution GetAutomationExecution DescribeAutomationExecutions
    DescribeAutomationStepExecutions StopAutomationExecution
    CreateDocument GetDocument DescribeDocument ListDocuments DeleteDocument
    CreateActivation DescribeActivations DeleteActivation
    DeregisterManagedInstance UpdateManagedInstanceRole
    AddTagsToResource RemoveTagsFromResource ListTagsForResource
    CreateResourceDataSync ListResourceDataSync DeleteResourceDataSync
    GetServiceSetting UpdateServiceSetting ResetServiceSetting
"""

EC2 = """
    DescribeInstances DescribeInstanceStatus StartInstances StopInstances RebootInstances
    CreateTags DeleteTags DescribeTags DescribeRegions
    AssociateIamInstanceProfile DescribeIamInstanceProfileAssociations
    ReplaceIamInstanceProfileAssociation DisassociateIamInstanceProfile
    DescribeVpcEndpoints CreateVpcEndpoint DeleteVpcEndpoints
    DescribeSecurityGroups CreateSecurityGroup DeleteSecurityGroup
    AuthorizeSecurityGroupIngress RevokeSecurityGroupIngress
    DescribeVpcs DescribeVpcAttribute DescribeSubnets DescribeRouteTables
"""

IAM = """
    CreateRole GetRole ListRoles UpdateAssumeRolePolicy DeleteRole
    AttachRolePolicy DetachRolePolicy ListAttachedRolePolicies
    GetPolicy GetPolicyVersion CreatePolicy DeletePolicy ListPolicies
    PutRolePolicy GetRolePolicy ListRolePolicies DeleteRolePolicy
    CreateInstanceProfile GetInstanceProfile ListInstanceProfiles ListInstanceProfilesForRole
    AddRoleToInstanceProfile RemoveRoleFromInstanceProfile DeleteInstanceProfile
    SimulatePrincipalPolicy
"""

STS = "AssumeRole GetCallerIdentity AssumeRoleWithWebIdentity GetSessionToken"

SNS = """
    CreateTopic Publish PublishBatch Subscribe Unsubscribe ListTopics ListSubscriptionsByTopic
    DeleteTopic GetTopicAttributes SetTopicAttributes
"""

CONFIG = """
    PutConfigRule DescribeConfigRules DeleteConfigRule
    DescribeComplianceByConfigRule GetComplianceDetailsByConfigRule
    DescribeComplianceByResource GetComplianceDetailsByResource GetComplianceSummaryByConfigRule
    SelectResourceConfig SelectAggregateResourceConfig
    PutConfigurationAggregator DescribeConfigurationAggregators
    GetAggregateComplianceDetailsByConfigRule DescribeAggregateComplianceByConfigRules
    StartConfigRulesEvaluation
    PutRemediationConfigurations DescribeRemediationConfigurations DeleteRemediationConfiguration
    StartRemediationExecution DescribeRemediationExecutionStatus
    DescribeConfigurationRecorders DescribeConfigurationRecorderStatus
    GetResourceConfigHistory
"""

RESOURCE_GROUPS = """
    CreateGroup GetGroup DeleteGroup ListGroups ListGroupResources SearchResources
    GetGroupQuery UpdateGroupQuery GroupResources UngroupResources Tag Untag GetTags
"""

TAGGING = "GetResources TagResources UntagResources GetTagKeys GetTagValues"

ORGANIZATIONS = """
    DescribeOrganization ListAccounts ListRoots ListOrganizationalUnitsForParent
    ListAccountsForParent ListParents DescribeAccount ListTagsForResource
"""

OPERATIONS = {
    service: names.split()
    for service, names in {
        "config": CONFIG,
        "ec2": EC2,
        "iam": IAM,
        "organizations": ORGANIZATIONS,
        "resource-groups": RESOURCE_GROUPS,
        "resourcegroupstaggingapi": TAGGING,
        "sns": SNS,
        "ssm": SSM,
        "sts": STS,
    }.items()
}

# The operations of S3 that clients wait on or page through; its replies are not held to a model.
LOOPED_S3 = "HeadBucket HeadObject ListBuckets ListObjects ListObjectsV2 ListParts".split()
