"""Writes botocore.json: requests that botocore signed, with keys that open nothing.

Run with botocore installed: python sign.py > botocore.json
"""

import datetime
import json
from unittest import mock
from urllib.parse import urlsplit

import botocore
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 1, 31, 12, 0, 0, tzinfo=datetime.timezone.utc)
LASTING = Credentials("AKIAFIXTURE", "not/a+secret")
SESSION = Credentials("ASIAFIXTURE", "not-a-secret-either", "token/of+the=session")
HOST = "http://127.0.0.1:4566"


def sign(name, credentials, service, method, path, headers=(), body="", query_auth=None, context=()):
    request = AWSRequest(method=method, url=HOST + path, data=body.encode())
    for header, value in headers:
        request.headers.add_header(header, value)
    request.context.update(context)
    if query_auth is None:
        signer = SigV4Auth(credentials, service, "eu-west-1")
    else:
        signer = SigV4QueryAuth(credentials, service, "eu-west-1", expires=query_auth)
    with mock.patch("botocore.auth.get_current_datetime", lambda: NOW):
        signer.add_auth(request)
    url = urlsplit(request.url)
    target = url.path + ("?" + url.query if url.query else "")
    sent = [[key.lower(), value] for key, value in request.headers.items()]
    return {
        "name": name,
        "method": method,
        "target": target,
        "headers": [["host", url.netloc], *sent],
        "body": body if request.data else "",
    }


JSON = [
    ("X-Amz-Target", "AmazonSSM.DescribeInstanceInformation"),
    ("Content-Type", "application/x-amz-json-1.1"),
]
FORM = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")]

cases = [
    sign("json", LASTING, "ssm", "POST", "/", JSON, '{"MaxResults": 50}'),
    sign("json with a session token", SESSION, "ssm", "POST", "/", JSON, "{}"),
    sign("query protocol", LASTING, "sts", "POST", "/", FORM, "Action=GetCallerIdentity&Version=2011-06-15"),
    sign("a Date header", LASTING, "ssm", "POST", "/", [*JSON, ("Date", "to be replaced")], "{}"),
    sign("an encoded path", LASTING, "resource-groups", "GET", "/groups/arn%3Aaws%3Agroup%2Fa%20b/x:y", [], ""),
    sign("a path with dots and empty segments", LASTING, "ssm", "GET", "/a//b/../c/./d/", [], ""),
    sign(
        "a query with repeated keys and special characters",
        LASTING, "ec2", "GET",
        "/?b=2&a=z&a=%20y&empty=&bare&tilde=~-_.&slash=%2F&plus=%2B&umlaut=%C3%A4&eq=%3D%26&A=1",
    ),
    sign("header values with spaces", LASTING, "ssm", "POST", "/", [*JSON, ("X-Amz-Meta", "  a   b\t c  ")], "{}"),
    sign("a header twice", LASTING, "ssm", "POST", "/", [*JSON, ("X-Amz-Meta", "b"), ("X-Amz-Meta", "a")], "{}"),
    sign(
        "a payload that is not signed",
        LASTING, "ssm", "POST", "/", JSON, "whatever", context={"payload_signing_enabled": False}.items(),
    ),
    sign("presigned", LASTING, "sts", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", query_auth=60),
    sign(
        "presigned with a session token and a header",
        SESSION, "sts", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15&x=a%20b",
        [("x-k8s-aws-id", "cluster one")], query_auth=900,
    ),
]

print(json.dumps({"botocore": botocore.__version__, "cases": cases}, indent=1))
