"""People, the devices they use, the messages they send, and the rooms they meet in."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from lab.clients.characters import check_raw, check_text
from lab.errors import LabError, PeerError, TimedOut, UserError
from lab.federation import jids
from lab.federation.context import Context, seconds
from lab.federation.outcomes import Bounce, Delivers, Delivery, Outcome, Promise
from lab.federation.stanza_log import Match, StanzaLog
from lab.federation.stanzas import CLIENT, RawText, Stanza, sent_event
from lab.history.events import Blocked, LeftOut, NotSent, Sent, Unblocked
from lab.metrics.block_lists import matches
from lab.metrics.identity import Identities

if TYPE_CHECKING:
    from lab.federation.servers import ServerHandle

# All in seconds.
# Logging in takes well under a second; publishing OMEMO keys on a busy ejabberd several.
CONNECT_DEADLINE = 60.0
SEND_DEADLINE = 60.0
# A message over a new server-to-server stream takes a second or two (DNS, TCP, TLS, SASL); on a busy machine several
# times that. After this time, something is wrong.
DELIVERY_DEADLINE = 30.0
# How much longer a promised refusal may take on a busy machine than the table of refusals says.
REFUSAL_GRACE = 10.0
JOIN_DEADLINE = 30.0
# Whether its sender is told that a message was blocked is up to the servers (XEP-0191 section 3.2).
BLOCKED_DEADLINE = 5.0
BLOCKING = "urn:xmpp:blocking"
# Presences that are on their way arrive within a round trip; asking more often only costs.
ROOM_POLL_INTERVAL = 0.05


@dataclass
class Message:
    """A message that was written to its sender's stream; `outcome()` returns what happened to it."""

    id: str  # the stanza's id attribute, unique in the run
    text: str
    sender: Person
    device: Device  # that sent it
    receiver: Person | Room
    encryption: str  # "plain", "omemo"
    promise: Promise
    expected: tuple[str, ...]  # full JIDs that must get it (RFC 6121 section 8.5); or the bare JID: whoever comes next
    to_device: Device | None = None  # where it was addressed to one device, by its full JID
    marker: bool = False  # sent by settle(), not by the scenario
    blocked: bool = False  # one of the two had blocked the other when it was sent (XEP-0191): it is for nobody
    deliveries: list[Delivery] = field(default_factory=list)
    bounces: list[Bounce] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settled(self) -> bool:
        """True once it has bounced, or each device that was expected to receive it has received it."""
        if self.bounces or self.blocked:
            return bool(self.bounces or self.deliveries)
        reached = {one.device for one in self.deliveries}
        bares = {device.split("/")[0] for device in reached}
        return all(one in reached or one in bares for one in self.expected)

    async def outcome(self, within: str | float | None = None) -> Outcome:
        """What became of the message: all its deliveries and bounces (RFC 6121 section 8.5, RFC 6120 section 8.3).

        Returns when it is settled, or after `within`: seconds, or a text such as "10s". Without `within` the deadline
        is 30 seconds, or that of the promised refusal and 10 seconds more. Nothing is raised where the deadline passes:
        `Outcome.settled` is then False. Of a message that was blocked (XEP-0191) nothing is expected: without `within`
        it is waited 5 seconds for an error, and it is settled then, too.
        """
        await self._until(lambda: self.settled, self._deadline() if within is None else seconds(within))
        return Outcome(tuple(self.deliveries), tuple(self.bounces), self.settled or self.blocked, self.id)

    async def read_by(self, *devices: Device, within: str | float | None = None) -> dict[Device, str | None]:
        """The text that each of these devices reads; returns when all have received it, or after `within`.

        `within` is in seconds, or a text such as "10s", with the default of `outcome`. The text read is None
        for a device that could not decrypt it; a device that did not get it at all is left out.
        """
        wanted = {device.jid for device in devices}

        def got() -> dict[str, str | None]:
            return {one.device: one.text for one in self.deliveries if one.device in wanted}

        await self._until(lambda: got().keys() == wanted, self._deadline() if within is None else seconds(within))
        texts = got()
        return {device: texts[device.jid] for device in devices if device.jid in texts}

    async def _until(self, holds: Callable[[], bool], deadline: float) -> None:
        """Return once it holds, or when the deadline has passed: the caller judges what was reached by then."""
        try:
            async with asyncio.timeout(deadline):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return

    def add_delivery(self, delivery: Delivery) -> None:
        """Add a delivery to a device; called by the federation."""
        self.deliveries.append(delivery)
        self._changed.set()

    def add_bounce(self, bounce: Bounce) -> None:
        """Add a stanza error that its sender received; called by the federation."""
        self.bounces.append(bounce)
        self._changed.set()

    def _deadline(self) -> float:
        if self.blocked:
            return BLOCKED_DEADLINE
        return DELIVERY_DEADLINE if isinstance(self.promise, Delivers) else self.promise.within + REFUSAL_GRACE

    def __str__(self) -> str:
        return f"message {self.id} from {self.device.jid} to {self.receiver}"


