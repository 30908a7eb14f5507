"""What is received on one stream becomes events, in the order of the stream.

Events of delivery are emitted at once; messages are decrypted after that, one after the other, so that the
order of `decrypted` events is the order of the stream as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree as ET

from slixmpp.xmlstream import tostring

from lab.clients.encryption import Encryption, NotForUs, NotReadable
from lab.clients.rooms import MUC_USER, JoinedRoom, read_real_jid, read_status_codes
from lab.clients.xmpp.stanzas import CLIENT, Archived, BounceStanza, Forgery, Incoming, read, read_delivery
from lab.declarations.encryptions import find_by_namespace
from lab.errors import LabError

#: Seconds that an acknowledgement may need to arrive at the server.
ON_ITS_WAY = 2.0

Emit = Callable[..., None]  # emit(event, **fields)


class Inbox:
    """Reads the messages and presences of one stream."""

    def __init__(
        self, account: str, device: str, stream: str, encryption: Encryption, emit: Emit,
        on_content: Callable[[ET.Element], None] = lambda message: None,
    ) -> None:  # fmt: skip
        """`on_content` is called with what an envelope had in it, as a message of its own."""
        self._account, self._device = account, device
        self.stream = stream  # the name of the live stream
        self._encryption, self._emit, self._on_content = encryption, emit, on_content
        self._encrypted: asyncio.Queue[tuple[Incoming, str]] = asyncio.Queue()  # each with its sender's real JID
        self._worker = asyncio.create_task(self._decrypt_all())
        self._queries: dict[str, list[Archived]] = {}
        self.rooms: dict[str, JoinedRoom] = {}
        self.seen: set[str] = set()
        self._received: list[str] = []  # ids of messages that were delivered to this stream, in order
        self._acknowledgements: list[tuple[float, int]] = []  # when, and how many of these it was for

    def message(self, xml: ET.Element) -> None:
        """Handle one <message/>."""
        found = read(xml, self._account, self._device)
        match found:
            case Incoming():
                self._deliver(found)
            case BounceStanza(id=message) if self._encryption.take_bounce(message, found.condition):
                pass
            case BounceStanza(id=message):
                self._emit("bounced", message=message, by=found.by, condition=found.condition,
                           type=found.type, text=found.text)  # fmt: skip
            case Forgery():
                self._emit("trouble", message=found.reason)
            case Archived() if found.query in self._queries:
                self._queries[found.query].append(found)
            case Archived():
                self._emit("trouble", message=f"an archived message that nobody asked for, from {found.sender}")
            case None:
                pass

    def presence(self, xml: ET.Element) -> None:
        """Handle one <presence/>."""
        sender = xml.get("from", "")
        room = self.rooms.get(sender.partition("/")[0])
        if room is not None:
            room.on_presence(xml)
        in_room = room is not None or xml.find(f"{{{MUC_USER}}}x") is not None
        self._emit("presence", type=xml.get("type", "available"), codes=read_status_codes(xml),
                   room=sender.partition("/")[0] if in_room else None, **{"from": sender})  # fmt: skip

    def collect(self, query: str) -> list[Archived]:
        """The list that the results of an archive query of that name will be added to."""
        return self._queries.setdefault(query, [])

    def forget_queries(self, queries: list[Archived]) -> None:
        """Drop the lists of queries that are answered."""
        for name in {entry.query for entry in queries}:
            self._queries.pop(name, None)

    def catch_up(self, archived: list[Archived]) -> None:
        """Deliver those messages of the account's archive that this device neither sent nor was handed before."""
        for entry in archived:
            found = read_delivery(entry.xml, "archive", self._device)
            sent_by_us = found is not None and found.sender.partition("/")[0] == self._account
            if found is not None and not found.keys_only and not sent_by_us and found.id not in self.seen:
                self._deliver(found)

    def acknowledged(self) -> None:
        """Remember that all that was received until now was acknowledged (XEP-0198)."""
        self._acknowledgements.append((time.monotonic(), len(self._received)))

    def unacknowledged(self) -> list[str]:
        """Messages of which the server may not know, if the stream breaks now, that this device has them.

        Without stream management it cannot know of any. An acknowledgement needs a moment to arrive.
        """
        known = [count for at, count in self._acknowledgements if at <= time.monotonic() - ON_ITS_WAY]
        return self._received[max(known, default=0) :]

    async def decrypted(self) -> None:
        """Return once every message received until now has been decrypted, or could not be."""
        await self._encrypted.join()

    async def close(self) -> None:
        """Stop; what waits for decryption is not decrypted any more."""
        self._worker.cancel()
        with suppress(asyncio.CancelledError):
            await self._worker

    def _deliver(self, found: Incoming) -> None:
        if found.keys_only:
            self._encrypted.put_nowait((found, self._real(found)))
            return
        self.seen.add(found.id)
        if found.via in ("live", "offline"):
            self._received.append(found.id)
        self._emit("delivered", message=found.id, to=found.receiver, stream=self.stream, via=found.via,
                   body=found.body, encrypted=found.encrypted, room=found.room, **{"from": found.sender})  # fmt: skip
        shown = found.encrypted is not None or found.offer == self._encryption.name
        if shown and not self._own(found):
            # Who that is in a room is known now: once it is decrypted they may have left.
            self._encrypted.put_nowait((found, self._real(found)))

    def _own(self, found: Incoming) -> bool:
        """Our own message that a room or an archive returned: encrypted for everybody but us."""
        room = self.rooms.get(found.room or "")
        return found.sender == self._device or (room is not None and found.sender == room.me)

    async def _decrypt_all(self) -> None:
        while True:
            found, sender = await self._encrypted.get()
            try:
                await self._decrypt(found, sender)
            except Exception as error:  # noqa: BLE001 - one message must not silence the ones behind it
                self._emit("trouble", message=f"decrypting {found.id}: {type(error).__name__}: {error}")
            finally:
                self._encrypted.task_done()

    async def _decrypt(self, found: Incoming, sender: str) -> None:
        declared = find_by_namespace(found.encrypted)
        fields: dict[str, Any] = {
            "message": found.id,
            "from": found.sender,
            "encryption": declared.name if declared else found.encrypted,
        }
        try:
            result = await self._encryption.decrypt(found, sender)
        except NotReadable as error:
            self._emit("not-decrypted", reason=str(error), **{**fields, "message": error.message})
            return
        except LabError as error:
            if not found.keys_only:
                self._emit("not-decrypted", reason=str(error), **fields)
            elif not isinstance(error, NotForUs):
                self._emit("trouble", message=f"a message with keys only from {found.sender}: {error}")
            return
        if result is not None and (result.message or not found.keys_only):
            fields["message"] = result.message or found.id
            fields["encryption"] = result.encryption or fields["encryption"]
            self._emit("decrypted", body=result.body, sender_key=result.sender_key, trust=result.trust,
                       via=found.via, **fields)  # fmt: skip
            if result.content:
                self._open(found, result.content, result.body)

    def _open(self, found: Incoming, content: tuple[ET.Element, ...], text: str | None) -> None:
        """Emit what was in an envelope beside the text; only what was sent to this device itself is to be answered."""
        message = ET.Element(found.xml.tag, found.xml.attrib)
        message.extend(content)
        self._emit("content", message=found.id, xml=tostring(message, xmlns=CLIENT), via=found.via,
                   **{"from": found.sender})  # fmt: skip
        if text is not None:
            ET.SubElement(message, f"{{{CLIENT}}}body").text = text
        if found.via in ("live", "offline"):
            self._on_content(message)

    def _real(self, found: Incoming) -> str:
        """The real bare JID of the sender, "" if a room hides it."""
        if found.room is None:
            return found.sender.partition("/")[0]
        if found.via == "archive" and (shown := read_real_jid(found.xml)):
            return shown  # a nickname may be somebody else's now, or nobody's
        room = self.rooms.get(found.room)
        return "" if room is None else room.occupants.get(found.sender, "")
