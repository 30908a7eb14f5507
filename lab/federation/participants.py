"""All people, devices, messages and rooms of a running federation."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from xml.sax.saxutils import quoteattr

from lab.clients.characters import check_text
from lab.declarations.encryptions import find_in_message
from lab.errors import LabError, UserError
from lab.federation.block_requests import BlockRequests
from lab.federation.context import Context
from lab.federation.devices import Device
from lab.federation.guests import Guest
from lab.federation.messages import DELIVERY_DEADLINE, Message
from lab.federation.outcomes import Bounce, Delivers, Delivery, Promise, Refuses
from lab.federation.people import Person, entitled
from lab.federation.rooms import Room
from lab.federation.stanzas import CLIENT, RawText, Stanza, build_sent_event
from lab.history.events import LeftOut, NotSent, Sent
from lab.history.key_events import Encrypted
from lab.metrics.identity import Identities

SEND_DEADLINE = 60.0  # seconds
CORRECTION = "urn:xmpp:message-correct:0"
RECEIPTS = "urn:xmpp:receipts"
CARBONS = "urn:xmpp:carbons:2"
HINTS = "urn:xmpp:hints"
# A message to somebody who has no account (RFC 6121 section 8.5.1).
NO_ACCOUNT = Refuses(("service-unavailable",), DELIVERY_DEADLINE)


class Participants:
    """The people, devices and messages of a running federation. Every message is sent through it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.people: list[Person] = []
        self.devices: dict[str, Device] = {}  # by the agent's name for it
        self.messages: dict[Sent, Message] = {}
        self.guests: list[Guest] = []
        self.of_guests: dict[tuple[str, str], Message] = {}  # messages of guests, by id and bare JID of the sender
        self._unknown: dict[tuple[str, str], list[Delivery]] = defaultdict(list)  # delivered, and not yet known as sent
        self.rooms: dict[str, Room] = {}  # by bare JID
        self.block_requests = BlockRequests(self.person_of)
        self._identities = Identities()
        self._raw: dict[str, RawText] = defaultdict(lambda: RawText(CLIENT))  # by stream
        self._tag = secrets.token_hex(3)  # message ids of two runs in one lab differ
        self._numbers = count(1)

    async def send(
        self,
        device: Device,
        to: Person | Device | Guest | Room,
        text: str,
        *,
        encryption: str | None = None,
        marker: bool = False,
        correct: Message | None = None,
        receipt: bool = False,
        private: bool = False,
        extensions: Sequence[str] = (),
    ) -> Message:
        """See `Device.send`; with `marker` it is a message of settle(), unencrypted."""
        check_text(text, "send: the text")
        _check_options(device, to, correct, receipt=receipt, private=private)
        room = isinstance(to, Room)
        scheme = "plain" if marker else encryption or device.encryption
        _check_receiver(scheme, to)
        sender, receiver = device.person, to.person if isinstance(to, Device) else to
        message = Message(
            id=f"{self._tag}-{next(self._numbers)}",
            text=text,
            sender=sender,
            device=device,
            receiver=receiver,
            encryption=scheme,
            promise=Delivers() if isinstance(receiver, Room) else self._promise(sender, receiver),
            expected=() if (blocked := is_blocked(device, to)) else _expected(to),
            blocked=blocked,
            to_device=to if isinstance(to, Device) else None,
            in_room=room,
            marker=marker,
            corrects="" if correct is None else correct.corrects or correct.id,
        )
        address, history = to.jid, self.context.history
        announced = replace(self._sent(message, device, address, room), receipt=receipt, private=private)
        self._add(announced, message)
        # Recorded before the agent is called: an answer that was recorded first would be to a message that nobody sent.
        history.record(announced)
        try:
            answer = await self.context.call(
                "send", device.key, to=address, body=text, message=message.id, encryption=scheme, room=room,
                marker=message.marker, timeout=SEND_DEADLINE + message.allowance(),
                extensions=_build_extensions(message.corrects, receipt, private, extensions),
            )  # fmt: skip
        except LabError as error:
            history.record(NotSent(at=history.now(), message=message.id, reason=str(error)))
            raise
        if keys := tuple((str(one["owner"]), int(one["device"])) for one in answer.get("keys", ())):
            message.encrypted_for = frozenset(number for _, number in keys)
            history.record(Encrypted(at=history.now(), message=message.id, sender=device.jid, devices=keys))
        for one in answer.get("left_out", ()):
            history.record(LeftOut(at=history.now(), message=message.id, sender=device.jid, owner=one["owner"],
                                   omemo_device=one["device"], reason=one["reason"], published=one["published"],
                                   excluded=one["excluded"]))  # fmt: skip
        return message

    async def send_element(self, device: Device, to: Person | Device | Guest, element: str) -> None:
        """Send a message without a text: with an encryption that has envelopes it is in one, else it is readable.

        It is no message of the run: that it was written is in the history, and what becomes of it is not judged.
        """
        allowance = self.context.allowance(device.person.server.name, to.server.name)
        await self.context.call(
            "send", device.key, to=to.jid, body=None, message=f"{self._tag}-{next(self._numbers)}",
            encryption=device.person.encryption, extensions=[element], timeout=SEND_DEADLINE + allowance,
        )  # fmt: skip

    def person_of(self, jid: str) -> Person | None:
        """The person with this bare JID."""
        return next((one.person for one in self.devices.values() if one.person.jid == jid), None)

    def add_of_guest(self, guest: Guest, stanza: Stanza) -> Message:
        """A message that a guest has sent, as its server reports it, with what has become of it until now."""
        address = stanza.receiver or guest.jid
        to = self.person_of(address.partition("/")[0]) or next((one for one in self.guests if one.jid == address), None)
        declared = find_in_message((one.tag for one in stanza.element), stanza.body) if stanza.xml else None
        receiver = to or guest
        message = Message(
            id=stanza.id or "", text=stanza.body or "" if stanza.xml else "", sender=guest, device=guest,
            receiver=receiver, encryption=declared.name if declared else "plain",
            promise=self._promise(guest, receiver), expected=_expected(receiver) if stanza.id else (),
        )  # fmt: skip
        key = (message.id, guest.jid)
        self.of_guests[key] = message
        for delivery in self._unknown.pop(key, ()):
            message.add_delivery(delivery)
        for one in guest.stanzas:  # it was told so already
            if (one.name, one.type, one.direction, one.id) == ("message", "error", "in", stanza.id):
                message.add_bounce(Bounce(one.condition or "undefined-condition", one.sender or "", one.at))
        return message

    def add_delivery(self, message: Message | None, named: str | None, sender: str, delivery: Delivery) -> None:
        """Add a delivery to its message; that of a guest may be reported by its server a moment later."""
        if message is not None:
            message.add_delivery(delivery)
        elif self.guests:
            self._unknown[named or "", sender.partition("/")[0]].append(delivery)

    def _promise(self, sender: Person | Guest, receiver: Person | Guest) -> Promise:
        """What becomes of a message from one person to another."""
        promise = self.context.promise(sender.server.name, receiver.server.name)
        return NO_ACCOUNT if receiver.deleted and isinstance(promise, Delivers) else promise

    async def send_raw(self, device: Device, xml: str) -> None:
        """See `Device.send_raw`."""
        history, announced = self.context.history, []
        for stanza in self._raw[device.stream].add(xml, history.now()):
            person, expected = self.addressed(device, stanza)
            sent = build_sent_event(stanza, device.jid, device.stream, self.context.canary_in, expected)
            if sent is None:
                continue
            announced.append(history.record(replace(sent, sender=device.jid, claimed="")))
            if person is not None:  # its outcome can be settled like that of others
                promise = self._promise(device.person, person)
                message = Message(
                    id=sent.message, text=stanza.body or "", sender=device.person, device=device, receiver=person,
                    encryption=sent.encryption, promise=promise, expected=expected, blocked=is_blocked(device, person),
                )  # fmt: skip
                self._add(announced[-1], message)
        if not announced:
            history.note(f"sent as it is, and not judged: {xml}", by=device.jid)
        try:
            await self.context.call("send_raw", device.key, xml=xml, timeout=SEND_DEADLINE)
        except LabError as error:
            for sent in announced:
                history.record(NotSent(at=history.now(), message=sent.message, reason=str(error)))
            raise

    def addressed(self, sender: Device | str, stanza: Stanza) -> tuple[Person | None, tuple[str, ...]]:
        """The person that a raw message is for, and who must get it: where that is certain, else nobody.

        `sender` is a device, or the JID of somebody on a scripted server. Without an id two messages may be alike.
        """
        named = stanza.id and stanza.type != "groupchat"
        for person in self.people:
            for device in person.devices:
                if stanza.receiver == device.jid and device.connected:
                    return person, _expected(device) if named and not is_blocked(sender, device) else ()
            if stanza.receiver == person.jid:
                # Of several devices all must get a chat message only (RFC 6121 section 8.5.2.1.1).
                certain = stanza.type == "chat" or (len(person.devices) == 1 and stanza.type != "headline")
                return person, _expected(person) if named and certain and not is_blocked(sender, person) else ()
        return None, ()

    def _add(self, sent: Sent, message: Message) -> None:
        self.messages[sent] = message
        self._identities.add(sent)

    def find(self, message: str | None, sender: str, receiver: str) -> Message | None:
        """The message with this id that was sent by `sender`, or by somebody in the room that it is, to `receiver`."""
        if (of_guest := self.of_guests.get((message or "", sender.partition("/")[0]))) is not None:
            return of_guest
        sent = self._identities.find(message, sender, receiver)
        if sent is None or sender.partition("/")[0] not in (sent.sender.partition("/")[0], sent.receiver):
            return None
        return self.messages[sent]

    def _sent(self, message: Message, device: Device, address: str, room: bool) -> Sent:
        return Sent(
            at=self.context.history.now(),
            message=message.id,
            sender=device.jid,
            receiver=address,
            stream=device.stream,
            encryption=message.encryption,
            room=room,
            marker=message.marker,
            corrects=message.corrects,
            canary=self.context.canary_in(message.text),
            expected=message.expected,
        )


