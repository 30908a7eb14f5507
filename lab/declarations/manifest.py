"""What is declared of a server software: a `ServerManifest`, one for each file of lab/declarations/servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lab.declarations.features import Support
from lab.errors import UserError

#: Host names that a server may answer for beside its domain, where the lab cannot know which.
USUAL_SUBDOMAINS = ("conference", "upload", "pubsub")


class StartedBy(StrEnum):
    """Who starts a server."""

    LAB = "lab"
    PERSON = "person"  # who says in the topology at which address it listens
    SCRIPT = "script"  # lab.clients.peer listens while a script holds the peer


class Accounts(StrEnum):
    """How a server gets its accounts."""

    CREATED = "created"  # by the lab, at any time
    LISTED = "listed"  # in a file that it reads when it starts
    NONE = "none"  # the lab makes none


@dataclass(frozen=True)
class Ports:
    """Ports on a server's own address."""

    client: int = 5222  # STARTTLS, RFC 6120 section 14.7
    client_tls: int = 5223  # direct TLS (XEP-0368); no SRV record announces it
    server: int = 5269  # RFC 6120 section 14.7
    https: int = 5281  # uploads (XEP-0363), WebSocket (RFC 7395)
    component: int = 5347  # XEP-0114, with the feature `component`


#: What a server has that says nothing else.
PORTS = Ports()


@dataclass(frozen=True)
class ServerVersion:
    """A version that the lab can install."""

    number: str  # as behind the @ in a topology: "13.0"
    suite: str  # Debian release that has it: "trixie"
    packages: tuple[str, ...]  # Debian packages to install or unpack, their dependencies follow
    features: Mapping[str, Support] = field(default_factory=dict)  # where it differs from its manifest's


@dataclass(frozen=True, kw_only=True)
class ServerManifest:
    """A server software. `lab/servers/<folder>/` renders its configuration."""

    name: str  # as behind `software:` in a topology
    about: str  # what it is, for documentation
    colours: tuple[str, str]  # on pages and pictures: light fill and strong border, as #rrggbb
    versions: tuple[ServerVersion, ...] = ()  # the first is the default; () if nothing is installed
    default: bool = False  # what a topology means that names no software: exactly one manifest says so
    described: bool = False  # by a file of the user's, whose path is in the topology
    started_by: StartedBy = StartedBy.LAB
    accounts: Accounts = Accounts.CREATED
    two_certificates: bool = False  # can present one certificate to servers and another one to clients
    instrumented: bool = True  # carries the lab's modules: feed, probe, policy
    memory: int = 0  # bytes that one idle server needs, roughly
    subdomains: tuple[str, ...] = USUAL_SUBDOMAINS  # host names below its domain that it answers for
    features: Mapping[str, Support] = field(default_factory=dict)  # by name; it has nothing of those not named
    reserved_options: tuple[str, ...] = ()  # raw settings that no topology may change: the lab depends on them
    reserved_prefix: str = "lab_"  # how the names of the lab's own settings begin, at any depth
    ports: Ports = PORTS
    socket: str = ""  # name of its administration socket in its folder, "" if it has none
    tools: tuple[str, ...] = ()  # programs of its packages that `xmpplab exec` finds, where nothing is installed
    not_in_image: tuple[str, ...] = ()  # files that installing its packages makes and an image must not have: keys

    @property
    def folder(self) -> str:
        """Name of its folder in lab/servers."""
        return self.name.replace("-", "_")

    @property
    def installed(self) -> bool:
        """Whether the lab gets it from packages."""
        return bool(self.versions)

    @property
    def default_version(self) -> str:
        """The version that is meant where none is said, "" if it has none."""
        return self.versions[0].number if self.versions else ""

    def version(self, number: str) -> ServerVersion | None:
        """The version of that number; None for "" of a software that has no versions. Raises UserError."""
        for version in self.versions:
            if version.number == number:
                return version
        if not self.versions and not number:
            return None
        known = ", ".join(f"{self.name}@{version.number}" for version in self.versions) or self.name
        raise UserError(f"{self.name} {number!r} is not known, use one of {known}")

    def support(self, feature: str, version: str) -> Support:
        """What a version of it has of a feature; of one that is not known, such as "", what is usual."""
        declared = next((one for one in self.versions if one.number == version), None)
        own = declared.features.get(feature) if declared else None
        return own or self.features.get(feature) or Support(fixed="nothing is declared of it in its manifest")

    def hosts(self, domain: str) -> tuple[str, ...]:
        """Every host name that the server answers for, its domain first."""
        return (domain, *(f"{name}.{domain}" for name in self.subdomains))
