"""One way to the clients of a cloud, be it the simulator or moto."""

import functools
import json
import time
from dataclasses import dataclass

import boto3
from botocore.config import Config

from aws import strict


@dataclass(frozen=True)
class Keys:
    """Credentials of one caller."""

    access: str
    secret: str
    token: str | None = None

    @classmethod
    def of(cls, reply):
        """Those that STS gave."""
        it = reply["Credentials"]
        return cls(it["AccessKeyId"], it["SecretAccessKey"], it["SessionToken"])


class Cloud:
    """An endpoint with what is known of the world behind it."""

    def __init__(self, name, endpoint, s3_endpoint, accounts, regions, keys, journal=None):
        self.name = name
        self.endpoint = endpoint
        self.s3_endpoint = s3_endpoint
        self.accounts = accounts
        self.regions = regions
        self.keys = keys
        self.journal = journal
        self.region = regions[0]
        self.account = accounts[0]
        # Clients take long to make and may be shared.
        self.client = functools.lru_cache(maxsize=None)(self.new_client)

    def new_client(self, service, region=None, account=None, keys=None, checked=True, tries=4):
        """A client; with `checked=False` it sends what its own checks would hold back."""
        keys = keys or self.keys[account or self.account]
        client = session().client(
            service,
            region_name=region or self.region,
            endpoint_url=self.s3_endpoint if service == "s3" else self.endpoint,
            aws_access_key_id=keys.access,
            aws_secret_access_key=keys.secret,
            aws_session_token=keys.token,
            config=Config(
                parameter_validation=checked,
                retries={"mode": "standard", "total_max_attempts": tries},
                read_timeout=30,
                s3={"addressing_style": "path"},
            ),
        )
        if self.journal is not None:
            strict.note_loops(client, self.journal)
            if service != "s3":
                strict.watch(client, self.journal)
        return client

    def scopes(self):
        """Every account with every Region."""
        return [(account, region) for account in self.accounts for region in self.regions]

    def assumed(self, account, role, seconds=3600, region=None):
        """Credentials of a role in another account."""
        sts = self.client("sts", region)
        arn = f"arn:aws:iam::{account}:role/{role}"
        reply = sts.assume_role(RoleArn=arn, RoleSessionName="proof", DurationSeconds=seconds)
        return Keys.of(reply)

    def s3_get(self, bucket, key):
        """The bytes of an object, as text."""
        return self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()

    def s3_keys(self, bucket, prefix=""):
        """The keys under a prefix."""
        pages = self.client("s3").get_paginator("list_objects_v2")
        return [
            it["Key"]
            for it in pages.paginate(Bucket=bucket, Prefix=prefix).search("Contents[]")
            if it
        ]


@functools.lru_cache(maxsize=None)
def session():
    """The session that all clients come from: it holds the loaded models."""
    return boto3.session.Session()


def of_sim(sim, journal):
    """The cloud of a running simulator."""
    keys = {
        it["account"]: Keys(it["access_key_id"], it["secret_access_key"]) for it in sim.credentials
    }
    return Cloud(
        "sim",
        sim.aws_endpoint,
        sim.s3_endpoint,
        list(sim.accounts),
        list(sim.regions),
        keys,
        journal,
    )


def every(client, operation, key, size=None, **arguments):
    """All items of a listing through its paginator, of pages of the given size."""
    paging = {"PageSize": size} if size else {}
    pages = client.get_paginator(operation).paginate(**arguments, PaginationConfig=paging)
    found = []
    for page in pages:
        items = page.get(key, [])
        # Moto answers several listings whole, whatever page was asked for.
        bounded = size is not None and client in strict.WATCHED
        assert not bounded or len(items) <= size, f"a page of {len(items)}, asked for {size}"
        found += items
    return found


def once(items, name):
    """The ids of listed items, each of which has to be there once."""
    ids = [it[name] for it in items]
    twice = sorted({it for it in ids if ids.count(it) > 1})
    assert not twice, f"listed more than once: {twice}"
    return set(ids)


def eventually(ask, wanted=bool, seconds=60, pause=0.2):
    """Asks until the answer is as wanted, and gives it."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if wanted(answer):
            return answer
        assert time.monotonic() < end, f"not within {seconds} s; at last: {answer!r}"
        time.sleep(pause)


def refused(code, call, **arguments):
    """Makes a call that has to end in one of these errors, and gives the reply."""
    codes = {code} if isinstance(code, str) else set(code)
    try:
        reply = call(**arguments)
    except Exception as error:
        reply = getattr(error, "response", None)
        if reply is None:
            raise
        got = reply["Error"]["Code"]
        assert got in codes, f"{got}: {reply['Error'].get('Message')}; wanted {sorted(codes)}"
        return reply
    raise AssertionError(f"answered {reply!r}; wanted {sorted(codes)}")


def policy(*statements):
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service):
    """The trust policy of a role that a service assumes."""
    return policy(
        {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    )
