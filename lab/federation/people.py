"""People: each has an account on a server, and devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from lab.errors import PeerError, UserError
from lab.federation import jids
from lab.federation.devices import Device
from lab.federation.messages import Message
from lab.history.events import Blocked, Unblocked
from lab.metrics.block_lists import matches

if TYPE_CHECKING:
    from lab.federation.participants import Participants
    from lab.federation.rooms import Room
    from lab.federation.servers import ServerHandle

BLOCKING = "urn:xmpp:blocking"


class Person:
    """A person with an account on a server and one or several devices (RFC 6121). Made by `ServerHandle.person`."""

    def __init__(
        self,
        participants: Participants,
        server: ServerHandle,
        name: str,
        encryption: str = "plain",
        trust: str = "blind",
    ) -> None:
        self.participants = participants
        self.context = participants.context
        self.server = server
        self.name = name
        self.encryption = encryption  # of messages, unless `send` is given another: "plain", "omemo"
        self.trust = trust  # in keys not seen before: "blind", "undecided"
        self.jid: str = f"{name}@{server.domain}"  # the bare JID, as the server bound it
        self.devices: list[Device] = []
        self.blocked: set[str] = set()  # bare or full JIDs, and domains (XEP-0191)

    @property
    def device(self) -> Device:
        """The first device."""
        return self.devices[0]

    async def add_device(self, resource: str | None = None) -> Device:
        """A further device, connected; its resource is device1, device2 and so on unless given.

        Returns once it can be written to, see `Device.connect`. Raises what that raises, and UserError if
        the person has such a device.
        """
        names = [one.resource for one in self.devices]
        device = Device(self, jids.resourcepart(resource) if resource else f"device{len(names) + 1}")
        if device.resource in names:
            raise UserError(f"{self.jid} has a device {device.resource!r} already: choose another name")
        self.participants.devices[device.key] = device
        await device.connect()
        self.devices.append(device)
        return device

    async def connect(self) -> None:
        """Connect every device that is not connected, one after the other; see `Device.connect`."""
        for device in self.devices:
            if not device.connected:
                await device.connect()

    async def disconnect(self) -> None:
        """Disconnect every device that is connected, one after the other; see `Device.disconnect`."""
        for device in self.devices:
            if device.connected:
                await device.disconnect()

    async def send(self, to: Person | Device | Room, text: str, *, encryption: str | None = None) -> Message:
        """Send from the first connected device; see `Device.send`. Raises UserError if none is connected."""
        device = next((one for one in self.devices if one.connected), None)
        if device is None:
            raise UserError(f"{self.jid} is not connected: call connect() before send()")
        return await device.send(to, text, encryption=encryption)

    async def block(self, other: Person | str) -> None:
        """Block a person, a JID or a domain (XEP-0191 section 3.3): from then on nobody receives what they send.

        Returns once the server has accepted it. Raises UserError if no device is connected, PeerError if it refuses.
        """
        jid = str(other)
        await self._change_block_list("block", jid)
        self.blocked.add(jid)
        self.context.history.record(Blocked(at=self.context.history.now(), person=self.jid, jid=jid))

    async def unblock(self, other: Person | str) -> None:
        """Unblock a person, a JID or a domain (XEP-0191 section 3.4).

        Returns once the server has accepted it. Raises UserError if no device is connected, PeerError if it refuses.
        """
        jid = str(other)
        await self._change_block_list("unblock", jid)
        self.blocked.discard(jid)
        self.context.history.record(Unblocked(at=self.context.history.now(), person=self.jid, jid=jid))

    async def _change_block_list(self, what: str, jid: str) -> None:
        device = next((one for one in self.devices if one.connected), None)
        if device is None:
            raise UserError(f"{self.jid} is not connected: call connect() before {what}()")
        xml = f"<iq type='set'><{what} xmlns='{BLOCKING}'><item jid={quoteattr(jid)}/></{what}></iq>"
        answer = await self.context.call("iq", device.key, xml=xml)
        if "type='error'" in str(answer["xml"]).partition(">")[0].replace('"', "'"):
            raise PeerError(f"{self.jid}: its server does not {what} {jid}: {answer['xml']}")

    def blocks(self, jid: str) -> bool:
        """Whether this person has blocked a JID (XEP-0191 section 3.1)."""
        return any(matches(one, jid) for one in self.blocked)

    async def fingerprints(self, of: Person) -> dict[int, str]:
        """The identity keys that this person's first device holds for `of` (XEP-0384 section 8 of version 0.3).

        A dictionary of OMEMO device ids to fingerprints (64 hex digits). Raises UserError on a device without OMEMO,
        PeerError if a bundle cannot be fetched.
        """
        answer = await self.context.call("fingerprints", self.device.key, of=of.jid)
        rows: Sequence[dict[str, Any]] = answer["devices"]
        return {int(one["id"]): str(one["fingerprint"]) for one in rows}

    async def compare_fingerprint(self, other: Person) -> str:
        """Compare the keys that this person's first device holds for `other` with those that the other's devices show.

        "match" if every key held is one of theirs, "mismatch" if one is not, "none" if no key is held yet. Raises as
        `fingerprints` does.
        """
        held = set((await self.fingerprints(other)).values())
        if not held:
            return "none"
        return "match" if held <= {one.fingerprint for one in other.devices} else "mismatch"

    async def set_trust(self, other: Person, fingerprint: str, level: str) -> None:
        """Decide about a key of `other` on every device: "trusted", "distrusted" or "undecided".

        `fingerprint` is in hex. Returns once every device has stored it. Raises UserError for
        another level or a key that the device does not know.
        """
        for device in self.devices:
            await self.context.call("set_trust", device.key, of=other.jid, fingerprint=fingerprint, level=level)

    def __str__(self) -> str:
        return self.jid


def entitled(person: Person) -> list[Device]:
    """Who must get a message to the bare JID: the available devices of the highest priority, if it is not negative.

    RFC 6121 section 8.5.2.1.1; a server may hand it to others of its available devices as well.
    """
    ready = [one for one in person.devices if one.connected and one.priority is not None and one.priority >= 0]
    highest = max((one.priority or 0 for one in ready), default=0)
    return [one for one in ready if one.priority == highest]
