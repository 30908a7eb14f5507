"""How a device encrypts: one file per way, found by name. A way is a value of the device, never a global choice.

No strategy ever falls back to plaintext: what cannot be encrypted is an error of the request to send it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from xml.etree import ElementTree as ET

from lab.errors import PeerError, UserError

if TYPE_CHECKING:
    from lab.clients.stanzas import Incoming
    from lab.clients.stream import Stream

#: Name -> module with a class `Strategy`; imported only when a device asks for it (OMEMO takes half a second).
STRATEGIES = {
    "omemo": "lab.clients.encryption.omemo",
    "plain": "lab.clients.encryption.plain",
}

#: What a device does with a key it has never seen.
TRUST_POLICIES = ("blind", "undecided")


@dataclass(frozen=True)
class Settings:
    """What a strategy is made from."""

    trust: str  # one of TRUST_POLICIES
    folder: Path | None  # keys and trust are kept here; None: in `memory`, for as long as the device is
    memory: dict[str, Any]
    trouble: Callable[[str], None]


@dataclass(frozen=True)
class Opened:
    """A decrypted message."""

    body: str | None
    sender_key: str  # hex fingerprint of the sending device's identity key
    trust: str  # "blind", "trusted", "distrusted", "undecided"


@dataclass(frozen=True)
class Key:
    """What is known of one device of somebody."""

    id: int
    fingerprint: str
    trust: str


class NotForUs(PeerError):
    """The sender did not encrypt for this device."""


class Encryption(Protocol):
    """A way to encrypt, for one live stream of one device. Whoever calls sets the limits in time."""

    name: str

    def prepare(self, stream: Stream) -> None:
        """Register what the stream must have before it is opened (features, filters)."""
        ...

    async def start(self) -> dict[str, Any]:
        """Publish what others need; the fields it adds to the answer of `connect`. Before the first presence."""
        ...

    async def settled(self) -> None:
        """Called once the offline messages were handed over and opened; returns when others can encrypt to us."""
        ...

    async def seal(self, body: str, message: ET.Element, people: frozenset[str]) -> list[str]:
        """Put the body, encrypted for all devices of these people (bare JIDs), into the message.

        The devices left out are returned as sentences. Raises PeerError if a person cannot be encrypted to.
        """
        ...

    async def open(self, incoming: Incoming, sender: str) -> Opened | None:
        """Decrypt. `sender` is the sender's real bare JID; None: it was not for this way. Raises PeerError."""
        ...

    async def devices(self, of: str) -> list[int]:
        """Device ids that this person publishes, asked afresh."""
        ...

    async def keys(self, of: str) -> list[Key]:
        """Known devices of this person."""
        ...

    async def set_trust(self, of: str, fingerprint: str, level: str) -> None:
        """Decide on a key. Raises UserError for an unknown one."""
        ...

    async def close(self) -> None:
        """End what runs in the background."""
        ...


def strategy(name: str, settings: Settings) -> Encryption:
    """A new strategy of that name. Raises UserError for an unknown one."""
    if name not in STRATEGIES:
        raise UserError(f"encryption {name!r} is unknown: use one of {', '.join(sorted(STRATEGIES))}")
    if settings.trust not in TRUST_POLICIES:
        raise UserError(f"trust {settings.trust!r} is unknown: use one of {', '.join(TRUST_POLICIES)}")
    made: Encryption = import_module(STRATEGIES[name]).Strategy(settings)
    return made
