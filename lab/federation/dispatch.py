"""The events of devices: recorded in the history, and added to the outcomes of messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lab.clients.rooms import RENAMED, SELF
from lab.declarations.encryptions import find_by_namespace
from lab.federation.devices import Device
from lab.federation.outcomes import Bounce, Delivery, Receipt
from lab.federation.participants import Participants
from lab.federation.stanzas import CLIENT, build_device_event, parse
from lab.history.events import (
    Bounced,
    Connected,
    Decrypted,
    Delivered,
    Disconnected,
    NotDecrypted,
    Note,
    PresenceSent,
    ReceiptReceived,
)


class Dispatch:
    """One method for each event of lab.clients.protocol; an unknown event is recorded as a note."""

    def __init__(self, participants: Participants) -> None:
        self._devices = participants.devices
        self._rooms = participants.rooms
        self._find = participants.find
        self._add_delivery = participants.add_delivery
        self._block_requests = participants.block_requests
        self._history = participants.context.history

    def handle(self, data: dict[str, Any]) -> None:
        """Record an event of the agent."""
        kind = str(data.get("event"))
        device = self._devices.get(str(data.get("device")))
        handler = getattr(self, f"_on_{kind.replace('-', '_')}", None)
        if handler is None or device is None:
            self._history.record(Note(at=self._history.now(), by="agent", text=f"unexpected event {data}"))
            return
        handler(device, data)

    def _on_connected(self, device: Device, data: dict[str, Any]) -> None:
        device.jid, device.stream, device.connected, device.priority = data["jid"], data["stream"], True, 0
        encryption = device.encryption
        resumed = bool(data.get("resumed"))
        self._history.record(
            Connected(
                at=data["at"], device=device.jid, stream=device.stream, encryption=encryption, resumed=resumed,
                omemo_device=device.omemo_device if resumed else data.get("omemo_device"),
            )
        )  # fmt: skip
        if resumed:  # its presence is what it was
            device.priority, available = device.dropped_priority, device.dropped_priority is not None
            self._history.record(
                PresenceSent(at=data["at"], device=device.jid, stream=device.stream, available=available,
                             priority=device.priority or 0)
            )  # fmt: skip

    def _on_disconnected(self, device: Device, data: dict[str, Any]) -> None:
        device.connected, resumable = False, bool(data.get("resumable"))
        device.dropped_priority = device.priority
        for room in () if resumable else self._rooms.values():  # a stream that is kept is in its rooms
            room.remove(device, at=data["at"])
        self._history.record(
            Disconnected(
                at=data["at"],
                device=device.jid,
                stream=data["stream"],
                reason=data.get("reason") or "",
                unacknowledged=tuple(data.get("unacknowledged") or ()),
                resumable=resumable,
            )
        )

    def _on_presence_sent(self, device: Device, data: dict[str, Any]) -> None:
        device.priority = data["priority"] if data["available"] else None
        self._history.record(
            PresenceSent(
                at=data["at"],
                device=device.jid,
                stream=data["stream"],
                available=data["available"],
                priority=data["priority"],
                show=data["show"],
            )
        )

    def _on_delivered(self, device: Device, data: dict[str, Any]) -> None:
        message = self._find(data["message"], data["from"], device.jid)
        readable = message is not None and not data.get("encrypted")
        self._history.record(
            Delivered(
                at=data["at"],
                message=data["message"] or "",
                sender=data["from"],
                device=device.jid,
                stream=data["stream"],
                via=data["via"],
                marker=message.marker if message else False,
                matches=data.get("body") == message.text if message and readable else None,
            )
        )
        if readable or (message is None and not data.get("encrypted")):
            delivery = Delivery(device.jid, data["via"], data["at"], data.get("body"), "plain")
            self._add_delivery(message, data["message"], data["from"], delivery)
        elif message and message.in_room and message.device is device:
            # A room returns what somebody wrote; nobody encrypts for themselves, who know what they wrote.
            text, encryption = message.text, message.encryption
            message.add_delivery(Delivery(device.jid, data["via"], data["at"], text, encryption))
        elif message and device.encryption == "plain":  # it will not try to decrypt it
            found = find_by_namespace(data["encrypted"])
            name = found.name if found else str(data["encrypted"])
            message.add_delivery(Delivery(device.jid, data["via"], data["at"], None, name))

    def _on_decrypted(self, device: Device, data: dict[str, Any]) -> None:
        message = self._find(data["message"], data["from"], device.jid)
        self._history.record(
            Decrypted(
                at=data["at"],
                message=data["message"],
                device=device.jid,
                encryption=data["encryption"],
                matches=data["body"] == message.text if message else None,
                sender_key=data.get("sender_key") or "",
                trust=data.get("trust") or "",
                sender=data["from"],
            )
        )
        delivery = Delivery(device.jid, data.get("via") or "live", data["at"], data["body"], data["encryption"])
        self._add_delivery(message, data["message"], data["from"], delivery)

    def _on_not_decrypted(self, device: Device, data: dict[str, Any]) -> None:
        device.unread[data["message"]] = data["reason"]
        self._history.record(
            NotDecrypted(
                at=data["at"],
                message=data["message"],
                device=device.jid,
                encryption=data["encryption"],
                reason=data["reason"],
                sender=data["from"],
            )
        )
        message = self._find(data["message"], data["from"], device.jid)
        delivery = Delivery(device.jid, data.get("via") or "live", data["at"], None, data["encryption"])
        self._add_delivery(message, data["message"], data["from"], delivery)

    def _on_bounced(self, device: Device, data: dict[str, Any]) -> None:
        self._history.record(
            Bounced(
                at=data["at"],
                message=data["message"] or "",
                device=device.jid,
                condition=data["condition"],
                by=data["by"],
                error_type=data.get("type") or "",
                text=data.get("text") or "",
            )
        )
        if message := self._find(data["message"], device.jid, data["by"]):
            message.add_bounce(Bounce(data["condition"], data["by"], data["at"], data.get("text") or ""))

    def _on_receipt(self, device: Device, data: dict[str, Any]) -> None:
        self._history.record(
            ReceiptReceived(at=data["at"], message=data["message"], device=device.jid, by=data["from"])
        )
        if message := self._find(data["message"], device.jid, data["from"]):
            message.add_receipt(Receipt(data["from"], data["at"]))

    def _on_stanza(self, device: Device, data: dict[str, Any]) -> None:
        stanza = parse(data["xml"], data["at"], CLIENT, data["direction"])
        self._history.record(build_device_event(stanza, device.jid, data["stream"]))
        device.log.add(stanza)
        if stanza.name != "iq":
            return
        if stanza.direction == "out":
            self._block_requests.on_sent(device.jid, stanza.xml)
        else:
            self._block_requests.on_answered(device.jid, stanza.id, stanza.type)

    def _on_content(self, device: Device, data: dict[str, Any]) -> None:
        """What was in an envelope; the stanza that carried it is in the history."""
        device.log.add(replace(parse(data["xml"], data["at"], CLIENT, "in"), decrypted=True))

    def _on_presence(self, device: Device, data: dict[str, Any]) -> None:
        """Requests of contacts; a room's presence about the device itself says that it is no occupant any more."""
        device.person.note_subscription(str(data["type"]), str(data["from"]))
        codes = [str(code) for code in data.get("codes") or ()]
        room = self._rooms.get(str(data.get("room")))
        about_itself = room is not None and (SELF in codes or data["from"] == f"{room.jid}/{room.nick(device.person)}")
        if room is not None and about_itself and data["type"] == "unavailable" and RENAMED not in codes:
            room.remove(device, codes, data["at"])

    def _on_trouble(self, device: Device, data: dict[str, Any]) -> None:
        self._history.record(Note(at=data["at"], by=device.jid, text=str(data["message"])))
