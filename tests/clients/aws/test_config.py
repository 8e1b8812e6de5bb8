"""Config: rules over patch compliance, and queries."""

import datetime
import json

import pytest

from aws.cloud import eventually, every, once, refused
from aws.fleet import fresh, run, scanned, states

PATCHES = "EC2_MANAGEDINSTANCE_PATCH_COMPLIANCE_STATUS_CHECK"
TYPE = "AWS::SSM::PatchCompliance"
UNKNOWN = "there-is-no-such-rule"


@pytest.fixture
def config(aws):
    return aws.client("config")


@pytest.fixture
def rule(aws, config):
    """A rule over the nodes' patch compliance, evaluated."""
    scanned(aws)
    name = fresh("rule")
    put(config, name)
    eventually(lambda: results(config, name))
    yield name
    config.delete_config_rule(ConfigRuleName=name)


def put(config, name, identifier=PATCHES, kind=TYPE):
    rule = {
        "ConfigRuleName": name,
        "Scope": {"ComplianceResourceTypes": [kind]},
        "Source": {"Owner": "AWS", "SourceIdentifier": identifier},
    }
    config.put_config_rule(ConfigRule=rule)


def results(config, name, size=None, **arguments):
    operation, key = "get_compliance_details_by_config_rule", "EvaluationResults"
    return every(config, operation, key, size, ConfigRuleName=name, **arguments)


def resource(result):
    """The id of what a result is about: not a bare node id, but a path that ends in one."""
    return result["EvaluationResultIdentifier"]["EvaluationResultQualifier"]["ResourceId"]


def test_a_rule_is_put_described_and_deleted(config):
    name = fresh("rule")
    put(config, name)
    operation, key = "describe_config_rules", "ConfigRules"
    found = every(config, operation, key, ConfigRuleNames=[name])
    assert [it["Source"]["SourceIdentifier"] for it in found] == [PATCHES]
    assert found[0]["ConfigRuleState"] in ("ACTIVE", "EVALUATING")
    assert found[0]["ConfigRuleId"].startswith("config-rule-")
    assert name in once(every(config, operation, key), "ConfigRuleName")
    config.delete_config_rule(ConfigRuleName=name)

    def gone():
        return name not in once(every(config, operation, key), "ConfigRuleName")

    eventually(gone)


def test_a_rule_says_of_each_node_what_systems_manager_says(aws, config, rule):
    ssm = aws.client("ssm")
    summed = every(
        ssm,
        "list_resource_compliance_summaries",
        "ResourceComplianceSummaryItems",
        Filters=[{"Key": "ComplianceType", "Values": ["Patch"], "Type": "EQUAL"}],
    )
    want = {it["ResourceId"]: it["Status"] for it in summed}
    config.start_config_rules_evaluation(ConfigRuleNames=[rule])

    def told():
        return {
            resource(it).rpartition("/")[2]: it["ComplianceType"] for it in results(config, rule)
        }

    eventually(told, lambda it: {k: v for k, v in it.items() if k in want} == want)


def test_results_are_paged_and_filtered(config, rule):
    whole = {resource(it): it["ComplianceType"] for it in results(config, rule, 100)}
    paged = [resource(it) for it in results(config, rule, 5)]
    assert len(set(paged)) == len(paged)
    assert set(paged) == whole.keys()
    bad = results(config, rule, ComplianceTypes=["NON_COMPLIANT"])
    assert {resource(it) for it in bad} == {k for k, v in whole.items() if v == "NON_COMPLIANT"}


def test_a_rule_and_a_resource_are_summed_up(config, rule):
    found = results(config, rule)
    bad = sorted(resource(it) for it in found if it["ComplianceType"] == "NON_COMPLIANT")
    operation, key = "describe_compliance_by_config_rule", "ComplianceByConfigRules"
    rules = every(config, operation, key, ConfigRuleNames=[rule])
    assert once(rules, "ConfigRuleName") == {rule}
    compliance = rules[0]["Compliance"]
    assert compliance["ComplianceType"] == ("NON_COMPLIANT" if bad else "COMPLIANT")
    if bad:
        assert compliance["ComplianceContributorCount"]["CappedCount"] == min(len(bad), 25)

    operation, key = "describe_compliance_by_resource", "ComplianceByResources"
    resources = every(config, operation, key, 7, ResourceType=TYPE)
    told = {it["ResourceId"]: it["Compliance"]["ComplianceType"] for it in resources}
    assert {resource(it) for it in found} <= told.keys()
    for one in bad:
        assert told[one] == "NON_COMPLIANT"

    one = resource(found[0])
    operation, key = "get_compliance_details_by_resource", "EvaluationResults"
    details = every(config, operation, key, ResourceType=TYPE, ResourceId=one)
    of_rule = [
        it
        for it in details
        if it["EvaluationResultIdentifier"]["EvaluationResultQualifier"]["ConfigRuleName"] == rule
    ]
    assert [it["ComplianceType"] for it in of_rule] == [found[0]["ComplianceType"]]

    summed = config.get_compliance_summary_by_config_rule()["ComplianceSummary"]
    counts = (summed["CompliantResourceCount"], summed["NonCompliantResourceCount"])
    assert sum(it["CappedCount"] for it in counts) >= 1


