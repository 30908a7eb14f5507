"""Simulated people and the devices they use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lab.errors import UserError
from lab.federation.messages import Message
from lab.federation.rooms import Room

if TYPE_CHECKING:
    from lab.federation.network import Federation
    from lab.federation.servers import ServerHandle

# Logging in takes well under a second; publishing OMEMO keys on a busy ejabberd several.
CONNECT_DEADLINE = 60.0


class Device:
    """One client of a person: a resource, with keys and trust of its own."""

    def __init__(self, person: Person, resource: str) -> None:
        self.person = person
        self.resource = resource
        self.key: str = f"{person.jid}/{resource}"  # the agent's name for it
        self.jid: str = self.key  # the full JID, as the server bound it
        self.connected = False
        self.stream = ""
        self.omemo_device: int | None = None
        self.fingerprint: str | None = None

    async def connect(self) -> None:
        """Log in. Returns once presence is sent, the offline store is flushed and OMEMO keys can be fetched."""
        federation, person = self.person.federation, self.person
        answer = await federation.call(
            "connect",
            self.key,
            jid=person.jid,
            password=federation.lab.password,
            resource=self.resource,
            host=person.server.address,
            port=person.server.c2s_port,
            authority=federation.authority,
            encryption=person.encryption,
            trust=person.trust,
            folder=federation.lab.agent_folder(person.server.name, person.name, self.resource),
            timeout=CONNECT_DEADLINE,
        )
        self.jid, self.stream, self.connected = answer["jid"], answer["stream"], True
        self.omemo_device, self.fingerprint = answer.get("omemo_device"), answer.get("fingerprint")

    async def disconnect(self) -> None:
        """Log out. Returns once the server has closed the stream."""
        await self.person.federation.call("disconnect", self.key)
        self.connected = False

    async def send(self, to: Person | Room, text: str, *, encryption: str | None = None) -> Message:
        """Send a chat message (RFC 6121 section 5) or a groupchat message (XEP-0045 section 7.4).

        Returns once it is handed to the stream. Raises PeerError where it cannot be encrypted: nothing is then sent.
        """
        return await self.person.federation.send(self, to, text, encryption=encryption)

    async def send_raw(self, xml: str) -> None:
        """Send any stanza as it is."""
        await self.person.federation.call("send_raw", self.key, xml=xml)

    async def published_devices(self, of: Person) -> list[int]:
        """The OMEMO device ids that `of` publishes, asked afresh (XEP-0384 section 5.3.1 of version 0.3)."""
        answer = await self.person.federation.call("devices", self.key, of=of.jid, timeout=CONNECT_DEADLINE)
        return [int(one) for one in answer["ids"]]

    def __str__(self) -> str:
        return self.jid


class Person:
    """Somebody with an account on a server and one or several devices."""

    def __init__(self, federation: Federation, server: ServerHandle, name: str, encryption: str, trust: str) -> None:
        self.federation = federation
        self.server = server
        self.name = name
        self.encryption = encryption
        self.trust = trust
        self.jid: str = f"{name}@{server.domain}"
        self.devices: list[Device] = []

    @property
    def device(self) -> Device:
        """The first device."""
        return self.devices[0]

    async def add_device(self, resource: str | None = None) -> Device:
        """A further device, connected. Returns once it can be written to, as `Device.connect` says."""
        names = [one.resource for one in self.devices]
        device = Device(self, resource or f"device{len(names) + 1}")
        if device.resource in names:
            raise UserError(f"{self.jid} has a device {device.resource!r} already: choose another name")
        self.federation.register(device)
        await device.connect()
        self.devices.append(device)
        return device

    async def connect(self) -> None:
        """Connect every device that is not."""
        for device in self.devices:
            if not device.connected:
                await device.connect()

    async def disconnect(self) -> None:
        """Disconnect every device that is connected."""
        for device in self.devices:
            if device.connected:
                await device.disconnect()

    async def send(self, to: Person | Room, text: str, *, encryption: str | None = None) -> Message:
        """Send from the first connected device; see `Device.send`."""
        device = next((one for one in self.devices if one.connected), None)
        if device is None:
            raise UserError(f"{self.jid} is not connected: call connect() before send()")
        return await device.send(to, text, encryption=encryption)

    async def fingerprints(self, of: Person) -> dict[int, str]:
        """The identity keys that this person's first device holds for `of`: device id to hex fingerprint."""
        answer = await self.federation.call("fingerprints", self.device.key, of=of.jid)
        return {int(one["id"]): str(one["fingerprint"]) for one in _rows(answer, "devices")}

    async def compare_fingerprint(self, other: Person) -> str:
        """Compare what this person's device holds for `other` with what the other's devices show on their screens.

        "match" if every key held is one of theirs, "mismatch" if one is not, "none" if no key is held yet.
        """
        held = set((await self.fingerprints(other)).values())
        if not held:
            return "none"
        return "match" if held <= {one.fingerprint for one in other.devices} else "mismatch"

    async def set_trust(self, other: Person, fingerprint: str, level: str) -> None:
        """Decide about a key of `other` on every device: "trusted", "distrusted" or "undecided"."""
        for device in self.devices:
            await self.federation.call("set_trust", device.key, of=other.jid, fingerprint=fingerprint, level=level)

    def __str__(self) -> str:
        return self.jid


def _rows(answer: dict[str, Any], key: str) -> Sequence[dict[str, Any]]:
    rows: Sequence[dict[str, Any]] = answer[key]
    return rows
