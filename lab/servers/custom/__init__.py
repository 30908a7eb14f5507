"""A server that the lab does not know, described by the user with a command, an image or both.

It gets its part of the lab in its environment and must listen on ports 5222 and 5269 of its address:

    XMPPLAB_DOMAIN       its domain
    XMPPLAB_ADDRESS      the IP address to listen on
    XMPPLAB_CERTIFICATE, XMPPLAB_KEY, XMPPLAB_AUTHORITY   PEM files
    XMPPLAB_USERS        users.json: {"password": "...", "users": ["user1", ...]}
    XMPPLAB_DNS          address:port of the DNS that it must ask

users.json holds the lab's password, so it is no part of the rendering but of `initial_accounts`: the plan stays
free of secrets. Limits: the lab's feed, probe and policy are modules of servers it knows; here they are missing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePosixPath

from lab.errors import UserError
from lab.servers.common import USUAL_SUBDOMAINS, hint, with_subdomains
from lab.servers.software import Blueprint, File, Operation, Refusal, Rendered, ScramKeys, WriteFiles
from lab.topology.spec import Custom, Unlinked

USERS = "users.json"

#: What a sender may get on a server that nobody measured: any error that says "not reached", within the longest
#: time that a server waits by default (Prosody gives up after 90 s).
UNKNOWN_REFUSAL = Refusal(
    (
        "remote-server-not-found", "remote-server-timeout", "not-allowed", "forbidden", "service-unavailable",
        "policy-violation", "recipient-unavailable", "not-authorized",
    ),
    100.0,
)  # fmt: skip


class CustomServer:
    """`software: ./mine.yaml`."""

    name = "custom"
    versions: tuple[str, ...] = ("",)
    memory = 64 << 20
    instrumented = False
    socket = ""

    def suite(self, version: str) -> str:
        """No release: the user brings the software."""
        return ""

    def packages(self, version: str) -> tuple[str, ...]:
        """No packages."""
        return ()

    def hosts(self, domain: str) -> tuple[str, ...]:
        """The domain and the usual names below it."""
        return with_subdomains(domain, *USUAL_SUBDOMAINS)

    def render(self, blueprint: Blueprint) -> Rendered:
        """The user's command with the environment above. Raises UserError if there is nothing to start."""
        custom = blueprint.spec.custom
        if custom is None:
            raise UserError(f"server {blueprint.spec.name}: say which command or image it is")
        if blueprint.runtime == "containers":
            if not custom.image:
                raise UserError(f"{custom.name}: add an `image:` to run it in containers, or use --runtime processes")
            command = custom.command
        else:
            if not custom.command:
                raise UserError(f"{custom.name}: add a `command:` to run it as a process, or use --runtime containers")
            command = tuple(_resolved(custom, word) for word in custom.command)
        return Rendered((), command, _environment(blueprint))

    def build(self, prefix: str, libraries: str, source: str, target: str) -> tuple[str, ...] | None:
        """No modules."""
        return None

    def accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[Operation, ...]:
        """One file users/<user>.json each, in the form of users.json: software that watches the folder follows."""
        return (WriteFiles(tuple(_users_file(f"users/{user}.json", [user], keys) for user in users)),)

    def initial_accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[File, ...]:
        """users.json."""
        return (_users_file(USERS, users, keys),)

    def flush(self) -> tuple[Operation, ...]:
        """Nothing is known of how it keeps things."""
        return ()

    def refusal(self, version: str, kind: Unlinked) -> Refusal:
        """Any error will do."""
        return UNKNOWN_REFUSAL

    def startup_hint(self, log: Sequence[str]) -> str | None:
        """What every program says when it cannot start."""
        return hint(log)

    @property
    def places(self) -> dict[str, tuple[str, ...]]:
        """Its output, and whatever it keeps in its folder."""
        return {"log": ("*.log", "log/*"), "store": ("data/**/*",)}


def _users_file(path: str, users: Sequence[str], keys: ScramKeys) -> File:
    return File(path, json.dumps({"password": keys.password, "users": list(users)}, indent=1) + "\n")


def _environment(blueprint: Blueprint) -> tuple[tuple[str, str], ...]:
    folder, domain = blueprint.folder, blueprint.spec.domain
    address, port = blueprint.dns
    return (
        ("XMPPLAB_DOMAIN", domain),
        ("XMPPLAB_ADDRESS", blueprint.address),
        ("XMPPLAB_CERTIFICATE", f"{folder}/certs/{domain}.crt"),
        ("XMPPLAB_KEY", f"{folder}/certs/{domain}.key"),
        ("XMPPLAB_AUTHORITY", f"{folder}/certs/authority.pem"),
        ("XMPPLAB_USERS", f"{folder}/{USERS}"),
        ("XMPPLAB_DNS", f"{address}:{port}"),
    )


def _resolved(custom: Custom, word: str) -> str:
    """A word of the command; one that names a path relative to the description becomes absolute."""
    return str(PurePosixPath(custom.folder) / word) if word.startswith(("./", "../")) else word


CUSTOM = CustomServer()
