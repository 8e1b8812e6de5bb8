"""S3, which is a real server: objects, listings, presigned requests and signatures."""

import concurrent.futures
import hashlib
import json
import os
import tempfile
import time
import urllib.error
import urllib.request

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BUCKET = "example-bucket"
REGION = "eu-west-1"


@pytest.fixture
def open_world(another_sim):
    """A simulator that checks nothing, with a bucket."""
    endpoint = another_sim().s3_endpoint
    client(endpoint).create_bucket(Bucket=BUCKET)
    return endpoint


@pytest.fixture
def checking_world(another_sim):
    """A simulator that checks signatures, with a bucket: its endpoint and three sets of keys."""
    # Slow enough that no session of hours ends in the middle of a test.
    sim = another_sim(speed=1, more=["--check-signatures"])
    key = sim.credentials[0]
    lasting = (key["access_key_id"], key["secret_access_key"], None)
    sts = boto3.client(
        "sts",
        endpoint_url=sim.aws_endpoint,
        region_name=sim.regions[0],
        aws_access_key_id=lasting[0],
        aws_secret_access_key=lasting[1],
    )

    def session(seconds):
        told = sts.assume_role(
            RoleArn=f"arn:aws:iam::{key['account']}:role/any",
            RoleSessionName="proof",
            DurationSeconds=seconds,
        )["Credentials"]
        return told["AccessKeyId"], told["SecretAccessKey"], told["SessionToken"]

    ended, lives = session(900), session(43200)
    body = b'{"advance_seconds": 1000}'
    urllib.request.urlopen(urllib.request.Request(f"{sim.control_endpoint}/clock", body)).close()
    client(sim.s3_endpoint, *lasting).create_bucket(Bucket=BUCKET)
    return sim.s3_endpoint, lasting, lives, ended


def client(endpoint, key="anything", secret="whatever", token=None, **config):
    config.setdefault("retries", {"max_attempts": 1})
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(**config),
    )


