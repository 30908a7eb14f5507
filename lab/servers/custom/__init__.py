"""A server that the lab does not know, described by the user with a command, an image or both.

It gets its part of the lab in its environment and must listen on ports 5222 and 5269 of its address:

    XMPPLAB_DOMAIN       its domain
    XMPPLAB_ADDRESS      the IP address to listen on
    XMPPLAB_CERTIFICATE, XMPPLAB_KEY, XMPPLAB_AUTHORITY   PEM files
    XMPPLAB_USERS        users.json: {"password": "...", "users": ["user1", ...]}
    XMPPLAB_DNS          address:port of the DNS that it must ask
    XMPPLAB_PACKAGES     root of its unpacked packages, where it has any

users.json holds the lab's password, so it is no part of the rendering but of `initial_accounts`: the plan stays
free of secrets. Limits: the lab's feed, probe and policy are modules of servers it knows; here they are missing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePosixPath

from lab.declarations.domains import a_labels
from lab.errors import UserError
from lab.servers.software import Blueprint, File, Operation, Rendered, ScramKeys, WriteFiles
from lab.servers.unknown import UnknownSoftware
from lab.topology.spec import Custom

USERS = "users.json"


class CustomServer(UnknownSoftware):
    """`software: ./mine.yaml`."""

    name = "custom"

    def render(self, blueprint: Blueprint) -> Rendered:
        """The user's command with the environment above. Raises UserError if there is nothing to start."""
        custom = blueprint.spec.custom
        if custom is None:
            raise UserError(f"server {blueprint.spec.name}: add a `command:` or an `image:`")
        if blueprint.runtime == "containers":
            if not custom.image:
                raise UserError(f"{custom.name}: add an `image:` to run it in containers, or use --runtime processes")
            command = custom.command
        else:
            if not custom.command:
                raise UserError(f"{custom.name}: add a `command:` to run it as a process, or use --runtime containers")
            command = tuple(_resolved(custom, word) for word in custom.command)
        return Rendered((), command, _environment(blueprint))

    def accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[Operation, ...]:
        """One file users/<user>.json each, in the form of users.json: software that watches the folder follows."""
        return (WriteFiles(tuple(_users_file(f"users/{user}.json", [user], keys) for user in users)),)

    def initial_accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[File, ...]:
        """users.json."""
        return (_users_file(USERS, users, keys),)

    @property
    def places(self) -> dict[str, tuple[str, ...]]:
        """Its output, and whatever it stores in its folder."""
        return {"log": ("*.log", "log/*"), "store": ("data/**/*",)}


def _users_file(path: str, users: Sequence[str], keys: ScramKeys) -> File:
    return File(path, json.dumps({"password": keys.password, "users": list(users)}, indent=1) + "\n")


def _environment(blueprint: Blueprint) -> tuple[tuple[str, str], ...]:
    folder, domain = blueprint.folder, blueprint.spec.domain
    address, port = blueprint.dns
    return (
        ("XMPPLAB_DOMAIN", domain),
        ("XMPPLAB_ADDRESS", blueprint.address),
        ("XMPPLAB_CERTIFICATE", f"{folder}/certs/{a_labels(domain)}.crt"),
        ("XMPPLAB_KEY", f"{folder}/certs/{a_labels(domain)}.key"),
        ("XMPPLAB_AUTHORITY", f"{folder}/certs/authority.pem"),
        ("XMPPLAB_USERS", f"{folder}/{USERS}"),
        ("XMPPLAB_DNS", f"{address}:{port}"),
        *((("XMPPLAB_PACKAGES", blueprint.prefix),) if blueprint.prefix else ()),
    )


def _resolved(custom: Custom, word: str) -> str:
    """A word of the command; one that names a path relative to the description becomes absolute."""
    return str(PurePosixPath(custom.folder) / word) if word.startswith(("./", "../")) else word


SOFTWARE = CustomServer()
