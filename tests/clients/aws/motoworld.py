"""A moto server with a small world in it, shaped as the simulator's is."""

import os

from aws.cloud import Cloud, Keys

HOME, OTHER = "123456789012", "210987654321"
IMAGE = "ami-12c6146b"
INSTANCES = 12


def started():
    """Starts the server; gives it and its cloud."""
    # Read when the modules are imported: the managed policies are off by default.
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    # Moto knows an account by the role that was assumed into it.
    keys = {HOME: Keys("AKIAIOSFODNN7EXAMPLE", "secret")}
    regions = ["eu-central-1", "us-east-1"]
    cloud = Cloud("moto", endpoint, endpoint, [HOME], regions, keys)
    keys[OTHER] = cloud.assumed(OTHER, "any")
    cloud.accounts.append(OTHER)
    for account, region in cloud.scopes():
        populate(cloud.client("ec2", region, account))
    organize(cloud.client("organizations"))
    return server, cloud


def populate(ec2):
    made = ec2.run_instances(
        ImageId=IMAGE,
        MinCount=INSTANCES,
        MaxCount=INSTANCES,
        InstanceType="t3.micro",
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "Patch Group", "Value": "linux"}]}
        ],
    )
    ids = [it["InstanceId"] for it in made["Instances"]]
    ec2.stop_instances(InstanceIds=ids[:3])


def organize(organizations):
    organizations.create_organization(FeatureSet="ALL")
    root = organizations.list_roots()["Roots"][0]["Id"]
    unit = organizations.create_organizational_unit(ParentId=root, Name="servers")
    made = organizations.create_account(AccountName="application", Email="a@example.com")
    account = made["CreateAccountStatus"]["AccountId"]
    unit = unit["OrganizationalUnit"]["Id"]
    organizations.move_account(AccountId=account, SourceParentId=root, DestinationParentId=unit)