def code(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return f"{status} {error.response['Error']['Code']}"
    return "ok"


def objects(s3):
    """Everything that is done with objects, through one client."""
    keys = [
        "plain",
        "AWS:ComplianceItem/accountid=123456789012/region=eu-west-1/mi-0a.json",
        "with space/and+plus/ü&?#%41.json",
        "a/b/c/d",
    ]
    for number, key in enumerate(keys):
        body = f"body of {key} ".encode() * (number * 1000 + 1)
        put = s3.put_object(Bucket=BUCKET, Key=key, Body=body, ContentType="text/x", Metadata={"m": "1"})
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        assert put["ETag"] == etag, put
        head = s3.head_object(Bucket=BUCKET, Key=key)
        assert head["ContentLength"] == len(body) and head["ETag"] == etag, head
        got = s3.get_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
        assert got["Body"].read() == body and got["ETag"] == etag
        assert got["ContentType"] == "text/x" and got["Metadata"] == {"m": "1"}, got
        assert "aws-chunked" not in got.get("ContentEncoding", ""), got
        part = s3.get_object(Bucket=BUCKET, Key=key, Range="bytes=5-9")
        assert part["Body"].read() == body[5:10]
        assert part["ContentRange"] == f"bytes 5-9/{len(body)}", part
        assert s3.get_object(Bucket=BUCKET, Key=key, Range="bytes=-3")["Body"].read() == body[-3:]
        copied = s3.copy_object(
            Bucket=BUCKET, Key=f"copy/{number}", CopySource={"Bucket": BUCKET, "Key": key}
        )
        assert copied["CopyObjectResult"]["ETag"] == etag
        assert s3.get_object(Bucket=BUCKET, Key=f"copy/{number}")["Body"].read() == body
    for algorithm in ["CRC32", "SHA1", "SHA256"]:
        s3.put_object(Bucket=BUCKET, Key="sum", Body=b"summed", ChecksumAlgorithm=algorithm)
        assert s3.get_object(Bucket=BUCKET, Key="sum")["Body"].read() == b"summed"
    assert code(s3.get_object, Bucket=BUCKET, Key="none") == "404 NoSuchKey"
    assert code(s3.get_object, Bucket=BUCKET, Key="plain", Range="bytes=900-") == "416 InvalidRange"
    assert code(s3.head_object, Bucket=BUCKET, Key="none") == "404 404"
    assert code(s3.list_objects_v2, Bucket="no-such-bucket") == "404 NoSuchBucket"
    for key in ["../example-bucket/plain", "a/../../x", "./x", "a//b"]:
        assert code(s3.put_object, Bucket=BUCKET, Key=key, Body=b"x") == "501 NotImplemented", key
        found = code(s3.delete_objects, Bucket=BUCKET, Delete={"Objects": [{"Key": key}]})
        assert found == "501 NotImplemented", (key, found)
        source = {"Bucket": BUCKET, "Key": key}
        assert code(s3.copy_object, Bucket=BUCKET, Key="x", CopySource=source) == "501 NotImplemented", key
    assert code(s3.put_object, Bucket=BUCKET, Key="plain", Body=b"x", IfNoneMatch="*") == "412 PreconditionFailed"
    assert code(s3.put_object, Bucket=BUCKET, Key="fresh", Body=b"x", IfNoneMatch="*") == "ok"
    tag = s3.head_object(Bucket=BUCKET, Key="plain")["ETag"]
    assert code(s3.put_object, Bucket=BUCKET, Key="plain", Body=b"y", IfMatch='"0"') == "412 PreconditionFailed"
    assert code(s3.put_object, Bucket=BUCKET, Key="plain", Body=b"y", IfMatch=tag) == "ok"
    head = s3.head_object(Bucket=BUCKET, Key="plain")
    for read in [s3.get_object, s3.head_object]:
        lost = "412 PreconditionFailed" if read == s3.get_object else "412 412"
        assert code(read, Bucket=BUCKET, Key="plain", IfMatch=tag) == lost
        assert code(read, Bucket=BUCKET, Key="plain", IfMatch=head["ETag"]) == "ok"
        assert code(read, Bucket=BUCKET, Key="plain", IfNoneMatch=head["ETag"]) == "304 304"
        assert code(read, Bucket=BUCKET, Key="plain", IfNoneMatch=tag) == "ok"
        assert code(read, Bucket=BUCKET, Key="plain", IfModifiedSince=head["LastModified"]) == "304 304"
        assert code(read, Bucket=BUCKET, Key="plain", IfUnmodifiedSince=head["LastModified"]) == "ok"
    assert code(s3.head_object, Bucket=BUCKET, Key="a/b") == "404 404"
    assert code(s3.get_object, Bucket=BUCKET, Key="a/b") == "404 NoSuchKey"
    assert code(s3.get_object, Bucket="no-such-bucket", Key="x") == "404 NoSuchBucket"
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        puts = [pool.submit(code, s3.put_object, Bucket=BUCKET, Key="race", Body=b"%d" % n, IfNoneMatch="*") for n in range(30)]
        won = [put.result() for put in puts]
    assert won.count("ok") == 1 and won.count("412 PreconditionFailed") == 29, won
    s3.delete_object(Bucket=BUCKET, Key="race")
    deleted = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "fresh"}, {"Key": "sum"}]})
    assert len(deleted["Deleted"]) == 2, deleted
    s3.delete_object(Bucket=BUCKET, Key="plain")
    assert code(s3.head_object, Bucket=BUCKET, Key="plain") == "404 404"


