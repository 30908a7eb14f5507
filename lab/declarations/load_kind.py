"""What is declared of a load kind: a `LoadKind`, one for each file of lab/declarations/load_kinds.

A load kind is what `traffic:` of a load names: what a user does each time that an arrival is due.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

# Actions that go to other users. Any other action is a request to the user's own server, with a name of its own.
MESSAGE = "message"
ROOM = "room"
PRESENCE = "presence"


class Receivers(IntEnum):
    """Who receives what a user sends."""

    USER = 0  # another user
    ROOM = 1  # the members of the user's room (XEP-0045)
    CONTACTS = 2  # everybody who is subscribed to the user's presence
    NOBODY = 3  # it is a request to the user's own server


@dataclass(frozen=True)
class KindOption:
    """The option of a load kind: `degree` in `social:degree=8`, a whole number."""

    name: str
    default: int
    about: str
    example: str = ""  # its value in documentation, if that is not the default
    in_bytes: bool = False  # a size such as 100KB


@dataclass(frozen=True, kw_only=True)
class LoadKind:
    """A load kind. `lab/load/kinds/<name>.py` has its code; a hyphen is an underscore there."""

    name: str  # as in `traffic:`
    about: str  # what a user does, for documentation
    action: str  # MESSAGE, ROOM, PRESENCE, or the name of the request, which is also its route in results
    receivers: Receivers
    option: KindOption | None = None
    received: str = ""  # of a request: when it counts as received, for documentation
    once: bool = False  # a mix may contain it once only
    needs_contacts: bool = False  # users are in each other's rosters before anybody logs in
    needs_archive: bool = False  # the archive of each user contains messages before the start
    logs_out: bool = False  # users log out and in

    @property
    def form(self) -> str:
        """How it is written, with its option: "social:degree=8"."""
        value = (self.option.example or self.option.default) if self.option else 0
        return f"{self.name}:{self.option.name}={value}" if self.option and value else self.name