class Device:
    """One client of a person: a resource (RFC 6120 section 7), with keys and trust of its own."""

    def __init__(self, person: Person, resource: str) -> None:
        self.person = person
        self.resource = resource
        self.key: str = f"{person.jid}/{resource}"  # the agent's name for it
        self.jid: str = self.key  # the full JID, as the server bound it
        self.connected = False
        self.priority: int | None = None  # of its presence (RFC 6121 section 4.7.2.3); None: not available
        self.stream = ""  # unique per live stream, "" before the first
        self.log = StanzaLog(self.key)
        self.omemo_device: int | None = None  # the OMEMO device id
        self.fingerprint: str | None = None  # of its OMEMO identity key, in hex

    async def connect(self) -> None:
        """Log in (RFC 6120 sections 5 to 7, RFC 6121 section 4.2).

        Returns once presence is sent, the messages of the offline store are received and, with OMEMO, device list
        and bundle can be fetched (XEP-0384). Raises PeerError if the server refuses, TimedOut after 60 seconds.
        """
        context, person = self.person.context, self.person
        answer = await context.call(
            "connect",
            self.key,
            jid=person.jid,
            password=context.lab.password,
            resource=self.resource,
            host=person.server.address,
            port=person.server.c2s_port,
            authority=context.lab.trusted(person.server.name),
            encryption=person.encryption,
            trust=person.trust,
            folder=context.lab.agent_folder(person.server.name, person.name, self.resource),
            timeout=CONNECT_DEADLINE,
        )
        self.jid, self.stream, self.connected, self.priority = answer["jid"], answer["stream"], True, 0
        person.jid = self.jid.partition("/")[0]
        self.omemo_device, self.fingerprint = answer.get("omemo_device"), answer.get("fingerprint")

    async def disconnect(self) -> None:
        """Log out (RFC 6120 section 4.4). Returns once the server has closed the stream. Raises TimedOut."""
        await self.person.context.call("disconnect", self.key)
        self.connected = False

    async def presence(self, show: str | None = None, priority: int = 0) -> None:
        """Send presence: how available this device is (RFC 6121 section 4.7). It has priority 0 once it has connected.

        `show` is "away", "chat", "dnd" or "xa", or "unavailable": then the device stays connected, and what is sent to
        the person is for others or kept. `priority` is a number of -128 to 127; with a negative one the device gets
        only what is sent to its full JID.

        Returns once the server has handled it. Raises UserError for other values, or if the device is not connected.
        """
        await self.person.context.call("presence", self.key, show=show, priority=priority)

    async def send(self, to: Person | Device | Room, text: str, *, encryption: str | None = None) -> Message:
        """Send a chat message (RFC 6121 section 5) or a groupchat message (XEP-0045 section 7.4).

        To a person it is addressed to the bare JID, to a device to its full JID (RFC 6121 section 8.5.3).

        `encryption` is the person's own unless given; "plain" sends without encryption. Returns once the message is
        handed to the stream; await `Message.outcome()` for what becomes of it. Raises PeerError where it cannot be
        encrypted (nothing is sent then), UserError if the device is not connected or the text has a character that XML
        forbids (XML 1.0 section 2.2), TimedOut after 60 seconds.
        """
        return await self.person.participants.send(self, to, text, encryption=encryption)

    async def send_raw(self, xml: str) -> None:
        """Put exactly these bytes (in UTF-8) on the stream, behind all that was sent before (RFC 6120 section 8).

        Messages with a body count as sent by this device, and are judged like others; anything else is recorded as a
        note. Returns once it is handed to the stream. Raises UserError if the device is not connected, PeerError if its
        stream is gone.
        """
        check_raw(xml, "send_raw: the stanza")
        await self.person.participants.send_raw(self, xml)

    @property
    def stanzas(self) -> list[Stanza]:
        """The stanzas that this device received and sent (RFC 6120 section 8), in the order of its streams.

        `direction` says which it is, "in" or "out". They begin once a resource is bound.
        """
        return list(self.log.stanzas)

    async def received(self, match: Match, within: str | float = DELIVERY_DEADLINE) -> Stanza:
        """The first received stanza that matches, whether it was received already or is in time.

        `match` is a function of the stanza, or a text in its XML, such as an id. `within` is in seconds, or a text such
        as "10s". Raises NotReceived, which fails a run, with the last stanzas that were received.
        """
        return await self.log.received(match, within)

    async def published_devices(self, of: Person) -> list[int]:
        """The OMEMO device ids that `of` publishes, fetched anew (XEP-0384 section 5.3.1 of version 0.3).

        Raises UserError on a device without OMEMO, PeerError if the list cannot be fetched, TimedOut after 60 seconds.
        """
        answer = await self.person.context.call("devices", self.key, of=of.jid, timeout=CONNECT_DEADLINE)
        return [int(one) for one in answer["ids"]]

    def __str__(self) -> str:
        return self.jid


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


