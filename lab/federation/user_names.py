"""Names of people: reserved in the lab's folder, so that two runs in one lab never share an account."""

from __future__ import annotations

from collections.abc import Iterator

from lab.declarations.manifest import Accounts
from lab.errors import UserError
from lab.lifecycle.accounts import reserve, set_owner
from lab.plan.layout import Layout
from lab.topology.spec import Server

# The names that examples of cryptography use.
NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "kim", "liam", "mona")


def reserve_name(layout: Layout, server: Server, wanted: str | None, known: frozenset[str] = frozenset()) -> str:
    """A user name on `server` that was not used in this lab before: `wanted`, or with a number added.

    `wanted` is a prepared localpart (lab.federation.jids). Without it the name is one of NAMES that is not `known`:
    people of one scenario have different names.

    On a server the lab did not write the configuration of, accounts cannot be made: the next of its user1 to userN is
    taken. Raises UserError if it has no more.
    """
    for name in _candidates(server, wanted, known):
        if reserve(layout, server.name, name):
            return name
    raise UserError(
        f"server {server.name} has {server.users} accounts, all taken: give it more with `users:` in the topology"
    )


def keep_name(layout: Layout, server: Server, name: str) -> None:
    """Reserve this very name, which somebody has registered, if it is not reserved yet."""
    folder = layout.person(server.name, name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for one in (folder.parent.parent, folder.parent, folder):
        set_owner(one)


def _candidates(server: Server, wanted: str | None, known: frozenset[str]) -> Iterator[str]:
    if server.manifest.accounts is Accounts.LISTED:
        yield from (f"user{number}" for number in range(1, server.users + 1))
        return
    names = (wanted,) if wanted else NAMES
    for number in range(1, 1_000_000):
        numbered = (name if number == 1 else f"{name}{number}" for name in names)
        yield from (name for name in numbered if wanted or name not in known)
