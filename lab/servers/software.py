"""What the lab must know of a server software: how to configure it, create accounts, and read its files.

A software renders and never starts (the runtimes start and never render). What has to be done to a running
server is data: an `Operation` that either runtime can carry out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lab.servers.common import find_hint
from lab.topology.spec import Server, Unlinked


@dataclass(frozen=True)
class File:
    """A file in a server's folder; `path` is relative to it."""

    path: str
    text: str
    mode: int = 0o600


@dataclass(frozen=True)
class Blueprint:
    """All that a rendering may depend on. Paths are as the server itself sees them."""

    spec: Server
    address: str  # the server's own IP address; its ports there are in the manifest
    folder: str  # its own folder; certificates are certs/<domain>.crt and .key, certs/authority.pem
    prefix: str  # root of the unpacked packages, "" where they are installed
    modules: str  # folder with the lab's own server modules (files of lab/servers/<software>/modules)
    dns: tuple[str, int]  # the lab's DNS as this server must ask it
    allow: tuple[str, ...] | None  # domains it may federate with, None: no policy
    probes: tuple[str, ...]  # domains it pings (XEP-0199) after its start until each has answered
    libraries: str = ""  # multiarch triplet below prefix, "x86_64-linux-gnu"
    outbound: bool = True  # whether `allow` also holds for what it sends (topology promise `not-allowed`)
    round_trip: float = 0.0  # seconds that a byte there and one back may take over the slowest of its links
    runtime: str = "processes"  # "containers": a user's own command is found in the user's own image


@dataclass(frozen=True)
class Rendered:
    """A server ready to be started. `command` runs in the foreground with `folder` as working directory."""

    files: tuple[File, ...]
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Project:
    """Where a server runs in a Compose project, and with whom it federates."""

    configuration: str  # folder with its files
    certificates: str  # folder with <domain>.crt, <domain>.key and authority.pem, the only authority that counts
    data: str  # folder that outlives it
    peers: tuple[str, ...]  # host names that it may federate with


@dataclass(frozen=True)
class ProjectServer:
    """A server of a Compose project."""

    files: tuple[File, ...]  # of its folder of configuration
    packages: tuple[str, ...]  # of Debian
    program: str  # that is there once the packages are
    user: str  # that the packages make
    environment: tuple[tuple[str, str], ...]
    command: tuple[str, ...]
    add_account: tuple[str, ...]  # command in its container, with {user}, {domain} and {password}


@dataclass(frozen=True)
class Production:
    """A real server as `xmpplab export server` writes it. Commands are for a root shell of the server's machine."""

    configuration: File
    target: str  # path of the configuration there
    packages: tuple[str, ...]  # of Debian
    user: str  # as which the server runs
    certificates: str  # folder with <domain>.crt and <domain>.key
    check: str  # command that checks the configuration
    add_account: str  # command that makes the first account, with {domain}
    apply: str  # command after a change of the configuration
    reload: str  # command after a change of the certificate
    snapshot: str  # lines of a shell script that copy what is stored into "$folder"
    restore: tuple[str, ...]  # commands that bring such a copy back, in its folder
    retention: tuple[str, ...]  # commands that delete what is too old, once a day; () if the server does


@dataclass(frozen=True)
class ScramKeys:
    """What a server stores of a password (RFC 5802 section 3): one set for all accounts of a lab."""

    salt: bytes
    iterations: int
    sha1: tuple[bytes, bytes]  # StoredKey, ServerKey
    sha256: tuple[bytes, bytes]
    password: str = field(default="", repr=False)  # only for software that the lab does not know
    hash: str = "sha1"  # with which the server stores them: "sha1", "sha256"

    @property
    def stored(self) -> tuple[bytes, bytes]:
        """StoredKey and ServerKey of that hash."""
        return self.sha256 if self.hash == "sha256" else self.sha1


@dataclass(frozen=True)
class WriteFiles:
    """Operation: write these files into the server's folder, each whole or not at all."""

    files: tuple[File, ...]


@dataclass(frozen=True)
class HttpCall:
    """Operation: POST `body` (JSON) to `path` over the unix socket `socket` in the server's folder; 200 is success."""

    socket: str
    path: str
    body: str
    extra: float = 0.0  # seconds more than usual that the answer may take


@dataclass(frozen=True)
class AdminStanza:
    """Operation: send this stanza over the admin socket of a Prosody; a result without type "error" is success."""

    socket: str
    xml: str
    extra: float = 0.0  # seconds more than usual that the answer may take


Operation = WriteFiles | HttpCall | AdminStanza


class Registration(StrEnum):
    """Who may register an account in band (XEP-0077)."""

    OPEN = "open"
    CLOSED = "closed"
    INVITED = "invited"  # who has a token (XEP-0401, XEP-0445)


@dataclass(frozen=True)
class Refusal:
    """What the sender on this software must get for a message to a server without a link."""

    conditions: tuple[str, ...]  # any of these stanza error conditions (RFC 6120 section 8.3.3)
    within: float  # seconds


#: What Prosody 13.0.1 and ejabberd 24.12 give a sender where a stream is refused: for a wrong certificate, for TLS that
#: one requires and the other has not, for dialback that one does not take. Measured both ways, after 0.3 s at most.
REFUSED_STREAM = Refusal(("remote-server-timeout",), 2.0)