class Room:
    """A room and its occupants (XEP-0045). Made by `ServerHandle.room`.

    Each person is in it with their first device; the nickname is made of their name and their server's.
    """

    def __init__(self, participants: Participants, host: ServerHandle, name: str) -> None:
        self.participants = participants
        self.context = participants.context
        self.server = host
        self.name = name
        self.jid = f"{name}@conference.{host.domain}"
        self.occupants: list[Person] = []  # as the room's presences have it: who is removed, or disconnects, is none
        self._made = False
        participants.rooms[self.jid] = self

    async def join(self, *people: Person) -> None:
        """Let people join (XEP-0045 section 7.2). Returns once each occupant sees all of them.

        Raises PeerError if the room refuses one, TimedOut after 30 seconds.
        """
        for person in people:
            await self.context.call(
                "join", person.device.key, room=self.jid, nick=self.nick(person), timeout=JOIN_DEADLINE
            )
            if not self._made:
                # A new room is locked until its owner has configured it (XEP-0045 section 10.1.2).
                await self.context.call("configure_room", person.device.key, room=self.jid, values={})
                self._made = True
            if person not in self.occupants:
                self.occupants.append(person)
        await self.converged(within=JOIN_DEADLINE)

    async def leave(self, person: Person) -> None:
        """Let a person leave (XEP-0045 section 7.14). Returns once the room has confirmed it.

        Raises UserError if the person is not in the room, TimedOut.
        """
        await self.context.call("leave", person.device.key, room=self.jid, nick=self.nick(person))
        self.remove(person.device)

    def remove(self, device: Device) -> bool:
        """Take a device out that is no occupant any more; whether it was one. Called by the federation."""
        if device.person not in self.occupants or device is not device.person.device:
            return False
        self.occupants.remove(device.person)
        return True

    def nick(self, person: Person) -> str:
        """The nickname of a person in this room: the name and the server's, since two may share a name."""
        return f"{person.name}.{person.server.name}"

    async def converged(self, within: str | float = 60.0) -> None:
        """Wait until each occupant sees exactly the occupants, and each message to the room has reached all of them.

        `within` is in seconds, or a text such as "60s". Raises TimedOut with what each occupant misses.
        """
        want = {f"{self.jid}/{self.nick(person)}" for person in self.occupants}
        views: dict[str, set[str]] = {}
        try:
            async with asyncio.timeout(seconds(within)):
                while True:
                    views = {person.jid: await self._view(person.device) for person in self.occupants}
                    if all(view == want for view in views.values()) and not self._missing():
                        return
                    await asyncio.sleep(ROOM_POLL_INTERVAL)
        except TimeoutError:
            evidence = [
                f"{jid} misses {sorted(want - view)}, has too many {sorted(view - want)}"
                for jid, view in views.items()
                if view != want
            ]
            raise TimedOut(f"room {self.jid} did not agree within {within}", (*evidence, *self._missing())) from None

    def devices(self) -> list[Device]:
        """Every device in the room: a message to the room is for all of them, also for its sender's."""
        return [person.device for person in self.occupants]

    def _missing(self) -> tuple[str, ...]:
        mine = [one for one in self.participants.messages.values() if one.receiver is self]
        return tuple(f"{one} has not reached everyone" for one in mine if not one.settled)

    async def _view(self, device: Device) -> set[str]:
        answer = await self.context.call("occupants", device.key, room=self.jid)
        return set(answer["occupants"])

    def __str__(self) -> str:
        return self.jid


