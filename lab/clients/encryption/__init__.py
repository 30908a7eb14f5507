"""How a device encrypts: a module per scheme, with its class as STRATEGY, beside its declaration in lab/declarations.

A scheme is a value of the device, never a global choice.

No strategy ever falls back to plaintext: what cannot be encrypted is an error of the request to send it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from lab.clients.xmpp.stanzas import Incoming
from lab.declarations.encryptions import ENCRYPTIONS, get_encryption
from lab.errors import MissingError, PeerError, UserError

if TYPE_CHECKING:
    from lab.clients.xmpp.client_stream import ClientStream  # slixmpp, which an agent without devices need not load

#: Encryptions that devices can use.
STRATEGIES = tuple(name for name, declared in ENCRYPTIONS.items() if declared.devices)

#: What a device does with a key it has never seen.
TRUST_POLICIES = ("blind", "undecided")


@dataclass(frozen=True)
class EncryptionSettings:
    """What a strategy is made from."""

    trust: str  # one of TRUST_POLICIES
    folder: Path | None  # keys and trust are stored here; None: in `memory`, as long as the device exists
    memory: dict[str, Any]
    trouble: Callable[[str], None]  # called with an error that no request waits for
    libraries: str | None = None  # the folder of shared libraries that the machine does not have
    keys_optional: bool = False  # whether the device goes online where its server refuses what it publishes


@dataclass(frozen=True)
class DecryptedMessage:
    """A decrypted message."""

    body: str | None
    sender_key: str  # hex fingerprint of the sending device's identity key
    trust: str  # "blind", "trusted", "distrusted", "undecided"
    message: str = ""  # the id of the stanza that began it, where it took several and this is the last
    encryption: str = ""  # the encryption that was used, where the stanza shows several
    content: tuple[ET.Element, ...] = ()  # what was encrypted beside the body (XEP-0420)


@dataclass(frozen=True)
class LeftOutDevice:
    """A device on somebody's device list that a message was not encrypted for."""

    owner: str  # bare JID
    device: int  # its id
    reason: str
    published: bool | None  # whether its keys can be fetched; None: the server did not say
    excluded: bool = False  # the sender has distrusted its key


@dataclass(frozen=True)
class DeviceKey:
    """What is known of one device of a person."""

    id: int
    fingerprint: str
    trust: str


class NotForUs(PeerError):
    """The sender did not encrypt for this device."""


class NotReadable(PeerError):
    """A message cannot be decrypted; `message` is the id of its first stanza."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason)
        self.message = message


@dataclass(frozen=True)
class SealedMessage:
    """What goes over the stream in a message's place: its stanzas, in their order, and whom they are not for."""

    stanzas: list[ET.Element]  # the first one has the message's id
    left_out: list[LeftOutDevice]
    keys: list[tuple[str, int]] = field(default_factory=list)  # owner (bare JID) and id of each device that can read it


