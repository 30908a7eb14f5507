"""The plan: what a topology means exactly, as data without secrets.

The same plan feeds both runtimes. Where they differ, the difference is the `RuntimeFacts` it was made for:
which addresses there are, how a server sees its own folder, where its software lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.declarations.links import Conditions
from lab.servers.software import File
from lab.topology.spec import Certificate, Server, Topology


@dataclass(frozen=True)
class RuntimeFacts:
    """What a plan needs to know of the runtime that will carry it out."""

    runtime: str  # "containers", "processes"
    network: str  # "127.91.0.0/16" or "198.18.16.0/20"
    folders: str  # a server's folder as it sees it, "{server}" is its name: "/lab" or "/…/labs/x/servers/{server}"
    prefixes: tuple[tuple[str, str], ...] = ()  # "prosody@13.0", "mine@" -> root of its unpacked tree; () if installed
    modules: str = "/lab-modules/{software}"  # folder of the lab's modules, by {software} and {version}
    libraries: str = ""  # multiarch triplet, "" if installed


@dataclass(frozen=True)
class CertificateRequest:
    """A certificate that the lab's authority is to make: certs/<domain>.crt, .key and certs/authority.pem."""

    domain: str
    names: tuple[str, ...]
    kind: Certificate
    clients: bool = False  # and a valid one for clients beside it: client-certs/<domain>.crt and .key
    address: str = ""  # IP address of the server, which it is valid for as well


@dataclass(frozen=True)
class ServerPlan:
    """One server, complete but for its secrets."""

    spec: Server
    address: str
    folder: str  # as the server sees it
    hosts: tuple[str, ...]
    certificate: CertificateRequest
    files: tuple[File, ...]
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    dns: tuple[str, int]  # the lab's DNS as this server asks it
    probes: tuple[str, ...]  # names of the servers that it pings at its start
    memory: int


@dataclass(frozen=True)
class RelayPlan:
    """One direction of a link: a port of the lab's services that leads to the target server."""

    source: str  # server name
    target: str
    port: int
    to: tuple[str, int]
    conditions: Conditions


@dataclass(frozen=True)
class Plan:
    """A federation to be carried out."""

    #: The name of `facts` in plan.json.
    __pydantic_config__: ClassVar = {"alias_generator": lambda name: "ground" if name == "facts" else name}

    topology: Topology
    facts: RuntimeFacts
    services: str  # IP address of DNS, relays and refusing ports
    servers: tuple[ServerPlan, ...]
    relays: tuple[RelayPlan, ...]

    def server(self, name: str) -> ServerPlan:
        """The plan of the server of that name. Raises KeyError."""
        for server in self.servers:
            if server.spec.name == name:
                return server
        raise KeyError(name)

    def relay(self, source: str, target: str) -> RelayPlan | None:
        """The relay from one server to another, None if direct or unlinked."""
        for relay in self.relays:
            if (relay.source, relay.target) == (source, target):
                return relay
        return None
