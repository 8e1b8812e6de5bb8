"""Looks at every reply that a client gets, before the test does.

`watch(client, journal)` hooks the checks to a client's events, retries included. A reply that is
not as the service's model wants it raises `Untrue` out of the call, whatever the test looks at.
"""

import json
import weakref
from xml.etree import ElementTree

from aws import bodies, shapes

# What any operation may answer besides the errors that it declares: the service's guide, "Common
# errors". By protocol family, with the status.
COMMON_JSON = {
    "AccessDeniedException": 400,
    "ExpiredTokenException": 400,
    "IncompleteSignature": 400,
    "InternalFailure": 500,
    "InternalServerError": 500,
    "InvalidSignatureException": 400,
    "MissingAuthenticationTokenException": 400,
    "RequestExpired": 400,
    "SerializationException": 400,
    "ServiceUnavailable": 503,
    "ThrottlingException": 400,
    "UnknownOperationException": 400,
    "UnrecognizedClientException": 400,
    "ValidationException": 400,
}
COMMON_REST = {
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "ForbiddenException": 403,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "UnknownOperationException": 404,
    "UnrecognizedClientException": 403,
}
COMMON_QUERY = {
    "AccessDenied": 403,
    "AuthorizationError": 403,
    "ExpiredToken": 403,
    "IncompleteSignature": 403,
    "InternalFailure": 500,
    "InvalidAction": 400,
    "InvalidClientTokenId": 403,
    "InvalidParameter": 400,
    "InvalidParameterValue": 400,
    "InvalidQueryParameter": 400,
    "MalformedQueryString": 400,
    "MissingAuthenticationToken": 403,
    "MissingParameter": 400,
    "RequestExpired": 400,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "Throttling": 400,
    "ValidationError": 400,
}
# EC2 declares no errors in its model. These are of "Error codes for the Amazon EC2 API".
EC2 = {
    "AuthFailure": 401,
    "Blocked": 403,
    "DependencyViolation": 400,
    "DryRunOperation": 412,
    "ExpiredToken": 400,
    "IncorrectInstanceState": 400,
    "IncorrectState": 400,
    "InternalError": 500,
    "InternalFailure": 500,
    "InvalidAction": 400,
    "InvalidAssociationID.NotFound": 400,
    "InvalidFilter": 400,
    "InvalidGroup.Duplicate": 400,
    "InvalidGroup.NotFound": 400,
    "InvalidID": 400,
    "InvalidInstanceID.Malformed": 400,
    "InvalidInstanceID.NotFound": 400,
    "InvalidNextToken": 400,
    "InvalidParameter": 400,
    "InvalidParameterCombination": 400,
    "InvalidParameterValue": 400,
    "InvalidPermission.Duplicate": 400,
    "InvalidPermission.NotFound": 400,
    "InvalidRouteTableID.NotFound": 400,
    "InvalidSecurityGroupRuleId.NotFound": 400,
    "InvalidServiceName": 400,
    "InvalidSubnetID.NotFound": 400,
    "InvalidVpcEndpointId.NotFound": 400,
    "InvalidVpcID.NotFound": 400,
    "MissingParameter": 400,
    "RequestExpired": 400,
    "RequestLimitExceeded": 503,
    "RouteAlreadyExists": 400,
    "RulesPerSecurityGroupLimitExceeded": 400,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "TagLimitExceeded": 400,
    "Unavailable": 503,
    "UnauthorizedOperation": 403,
    "UnknownParameter": 400,
    "UnsupportedOperation": 400,
    "VPCIdNotSpecified": 400,
    "ValidationError": 400,
}
CONTENT = {
    "ec2": "text/xml",
    "json": "application/x-amz-json-",
    "query": "text/xml",
    "rest-json": "application/json",
}


WATCHED = weakref.WeakSet()


class Untrue(AssertionError):
    """A reply that the real service would not give."""


class Journal:
    """What was asked for and what was wrong, over all clients that write into it."""

    def __init__(self):
        self.asked = set()
        self.answered = set()
        # The waiters that saw what they waited for, and the paginators that were run.
        self.waited = set()
        self.paged = set()
        self.untrue = []


