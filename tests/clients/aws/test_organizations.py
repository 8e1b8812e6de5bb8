"""Organizations: the accounts and where they stand."""

import pytest

from aws.cloud import every, once, refused


@pytest.fixture
def organizations(cloud):
    return cloud.client("organizations")


def test_the_organization_is_described(organizations):
    it = organizations.describe_organization()["Organization"]
    assert it["Id"].startswith("o-")
    assert it["FeatureSet"] == "ALL"
    assert it["Arn"].endswith(it["Id"])


def test_every_account_is_listed_once(cloud, organizations):
    whole = once(every(organizations, "list_accounts", "Accounts", 20), "Id")
    assert cloud.account in whole
    assert len(whole) > 1
    assert once(every(organizations, "list_accounts", "Accounts", 1), "Id") == whole


def test_the_organization_holds_the_accounts_of_the_world(aws):
    listed = every(aws.client("organizations"), "list_accounts", "Accounts")
    assert set(aws.accounts) <= once(listed, "Id")
    assert {it["Status"] for it in listed if it["Id"] in aws.accounts} == {"ACTIVE"}


def test_a_listed_account_is_described_the_same(organizations):
    for listed in every(organizations, "list_accounts", "Accounts"):
        found = organizations.describe_account(AccountId=listed["Id"])["Account"]
        assert (found["Id"], found["Arn"], found["Name"]) == (
            listed["Id"],
            listed["Arn"],
            listed["Name"],
        )


def test_every_account_stands_under_one_parent(organizations):
    roots = every(organizations, "list_roots", "Roots", 1)
    assert len(roots) == 1
    found, waiting = [], [roots[0]["Id"]]
    while waiting:
        parent = waiting.pop()
        operation = "list_accounts_for_parent"
        found += every(organizations, operation, "Accounts", 1, ParentId=parent)
        operation = "list_organizational_units_for_parent"
        units = every(organizations, operation, "OrganizationalUnits", 1, ParentId=parent)
        waiting += [it["Id"] for it in units]
    whole = once(every(organizations, "list_accounts", "Accounts"), "Id")
    assert once(found, "Id") == whole


def test_the_parents_of_accounts_lead_to_the_root(organizations):
    root = every(organizations, "list_roots", "Roots")[0]["Id"]
    for account in every(organizations, "list_accounts", "Accounts"):
        child, kinds = account["Id"], []
        while child != root:
            parents = every(organizations, "list_parents", "Parents", ChildId=child)
            assert len(parents) == 1
            child = parents[0]["Id"]
            kinds.append(parents[0]["Type"])
        assert kinds[-1] == "ROOT"


def test_the_tags_of_an_account_are_listed(cloud, organizations):
    tags = every(organizations, "list_tags_for_resource", "Tags", ResourceId=cloud.account)
    assert len({it["Key"] for it in tags}) == len(tags)


def test_what_is_not_there_is_refused_by_its_kind(aws):
    organizations = aws.client("organizations")
    refused("AccountNotFoundException", organizations.describe_account, AccountId="999999999999")
    units = organizations.list_organizational_units_for_parent
    accounts = organizations.list_accounts_for_parent
    for call in (units, accounts):
        refused("ParentNotFoundException", call, ParentId="r-zzzz")
    refused("ChildNotFoundException", organizations.list_parents, ChildId="999999999999")
    call = organizations.list_tags_for_resource
    refused("TargetNotFoundException", call, ResourceId="999999999999")


def test_a_page_has_twenty_accounts_at_most(aws):
    call = aws.client("organizations", checked=False).list_accounts
    for size in (0, 21):
        refused("InvalidInputException", call, MaxResults=size)
