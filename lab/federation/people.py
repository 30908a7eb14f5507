"""People: each has an account on a server, and devices."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from lab.clients.characters import check_text
from lab.clients.encryption import check_choice
from lab.errors import NotReceived, PeerError, TimedOut, UserError
from lab.federation import jids
from lab.federation.attempts import Attempt, attempt
from lab.federation.context import describe_duration, read_duration
from lab.federation.devices import Device, ask
from lab.federation.guests import STAND_IN, Guest
from lab.federation.messages import DELIVERY_DEADLINE, Message
from lab.federation.posts import (
    ACCESS,
    Post,
    build_node,
    build_publication,
    build_request,
    build_subscription,
    read_posts,
)
from lab.federation.rosters import ROSTER, SUBSCRIPTIONS, RosterItem, absent, find_differences, read_roster
from lab.history.events import (
    Blocked,
    Followed,
    PostPublished,
    RosterRead,
    SubscriptionSent,
    Unblocked,
    Unfollowed,
)
from lab.metrics.block_lists import matches

if TYPE_CHECKING:
    from lab.federation.participants import Participants
    from lab.federation.rooms import Room
    from lab.federation.servers import ServerHandle

FINGERPRINTS_DEADLINE = 30.0  # seconds, and the allowance of the route
VERIFY_DEADLINE = 30.0  # seconds, and the allowance of the route
BLOCKING = "urn:xmpp:blocking"
PING = "urn:xmpp:ping"
# All in seconds. What another server says of a subscription changes a roster within a round trip.
ROSTER_POLL_INTERVAL = 0.1
# A server may wait before it tries again to reach another one; after twice that wait a lost ping is sent anew.
PING_DEADLINE = 60.0
PING_INTERVAL = 0.2
PING_ANSWER = 5.0
#: What a host answers to what it does not know, a ping too (RFC 6120 section 8.3.3); who cannot reach it says others.
UNKNOWN_QUESTION = ("feature-not-implemented", "service-unavailable")


class Person:
    """A person with an account on a server and one or several devices (RFC 6121). Made by `ServerHandle.person`."""

    def __init__(
        self,
        participants: Participants,
        server: ServerHandle,
        name: str,
        encryption: str = "plain",
        trust: str = "blind",
        *,
        keys_optional: bool = False,
    ) -> None:
        self.participants = participants
        self.context = participants.context
        self.server = server
        self.name = name
        self.asked_name = name  # by the scenario; a number was added where another run in this lab has it
        self.encryption = encryption  # of devices, unless they are given another; a name of a declaration
        self.trust = trust  # in keys not seen before: "blind", "undecided"
        self.keys_optional = keys_optional  # devices go online where their server refuses to publish their keys
        self.jid: str = f"{name}@{server.domain}"  # the bare JID, as the server bound it
        self.password = self.context.lab.password
        self.devices: list[Device] = []
        self.removed_devices: list[Device] = []
        self.requests: set[str] = set()  # bare JIDs of those whose request it has received and not answered
        self._requests_changed = asyncio.Event()
        self.deleted = False  # the account is gone
        self.blocked: set[str] = set()  # bare or full JIDs, and domains (XEP-0191)

    @property
    def device(self) -> Device:
        """The first device."""
        return self.devices[0]

    async def add_device(
        self, resource: str | None = None, *, encryption: str | None = None, resumable: bool = False
    ) -> Device:
        """A further device, connected; its resource is device1, device2 and so on unless given.

        `encryption` is the person's unless given: a device with "plain" announces none and understands none.
        With `resumable` its server is asked to keep the stream when the connection is lost (XEP-0198 section 5).

        Returns once it can be written to, see `Device.connect`. Raises what that raises, and UserError if
        the person has such a device, or for an encryption that devices do not have.
        """
        check_choice(encryption or self.encryption, self.trust)
        names = [one.resource for one in self.devices]
        device = Device(
            self,
            jids.prepare_resourcepart(resource) if resource else f"device{len(names) + 1}",
            encryption=encryption or self.encryption,
            resumable=resumable,
        )
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

    async def send(
        self,
        to: Person | Device | Guest | Room,
        text: str,
        *,
        encryption: str | None = None,
        correct: Message | None = None,
        receipt: bool = False,
        private: bool = False,
        extensions: Sequence[str] = (),
    ) -> Message:
        """Send from the first connected device; see `Device.send`. Raises UserError if none is connected."""
        return await self.connected_device("send").send(
            to,
            text,
            encryption=encryption,
            correct=correct,
            receipt=receipt,
            private=private,
            extensions=extensions,
        )

    async def attempt(self, to: Person, text: str) -> Attempt:
        """Write to somebody from the first connected device, and say what becomes of it, whatever that is.

        Its `result` is "read", "unread", "refused" (nothing was sent; `reason` is the error's text), "returned"
        (`reason` is the condition, RFC 6120 section 8.3.3), "lost" (accepted, and nobody was told: a ping behind it,
        XEP-0199, was answered by the receiver's first connected device), or "exposed": in the clear, although the
        device was to encrypt. Raises PeerError or TimedOut where it cannot be told, UserError if a device is missing or
        the text of a device that encrypts has less than 12 characters.
        """
        return await attempt(self, to, text)

    def connected_device(self, what: str) -> Device:
        """The first connected device, which does `what`. Raises UserError if none is connected."""
        device = next((one for one in self.devices if one.connected), None)
        if device is None:
            raise UserError(f"{self.jid} is not connected: call connect() before {what}()")
        return device

    async def ping(self, to: ServerHandle | Room, within: str | float | None = None, *, reached: bool = True) -> float:
        """Ping a server, or the host of a room, until it answers (XEP-0199): both directions work, after a fault again.

        With `reached=False` until the own server says that it cannot reach it: what was written just before may be lost
        with a stream that had ended. A room's host has streams of its own: a server may reach one and not yet the
        other. Returns the seconds from the last ping to its answer. `within` is in seconds, or a text such as "30s"; 60
        seconds, and an allowance for slow links, unless given. Raises NotReceived, which fails a run, with the last
        answer; UserError if no device is connected.
        """
        context, device, last = self.context, self.connected_device("ping"), "there was no answer"
        allowance = context.largest_allowance(self.server.name)
        within = PING_DEADLINE + allowance if within is None else within
        ping = f"<iq type='get' to={quoteattr(to.domain)}><ping xmlns='{PING}'/></iq>"
        deadline = context.history.now() + read_duration(within)
        while (began := context.history.now()) < deadline:
            try:
                answer = await device.iq(ping, min(PING_ANSWER + allowance, deadline - began))
            except TimedOut:
                continue
            if (answer.condition in (None, *UNKNOWN_QUESTION)) == reached:
                return context.history.now() - began
            last = answer.xml
            await asyncio.sleep(PING_INTERVAL)
        wanted = "answer" if reached else "become unreachable for"
        raise NotReceived(f"{to.domain} did not {wanted} a ping of {self} within {describe_duration(within)}", (last,))

    # -- contacts ------------------------------------------------------------------------------------------------

    async def roster(
        self, expected: Mapping[Person | str, str] | None = None, *, within: str | float | None = None
    ) -> dict[str, RosterItem]:
        """The roster that the own server holds, by bare JID (RFC 6121 section 2.1).

        With `expected`, subscriptions ("none", "to", "from", "both") by person or bare JID, it returns once all of
        these hold; somebody who is not in the roster has "none". `within` is in seconds, or a text such as "10s".
        Raises NotReceived, which fails a run, with what is different; UserError if no device is connected or for
        another word, PeerError if the server refuses.
        """
        wanted = {str(contact): subscription for contact, subscription in (expected or {}).items()}
        if unknown := [one for one in wanted.values() if one not in SUBSCRIPTIONS]:
            raise UserError(f"roster: a subscription is one of {', '.join(SUBSCRIPTIONS)}, not {unknown[0]!r}")
        within = self._patience() if within is None else within
        roster, missing = await self._roster_until(lambda found: find_differences(found, wanted), within)
        if missing:
            raise NotReceived(
                f"the roster of {self} is not as expected within {describe_duration(within)}", tuple(missing), "roster"
            )
        return roster

    async def subscribe(self, other: Person | str) -> None:
        """Ask for the presence of another person (RFC 6121 section 3.1.1).

        Returns once the own server holds the request, or the subscription, in the roster. Raises UserError if no device
        is connected, TimedOut if the server has not done so in 30 seconds.
        """
        await self._subscription("subscribe", other, lambda one: one.ask == "subscribe" or "to" in _ways(one))

    async def approve(self, other: Person | str, within: str | float | None = None) -> None:
        """Wait for another person's request, and grant it (RFC 6121 section 3.1.4).

        `within` is in seconds, or a text such as "30s". Returns once the own server has the other as subscribed. Raises
        NotReceived, which fails a run, if there is no request in time; UserError and TimedOut as `subscribe`.
        """
        await self._requested(other, self._patience() if within is None else within)
        await self._subscription("subscribed", other, lambda one: "from" in _ways(one))

    async def deny(self, other: Person | str, within: str | float | None = None) -> None:
        """Wait for another person's request and refuse it; or withdraw what was granted (RFC 6121 sections 3.1.4, 3.2).

        `within` is in seconds, or a text such as "30s". Returns once the own server has the other as not subscribed.
        Raises as `approve` does.
        """
        if "from" not in _ways((await self._read_roster()).get(str(other), absent(str(other)))):
            await self._requested(other, self._patience() if within is None else within)
        await self._subscription("unsubscribed", other, lambda one: "from" not in _ways(one))

    async def unsubscribe(self, other: Person | str) -> None:
        """Give up the subscription to another person, or the request for it (RFC 6121 section 3.3).

        Returns once the own server has neither in the roster. Raises UserError and TimedOut as `subscribe`.
        """
        await self._subscription("unsubscribe", other, lambda one: not one.ask and "to" not in _ways(one))

    async def _subscription(self, kind: str, other: Person | str, holds: Callable[[RosterItem], bool]) -> None:
        device, contact = self.connected_device(kind), str(other)
        self.context.history.record(
            SubscriptionSent(at=self.context.history.now(), person=self.jid, contact=contact, type=kind)
        )
        await self.context.call("send_raw", device.key, xml=f"<presence type='{kind}' to={quoteattr(contact)}/>")
        self.requests.discard(contact)

        def missing(found: dict[str, RosterItem]) -> list[str]:
            item = found.get(contact, absent(contact))
            return [] if holds(item) else [f"{contact}: subscription {item.subscription}, ask {item.ask or 'none'}"]

        _, wrong = await self._roster_until(missing, self._patience())
        if wrong:
            raise TimedOut(f"{self}: its server has not done what {kind!r} asks for", tuple(wrong))

    def _patience(self) -> float:
        """Seconds that are waited for what may have to pass the slowest link of the own server."""
        return DELIVERY_DEADLINE + self.context.largest_allowance(self.server.name)

    async def _requested(self, other: Person | str, within: str | float) -> None:
        """Return once there is a request by this person that is neither answered nor withdrawn."""
        try:
            async with asyncio.timeout(read_duration(within)):
                while str(other) not in self.requests:
                    self._requests_changed.clear()
                    await self._requests_changed.wait()
        except TimeoutError:
            evidence = tuple(f"there is a request by {one}" for one in sorted(self.requests))
            raise NotReceived(
                f"{self} received no request by {other} within {describe_duration(within)}", evidence, "roster"
            ) from None

    def note_subscription(self, kind: str, sender: str) -> None:
        """Take a received presence into account (RFC 6121 section 3.1); called by the federation."""
        if kind == "subscribe":
            self.requests.add(sender.partition("/")[0])
        elif kind == "unsubscribe":
            self.requests.discard(sender.partition("/")[0])
        self._requests_changed.set()

    async def _roster_until(
        self, missing: Callable[[dict[str, RosterItem]], list[str]], within: str | float
    ) -> tuple[dict[str, RosterItem], list[str]]:
        """The roster once nothing is missing, or as it is when the deadline has passed, and what is missing then."""
        deadline = self.context.history.now() + read_duration(within)
        while True:
            roster = await self._read_roster()
            if not (wrong := missing(roster)) or self.context.history.now() > deadline:
                break
            await asyncio.sleep(ROSTER_POLL_INTERVAL)
        items = tuple((one.jid, one.subscription, one.ask) for one in roster.values())
        self.context.history.record(RosterRead(at=self.context.history.now(), person=self.jid, items=items))
        return roster, wrong

    async def _read_roster(self) -> dict[str, RosterItem]:
        device = self.connected_device("roster")
        return read_roster((await ask(device, "get", f"<query xmlns='{ROSTER}'/>", f"{self}: roster")).element)

    # -- posts ---------------------------------------------------------------------------------------------------

    async def publish(self, text: str, *, access: str = "presence") -> Post:
        """Publish a post over PEP (XEP-0277, the node of XEP-0472): followers and contacts are notified.

        `access` is who may read and follow it (XEP-0060 section 4.5): "presence" (contacts who see this person),
        "open", "roster" or "whitelist". It is set with the first post; a later one with another one is refused with
        precondition-not-met. A server keeps 200 posts of a person. Returns once the own server has stored it:
        `device.received(post.id)` waits for it. Raises PeerError if it refuses, UserError if no device is connected or
        for another word.
        """
        check_text(text, "publish: the text")
        if access not in ACCESS:
            raise UserError(f"publish: access is one of {', '.join(ACCESS)}, not {access!r}")
        device = self.connected_device("publish")
        try:
            await ask(device, "set", build_node(access), f"{self}: publish")
        except PeerError as error:
            if error.condition != "conflict":  # the node is there
                raise
        post, now = Post(secrets.token_hex(8), self.jid, text), self.context.history.now()
        await ask(device, "set", build_publication(post, access, now), f"{self}: publish")
        now = self.context.history.now()
        self.context.history.record(PostPublished(at=now, person=self.jid, item=post.id, access=access))
        return post

    async def follow(self, author: Person | str) -> None:
        """Subscribe to somebody's posts (XEP-0277, XEP-0060 section 6.1); they must have published one before.

        Returns once the author's server has accepted it. Raises PeerError if it refuses, with `condition`, UserError if
        no device is connected, TimedOut after 30 seconds.
        """
        await self._follow("subscribe", author)
        self.context.history.record(Followed(at=self.context.history.now(), person=self.jid, author=str(author)))

    async def unfollow(self, author: Person | str) -> None:
        """End what `follow` began (XEP-0060 section 6.2). Returns once it is accepted; raises as `follow` does."""
        await self._follow("unsubscribe", author)
        self.context.history.record(Unfollowed(at=self.context.history.now(), person=self.jid, author=str(author)))

    async def _follow(self, action: str, author: Person | str) -> None:
        payload, device = build_subscription(action, self.jid), self.connected_device("follow")
        await ask(device, "set", payload, f"{self}: {action} to posts of {author}", to=str(author))

    async def posts(self, of: Person | str) -> list[Post]:
        """The posts of somebody that this person may read, in the server's order (XEP-0060 section 6.5).

        Raises as `follow` does.
        """
        device = self.connected_device("posts")
        return read_posts(
            (await ask(device, "get", build_request(), f"{self}: posts of {of}", to=str(of))).element, str(of)
        )

    # -- block list ----------------------------------------------------------------------------------------------

    async def block(self, other: Person | str) -> None:
        """Block a person, a JID or a domain (XEP-0191 section 3.3): from then on nobody receives what they send.

        Returns once the server has accepted it. Raises UserError if no device is connected, PeerError if it refuses.
        """
        jid = str(other)
        await self._ask_to("block", jid)
        self.change_block_list(jid, blocked=True)

    async def unblock(self, other: Person | str) -> None:
        """Unblock a person, a JID or a domain (XEP-0191 section 3.4).

        Returns once the server has accepted it. Raises UserError if no device is connected, PeerError if it refuses.
        """
        jid = str(other)
        await self._ask_to("unblock", jid)
        self.change_block_list(jid, blocked=False)

    def change_block_list(self, jid: str, *, blocked: bool) -> None:
        """Record that the server has accepted it, unless it is known already; called by the federation."""
        if (jid in self.blocked) == blocked:
            return
        (self.blocked.add if blocked else self.blocked.discard)(jid)
        kind = Blocked if blocked else Unblocked
        self.context.history.record(kind(at=self.context.history.now(), person=self.jid, jid=jid))

    async def _ask_to(self, what: str, jid: str) -> None:
        payload = f"<{what} xmlns='{BLOCKING}'><item jid={quoteattr(jid)}/></{what}>"
        await ask(self.connected_device(what), "set", payload, f"{self}: {what} {jid}")

    def blocks(self, jid: str) -> bool:
        """Whether this person has blocked a JID (XEP-0191 section 3.1)."""
        return any(matches(one, jid) for one in self.blocked)

    # -- keys ----------------------------------------------------------------------------------------------------

    async def fingerprints(self, of: Person) -> dict[int, str]:
        """The identity keys that this person's first device holds for `of` (XEP-0384 section 8 of version 0.3).

        A dictionary of OMEMO device ids to fingerprints (64 hex digits). Raises UserError on a device without OMEMO,
        PeerError if a bundle cannot be fetched.
        """
        timeout = FINGERPRINTS_DEADLINE + self.context.allowance(self.server.name, of.server.name)
        answer = await self.context.call("fingerprints", self.device.key, of=of.jid, timeout=timeout)
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
        shown = {one.fingerprint for one in (*other.devices, *other.removed_devices)}
        return "match" if held <= shown else "mismatch"

    async def set_trust(self, other: Person, fingerprint: str, level: str) -> None:
        """Decide about a key of `other` on every device: "trusted", "distrusted" or "undecided".

        `fingerprint` is in hex. Returns once every device has stored it. Raises UserError for
        another level or a key that the device does not know.
        """
        for device in self.devices:
            await self.context.call("set_trust", device.key, of=other.jid, fingerprint=fingerprint, level=level)

    # -- OTR -----------------------------------------------------------------------------------------------------

    async def verify(self, other: Person | Device, *, secret: str, answer: str | None, question: str = "") -> str:
        """Check in an OTR session whether the other knows the same secret (socialist millionaires' protocol).

        Each side enters what it knows: this person `secret`, the other `answer`; None breaks the check off. Returns
        "match" (the keys count as verified then), "mismatch" or "aborted". Raises UserError without OTR, without a
        session or if a device is not connected, TimedOut after 30 seconds and what slow links need more.
        """
        here = self.connected_device("verify")
        there = other.connected_device("verify") if isinstance(other, Person) else other
        limit = VERIFY_DEADLINE + self.context.allowance(self.server.name, there.person.server.name)
        asked = self.context.call("verify", here.key, to=there.jid, secret=secret, question=question, timeout=limit)
        answered = self.context.call("answer", there.key, to=here.jid, secret=answer, timeout=limit)
        found, problem = await asyncio.gather(asked, answered, return_exceptions=True)
        for one in (found, problem):
            if isinstance(one, BaseException):
                raise one
        assert isinstance(found, dict)
        return str(found["result"])

    async def end_session(self, other: Person) -> None:
        """End the OTR sessions of this person's first device with the other: the next message begins a new one.

        Returns once the other's devices, if they are connected, have been told. Raises UserError without a session,
        NotReceived where they were not told in time.
        """
        answer = await self.context.call("end_session", self.connected_device("end_session").key, to=other.jid)
        for told in answer["told"]:
            for device in other.devices:
                if device.jid == told["to"] and device.connected:
                    await device.received(told["message"])

    def __str__(self) -> str:
        return self.jid

    def __repr__(self) -> str:
        return f"<person {self.jid}>"


def _ways(item: RosterItem) -> tuple[str, ...]:
    """Who sees whom: "to", "from", both or neither."""
    return ("to", "from") if item.subscription == "both" else (item.subscription,)


def entitled(person: Person) -> list[Device]:
    """Who must get a message to the bare JID: the available devices of the highest priority, if it is not negative.

    RFC 6121 section 8.5.2.1.1; a server may hand it to others of its available devices as well.
    """
    ready = [one for one in person.devices if one.connected and one.priority is not None and one.priority >= 0]
    highest = max((one.priority or 0 for one in ready), default=0)
    return [one for one in ready if one.priority == highest]


@asynccontextmanager
async def stand_in(guest: Guest) -> AsyncIterator[Person]:
    """A person with the account of a guest and a device of the lab's, which is disconnected at the end of the block."""
    person = Person(guest.participants, guest.server, guest.name)
    person.password = guest.password
    await person.add_device(STAND_IN)
    try:
        yield person
    finally:
        await person.disconnect()
