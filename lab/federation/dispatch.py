"""What agents tell, turned into events of the history and into outcomes of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.federation.outcomes import Bounce, Delivery
from lab.history.events import Bounced, Connected, Decrypted, Delivered, Disconnected, NotDecrypted, Note
from lab.servers.conventions import FEED

if TYPE_CHECKING:
    from lab.federation.network import Federation
    from lab.federation.people import Device


class Dispatch:
    """One method an event of lab.clients.protocol; an event nobody knows is noted, not lost."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._history = federation.history
        self.devices: dict[str, Device] = {}
        self.offsets: dict[str, int] = {}

    def begin(self) -> None:
        """Remember how long each server's feed is: what follows belongs to this run."""
        for server in self._federation.servers:
            feed = self._federation.lab.layout.server(server.name) / FEED
            self.offsets[server.name] = feed.stat().st_size if feed.exists() else 0

    def event(self, data: dict[str, Any]) -> None:
        """Take an event of the agent in."""
        kind = str(data.get("event"))
        device = self.devices.get(str(data.get("device")))
        handler = getattr(self, f"_on_{kind.replace('-', '_')}", None)
        if handler is None or device is None:
            self._history.record(Note(at=self._history.now(), by="agent", text=f"unexpected event {data}"))
            return
        handler(device, data)

    def _on_connected(self, device: Device, data: dict[str, Any]) -> None:
        device.jid, device.stream, device.connected = data["jid"], data["stream"], True
        encryption = device.person.encryption
        self._history.record(Connected(at=data["at"], device=device.jid, stream=device.stream, encryption=encryption))

    def _on_disconnected(self, device: Device, data: dict[str, Any]) -> None:
        device.connected = False
        self._history.record(
            Disconnected(at=data["at"], device=device.jid, stream=data["stream"], reason=data.get("reason") or "")
        )

    def _on_delivered(self, device: Device, data: dict[str, Any]) -> None:
        message = self._federation.messages.get(data["message"])
        self._history.record(
            Delivered(
                at=data["at"],
                message=data["message"] or "",
                sender=data["from"],
                device=device.jid,
                stream=data["stream"],
                via=data["via"],
                marker=message.marker if message else False,
            )
        )
        if message and not data.get("encrypted"):
            message.add_delivery(Delivery(device.jid, data["via"], data["at"], data.get("body"), "plain"))

    def _on_decrypted(self, device: Device, data: dict[str, Any]) -> None:
        message = self._federation.messages.get(data["message"])
        self._history.record(
            Decrypted(
                at=data["at"],
                message=data["message"],
                device=device.jid,
                encryption=data["encryption"],
                matches=data["body"] == message.text if message else None,
                sender_key=data.get("sender_key") or "",
                trust=data.get("trust") or "",
            )
        )
        if message:
            via = data.get("via") or "live"
            message.add_delivery(Delivery(device.jid, via, data["at"], data["body"], data["encryption"]))

    def _on_not_decrypted(self, device: Device, data: dict[str, Any]) -> None:
        self._history.record(
            NotDecrypted(
                at=data["at"],
                message=data["message"],
                device=device.jid,
                encryption=data["encryption"],
                reason=data["reason"],
            )
        )
        if message := self._federation.messages.get(data["message"]):
            via = data.get("via") or "live"
            message.add_delivery(Delivery(device.jid, via, data["at"], None, data["encryption"]))

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
        if message := self._federation.messages.get(data["message"]):
            message.add_bounce(Bounce(data["condition"], data["by"], data["at"], data.get("text") or ""))

    def _on_presence(self, device: Device, data: dict[str, Any]) -> None:
        """Presence is not judged yet; the servers' feeds have it."""

    def _on_trouble(self, device: Device, data: dict[str, Any]) -> None:
        self._history.record(Note(at=data["at"], by=device.jid, text=str(data["message"])))