def watch(client, journal):
    """Checks each reply that the client will get, and notes it in the journal."""
    service = client.meta.service_model

    def received(event_name, response_dict, parsed_response, **_):
        operation = service.operation_model(event_name.rpartition(".")[2])
        called = (service.service_name, operation.name)
        journal.asked.add(called)
        if response_dict is None:
            return
        found = faults(operation, response_dict, parsed_response)
        if found:
            message = f"{'.'.join(called)} answered {response_dict['status_code']}: " + "; ".join(
                found[:20]
            )
            journal.untrue.append(message)
            raise Untrue(message)
        if response_dict["status_code"] < 300:
            journal.answered.add(called)

    client.meta.events.register("response-received", received)
    WATCHED.add(client)
    return client


def note_loops(client, journal):
    """Notes the client's waiters and paginators in the journal."""
    service = client.meta.service_model.service_name
    waiter_of, paginator_of = client.get_waiter, client.get_paginator

    def get_waiter(name):
        waiter = waiter_of(name)
        wait = waiter.wait

        def waited(**arguments):
            wait(**arguments)
            journal.waited.add((service, name))

        waiter.wait = waited
        return waiter

    def get_paginator(name):
        paginator = paginator_of(name)
        paginate = paginator.paginate

        def paged(**arguments):
            journal.paged.add((service, name))
            return paginate(**arguments)

        paginator.paginate = paged
        return paginator

    client.get_waiter, client.get_paginator = get_waiter, get_paginator
    return client


def faults(operation, reply, parsed):
    """All that is wrong with one reply."""
    status, body = reply["status_code"], reply["body"]
    protocol = operation.service_model.resolved_protocol
    found = []
    content = reply["headers"].get("content-type", "")
    if body and not content.startswith(CONTENT[protocol]):
        found.append(f"content-type is {content!r}")
    if not parsed.get("ResponseMetadata", {}).get("RequestId"):
        found.append("no request id")
    if status >= 300:
        return found + error_faults(operation, reply, parsed)
    wanted = operation.http.get("responseCode", 200)
    if status != wanted:
        found.append(f"status {status}, not {wanted}")
    if protocol == "query":
        found += bodies.query_faults(body, operation)
    elif protocol == "ec2":
        found += bodies.ec2_faults(body, operation)
    else:
        found += bodies.json_faults(body, operation.output_shape)
    if operation.output_shape is not None:
        found += shapes.faults(parsed, operation.output_shape)
    return found


def error_faults(operation, reply, parsed):
    """What is wrong with a refusal: its code, its status, its form."""
    protocol = operation.service_model.resolved_protocol
    code = parsed.get("Error", {}).get("Code") or ""
    found = error_form(protocol, reply)
    declared = {it.error_code: it for it in operation.error_shapes}
    common = {
        "ec2": EC2,
        "json": COMMON_JSON,
        "query": COMMON_QUERY,
        "rest-json": {**COMMON_JSON, **COMMON_REST},
    }[protocol]
    if code in declared:
        metadata = declared[code].metadata
        wanted = metadata.get("error", {}).get("httpStatusCode") or common.get(code)
        wanted = wanted or (500 if metadata.get("fault") else 400)
    elif code in common:
        wanted = common[code]
    else:
        return [*found, f"{code!r} is not an error of {operation.name}"]
    if wanted >= 500 and code != "RequestLimitExceeded":
        # No test asks for a failure, and a client's retry would hide it.
        found.append(f"the server failed: {code}")
    if reply["status_code"] != wanted:
        found.append(f"{code} with status {reply['status_code']}, not {wanted}")
    if not parsed["Error"].get("Message"):
        found.append(f"{code} without a message")
    return found


def error_form(protocol, reply):
    body = reply["body"]
    try:
        if protocol in ("json", "rest-json"):
            value = json.loads(body)
            named = "__type" in value or "x-amzn-errortype" in reply["headers"]
            return [] if named else ["the error has no `__type`"]
        root = ElementTree.fromstring(body)
    except (ElementTree.ParseError, TypeError, ValueError) as error:
        return [f"the error's body cannot be read: {error}"]
    form = [bodies.local(it) for it in root]
    if protocol == "ec2":
        wanted = ("Response", ["Errors", "RequestID"])
    else:
        wanted = ("ErrorResponse", ["Error", "RequestId"])
    got = (bodies.local(root), form)
    return [] if got == wanted else [f"the error's form is {got}, not {wanted}"]