def _check_options(
    device: Device, to: Person | Device | Guest | Room, correct: Message | None, *, receipt: bool, private: bool
) -> None:
    if isinstance(to, Room) and (receipt or private):
        raise UserError(f"send: {to} is a room: a message to it has no {'receipts' if receipt else 'carbon copies'}")
    receiver = to.person if isinstance(to, Device) else to
    if correct is not None and (correct.sender is not device.person or correct.receiver is not receiver):
        raise UserError(f"send: {correct} can be corrected by its own sender, and to its own receiver only")


def _build_extensions(corrects: str, receipt: bool, private: bool, others: Sequence[str]) -> list[str]:
    """The elements for a correction of the message with that id, a request for a receipt, no carbon copies, and others.

    XEP-0308 section 3, XEP-0184 section 5, XEP-0280 section 9 (with the hint of XEP-0334 section 4.2).
    """
    found = [f"<replace xmlns='{CORRECTION}' id={quoteattr(corrects)}/>"] if corrects else []
    if receipt:
        found.append(f"<request xmlns='{RECEIPTS}'/>")
    if private:
        found += [f"<private xmlns='{CARBONS}'/>", f"<no-copy xmlns='{HINTS}'/>"]
    return [*found, *others]


def _check_receiver(scheme: str, to: Person | Device | Guest | Room) -> None:
    """A session of OTR is with one device: which of several would answer is not known."""
    if scheme == "otr" and isinstance(to, Room):
        raise UserError(f"send: OTR is for one device, and {to} is a room: send with encryption='plain'")
    if scheme == "otr" and isinstance(to, Person) and (several := sum(one.connected for one in to.devices)) > 1:
        raise UserError(f"send: OTR is for one device, and {to} has {several}: send to one of `devices`")


def _expected(to: Person | Device | Guest | Room) -> tuple[str, ...]:
    """Who must get a message to these (RFC 6121 section 8.5): full JIDs, or the bare one where nobody is available."""
    if isinstance(to, Room):
        return tuple(one.jid for one in to.devices() if one.connected) or (to.jid,)
    if isinstance(to, Device):
        if to.connected:
            return (to.jid,)  # a connected device, available or not (section 8.5.3.1)
        to = to.person  # section 8.5.3.2.1: as if it were for the bare JID
    if isinstance(to, Guest):
        return (to.jid,)
    return tuple(one.jid for one in entitled(to)) or (to.jid,)


def is_blocked(sender: Device | str, to: Person | Device | Guest | Room) -> bool:
    """Whether a person of the two has blocked the other (XEP-0191); a JID is of somebody without a block list."""
    receiver = to.person if isinstance(to, Device) else to
    if isinstance(sender, Device) and sender.person.blocks(to.jid):
        return True
    return isinstance(receiver, Person) and receiver.blocks(sender if isinstance(sender, str) else sender.jid)