def test_a_query_selects_resources(aws, config):
    ec2 = aws.client("ec2")
    reservations = every(ec2, "describe_instances", "Reservations")
    want = once([it for one in reservations for it in one["Instances"]], "InstanceId")
    query = "SELECT resourceId, accountId, awsRegion WHERE resourceType = 'AWS::EC2::Instance'"
    operation, key = "select_resource_config", "Results"
    for size in (5, 100):
        found = [json.loads(it) for it in every(config, operation, key, size, Expression=query)]
        assert once(found, "resourceId") == want
    assert {(it["accountId"], it["awsRegion"]) for it in found} == {(aws.account, aws.region)}


def test_a_query_that_is_none_is_refused(config):
    call = config.select_resource_config
    for bad in ("DELETE resourceId", "SELECT", "SELECT resourceId WHERE"):
        refused("InvalidExpressionException", call, Expression=bad)
    refused("InvalidNextTokenException", call, Expression="SELECT resourceId", NextToken="no")


@pytest.fixture
def aggregator(aws, config):
    name = fresh("aggregator")
    sources = [{"AccountIds": aws.accounts, "AllAwsRegions": True}]
    made = config.put_configuration_aggregator(
        ConfigurationAggregatorName=name, AccountAggregationSources=sources
    )["ConfigurationAggregator"]
    assert made["ConfigurationAggregatorName"] == name
    return name


def test_an_aggregator_is_described(config, aggregator):
    operation, key = "describe_configuration_aggregators", "ConfigurationAggregators"
    whole = once(every(config, operation, key), "ConfigurationAggregatorName")
    assert aggregator in whole
    assert once(every(config, operation, key, 1), "ConfigurationAggregatorName") == whole
    call = config.describe_configuration_aggregators
    code = "NoSuchConfigurationAggregatorException"
    refused(code, call, ConfigurationAggregatorNames=["there-is-no-such"])


def test_an_aggregator_sees_every_account_and_region(aws, config, aggregator):
    query = "SELECT resourceId, accountId, awsRegion WHERE resourceType = 'AWS::EC2::Instance'"
    operation, key = "select_aggregate_resource_config", "Results"
    arguments = {"Expression": query, "ConfigurationAggregatorName": aggregator}
    found = [json.loads(it) for it in every(config, operation, key, 100, **arguments)]
    once(found, "resourceId")
    assert {(it["accountId"], it["awsRegion"]) for it in found} == set(aws.scopes())


def test_an_aggregator_tells_of_rules(aws, config, rule, aggregator):
    operation = "describe_aggregate_compliance_by_config_rules"
    key = "AggregateComplianceByConfigRules"
    named = {"ConfigurationAggregatorName": aggregator}
    filters = {"ConfigRuleName": rule, "AccountId": aws.account, "AwsRegion": aws.region}
    found = eventually(lambda: every(config, operation, key, Filters=filters, **named))
    assert [(it["AccountId"], it["AwsRegion"]) for it in found] == [(aws.account, aws.region)]
    operation = "get_aggregate_compliance_details_by_config_rule"
    key = "AggregateEvaluationResults"
    told = eventually(lambda: every(config, operation, key, 5, **filters, **named))
    assert {resource(it) for it in told} <= {resource(it) for it in results(config, rule)}


def test_the_recorder_records(config):
    recorders = config.describe_configuration_recorders()["ConfigurationRecorders"]
    status = config.describe_configuration_recorder_status()["ConfigurationRecordersStatus"]
    assert once(recorders, "name") == once(status, "name") != set()
    assert {it["recording"] for it in status} == {True}


def test_what_is_unknown_is_refused(config):
    code = "NoSuchConfigRuleException"
    refused(code, config.delete_config_rule, ConfigRuleName=UNKNOWN)
    refused(code, config.describe_config_rules, ConfigRuleNames=[UNKNOWN])
    refused(code, config.get_compliance_details_by_config_rule, ConfigRuleName=UNKNOWN)
    refused(code, config.start_config_rules_evaluation, ConfigRuleNames=[UNKNOWN])
    code = "InvalidParameterValueException"
    refused(code, lambda: put(config, fresh("rule"), identifier="NO_SUCH_CHECK"))


