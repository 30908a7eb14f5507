"""What a topology means once every default is applied: frozen values, no file positions, no shapes left.

A topology is an undirected graph. Its vertices are servers, its edges are the pairs that may federate
(RFC 6120 section 10.4: servers do not relay for each other, so no edge means no messages).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lab.declarations.features import FEATURES
from lab.declarations.links import Conditions
from lab.declarations.manifest import Accounts, ServerManifest
from lab.declarations.servers import get_manifest


class Unlinked(StrEnum):
    """What happens between two servers without a link."""

    NOT_ALLOWED = "not-allowed"  # policy at both ends
    NXDOMAIN = "nxdomain"  # the name does not exist for the asker
    REFUSED = "refused"  # the name resolves, the port refuses
    UNREACHABLE = "unreachable"  # the name resolves, nothing answers


class Tls(StrEnum):
    """Whether a server wants TLS between servers (RFC 6120 section 5.3)."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    OFF = "off"


class Authentication(StrEnum):
    """How servers prove who they are: SASL EXTERNAL (XEP-0178) or server dialback (XEP-0220)."""

    EXTERNAL = "external"
    DIALBACK = "dialback"
    EITHER = "either"  # EXTERNAL where the certificate holds, dialback otherwise


class Certificate(StrEnum):
    """The certificate a server presents; all but `valid` are wrong on purpose."""

    VALID = "valid"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_NAME = "wrong-name"
    SELF_SIGNED = "self-signed"
    UNKNOWN_AUTHORITY = "unknown-authority"
    SERVER_AUTH_ONLY = "server-auth-only"


class Placement(StrEnum):
    """Where people's devices are, and so from which addresses their servers see them log in."""

    TOGETHER = "together"  # in one agent
    EACH = "each"  # each person's in an agent of their own, which has an address of its own


class Feed(StrEnum):
    """What the feed of a server contains."""

    FULL = "full"  # whole stanzas
    META = "meta"  # all but what is inside: who, whom, when, how large
    OFF = "off"


@dataclass(frozen=True)
class Custom:
    """A server the lab does not know, described by the user (API.md: `software: ./mine.yaml`).

    It gets XMPPLAB_DOMAIN, XMPPLAB_CERTIFICATE, XMPPLAB_KEY, XMPPLAB_AUTHORITY, XMPPLAB_USERS,
    XMPPLAB_DNS and XMPPLAB_PACKAGES in its environment, and listens on ports 5222 and 5269 of XMPPLAB_ADDRESS.
    """

    name: str
    command: tuple[str, ...] = ()  # runtime `processes`; also the command in the image
    image: str | None = None  # runtime `containers`
    folder: str = ""  # where the description lies: relative paths in `command` start there
    packages: tuple[str, ...] = ()  # of Debian, for the runtime `processes`


@dataclass(frozen=True)
class Server:
    """One server of the federation."""

    name: str
    domain: str
    software: str  # the name of a manifest: "prosody", "custom"
    version: str  # "13.0"; "" where it has no meaning
    users: int = 0  # accounts made before it is ready: user1 .. userN; in a list that it reads also load1 .. loadN
    tls: Tls = Tls.REQUIRED
    authentication: Authentication = Authentication.EXTERNAL
    certificate: Certificate = Certificate.VALID
    feed: Feed = Feed.FULL
    custom: Custom | None = None
    address: str | None = None  # of a server that a person starts: "host:port" of its server-to-server port
    features: tuple[str, ...] = ()  # what differs from the usual ones of its software: "+websocket", "-mam"
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)  # raw settings of its software
    max_stanza_size: int | None = None  # bytes; None: what its software has by itself
    certificate_names: tuple[str, ...] = ()  # DNS names in its certificate; (): all its host names
    operator: str = ""  # who runs it: a label that measures of exposure group servers by
    hosting: str = ""  # whose machine or network it runs on: another such label
    configuration: str = ""  # text of a real server's configuration that it runs with, instead of the lab's own

    @property
    def manifest(self) -> ServerManifest:
        """What is declared of its software. Raises UserError if there is no such software."""
        return get_manifest(self.software)

    def has(self, feature: str) -> bool:
        """Whether a feature is on."""
        if f"+{feature}" in self.features or f"-{feature}" in self.features:
            return f"+{feature}" in self.features
        return self.manifest.support(feature, self.version).usual

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host name that it answers for, its domain first."""
        usual = self.manifest.hosts(self.domain)
        added = (FEATURES[change[1:]] for change in self.features if change[0] == "+")
        names = (self.manifest.support(one.name, self.version).subdomain or one.subdomain for one in added)
        return tuple(dict.fromkeys([*usual, *(f"{name}.{self.domain}" for name in names if name)]))

    @property
    def proves_domain(self) -> bool:
        """Whether clients that trust the lab's authority can take its certificate for its domain's."""
        parent = self.domain.partition(".")[2]
        good = {self.domain, *([f"*.{parent}"] if "." in parent else [])}  # OpenSSL takes no wildcard such as *.test
        named = not self.certificate_names or bool(good & set(self.certificate_names))
        return self.certificate is Certificate.VALID and named

    @property
    def software_name(self) -> str:
        """Its software for people: one of the user's own has the name that its description gives it."""
        return self.custom.name if self.custom is not None else self.software

    @property
    def hosts_users(self) -> bool:
        """Whether users can log in: the lab creates their accounts, or it reads a list of them that is not empty."""
        accounts = self.manifest.accounts
        return accounts is Accounts.CREATED or (accounts is Accounts.LISTED and self.users > 0)