def listing(s3):
    for number in range(1203):
        s3.put_object(Bucket=BUCKET, Key=f"many/{number % 3}/{number:05}", Body=b"x")
    wanted = sorted(f"many/{number % 3}/{number:05}" for number in range(1203))
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="many/"))
    assert [page["KeyCount"] for page in pages] == [1000, 203]
    assert [item["Key"] for page in pages for item in page["Contents"]] == wanted
    assert all(item["Size"] == 1 for page in pages for item in page["Contents"])
    tag = f'"{hashlib.md5(b"x").hexdigest()}"'
    assert all(item["ETag"] == tag for page in pages for item in page["Contents"])
    pages = list(s3.get_paginator("list_objects").paginate(Bucket=BUCKET, Prefix="many/"))
    assert [item["Key"] for page in pages for item in page["Contents"]] == wanted
    folders = s3.list_objects_v2(Bucket=BUCKET, Prefix="many/", Delimiter="/", MaxKeys=2)
    assert [item["Prefix"] for item in folders["CommonPrefixes"]] == ["many/0/", "many/1/"]
    assert folders["IsTruncated"]
    rest = s3.list_objects_v2(
        Bucket=BUCKET, Prefix="many/", Delimiter="/", ContinuationToken=folders["NextContinuationToken"]
    )
    assert [item["Prefix"] for item in rest["CommonPrefixes"]] == ["many/2/"], rest
    wrong = code(s3.list_objects_v2, Bucket=BUCKET, ContinuationToken="many/0/")
    assert wrong == "400 InvalidArgument"
    after = s3.list_objects_v2(Bucket=BUCKET, Prefix="many/", StartAfter=wanted[-2])
    assert [item["Key"] for item in after["Contents"]] == wanted[-1:]
    odd = s3.list_objects_v2(Bucket=BUCKET, Prefix="AWS:")
    assert any(item["Key"].endswith("mi-0a.json") for item in odd["Contents"]), odd
    s3.list_objects_v2(Bucket=BUCKET, Delimiter="")
    hard = s3.list_objects_v2(Bucket=BUCKET, Prefix="with space/and+", Delimiter="/")
    assert [item["Prefix"] for item in hard["CommonPrefixes"]] == ["with space/and+plus/"], hard
    hard = s3.list_objects_v2(Bucket=BUCKET, Prefix="with space/and+plus/ü")
    assert [item["Key"] for item in hard["Contents"]] == ["with space/and+plus/ü&?#%41.json"], hard
    dashed = s3.list_objects_v2(Bucket=BUCKET, Prefix="many/", Delimiter="0", MaxKeys=1)
    assert [item["Prefix"] for item in dashed["CommonPrefixes"]] == ["many/0"], dashed
    first = s3.get_paginator("list_objects").paginate(Bucket=BUCKET, Prefix="many/", Delimiter="/", PaginationConfig={"PageSize": 1})
    assert [item["Prefix"] for page in first for item in page["CommonPrefixes"]] == ["many/0/", "many/1/", "many/2/"]
    everything = [
        item["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        for item in page.get("Contents", [])
    ]
    assert not any(".tmp" in key or ".internal" in key for key in everything)


def multipart(s3):
    five = 5 << 20
    body = os.urandom(five) + b"the rest"
    begun = s3.create_multipart_upload(Bucket=BUCKET, Key="big", ContentType="x/y")
    upload = {"Bucket": BUCKET, "Key": "big", "UploadId": begun["UploadId"]}
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**upload, PartNumber=n, Body=piece)["ETag"]}
        for n, piece in enumerate([body[:five], body[five:]], start=1)
    ]
    told = s3.list_parts(**upload)["Parts"]
    assert [(it["PartNumber"], it["ETag"]) for it in told] == [
        (it["PartNumber"], it["ETag"]) for it in parts
    ]
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-2"'), done
    assert s3.get_object(Bucket=BUCKET, Key="big")["Body"].read() == body
    listed = {"Parts": [{"PartNumber": 1, "ETag": parts[0]["ETag"]}]}
    for call, more in [
        (s3.upload_part, {"PartNumber": 1, "Body": b"x"}),
        (s3.upload_part_copy, {"PartNumber": 1, "CopySource": f"{BUCKET}/big"}),
        (s3.list_parts, {}),
        (s3.complete_multipart_upload, {"MultipartUpload": listed}),
        (s3.abort_multipart_upload, {}),
    ]:
        assert code(call, **upload, **more) == "404 NoSuchUpload"
    nowhere = code(s3.create_multipart_upload, Bucket="no-such-bucket", Key="big")
    assert nowhere == "404 NoSuchBucket"
    begun = s3.create_multipart_upload(Bucket=BUCKET, Key="big")
    s3.abort_multipart_upload(Bucket=BUCKET, Key="big", UploadId=begun["UploadId"])
    with tempfile.NamedTemporaryFile() as file:
        file.write(body * 4)
        file.flush()
        s3.upload_file(file.name, BUCKET, "through/transfer")
        s3.download_file(BUCKET, "through/transfer", file.name)
        assert open(file.name, "rb").read() == body * 4