class Encryption:
    """An encryption scheme, for one live stream of one device: what a scheme need not do, it leaves as it is here.

    The caller sets the limits in time.
    """

    name: str
    envelopes = False  # whether it encrypts messages without a text as well (XEP-0420)

    def __init__(self, settings: EncryptionSettings) -> None:
        self.settings = settings

    def prepare(self, stream: ClientStream) -> None:
        """Register what the stream must have before it is opened (features, filters)."""

    async def start(self) -> dict[str, Any]:
        """Publish what others need; the fields it adds to the answer of `connect`. Before the first presence."""
        return {}

    async def ready(self) -> None:
        """Called once the offline messages were handed over and decrypted; returns when others can encrypt to us."""

    @asynccontextmanager
    async def catching_up(self) -> AsyncIterator[None]:
        """While messages of an archive are decrypted: what they are to be answered with is sent at its end."""
        yield

    async def seal(self, message: ET.Element, people: frozenset[str]) -> SealedMessage:
        """The whole of a message in the clear, encrypted for all devices of these people (bare JIDs).

        Nothing that the scheme encrypts may be left readable. Raises PeerError if a person cannot be encrypted to.
        """
        raise NotImplementedError

    def hides_content(self, message: ET.Element) -> bool:
        """Whether all that a received message has for this device is encrypted, and not the body alone (XEP-0420)."""
        return False

    def offer(self, message: ET.Element) -> None:
        """Called with a message that is sent in the clear on purpose: the scheme may offer itself in it."""

    async def decrypt(self, incoming: Incoming, sender: str) -> DecryptedMessage | None:
        """Decrypt. `sender` is the sender's real bare JID; None: there is no text in it for us. Raises PeerError."""
        return None

    def take_bounce(self, message: str, condition: str) -> bool:
        """Called with the id of a message that was returned; True if it was one of the scheme's own protocol."""
        return False

    async def fetch_devices(self, of: str) -> list[int]:
        """Device ids that this person publishes, asked afresh. Raises UserError if the scheme has none."""
        raise UserError(f"{self.name} publishes no devices: connect this device with encryption=omemo")

    async def remove_device(self, device: int) -> None:
        """Take another device off the account's published lists, with its keys. Raises UserError if there are none."""
        raise UserError(f"{self.name} publishes no devices: connect this device with encryption=omemo")

    async def rotate_signed_prekey(self) -> None:
        """Make and publish a new signed prekey; the one before is kept. Raises UserError if the scheme has none."""
        raise UserError(f"{self.name} has no signed prekey: connect this device with encryption=omemo")

    async def replace_sessions(self, of: str) -> None:
        """Begin a new session with each device of this person (bare JID) that there is one with, and tell it.

        Raises UserError if the scheme has no such sessions or there is none, PeerError where one cannot be begun.
        """
        raise UserError(f"{self.name} has no sessions that can be replaced: connect this device with encryption=omemo")

    async def fetch_keys(self, of: str) -> list[DeviceKey]:
        """Known devices of this person. Raises UserError if the scheme has no keys."""
        raise UserError(f"{self.name} has no keys: connect this device with encryption=omemo")

    async def set_trust(self, of: str, fingerprint: str, level: str) -> None:
        """Decide on a key. Raises UserError for an unknown one."""
        raise UserError(f"{self.name} has no keys: connect this device with encryption=omemo")

    async def verify(self, person: str, secret: str, question: str) -> str:
        """Check whether this person knows a secret: "match", "mismatch", "aborted". Raises UserError if it cannot."""
        raise UserError(f"{self.name} has no check of a shared secret: connect this device with encryption=otr")

    async def answer(self, person: str, secret: str | None) -> None:
        """Wait for this person's check and answer it; None breaks it off. Raises UserError if it cannot."""
        raise UserError(f"{self.name} has no check of a shared secret: connect this device with encryption=otr")

    async def end_session(self, person: str) -> dict[str, str]:
        """End the session with this person: ids of the messages that tell it, and to whom they are sent.

        Raises UserError if the scheme has no session that ends.
        """
        raise UserError(f"{self.name} has no sessions that end: connect this device with encryption=otr")

    async def close(self) -> None:
        """End what runs in the background."""


def check_choice(encryption: str, trust: str) -> None:
    """Raises UserError if devices cannot use this encryption, or for an unknown trust."""
    get_encryption(encryption, STRATEGIES)
    if trust not in TRUST_POLICIES:
        raise UserError(f"trust {trust!r} is unknown: use one of {', '.join(TRUST_POLICIES)}")


def create_strategy(name: str, settings: EncryptionSettings) -> Encryption:
    """A new strategy of that name. Raises UserError for an unknown one, MissingError where its library is missing."""
    check_choice(name, settings.trust)
    # Imported only when a device asks for it: OMEMO takes half a second.
    declared = ENCRYPTIONS[name]
    try:
        module = import_module(f"{__name__}.{declared.module}")
    except ModuleNotFoundError as error:
        if not declared.extra:
            raise
        raise MissingError(
            f"{name} needs the Python package {declared.extra}, which is not installed beside xmpplab: "
            f"`make {declared.extra}` in its sources, or `pip install {declared.extra}` (this compiles it, with gcc)"
        ) from error
    made: Encryption = module.STRATEGY(settings)
    return made
