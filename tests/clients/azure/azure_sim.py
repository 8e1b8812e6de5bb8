"""Builds Microsoft's clients against the simulator, and deals out its machines."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Callable, Iterator, TypeVar

import requests
from azure.core.credentials import AccessToken
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute.models import VirtualMachine, VirtualMachineInstanceView
from azure.mgmt.hybridcompute import HybridComputeManagementClient
from azure.mgmt.hybridcompute.models import Machine
from azure.mgmt.maintenance import MaintenanceManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resourcegraph import ResourceGraphClient

from azure_strict import Exchange, Strict, StrictPolicy

SCOPE = "https://management.azure.com/.default"
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
# The api-version of plain requests; the clients send their own.
COMPUTE_VERSION = "2024-07-01"
# Between two polls of an operation; the simulated minutes pass in tenths of a second.
POLL_S = 0.1

T = TypeVar("T")


class SimCredential:
    """Gets tokens from the simulated token endpoint, as a client secret would."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._token: AccessToken | None = None

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """Returns a token, asking for a new one when the last is about to end."""
        if self._token is None or self._token.expires_on < time.time() + 60:
            answer = requests.post(
                f"{self._endpoint}/{TENANT}/oauth2/v2.0/token",
                data={
                    "grant_type": "client_credentials",
                    "client_id": "c5a2d1f0-0000-4000-8000-000000000001",
                    "client_secret": "secret",
                    "scope": scopes[0] if scopes else SCOPE,
                },
                timeout=10,
            )
            answer.raise_for_status()
            body = answer.json()
            self._token = AccessToken(
                body["access_token"], int(time.time()) + int(body["expires_in"])
            )
        return self._token


class BearerOverHttp(SansIOHTTPPolicy):
    """Puts the token on requests to loopback, where the stock policy refuses plain http."""

    def __init__(self, credential: SimCredential) -> None:
        super().__init__()
        self._credential = credential

    def on_request(self, request: PipelineRequest) -> None:
        """Adds the header to one request."""
        token = self._credential.get_token(SCOPE).token
        request.http_request.headers["Authorization"] = f"Bearer {token}"


@dataclass
class Clients:
    """Microsoft's clients for one subscription, all behind one strict policy."""

    endpoint: str
    subscription: str
    strict: Strict
    credential: Any
    # Given where a test plays the service itself instead of running it.
    transport: Any = None
    policy: StrictPolicy = field(init=False)

    def __post_init__(self) -> None:
        self.policy = StrictPolicy(self.strict)

    def _options(self, **more: Any) -> dict[str, Any]:
        options: dict[str, Any] = {
            "base_url": self.endpoint,
            "credential_scopes": [SCOPE],
            "authentication_policy": BearerOverHttp(self.credential),
            "per_retry_policies": [self.policy.for_another()],
            "polling_interval": POLL_S,
            **more,
        }
        if self.transport is not None:
            options["transport"] = self.transport
        return options

    @cached_property
    def compute(self) -> ComputeManagementClient:
        """Returns the client of virtual machines and scale sets."""
        return ComputeManagementClient(self.credential, self.subscription, **self._options())

    @cached_property
    def compute_once(self) -> ComputeManagementClient:
        """Returns a compute client that repeats nothing, to see throttles and faults."""
        return ComputeManagementClient(
            self.credential, self.subscription, **self._options(retry_total=0)
        )

    @cached_property
    def hybrid(self) -> HybridComputeManagementClient:
        """Returns the client of Arc machines."""
        return HybridComputeManagementClient(self.credential, self.subscription, **self._options())

    @cached_property
    def maintenance(self) -> MaintenanceManagementClient:
        """Returns the client of maintenance configurations."""
        return MaintenanceManagementClient(self.credential, self.subscription, **self._options())

    @cached_property
    def resources(self) -> ResourceManagementClient:
        """Returns the client of resource groups and tags."""
        return ResourceManagementClient(self.credential, self.subscription, **self._options())

    @cached_property
    def graph(self) -> ResourceGraphClient:
        """Returns the client of Resource Graph."""
        options = self._options()
        return ResourceGraphClient(self.credential, **options)

    def raw(
        self, method: str, path: str, *, version: str | None = COMPUTE_VERSION, **more: Any
    ) -> Exchange:
        """Sends one plain request, checked as strictly as the clients' own, but no proof of them.

        `path` is a path or a whole address, which is then followed as it stands.
        """
        url = path if path.startswith("http") else f"{self.endpoint}{path}"
        parameters = dict(more.pop("params", {}))
        if version is not None and "api-version=" not in url:
            parameters["api-version"] = version
        headers = {
            "Authorization": f"Bearer {self.credential.get_token(SCOPE).token}",
            **more.pop("headers", {}),
        }
        answer = requests.request(
            method, url, params=parameters, headers=headers, timeout=30, **more
        )
        exchange = Exchange(
            method, answer.url, answer.status_code, dict(answer.headers), answer.content
        )
        self.strict.check(exchange)
        return exchange