def folders(s3):
    """A key may be the folder of another, whichever comes first, and however it comes."""
    keys = ["folder", "folder/of", "folder/of/many"]
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="folder", ContentType="x/y")
    for key in ["folder/of/many", "folder/of"]:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key, Metadata={"key": key})
    whole = {"Bucket": BUCKET, "Key": "folder", "UploadId": upload["UploadId"]}
    tag = s3.upload_part(**whole, PartNumber=1, Body=b"folder")["ETag"]
    done = s3.complete_multipart_upload(**whole, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    assert done["Key"] == "folder", done
    assert s3.head_object(Bucket=BUCKET, Key="folder")["ContentType"] == "x/y"
    s3.put_object(Bucket=BUCKET, Key="other", Body=b"other", Metadata={"key": "other"})
    tags = {key: s3.head_object(Bucket=BUCKET, Key=key)["ETag"] for key in [*keys, "other"]}
    s3.copy_object(Bucket=BUCKET, Key="other/copy", CopySource={"Bucket": BUCKET, "Key": "other"})
    s3.copy_object(Bucket=BUCKET, Key="other/of", CopySource={"Bucket": BUCKET, "Key": "folder/of"})
    for key in [*keys, "other"]:
        found = s3.get_object(Bucket=BUCKET, Key=key)
        assert (found["Body"].read(), found["ETag"]) == (key.encode(), tags[key]), key
        assert key == "folder" or found["Metadata"] == {"key": key}, found
    assert s3.get_object(Bucket=BUCKET, Key="other/copy")["Body"].read() == b"other"
    assert s3.get_object(Bucket=BUCKET, Key="other/of")["Body"].read() == b"folder/of"
    assert code(s3.put_object, Bucket=BUCKET, Key="folder/of", Body=b"x", IfNoneMatch="*") == "412 PreconditionFailed"
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="folder")["Contents"]
    assert [(item["Key"], item["ETag"]) for item in listed] == [(key, tags[key]) for key in keys]
    parted = s3.list_objects_v2(Bucket=BUCKET, Prefix="folder", Delimiter="/")
    assert [item["Key"] for item in parted["Contents"]] == ["folder"]
    assert [item["Prefix"] for item in parted["CommonPrefixes"]] == ["folder/"]
    s3.delete_object(Bucket=BUCKET, Key="folder")
    assert code(s3.head_object, Bucket=BUCKET, Key="folder") == "404 404"
    assert s3.get_object(Bucket=BUCKET, Key="folder/of")["Body"].read() == b"folder/of"
    deleted = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
    assert [item["Key"] for item in deleted["Deleted"]] == keys
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="folder")


def presigned(s3, **arguments):
    kind = {"ContentType": "text/x"}
    url = s3.generate_presigned_url(
        "put_object", Params={"Bucket": BUCKET, "Key": "pre signed/x:y=z", **kind}, **arguments
    )
    headers = {"Content-Type": "text/x"}
    request = urllib.request.Request(url, b"presigned", headers, method="PUT")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    url = s3.generate_presigned_url(
        "get_object", Params={"Bucket": BUCKET, "Key": "pre signed/x:y=z"}, **arguments
    )
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"presigned"
    return url