class Participants:
    """The people, devices and messages of a running federation. Every message is sent through it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.people: list[Person] = []
        self.devices: dict[str, Device] = {}  # by the agent's name for it
        self.messages: dict[Sent, Message] = {}
        self.rooms: dict[str, Room] = {}  # by bare JID
        self._identities = Identities()
        self._raw: dict[str, RawText] = defaultdict(lambda: RawText(CLIENT))  # by stream
        self._tag = secrets.token_hex(3)  # message ids of two runs in one lab differ
        self._numbers = count(1)

    async def send(
        self,
        device: Device,
        to: Person | Device | Room,
        text: str,
        *,
        encryption: str | None = None,
        marker: bool = False,
    ) -> Message:
        """See `Device.send`; with `marker` it is a message of settle(), unencrypted."""
        check_text(text, "send: the text")
        room = isinstance(to, Room)
        scheme = "plain" if room or marker else encryption or device.person.encryption
        sender, receiver = device.person, to.person if isinstance(to, Device) else to
        message = Message(
            id=f"{self._tag}-{next(self._numbers)}",
            text=text,
            sender=sender,
            device=device,
            receiver=receiver,
            encryption=scheme,
            promise=Delivers() if room else self.context.promise(sender.server.name, receiver.server.name),
            expected=() if (blocked := is_blocked(device, to)) else _expected(to),
            blocked=blocked,
            to_device=to if isinstance(to, Device) else None,
            marker=marker,
        )
        address, history = to.jid, self.context.history
        announced = self._sent(message, address, room)
        self._add(announced, message)
        # Recorded before the agent is called: an answer that was recorded first would be to a message that nobody sent.
        history.record(announced)
        try:
            answer = await self.context.call(
                "send", device.key, to=address, body=text, message=message.id, encryption=scheme, room=room,
                marker=message.marker, timeout=SEND_DEADLINE,
            )  # fmt: skip
        except LabError as error:
            history.record(NotSent(at=history.now(), message=message.id, reason=str(error)))
            raise
        for one in answer.get("left_out", ()):
            history.record(LeftOut(at=history.now(), message=message.id, sender=device.jid, owner=one["owner"],
                                   omemo_device=one["device"], reason=one["reason"], published=one["published"],
                                   excluded=one["excluded"]))  # fmt: skip
        return message

    async def send_raw(self, device: Device, xml: str) -> None:
        """See `Device.send_raw`."""
        history, announced = self.context.history, []
        for stanza in self._raw[device.stream].add(xml, history.now()):
            person, expected = self._addressed(device, stanza)
            sent = sent_event(stanza, device.jid, device.stream, self.context.canary_in, expected)
            if sent is None:
                continue
            announced.append(history.record(replace(sent, sender=device.jid, claimed="")))
            if person is not None:  # its outcome can be settled like that of others
                promise = self.context.promise(device.person.server.name, person.server.name)
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

    def _addressed(self, sender: Device, stanza: Stanza) -> tuple[Person | None, tuple[str, ...]]:
        """The person that a raw message is for, and who must get it: where that is certain, else nobody."""
        for person in self.people:
            for device in person.devices:
                if stanza.receiver == device.jid and device.connected:
                    return person, () if is_blocked(sender, device) else _expected(device)
            if stanza.receiver == person.jid and stanza.id:
                # Of several devices all must get a chat message only (RFC 6121 section 8.5.2.1.1).
                certain = not is_blocked(sender, person) and (
                    stanza.type == "chat" or (len(person.devices) == 1 and stanza.type != "headline")
                )
                return person, _expected(person) if certain else ()
        return None, ()

    def _add(self, sent: Sent, message: Message) -> None:
        self.messages[sent] = message
        self._identities.add(sent)

    def find(self, message: str | None, sender: str, receiver: str) -> Message | None:
        """The message with this id that was sent by `sender`, or by somebody in the room that it is, to `receiver`."""
        sent = self._identities.find(message, sender, receiver)
        if sent is None or sender.partition("/")[0] not in (sent.sender.partition("/")[0], sent.receiver):
            return None
        return self.messages[sent]

    def _sent(self, message: Message, address: str, room: bool) -> Sent:
        return Sent(
            at=self.context.history.now(),
            message=message.id,
            sender=message.device.jid,
            receiver=address,
            stream=message.device.stream,
            encryption=message.encryption,
            room=room,
            marker=message.marker,
            canary=self.context.canary_in(message.text),
            expected=message.expected,
        )


def _expected(to: Person | Device | Room) -> tuple[str, ...]:
    """Who must get a message to these (RFC 6121 section 8.5): full JIDs, or the bare one where nobody is available."""
    if isinstance(to, Room):
        return tuple(one.jid for one in to.devices() if one.connected) or (to.jid,)
    if isinstance(to, Device):
        if to.connected:
            return (to.jid,)  # a connected device, available or not (section 8.5.3.1)
        to = to.person  # section 8.5.3.2.1: as if it were for the bare JID
    return tuple(one.jid for one in entitled(to)) or (to.jid,)


def is_blocked(sender: Device, to: Person | Device | Room) -> bool:
    """Whether a person of the two has blocked the other (XEP-0191)."""
    receiver = to.person if isinstance(to, Device) else to
    return sender.person.blocks(to.jid) or (isinstance(receiver, Person) and receiver.blocks(sender.jid))