@dataclass(frozen=True)
class Vm:
    """A virtual machine that one test has for itself."""

    clients: Clients
    model: VirtualMachine

    @property
    def id(self) -> str:
        """Returns the resource id."""
        return self.model.id

    @property
    def group(self) -> str:
        """Returns the resource group."""
        return group_of(self.model.id)

    @property
    def name(self) -> str:
        """Returns the name of the machine."""
        return self.model.name

    @property
    def os(self) -> str:
        """Returns `Linux` or `Windows`."""
        system = self.model.properties.storage_profile.os_disk.os_type
        return str(getattr(system, "value", system))

    def view(self) -> VirtualMachineInstanceView:
        """Returns the instance view as it is now."""
        return self.clients.compute.virtual_machines.instance_view(self.group, self.name)

    def power(self) -> str:
        """Returns the power state as it is now, without its prefix."""
        return power_of(self.view())


class Machines:
    """Hands the machines of the world out to tests, each only once."""

    def __init__(self, per_subscription: list[Clients]) -> None:
        self._per_subscription = per_subscription
        self._taken: set[str] = set()
        self._plain: list[Vm] = []

    @cached_property
    def _vms(self) -> list[tuple[Clients, VirtualMachine]]:
        return [
            (clients, vm)
            for clients in self._per_subscription
            for vm in clients.compute.virtual_machines.list_all()
        ]

    @cached_property
    def _arc(self) -> list[tuple[Clients, Machine]]:
        return [
            (clients, machine)
            for clients in self._per_subscription
            for machine in clients.hybrid.machines.list_by_subscription()
        ]

    def vms(
        self, *, os: str | None = None, power: str = "running", agent: bool = True
    ) -> Iterator[Vm]:
        """Yields unused machines of this kind; taking one makes it used."""
        for clients, model in self._vms:
            vm = Vm(clients, model)
            if model.id.lower() in self._taken or (os is not None and vm.os != os):
                continue
            view = vm.view()
            if power_of(view) != power or (power == "running" and agent and not agent_ready(view)):
                continue
            self._taken.add(model.id.lower())
            yield vm

    def vm(self, **kind: Any) -> Vm:
        """Returns one unused machine of this kind."""
        found = next(self.vms(**kind), None)
        assert found is not None, f"the world has no unused virtual machine {kind}"
        return found

    def plain(self, *, os: str | None = None) -> Vm:
        """Returns a running, idle machine on whose patches no test relies.

        Tests of power, tags and refusals share a few, so that enough are left to be patched.
        """
        for vm in self._plain:
            view = vm.view()
            if os in (None, vm.os) and power_of(view) == "running" and agent_ready(view):
                return vm
        self._plain.append(self.vm(os=os))
        return self._plain[-1]

    def arc(
        self, *, os: str | None = None, status: str = "Connected"
    ) -> Iterator[tuple[Clients, Machine]]:
        """Yields unused Arc machines of this kind."""
        for clients, machine in self._arc:
            properties = machine.properties
            if machine.id.lower() in self._taken or properties.status != status:
                continue
            if os is not None and (properties.os_type or "").lower() != os.lower():
                continue
            self._taken.add(machine.id.lower())
            yield clients, machine


def group_of(resource_id: str) -> str:
    """Returns the resource group in a resource id."""
    return resource_id.split("/")[4]


def power_of(view: VirtualMachineInstanceView) -> str:
    """Returns the power state in an instance view, without its prefix."""
    codes = [s.code for s in view.statuses or [] if s.code.startswith("PowerState/")]
    assert len(codes) == 1, f"one power state belongs in an instance view, not {codes}"
    return codes[0].removeprefix("PowerState/")


def agent_ready(view: VirtualMachineInstanceView) -> bool:
    """Tells whether the guest agent reports."""
    statuses = view.vm_agent.statuses or [] if view.vm_agent else []
    return any((s.code or "").lower() == "provisioningstate/succeeded" for s in statuses)


def eventually(read: Callable[[], T], holds: Callable[[T], bool], seconds: float = 30) -> T:
    """Reads until `holds`; fails with the last value when time is up."""
    end = time.monotonic() + seconds
    while True:
        value = read()
        if holds(value):
            return value
        assert time.monotonic() < end, f"still {value!r} after {seconds} s"
        time.sleep(POLL_S)
