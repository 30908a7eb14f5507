"""Accounts of a lab that is up: those it began with, and those that people ask for.

A name is reserved by making the person's folder, so that a scenario and a person never share an account. The password
of an account that a person asked for stands in a file of its own (0600), which is there once the account is.

Who only looks accounts up imports nothing of servers: see lab/plan/client_view.py.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lab.errors import UserError
from lab.plan.client_view import Account, ClientServer, ClientView
from lab.plan.layout import Layout
from lab.system.files import make_private_folder, write_private

if TYPE_CHECKING:
    from lab.lifecycle.lab import Lab


def read_view(layout: Layout) -> ClientView:
    """What clients see of a lab. Raises UserError for a lab that another version made, or that is not complete."""
    try:
        return ClientView.load(layout.clients.read_text())
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        raise UserError(
            f"the lab {layout.name} has no {layout.clients.name} that this version can read: end it with "
            f"`xmpplab down {layout.name}`, and start it again"
        ) from None


def read_password(layout: Layout) -> str:
    """The password of every account that has none of its own."""
    return layout.secret.read_text().split()[0]


def list_first_users(server: ClientServer) -> list[str]:
    """The names of the accounts that a server began with."""
    return [f"user{number}" for number in range(1, server.users + 1)]


def list_accounts(layout: Layout, view: ClientView) -> list[Account]:
    """The accounts that a lab began with and those that a person asked for, by server."""
    usual = read_password(layout)
    found = []
    for server in view.servers:
        found += [Account(user, server, usual) for user in list_first_users(server)]
        folder = layout.account(server.name, "x").parent
        made = sorted(folder.iterdir()) if folder.is_dir() else []
        found += [Account(unquote(one.name), server, one.read_text()) for one in made if one.name[0] != "."]
    return found


def find_account(layout: Layout, view: ClientView, word: str) -> Account:
    """The account that such a word means: alice@a, or alice@a.test. Raises UserError if there is none."""
    user, server = view.split_person(word)
    user = user.lower()
    if (own := layout.account(server.name, user)).is_file():
        return Account(user, server, own.read_text())
    if not exists(layout, server, user):
        raise UserError(
            f"there is no account {user}@{server.domain} in the lab {view.lab}: make it with "
            f"`xmpplab person {user}@{server.name} --name {view.lab}`"
        )
    return Account(user, server, read_password(layout))


def exists(layout: Layout, server: ClientServer, user: str) -> bool:
    """Whether there is an account of that name: one of the server's first, or one whose name was reserved."""
    return user in list_first_users(server) or layout.person(server.name, user).is_dir()


def reserve(layout: Layout, server: str, user: str) -> bool:
    """Reserve a name on a server; False if it was reserved before."""
    for folder in (layout.root / "people", layout.root / "people" / server):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            set_owner(folder)
    folder = layout.person(server, user)
    try:
        folder.mkdir(mode=0o700)  # atomic: who makes the folder has the name
    except FileExistsError:
        return False
    set_owner(folder)
    return True


def release(layout: Layout, server: str, user: str) -> None:
    """Give a name free whose account is gone, with the keys and trust of its devices."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(layout.person(server, user))
    layout.account(server, user).unlink(missing_ok=True)


def set_owner(folder: Path) -> None:
    """As root, let an agent in a container write keys there: it runs as the user of the servers."""
    from lab.runtime.server_files import find_server_owner

    owner = find_server_owner()
    if owner is not None:
        os.chown(folder, owner, owner)


async def create_account(lab: Lab, view: ClientView, word: str, password: str | None = None) -> Account:
    """Make the account that such a word means; one can log in once this returns. Without a password it has the lab's.

    The local part must be prepared (lab.federation.jids). Raises UserError if it exists, the server takes none, or for
    a password that SCRAM would change (RFC 5802 section 2.2); PeerError if the server refuses.
    """
    from lab.runtime.server_files import compute_scram_keys

    user, server = view.split_person(word)
    if not server.accounts:
        raise UserError(f"the lab makes no accounts on {server.name}: it has those that its own configuration has")
    if password is not None:
        _check_password(password)
    if user in list_first_users(server) or not reserve(lab.layout, server.name, user):
        raise UserError(f"there is an account {user}@{server.domain} already: choose another name")
    try:
        if password is None:
            await lab.create_accounts(server.name, [user])
        else:
            await lab.create_accounts(
                server.name, [user], compute_scram_keys(password, secrets.token_bytes(len(lab.keys.salt)))
            )
    except BaseException:
        lab.layout.person(server.name, user).rmdir()
        raise
    path = lab.layout.account(server.name, user)
    make_private_folder(path.parent)
    write_private(path, password if password is not None else lab.password)
    return Account(user, server, password if password is not None else lab.password)


def _check_password(password: str) -> None:
    """What OpaqueString (RFC 8265 section 4.2) keeps as it is, in every version of it and of SASLprep."""
    kept = unicodedata.normalize("NFKC", password)
    if not password or kept != password or any(unicodedata.category(one)[0] in "CZ" for one in password):
        raise UserError("--password: use at least one character, and no spaces, control or compatibility characters")