@dataclass(frozen=True)
class Link:
    """An edge: `a` and `b` may federate. `forward` is a to b, `backward` is b to a."""

    a: str
    b: str
    forward: Conditions = field(default_factory=Conditions)
    backward: Conditions = field(default_factory=Conditions)
    direct: bool = False  # past the lab's relays
    comes_up: bool = True  # False: a promise that no stream comes up

    @property
    def round_trip(self) -> float:
        """Seconds that a byte there and one back may take, without what the rate adds; jitter is seldom tripled."""
        return sum(one.latency + 3 * one.jitter for one in (self.forward, self.backward))

    @property
    def pair(self) -> frozenset[str]:
        """The two server names, unordered."""
        return frozenset((self.a, self.b))


class FaultMode(StrEnum):
    """How many of the targets that a selector finds a fault acts on, each time anew."""

    ALL = "all"
    ONE = "one"  # one by lot
    FIXED = "fixed"  # `value` of them by lot
    FIXED_PERCENT = "fixed-percent"  # `value` percent of them by lot, rounded up
    RANDOM_MAX_PERCENT = "random-max-percent"  # a number by lot, at most `value` percent of them


@dataclass(frozen=True)
class FaultSpec:
    """A declared fault: what happens to which servers or links, and when. Times are in seconds."""

    name: str
    action: str  # the name of a declaration
    fields: Mapping[str, Any] = field(default_factory=dict)  # of the action, as they were written
    selector: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # link, server, software, group, person
    mode: FaultMode = FaultMode.ALL
    value: int = 1  # of the mode
    at: float = 0.0  # from the scenario's first step, or the load's steady state
    duration: float | None = None  # None: until the end
    every: float | None = None  # None: once
    seed: int = 0


@dataclass(frozen=True)
class Topology:
    """A whole federation, ready to be planned."""

    name: str
    teaches: str
    servers: tuple[Server, ...]
    links: tuple[Link, ...]
    unlinked: Unlinked = Unlinked.NOT_ALLOWED
    faults: tuple[FaultSpec, ...] = field(default=(), compare=False)  # they change nothing of a lab that is up
    placement: Placement = Placement.TOGETHER  # of people

    def server(self, name: str) -> Server:
        """The server of that name. Raises KeyError."""
        for server in self.servers:
            if server.name == name:
                return server
        raise KeyError(name)

    def link(self, a: str, b: str) -> Link | None:
        """The link between two servers, whichever way round, or None."""
        pair = frozenset((a, b))
        return next((link for link in self.links if link.pair == pair), None)

    def neighbours(self, name: str) -> tuple[str, ...]:
        """Names of the servers that `name` federates with, in the topology's order."""
        return self._others(name, tuple(link for link in self.links if link.comes_up))

    def linked(self, name: str) -> tuple[str, ...]:
        """Names of the servers that `name` has a link with, also one that must not come up."""
        return self._others(name, self.links)

    def _others(self, name: str, links: tuple[Link, ...]) -> tuple[str, ...]:
        linked = {other for link in links if name in link.pair for other in link.pair - {name}}
        return tuple(server.name for server in self.servers if server.name in linked)
