"""Systems Manager: service settings."""

import pytest

from aws.cloud import refused

ROLE = "/ssm/managed-instance/default-ec2-instance-management-role"
VALUE = "service-role/AWSSystemsManagerDefaultEC2InstanceManagementRole"


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


def test_a_setting_is_read_changed_and_reset(aws, ssm):
    def held():
        return ssm.get_service_setting(SettingId=ROLE)["ServiceSetting"]

    before = held()
    assert before["SettingId"] == ROLE
    assert before["Status"] == "Default"
    assert ROLE in before["ARN"] and aws.account in before["ARN"]
    ssm.update_service_setting(SettingId=ROLE, SettingValue=VALUE)
    assert (held()["SettingValue"], held()["Status"]) == (VALUE, "Customized")
    reset = ssm.reset_service_setting(SettingId=ROLE)["ServiceSetting"]
    assert reset["SettingValue"] == held()["SettingValue"] == before["SettingValue"]
    assert held()["Status"] == "Default"


def test_a_setting_is_of_its_account_and_region(aws, ssm):
    ssm.update_service_setting(SettingId=ROLE, SettingValue=VALUE)
    for account, region in aws.scopes():
        if (account, region) != (aws.account, aws.region):
            other = aws.client("ssm", region, account)
            it = other.get_service_setting(SettingId=ROLE)["ServiceSetting"]
            assert it["Status"] == "Default", (account, region)
    ssm.reset_service_setting(SettingId=ROLE)


def test_an_unknown_setting_is_not_found(ssm):
    for call in (ssm.get_service_setting, ssm.reset_service_setting):
        refused("ServiceSettingNotFound", call, SettingId="/ssm/no/such-setting")
    call = ssm.update_service_setting
    refused("ServiceSettingNotFound", call, SettingId="/ssm/no/such-setting", SettingValue="x")
