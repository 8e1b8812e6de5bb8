"""Systems Manager: documents."""

import json

import pytest

from aws.cloud import every, once, refused
from aws.fleet import fresh, online, run

CONTENT = {
    "schemaVersion": "2.2",
    "description": "Says hello.",
    "parameters": {"Whom": {"type": "String", "default": "world"}},
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "hello",
            "inputs": {"runCommand": ["echo hello {{ Whom }}"]},
        }
    ],
}


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


@pytest.fixture
def made(ssm):
    name = fresh()
    reply = ssm.create_document(
        Name=name, DocumentType="Command", DocumentFormat="JSON", Content=json.dumps(CONTENT)
    )
    yield reply["DocumentDescription"]
    ssm.delete_document(Name=name)


def names(ssm, size=None, **filters):
    filters = [{"Key": key, "Values": [value]} for key, value in filters.items()]
    listed = every(ssm, "list_documents", "DocumentIdentifiers", size, Filters=filters)
    return once(listed, "Name")


def test_a_document_is_made_read_described_and_listed(aws, ssm, made):
    name = made["Name"]
    assert made["DocumentVersion"] == made["LatestVersion"] == made["DefaultVersion"] == "1"
    read = ssm.get_document(Name=name)
    assert json.loads(read["Content"]) == CONTENT
    assert (read["DocumentType"], read["DocumentFormat"]) == ("Command", "JSON")
    found = ssm.describe_document(Name=name)["Document"]
    assert found["Owner"] == aws.account
    assert found["Status"] == "Active"
    parameter = {it["Name"]: it for it in found["Parameters"]}["Whom"]
    assert (parameter["Type"], parameter["DefaultValue"]) == ("String", "world")
    assert name in names(ssm, Owner="Self")
    assert name not in names(ssm, Owner="Amazon")


def test_a_document_is_run(ssm, made):
    linux = [it["InstanceId"] for it in online(ssm, "Linux")][:1]
    _, found = run(ssm, linux, document=made["Name"], parameters={"Whom": ["you"]})
    assert set(found) == set(linux)


def test_every_document_is_listed_once(ssm, made):
    whole = names(ssm, 50)
    assert {made["Name"], "AWS-RunPatchBaseline"} <= whole
    assert names(ssm, 3) == whole


def test_the_services_documents_for_patching_are_there(ssm):
    theirs = names(ssm, Owner="Amazon")
    for name in (
        "AWS-RunPatchBaseline",
        "AWS-RunPatchBaselineWithHooks",
        "AWS-UpdateSSMAgent",
        "AWS-RefreshAssociation",
    ):
        assert name in theirs
        assert ssm.describe_document(Name=name)["Document"]["Owner"] == "Amazon"


def test_the_patch_document_declares_its_parameters(ssm):
    content = json.loads(ssm.get_document(Name="AWS-RunPatchBaseline")["Content"])
    parameters = content["parameters"]
    assert parameters["Operation"]["allowedValues"] == ["Scan", "Install"]
    assert parameters["RebootOption"]["default"] == "RebootIfNeeded"
    assert {"SnapshotId", "InstallOverrideList", "BaselineOverride"} <= parameters.keys()


def test_a_name_is_taken_once(ssm, made):
    call = ssm.create_document
    arguments = {"Name": made["Name"], "DocumentType": "Command", "Content": json.dumps(CONTENT)}
    refused("DocumentAlreadyExists", call, **arguments)


def test_content_that_is_none_is_refused(ssm):
    call = ssm.create_document
    refused("InvalidDocumentContent", call, Name=fresh(), DocumentType="Command", Content="{no")
    codes = ("InvalidDocumentSchemaVersion", "InvalidDocumentContent")
    bad = json.dumps({**CONTENT, "schemaVersion": "9.9"})
    refused(codes, call, Name=fresh(), DocumentType="Command", Content=bad)


def test_an_unknown_document_is_invalid(ssm):
    for call in (ssm.get_document, ssm.describe_document, ssm.delete_document):
        refused("InvalidDocument", call, Name="there-is-no-such-document")
    call = ssm.get_document
    refused("InvalidDocumentVersion", call, Name="AWS-RunPatchBaseline", DocumentVersion="999999")