#: What a sender may get on a server that nobody measured: any error that says "not reached", within the longest
#: time that a server waits by default (Prosody gives up after 90 s).
ANY_REFUSAL = Refusal(
    (
        "remote-server-not-found", "remote-server-timeout", "not-allowed", "forbidden", "service-unavailable",
        "policy-violation", "recipient-unavailable", "not-authorized",
    ),
    100.0,
)  # fmt: skip


@dataclass(frozen=True)
class UnpackedTree:
    """Where unpacked packages lie, for programs that are started in them. Absolute paths."""

    prefix: str  # its root
    libraries: str  # folder of its shared libraries
    loader: str  # its dynamic loader
    tools: str  # folder of administration commands, first in PATH of `xmpplab exec`


class Software(ABC):
    """One kind of server: lab/servers/<name>/ has a value SOFTWARE of such a class.

    What is known of it without any of this is declared in lab/declarations/servers/<name>.py.
    """

    name: str  # as in its manifest

    @abstractmethod
    def render(self, blueprint: Blueprint) -> Rendered:
        """Configuration files, command and environment."""

    @abstractmethod
    def accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[Operation, ...]:
        """Operations that make accounts on a running server, in bulk."""

    @abstractmethod
    def initial_accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[File, ...]:
        """Files that give a server these accounts when written before its first start."""

    @abstractmethod
    def refusal(self, version: str, kind: Unlinked) -> Refusal:
        """What a sender here gets when the receiver has no link, by the kind of the topology's promise."""

    @property
    @abstractmethod
    def places(self) -> dict[str, tuple[str, ...]]:
        """Globs in the server's folder by place: "feed", "log", "store", "archive"."""

    def build(self, prefix: str, libraries: str, source: str, target: str) -> tuple[str, ...] | None:
        """Command that compiles the lab's modules from folder `source` into folder `target`; None: used as they are.

        `prefix` and `libraries` as in `Blueprint`. Where something is compiled, `Blueprint.modules` is `target`.
        """
        return None

    def tools(self, tree: UnpackedTree) -> tuple[File, ...]:
        """Administration commands that need more than the tree's loader: files for the tree's folder of tools.

        Programs that need the loader only are in the manifest.
        """
        return ()

    def rosters(self, domain: str, rosters: Mapping[str, Sequence[str]]) -> tuple[Operation, ...]:
        """Operations that give people who are not online these rosters, whole: addresses of contacts by user name.

        Each is subscribed both ways (RFC 6121 section 3); the contact's own roster must say so, too.
        """
        return ()

    def list_places(self, spec: Server) -> dict[str, tuple[str, ...]]:
        """Those `places` that a server has: without archives there is none to search."""
        return {place: globs for place, globs in self.places.items() if place != "archive" or _archives(spec)}

    def production(self, spec: Server) -> Production | None:
        """A real server like this one, without anything of a lab; None: the lab cannot configure one."""
        return None

    def project(self, spec: Server, project: Project) -> ProjectServer | None:
        """The same in a Compose project; None: the lab cannot configure one."""
        return None

    def password_hash(self, spec: Server) -> str:
        """The hash with which a server stores passwords: "sha1", "sha256"."""
        return "sha1"

    def secrets(self, spec: Server, keys: ScramKeys) -> tuple[File, ...]:
        """Files of its configuration with secrets in them, which no plan has: written when the lab is made."""
        return ()

    def forget(self, users: Sequence[str]) -> tuple[Operation, ...]:
        """Operations that empty these people's archives, where a message costs the more the more there are in one."""
        return ()

    def registration(self, mode: Registration) -> tuple[Operation, ...] | None:
        """Operations that let nobody, everybody or only who was invited register in band; None: it cannot do that."""
        return None

    def invitation(self) -> tuple[Operation, ...] | None:
        """Operations whose last answer is a token with which one account can be registered (XEP-0445); None: no way."""
        return None

    def deletion(self, users: Sequence[str]) -> tuple[Operation, ...] | None:
        """Operations that delete these people's accounts; None: it cannot do that."""
        return None

    def refusals(self, domains: Sequence[str]) -> tuple[Operation, ...] | None:
        """Operations after which a running server refuses exactly these domains and all below them; None: no way."""
        return None

    def ping(self, domain: str, within: float) -> tuple[Operation, ...] | None:
        """Operations that let the server itself ping a domain (XEP-0199), so many seconds; None: it cannot do that.

        The last answer is JSON: "at" (seconds since the epoch, when it pinged), "seconds" until the answer, "condition"
        and "text" of a stanza error ("no-answer" where there was none in time).
        """
        return None

    def reload(self) -> tuple[Operation, ...] | None:
        """Operations after which a running server has read its certificate again; None: it cannot do that."""
        return None

    def flush(self) -> tuple[Operation, ...]:
        """Operations after which the server's files hold all that it has been given to store."""
        return ()

    def refused_stream(self, version: str) -> Refusal:
        """What a sender must get where a link has to stay down (`comes_up: false`); any error if nobody measured it."""
        return ANY_REFUSAL

    def startup_hint(self, log: Sequence[str]) -> str | None:
        """The likely cause in plain words if these last log lines show why it does not start, else None."""
        return find_hint(log)


def _archives(spec: Server) -> bool:
    return not spec.manifest.installed or spec.has("mam")