def test_a_remediation_runs_its_runbook_for_a_resource(aws, config):
    name = fresh("rule")
    managed = "EC2_INSTANCE_MANAGED_BY_SSM"
    put(config, name, managed, "AWS::EC2::Instance")
    remediation = {
        "ConfigRuleName": name,
        "TargetType": "SSM_DOCUMENT",
        "TargetId": "AWS-StartEC2Instance",
        "Parameters": {"InstanceId": {"ResourceValue": {"Value": "RESOURCE_ID"}}},
    }
    put_all = config.put_remediation_configurations
    assert put_all(RemediationConfigurations=[remediation])["FailedBatches"] == []
    described = config.describe_remediation_configurations(ConfigRuleNames=[name, UNKNOWN])
    assert [it["TargetId"] for it in described["RemediationConfigurations"]] == [
        "AWS-StartEC2Instance"
    ]
    reservations = every(aws.client("ec2"), "describe_instances", "Reservations")
    one = next(
        instance["InstanceId"]
        for it in reservations
        for instance in it["Instances"]
        if instance["State"]["Name"] == "running"
    )
    key = {"resourceType": "AWS::EC2::Instance", "resourceId": one}
    nobody = {"resourceType": "AWS::EC2::Instance", "resourceId": "i-0fffffffffffffff0"}
    reply = config.start_remediation_execution(ConfigRuleName=name, ResourceKeys=[key, nobody])
    assert reply["FailedItems"] == [nobody]

    def states():
        operation, member = "describe_remediation_execution_status", "RemediationExecutionStatuses"
        return every(config, operation, member, ConfigRuleName=name)

    found = eventually(states, lambda it: [one["State"] for one in it] == ["SUCCEEDED"])
    assert found[0]["ResourceKey"] == key
    assert {it["State"] for it in found[0]["StepDetails"]} == {"SUCCEEDED"}
    # A rule cannot go before its remediation.
    eventually(lambda: state_of(config, name) == "ACTIVE")
    refused("ResourceInUseException", config.delete_config_rule, ConfigRuleName=name)
    config.delete_remediation_configuration(ConfigRuleName=name)
    config.delete_config_rule(ConfigRuleName=name)


def state_of(config, name):
    return config.describe_config_rules(ConfigRuleNames=[name])["ConfigRules"][0]["ConfigRuleState"]


def test_a_remediation_is_of_a_rule_that_is_there(config):
    remediation = {"ConfigRuleName": UNKNOWN, "TargetType": "SSM_DOCUMENT", "TargetId": "AWS-Noop"}
    call = config.put_remediation_configurations
    refused("InvalidParameterValueException", call, RemediationConfigurations=[remediation])
    code = "NoSuchRemediationConfigurationException"
    refused(code, config.delete_remediation_configuration, ConfigRuleName=UNKNOWN)
    refused(code, config.describe_remediation_execution_status, ConfigRuleName=UNKNOWN)
    key = {"resourceType": "AWS::EC2::Instance", "resourceId": "i-0fffffffffffffff0"}
    call = config.start_remediation_execution
    refused(code, call, ConfigRuleName=UNKNOWN, ResourceKeys=[key])


def test_the_history_of_a_node_has_an_item_for_each_scan(aws, config):
    _, nodes = scanned(aws)
    node = nodes[0]
    run(aws.client("ssm"), [node])
    name = f"AWS::SSM::ManagedInstanceInventory/{node}"
    operation, key = "get_resource_config_history", "configurationItems"
    asked = {"resourceType": TYPE, "resourceId": name}
    items = every(config, operation, key, **asked)
    assert len(items) >= 2
    times = [it["configurationItemCaptureTime"] for it in items]
    assert times == sorted(times, reverse=True)
    assert {it["resourceId"] for it in items} == {name}
    assert items[-1]["configurationItemStatus"] == "ResourceDiscovered"
    newest = json.loads(items[0]["configuration"])
    found = newest["AWS:ComplianceItem"]["Content"]["Patch"]
    state = states(aws.client("ssm"), [node])[node]
    missing = [it for it in found.values() if it["PatchState"] == "Missing"]
    assert len(missing) == state["MissingCount"]
    forward = every(config, operation, key, chronologicalOrder="Forward", **asked)
    assert forward == items[::-1]
    assert every(config, operation, key, 1, **asked) == items
    since = every(config, operation, key, earlierTime=times[0], **asked)
    assert since == items[:1]


def test_the_history_of_what_is_not_known_is_refused(config):
    call = config.get_resource_config_history
    name = "AWS::SSM::ManagedInstanceInventory/i-0fffffffffffffff0"
    refused("ResourceNotDiscoveredException", call, resourceType=TYPE, resourceId=name)
    late, soon = datetime.datetime(2030, 1, 2), datetime.datetime(2030, 1, 1)
    times = {"earlierTime": late, "laterTime": soon}
    refused("InvalidTimeRangeException", call, resourceType=TYPE, resourceId=name, **times)
