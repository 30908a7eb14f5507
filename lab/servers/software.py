"""What the lab must know of a server software: how to configure it, make accounts, read what it tells.

A software renders and never starts (the runtimes start and never render). What has to be done to a running
server is data: an `Operation` that either runtime can carry out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

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
    address: str  # the server's own IP address: 5222, 5269, 5281 are its ports there
    folder: str  # its own folder; certificates are certs/<domain>.crt and .key, certs/authority.pem
    prefix: str  # root of the unpacked packages, "" where they are installed
    modules: str  # folder with the lab's own server modules (files of lab/servers/<software>/modules)
    dns: tuple[str, int]  # the lab's DNS as this server must ask it
    allow: tuple[str, ...] | None  # domains it may federate with, None: no policy
    probes: tuple[str, ...]  # domains it pings (XEP-0199) after its start until each has answered
    libraries: str = ""  # multiarch triplet below prefix, "x86_64-linux-gnu"
    outbound: bool = True  # whether `allow` also holds for what it sends (topology promise `not-allowed`)
    runtime: str = "processes"  # "containers": a user's own command is found in the user's own image


@dataclass(frozen=True)
class Rendered:
    """A server ready to be started. `command` runs in the foreground with `folder` as working directory."""

    files: tuple[File, ...]
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ScramKeys:
    """What a server stores of a password (RFC 5802 section 3): one set for all accounts of a lab."""

    salt: bytes
    iterations: int
    sha1: tuple[bytes, bytes]  # StoredKey, ServerKey
    sha256: tuple[bytes, bytes]
    password: str = field(default="", repr=False)  # only for software that the lab does not know


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


Operation = WriteFiles | HttpCall


@dataclass(frozen=True)
class Refusal:
    """What the sender on this software must get for a message to a server without a link."""

    conditions: tuple[str, ...]  # any of these stanza error conditions (RFC 6120 section 8.3.3)
    within: float  # seconds


class Software(Protocol):
    """One kind of server. Each lies in a folder of its own and is registered by name in lab/servers."""

    name: str
    versions: tuple[str, ...]  # the first is the default
    memory: int  # bytes that one idle server needs, roughly
    instrumented: bool  # whether it carries the lab's modules: feed, probe, policy
    socket: str  # name of its administration socket in its folder, "" if it has none

    def suite(self, version: str) -> str:
        """The Debian release that carries this version: "trixie"."""
        ...

    def packages(self, version: str) -> tuple[str, ...]:
        """Debian packages to install or unpack."""
        ...

    def hosts(self, domain: str) -> tuple[str, ...]:
        """Every host name the server answers for, its domain first, then rooms, upload, pubsub."""
        ...

    def render(self, blueprint: Blueprint) -> Rendered:
        """Configuration files, command and environment."""
        ...

    def build(self, prefix: str, libraries: str, source: str, target: str) -> tuple[str, ...] | None:
        """Command that compiles the lab's modules from folder `source` into folder `target`; None: used as they are.

        `prefix` and `libraries` as in `Blueprint`. Where something is compiled, `Blueprint.modules` is `target`.
        """
        ...

    def accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[Operation, ...]:
        """Operations that make accounts on a running server, in bulk."""
        ...

    def initial_accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[File, ...]:
        """Files that give a server these accounts when written before its first start."""
        ...

    def rosters(self, domain: str, rosters: Mapping[str, Sequence[str]]) -> tuple[Operation, ...]:
        """Operations that give people who are not online these rosters, whole: addresses of contacts by user name.

        Each is subscribed both ways (RFC 6121 section 3); the contact's own roster must say so, too.
        """
        ...

    def forget(self, users: Sequence[str]) -> tuple[Operation, ...]:
        """Operations that empty these people's archives, where a message costs the more the more there are in one."""
        ...

    def flush(self) -> tuple[Operation, ...]:
        """Operations after which the server's files hold all that it has been given to keep."""
        ...

    def refusal(self, version: str, kind: Unlinked) -> Refusal:
        """What a sender here gets when the receiver has no link, by the kind of the topology's promise."""
        ...

    def startup_hint(self, log: Sequence[str]) -> str | None:
        """The likely cause in plain words if these last log lines show why it does not start, else None."""
        ...

    @property
    def places(self) -> dict[str, tuple[str, ...]]:
        """Globs in the server's folder by place: "feed", "log", "store", "archive"."""
        ...
