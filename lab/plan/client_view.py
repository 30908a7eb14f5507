"""What client programs need to know of a lab: its servers, and the name server that answers them.

It is written when a lab is made, and read without the plan's model: a command that only passes on to a program of
somebody's must cost little.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from lab.declarations.domains import a_labels
from lab.declarations.features import WEBSOCKET_PATH
from lab.declarations.manifest import Accounts, StartedBy
from lab.errors import UserError
from lab.plan.layout import DNS_CLIENT_PORT, DNS_PORT

if TYPE_CHECKING:
    from lab.plan.model import Plan, ServerPlan

MUC, UPLOAD = "conference", "upload"  # host names below a server's domain (XEP-0045, XEP-0363)


class NamedServer(Protocol):
    """What has a name and a domain: a server of a lab, or of a topology."""

    @property
    def name(self) -> str:
        """Its name in the topology."""

    @property
    def domain(self) -> str:
        """Its domain."""


AnyServer = TypeVar("AnyServer", bound=NamedServer)


@dataclass(frozen=True)
class ClientServer:
    """A server as its clients see it. Ports are None where the lab does not start it."""

    name: str  # in the topology
    domain: str
    address: str
    hosts: tuple[str, ...]  # every host name that it answers for, in ASCII
    client_port: int | None
    client_tls_port: int | None
    server_port: int | None
    https_port: int | None
    muc: str | None  # host of its rooms (XEP-0045)
    upload: str | None  # host of its uploads (XEP-0363)
    websocket: str | None  # URL of its WebSocket (RFC 7395), with the feature `websocket`
    users: int  # accounts that it has from the beginning: user1 to userN
    accounts: bool  # the lab can make more

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP ports where programs reach it."""
        ports = (self.client_port, self.client_tls_port, self.server_port, self.https_port)
        return tuple(port for port in ports if port is not None)


@dataclass(frozen=True)
class Account:
    """An account with which a client can log in."""

    user: str  # local part
    server: ClientServer
    password: str

    @property
    def jid(self) -> str:
        """The bare JID."""
        return f"{self.user}@{self.server.domain}"


@dataclass(frozen=True)
class ClientView:
    """A lab as clients see it."""

    lab: str
    runtime: str
    network: str  # CIDR
    dns: tuple[str, int]  # address and port of the name server, for clients
    servers: tuple[ClientServer, ...]

    def dump(self) -> str:
        """As JSON text; the inverse of `load`."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def load(cls, text: str) -> ClientView:
        """The view of such text. Raises ValueError, KeyError or TypeError for other text."""
        data = json.loads(text)
        servers = tuple(ClientServer(**{**one, "hosts": tuple(one["hosts"])}) for one in data.pop("servers"))
        address, port = data.pop("dns")
        return cls(**data, dns=(address, port), servers=servers)

    def find_server(self, word: str) -> ClientServer:
        """The server of that name or domain. Raises UserError if there is none."""
        return find_server(word, self.servers, f"the lab {self.lab}")

    def split_person(self, word: str) -> tuple[str, ClientServer]:
        """The local part and the server of an address such as alice@a or alice@a.test. Raises UserError."""
        return split_person(word, self.servers, f"the lab {self.lab}")


def find_server(word: str, servers: Sequence[AnyServer], where: str) -> AnyServer:
    """The one of that name or domain. Raises UserError, which says of what they are the servers, if there is none."""
    wanted = word.lower().rstrip(".")
    for server in servers:
        if word == server.name or wanted in (server.domain, a_labels(server.domain)):
            return server
    there = ", ".join(f"{one.name} ({one.domain})" for one in servers)
    raise UserError(f"no server {word!r} in {where}; there are {there}")


def split_person(word: str, servers: Sequence[AnyServer], where: str) -> tuple[str, AnyServer]:
    """The local part and the server of an address such as alice@a or alice@a.test. Raises UserError."""
    user, sign, server = word.partition("@")
    if not (user and sign and server) or "/" in server:
        raise UserError(f"{word!r} is no person: write alice@SERVER, with a server's name or domain")
    return user, find_server(server, servers, where)


def build_client_view(lab: str, plan: Plan) -> ClientView:
    """What clients see of a lab with this plan."""
    port = DNS_PORT if plan.facts.runtime == "containers" else DNS_CLIENT_PORT
    servers = tuple(map(_build_server, plan.servers))
    return ClientView(lab, plan.facts.runtime, plan.facts.network, (plan.services, port), servers)


def _build_server(server: ServerPlan) -> ClientServer:
    spec, ports = server.spec, server.spec.manifest.ports
    ours = spec.manifest.started_by is StartedBy.LAB
    hosts = tuple(map(a_labels, server.hosts))
    return ClientServer(
        name=spec.name,
        domain=spec.domain,
        address=server.address,
        hosts=hosts,
        client_port=ports.client if ours else None,
        client_tls_port=ports.client_tls if ours else None,
        server_port=ports.server if ours else None,
        https_port=ports.https if ours else None,
        muc=_host(hosts, MUC),
        upload=_host(hosts, UPLOAD),
        websocket=f"wss://{hosts[0]}:{ports.https}{WEBSOCKET_PATH}" if spec.has("websocket") else None,
        users=spec.users,
        accounts=spec.manifest.accounts is Accounts.CREATED,
    )


def _host(hosts: tuple[str, ...], label: str) -> str | None:
    return next((host for host in hosts if host == f"{label}.{hosts[0]}"), None)