def streaming(endpoint):
    """Bodies in chunks, as the SDKs of other languages send them over http."""
    signature = "0" * 64
    for word, body, trailer in [
        (
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            f"5;chunk-signature={signature}\r\nhello\r\n0;chunk-signature={signature}\r\n\r\n",
            {},
        ),
        (
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            f"5;chunk-signature={signature}\r\nhello\r\n0;chunk-signature={signature}\r\n"
            f"x-amz-checksum-crc32:NhCmhg==\r\nx-amz-trailer-signature:{signature}\r\n\r\n",
            {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm": "CRC32"},
        ),
        (
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n",
            {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm": "CRC32"},
        ),
    ]:
        scope = f"AKIAX/20260131/{REGION}/s3/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={signature}",
            "Content-Encoding": "aws-chunked",
            "x-amz-content-sha256": word,
            "x-amz-decoded-content-length": "5",
            **trailer,
        }
        url = f"{endpoint}/{BUCKET}/streamed"
        request = urllib.request.Request(url, body.encode(), headers, method="PUT")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == b"hello" and answer.headers["Content-Encoding"] is None


def test_without_checks_every_key_and_none_is_served(open_world):
    endpoint = open_world
    s3 = client(endpoint)
    objects(s3)
    listing(s3)
    multipart(s3)
    folders(s3)
    presigned(s3)
    streaming(endpoint)
    for other in [
        client(endpoint, "ASIAENDED", "wrong", "wrong"),
        client(endpoint, signature_version=UNSIGNED),
        client(endpoint, s3={"addressing_style": "path"}),
        client(endpoint.replace("127.0.0.1", "localhost")),
        client(endpoint, s3={"payload_signing_enabled": False}),
        client(endpoint, request_checksum_calculation="when_required"),
    ]:
        objects(other)
    multipart(client(endpoint, signature_version=UNSIGNED))
    in_host = urllib.request.Request(
        f"{endpoint}/a/b/c/d", headers={"Host": f"{BUCKET}.localhost:1"}
    )
    with urllib.request.urlopen(in_host) as answer:
        assert answer.read().startswith(b"body of a/b/c/d")
    assert BUCKET in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    s3.create_bucket(Bucket="another-one", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.head_bucket(Bucket="another-one")
    s3.delete_bucket(Bucket="another-one")
    assert code(s3.get_bucket_acl, Bucket=BUCKET) == "501 NotImplemented"


def test_with_checks_only_known_keys_in_their_time_are_served(checking_world):
    endpoint, lasting, lives, ended = checking_world
    for keys in [lasting, lives]:
        s3 = client(endpoint, *keys)
        objects(s3)
        multipart(s3)
        presigned(s3)
        s3 = client(endpoint, *keys, signature_version="s3v4")
        url = presigned(s3)
        assert status(url.replace("x%3Ay", "x%3Az")) == "403 SignatureDoesNotMatch"
        short = presigned(s3, ExpiresIn=2)
        time.sleep(3)
        assert status(short) == "403 AccessDenied"
    listing(client(endpoint, *lasting))
    for expected, keys in [
        ("403 InvalidAccessKeyId", ("AKIANOBODY", "x", None)),
        ("403 SignatureDoesNotMatch", (lasting[0], "wrong", None)),
        ("403 SignatureDoesNotMatch", (lives[0], "wrong", lives[2])),
        ("400 InvalidToken", (lives[0], lives[1], "other-token")),
        ("400 InvalidToken", (lasting[0], lasting[1], lives[2])),
        ("403 InvalidAccessKeyId", (lives[0], lives[1], None)),
        ("400 ExpiredToken", ended),
    ]:
        for version in ["s3v4", "s3"]:
            s3 = client(endpoint, *keys, signature_version=version)
            found = code(s3.list_objects_v2, Bucket=BUCKET)
            assert found == expected, (version, keys[0], found, expected)
            url = s3.generate_presigned_url(
                "get_object", Params={"Bucket": BUCKET, "Key": "a/b/c/d"}
            )
            found = status(url)
            assert found == expected, (version, keys[0], found, expected)
    anonymous = client(endpoint, signature_version=UNSIGNED)
    assert code(anonymous.list_objects_v2, Bucket=BUCKET) == "403 AccessDenied"


def test_faults_are_answered_in_the_words_of_s3(another_sim):
    sim = another_sim()
    s3 = client(sim.s3_endpoint, retries={"max_attempts": 0})
    s3.create_bucket(Bucket=BUCKET)

    def fault(**form):
        body = json.dumps({"service": "s3", "times": 1, **form}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{sim.control_endpoint}/faults", body)).close()

    put = {"Bucket": BUCKET, "Key": "a", "Body": b"x"}
    for form, expected in [
        ({"kind": "throttle"}, "503 SlowDown"),
        ({"kind": "fail", "status": 500}, "500 InternalError"),
        ({"kind": "fail", "status": 503}, "503 ServiceUnavailable"),
        ({"kind": "clock_skew", "seconds": 3600}, "403 RequestTimeTooSkewed"),
        ({"kind": "clock_skew", "seconds": -3600}, "403 RequestTimeTooSkewed"),
        ({"kind": "clock_skew", "seconds": 600}, "ok"),
        ({"kind": "fail_after"}, "500 InternalError"),
    ]:
        s3.delete_object(Bucket=BUCKET, Key="a")
        fault(**form)
        assert code(s3.put_object, **put) == expected, form
        there = code(s3.head_object, Bucket=BUCKET, Key="a")
        acted = expected == "ok" or form["kind"] == "fail_after"
        assert there == ("ok" if acted else "404 404"), form
    fault(kind="clock_skew", seconds=7200)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "a"}, ExpiresIn=3600)
    assert status(url) == "403 AccessDenied"
    fault(kind="away")
    with pytest.raises(BotoCoreError):
        s3.list_objects_v2(Bucket=BUCKET)
    with urllib.request.urlopen(f"{sim.control_endpoint}/calls?operation=ListObjectsV2") as answer:
        call = json.load(answer)[-1]
    assert (call["fault"], call["acted"], call.get("status")) == ("away", False, None), call
    with pytest.raises(urllib.error.HTTPError, match="400"):
        fault(kind="empty_page")


def status(url):
    try:
        with urllib.request.urlopen(url):
            return "ok"
    except urllib.error.HTTPError as error:
        body = error.read().decode()
        return f"{error.code} {body.split('<Code>')[1].split('</Code>')[0]}"


def test_the_policy_of_a_bucket_is_kept_until_it_is_deleted(open_world):
    s3 = client(open_world)
    bucket = "central-sync"
    s3.create_bucket(Bucket=bucket)

    def code(call, **arguments):
        with pytest.raises(ClientError) as told:
            call(Bucket=bucket, **arguments)
        return told.value.response["Error"]["Code"]

    assert code(s3.create_bucket) == "BucketAlreadyOwnedByYou"
    assert code(s3.get_bucket_policy) == "NoSuchBucketPolicy"
    policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*"}]}'
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == policy
    assert code(s3.put_bucket_policy, Policy="{}") == "MalformedPolicy"
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    s3.delete_bucket_policy(Bucket=bucket)
    assert code(s3.get_bucket_policy) == "NoSuchBucketPolicy"
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"kept")
    assert code(s3.delete_bucket) == "BucketNotEmpty"
    s3.delete_object(Bucket=bucket, Key="a/b")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert code(s3.get_bucket_policy) == "NoSuchBucketPolicy"
