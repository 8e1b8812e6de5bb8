"""The token endpoints: client secret and managed identity."""

from __future__ import annotations

import time

import pytest
import requests
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential

from azure_sim import SCOPE, TENANT, Clients

SECRET = {
    "grant_type": "client_credentials",
    "client_id": "c5a2d1f0-0000-4000-8000-000000000001",
    "client_secret": "secret",
    "scope": SCOPE,
}


def ask(endpoint: str, **changes: str | None) -> requests.Response:
    """Asks for a token with these changes of a good request; None leaves a field out."""
    form = {key: value for key, value in {**SECRET, **changes}.items() if value is not None}
    return requests.post(f"{endpoint}/{TENANT}/oauth2/v2.0/token", data=form, timeout=10)


def test_a_client_secret_gets_a_token(endpoint: str) -> None:
    answer = ask(endpoint)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert isinstance(body["expires_in"], int) and body["expires_in"] > 0
    assert isinstance(body["access_token"], str) and body["access_token"]


def test_the_token_opens_the_resource_manager(endpoint: str, azure: Clients) -> None:
    token = ask(endpoint).json()["access_token"]
    answer = requests.get(
        f"{endpoint}/subscriptions/{azure.subscription}/providers/Microsoft.Compute"
        "/virtualMachines",
        params={"api-version": "2024-07-01"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"scope": None}, "invalid_request"),
        ({"client_id": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_a_bad_request_is_refused_as_oauth_does(
    endpoint: str, changes: dict[str, str | None], error: str
) -> None:
    answer = ask(endpoint, **changes)
    assert answer.status_code == 400
    body = answer.json()
    # RFC 6749, 5.2; this endpoint does not speak ARM's error format.
    assert body["error"] == error
    assert body["error_description"]


def test_the_managed_identity_credential_gets_a_token(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The one setting by which azure-identity takes another host for the metadata service.
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", endpoint)
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    token = ManagedIdentityCredential().get_token(SCOPE)
    assert token.token
    assert token.expires_on > time.time()


def test_the_metadata_service_answers_in_strings(endpoint: str) -> None:
    answer = requests.get(
        f"{endpoint}/metadata/identity/oauth2/token",
        params={"api-version": "2018-02-01", "resource": "https://management.azure.com/"},
        headers={"Metadata": "true"},
        timeout=10,
    )
    assert answer.status_code == 200
    body = answer.json()
    assert {
        "access_token",
        "client_id",
        "expires_in",
        "expires_on",
        "not_before",
        "resource",
        "token_type",
    } <= body.keys()
    assert all(isinstance(value, str) for value in body.values())
    assert int(body["expires_on"]) > int(body["not_before"])


@pytest.mark.parametrize(
    ("headers", "parameters"),
    [
        ({}, {"api-version": "2018-02-01", "resource": "https://management.azure.com/"}),
        ({"Metadata": "true"}, {"api-version": "2018-02-01"}),
    ],
)
def test_the_metadata_service_refuses_what_it_would_in_azure(
    endpoint: str, headers: dict[str, str], parameters: dict[str, str]
) -> None:
    answer = requests.get(
        f"{endpoint}/metadata/identity/oauth2/token",
        params=parameters,
        headers=headers,
        timeout=10,
    )
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"


def test_no_metadata_service_is_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shows that the test above speaks to the simulation and to nothing else."""
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1")
    with pytest.raises(CredentialUnavailableError):
        ManagedIdentityCredential(retry_total=0).get_token(SCOPE)
